package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/grace"
	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

const (
	// tries bounds how often a write is tried after a lost answer or a
	// lost race.
	tries = 5
	// writeGrace is how long a write under way may take to finish when the program
	// is told to stop: less than the 7.5 s that GitHub leaves.
	writeGrace = 5 * time.Second
)

// Applied is what is known to be written, filled as far as Apply got, in the
// order of the plan. A change is empty when it was not made, or when it is not
// known whether it was.
type Applied struct {
	Secrets      []StoredSecret
	Environments []StoredEnvironment

	// What Confirm judges: the environments after the secrets were stored, or why
	// they could not be read.
	listings []warp.EnvironmentListing
	unseen   error
}

// StoredSecret is the result for one secret.
type StoredSecret struct {
	Change Change
	Stamp  string // the secret's UpdatedAt after this write; empty where Oz does not tell
	Err    error
}

// StoredEnvironment is the result for one environment.
type StoredEnvironment struct {
	Change    Change
	UID, Name string // of one that is known to exist, or to have existed
	Schedules []StoredSchedule
	Err       error

	after *World // the secrets, after a write since which its runs read ours; nil without one

	seen func(context.Context, Reader) StoredEnvironment // looks what others did, and goes on; nil: it has
}

// Err joins what went wrong, each error once.
func (a Applied) Err() error {
	var list []error
	for _, s := range a.Secrets {
		list = append(list, s.Err)
	}
	for _, e := range a.Environments {
		list = append(list, e.Failure())
	}
	return errors.Join(list...)
}

// Failure joins what went wrong with the environment and its schedules.
func (e StoredEnvironment) Failure() error {
	list := []error{e.Err}
	for _, s := range e.Schedules {
		list = append(list, s.Err)
	}
	return errors.Join(list...)
}

// Words say what was and what was not written before a failure, as the end of a
// message. With several entries they are about the first.
func (a Applied) Words(mode Mode) string {
	switch {
	case mode == Removal && len(a.Environments) > 0:
		return a.Environments[0].removalWords()
	case len(a.Secrets) == 0 || mode == Verification:
		return "nothing was written"
	}
	stored, lost := a.Secrets[0].Change != "", errors.Is(a.Err(), warp.ErrAnswerLost)
	switch {
	case mode == Rotation && stored:
		return "the new value is stored"
	case mode == Rotation && lost:
		return "it is not known which value is stored now; both work at Bitbucket; run again to converge"
	case mode == Rotation:
		return "the stored value is unchanged"
	case !stored && !lost:
		return "nothing was written"
	case !stored:
		return "nothing is known to be written; run again to converge"
	case len(a.Environments) == 0:
		return "the secret is written; run again to converge"
	case a.Environments[0].Change == "":
		return "the secret is written, but it is not known whether the environment is; run again to converge"
	}
	for _, s := range a.Environments[0].Schedules {
		switch {
		case isLost(s.Err):
			return fmt.Sprintf("the secret and environment %s are written, but it is not known whether its schedule is; run again to converge", a.Environments[0].UID)
		case s.Change == "":
			return fmt.Sprintf("the secret and environment %s are written, but its schedule is not", a.Environments[0].UID)
		}
	}
	return fmt.Sprintf("the secret is written, and environment %s too; run again to converge", a.Environments[0].UID)
}

// After is the result of two plans for the same entries with the same tokens: of first
// and then of this one. What the first plan created counts as created, and what it wrote
// stays written when this one fails. A rotation may have found more environments since;
// it writes none.
func (a Applied) After(first Applied) Applied {
	for i, s := range first.Secrets {
		switch now := &a.Secrets[i]; {
		case now.Change == "":
			now.Change, now.Stamp = s.Change, s.Stamp
		case s.Change == Create:
			now.Change = Create
		}
	}
	if len(first.Environments) != len(a.Environments) {
		return a
	}
	for i, e := range first.Environments {
		now := &a.Environments[i]
		if now.UID == "" {
			now.UID, now.Name = e.UID, e.Name
		}
		if now.UID == e.UID && e.Change != "" && (now.Change == "" || now.Change == Keep || e.Change == Create) {
			now.Change = e.Change
		}
		now.Schedules = schedulesAfter(now.Schedules, e.Schedules)
	}
	return a
}

// schedulesAfter are the schedules of an environment after two plans.
func schedulesAfter(now, first []StoredSchedule) []StoredSchedule {
	if len(now) == 0 {
		return first
	}
	for i, s := range first[:min(len(first), len(now))] {
		if now[i].ID == "" {
			now[i].ID, now[i].Name = s.ID, s.Name
		}
		if s.Change != "" && (now[i].Change == "" || now[i].Change == Keep || s.Change == Create) {
			now[i].Change = s.Change
		}
	}
	return now
}

// Applier carries out plans.
type Applier struct {
	Reader Reader
	Writer Writer
	Seal   Sealer
	Log    *slog.Logger
	Slots  Slots         // for the secrets and environments that are written at the same time
	Limit  time.Duration // how long one of them may take; 0: as long as the context

	// Step, unless nil, is called when the work on an environment is over, to count them.
	// The log then leaves out those that are kept.
	Step func()

	later bool // See looks for changes by others, after everything is written
}

// Slots bound how much is written at the same time by all appliers that share them. Nil
// sets no bound.
type Slots chan struct{}

// slot does something while it holds a slot, for as long as one thing may take.
func (a Applier) slot(ctx context.Context, do func(context.Context)) {
	if a.Slots != nil {
		a.Slots <- struct{}{}
		defer func() { <-a.Slots }()
	}
	if a.Limit > 0 {
		bounded, cancel := context.WithTimeoutCause(ctx, a.Limit, fmt.Errorf("it took longer than %s", a.Limit))
		defer cancel()
		ctx = bounded
	}
	do(ctx)
}

// Apply writes each secret once, then the environments that refer to them, each with its
// schedule; or it removes, in the opposite order. After
// a lost answer it looks at what is there and goes on from that; after a lost race
// it merges again. A failure ends only what depends on it: an environment whose secret
// was not stored is not written. Told to stop, it finishes the write under way and
// begins no other. Tokens are those of the plan's secrets, in their order. It also
// reads what Confirm judges.
func (a Applier) Apply(ctx context.Context, p Plan, tokens []Token) Applied {
	var listings []warp.EnvironmentListing
	var unseen error
	done := a.write(ctx, p, tokens, func(look *group.Group) { // for others
		look.Go(func() error {
			listings, unseen = a.Reader.ListEnvironments(ctx)
			return nil
		})
	})
	done.listings, done.unseen = listings, unseen
	return done
}

// Write is Apply without the look for changes by others. Call See after it, before you
// report the result: plans that are applied together share that look.
func (a Applier) Write(ctx context.Context, p Plan, tokens []Token) Applied {
	a.later = true
	return a.write(ctx, p, tokens, func(*group.Group) {})
}

// See looks for changes by others since Write, and finishes what depends on them: of an
// environment that was created twice it deletes one, and the other gets its schedules. The
// plans share what is read. Told to stop, it still looks.
func (a Applier) See(ctx context.Context, share *Shared, p Plan, done Applied) Applied {
	if p.Mode == Removal || p.Mode == Verification {
		return done
	}
	done.listings, done.unseen = share.New().ListEnvironments(ctx)
	finishing := group.New()
	for i, e := range done.Environments {
		if e.seen != nil {
			finishing.Go(func() error {
				a.slot(ctx, func(ctx context.Context) { done.Environments[i] = e.seen(ctx, share.New()) })
				return nil
			})
		}
	}
	_ = finishing.Wait() // the errors are in their places
	return done
}

// write carries out a plan. Once its secrets are stored, meanwhile adds work to do while
// the environments are written.
func (a Applier) write(ctx context.Context, p Plan, tokens []Token, meanwhile func(*group.Group)) Applied {
	done := Applied{Secrets: make([]StoredSecret, len(p.Secrets)), Environments: make([]StoredEnvironment, len(p.Environments))}
	switch p.Mode {
	case Removal:
		return a.remove(ctx, p, done)
	case Verification:
		return p.kept(done)
	}
	for i, s := range p.Secrets {
		a.slot(ctx, func(ctx context.Context) { done.Secrets[i] = a.Store(ctx, p, s, tokens[i]) })
	}
	writes := group.New()
	meanwhile(writes)
	for i, e := range p.Environments {
		stored := &done.Environments[i]
		if e.Change != Create {
			stored.UID, stored.Name = e.UID, e.Name
		}
		if e.Err == nil && done.Secrets[e.Secret].Err == nil {
			writes.Go(func() error {
				a.slot(ctx, func(ctx context.Context) { *stored = a.persist(ctx, p, e, *stored) })
				if a.Step != nil {
					a.Step()
				}
				return nil
			})
		}
	}
	_ = writes.Wait() // the errors are in their places
	return done
}

// persist writes one environment and its schedules.
func (a Applier) persist(ctx context.Context, p Plan, e EnvironmentPlan, stored StoredEnvironment) StoredEnvironment {
	write := environmentWrite{Applier: a, plan: e, reads: slices.Contains(p.Secrets[e.Secret].readers, e.UID)}
	written, change, err := write.persist(ctx)
	stored = write.stored(p, stored, written, change, err)
	if write.open == nil {
		return write.schedule(ctx, stored)
	}
	stored.seen = func(ctx context.Context, r Reader) StoredEnvironment {
		write.Reader, write.later = r, false
		looking, stop := grace.After(ctx, writeGrace)
		defer stop()
		seen, now, err := write.open(ctx, looking)
		write.Reader = a.Reader // a schedule is looked for among those of this moment
		if now != change || seen.UID != written.UID {
			stored = write.stored(p, stored, seen, now, err)
		}
		stored.seen, stored.Err, stored.after = nil, err, write.after
		return write.schedule(ctx, stored)
	}
	return stored
}

// stored is the result of the write, which it logs.
func (w *environmentWrite) stored(p Plan, stored StoredEnvironment, written warp.Environment, change Change, err error) StoredEnvironment {
	if written.UID != "" {
		stored.UID, stored.Name = written.UID, written.Model.Name()
	}
	stored.after = w.after
	if stored.Change, stored.Err = change, err; err == nil && p.Mode == Provision && (change != Keep || w.Step == nil) {
		w.Log.Info(fmt.Sprintf("environment %q (%s): %s", stored.Name, stored.UID, past(change)))
	}
	return stored
}

// schedule writes the schedules of an environment that was written.
func (w *environmentWrite) schedule(ctx context.Context, stored StoredEnvironment) StoredEnvironment {
	for _, s := range w.plan.Schedules {
		result := StoredSchedule{ID: s.ID, Name: s.Name}
		if stored.Err == nil {
			result = scheduleWrite{Applier: w.Applier, plan: w.plan, environment: stored.UID}.persist(ctx, s)
		}
		stored.Schedules = append(stored.Schedules, result)
	}
	return stored
}

// kept is the result of a plan that changes nothing.
func (p Plan) kept(done Applied) Applied {
	for i := range p.Secrets {
		done.Secrets[i].Change = Keep
	}
	for i, e := range p.Environments {
		done.Environments[i] = StoredEnvironment{Change: e.Change, UID: e.UID, Name: e.Name}
	}
	return done
}

// conflicting reports whether Oz understood a write and refused it, which may
// mean that someone else was faster.
func conflicting(err error) bool {
	var refusal *warp.Refusal
	return errors.As(err, &refusal) && (refusal.Status == 200 || refusal.Status == 409)
}

// isLost reports whether the result of a write is not known.
func isLost(err error) bool { return errors.Is(err, warp.ErrAnswerLost) }

// staysLost marks err as lost when the answer to an earlier try was lost: what is
// refused now may have happened then.
func staysLost(err error, lost bool) error {
	if err == nil || !lost || isLost(err) {
		return err
	}
	return fmt.Errorf("%w; an earlier try had no answer: %w", err, warp.ErrAnswerLost)
}

// write makes one change. Told to stop, it begins nothing, and lets what is
// under way finish for the length of writeGrace.
func write(ctx context.Context, change func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	under, cancel := grace.After(ctx, writeGrace)
	defer cancel()
	return change(under)
}

// until tries a change until it is answered. After a lost answer, and after a refusal,
// isDone reports whether Oz is in the desired state anyway: someone else may have been
// faster. What names the change in errors.
func (a Applier) until(ctx context.Context, what string, change func(context.Context) error, isDone func(lost bool) bool) error {
	lost := false // an answer
	for try := 1; ; try++ {
		err := write(ctx, change)
		if err == nil {
			return nil
		}
		lost = lost || isLost(err)
		if isDone(lost) {
			return nil
		}
		if err = fmt.Errorf("%s: %w%s", what, err, whyNot(err)); try == tries || !isLost(err) {
			return staysLost(err, lost)
		}
	}
}

func past(c Change) string {
	switch c {
	case Create:
		return "created"
	case Update:
		return "updated"
	case Rotate:
		return "rotated"
	case Delete:
		return "deleted"
	}
	return "kept"
}
