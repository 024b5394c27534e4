package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// remove plans to delete an entry's environment, after our schedules in it, and with
// DeleteSecret its secret. The server does not protect what is in use, so this does: what
// something else uses stays, unless the removal is forced.
func (p *Plan) remove(d Desired, w World) {
	e := EnvironmentPlan{User: credential.User{UID: d.EnvironmentID, Name: d.EnvironmentName}, Secret: none, Change: Keep, desired: d}
	owner, err := ownerOf(w.Caller, d)
	e.Owner = owner
	if err == nil {
		err = p.removeEnvironment(&e, w)
	}
	if err == nil {
		err = p.removeSecret(&e, w)
	}
	if e.Err = err; err != nil {
		e.Change, e.Schedules = "", nil
	}
	p.Environments = append(p.Environments, e)
}

// removeEnvironment plans to delete an environment and our schedules in it.
func (p *Plan) removeEnvironment(e *EnvironmentPlan, w World) error {
	d := e.desired
	current, err := w.chooseAsIs(d, e.Owner)
	if err != nil {
		return err
	}
	switch {
	case current == nil:
		p.Notes = append(p.Notes, fmt.Sprintf("environment %s does not exist for this owner (%s)", e.User, ownerWords(e.Owner)))
	case current.Trashed:
		p.warn("environment %s is in the trash already", e.User)
		current = nil
	}
	if current != nil {
		e.takeAsIs(*current, d)
		e.Change = Delete
		if err := e.isForeign(); err != nil && d.EnvironmentID == "" && !d.Force {
			return fmt.Errorf("environment %s %w, so it may belong to someone else; set environment_id to delete exactly this one, or force: true", e.User, err)
		}
	}
	ours, foreign := w.schedulesToRemove(*e)
	for _, s := range ours {
		e.Schedules = append(e.Schedules, SchedulePlan{ID: s.ID, Name: s.Name(), Cron: s.Cron(), Enabled: s.Enabled(), Change: Delete, observed: s})
	}
	if current == nil {
		return nil
	}
	e.Integrations = slices.Concat(current.Integrations, w.integrationsOf(e.UID))
	slices.Sort(e.Integrations)
	e.Integrations = slices.Compact(e.Integrations)
	for _, s := range foreign {
		e.Foreign = append(e.Foreign, s.String())
	}
	return p.guard(*e, w, *current)
}

// chooseAsIs picks the environment that an entry means, which is not to be changed; nil when
// there is none.
func (w World) chooseAsIs(d Desired, owner warp.Owner) (*Object, error) {
	if d.EnvironmentID == "" {
		return choose(d, owner, w)
	}
	current, read := w.Objects[d.EnvironmentID]
	switch {
	case !read:
		return nil, nil
	case !owns(owner, current.Owner):
		return nil, fmt.Errorf("environment %s belongs to another owner (%s) than the one that scope and team name (%s)", d.EnvironmentID, ownerWords(current.Owner), ownerWords(owner))
	case d.EnvironmentName != "" && d.EnvironmentName != current.Model.Name():
		return nil, fmt.Errorf("environment %s is named %q and not %q; give one of environment_id and environment_name, or both of the same environment", d.EnvironmentID, current.Model.Name(), d.EnvironmentName)
	}
	return &current, nil
}

// isForeign is why an environment with this name may belong to someone else, nil when
// nothing says so.
func (e EnvironmentPlan) isForeign() error {
	switch own := e.desired.Repositories; {
	case len(e.Usage.Uses) == 0:
		return errors.New("does not clone with a secret in a way that this program recognises")
	case len(own) > 0 && !e.Clones(own):
		return fmt.Errorf("does not clone %s", own[0].CloneURL())
	}
	return nil
}

// schedulesToRemove are the schedules that go with an environment, and those of others in
// it. A schedule without our marks is ours only when the inputs name it, and when it is the
// only one of the name. One that somebody has pointed at another environment stays.
func (w World) schedulesToRemove(e EnvironmentPlan) (ours, foreign []warp.Schedule) {
	if e.UID == "" {
		return w.leftBehind(e.Owner, e.scheduleName()), nil
	}
	ours, foreign = w.schedulesOf(e.Owner, e.UID, e.scheduleName())
	ours = slices.DeleteFunc(ours, func(s warp.Schedule) bool { return s.EnvironmentID() != e.UID })
	if len(ours) > 0 && !isMarked(ours[0], e.UID) && (e.desired.Schedule == nil || len(ours) > 1) {
		return nil, append(foreign, ours...)
	}
	return ours, foreign
}

// guard fails when something else uses the environment, or when that could not be read.
// When the removal is forced, it warns.
func (p *Plan) guard(e EnvironmentPlan, w World, current Object) error {
	unknown := slices.Concat(current.Unread, w.unknown(e.Owner))
	if err := w.Connections[e.Owner].NoFactories; hasNone(err) {
		p.Notes = append(p.Notes, fmt.Sprintf("whether a factory uses the environment is not known: %v", err))
	}
	uses := e.uses(e.Integrations, e.Foreign, w.factoriesOf(e.Owner, e.UID), current.Going)
	if e.desired.Force {
		if uses != "" {
			p.warn("environment %s is deleted although it is used by %s", e.User, uses)
		}
		for _, err := range unknown {
			p.warn("environment %s is deleted although not everything that uses it could be read: %v", e.User, err)
		}
		return nil
	}
	if uses != "" {
		return fmt.Errorf("environment %s is used by %s; remove these uses first, set schedule_name if a schedule is this program's, or set force: true", e.User, uses)
	}
	if len(unknown) > 0 {
		return fmt.Errorf("what uses environment %s could not be read: %w; run again, or set force: true", e.User, errors.Join(unknown...))
	}
	return nil
}

// unknown is why something that may use an environment or a secret of the owner could not
// be read. The integrations of an environment are read separately.
func (w World) unknown(owner warp.Owner) []error {
	connections := w.Connections[owner]
	var list []error
	if err := connections.NoSchedules; err != nil {
		list = append(list, err)
	}
	if err := connections.NoFactories; err != nil && !hasNone(err) {
		list = append(list, err)
	}
	return list
}

// unknownReaders is why something that may read a secret of the owner is not known, nil
// when everything was read.
func (w World) unknownReaders(owner warp.Owner) error {
	return errors.Join(append(w.unknown(owner), w.NoIntegrations)...)
}

// hasNone reports whether a list was refused because the Warp plan may lack the feature.
func hasNone(err error) bool {
	refusal, refused := errors.AsType[*warp.Refusal](err)
	return refused && (refusal.Status == 403 || refusal.Status == 404)
}

// factoriesOf are the factories whose agents work in an environment by default.
func (w World) factoriesOf(owner warp.Owner, environment string) []string {
	var names []string
	for _, f := range w.Connections[owner].Factories {
		if f.EnvironmentID == environment {
			names = append(names, f.String())
		}
	}
	return names
}

// uses lists in words what uses an environment, empty when nothing does.
func (e EnvironmentPlan) uses(integrations, schedules, factories []string, going []warp.Run) string {
	var list []string
	add := func(kind string, names []string) {
		for _, name := range names {
			if text := kind + " " + name; !slices.Contains(list, text) {
				list = append(list, text)
			}
		}
	}
	add("the integration", integrations)
	add("the schedule", schedules)
	add("the factory", factories)
	for _, run := range going {
		add("the run", []string{run.ID + ", which has not ended"})
	}
	return strings.Join(list, ", ")
}

// NotAsked is why a removal keeps a secret of which nobody asked that it go.
const NotAsked = "delete_secret is not true"

// removeSecret plans what happens to the secret: it stays while something else reads
// it.
func (p *Plan) removeSecret(e *EnvironmentPlan, w World) error {
	d := e.desired
	name := d.SecretName
	if e.Change == Delete {
		found := d.secretsFor(e.Commands, e.Secrets)
		if len(found) > 1 && found[0] != d.SecretName {
			if d.DeleteSecret {
				p.warn("environment %s clones with several secrets (%s), so none is deleted; set secret_name", e.User, strings.Join(found, ", "))
			}
			return nil
		}
		name = d.secretFor(e.Commands, e.Secrets)
	}
	if name == "" {
		if d.DeleteSecret {
			p.warn("neither the inputs nor an environment name a secret, so none is deleted; set secret_name")
		}
		return nil
	}
	s := SecretPlan{Credential: credential.Credential{Owner: e.Owner, Name: name}, Change: Keep, Hidden: w.isHidden(e.Owner, name)}
	found := w.secret(e.Owner, name)
	if s.Why = NotAsked; found == nil {
		s.Why = "it does not exist"
	}
	if e.desired.DeleteSecret && found != nil {
		if found.Type != warp.RawValue {
			return fmt.Errorf("secret %q has the type %s, which this program does not write, so it is not deleted; leave delete_secret out, or check secret_name", name, found.Type)
		}
		s.Change, s.Was = Delete, ReadNote(found.Description)
		if err := w.unknownReaders(e.Owner); err != nil {
			s.Change, s.Why = Keep, "not everything that uses it could be read"
			p.warn("secret %q is kept, because not everything that uses it could be read: %v", name, err)
		}
		if e.Change != Delete && !d.SecretGiven && s.Was.Rotated.IsZero() {
			s.Change, s.Why = Keep, "this program has not written it"
			p.warn("secret %q is kept: there is no environment that names it, and this program has not written it; to delete it, set secret_name", name)
		}
		s.Others = slices.DeleteFunc(w.users(s.Credential), func(u credential.User) bool { return u.UID == e.UID })
		readers := w.otherReaders(s.Credential, *e)
		for _, listing := range w.readers(e.Owner, name) {
			s.readers = append(s.readers, listing.UID)
			if o, read := w.Objects[listing.UID]; listing.UID != e.UID && !(read && o.Trashed) { // one that was not read may be live
				readers = append(readers, fmt.Sprintf("environment %q (%s)", listing.Name, listing.UID))
			}
		}
		if len(readers) > 0 {
			s.Change, s.Why = Keep, "something else uses it"
			p.warn("secret %q is kept, because something else uses it: %s", name, strings.Join(readers, ", "))
		}
	}
	e.Secret, p.Secrets = len(p.Secrets), append(p.Secrets, s)
	return nil
}

// otherReaders are what reads a secret without being an environment, in words.
func (w World) otherReaders(c credential.Credential, e EnvironmentPlan) []string {
	var readers []string
	connections := w.Connections[c.Owner]
	for _, s := range connections.Schedules {
		isOurs := slices.ContainsFunc(e.Schedules, func(p SchedulePlan) bool { return p.ID == s.ID })
		mayRead := s.Owner.Type == "" || reaches(c.Owner, s.Owner, false)
		if !isOurs && mayRead && readsSecret(s, c.Name) {
			readers = append(readers, "schedule "+s.String())
		}
	}
	for _, integration := range w.Integrations {
		if slices.Contains(integration.Secrets, c.Name) {
			readers = append(readers, "integration "+integration.Provider)
		}
	}
	for _, f := range connections.Factories {
		if slices.Contains(f.Secrets, c.Name) {
			readers = append(readers, "factory "+f.String())
		}
	}
	return readers
}

// readsSecret reports whether a schedule's agent names a secret, in its list or to one of
// its MCP servers.
func readsSecret(s warp.Schedule, name string) bool {
	config := s.Config()
	listed, _ := config.Secrets()
	return slices.Contains(listed, name) || strings.Contains(string(config.Raw("mcp_servers")), name)
}

// remove carries out a removal: the environment after its schedules, the secret last.
// Each step is done when its object is gone, so a removal that was killed is run again.
func (a Applier) remove(ctx context.Context, p Plan, done Applied) Applied {
	for i, e := range p.Environments {
		done.Environments[i] = a.removeEnvironment(ctx, e)
	}
	for i, s := range p.Secrets {
		if done.Err() == nil {
			done.Secrets[i] = a.removeSecret(ctx, p, s)
		}
	}
	return done
}

// removeEnvironment pauses our schedules, looks once more for what else uses the
// environment, and deletes both.
func (a Applier) removeEnvironment(ctx context.Context, e EnvironmentPlan) StoredEnvironment {
	stored := StoredEnvironment{UID: e.UID, Name: e.Name}
	for _, s := range e.Schedules {
		stored.Schedules = append(stored.Schedules, StoredSchedule{ID: s.ID, Name: s.Name})
	}
	fail := func(err error) StoredEnvironment {
		stored.Err = err
		return stored
	}
	for i, s := range e.Schedules {
		if s.Enabled {
			if err := a.pauseSchedule(ctx, e.Owner, s.observed); err != nil {
				return fail(err)
			}
			stored.Schedules[i].Paused = true
		}
	}
	if e.Change == Delete && !e.desired.Force {
		if err := a.lookAgain(ctx, e); err != nil && !(conflicting(err) && a.hasGone(ctx, e.UID, false)) {
			return fail(err)
		}
	}
	for i, s := range e.Schedules {
		if err := a.deleteSchedule(ctx, e.Owner, s.observed); err != nil {
			return fail(err)
		}
		stored.Schedules[i].Change, stored.Schedules[i].Paused = Delete, false
		a.Log.Info(fmt.Sprintf("schedule %s: deleted", s))
	}
	if e.Change == Delete {
		if err := a.deleteEnvironment(ctx, e.UID); err != nil {
			return fail(err)
		}
		a.Log.Info(fmt.Sprintf("environment %s: deleted", e.User))
	}
	stored.Change = e.Change
	return stored
}

// lookAgain fails when something has begun to use the environment since the plan was
// made.
func (a Applier) lookAgain(ctx context.Context, e EnvironmentPlan) error {
	var (
		integrations []string
		going        []warp.Run
		now          World
	)
	reads, within := group.WithContext(ctx)
	reads.Go(func() (err error) {
		integrations, err = a.Reader.ListIntegrations(within, e.UID)
		return named("list the integrations of environment "+e.UID, err)
	})
	reads.Go(func() error {
		now.Connections = map[warp.Owner]Connections{e.Owner: readConnections(within, a.Reader, Removal, e.Owner)}
		return errors.Join(now.unknown(e.Owner)...)
	})
	reads.Go(func() (err error) {
		going, err = a.Reader.ListGoing(within, e.Owner, e.UID)
		return named("list the runs in environment "+e.UID, err)
	})
	if err := reads.Wait(); err != nil {
		return fmt.Errorf("check again what uses environment %s: %w", e.User, err)
	}
	var schedules []string
	for _, s := range now.Connections[e.Owner].Schedules {
		isPlanned := slices.ContainsFunc(e.Schedules, func(p SchedulePlan) bool { return p.ID == s.ID })
		if s.EnvironmentID() == e.UID && !isPlanned {
			schedules = append(schedules, s.String())
		}
	}
	if uses := e.uses(integrations, schedules, now.factoriesOf(e.Owner, e.UID), going); uses != "" {
		return fmt.Errorf("environment %s is used by %s since the plan was made; remove these uses first, or set force: true", e.User, uses)
	}
	return nil
}

// removeSecret deletes a secret, unless something has begun to read it since the plan was
// made.
func (a Applier) removeSecret(ctx context.Context, p Plan, s SecretPlan) StoredSecret {
	if s.Change != Delete {
		return StoredSecret{Change: s.Change}
	}
	reader, err := a.newReader(ctx, p, s)
	if err != nil {
		return StoredSecret{Err: fmt.Errorf("check again what uses secret %q: %w", s.Name, err)}
	}
	if reader != "" {
		a.Log.Warn(fmt.Sprintf("secret %q is kept, because something has begun to use it since the plan was made: %s", s.Name, reader))
		return StoredSecret{Change: Keep}
	}
	err = a.until(ctx, fmt.Sprintf("delete secret %q", s.Name),
		func(ctx context.Context) error { return a.Writer.DeleteSecret(ctx, s.Owner, s.Name) },
		func(bool) bool {
			secrets, err := a.Reader.ListSecrets(ctx)
			return err == nil && World{Secrets: secrets}.secret(s.Owner, s.Name) == nil
		})
	if err != nil {
		return StoredSecret{Err: err}
	}
	a.Log.Info(fmt.Sprintf("secret %q: deleted", s.Name))
	return StoredSecret{Change: Delete}
}

// newReader names something that reads a secret now and did not when the plan was made;
// it is empty when there is nothing.
func (a Applier) newReader(ctx context.Context, p Plan, s SecretPlan) (string, error) {
	var now World
	var connections Connections
	reads := group.New()
	reads.Go(func() (err error) {
		now.Listings, err = a.Reader.ListEnvironments(ctx)
		return named("list environments", err)
	})
	reads.Go(func() (err error) {
		now.Integrations, err = a.Reader.ListConnected(ctx)
		now.NoIntegrations = named("list integrations", err)
		return nil
	})
	reads.Go(func() error { connections = readConnections(ctx, a.Reader, Removal, s.Owner); return nil })
	if err := reads.Wait(); err != nil {
		return "", err
	}
	now.Connections = map[warp.Owner]Connections{s.Owner: connections}
	if err := now.unknownReaders(s.Owner); err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	for _, listing := range now.naming(s.Name, func(of warp.Owner) bool { return reaches(s.Owner, of, s.Hidden) }) {
		if !slices.Contains(s.readers, listing.UID) { // those are gone by now, or in the trash
			return fmt.Sprintf("environment %q (%s)", listing.Name, listing.UID), nil
		}
	}
	var deleted EnvironmentPlan // all of them; a list may lag behind
	for _, e := range p.Environments {
		deleted.Schedules = append(deleted.Schedules, e.Schedules...)
	}
	for _, reader := range now.otherReaders(s.Credential, deleted) {
		return reader, nil
	}
	return "", nil
}

// removalWords say what is gone and what is not, after a removal that failed.
func (s StoredEnvironment) removalWords() string {
	var gone, paused []string
	for _, schedule := range s.Schedules {
		name := fmt.Sprintf("schedule %q (%s)", schedule.Name, schedule.ID)
		switch {
		case schedule.Change == Delete:
			gone = append(gone, name)
		case schedule.Paused:
			paused = append(paused, name)
		}
	}
	if s.Change == Delete {
		gone = append(gone, fmt.Sprintf("environment %q (%s)", s.Name, s.UID))
	}
	var parts []string
	if len(gone) > 0 {
		parts = append(parts, "deleted: "+strings.Join(gone, ", "))
	}
	if len(paused) > 0 {
		parts = append(parts, "paused and not deleted: "+strings.Join(paused, ", "))
	}
	if len(parts) == 0 {
		return "nothing is known to be deleted"
	}
	return strings.Join(parts, "; ") + "; run again to continue"
}
