package warpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// GetReply returns the last text that the agent wrote, empty when it wrote
// none. While there is no transcript yet the request is refused with 404, and
// with 422 when there will never be one. An error never holds the agent's words;
// it wraps warp.ErrTooLong when the transcript is longer than 64 MiB.
//
// Source: agent-api-openapi.yaml, GET /agent/runs/{runId}/conversation.
func (c *Client) GetReply(ctx context.Context, id string) (string, error) {
	var found transcript
	err := c.send(ctx, call{method: http.MethodGet, path: runPath(id) + "/conversation", out: &found, private: true})
	if err != nil {
		return "", err
	}
	return lastReply(found.Steps), nil
}

// transcript is a conversation on the wire:
//
//	{"steps":[{"messages":[{"role":"assistant","content":[{"type":"text","text":"..."}]}],"steps":[...]}]}
type transcript struct{ Steps []step }

type step struct {
	Messages []reply
	Steps    []step
}

// reply is the assistant's text in a message. It is empty when that is blank,
// when the message is another's, and when it has another shape.
type reply string

func (r *reply) UnmarshalJSON(message []byte) error {
	var said struct {
		Role    string
		Content []struct{ Type, Text string }
	}
	_ = json.Unmarshal(message, &said) // what has another shape has no text for us
	var text strings.Builder
	for _, block := range said.Content {
		if said.Role == "assistant" && block.Type == "text" {
			text.WriteString(block.Text)
		}
	}
	*r = ""
	if strings.TrimSpace(text.String()) != "" {
		*r = reply(text.String())
	}
	return nil
}

// lastReply is the last reply in steps. A step's own messages come before those
// of the steps nested in it: a delegate's words do not replace the agent's own.
func lastReply(steps []step) string {
	for _, step := range slices.Backward(steps) {
		for _, reply := range slices.Backward(step.Messages) {
			if reply != "" {
				return string(reply)
			}
		}
		if nested := lastReply(step.Steps); nested != "" {
			return nested
		}
	}
	return ""
}
