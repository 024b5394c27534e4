package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// lists are the lists of everything that the caller can see.
type lists struct {
	secrets      []warp.Secret
	environments []warp.EnvironmentListing
}

// Observe reads everything that a plan depends on, in two round trips: first
// the caller, the keys and the lists, together; then the candidates and the
// integrations that use them. Only reads.
func Observe(ctx context.Context, r Reader, d Desired) (Observed, error) {
	o, lists, err := observeLists(ctx, r, d)
	if err != nil {
		return o, err
	}
	if d.EnvironmentID == "" {
		o.Environments, err = namesakes(ctx, r, o.Owner, d.EnvironmentName, lists.environments)
		return o, err
	}
	uids := []string{d.EnvironmentID}
	for _, listing := range find(lists.environments, o.Owner, d.EnvironmentName) {
		if listing.UID != d.EnvironmentID {
			uids = append(uids, listing.UID)
		}
	}
	o.Environments, err = getCandidates(ctx, r, uids)
	o.Environments, o.Namesakes = separate(o.Environments, d.EnvironmentID)
	return o, err
}

// settling is how long jobs that started together may take until all but one of
// the environments that they created are gone.
const settling = 2 * time.Second

// namesakes reads the owner's environments of a name. Where there are several,
// or one goes while it is read, it looks again a little later.
func namesakes(ctx context.Context, r Reader, owner warp.Owner, name string, listings []warp.EnvironmentListing) ([]Candidate, error) {
	for looked := false; ; looked = true {
		var uids []string
		for _, listing := range find(listings, owner, name) {
			uids = append(uids, listing.UID)
		}
		found, err := getCandidates(ctx, r, uids)
		if unsettled := len(found) > 1 || err != nil && conflicting(err); looked || !unsettled {
			return found, err
		}
		select {
		case <-time.After(settling):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if listings, err = r.ListEnvironments(ctx); err != nil {
			return nil, named("list environments", err)
		}
	}
}

// observeLists is the first round trip.
func observeLists(ctx context.Context, r Reader, d Desired) (Observed, lists, error) {
	var (
		caller warp.Caller
		keys   warp.UploadKeys
		all    lists
	)
	reads, within := errgroup.WithContext(ctx)
	reads.Go(func() (err error) { caller, err = r.GetCaller(within); return named("look up the caller", err) })
	reads.Go(func() (err error) { keys, err = r.GetUploadKeys(within); return named("look up the upload keys", err) })
	reads.Go(func() (err error) { all.secrets, err = r.ListSecrets(within); return named("list secrets", err) })
	reads.Go(func() (err error) {
		all.environments, err = r.ListEnvironments(within)
		return named("list environments", err)
	})
	if err := reads.Wait(); err != nil {
		return Observed{}, all, err
	}
	owner, err := ownerOf(caller, d)
	if err != nil {
		return Observed{Caller: caller}, all, err
	}
	o := Observed{At: time.Now(), Caller: caller, Owner: owner, UploadKey: keys.For(owner)}
	for _, secret := range all.secrets {
		ours := ownsSecret(owner, secret.Owner)
		switch {
		case ours && secret.Name == d.SecretName:
			o.Secret = &secret
		case ours:
			o.OtherSecrets = append(o.OtherSecrets, secret.Name)
		case secret.Name == d.SecretName && secret.Owner.Type == warp.UserOwner:
			o.Personal = true
		}
	}
	return o, all, nil
}

// separate takes the environment of this ID from among the others.
func separate(found []Candidate, uid string) (one []Candidate, others []string) {
	for _, candidate := range found {
		if candidate.UID == uid {
			one = append(one, candidate)
		} else {
			others = append(others, candidate.UID)
		}
	}
	return one, others
}

// ownerOf decides who owns the secret and the environment.
func ownerOf(caller warp.Caller, d Desired) (warp.Owner, error) {
	if d.Scope == warp.UserOwner {
		if caller.ServiceAccount {
			return warp.Owner{}, errors.New("scope is personal, but warp_api_key belongs to a service account, which owns nothing itself; use scope: team, or a personal API key")
		}
		return warp.Owner{Type: warp.UserOwner, UID: caller.UID}, nil
	}
	teams := caller.Teams
	if d.Team != "" {
		teams = matching(caller.Teams, d.Team)
	}
	switch {
	case len(teams) == 1:
		return warp.Owner{Type: warp.TeamOwner, UID: teams[0].UID}, nil
	case len(caller.Teams) == 0:
		return warp.Owner{}, errors.New("scope is team, but warp_api_key sees no team; use scope: personal, or the key of a team member")
	case len(teams) == 0:
		return warp.Owner{}, fmt.Errorf("team %q is not among the teams that warp_api_key sees: %s", d.Team, describe(caller.Teams))
	}
	return warp.Owner{}, fmt.Errorf("warp_api_key sees several teams: %s; set team to the UID of one", describe(teams))
}

// matching returns the team of this UID, else the teams of this name.
func matching(teams []warp.Team, wanted string) []warp.Team {
	var named []warp.Team
	for _, team := range teams {
		if team.UID == wanted {
			return []warp.Team{team}
		}
		if team.Name == wanted {
			named = append(named, team)
		}
	}
	return named
}

func describe(teams []warp.Team) string {
	text := make([]string, len(teams))
	for i, team := range teams {
		text[i] = fmt.Sprintf("%s (%q)", team.UID, team.Name)
	}
	return strings.Join(text, ", ")
}

// ownsSecret compares only the type for a user: of other users' secrets the
// server tells nothing, and Warp's own client compares no more.
func ownsSecret(owner, other warp.Owner) bool {
	return owner.Type == other.Type && (owner.Type == warp.UserOwner || owner.UID == other.UID)
}

// owns reports whether the owner of an environment is ours. The server may
// leave a user's UID out.
func owns(owner, other warp.Owner) bool {
	return owner.Type == other.Type && (owner.UID == other.UID || owner.Type == warp.UserOwner && other.UID == "")
}

// find returns the owner's environments of this name. No name finds none.
func find(listings []warp.EnvironmentListing, owner warp.Owner, name string) []warp.EnvironmentListing {
	var found []warp.EnvironmentListing
	for _, listing := range listings {
		if listing.Name == name && name != "" && owns(owner, listing.Owner) {
			found = append(found, listing)
		}
	}
	return found
}

// getCandidates reads whole environments and drops the trashed ones, which some
// lists contain.
func getCandidates(ctx context.Context, r Reader, uids []string) ([]Candidate, error) {
	found := make([]Candidate, len(uids))
	reads, within := errgroup.WithContext(ctx)
	for i, uid := range uids {
		reads.Go(func() (err error) {
			found[i].Environment, err = r.GetEnvironment(within, uid)
			return named(fmt.Sprintf("get environment %s", uid), err)
		})
		reads.Go(func() (err error) {
			found[i].Integrations, err = r.ListIntegrations(within, uid)
			return named(fmt.Sprintf("list the integrations of environment %s", uid), err)
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(c Candidate) bool { return c.Trashed }), nil
}

// named puts the operation before an error.
func named(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}
