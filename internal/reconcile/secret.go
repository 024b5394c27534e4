package reconcile

import (
	"context"
	"fmt"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// storeSecret creates or rotates the secret. One that someone else has created
// meanwhile is rotated; one that was created by a request whose answer was lost
// is written once more, because nobody can read whose value it holds.
func (a Applier) storeSecret(ctx context.Context, p Plan, sealed warp.SealedSecret) (Change, error) {
	change, seen := p.Secret.Change, p.Secret.UpdatedAt
	description := Note{Rotated: p.At, Expires: p.desired.Expires}.in(p.Secret.description)
	created := false // perhaps, by a request of ours whose answer was lost
	for try := 1; ; try++ {
		err := write(ctx, func(ctx context.Context) error {
			if change == Create {
				return a.Writer.CreateSecret(ctx, p.Owner, p.Secret.Name, description, sealed)
			}
			return a.Writer.UpdateSecret(ctx, p.Owner, p.Secret.Name, description, sealed)
		})
		if err == nil && created {
			return Create, nil
		}
		if err == nil {
			return change, nil
		}
		lost := isLost(err)
		err = fmt.Errorf("%s secret %q: %w", change, p.Secret.Name, err)
		if try == tries || !lost && !conflicting(err) {
			return "", err
		}
		a.Log.Info(fmt.Sprintf("looking at what is there: %v", err))
		secret, lookErr := a.FindSecret(ctx, p)
		created = created || change == Create && lost
		switch {
		case lookErr != nil:
			return "", fmt.Errorf("%w; looking for it afterwards: %w", err, lookErr)
		case !lost && (secret == nil || change == Rotate):
			return "", err // refused, and not because of a race
		case secret == nil && p.mustExist:
			return "", err
		case secret == nil:
			change = Create
		case secret.Type != warp.RawValue:
			return "", fmt.Errorf("%w: someone else has created it with the type %s, which cannot hold a token", err, secret.Type)
		case change == Rotate && secret.UpdatedAt != seen:
			if created {
				return Create, nil
			}
			return Rotate, nil
		default:
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
