package warpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Bounds of a transcript. It streams by, and one message of it is held at a
// time.
const (
	longestTranscript = 64 << 20
	longestMessage    = 16 << 20
)

// GetReply returns the last text that the agent wrote, empty when it wrote
// none. While there is no transcript yet the request is refused with 404, and
// with 422 when there will never be one. An error never holds the agent's words;
// it wraps warp.ErrTooLong when the transcript is longer than 64 MiB, or one
// message of it than 16 MiB.
//
// Source: agent-api-openapi.yaml, GET /agent/runs/{runId}/conversation.
func (c *Client) GetReply(ctx context.Context, id string) (string, error) {
	var reply string
	err := c.send(ctx, call{method: http.MethodGet, path: runPath(id) + "/conversation", read: func(body io.Reader) (err error) {
		reply, err = lastText(body)
		return err
	}})
	return reply, err
}

// lastText is the last assistant message with text in a transcript:
//
//	{"steps":[{"messages":[{"role":"assistant","content":[{"type":"text","text":"..."}]}],"steps":[...]}]}
//
// A step's own messages come before those of the steps nested in it: a
// delegate's words do not replace the agent's own.
func lastText(body io.Reader) (string, error) {
	bounded := &bounded{body: body}
	s := stream{json.NewDecoder(bounded)}
	bounded.used = s.InputOffset
	var last string
	err := s.members(func(name string) error {
		if name != "steps" {
			return s.skip()
		}
		return s.steps(&last)
	})
	if err != nil {
		return "", fmt.Errorf("read the transcript: %w", err)
	}
	return last, nil
}

// bounded reads no more than the bounds of a transcript.
type bounded struct {
	body io.Reader
	read int64
	used func() int64 // what the decoder is done with
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.read > longestTranscript || b.read-b.used() > longestMessage {
		return 0, warp.ErrTooLong
	}
	n, err := b.body.Read(p)
	b.read += int64(n)
	return n, err
}

// stream walks through JSON without holding it.
type stream struct{ *json.Decoder }

// steps reads a list of steps and leaves the last text in last.
func (s stream) steps(last *string) error {
	return s.elements(func() error {
		var own, nested string
		err := s.members(func(name string) error {
			switch name {
			case "messages":
				return s.elements(func() error { return s.message(&own) })
			case "steps":
				return s.steps(&nested)
			}
			return s.skip()
		})
		for _, text := range []string{nested, own} {
			if text != "" {
				*last = text
			}
		}
		return err
	})
}

// message reads one message and leaves the assistant's text in last.
func (s stream) message(last *string) error {
	var message struct {
		Role    string
		Content []struct{ Type, Text string }
	}
	var other *json.UnmarshalTypeError // a message of another shape: it has no text for us
	if err := s.Decode(&message); err != nil && !errors.As(err, &other) {
		return err
	}
	var text strings.Builder
	for _, block := range message.Content {
		if message.Role == "assistant" && block.Type == "text" {
			text.WriteString(block.Text)
		}
	}
	if strings.TrimSpace(text.String()) != "" {
		*last = text.String()
	}
	return nil
}

// members visits each member of the object that comes next; null has none.
func (s stream) members(visit func(name string) error) error {
	return s.each('{', func() error {
		name, err := s.Token()
		if err != nil {
			return err
		}
		return visit(fmt.Sprint(name))
	})
}

// elements visits each element of the array that comes next; null has none.
func (s stream) elements(visit func() error) error { return s.each('[', visit) }

func (s stream) each(open json.Delim, visit func() error) error {
	switch token, err := s.Token(); {
	case err != nil:
		return err
	case token == nil:
		return nil
	case token != open:
		return errors.New("it is not what Oz sends")
	}
	for s.More() {
		if err := visit(); err != nil {
			return err
		}
	}
	_, err := s.Token()
	return err
}

func (s stream) skip() error {
	var ignored json.RawMessage
	return s.Decode(&ignored)
}
