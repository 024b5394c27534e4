package bitbucketapi

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// mostFailures is how many answers of 401 one secret may draw in a job.
//
// A 401 may count as a failed login, and Data Center locks the owner out after a
// few of them, five by default. Which 401 does count cannot be told from outside:
// a known token without the permission gets one from some versions, and so does a
// good token as Basic where only Bearer works. So each of them counts here,
// whatever the request was for:
//
//   - the primary repository refuses the token: 1, and when its kind was a guess,
//     the other kind is tried: 2
//   - Data Center refuses the token as Basic: 1
//   - another repository refuses it, any repository refuses a push, or the REST API
//     refuses it: 1 each
//   - a token may not see its own record at one of its possible owners: 1 each
//
// The last two are optional: nothing depends on them, unless the inputs ask for
// pushes. Optional requests leave one attempt for later needs, such as where a branch
// is now.
//
// Source: https://confluence.atlassian.com/bitbucketserverkb/ ("How to configure
// CAPTCHA")
const mostFailures = 2

// mostOnCloud is how many requests may be under way once Cloud has accepted the secret.
// Cloud answers a known token that lacks a permission with 403 or 404, and documents no
// lock of accounts. When a token is revoked at that very moment, each request under way
// can draw a 401; after the second one no further request is sent.
//
// Source: https://confluence.atlassian.com/bbkb/error-403-when-performing-git-operations-1155479141.html
const mostOnCloud = 16

// mostAgain is how many questions may be under way beside those that hold an attempt, once
// Data Center has taken the secret. They are git's second requests, which ask for no more
// than the same address has just allowed, so no token that lives is refused there. One that
// is revoked at that very moment can draw as many answers of 401 as are under way, which is
// mostFailures more than this: fewer than the five that lock its owner out.
const mostAgain = 2

// Attempts are the answers of 401 that one secret may still draw. A request that
// presents the secret holds one attempt while it is under way. So no two requests can
// spend the same attempt. Until Widen or Trust, which follow when a server has taken the
// secret, no more requests are under way than attempts are left. Safe for concurrent use.
type Attempts struct {
	free  chan struct{}
	spare chan struct{} // one, for optional requests
	spent atomic.Int32
	last  chan struct{} // closed when one is left
	none  chan struct{} // closed when all are spent
	again chan struct{} // places of TakeAgain

	mu      sync.Mutex // of what follows
	extra   int        // requests that may be under way beyond the attempts left
	surplus int        // requests under way whose attempts are not given back
	trusted bool       // again was filled
}

// NewAttempts returns the attempts of a secret that nobody has presented yet.
func NewAttempts() *Attempts {
	a := &Attempts{free: make(chan struct{}, max(mostFailures, mostOnCloud)), spare: make(chan struct{}, 1), last: make(chan struct{}), none: make(chan struct{}), again: make(chan struct{}, mostAgain)}
	for range mostFailures {
		a.free <- struct{}{}
	}
	a.spare <- struct{}{}
	return a
}

// Take waits for an attempt, which Settle ends. Spare is true for an optional request:
// one of these at a time is under way, and they never get the last attempt. Take fails
// with bitbucket.ErrNotAsked when no attempt is left, and when the context ends.
func (a *Attempts) Take(ctx context.Context, spare bool) error {
	if !spare {
		return a.take(ctx)
	}
	select {
	case <-a.spare:
	case <-a.last:
		return bitbucket.ErrNotAsked
	case <-ctx.Done():
		return ctx.Err()
	}
	err := a.take(ctx)
	if err == nil && a.spent.Load() >= mostFailures-1 {
		a.free <- struct{}{}
		err = bitbucket.ErrNotAsked
	}
	if err != nil {
		a.spare <- struct{}{}
	}
	return err
}

func (a *Attempts) take(ctx context.Context) error {
	if ctx.Err() != nil { // select picks randomly when an attempt is free, too
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

// Widen lets more requests be under way than may be refused, because a server has accepted
// the secret. It returns how many may be under way: at most most, and after an answer of
// 401 no more than attempts are left, but at least one.
func (a *Attempts) Widen(most int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := mostFailures - int(a.spent.Load())
	if left < mostFailures {
		return max(1, left)
	}
	for ; a.extra < most-left; a.extra++ {
		a.free <- struct{}{}
	}
	return left + a.extra
}

// Trust lets some questions that ask for no more than was just allowed be under way without
// an attempt, because a server has taken the secret: until the first answer of 401.
func (a *Attempts) Trust() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trusted || a.spent.Load() > 0 {
		return
	}
	a.trusted = true
	for range mostAgain {
		a.again <- struct{}{}
	}
}

// TakeAgain is Take for a question that asks for no more than an answer has just allowed:
// it waits for a place that Trust has made, or for an attempt. Settle ends it.
func (a *Attempts) TakeAgain(ctx context.Context) (settle func(unauthorized bool), err error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	select {
	case <-a.again: // rather than an attempt, which others wait for
		return a.settleAgain, nil
	default:
	}
	select {
	case <-a.again:
		return a.settleAgain, nil
	case <-a.free:
		return func(unauthorized bool) { a.Settle(false, unauthorized) }, nil
	case <-a.none:
		return nil, bitbucket.ErrNotAsked
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// settleAgain gives a place back. An answer of 401 costs an attempt all the same.
func (a *Attempts) settleAgain(unauthorized bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case unauthorized:
		a.surplus++
		a.refused()
	case a.spent.Load() == 0:
		a.again <- struct{}{}
	}
}

// refused counts an answer of 401, after which nobody is trusted.
func (a *Attempts) refused() {
	a.narrow()
	switch a.spent.Add(1) {
	case mostFailures - 1:
		close(a.last)
	case mostFailures:
		close(a.none)
	}
}

// Settle gives an attempt back, unless the answer was a 401, which spends it. Spare is
// what Take was told.
func (a *Attempts) Settle(spare, unauthorized bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case unauthorized:
		a.refused()
	case a.surplus > 0:
		a.surplus--
	default:
		a.free <- struct{}{}
	}
	if spare {
		a.spare <- struct{}{}
	}
}

// narrow takes back the attempts and places that Widen and Trust have added: free ones at
// once, the others when they are settled.
func (a *Attempts) narrow() {
	for drained := false; !drained; {
		select {
		case <-a.again:
		default:
			drained = true
		}
	}
	a.surplus, a.extra = a.surplus+a.extra, 0
	for a.surplus > 0 {
		select {
		case <-a.free:
			a.surplus--
		default:
			return
		}
	}
}
