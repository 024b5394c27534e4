package action

import (
	"context"
	"sync/atomic"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
)

// phases are the names that the progress of modes with one phase has.
var phases = map[reconcile.Mode]string{reconcile.Rotation: "Rotate", reconcile.Removal: "Destroy"}

// each does something for every part, at most abreast at the same time, as one phase whose
// progress counts entries.
func (r run) each(phase string, parts []*part, abreast int, do func(*part)) {
	entries := 0
	for _, p := range parts {
		entries += len(p.named)
	}
	step, end := r.on.Progress(phase, entries)
	defer end()
	forAll(parts, abreast, func(p *part) {
		one, rest := entrywise(step, len(p.named))
		defer rest()
		p.step = one
		do(p)
	})
}

// forAll does something for every element, at most abreast at the same time. A failure of
// one does not end the others.
func forAll[T any](list []T, abreast int, do func(T)) {
	working := group.New()
	working.SetLimit(abreast)
	for _, element := range list {
		working.Go(func() error { do(element); return nil })
	}
	_ = working.Wait()
}

// counted is a Bitbucket that counts its answers to clones.
type counted struct {
	preflight.Server
	step func()
}

func (c counted) Offer(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, wanted string) (bitbucket.Offer, error) {
	defer c.step()
	return c.Server.Offer(ctx, r, as, wanted)
}

// entrywise returns one, which counts an entry of a part, and rest, which counts all that
// are left. They never count more than entries: a plan that is made again meets some twice.
func entrywise(step func(), entries int) (one, rest func()) {
	var left atomic.Int64
	left.Store(int64(entries))
	one = func() {
		if left.Add(-1) >= 0 {
			step()
		}
	}
	return one, func() {
		for left.Load() > 0 {
			one()
		}
	}
}
