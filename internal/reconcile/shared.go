package reconcile

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Share returns what the Readers of a job's plans have in common; desired is what all the
// plans are about. Together they read the lists of r once, and the environments that they
// need in batches. An environment that the job leaves as the list shows it is not read
// again. The list does not tell what is in the trash: whether it shows that at all is not
// documented, and what it shows counts as live.
//
// A shared read ends with ctx, not with the context of the first plan that needs it.
func Share(ctx context.Context, r Reader, mode Mode, desired []Desired) *Shared {
	s := &Shared{
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
	s.objects = sync.OnceValue(func() map[string]warp.Answer { return s.read(ctx, mode, desired) })
	return s
}

// New returns the Reader of one plan. When a plan reads a second time, it wants to know
// what has changed, so the list is read again.
func (s *Shared) New() Reader { return &sharing{Shared: s} }

// Load reads what the plans need and returns when it is there. Each plan gets the errors
// that concern it.
func (s *Shared) Load() { s.objects() }

// sharing is the Reader of one plan.
type sharing struct {
	*Shared
	listed, read bool
}

func (s *sharing) ListEnvironments(ctx context.Context) ([]warp.EnvironmentListing, error) {
	if s.listed {
		return s.Reader.ListEnvironments(ctx)
	}
	s.listed = true
	return s.environments()
}

func (s *sharing) GetEnvironments(ctx context.Context, uids []string) []warp.Answer {
	if s.read {
		return s.Reader.GetEnvironments(ctx, uids)
	}
	s.read = true
	objects := s.objects()
	answers := make([]warp.Answer, len(uids))
	var missing []int
	var open []string
	for i, uid := range uids {
		var known bool
		if answers[i], known = objects[uid]; !known {
			missing, open = append(missing, i), append(open, uid)
		}
	}
	if len(open) > 0 {
		for i, answer := range s.Reader.GetEnvironments(ctx, open) {
			answers[missing[i]] = answer
		}
	}
	return answers
}

// Unmanaged are the listed environments of the owners of the plans' secrets that none of
// the plans is about. It reads nothing that was not read before.
func (s *Shared) Unmanaged(plans []Plan) []credential.User {
	listings, _ := s.environments() // without them there is no plan
	planned := map[string]bool{}
	var owners []warp.Owner
	for _, p := range plans {
		for _, e := range p.Environments {
			planned[e.UID] = true
		}
		for _, secret := range p.Secrets {
			if !slices.Contains(owners, secret.Owner) {
				owners = append(owners, secret.Owner)
			}
		}
	}
	var list []credential.User
	for _, l := range listings {
		if !planned[l.UID] && slices.ContainsFunc(owners, func(owner warp.Owner) bool { return owns(owner, l.Owner) }) {
			list = append(list, credential.User{UID: l.UID, Name: l.Name, Owner: l.Owner})
		}
	}
	return list
}

// read reads what the plans of a job need of single environments. Where a list is
// missing it reads nothing: each plan says why.
func (s *Shared) read(ctx context.Context, mode Mode, desired []Desired) map[string]warp.Answer {
	var w World
	var errs [3]error
	w.Caller, errs[0] = s.caller()
	w.Secrets, errs[1] = s.secrets()
	w.Listings, errs[2] = s.environments()
	if errors.Join(errs[:]...) != nil {
		return nil
	}
	known := map[string]warp.Answer{}
	if mode == Provision {
		known = w.asListed(desired)
	}
	var uids []string
	for _, o := range w.needed(mode, desired) {
		if _, enough := known[o.uid]; !enough {
			uids = append(uids, o.uid)
		}
	}
	for i, answer := range s.Reader.GetEnvironments(ctx, uids) {
		known[uids[i]] = answer
	}
	return known
}

// asListed are the environments that the entries leave as the list shows them. It leaves
// out those that an entry names by ID, those that share a name, and those for which the
// list lacks something that matters.
func (w World) asListed(desired []Desired) map[string]warp.Answer {
	type named struct {
		owner warp.Owner
		name  string
	}
	listings := map[named][]warp.EnvironmentListing{}
	for _, l := range w.Listings {
		listings[named{l.Owner, l.Name}] = append(listings[named{l.Owner, l.Name}], l)
	}
	same := map[string]warp.Answer{}
	for _, d := range desired {
		owner, err := ownerOf(w.Caller, d)
		found := listings[named{owner, d.EnvironmentName}]
		if err != nil || d.EnvironmentID != "" || len(found) != 1 {
			continue
		}
		l := found[0]
		if l.DockerImage == "" || l.SetupCommands == nil || l.Secrets == nil {
			continue
		}
		model := l.Model()
		if _, fields, err := edit(d, model); err == nil && len(fields) == 0 {
			same[l.UID] = warp.Answer{Environment: warp.Environment{UID: l.UID, Owner: l.Owner, Model: model}}
		}
	}
	for _, d := range desired {
		delete(same, d.EnvironmentID)
	}
	return same
}

// Shared is what the Readers of a job's plans have in common.
type Shared struct {
	Reader
	caller       func() (warp.Caller, error)
	keys         func() (warp.UploadKeys, error)
	secrets      func() ([]warp.Secret, error)
	environments func() ([]warp.EnvironmentListing, error)
	objects      func() map[string]warp.Answer
	connected    func() ([]warp.Integration, error)

	mu        sync.Mutex
	schedules map[warp.Owner]func() ([]warp.Schedule, error)
	factories map[warp.Owner]func() ([]warp.Factory, error)
	ctx       context.Context // of the readings that are shared
}

func (s *Shared) GetCaller(context.Context) (warp.Caller, error)         { return s.caller() }
func (s *Shared) GetUploadKeys(context.Context) (warp.UploadKeys, error) { return s.keys() }
func (s *Shared) ListSecrets(context.Context) ([]warp.Secret, error)     { return s.secrets() }

func (s *Shared) ListConnected(context.Context) ([]warp.Integration, error) { return s.connected() }

func (s *Shared) ListSchedules(_ context.Context, of warp.Owner) ([]warp.Schedule, error) {
	return onceFor(s, s.schedules, of, s.Reader.ListSchedules)()
}

func (s *Shared) ListFactories(_ context.Context, of warp.Owner) ([]warp.Factory, error) {
	return onceFor(s, s.factories, of, s.Reader.ListFactories)()
}

// once reads the first time, and returns the same result from then on.
func once[T any](ctx context.Context, read func(context.Context) (T, error)) func() (T, error) {
	return sync.OnceValues(func() (T, error) { return read(ctx) })
}

// onceFor is once for each owner.
func onceFor[T any](s *Shared, known map[warp.Owner]func() (T, error), of warp.Owner, read func(context.Context, warp.Owner) (T, error)) func() (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known[of] == nil {
		known[of] = once(s.ctx, func(ctx context.Context) (T, error) { return read(ctx, of) })
	}
	return known[of]
}
