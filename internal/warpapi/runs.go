package warpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

const runsPath = "/api/v1/agent/runs"

// StartRun starts an agent. The API has no idempotency key: when the answer is
// lost, find the run by its metadata before starting another.
//
// Source: agent-api-openapi.yaml, POST /agent/runs. config.secrets and metadata
// are newer than that file.
func (c *Client) StartRun(ctx context.Context, r warp.RunRequest) (warp.Run, error) {
	type secret struct {
		Name string `json:"name"`
	}
	type config struct {
		EnvironmentID string   `json:"environment_id"`
		ModelID       string   `json:"model_id,omitempty"`
		Secrets       []secret `json:"secrets,omitempty"`
	}
	body := struct {
		Prompt   string            `json:"prompt"`
		Title    string            `json:"title"`
		Team     bool              `json:"team"`
		Config   config            `json:"config"`
		Metadata map[string]string `json:"metadata,omitempty"`
	}{r.Prompt, r.Title, r.Team, config{r.EnvironmentID, r.Model, nil}, r.Metadata}
	for _, name := range r.Secrets {
		body.Config.Secrets = append(body.Config.Secrets, secret{name})
	}
	var started struct {
		RunID      string        `json:"run_id"`
		TaskID     string        `json:"task_id"`
		State      warp.RunState `json:"state"`
		AtCapacity bool          `json:"at_capacity"`
	}
	call := call{method: http.MethodPost, path: runsPath, write: true, in: body, out: &started}
	if err := c.send(ctx, call); err != nil {
		return warp.Run{}, err
	}
	run := warp.Run{
		ID:         cmp.Or(started.RunID, started.TaskID),
		State:      cmp.Or(runState(started.State), warp.Queued),
		AtCapacity: started.AtCapacity,
	}
	err := checkRun(run.ID)
	if run.ID == "" {
		err = errors.New("the answer names no run")
	}
	if err != nil {
		return warp.Run{}, fmt.Errorf("%s: %w", call, lost(err))
	}
	return run, nil
}

// GetRun reads a run. The result has a state, and is the requested run.
func (c *Client) GetRun(ctx context.Context, id string) (warp.Run, error) {
	var found runItem
	if err := c.send(ctx, call{method: http.MethodGet, path: runPath(id), out: &found}); err != nil {
		return warp.Run{}, err
	}
	run, err := found.run(c.root)
	switch {
	case err != nil:
	case run.State == "":
		err = errors.New("the answer holds no state")
	case run.ID != "":
		err = checkSame("run", strings.ToLower(id), strings.ToLower(run.ID))
	}
	if err != nil {
		return warp.Run{}, fmt.Errorf("%s %s: %w", http.MethodGet, runPath(id), err)
	}
	return run, nil
}

// FindRuns returns the newest runs with this metadata. A server may refuse the
// filter.
func (c *Client) FindRuns(ctx context.Context, key, value string) ([]warp.Run, error) {
	return c.listRuns(ctx, url.Values{"metadata[" + key + "]": {value}})
}

// ListRuns returns the newest runs of an environment that were created at or
// after a time.
func (c *Client) ListRuns(ctx context.Context, environmentID string, since time.Time) ([]warp.Run, error) {
	return c.listRuns(ctx, url.Values{
		"environment_id": {environmentID},
		"created_after":  {since.UTC().Format(time.RFC3339)},
	})
}

func (c *Client) listRuns(ctx context.Context, filter url.Values) ([]warp.Run, error) {
	filter.Set("limit", "100")
	filter.Set("sort_by", "created_at")
	filter.Set("sort_order", "desc")
	var list struct{ Runs *[]runItem }
	if err := c.send(ctx, call{method: http.MethodGet, path: runsPath, query: filter, out: &list, bound: runs}); err != nil {
		return nil, err
	}
	if list.Runs == nil {
		return nil, fmt.Errorf("%s %s: the answer holds no list", http.MethodGet, runsPath)
	}
	found := make([]warp.Run, len(*list.Runs))
	for i, item := range *list.Runs {
		var err error
		if found[i], err = item.run(c.root); err != nil {
			return nil, fmt.Errorf("%s %s: %w", http.MethodGet, runsPath, err)
		}
	}
	return found, nil
}

// CancelRun asks a run to stop. It is refused with 400 when the run is over, 409 while
// it is being prepared, and 422 when the run cannot be cancelled.
func (c *Client) CancelRun(ctx context.Context, id string) error {
	return c.send(ctx, call{method: http.MethodPost, path: runPath(id) + "/cancel", write: true})
}

func runPath(id string) string { return runsPath + "/" + url.PathEscape(id) }

// runItem is a run on the wire.
type runItem struct {
	RunID         string        `json:"run_id"`
	TaskID        string        `json:"task_id"`
	State         warp.RunState `json:"state"`
	SessionLink   string        `json:"session_link"`
	CreatedAt     string        `json:"created_at"`
	Title         string        `json:"title"`
	Metadata      map[string]string
	StatusMessage struct {
		Message   string `json:"message"`
		ErrorCode string `json:"error_code"`
		Retryable bool   `json:"retryable"`
	} `json:"status_message"`
	RequestUsage struct {
		Inference float64 `json:"inference_cost"` // credits
		Compute   float64 `json:"compute_cost"`
		Platform  float64 `json:"platform_cost"`
		Tokens    float64 `json:"total_tokens"`
	} `json:"request_usage"`
}

// run is the run of an item. An ID, when there is one, must be a UUID.
func (i runItem) run(root *url.URL) (warp.Run, error) {
	id := cmp.Or(i.RunID, i.TaskID)
	if id != "" && checkRun(id) != nil {
		return warp.Run{}, checkRun(id)
	}
	return warp.Run{
		ID:          id,
		State:       runState(i.State),
		SessionLink: link(root, i.SessionLink),
		CreatedAt:   i.CreatedAt,
		Message:     i.StatusMessage.Message,
		ErrorCode:   strings.ReplaceAll(i.StatusMessage.ErrorCode, "-", "_"),
		Retryable:   i.StatusMessage.Retryable,
		Title:       i.Title,
		Metadata:    i.Metadata,
		Usage: warp.Usage{
			Credits: i.RequestUsage.Inference + i.RequestUsage.Compute + i.RequestUsage.Platform,
			Tokens:  int64(i.RequestUsage.Tokens),
		},
	}, nil
}

// runState is a state in the spelling of REST; GraphQL has another one. A text that
// cannot be a state becomes UNREADABLE, which counts as unknown.
func runState(s warp.RunState) warp.RunState {
	switch {
	case s == "IN_PROGRESS":
		return warp.InProgress
	case s != "" && !plainState().MatchString(string(s)):
		return "UNREADABLE"
	}
	return s
}
