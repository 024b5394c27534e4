package reconcile

import (
	"context"
	"fmt"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Store creates or overwrites one secret. One that someone else has created
// meanwhile is not overwritten, because its readers are not known yet; the error then
// wraps ErrRaced.
//
// A write whose answer was lost is made again: the stored value cannot be read, and
// storing a value twice does no harm. When no later write succeeds, the error wraps
// warp.ErrAnswerLost, whatever came after.
func (a Applier) Store(ctx context.Context, p Plan, s SecretPlan, token Token) StoredSecret {
	sealed, err := a.Seal(s.key, p.Caller.UID, s.Name, token.Value)
	if err != nil {
		return StoredSecret{Err: fmt.Errorf("seal secret %q: %w", s.Name, err)}
	}
	write := secretWrite{Applier: a, plan: s, description: Note{p.At, token.Expires}.in(s.description), value: sealed}
	change, stamp, err := write.persist(ctx)
	if err = staysLost(err, write.lost); err == nil {
		a.Log.Info(fmt.Sprintf("secret %q: %s", s.Name, past(change)))
	}
	return StoredSecret{change, stamp, err}
}

// secretWrite is the write of one secret under way.
type secretWrite struct {
	Applier
	plan        SecretPlan
	description string
	value       warp.SealedSecret
	lost        bool // an answer to one of the tries
}

// persist writes until there is an answer.
func (w *secretWrite) persist(ctx context.Context) (change Change, stamp string, err error) {
	change = w.plan.Change
	created := false // perhaps, by a request of ours whose answer was lost
	for try := 1; ; try++ {
		err := write(ctx, func(ctx context.Context) (err error) {
			send := w.Writer.UpdateSecret
			if change == Create {
				send = w.Writer.CreateSecret
			}
			stamp, err = send(ctx, w.plan.Owner, w.plan.Name, w.description, w.value)
			return err
		})
		if err == nil && created {
			change = Create
		}
		if err == nil {
			return change, stamp, nil
		}
		err = fmt.Errorf("%s secret %q: %w", change, w.plan.Name, err)
		lost := isLost(err)
		w.lost = w.lost || lost
		if try == tries || !lost && !conflicting(err) {
			return "", "", err
		}
		w.Log.Info(fmt.Sprintf("reading what Oz holds now: %v", err))
		secret, lookErr := w.find(ctx)
		created = created || change == Create && lost
		switch {
		case lookErr != nil:
			return "", "", fmt.Errorf("%w; looking for it afterwards: %w", err, lookErr)
		case !lost && (secret == nil || change == Rotate):
			return "", "", err // refused, and not because of a race
		case secret == nil && w.plan.mustExist:
			return "", "", err
		case secret == nil:
			change = Create
		case change == Create && !created && secret.Type == warp.RawValue:
			return "", "", fmt.Errorf("%w: %w", err, ErrRaced)
		case secret.Type != warp.RawValue:
			return "", "", fmt.Errorf("%w: someone else has created it with the type %s, which cannot hold a token", err, secret.Type)
		default:
			change = Rotate
		}
	}
}

// find returns the secret as it is now, nil when there is none.
func (w *secretWrite) find(ctx context.Context) (*warp.Secret, error) {
	secrets, err := w.Reader.ListSecrets(ctx)
	return World{Secrets: secrets}.secret(w.plan.Owner, w.plan.Name), err
}
