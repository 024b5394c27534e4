// Package warpapi speaks to Oz: GraphQL for callers, secrets and environments,
// REST for runs and schedules. It takes secrets only sealed, and reveals one sensitive value,
// the API key, in one header.
//
// Source: https://docs.warp.dev and the open-source client, warpdotdev/warp.
package warpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

//go:generate go tool genqlient genqlient.yaml

// Client is one caller of one server. It is safe for concurrent use.
type Client struct {
	connection
	queries, mutations graphqlClient
	about              RequestContext
	models             *atomic.Int64 // bytes of the models read so far
	batch              *atomic.Int64 // how many environments one document may ask for
	log                *slog.Logger
	transcript         chan struct{} // held while a transcript is in memory
}

// New returns a client for the server at root, such as https://app.warp.dev. It makes
// no request. The log gets notes about how Oz is asked.
func New(root *url.URL, key sensitive.String, clients transport.Clients, version string, log *slog.Logger) *Client {
	c := connection{root: root, key: key, clients: clients}
	batch := new(atomic.Int64)
	batch.Store(mostInBatch)
	return &Client{
		connection: c,
		queries:    graphqlClient{c, false},
		mutations:  graphqlClient{c, true},
		about: RequestContext{
			ClientContext: ClientContext{Version: version},
			OsContext:     OSContext{Category: "Linux", Name: "Linux"},
		},
		models:     new(atomic.Int64),
		batch:      batch,
		log:        log,
		transcript: make(chan struct{}, 1),
	}
}

// For returns a client whose REST calls name the owner: a caller with several teams has
// to name one.
func (c *Client) For(owner warp.Owner) *Client {
	mine := *c
	if owner.Type == warp.TeamOwner {
		mine.team = owner.UID
	}
	return &mine
}

// connection sends requests and reads the answers.
type connection struct {
	root    *url.URL
	key     sensitive.String
	clients transport.Clients
	team    string // UID of the team for which REST calls are made; may be empty
}

// call is one request.
type call struct {
	method, path string
	query        url.Values
	write        bool            // it changes something, so it is not repeated like a read
	in           any             // sent as JSON, unless nil
	out          any             // a 2xx is decoded into it, unless nil
	private      bool            // errors must not quote a 2xx
	bound        transport.Bound // of a 2xx; zero: the bound one
	size         *int            // set to the bytes of a 2xx, unless nil
}

// send makes a call. An error names the call. It wraps a *warp.Refusal for a 4xx,
// warp.ErrAnswerLost when a write may have happened, and warp.ErrTooLong when the
// answer exceeds the call's bound.
func (c connection) send(ctx context.Context, call call) error {
	request, err := c.request(ctx, call)
	if err != nil {
		return err
	}
	client := c.clients.Reads
	if call.write {
		client = c.clients.Writes
	}
	answer, err := client.Do(request)
	if err != nil {
		if call.write && !transport.NeverSent(err) {
			return lost(err)
		}
		return err
	}
	defer answer.Body.Close()
	err = read(answer, call)
	var refused *warp.Refusal
	if err != nil && call.write && !errors.As(err, &refused) && !errors.Is(err, errRedirected) {
		err = lost(err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", call, err)
	}
	return nil
}

// String is `GET /api/v1/agent/runs/...` or `POST /graphql/v2?op=GetUser`.
func (c call) String() string {
	name := c.method + " " + c.path
	if op := c.query.Get("op"); op != "" {
		name += "?op=" + op
	}
	return name
}

// lost marks an error after which it is unknown whether the write happened.
func lost(err error) error { return fmt.Errorf("%w: %w", warp.ErrAnswerLost, err) }

// read decodes an answer into what the call expects.
func read(answer *http.Response, call call) error {
	if answer.StatusCode/100 != 2 {
		content, err := io.ReadAll(io.LimitReader(answer.Body, longestReason))
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		return failure(answer, content)
	}
	bound := call.bound
	if bound == (transport.Bound{}) {
		bound = one
	}
	content, err := bound.Read(answer.Body)
	switch {
	case errors.Is(err, transport.ErrTooLarge):
		return tooLong{err}
	case err != nil:
		return err
	case call.out == nil:
		return nil
	}
	if call.size != nil {
		*call.size = len(content)
	}
	err = transport.Decode(content, call.out)
	switch {
	case err != nil && call.private:
		return fmt.Errorf("the answer is not what Oz sends: %w", err)
	case err != nil:
		return fmt.Errorf("the answer is not what Oz sends: %w: %s", err, excerpt(content))
	}
	return nil
}

// tooLong is a warp.ErrTooLong in the words of the transport.
type tooLong struct{ error }

func (t tooLong) Unwrap() error        { return t.error }
func (t tooLong) Is(target error) bool { return target == warp.ErrTooLong }

func (c connection) request(ctx context.Context, call call) (*http.Request, error) {
	at := c.root.JoinPath(call.path)
	at.RawQuery = call.query.Encode()
	var body io.Reader
	if call.in != nil {
		encoded, err := json.Marshal(call.in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, call.method, at.String(), body)
	if err != nil {
		return nil, err
	}
	if call.in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	// Authorization: Bearer wk-...
	request.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	if c.team != "" {
		request.Header.Set("X-Warp-Team-Uid", c.team)
	}
	return request, nil
}
