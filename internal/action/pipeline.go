package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/grace"
	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/seal"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
)

// run is one run of the pipeline with valid inputs, over one entry or, in an apply, over all
// entries that share a secret.
type run struct {
	job       config.Job
	entries   []config.Entry
	entry     config.Entry // the first of entries; read for what they have in common
	on        platform.Platform
	log       *slog.Logger
	oz        *warpapi.Client
	reader    reconcile.Reader  // of Oz, for plans
	share     *reconcile.Shared // what the Readers of several plans have in common
	bitbucket *bitbucketapi.API
	started   *atomic.Int64          // agents of smoke tests
	road      func() string          // the addresses that agents come from; asks Oz once
	wide      int                    // how many entries of a file a rotation's entry stands for
	slots     reconcile.Slots        // bound writes at the same time
	reads     []bitbucket.Repository // repositories of entry that need no push, whatever its RequireWrite
	listing   []credential.User      // environments of other parts of the job that list the secret
	twice     map[string]bool        // UIDs of environments that several entries name
	step      func()                 // counts an entry that is done; nil where there is only one

	// proved returns the proof of the token for the entries' own repositories, where other
	// parts of the job use the same token; nil: the run makes the proof itself.
	proved func() (preflight.Proof, error)
	ends   func() time.Time // when that token ends; asks at most once
}

// alone reports whether the run is over one entry. That entry's failure is then the run's.
func (r run) alone() bool { return len(r.entries) == 1 }

// entryOf returns the entry that an environment of a plan belongs to.
func (r run) entryOf(plan reconcile.Plan, environment int) config.Entry {
	if plan.Mode == reconcile.Provision {
		return r.entries[environment]
	}
	return r.entry
}

// any reports whether is holds for one of the entries.
func (r run) any(is func(config.Entry) bool) bool { return slices.ContainsFunc(r.entries, is) }

// work is the value that goes from stage to stage.
type work struct {
	report.Facts
	token reconcile.Token // to store
	proof preflight.Proof // of the token
	made  *minted         // the token, where this program made it
	ahead *ahead          // the proof that began before the plan was made; nil: it begins later
	shown bool            // the plan was shown
}

// all runs the stages in order, in every mode:
//
//	observe -> plan -> prove -> show -> write -> test -> settle
//
// A mode is a way to make a plan. A secret's value cannot be read back and has no second
// copy, so safety comes from the order: prove the token for every environment that reads the
// secret, overwrite once, prove the token again through Oz, and only then revoke what it
// replaced. Each step may be run again after a kill at any point.
//
// The facts hold what was reached; later fields are empty.
func (r run) all(ctx context.Context, f report.Facts) report.Facts {
	stopping, stop := grace.After(ctx, takeBack)
	defer stop()
	w := r.converge(ctx, work{Facts: f, token: reconcile.Token{Value: r.entry.Token, Expires: r.entry.TokenExpiresAt}})
	if w.Err == nil && !w.DryRun {
		w.Tests, w.Verdict = r.test(ctx, w)
		w = r.wire(r.rollBack(ctx, w), true)
	}
	return r.settle(ctx, stopping, w).Facts
}

// converge brings Oz to the state that the inputs ask for. When someone else wrote at the
// same time, it plans again.
func (r run) converge(ctx context.Context, w work) work {
	bounded, cancel := r.bounded(ctx)
	defer cancel()
	for try := 1; ; try++ {
		w = r.plan(bounded, w)
		for _, stage := range []func(context.Context, work) work{r.mint, r.prove, r.announce, r.write} {
			if w.Err == nil {
				w = stage(bounded, w)
			}
		}
		switch {
		case w.Err == nil:
			return w
		case try == tries || !errors.Is(w.Err, reconcile.ErrRaced):
			if !w.shown {
				r.warn(r.warnings()) // one of them may explain the error
			}
			if remedy := r.addressRemedy(ctx, w.Err); remedy != "" {
				w.Err = fmt.Errorf("%w\n%s", w.Err, remedy)
			}
			if r.alone() {
				w.Err = w.told(ctx, mode(r.job.Mode))
			}
			return w
		}
		r.log.Info(fmt.Sprintf("planning again: %v", w.Err))
	}
}

// bounded is a context that ends when the work on the run's entries takes too long.
func (r run) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := wholeTimeout + time.Duration(max(len(r.entries), r.wide)-1)*entryTimeout
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
}

// warnings returns those of all entries, each once.
func (r run) warnings() []string {
	var list []string
	for _, entry := range r.entries {
		list = appendNew(list, entry.Warnings)
	}
	return list
}

// patience is how long a check may go on after the other one has failed.
const patience = 2 * time.Second

// both joins the errors of two checks, without one that only says that its check was
// cancelled.
func both(refused, unread error) error {
	switch {
	case refused != nil && errors.Is(unread, context.Canceled):
		return refused
	case unread != nil && errors.Is(refused, context.Canceled):
		return unread
	}
	return errors.Join(refused, unread)
}

// tries bounds how often a plan is made because someone else wrote at the same time.
const tries = 3

// plan observes Oz and, at the same time, proves the token for the repositories that the
// inputs name. Then it plans.
func (r run) plan(ctx context.Context, w work) work {
	defer r.on.Group("Check")()
	var world reconcile.World
	w.proof, w.shown, w.ahead = preflight.Proof{}, false, r.goAhead(w.token.Value)
	within, stop := context.WithCancel(ctx)
	defer stop()
	reads := group.New()
	var note string
	var refused, unread error
	failed := func() { time.AfterFunc(patience, stop) } // the other check may have an error to report, too
	observed := make(chan struct{})
	whole := func(ctx context.Context) (reconcile.World, bool) {
		select {
		case <-observed:
			return world, unread == nil
		case <-ctx.Done():
			return reconcile.World{}, false
		}
	}
	if mode(r.job.Mode) == reconcile.Provision && r.entry.Flavor == bitbucket.DataCenter {
		reads.Go(func() error { note = r.roadNote(within); return nil })
	}
	if mode(r.job.Mode) == reconcile.Provision && r.provable(r.entry.Token) {
		reads.Go(func() error {
			also := r.asksWhenAll(r.entry.Token, r.entry.Primary(), whole, r.provesAll)
			if w.proof, refused = r.proveOwn(within, also); refused != nil {
				failed()
			}
			return nil
		})
	}
	lists := make(chan reconcile.World, 1)
	reads.Go(func() error { w.ahead.prove(within, lists, whole); return nil })
	reads.Go(func() error {
		defer close(observed)
		defer close(lists)
		listed := func(known reconcile.World) { lists <- known }
		if world, unread = reconcile.Observe(within, r.reader, mode(r.job.Mode), r.desired(preflight.Proof{}), listed); unread != nil {
			failed()
		}
		return nil
	})
	_ = reads.Wait() // each function keeps its own error
	err := both(refused, unread)
	w.Head = w.proof.Head()
	if w.Err = err; err != nil {
		return w
	}
	plan := reconcile.Diff(mode(r.job.Mode), r.desired(w.proof), world)
	plan.Listing = r.listing
	for _, note := range []string{note, r.authorityNote()} {
		if note != "" {
			plan.Notes = append(plan.Notes, note)
		}
	}
	w.Plan = &plan
	if w.Err = plan.Err(); !r.alone() {
		w.Err = r.judge(&plan, w.proof)
	}
	w.Err = cmp.Or(w.Err, r.refuseTwice(&plan))
	if w.Err == nil && plan.Mode == reconcile.Rotation {
		w.Err = r.refuseStrangers(plan)
	}
	return w
}

// provesAll reports whether a proof for the entries' own repositories is a proof for every
// environment that reads the secret.
func (r run) provesAll(world reconcile.World) bool {
	plan := reconcile.Diff(reconcile.Provision, r.desired(preflight.Proof{}), world)
	if plan.Err() != nil {
		return false
	}
	own := r.own()
	return !slices.ContainsFunc(r.needs(plan), func(need preflight.Demand) bool {
		return !slices.ContainsFunc(own, func(o preflight.Demand) bool { return o.Repository.Same(need.Repository) })
	})
}

// desired is what the entries ask for.
func (r run) desired(proof preflight.Proof) []reconcile.Desired {
	list := make([]reconcile.Desired, len(r.entries))
	for i, entry := range r.entries {
		list[i] = desired(r.job, entry, proof)
	}
	return list
}

// announce shows the plan, with what the proof found.
func (r run) announce(_ context.Context, w work) work {
	if w.shown { // before the token was made
		r.warn(r.learnt(w))
	}
	if w = r.learn(w); !w.shown {
		w = r.show(w)
	}
	return r.wire(w, false)
}

// learnt returns the warnings of the inputs and of the proof.
func (r run) learnt(w work) []string { return slices.Concat(r.warnings(), w.proof.Warnings) }

// learn adds the warnings and the expiry that became known after the plan was made.
func (r run) learn(w work) work {
	plan := *w.Plan
	plan.Warnings = slices.Concat(r.learnt(w), plan.Warnings)
	w.Plan = &plan
	if stored := w.Plan.Secrets; w.Expires.IsZero() && len(stored) > 0 && (w.DryRun || w.Plan.Mode == reconcile.Verification) {
		w.Expires = stored[0].Was.Expires
	}
	return w
}

// write carries the plan out, and checks what others wrote meanwhile.
func (r run) write(ctx context.Context, w work) work {
	if w.DryRun {
		return w
	}
	if w.Plan.AllFailed() { // the proof failed for each environment
		w.Err = errNoneLeft
		return w
	}
	if w.Plan.Mode != reconcile.Verification {
		defer r.on.Group("Apply")()
	}
	return r.confirm(w, r.applier().Apply(ctx, *w.Plan, []reconcile.Token{w.token}))
}

// confirm adds the plan's results, and judges what others wrote meanwhile.
func (r run) confirm(w work, done reconcile.Applied) work {
	w.Applied = done.After(w.Applied)
	err := w.Applied.Err()
	if !r.alone() && !errors.Is(err, reconcile.ErrRaced) {
		err = w.Applied.Secrets[0].Err // each entry keeps its own error
	}
	if err == nil {
		err = w.Plan.Confirm(w.Applied)
	}
	w.Err = err
	return w
}

// show prints the plan.
func (r run) show(w work) work {
	defer r.on.Group("Plan")()
	r.print(*w.Plan, report.PlanText(*w.Plan))
	w.shown = true
	return w
}

// print logs a plan in words, with its notes and warnings.
func (r run) print(plan reconcile.Plan, words []string) {
	for _, line := range words {
		r.log.Info(line)
	}
	for _, line := range report.CommandsText(plan) {
		r.log.Debug(line)
	}
	for _, note := range plan.Notes {
		r.log.Info("note: " + note)
	}
	r.warn(plan.Warnings)
}

func (r run) warn(warnings []string) { warn(r.log, warnings) }

func warn(log *slog.Logger, warnings []string) {
	for _, warning := range warnings {
		log.Warn(warning)
	}
}

func (r run) applier() reconcile.Applier {
	return reconcile.Applier{Reader: r.oz, Writer: r.oz, Seal: seal.RawValue, Log: r.log, Slots: r.slots, Limit: wholeTimeout, Step: r.step}
}

// rollBack writes the previous value back and tests it, when the token may be the reason why
// a rotation's smoke test did not pass. Without a previous value the new one stays, and the
// facts say so.
func (r run) rollBack(ctx context.Context, w work) work {
	previous := reconcile.Token{Value: r.job.Rotation.PreviousToken}
	switch {
	case w.Plan.Mode != reconcile.Rotation, w.Verdict.Result.IsGood():
		return w
	case !w.Verdict.Suspect:
		w.Stored = "the new value is stored"
		return w
	case previous.Value.IsEmpty():
		w.Stored = "the new value is stored; without previous_token there is nothing to write back"
		return w
	}
	r.log.Warn("writing the previous value back: " + w.Verdict.Reason)
	bounded, cancel := context.WithTimeout(ctx, wholeTimeout)
	defer cancel()
	end := r.on.Group("Roll back")
	stored := r.applier().Store(bounded, *w.Plan, w.Plan.Secrets[0], previous)
	end()
	if stored.Err != nil {
		w.Stored = "the new value is stored, unless the answer to writing the previous one back was lost"
		r.log.Error(stored.Err.Error())
		return w
	}
	w.token, w.RolledBack, w.Expires = previous, true, previous.Expires
	w.Stored = "the previous value is stored again"
	if _, again := r.test(ctx, w); again.Result != smoketest.Passed {
		w.Stored += fmt.Sprintf(", and its smoke test did not pass either (%s: %s)", again.Result, again.Reason)
	}
	return w
}
