package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/grace"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

const (
	// tries bounds how often a write is taken up again after a lost answer or a
	// lost race.
	tries = 5
	// writeGrace is how long a write under way may take to finish when the program
	// is told to stop: less than the 7.5 s that GitHub leaves.
	writeGrace = 5 * time.Second
)

// Applied is what is known to be written, filled as far as Apply got. A change
// that was not made, or of which nobody knows whether it was, is empty.
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

	var written warp.Environment
	written, done.Environment, err = a.storeEnvironment(ctx, p)
	if written.UID != "" {
		done.EnvironmentID, done.EnvironmentName = written.UID, written.Model.Name()
	}
	if err != nil {
		return done, err
	}
	a.Log.Info(fmt.Sprintf("environment %q (%s): %s", done.EnvironmentName, done.EnvironmentID, past(done.Environment)))
	return done, nil
}

// conflicting reports whether Oz understood a write and refused it, which may
// mean that someone else was faster.
func conflicting(err error) bool {
	var refusal *warp.Refusal
	return errors.As(err, &refusal) && (refusal.Status == 200 || refusal.Status == 409)
}

// isLost reports whether nobody knows what came of a write.
func isLost(err error) bool { return errors.Is(err, warp.ErrAnswerLost) }

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
