package preflight

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// mostFailures is how many answers of 401 one check may draw.
//
// A 401 may count as a failed login, and Data Center locks the token's owner out
// after a few of them, five by default. Which 401 does count cannot be told from
// outside: a known token without the permission gets one from some versions, and
// so does a good token as Basic where only Bearer works. So each of them counts
// here, wherever it comes from:
//
//   - the primary repository refuses the token: 1, and when its kind was a guess,
//     the other kind is tried: 2. Nothing else is asked.
//   - Data Center refuses the token as Basic: 1
//   - another repository refuses it, or any of them to push, or the REST: 1 each
//
// Source: https://confluence.atlassian.com/bitbucketserverkb/ ("How to configure
// CAPTCHA")
const mostFailures = 2

// errNotAsked stands for an answer when there was no chance left to get it.
var errNotAsked = errors.New("not asked, for the server had refused the token with 401 before")

// chances are the answers of 401 that a check may still draw. A request that
// presents the token holds a chance while it is under way, so no two requests
// can spend the same one, and not more requests than chances are under way.
type chances struct {
	free  chan struct{}
	spent atomic.Int32
	none  chan struct{} // closed when all are spent
}

func newChances() *chances {
	c := &chances{free: make(chan struct{}, mostFailures), none: make(chan struct{})}
	for range mostFailures {
		c.free <- struct{}{}
	}
	return c
}

// take waits for a chance. It fails with errNotAsked when none is left, and when
// the context ends.
func (c *chances) take(ctx context.Context) error {
	if ctx.Err() != nil { // where a chance is free too, select would toss a coin
		return ctx.Err()
	}
	select {
	case <-c.free:
		return nil
	case <-c.none:
		return errNotAsked
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle gives a chance back, unless the answer has spent it.
func (c *chances) settle(err error) {
	switch {
	case !isUnauthorized(err):
		c.free <- struct{}{}
	case c.spent.Add(1) == mostFailures:
		close(c.none)
	}
}

func isUnauthorized(err error) bool {
	var refused *bitbucket.Refusal
	return errors.As(err, &refused) && refused.Status == 401
}
