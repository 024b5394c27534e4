package bitbucketapi

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// API sends requests to Bitbucket servers with any number of secrets. For each secret
// it counts the answers of 401. A request that could draw more than mostFailures of
// them is not sent, and its error wraps bitbucket.ErrNotAsked. One API serves a whole
// job. Safe for concurrent use.
type API struct {
	clients transport.Clients

	mu    sync.Mutex
	known map[[sha256.Size]byte]*known // by the secret's hash, because a key can be printed
}

// known is what is kept of one secret.
type known struct {
	attempts *Attempts
	user     atomic.Pointer[string] // the name that it signs in with; nil until an answer has told it

	mu    sync.Mutex // of what FindSelf has found
	asked bool
	self  bitbucket.TokenRecord
	err   error
}

// New returns an API over these clients. It makes no request.
func New(clients transport.Clients) *API {
	return &API{clients: clients, known: map[[sha256.Size]byte]*known{}}
}

// Dial begins to connect to the server of an origin, which will soon be asked about a
// clone, and returns. Call it before anything is sent there.
func (a *API) Dial(origin string) { a.clients.Dial(origin, 2) } // with the token and without

// Client returns a client that presents token.
func (a *API) Client(token sensitive.String) *Client { return &Client{a.with(token)} }

// Tokens returns a client for the REST of access tokens on the server of a
// repository.
func (a *API) Tokens(of bitbucket.Repository, c Credential) *Tokens {
	return &Tokens{presenter: a.with(c.Secret), base: of.Origin() + of.Context, username: c.Username}
}

func (a *API) with(secret sensitive.String) presenter {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := sha256.Sum256([]byte(secret.Reveal()))
	if a.known[key] == nil {
		a.known[key] = &known{attempts: NewAttempts()}
	}
	return presenter{clients: a.clients, secret: secret, known: a.known[key]}
}

// presenter sends requests that present one secret.
type presenter struct {
	clients transport.Clients
	secret  sensitive.String
	known   *known
	spare   bool // its requests are optional: nothing depends on the answers
	again   bool // it asks for no more than an answer has just allowed
}

// send sends a request. One that presents the secret takes an attempt first. No
// error repeats the secret. An error of the type unsent says that nothing was sent.
func (p presenter) send(client *transport.Client, request *http.Request) (*http.Response, error) {
	if request.Header.Get("Authorization") == "" {
		return client.Do(request)
	}
	settle, err := p.take(request.Context())
	if err != nil {
		return nil, unsent{err}
	}
	answer, err := client.Do(request)
	settle(err == nil && answer.StatusCode == http.StatusUnauthorized)
	if err != nil {
		return nil, without(err, p.hiding(request))
	}
	// X-AUSERNAME: jane
	if name, err := url.QueryUnescape(answer.Header.Get("X-AUSERNAME")); err == nil && name != "" && answer.StatusCode/100 == 2 {
		p.known.user.Store(&name)
	}
	return answer, nil
}

// take takes an attempt, and returns how it is settled.
func (p presenter) take(ctx context.Context) (settle func(unauthorized bool), err error) {
	if p.again {
		return p.known.attempts.TakeAgain(ctx)
	}
	return func(unauthorized bool) { p.known.attempts.Settle(p.spare, unauthorized) }, p.known.attempts.Take(ctx, p.spare)
}

// unsent is why a request was not sent at all.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }
