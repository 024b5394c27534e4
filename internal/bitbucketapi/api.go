package bitbucketapi

import (
	"crypto/sha256"
	"net/http"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// API asks Bitbuckets with any number of secrets. It keeps, for each of them, how
// often it was refused: what more than mostFailures answers of 401 might come to
// is not asked, which is an error that wraps bitbucket.ErrNotAsked. One of them
// is for a whole job. Safe for concurrent use.
type API struct {
	clients transport.Clients

	mu       sync.Mutex
	attempts map[[sha256.Size]byte]*Attempts // by the secret's hash: a key can be printed
}

// New returns an API over these clients. It makes no request.
func New(clients transport.Clients) *API {
	return &API{clients: clients, attempts: map[[sha256.Size]byte]*Attempts{}}
}

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
	if a.attempts[key] == nil {
		a.attempts[key] = NewAttempts()
	}
	return presenter{clients: a.clients, secret: secret, attempts: a.attempts[key]}
}

// presenter sends requests that present one secret.
type presenter struct {
	clients  transport.Clients
	secret   sensitive.String
	attempts *Attempts
	spare    bool // nothing depends on what it asks
}

// send sends a request. One that presents the secret takes an attempt first. No
// error repeats the secret; one that is unsent left before the request did.
func (p presenter) send(client *transport.Client, request *http.Request) (*http.Response, error) {
	if request.Header.Get("Authorization") == "" {
		return client.Do(request)
	}
	if err := p.attempts.Take(request.Context(), p.spare); err != nil {
		return nil, unsent{err}
	}
	answer, err := client.Do(request)
	p.attempts.Settle(p.spare, err == nil && answer.StatusCode == http.StatusUnauthorized)
	if err != nil {
		return nil, without(err, p.hiding(request))
	}
	return answer, nil
}

// unsent is why a request was not sent at all.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }
