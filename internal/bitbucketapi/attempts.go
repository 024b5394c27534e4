package bitbucketapi

import (
	"context"
	"sync/atomic"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// mostFailures is how many answers of 401 one secret may draw in a job.
//
// A 401 may count as a failed login, and Data Center locks the owner out after a
// few of them, five by default. Which 401 does count cannot be told from outside:
// a known token without the permission gets one from some versions, and so does a
// good token as Basic where only Bearer works. So each of them counts here,
// whoever asked and whatever for:
//
//   - the primary repository refuses the token: 1, and when its kind was a guess,
//     the other kind is tried: 2
//   - Data Center refuses the token as Basic: 1
//   - another repository refuses it, or any of them to push, or the REST: 1 each
//   - a token may not see its own record at one of its possible owners: 1 each
//
// Source: https://confluence.atlassian.com/bitbucketserverkb/ ("How to configure
// CAPTCHA")
const mostFailures = 2

// Attempts are the answers of 401 that one secret may still draw. A request that
// presents it holds one while it is under way, so no two requests can spend the
// same one, and not more requests than attempts are left are under way. Safe for
// concurrent use.
type Attempts struct {
	free  chan struct{}
	spent atomic.Int32
	none  chan struct{} // closed when all are spent
}

// NewAttempts returns the attempts of a secret that nobody has presented yet.
func NewAttempts() *Attempts {
	a := &Attempts{free: make(chan struct{}, mostFailures), none: make(chan struct{})}
	for range mostFailures {
		a.free <- struct{}{}
	}
	return a
}

// Take waits for an attempt, which Settle ends. It fails with
// bitbucket.ErrNotAsked when none is left, and when the context ends.
func (a *Attempts) Take(ctx context.Context) error {
	if ctx.Err() != nil { // where an attempt is free too, select would toss a coin
		return ctx.Err()
	}
	select {
	case <-a.free:
		return nil
	case <-a.none:
		return bitbucket.ErrNotAsked
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Settle gives an attempt back, unless the answer, a 401, has spent it.
func (a *Attempts) Settle(unauthorized bool) {
	switch {
	case !unauthorized:
		a.free <- struct{}{}
	case a.spent.Add(1) == mostFailures:
		close(a.none)
	}
}
