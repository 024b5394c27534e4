package warpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

const schedulesPath = "/api/v1/agent/schedules"

// ListSchedules returns every schedule that the caller can see, of all owners: the API
// has no pages. The request names the owner's team.
//
// Source: agent-api-openapi.yaml, /agent/schedules, here and below.
func (c *Client) ListSchedules(ctx context.Context, of warp.Owner) ([]warp.Schedule, error) {
	var list struct{ Schedules *[]json.RawMessage }
	call := call{method: http.MethodGet, path: schedulesPath, out: &list, bound: schedules}
	if err := c.For(of).send(ctx, call); err != nil {
		return nil, err
	}
	if list.Schedules == nil {
		return nil, fmt.Errorf("%s: the answer holds no list", call)
	}
	found := make([]warp.Schedule, len(*list.Schedules))
	for i, item := range *list.Schedules {
		var err error
		if found[i], err = schedule(item); err != nil {
			return nil, fmt.Errorf("%s: %w", call, err)
		}
	}
	return found, nil
}

// GetSchedule returns one schedule. It is refused with 404 when the schedule does not
// exist or the caller may not see it.
func (c *Client) GetSchedule(ctx context.Context, of warp.Owner, id string) (warp.Schedule, error) {
	return c.scheduled(ctx, of, id, call{method: http.MethodGet, path: schedulePath(id)})
}

// CreateSchedule creates a schedule of the owner, which is a team. Names are not unique
// and there is no idempotency key: two calls create two. The schedule is active at
// once, unless enabled is false.
func (c *Client) CreateSchedule(ctx context.Context, of warp.Owner, model warp.Model) (warp.Schedule, error) {
	model = model.With("team", of.Type == warp.TeamOwner)
	return c.scheduled(ctx, of, "", call{method: http.MethodPost, path: schedulesPath, write: true, in: json.RawMessage(model.String())})
}

// ReplaceSchedule replaces a schedule. Keys that the model leaves out may be cleared.
// The last writer wins: schedules have no revision. The owner cannot be changed.
func (c *Client) ReplaceSchedule(ctx context.Context, of warp.Owner, id string, model warp.Model) (warp.Schedule, error) {
	return c.scheduled(ctx, of, id, call{method: http.MethodPut, path: schedulePath(id), write: true, in: json.RawMessage(model.String())})
}

// EnableSchedule resumes or pauses a schedule and changes nothing else.
func (c *Client) EnableSchedule(ctx context.Context, of warp.Owner, id string, enabled bool) (warp.Schedule, error) {
	verb := "/pause"
	if enabled {
		verb = "/resume"
	}
	return c.scheduled(ctx, of, id, call{method: http.MethodPost, path: schedulePath(id) + verb, write: true})
}

// DeleteSchedule deletes a schedule. Runs that it has started go on. It is refused with
// 404 when the schedule no longer exists.
func (c *Client) DeleteSchedule(ctx context.Context, of warp.Owner, id string) error {
	var deleted struct{ Success bool }
	call := call{method: http.MethodDelete, path: schedulePath(id), write: true, out: &deleted}
	err := c.For(of).send(ctx, call)
	if err == nil && !deleted.Success {
		err = fmt.Errorf("%s: the server says that the request did not succeed", call)
	}
	return err
}

func schedulePath(id string) string { return schedulesPath + "/" + url.PathEscape(id) }

// scheduled makes a call whose answer is a schedule. Unless id is empty, it must be the
// schedule with this ID. When the answer to a write cannot be read, it counts as lost.
func (c *Client) scheduled(ctx context.Context, of warp.Owner, id string, call call) (warp.Schedule, error) {
	var item json.RawMessage
	call.out = &item
	if err := c.For(of).send(ctx, call); err != nil {
		return warp.Schedule{}, err
	}
	found, err := schedule(item)
	if err == nil && id != "" {
		err = checkSame("schedule", id, found.ID)
	}
	if err != nil && call.write {
		err = lost(err)
	}
	if err != nil {
		return warp.Schedule{}, fmt.Errorf("%s: %w", call, err)
	}
	return found, nil
}

// schedule reads a schedule from an answer.
func schedule(item json.RawMessage) (warp.Schedule, error) {
	var known struct {
		ID    string
		Scope struct{ Type, UID string }
	}
	model, err := warp.ParseModel(string(item))
	if err == nil {
		err = json.Unmarshal(item, &known)
	}
	if err != nil {
		return warp.Schedule{}, fmt.Errorf("read a schedule: %w", err)
	}
	owner := warp.Owner{Type: warp.OwnerType(known.Scope.Type), UID: known.Scope.UID}
	if err := cmp.Or(checkUID("it", known.ID), checkOwner("it", owner)); err != nil {
		return warp.Schedule{}, fmt.Errorf("read a schedule: %w", err)
	}
	return warp.Schedule{Model: model, ID: known.ID, Owner: owner}, nil
}
