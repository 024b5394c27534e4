package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Diff compares the desired state with the world. It is pure. An entry has an Err
// when the program would have to guess: two environments of one name, a secret of
// another type, an environment of another owner. A rotation never creates a
// secret, and leaves environments as they are. A verification changes nothing. A
// removal deletes nothing that something else uses, unless it is forced.
func Diff(mode Mode, desired []Desired, w World) Plan {
	plan := Plan{Mode: mode, At: w.At, Caller: w.Caller}
	for _, d := range desired {
		switch mode {
		case Rotation:
			plan.rotate(d, w)
		case Verification:
			plan.verify(d, w)
		case Removal:
			plan.remove(d, w)
		default:
			plan.provision(d, w)
		}
	}
	if mode == Removal {
		return plan
	}
	for i := range plan.Secrets {
		s := &plan.Secrets[i]
		if mode != Verification && w.overwrites(s.Owner, s.Name) {
			s.Others = plan.outside(w.users(s.Credential))
		}
		for _, user := range s.Others {
			listed, _ := w.Objects[user.UID].Model.Secrets()
			plan.Warnings = append(plan.Warnings, unlisted(user, listed, s.Name, "run apply for it, which adds it again")...)
		}
		plan.Warnings = append(plan.Warnings, s.warnings(w)...)
	}
	return plan
}

func (p *Plan) warn(format string, args ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...))
}

// provision plans the secret and the environment of one entry.
func (p *Plan) provision(d Desired, w World) {
	e := EnvironmentPlan{User: credential.User{UID: d.EnvironmentID, Name: d.EnvironmentName}}
	owner, err := ownerOf(w.Caller, d)
	if err == nil {
		e.Secret, err = p.addSecret(d, owner, w)
	}
	if err == nil && d.NoEnvironment {
		return
	}
	var current *Object
	if err == nil {
		current, err = choose(d, owner, w)
	}
	if err == nil {
		err = e.compare(d, owner, current)
	}
	if err == nil {
		p.connect(&e, w, current)
		err = e.schedule(w)
	}
	if e.Err = err; err == nil {
		p.Warnings = append(p.Warnings, e.warnings(w, owner, current)...)
	}
	p.Environments = append(p.Environments, e)
}

// rotate plans to overwrite a secret's value once, for the environments that the
// entry is about.
func (p *Plan) rotate(d Desired, w World) {
	fail := func(err error) {
		p.Environments = append(p.Environments, EnvironmentPlan{User: credential.User{UID: d.EnvironmentID, Name: d.EnvironmentName}, Err: err})
	}
	owner, err := ownerOf(w.Caller, d)
	if err != nil {
		fail(err)
		return
	}
	at, err := p.addSecret(d, owner, w)
	if err == nil && w.secret(owner, d.SecretName) == nil {
		err = fmt.Errorf("secret %q does not exist for this owner (%s), and a rotation does not create it; check secret_name, scope and team, or run apply first", d.SecretName, ownerWords(owner))
	}
	if err != nil {
		p.Secrets = nil
		fail(err)
		return
	}
	s := &p.Secrets[at]
	s.mustExist = true
	narrow := credential.Narrow{UID: d.EnvironmentID, Name: d.EnvironmentName, Repositories: d.Repositories}
	in, out := narrow.Split(w.users(s.Credential))
	if name := d.EnvironmentID + d.EnvironmentName; name != "" && len(in) == 0 {
		fail(fmt.Errorf("environment %q does not use secret %q, which serves %s", name, d.SecretName, plural.Of(len(out), "other environment")))
		return
	}
	for _, user := range in {
		p.Environments = append(p.Environments, w.keep(user, at, d))
		listed, _ := w.Objects[user.UID].Model.Secrets()
		p.Warnings = append(p.Warnings, user.Warnings(d.SecretName)...)
		p.Warnings = append(p.Warnings, unlisted(user, listed, d.SecretName, "run apply, which adds it again")...)
	}
	switch {
	case len(in)+len(out) == 0:
		p.warn("no environment uses secret %q", d.SecretName)
	case len(out) > 0:
		p.warn("the inputs leave out environments that use the same secret and get the new value unchecked: %s", list(out))
	}
}

// keep plans to leave an environment as it is.
func (w World) keep(user credential.User, secret int, d Desired) EnvironmentPlan {
	o := w.Objects[user.UID]
	e := EnvironmentPlan{User: user, Secret: secret, Change: Keep, Commands: o.Model.SetupCommands(), Image: o.Model.DockerImage(), model: o.Model, revision: o.Revision, desired: d}
	e.Secrets, _ = o.Model.Secrets()
	if !slices.Contains(e.Secrets, d.SecretName) {
		e.Secrets = append(slices.Clip(e.Secrets), d.SecretName)
	}
	return e
}

// outside are the users that the plan does not write: it has no entry for them, or their
// entry has failed, so that the environment stays as it is.
func (p *Plan) outside(users []credential.User) []credential.User {
	return slices.DeleteFunc(users, func(u credential.User) bool {
		return slices.ContainsFunc(p.Environments, func(e EnvironmentPlan) bool { return e.UID == u.UID && e.Err == nil })
	})
}

// users are the live environments whose runs read the secret.
func (w World) users(c credential.Credential) []credential.User {
	var users []credential.User
	for _, listing := range w.readers(c.Owner, c.Name) {
		o, read := w.Objects[listing.UID]
		if !read || o.Trashed {
			continue
		}
		usage := setup.UsageOf(o.Model.SetupCommands(), c.Name)
		if o.Model.Check() != nil { // the list can still be read
			usage = setup.UsageOf(listing.SetupCommands, c.Name)
		}
		users = append(users, credential.User{UID: o.UID, Name: o.Model.Name(), Owner: o.Owner, Usage: usage})
	}
	return users
}

func list(users []credential.User) string {
	text := make([]string, len(users))
	for i, user := range users {
		text[i] = user.String()
	}
	return strings.Join(text, ", ")
}

// addSecret plans what happens to the entry's secret, once for all entries that
// share it.
func (p *Plan) addSecret(d Desired, owner warp.Owner, w World) (int, error) {
	c := credential.Credential{Owner: owner, Name: d.SecretName}
	if at := slices.IndexFunc(p.Secrets, func(s SecretPlan) bool { return s.Credential == c }); at >= 0 {
		return at, nil
	}
	s := SecretPlan{Credential: c, Change: Create, Hidden: w.isHidden(owner, c.Name), key: w.Keys.For(owner)}
	if s.key == "" {
		return 0, fmt.Errorf("there is no upload key for the owner of the secret (%s); open the secrets page of Warp once as that owner, or ask Warp's support", ownerWords(owner))
	}
	if secret := w.secret(owner, c.Name); secret != nil {
		if secret.Type != warp.RawValue {
			return 0, fmt.Errorf("secret %q exists with the type %s, which cannot hold a token; choose another secret_name", c.Name, secret.Type)
		}
		s.Change = Rotate
		s.Was, s.description = ReadNote(secret.Description), secret.Description
	}
	for _, listing := range w.readers(owner, c.Name) {
		s.readers = append(s.readers, listing.UID)
	}
	p.Secrets = append(p.Secrets, s)
	return len(p.Secrets) - 1, nil
}

// warnings are what a personal secret of the same name means for runs.
func (s SecretPlan) warnings(w World) []string {
	if s.Hidden {
		return []string{fmt.Sprintf("your personal secret %q hides the team's secret of the same name in your own runs, so the smoke test proves nothing about the team's; rename or delete the personal one, or use an agent's API key", s.Name)}
	}
	if s.Owner.Type != warp.UserOwner {
		return nil
	}
	var teams []credential.User
	for _, listing := range w.naming(s.Name, func(of warp.Owner) bool { return of.Type == warp.TeamOwner }) {
		teams = append(teams, credential.User{UID: listing.UID, Name: listing.Name})
	}
	if len(teams) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("in your own runs, this personal secret %q replaces the team's secret of the same name in these environments of your teams: %s", s.Name, list(teams))}
}

// warnings name effects on an environment that the user may not expect.
func (e EnvironmentPlan) warnings(w World, owner warp.Owner, current *Object) []string {
	var found []string
	warn := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, name := range e.desired.Secrets {
		if name != e.desired.SecretName && w.secret(owner, name) == nil {
			warn("secret %q of environment_secrets does not exist for this owner; runs will not have it", name)
		}
	}
	for _, name := range e.variables() {
		if name != e.desired.SecretName && w.secret(owner, name) != nil && !slices.Contains(e.Secrets, name) {
			warn("a setup command reads $%s, and this owner has a secret of that name, but runs in this environment will not see it; if they need it, name it in environment_secrets", name)
		}
	}
	if current == nil {
		return found
	}
	names, had := current.Model.Secrets()
	before := credential.User{UID: e.UID, Name: e.Name, Usage: setup.UsageOf(current.Model.SetupCommands(), e.desired.SecretName)}
	if had {
		found = append(found, unlisted(before, names, e.desired.SecretName, "this plan adds it again")...)
	} else {
		warn("the environment had no list of secrets; from now on its runs see only the listed ones: %s", strings.Join(e.Secrets, ", "))
	}
	if len(e.Integrations) > 0 && e.Change == Update {
		warn("the environment is used by integrations: %s", strings.Join(e.Integrations, ", "))
	}
	return found
}

// variables are the names that the commands read, each once.
func (e EnvironmentPlan) variables() []string {
	var names []string
	for _, command := range e.Commands {
		for _, name := range e.desired.Variables(command) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// choose picks the environment to manage, nil when it has to be created.
func choose(d Desired, owner warp.Owner, w World) (*Object, error) {
	namesakes := w.namesakes(owner, d.EnvironmentName)
	if d.EnvironmentID != "" {
		return chooseByID(d, owner, w.Objects[d.EnvironmentID], namesakes)
	}
	switch len(namesakes) {
	case 0:
		return nil, nil
	case 1:
		return &namesakes[0], nil
	}
	return nil, ambiguous(d.EnvironmentName, uidsOf(namesakes))
}

func chooseByID(d Desired, owner warp.Owner, current Object, namesakes []Object) (*Object, error) {
	others := slices.DeleteFunc(namesakes, func(o Object) bool { return o.UID == d.EnvironmentID })
	switch {
	case current.Trashed:
		return nil, fmt.Errorf("environment %s is in the trash; restore it, or leave environment_id out", d.EnvironmentID)
	case !owns(owner, current.Owner):
		return nil, fmt.Errorf("environment %s belongs to another owner (%s) than the one that scope and team name (%s)", d.EnvironmentID, ownerWords(current.Owner), ownerWords(owner))
	case d.EnvironmentName != "" && d.EnvironmentName != current.Model.Name() && len(others) > 0:
		return nil, fmt.Errorf("environment %s cannot be renamed to %q: %s has that name already", d.EnvironmentID, d.EnvironmentName, strings.Join(uidsOf(others), ", "))
	}
	return &current, nil
}

func uidsOf(objects []Object) []string {
	uids := make([]string, len(objects))
	for i, o := range objects {
		uids[i] = o.UID
	}
	return uids
}

func ambiguous(name string, uids []string) error {
	slices.Sort(uids)
	return fmt.Errorf("%s are named %q: %s; set environment_id to the one to manage, or delete the others", plural.Of(len(uids), "environment"), name, strings.Join(uids, ", "))
}

// compare plans one environment; current is nil when it does not exist.
func (e *EnvironmentPlan) compare(d Desired, owner warp.Owner, current *Object) error {
	e.desired, e.Owner, e.Change = d, owner, Create
	before := warp.NewModel(d.EnvironmentName)
	if current != nil {
		e.UID, e.Integrations, e.revision = current.UID, current.Integrations, current.Revision
		e.Change, before = Keep, current.Model
	}
	model, fields, err := edit(d, before)
	switch {
	case err != nil:
		return fmt.Errorf("environment %s: %w", e.User, err)
	case current == nil:
		fields = slices.Insert(fields, 0, Field{warp.KeyName, nil, []string{d.EnvironmentName}})
	case len(fields) > 0:
		e.Change = Update
	}
	e.model, e.Fields, e.Name = model, fields, model.Name()
	e.Commands, e.Image = model.SetupCommands(), model.DockerImage()
	e.Secrets, _ = model.Secrets()
	e.Usage = setup.UsageOf(e.Commands, d.SecretName)
	return nil
}

// edit brings the managed fields of a model to the desired state and says which
// ones changed. Every other byte of the model stays. It fails when a managed
// field has a form that this program would destroy.
func edit(d Desired, m warp.Model) (warp.Model, []Field, error) {
	if err := m.Check(); err != nil {
		return m, nil, fmt.Errorf("%w, so it is not changed; fix it in Oz, or look for a newer version of this program", err)
	}
	var fields []Field
	text := func(key, old, desired string) {
		if desired != "" && desired != old {
			m = m.With(key, desired)
			fields = append(fields, Field{key, linesOf(old), linesOf(desired)})
		}
	}
	text(warp.KeyName, m.Name(), d.EnvironmentName)
	text(warp.KeyDescription, m.Description(), d.Description)
	text(warp.KeyDockerImage, m.DockerImage(), cmp.Or(d.DockerImage, m.DockerImage(), DefaultImage))

	old := m.SetupCommands()
	if commands := d.SetupCommands(old); m.Raw(warp.KeySetupCommands) == nil || !slices.Equal(old, commands) {
		m = m.With(warp.KeySetupCommands, append([]string{}, commands...))
		fields = append(fields, Field{warp.KeySetupCommands, old, commands})
	}

	names, _ := m.Secrets()
	all := names
	for _, name := range append([]string{d.SecretName}, d.Secrets...) {
		if !slices.Contains(all, name) {
			m = m.WithSecret(name)
			all = append(slices.Clip(all), name)
		}
	}
	if len(all) > len(names) {
		fields = append(fields, Field{warp.KeySecrets, names, all})
	}
	return m, fields, nil
}

func linesOf(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func ownerWords(o warp.Owner) string {
	if o.Type == warp.TeamOwner {
		return "team " + o.UID
	}
	return "user " + o.UID
}
