package warpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// GetReply returns the last text that the agent wrote, empty when it wrote none. It is
// refused with 404 while there is no transcript yet, and with 422 when there will never
// be one. An error never holds the agent's words. It wraps warp.ErrTooLong when the
// transcript is longer than 64 MiB, or the text longer than 4 MiB. Only one call at a
// time sends its request, because four transcripts would not fit into the memory.
//
// Source: agent-api-openapi.yaml, GET /agent/runs/{runId}/conversation.
func (c *Client) GetReply(ctx context.Context, id string) (string, error) {
	select {
	case c.transcript <- struct{}{}:
		defer func() { <-c.transcript }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	var found transcript
	err := c.send(ctx, call{method: http.MethodGet, path: runPath(id) + "/conversation", out: &found, private: true, bound: conversation})
	if err != nil {
		return "", err
	}
	return lastReply(found.Steps)
}

// transcript is a conversation in the API:
//
//	{"steps":[{"messages":[{"role":"assistant","content":[{"type":"text","text":"..."}]}],"steps":[...]}]}
type transcript struct{ Steps []step }

type step struct {
	Messages []reply
	Steps    []step
}

// reply is the JSON of a message in the transcript. It is not a copy, because only the
// last message with text is needed.
type reply []byte

// UnmarshalJSON implements json.Unmarshaler. It keeps a part of the answer, which only
// GetReply holds and never changes.
func (r *reply) UnmarshalJSON(message []byte) error {
	*r = message
	return nil
}

// text is the assistant's text in a message. It is empty when the text is blank, when
// someone else wrote the message, and when the message has another shape.
func (r reply) text() (string, error) {
	if len(r) > longestReply {
		var said struct{ Role string }
		if _ = json.Unmarshal(r, &said); said.Role == "assistant" {
			return "", fmt.Errorf("read the answer: %w", warp.ErrTooLong)
		}
		return "", nil
	}
	var said struct {
		Role    string
		Content []struct{ Type, Text string }
	}
	_ = json.Unmarshal(r, &said) // content of another shape counts as no text
	var text strings.Builder
	for _, block := range said.Content {
		if said.Role == "assistant" && block.Type == "text" {
			text.WriteString(block.Text)
		}
	}
	if strings.TrimSpace(text.String()) == "" {
		return "", nil
	}
	return text.String(), nil
}

// lastReply is the last reply in steps. A step's own messages take precedence over
// those of steps nested in it: a delegate's text does not replace the agent's own.
func lastReply(steps []step) (string, error) {
	for _, step := range slices.Backward(steps) {
		for _, reply := range slices.Backward(step.Messages) {
			if text, err := reply.text(); text != "" || err != nil {
				return text, err
			}
		}
		if nested, err := lastReply(step.Steps); nested != "" || err != nil {
			return nested, err
		}
	}
	return "", nil
}
