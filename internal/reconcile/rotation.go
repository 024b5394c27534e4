package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// ObserveUsers reads everything that a rotation depends on: the caller, the
// key, the secret, and the live environments whose runs can read the secret and
// that name it, in their list of secrets or, as uses tells, in their setup
// commands. Uses must be pure. Only reads.
func ObserveUsers(ctx context.Context, r Reader, d Desired, uses func(setupCommands []string) bool) (Observed, error) {
	o, lists, err := observeLists(ctx, r, d)
	if err != nil {
		return o, err
	}
	var users []string
	for _, listing := range lists.environments {
		if reaches(o.Owner, listing.Owner, o.Personal) && (slices.Contains(listing.Secrets, d.SecretName) || uses(listing.SetupCommands)) {
			users = append(users, listing.UID)
		}
	}
	o.Environments, err = getLive(ctx, r, users)
	return o, err
}

// abreast bounds how many environments are read at the same time: a rotation
// may reach hundreds.
const abreast = 16

// getLive reads whole environments without those in the trash.
func getLive(ctx context.Context, r Reader, uids []string) ([]Candidate, error) {
	found := make([]Candidate, len(uids))
	reads, within := errgroup.WithContext(ctx)
	reads.SetLimit(abreast)
	for i, uid := range uids {
		reads.Go(func() (err error) {
			found[i].Environment, err = r.GetEnvironment(within, uid)
			return named(fmt.Sprintf("get environment %s", uid), err)
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(c Candidate) bool { return c.Trashed }), nil
}

// reaches reports whether runs in an environment can read a secret of the
// owner: in the owner's own, and a team's secret in the caller's personal ones
// too, unless a personal secret of the same name hides it.
func reaches(owner, environment warp.Owner, hidden bool) bool {
	return owns(owner, environment) || owner.Type == warp.TeamOwner && environment.Type == warp.UserOwner && !hidden
}

// DiffRotation plans to overwrite the secret's value once, and names the
// environments that use it. It is pure. It fails where there is no such secret:
// rotation never creates one.
func DiffRotation(d Desired, o Observed) (Plan, error) {
	plan, err := planSecret(d, o)
	switch {
	case err != nil:
		return plan, err
	case o.Secret == nil:
		return plan, fmt.Errorf("secret %q does not exist for this owner (%s), and rotation creates none; check secret_name, scope and team, or run apply first", d.SecretName, ownerWords(o.Owner))
	}
	plan.mustExist = true
	plan.Users = o.Environments
	if len(plan.Users) == 0 {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("no environment uses secret %q", d.SecretName))
	}
	return plan, nil
}

// Rotate overwrites the secret's value once, with a token that ends at a time,
// zero for unknown. It never creates the secret.
func (a Applier) Rotate(ctx context.Context, p Plan, token sensitive.String, expires time.Time) (Change, error) {
	p.desired.Expires = expires
	sealed, err := a.Seal(p.UploadKey, p.Caller.UID, p.Secret.Name, token)
	if err != nil {
		return "", fmt.Errorf("seal secret %q: %w", p.Secret.Name, err)
	}
	change, err := a.storeSecret(ctx, p, sealed)
	if err != nil {
		return change, err
	}
	a.Log.Info(fmt.Sprintf("secret %q: %s", p.Secret.Name, past(change)))
	return change, nil
}
