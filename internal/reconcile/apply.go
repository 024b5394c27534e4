package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

const (
	// tries bounds how often a write is taken up again after a lost answer or a
	// lost race.
	tries = 5
	// grace is how long a write under way may take to finish when the program is
	// told to stop: less than the 7.5 s that GitHub leaves.
	grace = 5 * time.Second
)

// Applied is what was written, filled as far as Apply got. A change that was
// not made is empty.
type Applied struct {
	Secret          Change
	Environment     Change
	EnvironmentID   string
	EnvironmentName string
}

// Applier carries out plans.
type Applier struct {
	Reader Reader
	Writer Writer
	Seal   Sealer
	Log    *slog.Logger
}

// Apply writes the secret, then the environment that refers to it. After a
// lost answer it looks at what is there and goes on from that; after a lost race
// it merges again. Told to stop, it finishes the write under way and begins no
// other.
func (a Applier) Apply(ctx context.Context, p Plan, token sensitive.String) (Applied, error) {
	var done Applied
	if p.Environment.Change != Create {
		done.EnvironmentID, done.EnvironmentName = p.Environment.ID, p.Environment.Name
	}
	sealed, err := a.Seal(p.UploadKey, p.Caller.UID, p.Secret.Name, token)
	if err != nil {
		return done, fmt.Errorf("seal secret %q: %w", p.Secret.Name, err)
	}
	if done.Secret, err = a.storeSecret(ctx, p, sealed); err != nil {
		return done, err
	}
	a.Log.Info(fmt.Sprintf("secret %q: %s", p.Secret.Name, past(done.Secret)))

	written, change, err := a.storeEnvironment(ctx, p)
	if written.UID != "" {
		done.EnvironmentID, done.EnvironmentName = written.UID, written.Model.Name()
	}
	if err != nil {
		return done, err
	}
	done.Environment = change
	a.Log.Info(fmt.Sprintf("environment %q (%s): %s", done.EnvironmentName, done.EnvironmentID, past(change)))
	return done, nil
}

// storeSecret creates or rotates the secret. One that someone else has created
// meanwhile is rotated; one that was created by a request whose answer was lost
// is written once more, because nobody can read whose value it holds.
func (a Applier) storeSecret(ctx context.Context, p Plan, sealed warp.SealedSecret) (Change, error) {
	change, seen := p.Secret.Change, p.Secret.UpdatedAt
	description := Note{Rotated: p.At, Expires: p.desired.Expires}.in(p.Secret.description)
	created := false // perhaps, by us
	for try := 1; ; try++ {
		err := write(ctx, func(ctx context.Context) error {
			if change == Create {
				return a.Writer.CreateSecret(ctx, p.Owner, p.Secret.Name, description, sealed)
			}
			return a.Writer.UpdateSecret(ctx, p.Owner, p.Secret.Name, description, sealed)
		})
		if err == nil {
			if created {
				return Create, nil
			}
			return change, nil
		}
		err = fmt.Errorf("%s secret %q: %w", change, p.Secret.Name, err)
		lost := errors.Is(err, warp.ErrAnswerLost)
		if try == tries || !lost && !conflicting(err) {
			return "", err
		}
		a.Log.Info(fmt.Sprintf("looking at what is there: %v", err))
		secret, lookErr := a.FindSecret(ctx, p)
		if lookErr != nil {
			return "", fmt.Errorf("%w; looking for it afterwards: %w", err, lookErr)
		}
		switch {
		case secret == nil && (p.mustExist || !lost):
			return "", err
		case secret == nil:
			change = Create
		case change == Rotate && lost && secret.UpdatedAt != seen:
			return Rotate, nil
		case change == Rotate && !lost:
			return "", err
		default:
			created = change == Create && lost
			change, seen = Rotate, secret.UpdatedAt
		}
	}
}

// FindSecret returns the plan's secret as it is now, nil when there is none.
func (a Applier) FindSecret(ctx context.Context, p Plan) (*warp.Secret, error) {
	secrets, err := a.Reader.ListSecrets(ctx)
	for _, secret := range secrets {
		if secret.Name == p.Secret.Name && ownsSecret(p.Owner, secret.Owner) {
			return &secret, err
		}
	}
	return nil, err
}

// storeEnvironment creates, updates or keeps the environment and returns it as
// it is now.
func (a Applier) storeEnvironment(ctx context.Context, p Plan) (warp.Environment, Change, error) {
	e := p.Environment
	current := warp.Environment{UID: e.ID, Owner: p.Owner, Model: e.model, Revision: e.revision}
	switch e.Change {
	case Keep:
		return current, Keep, nil
	case Update:
		current, err := a.update(ctx, p.desired, current)
		return current, Update, err
	}
	return a.create(ctx, p)
}

// update writes the model that current carries if the environment still has
// the revision that current carries, and merges onto the newer object when not.
func (a Applier) update(ctx context.Context, d Desired, current warp.Environment) (warp.Environment, error) {
	for try := 1; ; try++ {
		var newer *warp.Environment
		err := write(ctx, func(ctx context.Context) (err error) {
			newer, err = a.Writer.UpdateEnvironment(ctx, current.UID, current.Revision, current.Model)
			return err
		})
		if err == nil && newer == nil {
			return current, nil
		}
		if err != nil {
			err = fmt.Errorf("update environment %s: %w", current.UID, err)
		} else {
			err = fmt.Errorf("update environment %s: someone else changed it at the same time", current.UID)
		}
		if try == tries || newer == nil && !errors.Is(err, warp.ErrAnswerLost) {
			return current, err
		}
		a.Log.Info(fmt.Sprintf("merging again: %v", err))
		if newer == nil {
			found, lookErr := a.Reader.GetEnvironment(ctx, current.UID)
			if lookErr != nil {
				return current, fmt.Errorf("%w; looking at it afterwards: %w", err, lookErr)
			}
			newer = &found
		}
		if newer.Trashed {
			return current, fmt.Errorf("%w: it is in the trash now", err)
		}
		merged, fields := edit(d, newer.Model)
		current.Model, current.Revision = merged, newer.Revision
		if len(fields) == 0 {
			return current, nil
		}
	}
}

// create creates the environment and then looks whether another job did the
// same at the same time: of several the oldest stays, and the one that this
// process has just created goes.
func (a Applier) create(ctx context.Context, p Plan) (warp.Environment, Change, error) {
	name := p.Environment.Name
	for try := 1; ; try++ {
		var own warp.Environment
		err := write(ctx, func(ctx context.Context) (err error) {
			own, err = a.Writer.CreateEnvironment(ctx, p.Owner, p.Environment.model)
			return err
		})
		if err != nil {
			err = fmt.Errorf("create environment %q: %w", name, err)
			if try == tries || !errors.Is(err, warp.ErrAnswerLost) && !conflicting(err) {
				return own, "", err
			}
			a.Log.Info(fmt.Sprintf("looking at what is there: %v", err))
		}
		oldest, lookErr := a.oldest(ctx, p, own)
		switch {
		case lookErr != nil && err != nil:
			return own, "", fmt.Errorf("%w; looking for it afterwards: %w", err, lookErr)
		case lookErr != nil:
			return own, Create, lookErr
		case oldest == own.UID && err == nil:
			return own, Create, nil
		case oldest == "" && errors.Is(err, warp.ErrAnswerLost):
			continue
		case oldest == "":
			return own, "", err
		}
		change := Create // by the request whose answer was lost, or by another job
		if own.UID != "" {
			a.Log.Warn(fmt.Sprintf("environment %s of the same name was created at the same time and is older: deleting %s, which this job has just created", oldest, own.UID))
			if err := a.deleteOwn(ctx, own.UID); err != nil {
				return own, Create, err
			}
			change = Update
		}
		current, err := a.settle(ctx, p.desired, oldest)
		return current, change, err
	}
}

// settle brings an environment that turned up meanwhile to the desired state.
func (a Applier) settle(ctx context.Context, d Desired, uid string) (warp.Environment, error) {
	current, err := a.Reader.GetEnvironment(ctx, uid)
	if err != nil {
		return warp.Environment{}, fmt.Errorf("get environment %s: %w", uid, err)
	}
	merged, fields := edit(d, current.Model)
	current.Model = merged
	if len(fields) == 0 {
		return current, nil
	}
	return a.update(ctx, d, current)
}

// oldest returns the ID of the oldest live environment of the desired name and
// owner, empty when there is none. Own, which this process has just created,
// counts even where the list does not show it yet; when it is unknown, several
// are ambiguous.
func (a Applier) oldest(ctx context.Context, p Plan, own warp.Environment) (string, error) {
	listings, err := a.Reader.ListEnvironments(ctx)
	if err != nil {
		return "", fmt.Errorf("list environments: %w", err)
	}
	found := find(listings, p.Owner, p.Environment.Name)
	if own.UID != "" && !slices.ContainsFunc(found, func(l warp.EnvironmentListing) bool { return l.UID == own.UID }) {
		found = append(found, warp.EnvironmentListing{UID: own.UID, LastUpdated: own.Revision})
	}
	if len(found) == 0 || len(found) == 1 && found[0].UID == own.UID {
		return own.UID, nil
	}
	slices.SortFunc(found, func(a, b warp.EnvironmentListing) int {
		return cmp.Or(moment(a).Compare(moment(b)), cmp.Compare(a.UID, b.UID))
	})
	uids := make([]string, len(found))
	for i, listing := range found {
		uids[i] = listing.UID
	}
	live, err := getCandidates(ctx, a.Reader, uids)
	if err != nil {
		return "", err
	}
	switch {
	case len(live) == 0:
		return own.UID, nil
	case own.UID == "" && len(live) > 1:
		return "", ambiguous(p.Environment.Name, live)
	}
	return live[0].UID, nil
}

// moment is when an environment last changed: for one that was just created,
// when that was. An unreadable time sorts first, so that ours is the one to go.
func moment(listing warp.EnvironmentListing) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, listing.LastUpdated)
	return at
}

// deleteOwn deletes an environment that this process has created.
func (a Applier) deleteOwn(ctx context.Context, uid string) error {
	for try := 1; ; try++ {
		err := write(ctx, func(ctx context.Context) error { return a.Writer.DeleteEnvironment(ctx, uid) })
		if err == nil {
			return nil
		}
		listings, lookErr := a.Reader.ListEnvironments(ctx)
		if lookErr == nil && !slices.ContainsFunc(listings, func(l warp.EnvironmentListing) bool { return l.UID == uid }) {
			return nil
		}
		if try == tries || !errors.Is(err, warp.ErrAnswerLost) {
			return fmt.Errorf("delete environment %s: %w", uid, err)
		}
	}
}

// conflicting reports whether Oz understood a write and refused it, which may
// mean that someone else was faster.
func conflicting(err error) bool {
	var refusal *warp.Refusal
	return errors.As(err, &refusal) && (refusal.Status == 200 || refusal.Status == 409)
}

// write makes one change. Told to stop, it begins nothing, and lets what is
// under way finish for the length of grace.
func write(ctx context.Context, change func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	under, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(under, func() { timer.Stop() })
	})()
	return change(under)
}

func past(c Change) string {
	switch c {
	case Create:
		return "created"
	case Update:
		return "updated"
	case Rotate:
		return "rotated"
	}
	return "kept"
}
