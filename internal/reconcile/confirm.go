package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
)

// ErrRaced marks an error after which the plan is out of date: someone else was at
// work at the same time. Observe and plan again.
var ErrRaced = errors.New("someone else was at work at the same time")

// Confirm looks, after a plan was applied, for what another job did meanwhile. It
// fails with ErrRaced when an environment that the plan does not know reads a
// secret now, or when a secret was written again before an environment that this
// plan created could be seen. Of two jobs that overwrite one secret at once, so,
// the later one knows of everyone who reads it. Only reads.
func (a Applier) Confirm(ctx context.Context, p Plan, done Applied) error {
	var now World
	reads, within := errgroup.WithContext(ctx)
	reads.Go(func() (err error) {
		now.Secrets, err = a.Reader.ListSecrets(within)
		return named("list secrets", err)
	})
	reads.Go(func() (err error) {
		now.Listings, err = a.Reader.ListEnvironments(within)
		return named("list environments", err)
	})
	if err := reads.Wait(); err != nil {
		return fmt.Errorf("look for what others did meanwhile: %w", err)
	}
	for i, s := range p.Secrets {
		if newcomer, found := p.newcomer(now, s, done); found {
			return fmt.Errorf("environment %s has begun to read secret %q: %w", newcomer, s.Name, ErrRaced)
		}
		created := slices.ContainsFunc(done.Environments, func(e StoredEnvironment) bool { return e.Change == Create })
		if stamp := done.Secrets[i].Stamp; created && stamp != "" && now.stamp(s.Credential) != stamp {
			return fmt.Errorf("secret %q was written again: %w", s.Name, ErrRaced)
		}
	}
	return nil
}

// newcomer is an environment that reads the secret now and is not known to the
// plan. One with the name and owner of a planned one is its twin, which its maker
// deletes.
func (p Plan) newcomer(now World, s SecretPlan, done Applied) (credential.User, bool) {
	for _, listing := range now.readers(s.Owner, s.Name) {
		is := func(uid string) bool { return uid == listing.UID }
		isTwin := func(e EnvironmentPlan) bool { return e.Name == listing.Name && owns(e.Owner, listing.Owner) }
		if !slices.ContainsFunc(s.readers, is) && !slices.ContainsFunc(p.Environments, isTwin) &&
			!slices.ContainsFunc(done.Environments, func(e StoredEnvironment) bool { return is(e.UID) }) {
			return credential.User{UID: listing.UID, Name: listing.Name}, true
		}
	}
	return credential.User{}, false
}

// stamp is when a secret was last written, empty when it is gone.
func (w World) stamp(c credential.Credential) string {
	if secret := w.secret(c.Owner, c.Name); secret != nil {
		return secret.UpdatedAt
	}
	return ""
}

// Stamp is when the plan's secret was last written, empty when it is gone.
func (a Applier) Stamp(ctx context.Context, s SecretPlan) (string, error) {
	secrets, err := a.Reader.ListSecrets(ctx)
	return World{Secrets: secrets}.stamp(s.Credential), err
}
