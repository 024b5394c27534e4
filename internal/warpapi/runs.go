package warpapi

import (
	"cmp"
	"context"
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
	err := c.send(ctx, call{method: http.MethodPost, path: runsPath, write: true, in: body, out: &started})
	return warp.Run{
		ID:         cmp.Or(started.RunID, started.TaskID),
		State:      cmp.Or(started.State, warp.Queued),
		AtCapacity: started.AtCapacity,
	}, err
}

// GetRun reads the state of a run.
func (c *Client) GetRun(ctx context.Context, id string) (warp.Run, error) {
	var found runItem
	err := c.send(ctx, call{method: http.MethodGet, path: runPath(id), out: &found})
	return found.run(), err
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
	var list struct{ Runs []runItem }
	if err := c.send(ctx, call{method: http.MethodGet, path: runsPath, query: filter, out: &list}); err != nil {
		return nil, err
	}
	runs := make([]warp.Run, len(list.Runs))
	for i, item := range list.Runs {
		runs[i] = item.run()
	}
	return runs, nil
}

// CancelRun asks a run to stop. It is refused with 400 when the run is over,
// 409 while it is being prepared, and 422 where runs cannot be cancelled.
func (c *Client) CancelRun(ctx context.Context, id string) error {
	return c.send(ctx, call{method: http.MethodPost, path: runPath(id) + "/cancel", write: true})
}

// GetReply returns the last text that the agent wrote, empty when it wrote
// none. While there is no transcript yet the request is refused with 404.
func (c *Client) GetReply(ctx context.Context, id string) (string, error) {
	var conversation struct{ Steps []step }
	if err := c.send(ctx, call{method: http.MethodGet, path: runPath(id) + "/conversation", out: &conversation}); err != nil {
		return "", err
	}
	return lastText(conversation.Steps), nil
}

func runPath(id string) string { return runsPath + "/" + url.PathEscape(id) }

// step is a step of a transcript; steps nest where an agent delegates.
type step struct {
	Messages []struct {
		Role    string
		Content []struct{ Type, Text string }
	}
	Steps []step
}

// lastText is the last assistant message with text, steps before the steps
// nested in them: a delegate's words do not replace the agent's own.
func lastText(steps []step) string {
	for i := len(steps) - 1; i >= 0; i-- {
		for j := len(steps[i].Messages) - 1; j >= 0; j-- {
			message := steps[i].Messages[j]
			var text strings.Builder
			for _, block := range message.Content {
				if message.Role == "assistant" && block.Type == "text" {
					text.WriteString(block.Text)
				}
			}
			if strings.TrimSpace(text.String()) != "" {
				return text.String()
			}
		}
		if text := lastText(steps[i].Steps); text != "" {
			return text
		}
	}
	return ""
}

// runItem is a run on the wire.
type runItem struct {
	RunID         string        `json:"run_id"`
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
		Inference float64 `json:"inference_cost"`
		Compute   float64 `json:"compute_cost"`
		Platform  float64 `json:"platform_cost"`
		Tokens    int64   `json:"total_tokens"`
	} `json:"request_usage"`
}

func (i runItem) run() warp.Run {
	return warp.Run{
		ID:          i.RunID,
		State:       i.State,
		SessionLink: i.SessionLink,
		CreatedAt:   i.CreatedAt,
		Message:     i.StatusMessage.Message,
		ErrorCode:   i.StatusMessage.ErrorCode,
		Retryable:   i.StatusMessage.Retryable,
		Title:       i.Title,
		Metadata:    i.Metadata,
		Usage: warp.Usage{
			Credits: i.RequestUsage.Inference + i.RequestUsage.Compute + i.RequestUsage.Platform,
			Tokens:  i.RequestUsage.Tokens,
		},
	}
}
