package reconcile

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

// verify plans to leave one environment as it is, and to test it with the secrets that it
// lists, as other runs in it have them.
func (p *Plan) verify(d Desired, w World) {
	e := EnvironmentPlan{User: credential.User{UID: d.EnvironmentID, Name: d.EnvironmentName}, Secret: none}
	owner, err := ownerOf(w.Caller, d)
	e.Owner = owner
	var current *Object
	if err == nil {
		current, err = w.chooseAsIs(d, owner)
	}
	if err == nil && current != nil && current.Trashed {
		err = fmt.Errorf("environment %s is in the trash; restore it, or leave environment_id out", current.UID)
	}
	if err == nil && current == nil {
		err = fmt.Errorf("environment %q does not exist for this owner (%s); check environment_name, scope and team, or run apply first", d.EnvironmentName, ownerWords(owner))
	}
	if e.Err = err; err != nil {
		p.Environments = append(p.Environments, e)
		return
	}
	secret := e.takeAsIs(*current, d)
	e.Change, e.desired, e.model, e.revision = Keep, d, current.Model, current.Revision
	if secret != "" {
		s := SecretPlan{Credential: credential.Credential{Owner: owner, Name: secret}, Change: Keep, Hidden: w.isHidden(owner, secret)}
		if stored := w.secret(owner, secret); stored != nil {
			s.Was = ReadNote(stored.Description)
		}
		e.Secret, p.Secrets = len(p.Secrets), append(p.Secrets, s)
		p.Warnings = append(p.Warnings, unlisted(e.User, e.Secrets, secret, "run apply, which adds it again")...)
	}
	if len(d.Repositories) > 0 && !e.Clones(d.Repositories) {
		p.warn("environment %s does not clone %s, which repo_url names; the test uses what it clones", e.User, d.Repositories[0].CloneURL())
	}
	p.Environments = append(p.Environments, e)
}

// expansion is a variable as a shell reads it.
var expansion = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// takeAsIs fills in what an environment is, and returns the secret that it is taken to
// clone with.
func (e *EnvironmentPlan) takeAsIs(current Object, d Desired) (secret string) {
	e.Commands, e.Image = current.Model.SetupCommands(), current.Model.DockerImage()
	e.Secrets, _ = current.Model.Secrets()
	secret = d.secretFor(e.Commands, e.Secrets)
	e.User = credential.User{UID: current.UID, Name: current.Model.Name(), Owner: e.Owner, Usage: setup.UsageOf(e.Commands, secret)}
	return secret
}

// secretFor is the secret with which commands clone, when the inputs name none: the first
// of secretsFor, else the default.
func (d Desired) secretFor(commands, listed []string) string {
	if found := d.secretsFor(commands, listed); len(found) > 0 {
		return found[0]
	}
	return d.SecretName
}

// secretsFor are the secrets with which commands clone: the default, those that are
// listed, and any other variable that they read. When the inputs name one, it is that.
func (d Desired) secretsFor(commands, listed []string) []string {
	if d.SecretGiven {
		return []string{d.SecretName}
	}
	var found []string
	tried, presents := map[string]bool{}, setup.Presents(commands)
	try := func(name string) {
		if !tried[name] && presents(name) {
			found = append(found, name)
		}
		tried[name] = true
	}
	try(d.SecretName)
	for _, name := range listed {
		try(name)
	}
	for _, command := range commands {
		for at := expansion.FindStringSubmatchIndex(command); at != nil; at = expansion.FindStringSubmatchIndex(command) { // in quotes, too: a helper's shell reads those
			try(command[at[2]:at[3]])
			command = command[at[1]:]
		}
	}
	return found
}

// unlisted warns that runs cannot clone, when an environment clones with a secret that is
// not in its list: runs get only listed secrets.
//
// Source: the Oz SDK of 2026-08, EnvironmentConfig.secrets: a run gets the union of what
// its own configuration, the environment and the principal name.
func unlisted(user credential.User, listed []string, secret, remedy string) []string {
	if len(user.Usage.Uses) == 0 || slices.Contains(listed, secret) {
		return nil
	}
	return []string{fmt.Sprintf("runs cannot clone in environment %s: its setup commands clone with secret %q, which is not in its list of secrets; %s", user, secret, remedy)}
}
