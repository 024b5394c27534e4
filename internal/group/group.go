// Package group runs functions at the same time and waits for them, as x/sync's errgroup
// does. A panic in a function is repeated by Wait, in the goroutine that waits. Otherwise
// it would end the process at once, and Go would print its value, which may hold a secret.
package group

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Group is a set of running functions. New and WithContext make one.
type Group struct {
	inner    *errgroup.Group
	panicked atomic.Pointer[Panic]
}

// New returns a group whose functions do not end each other.
func New() *Group { return &Group{inner: new(errgroup.Group)} }

// WithContext returns a group, and a context that ends with the first error or panic, or
// when Wait returns.
func WithContext(ctx context.Context) (*Group, context.Context) {
	inner, within := errgroup.WithContext(ctx)
	return &Group{inner: inner}, within
}

// SetLimit bounds how many functions run at the same time. Call it before Go.
func (g *Group) SetLimit(n int) { g.inner.SetLimit(n) }

// Go runs a function. With a limit it waits until the function may start.
func (g *Group) Go(f func() error) {
	g.inner.Go(func() (err error) {
		defer func() {
			if value := recover(); value != nil {
				g.panicked.CompareAndSwap(nil, &Panic{value, callers()})
				err = errPanicked
			}
		}()
		return f()
	})
}

// Wait waits for every function. It returns the first error, or panics with a *Panic when
// a function has panicked.
func (g *Group) Wait() error {
	err := g.inner.Wait()
	if p := g.panicked.Load(); p != nil {
		panic(p)
	}
	return err
}

var errPanicked = errors.New("another function has panicked")

// Panic is a panic of a function, repeated by Wait.
type Panic struct {
	Value   any
	Callers []uintptr // call stack of the original panic, from runtime.Callers
}

// Error names the type of the value, never the value itself.
func (p *Panic) Error() string { return fmt.Sprintf("a panic with a %T", p.Value) }

// Unwrap is the value when it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

func callers() []uintptr {
	const own, deepest = 3, 40 // own frames: runtime.Callers, callers and the deferred function
	counters := make([]uintptr, deepest)
	return counters[:runtime.Callers(own, counters)]
}
