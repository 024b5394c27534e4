package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// environmentWrite is the write of one environment under way.
type environmentWrite struct {
	Applier
	plan  EnvironmentPlan
	reads bool   // its runs read the secret before
	after *World // the secrets, read after the write that made its runs read ours; nil without one

	// open looks for changes by others and returns the environment after them; nil: that
	// was done already, or nothing depends on it.
	open looking
}

// looking looks for changes by others until its second context ends. Until then it may also
// delete what this process has just created; other writes begin only under the first one.
type looking func(ctx, longer context.Context) (warp.Environment, Change, error)

// persist creates, updates or keeps the environment and returns it as it is now,
// and what this process is known to have done to it.
func (w *environmentWrite) persist(ctx context.Context) (warp.Environment, Change, error) {
	e := w.plan
	current := warp.Environment{UID: e.UID, Owner: e.Owner, Model: e.model, Revision: e.revision}
	switch e.Change {
	case Keep:
		return current, Keep, nil
	case Update:
		updated, change, err := w.bring(ctx, current)
		if err != nil || w.reads {
			return updated, change, err
		}
		return w.see(ctx, updated, change, func(_, longer context.Context) (warp.Environment, Change, error) {
			return updated, change, w.look(longer)
		})
	}
	return w.create(ctx)
}

// bring brings an environment to the desired state. One that was planned from the list is
// read first: the list lacks the rest of the model, and its revision.
func (w *environmentWrite) bring(ctx context.Context, current warp.Environment) (warp.Environment, Change, error) {
	if current.Revision != "" {
		return w.update(ctx, w.plan.desired, current)
	}
	whole, err := w.Reader.GetEnvironment(ctx, current.UID)
	if err == nil && whole.Trashed {
		err = errors.New("it is in the trash now")
	}
	if err != nil {
		return current, "", fmt.Errorf("update environment %s: %w", current.UID, err)
	}
	return w.settle(ctx, w.plan.desired, whole)
}

// see looks for changes by others, now or later; until then the environment counts as
// it was written.
func (w *environmentWrite) see(ctx context.Context, written warp.Environment, change Change, look looking) (warp.Environment, Change, error) {
	if w.later {
		w.open = look
		return written, change, nil
	}
	return look(ctx, ctx)
}

// look reads the secrets for Confirm.
func (w *environmentWrite) look(ctx context.Context) error {
	secrets, err := w.Reader.ListSecrets(ctx)
	w.after = &World{Secrets: secrets}
	return named("list secrets", err)
}

// update writes the model that current carries if the environment still has
// the revision that current carries; if not, it merges onto the newer object.
// It keeps an environment that someone else has brought to the desired state.
func (a Applier) update(ctx context.Context, d Desired, current warp.Environment) (warp.Environment, Change, error) {
	lost := false // an answer; so a newer object may be our own
	for try := 1; ; try++ {
		var newer *warp.Environment
		err := write(ctx, func(ctx context.Context) (err error) {
			newer, err = a.Writer.UpdateEnvironment(ctx, current.UID, current.Revision, current.Model)
			return err
		})
		switch {
		case err == nil && newer == nil:
			return current, Update, nil
		case err == nil:
			err = fmt.Errorf("update environment %s: someone else changed it at the same time", current.UID)
		case isLost(err):
			lost, newer = true, nil
			err = fmt.Errorf("update environment %s: %w", current.UID, err)
		default:
			return current, "", staysLost(fmt.Errorf("update environment %s: %w", current.UID, err), lost)
		}
		if try == tries {
			return current, "", staysLost(err, lost)
		}
		a.Log.Info(fmt.Sprintf("merging again: %v", err))
		if newer == nil {
			found, lookErr := a.Reader.GetEnvironment(ctx, current.UID)
			if lookErr != nil {
				return current, "", fmt.Errorf("%w; looking at it afterwards: %w", err, lookErr)
			}
			newer = &found
		}
		if newer.Trashed {
			return current, "", staysLost(fmt.Errorf("%w: it is in the trash now", err), lost)
		}
		merged, fields, editErr := edit(d, newer.Model)
		if editErr != nil {
			return current, "", fmt.Errorf("%w: it has changed since: %w", err, editErr)
		}
		current.Model, current.Revision = merged, newer.Revision
		switch {
		case len(fields) == 0 && lost:
			return current, Update, nil
		case len(fields) == 0:
			return current, Keep, nil
		}
	}
}

// create creates the environment and then looks whether another job did the
// same at the same time: of several the oldest stays, and the one that this
// process has just created goes.
func (w *environmentWrite) create(ctx context.Context) (warp.Environment, Change, error) {
	e := w.plan
	lost := false // an answer; so an environment that turns up may be our own
	for try := 1; ; try++ {
		var own warp.Environment
		err := write(ctx, func(ctx context.Context) (err error) {
			own, err = w.Writer.CreateEnvironment(ctx, e.Owner, e.model)
			return err
		})
		if err == nil {
			return w.see(ctx, own, Create, func(ctx, longer context.Context) (warp.Environment, Change, error) {
				return w.yield(ctx, longer, own)
			})
		}
		err = fmt.Errorf("create environment %q: %w", e.Name, err)
		lost = lost || isLost(err)
		if try == tries || !isLost(err) && !conflicting(err) {
			return warp.Environment{}, "", staysLost(err, lost)
		}
		w.Log.Info(fmt.Sprintf("reading what Oz holds now: %v", err))
		live, lookErr := w.rivals(ctx, e, warp.Environment{})
		switch {
		case lookErr != nil:
			return warp.Environment{}, "", fmt.Errorf("%w; looking for it afterwards: %w", err, lookErr)
		case len(live) > 1:
			return warp.Environment{}, "", ambiguous(e.Name, uids(live))
		case len(live) == 1:
			current, change, err := w.settle(ctx, e.desired, live[0].Environment)
			if lost && err == nil {
				change = Create // by the request whose answer was lost
			}
			return current, change, err
		case !isLost(err):
			return warp.Environment{}, "", staysLost(err, lost)
		}
	}
}

// yield keeps the environment that this process has just created if none of
// its rivals is older; else it deletes it and settles on the oldest. The job that made
// that one looks at the secrets at the same time.
func (w *environmentWrite) yield(ctx, longer context.Context, own warp.Environment) (warp.Environment, Change, error) {
	var live []rival
	reads, within := group.WithContext(longer)
	reads.Go(func() (err error) { live, err = w.rivals(within, w.plan, own); return err })
	reads.Go(func() error { return w.look(within) })
	if err := reads.Wait(); err != nil {
		return own, Create, err
	}
	oldest := live[0].Environment
	if oldest.UID == own.UID {
		return own, Create, nil
	}
	w.after = nil
	w.Log.Warn(fmt.Sprintf("environment %s of the same name was created at the same time and is older: deleting %s, which this job has just created", oldest.UID, own.UID))
	if err := w.deleteEnvironment(longer, own.UID); err != nil {
		return own, Create, fmt.Errorf("%w; environment %s of the same name is older and stays", err, oldest.UID)
	}
	return w.settle(ctx, w.plan.desired, oldest)
}

// settle brings an environment that turned up meanwhile to the desired state.
func (a Applier) settle(ctx context.Context, d Desired, current warp.Environment) (warp.Environment, Change, error) {
	merged, fields, err := edit(d, current.Model)
	if err != nil {
		return current, "", fmt.Errorf("environment %s: %w", current.UID, err)
	}
	if current.Model = merged; len(fields) == 0 {
		return current, Keep, nil
	}
	return a.update(ctx, d, current)
}

// deleteEnvironment deletes an environment. It is not an error when it is gone already.
func (a Applier) deleteEnvironment(ctx context.Context, uid string) error {
	return a.until(ctx, "delete environment "+uid,
		func(ctx context.Context) error { return a.Writer.DeleteEnvironment(ctx, uid) },
		func(lost bool) bool { return a.hasGone(ctx, uid, lost) })
}

// hasGone reports whether an environment is deleted: it is not listed and cannot be read.
// After a delete of ours whose answer was lost, not being listed is enough. A list may lag
// behind.
func (a Applier) hasGone(ctx context.Context, uid string, lost bool) bool {
	listings, err := a.Reader.ListEnvironments(ctx)
	if err != nil || slices.ContainsFunc(listings, func(l warp.EnvironmentListing) bool { return l.UID == uid }) {
		return false
	}
	if lost {
		return true
	}
	_, err = a.Reader.GetEnvironment(ctx, uid)
	return conflicting(err)
}

// rival is a live environment of the desired name and owner.
type rival struct {
	warp.Environment
	changed time.Time // of one that was just created: the time of its creation
}

// rivals are the live environments of the desired name and owner, the oldest
// first, and those of one age in the same order for every process. Own, which
// this process has just created, counts even where the list does not show it
// yet, and is not read.
func (a Applier) rivals(ctx context.Context, e EnvironmentPlan, own warp.Environment) ([]rival, error) {
	for try := 1; ; try++ {
		listings, err := a.Reader.ListEnvironments(ctx)
		if err != nil {
			return nil, fmt.Errorf("list environments: %w", err)
		}
		found := find(listings, e.Owner, e.Name)
		if own.UID != "" && !slices.ContainsFunc(found, func(l warp.EnvironmentListing) bool { return l.UID == own.UID }) {
			found = append(found, warp.EnvironmentListing{UID: own.UID, LastUpdated: own.Revision})
		}
		live, err := a.live(ctx, found, own)
		// Another job may delete its own between the list and the look.
		if err == nil || try == tries || !conflicting(err) {
			return live, err
		}
	}
}

// live reads what was listed and drops what is in the trash.
func (a Applier) live(ctx context.Context, found []warp.EnvironmentListing, own warp.Environment) ([]rival, error) {
	var live []rival
	for _, listing := range found {
		e := own
		if listing.UID != own.UID {
			var err error
			if e, err = a.Reader.GetEnvironment(ctx, listing.UID); err != nil {
				return nil, fmt.Errorf("get environment %s: %w", listing.UID, err)
			}
		}
		if listing.UID == own.UID || !e.Trashed {
			changed, _ := time.Parse(time.RFC3339Nano, listing.LastUpdated) // what cannot be read counts as older than ours
			live = append(live, rival{e, changed})
		}
	}
	slices.SortFunc(live, func(a, b rival) int {
		return cmp.Or(a.changed.Compare(b.changed), cmp.Compare(a.UID, b.UID))
	})
	return live, nil
}

func uids(found []rival) []string {
	list := make([]string, len(found))
	for i, e := range found {
		list[i] = e.UID
	}
	return list
}
