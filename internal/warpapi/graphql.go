package warpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Khan/genqlient/graphql"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// graphqlClient sends the operations of generated.go.
type graphqlClient struct {
	connection
	write bool
}

// MakeRequest implements graphql.Client: POST /graphql/v2?op=GetUser with
// {"query", "variables", "operationName"}. An answer without data is an error
// that holds the messages of its errors.
func (c graphqlClient) MakeRequest(ctx context.Context, request *graphql.Request, response *graphql.Response) error {
	var answer struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}
	const path = "/graphql/v2"
	err := c.send(ctx, call{
		method: http.MethodPost, path: path, query: url.Values{"op": {request.OpName}},
		write: c.write, in: request, out: &answer,
	})
	if err != nil {
		return err
	}
	if len(answer.Data) > 0 && string(answer.Data) != "null" {
		if err = json.Unmarshal(answer.Data, response.Data); err == nil {
			return nil
		}
		if c.write {
			err = fmt.Errorf("%w: %w", warp.ErrAnswerLost, err)
		}
		return fmt.Errorf("POST %s: read the answer of %s: %w", path, request.OpName, err)
	}
	messages := make([]string, len(answer.Errors))
	for i, e := range answer.Errors {
		messages[i] = e.Message
	}
	refusal := &warp.Refusal{Status: http.StatusOK, Message: strings.Join(messages, "; ")}
	switch {
	case len(messages) == 0:
		refusal.Message = "an answer without data"
	case strings.Contains(refusal.Message, "User not in context: Not found"):
		refusal.Status = http.StatusUnauthorized
		refusal.Message += "; the owner of warp_api_key is unknown: the account may be disabled or deleted"
	}
	return fmt.Errorf("POST %s: %w", path, refusal)
}

// userFacingError is the error of a UserFacingError. Its kinds are an open list.
type userFacingError struct {
	Kind    string `json:"__typename"`
	Message string `json:"message"`
}

// output unpacks the union that every operation answers: its output, or the
// server's refusal.
func output[T any](union any, err error) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	switch answer := union.(type) {
	case T:
		return answer, nil
	case interface{ GetError() userFacingError }:
		refused := answer.GetError()
		return none, &warp.Refusal{Status: http.StatusOK, Kind: refused.Kind, Message: refused.Message}
	}
	return none, errors.New("the answer holds neither an output nor an error")
}
