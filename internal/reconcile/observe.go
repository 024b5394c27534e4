package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// settling is how long jobs that started together may take until all but one of
// the environments that they created are gone.
const settling = 2 * time.Second

// Observe reads everything that a plan depends on, in two round trips: first the
// caller, the keys and the lists, together; then the environments that the
// entries need. Where several have one name and owner, or one goes while it is
// read, it looks again a little later. Only reads. Those who listen are told of the lists
// before the environments are read.
func Observe(ctx context.Context, r Reader, mode Mode, desired []Desired, listen ...func(World)) (World, error) {
	w, err := readLists(ctx, r, mode)
	if err != nil {
		return w, err
	}
	for _, tell := range listen {
		tell(w)
	}
	for looked := false; ; looked = true {
		err = w.readWhole(ctx, r, mode, desired)
		if unsettled := w.hasTwins(desired) || isGoing(err, desired); looked || !unsettled {
			return w, err
		}
		select {
		case <-time.After(settling):
		case <-ctx.Done():
			return w, context.Cause(ctx)
		}
		if w.Listings, err = r.ListEnvironments(ctx); err != nil {
			return w, named("list environments", err)
		}
	}
}

// readLists is the first round trip.
func readLists(ctx context.Context, r Reader, mode Mode) (World, error) {
	var w World
	reads, within := group.WithContext(ctx)
	reads.Go(func() (err error) { w.Caller, err = r.GetCaller(within); return named("look up the caller", err) })
	reads.Go(func() (err error) {
		w.Keys, err = r.GetUploadKeys(within)
		return named("look up the upload keys", err)
	})
	reads.Go(func() (err error) { w.Secrets, err = r.ListSecrets(within); return named("list secrets", err) })
	reads.Go(func() (err error) {
		w.Listings, err = r.ListEnvironments(within)
		return named("list environments", err)
	})
	if mode == Provision || mode == Removal {
		reads.Go(func() error {
			var err error
			w.Integrations, err = r.ListConnected(within)
			w.NoIntegrations = named("list integrations", err)
			return nil
		})
	}
	if err := reads.Wait(); err != nil {
		return World{}, err
	}
	w.At = time.Now()
	return w, nil
}

// object is one environment to read whole.
type object struct {
	uid          string
	owner        warp.Owner
	integrations bool // too
	going        bool // too
	mayBeGone    bool // it was not listed, and need not exist
}

// needed are the environments to read whole: those of the entries, and those
// whose runs will read another value of a secret, or none any more. It is pure.
func (w World) needed(mode Mode, desired []Desired) []object {
	var list []object
	places := map[string]int{}
	need := func(o object) {
		at, known := places[o.uid]
		if !known {
			places[o.uid] = len(list)
			list = append(list, o)
			return
		}
		list[at].integrations = list[at].integrations || o.integrations
		list[at].going = list[at].going || o.going
	}
	looked := map[credential.Credential]bool{} // secrets whose readers are in the list
	for _, d := range desired {
		owner, err := ownerOf(w.Caller, d)
		if err != nil {
			continue // Diff says so
		}
		secret := d.SecretName
		if mode != Rotation {
			own := object{owner: owner, integrations: mode == Removal || w.NoIntegrations != nil, going: mode == Removal}
			if own.uid = d.EnvironmentID; own.uid != "" {
				own.mayBeGone = mode == Removal && !slices.ContainsFunc(w.Listings, func(l warp.EnvironmentListing) bool { return l.UID == own.uid })
				need(own)
			}
			own.mayBeGone = false
			for _, listing := range find(w.Listings, owner, d.EnvironmentName) {
				own.uid = listing.UID
				need(own)
			}
			if mode == Removal {
				secret = w.listedSecret(d, owner)
			}
		}
		overwritten := credential.Credential{Owner: owner, Name: secret}
		if mode != Verification && !looked[overwritten] && w.overwrites(owner, secret) {
			looked[overwritten] = true
			for _, listing := range w.readers(owner, secret) {
				need(object{uid: listing.UID})
			}
		}
	}
	return list
}

// AsListed is the world as far as the lists tell: nothing is in the trash, and a model holds
// what its environment's row does. It is pure, and no ground to write on.
func (w World) AsListed(mode Mode, desired []Desired) World {
	needed := map[string]bool{}
	for _, o := range w.needed(mode, desired) {
		needed[o.uid] = true
	}
	w.Objects = make(map[string]Object, len(needed))
	for _, l := range w.Listings {
		if needed[l.UID] {
			w.Objects[l.UID] = Object{Environment: warp.Environment{UID: l.UID, Owner: l.Owner, Model: l.Model()}}
		}
	}
	return w
}

// listedSecret is the secret of an entry's environment, as far as the list tells.
func (w World) listedSecret(d Desired, owner warp.Owner) string {
	for _, listing := range w.Listings {
		if listing.UID == d.EnvironmentID || d.EnvironmentID == "" && listing.Name == d.EnvironmentName && owns(owner, listing.Owner) {
			return d.secretFor(listing.SetupCommands, listing.Secrets)
		}
	}
	return d.SecretName
}

// readWhole is the second round trip: the environments, and what starts agents.
func (w *World) readWhole(ctx context.Context, r Reader, mode Mode, desired []Desired) error {
	reads, within := group.WithContext(ctx)
	reads.Go(func() (err error) {
		w.Objects, err = readObjects(within, r, w.needed(mode, desired))
		return err
	})
	var owners []warp.Owner // whose connections matter
	for _, d := range desired {
		owner, err := ownerOf(w.Caller, d)
		if err == nil && (mode == Provision || mode == Removal) && !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	found := make([]Connections, len(owners))
	for i, owner := range owners {
		reads.Go(func() error { found[i] = readConnections(within, r, mode, owner); return nil })
	}
	err := reads.Wait()
	w.Connections = make(map[warp.Owner]Connections)
	for i, owner := range owners {
		w.Connections[owner] = found[i]
	}
	return err
}

// mostReads bounds how many environments are asked at the same time for what is not in
// them.
const mostReads = 16

// readObjects reads environments, and at the same time what else is needed of them.
func readObjects(ctx context.Context, r Reader, needed []object) (map[string]Object, error) {
	if len(needed) == 0 {
		return nil, nil
	}
	uids, beside := make([]string, len(needed)), make([]Object, len(needed))
	rest := group.New()
	rest.SetLimit(mostReads)
	var answers []warp.Answer
	for i, o := range needed {
		uids[i] = o.uid
	}
	rest.Go(func() error { answers = r.GetEnvironments(ctx, uids); return nil })
	for i, o := range needed {
		if o.integrations || o.going {
			rest.Go(func() error { beside[i] = readBeside(ctx, r, o); return nil })
		}
	}
	_ = rest.Wait() // every error is in its place
	objects := make(map[string]Object, len(needed))
	for i, o := range needed {
		err := answers[i].Err
		if o.mayBeGone && conflicting(err) {
			continue
		}
		if err != nil {
			return nil, readError(fmt.Sprintf("get environment %s", o.uid), o.uid, err)
		}
		beside[i].Environment = answers[i].Environment
		objects[o.uid] = beside[i]
	}
	return objects, nil
}

// readBeside reads what is needed of an environment and is not in it.
func readBeside(ctx context.Context, r Reader, o object) Object {
	var found Object
	var lock sync.Mutex // of Unread
	unread := func(operation string, err error) {
		if err != nil {
			lock.Lock()
			defer lock.Unlock()
			found.Unread = append(found.Unread, named(operation, err))
		}
	}
	rest := group.New()
	if o.integrations {
		rest.Go(func() (err error) {
			found.Integrations, err = r.ListIntegrations(ctx, o.uid)
			unread(fmt.Sprintf("list the integrations of environment %s", o.uid), err)
			return nil
		})
	}
	if o.going {
		rest.Go(func() (err error) {
			found.Going, err = r.ListGoing(ctx, o.owner, o.uid)
			unread(fmt.Sprintf("list the runs in environment %s", o.uid), err)
			return nil
		})
	}
	_ = rest.Wait()
	return found
}

// hasTwins reports whether an entry has several live environments to choose from.
func (w World) hasTwins(desired []Desired) bool {
	return slices.ContainsFunc(desired, func(d Desired) bool {
		owner, err := ownerOf(w.Caller, d)
		return err == nil && d.EnvironmentID == "" && len(w.namesakes(owner, d.EnvironmentName)) > 1
	})
}

// objectError says which environment could not be read.
type objectError struct {
	uid string
	error
}

func (e objectError) Unwrap() error { return e.error }

func readError(operation, uid string, err error) error {
	if err == nil {
		return nil
	}
	return objectError{uid, named(operation, err)}
}

// isGoing reports whether an error may mean that a listed environment was deleted
// while it was read. One that the inputs name by its ID was never listed.
func isGoing(err error, desired []Desired) bool {
	read, ok := errors.AsType[objectError](err)
	return ok && conflicting(err) && !slices.ContainsFunc(desired, func(d Desired) bool { return d.EnvironmentID == read.uid })
}

// namesakes are the live environments of this name and owner that were read.
func (w World) namesakes(owner warp.Owner, name string) []Object {
	var live []Object
	for _, listing := range find(w.Listings, owner, name) {
		if o, read := w.Objects[listing.UID]; read && !o.Trashed {
			live = append(live, o)
		}
	}
	return live
}

// secret is the secret of this name and owner, nil when there is none.
func (w World) secret(owner warp.Owner, name string) *warp.Secret {
	for _, secret := range w.Secrets {
		if secret.Name == name && ownsSecret(owner, secret.Owner) {
			return &secret
		}
	}
	return nil
}

// overwrites reports whether somebody's runs read another value once the secret is
// stored: it is there, or, a personal one, it takes the place of a team's.
func (w World) overwrites(owner warp.Owner, name string) bool {
	isTeams := func(s warp.Secret) bool { return s.Name == name && s.Owner.Type == warp.TeamOwner }
	return w.secret(owner, name) != nil || owner.Type == warp.UserOwner && slices.ContainsFunc(w.Secrets, isTeams)
}

// isHidden reports whether the caller has a personal secret of this name. It
// takes the place of a team's in the caller's own runs.
//
// Source: https://docs.warp.dev, secrets: precedence in a run.
func (w World) isHidden(owner warp.Owner, name string) bool {
	return owner.Type == warp.TeamOwner && w.secret(warp.Owner{Type: warp.UserOwner}, name) != nil
}

// readers are the listed environments whose runs read the secret: those that name
// it in their list of secrets or in a setup command, where it reaches.
func (w World) readers(owner warp.Owner, name string) []warp.EnvironmentListing {
	hidden := w.isHidden(owner, name)
	return w.naming(name, func(of warp.Owner) bool { return reaches(owner, of, hidden) })
}

// naming are the listed environments of some owners that name a secret.
func (w World) naming(secret string, of func(warp.Owner) bool) []warp.EnvironmentListing {
	var found []warp.EnvironmentListing
	for _, listing := range w.Listings {
		named := slices.Contains(listing.Secrets, secret) ||
			slices.ContainsFunc(listing.SetupCommands, func(command string) bool { return shell.Names(command, secret) })
		if named && of(listing.Owner) {
			found = append(found, listing)
		}
	}
	return found
}

// reaches reports whether runs in an environment can read a secret of the
// owner: in the owner's own, and a team's secret in the caller's personal ones
// too, unless a personal secret of the same name hides it.
func reaches(owner, environment warp.Owner, hidden bool) bool {
	return owns(owner, environment) || owner.Type == warp.TeamOwner && environment.Type == warp.UserOwner && !hidden
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

// named puts the operation before an error.
func named(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}
