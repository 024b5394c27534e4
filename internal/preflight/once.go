package preflight

import (
	"context"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Once is a Server that is asked each question once. A second Check with the same token
// finds the answers of the first, including refusals and outages. A question that was cut
// short by the end of its context is asked again. Safe for concurrent use.
type Once struct {
	Server
	mu      sync.Mutex
	answers map[asked]any
	first   bitbucket.Repository
}

// asked identifies a question by everything that its answer depends on.
type asked struct {
	what   string
	of     bitbucket.Repository
	as     bitbucket.Login
	wanted string
	writes bool
}

// spelled is a repository in the one spelling that stands for all of its spellings. The
// scheme stays, because over another scheme it is another question.
func spelled(r bitbucket.Repository) bitbucket.Repository {
	folded := r.Folded()
	folded.Scheme = r.Scheme
	return folded
}

// answered is the answer to a question.
type answered[T any] struct {
	value T
	err   error
}

// NewOnce returns a Once for the questions about one token.
func NewOnce(s Server) *Once { return &Once{Server: s, answers: map[asked]any{}} }

// Begin asks the first questions of a Check whose first demand this is. Check then finds
// the answers.
func (o *Once) Begin(ctx context.Context, d Demand, token Token) {
	if c := newCheck(o, []Demand{d}, token, false); len(c.asked) > 0 {
		_, _ = c.askPrimary(ctx)
	}
}

// Lead returns the demands in another order: those about the repository to which the token
// was presented first come first. So a token that was refused there is not presented
// elsewhere.
func (o *Once) Lead(demands []Demand) []Demand {
	o.mu.Lock()
	defer o.mu.Unlock()
	var first, rest []Demand
	for _, d := range demands {
		if d.Repository.Same(o.first) {
			first = append(first, d)
		} else {
			rest = append(rest, d)
		}
	}
	return append(first, rest...)
}

// ask asks a question unless there is an answer.
func ask[T any](ctx context.Context, o *Once, q asked, send func() (T, error)) (T, error) {
	if known, found := o.find(q); found {
		a := known.(answered[T])
		return a.value, a.err
	}
	value, err := send()
	if ctx.Err() == nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.answers[q] = answered[T]{value, err}
	}
	return value, err
}

func (o *Once) find(q asked) (answer any, found bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	answer, found = o.answers[q]
	return answer, found
}

// refused is ask for a question that is only answered by yes or by a reason why not.
func refused(ctx context.Context, o *Once, q asked, send func() error) error {
	_, err := ask(ctx, o, q, func() (struct{}, error) { return struct{}{}, send() })
	return err
}

// Offer implements Server. A refusal does not depend on the ref that is wanted.
func (o *Once) Offer(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, wanted string) (bitbucket.Offer, error) {
	refusal := asked{what: "why no offer", of: spelled(r), as: as}
	if why, found := o.find(refusal); found {
		return bitbucket.Offer{}, why.(error)
	}
	return ask(ctx, o, asked{what: "offer", of: spelled(r), as: as, wanted: wanted}, func() (bitbucket.Offer, error) {
		offer, err := o.Server.Offer(ctx, r, as, wanted)
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.first == (bitbucket.Repository{}) {
			o.first = r
		}
		if err != nil && ctx.Err() == nil {
			o.answers[refusal] = err
		}
		if refs := offer.Refs; refs != nil {
			offer.Refs = func(ctx context.Context) (bitbucket.Refs, error) {
				return ask(ctx, o, asked{what: "offered refs", of: spelled(r), as: as, wanted: wanted}, func() (bitbucket.Refs, error) { return refs(ctx) })
			}
		}
		return offer, err
	})
}

// CheckClone implements Server.
func (o *Once) CheckClone(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) error {
	return refused(ctx, o, asked{what: "clone", of: spelled(r), as: as}, func() error { return o.Server.CheckClone(ctx, r, as) })
}

// CheckPush implements Server.
func (o *Once) CheckPush(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, needed bool) error {
	return refused(ctx, o, asked{what: "push", of: spelled(r), as: as, writes: needed}, func() error { return o.Server.CheckPush(ctx, r, as, needed) })
}

// CheckREST implements Server.
func (o *Once) CheckREST(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) (scopes []string, err error) {
	return ask(ctx, o, asked{what: "REST", of: spelled(r), as: as}, func() ([]string, error) { return o.Server.CheckREST(ctx, r, as) })
}

// ListPermitted implements Server.
func (o *Once) ListPermitted(ctx context.Context, server bitbucket.Repository, write bool) (map[bitbucket.Repository]bool, error) {
	return ask(ctx, o, asked{what: "permitted", of: spelled(server), writes: write}, func() (map[bitbucket.Repository]bool, error) {
		return o.Server.ListPermitted(ctx, server, write)
	})
}
