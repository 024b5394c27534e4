package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Diff compares the desired with the observed state. It is pure. It fails where
// a choice would be a guess: two environments of one name, a secret of another
// type, an environment of another owner.
func Diff(d Desired, o Observed) (Plan, error) {
	plan, err := planSecret(d, o)
	if err != nil {
		return plan, err
	}
	current, err := choose(d, o)
	if err != nil {
		return plan, err
	}
	plan.Environment = compare(d, current)
	plan.Warnings = warnings(d, o, current, plan.Environment)
	return plan, nil
}

// warnings are what a plan does that may not be meant.
func warnings(d Desired, o Observed, current *Candidate, e EnvironmentPlan) []string {
	var found []string
	warn := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, name := range d.Secrets {
		if name != d.SecretName && !slices.Contains(o.OtherSecrets, name) {
			warn("secret %q of environment_secrets does not exist for this owner; runs will not have it", name)
		}
	}
	listed, _ := e.model.Secrets()
	for _, name := range variables(d, e.model.SetupCommands()) {
		if slices.Contains(o.OtherSecrets, name) && !slices.Contains(listed, name) {
			warn("a setup command reads $%s, and this owner has a secret of that name, which runs in this environment will not see; name it in environment_secrets if it is meant", name)
		}
	}
	if current == nil {
		return found
	}
	if _, had := current.Model.Secrets(); !had {
		warn("the environment had no list of secrets; from now on its runs see only the listed ones: %s", strings.Join(listed, ", "))
	}
	if len(current.Integrations) > 0 && e.Change == Update {
		warn("the environment is used by integrations: %s", strings.Join(current.Integrations, ", "))
	}
	return found
}

// variables are the names that the commands read, each once.
func variables(d Desired, commands []string) []string {
	var names []string
	for _, command := range commands {
		for _, name := range d.Variables(command) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// planSecret plans what happens to the secret.
func planSecret(d Desired, o Observed) (Plan, error) {
	plan := Plan{At: o.At, Caller: o.Caller, Owner: o.Owner, UploadKey: o.UploadKey, desired: d}
	if o.UploadKey == "" {
		return plan, fmt.Errorf("there is no upload key for the owner of the secret (%s); open the secrets page of Warp once as that owner, or ask Warp's support", ownerWords(o.Owner))
	}
	plan.Secret = SecretPlan{Name: d.SecretName, Change: Create}
	if o.Secret != nil {
		if o.Secret.Type != warp.RawValue {
			return plan, fmt.Errorf("secret %q exists with the type %s, which cannot hold a token; choose another secret_name", d.SecretName, o.Secret.Type)
		}
		plan.Secret.Change, plan.Secret.UpdatedAt = Rotate, o.Secret.UpdatedAt
		plan.Secret.Was, plan.Secret.description = ReadNote(o.Secret.Description), o.Secret.Description
	}
	return plan, nil
}

// choose picks the environment to manage, nil when it has to be created.
func choose(d Desired, o Observed) (*Candidate, error) {
	if d.EnvironmentID != "" {
		if len(o.Environments) == 0 {
			return nil, fmt.Errorf("environment %s is in the trash; restore it, or leave environment_id out", d.EnvironmentID)
		}
		current := o.Environments[0]
		if !owns(o.Owner, current.Owner) {
			return nil, fmt.Errorf("environment %s belongs to another owner (%s) than scope and team name (%s)", d.EnvironmentID, ownerWords(current.Owner), ownerWords(o.Owner))
		}
		if renamed := d.EnvironmentName != "" && d.EnvironmentName != current.Model.Name(); renamed && len(o.Namesakes) > 0 {
			return nil, fmt.Errorf("environment %s cannot be renamed to %q: %s has that name already", d.EnvironmentID, d.EnvironmentName, strings.Join(o.Namesakes, ", "))
		}
		return &current, nil
	}
	switch len(o.Environments) {
	case 0:
		return nil, nil
	case 1:
		return &o.Environments[0], nil
	}
	uids := make([]string, len(o.Environments))
	for i, candidate := range o.Environments {
		uids[i] = candidate.UID
	}
	return nil, ambiguous(d.EnvironmentName, uids)
}

func ambiguous(name string, uids []string) error {
	slices.Sort(uids)
	return fmt.Errorf("%d environments are named %q: %s; set environment_id to the one to manage, or delete the others", len(uids), name, strings.Join(uids, ", "))
}

// compare plans one environment, nil being one that does not exist.
func compare(d Desired, current *Candidate) EnvironmentPlan {
	if current == nil {
		model, fields := edit(d, warp.NewModel(d.EnvironmentName))
		name := Field{warp.KeyName, nil, []string{d.EnvironmentName}}
		return EnvironmentPlan{Name: d.EnvironmentName, Change: Create, Fields: append([]Field{name}, fields...), model: model}
	}
	model, fields := edit(d, current.Model)
	plan := EnvironmentPlan{
		ID: current.UID, Name: model.Name(), Change: Keep, Fields: fields,
		Integrations: current.Integrations, revision: current.Revision, model: model,
	}
	if len(fields) > 0 {
		plan.Change = Update
	}
	return plan
}

// edit brings the managed fields of a model to the desired state and says which
// ones changed. Every other byte of the model stays.
func edit(d Desired, m warp.Model) (warp.Model, []Field) {
	var fields []Field
	text := func(key, old, desired string) {
		if desired != "" && desired != old {
			m = m.With(key, desired)
			fields = append(fields, Field{key, lines(old), lines(desired)})
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
	for _, name := range wanted(d) {
		if !slices.Contains(all, name) {
			m = m.WithSecret(name)
			all = append(slices.Clip(all), name)
		}
	}
	if len(all) > len(names) {
		fields = append(fields, Field{warp.KeySecrets, names, all})
	}
	return m, fields
}

// wanted are the secrets that the environment's list must name.
func wanted(d Desired) []string {
	return append([]string{d.SecretName}, d.Secrets...)
}

func lines(text string) []string {
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
