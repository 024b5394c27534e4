package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// ErrRaced marks an error after which the plan is out of date: someone else changed Oz
// at the same time. Observe and plan again.
var ErrRaced = errors.New("someone else changed Oz at the same time")

// Confirm judges, after a plan was applied, what another job did meanwhile. It
// fails with ErrRaced when an environment that the plan does not know read a
// secret after it was stored, or when a secret was written again before others
// could see that an environment of this plan reads it. So, of two jobs that
// overwrite one secret at the same time, at least one knows all of its readers. It is
// pure.
func (p Plan) Confirm(done Applied) error {
	if p.Mode != Provision && p.Mode != Rotation {
		return nil
	}
	if done.unseen != nil {
		return fmt.Errorf("check what others changed meanwhile: list environments: %w", done.unseen)
	}
	for i, s := range p.Secrets {
		if newcomer, found := p.newcomer(s, done); found {
			return fmt.Errorf("environment %s has begun to read secret %q: %w", newcomer, s.Name, ErrRaced)
		}
		for _, e := range done.Environments {
			if stamp := done.Secrets[i].Stamp; e.after != nil && stamp != "" && e.after.stamp(s.Credential) != stamp {
				return fmt.Errorf("secret %q was written again: %w", s.Name, ErrRaced)
			}
		}
	}
	return nil
}

// newcomer is an environment that reads the secret and is not known to the plan.
// One with the name and owner of a planned one is its twin: the job that made it
// deletes it.
func (p Plan) newcomer(s SecretPlan, done Applied) (credential.User, bool) {
	now := World{Listings: done.listings}
	for _, listing := range now.naming(s.Name, func(of warp.Owner) bool { return reaches(s.Owner, of, s.Hidden) }) {
		is := func(uid string) bool { return uid == listing.UID }
		isTwin := func(e EnvironmentPlan) bool { return e.Name == listing.Name && owns(e.Owner, listing.Owner) }
		isOurs := func(u credential.User) bool { return u.Name == listing.Name && owns(u.Owner, listing.Owner) }
		if !slices.ContainsFunc(s.readers, is) && !slices.ContainsFunc(p.Listing, isOurs) && !slices.ContainsFunc(p.Environments, isTwin) &&
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
	return World{Secrets: secrets}.stamp(s.Credential), named("list secrets", err)
}
