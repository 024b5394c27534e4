package warpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Khan/genqlient/graphql"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
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
	data := rootFields{into: response.Data}
	answer := struct {
		Data   *rootFields
		Errors []struct{ Message string }
	}{Data: &data}
	call := call{
		method: http.MethodPost, path: "/graphql/v2", query: url.Values{"op": {request.OpName}},
		write: c.write, in: request, out: &answer, bound: lists[request.OpName],
	}
	if err := c.send(ctx, call); err != nil {
		return err
	}
	messages := make([]string, len(answer.Errors))
	for i, e := range answer.Errors {
		messages[i] = e.Message
	}
	err := data.err
	switch {
	case data.answered:
	case len(messages) == 0:
		err = errors.New("an answer without data")
	default:
		return fmt.Errorf("%s: %w", call, refusalOf(strings.Join(messages, "; ")))
	}
	if err != nil && c.write {
		err = lost(err)
	}
	if err != nil {
		return fmt.Errorf("%s: read the answer: %w", call, err)
	}
	return nil
}

// lists are the bounds of the operations whose answer is a list.
var lists = map[string]transport.Bound{
	"GetCloudEnvironments": environments,
	"GetCloudObjects":      batch,
	"ListManagedSecrets":   secrets,
}

// rootFields decodes the data of an answer in place: a copy could be large.
type rootFields struct {
	into     any
	answered bool  // every root field has a value
	err      error // why the data cannot be decoded
}

// UnmarshalJSON implements json.Unmarshaler. It keeps an error for later, because the
// rest of the answer may explain it.
func (r *rootFields) UnmarshalJSON(data []byte) error {
	var fields map[string]isNull
	_ = json.Unmarshal(data, &fields) // only an object has fields
	r.answered, r.err = len(fields) > 0, nil
	for _, null := range fields {
		r.answered = r.answered && !bool(null)
	}
	if r.answered {
		r.err = json.Unmarshal(data, r.into)
	}
	return nil
}

// isNull reports whether a value is null.
type isNull bool

// UnmarshalJSON implements json.Unmarshaler.
func (n *isNull) UnmarshalJSON(value []byte) error {
	*n = string(value) == "null"
	return nil
}

// refusalOf turns the messages of an answer without data into a refusal.
func refusalOf(messages string) *warp.Refusal {
	if strings.Contains(messages, "User not in context: Not found") {
		return &warp.Refusal{
			Status:  http.StatusUnauthorized,
			Message: beginning(messages) + "; the owner of warp_api_key is unknown: the account may be disabled or deleted",
		}
	}
	return &warp.Refusal{Status: http.StatusOK, Message: beginning(messages)}
}

// userFacingError is the error of a UserFacingError. Oz may add kinds.
type userFacingError struct {
	Kind    string `json:"__typename"`
	Message string `json:"message"`
}

// output unpacks the union that every operation returns: its output, or the server's
// refusal.
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
		return none, &warp.Refusal{Status: http.StatusOK, Kind: beginning(refused.Kind), Message: cmp.Or(beginning(refused.Message), "no reason given")}
	}
	return none, errors.New("the answer holds neither an output nor an error")
}
