package reconcile

import (
	"context"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Share returns a function that makes Readers, one for each plan. Together they read the
// lists of r once, and single objects each time. A plan that lists the environments
// again wants to know what has changed, so it is told. What is read once ends with ctx,
// and not with the first who asks.
func Share(ctx context.Context, r Reader) func() Reader {
	s := &shared{
		Reader:       r,
		caller:       once(ctx, r.GetCaller),
		keys:         once(ctx, r.GetUploadKeys),
		secrets:      once(ctx, r.ListSecrets),
		environments: once(ctx, r.ListEnvironments),
		connected:    once(ctx, r.ListConnected),
		schedules:    map[warp.Owner]func() ([]warp.Schedule, error){},
		factories:    map[warp.Owner]func() ([]warp.Factory, error){},
		ctx:          ctx,
	}
	return func() Reader { return &sharing{shared: s} }
}

// sharing is the Reader of one plan.
type sharing struct {
	*shared
	listed bool
}

func (s *sharing) ListEnvironments(ctx context.Context) ([]warp.EnvironmentListing, error) {
	if s.listed {
		return s.Reader.ListEnvironments(ctx)
	}
	s.listed = true
	return s.environments()
}

type shared struct {
	Reader
	caller       func() (warp.Caller, error)
	keys         func() (warp.UploadKeys, error)
	secrets      func() ([]warp.Secret, error)
	environments func() ([]warp.EnvironmentListing, error)
	connected    func() ([]warp.Integration, error)

	mu        sync.Mutex
	schedules map[warp.Owner]func() ([]warp.Schedule, error)
	factories map[warp.Owner]func() ([]warp.Factory, error)
	ctx       context.Context // of the readings that are shared
}

func (s *shared) GetCaller(context.Context) (warp.Caller, error)         { return s.caller() }
func (s *shared) GetUploadKeys(context.Context) (warp.UploadKeys, error) { return s.keys() }
func (s *shared) ListSecrets(context.Context) ([]warp.Secret, error)     { return s.secrets() }

func (s *shared) ListConnected(context.Context) ([]warp.Integration, error) { return s.connected() }

func (s *shared) ListSchedules(_ context.Context, of warp.Owner) ([]warp.Schedule, error) {
	return onceFor(s, s.schedules, of, s.Reader.ListSchedules)()
}

func (s *shared) ListFactories(_ context.Context, of warp.Owner) ([]warp.Factory, error) {
	return onceFor(s, s.factories, of, s.Reader.ListFactories)()
}

// once reads a first time, and then says the same again.
func once[T any](ctx context.Context, read func(context.Context) (T, error)) func() (T, error) {
	return sync.OnceValues(func() (T, error) { return read(ctx) })
}

// onceFor is once for each owner.
func onceFor[T any](s *shared, known map[warp.Owner]func() (T, error), of warp.Owner, read func(context.Context, warp.Owner) (T, error)) func() (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known[of] == nil {
		known[of] = once(s.ctx, func(ctx context.Context) (T, error) { return read(ctx, of) })
	}
	return known[of]
}
