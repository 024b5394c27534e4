// Package inventory describes existing environments as entries of a manifest. It
// derives an entry from the environment, and keeps it only when a plan for the entry
// changes nothing. It is pure.
package inventory

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Reader is what an inventory needs to know about inputs.
type Reader interface {
	// Desired is what an entry asks for. The error holds every problem with the entry
	// (see problem.All).
	Desired(manifest.Draft) (reconcile.Desired, error)
	// Hides reports whether a text must not be printed.
	Hides(text string) bool
	// IsInput reports whether a variable of the job is one of its inputs.
	IsInput(variable string) bool
	// UsualSecret is the name of the secret of an entry without secret_name.
	UsualSecret(bitbucket.Flavor) string
}

// Inventory lists the environments that exist.
type Inventory struct {
	// Drafts are entries for which a plan changes nothing. An environment without such
	// an entry has a draft that is off. They are ordered by owner and name.
	Drafts []manifest.Draft
	// Hidden names the environments that hold a text that must not be printed. They have no
	// draft.
	Hidden []string
}

// Clones reports whether an environment belongs in an inventory: whether its commands
// clone from Bitbucket, or contain "bitbucket.org".
func Clones(e warp.EnvironmentListing) bool {
	_, _, _, err := setup.Found(e.SetupCommands, nil)
	return err != setup.ErrNoClone || slices.ContainsFunc(e.SetupCommands, func(command string) bool { return strings.Contains(command, "bitbucket.org") })
}

// Of describes those environments of a world that were read whole.
func Of(w reconcile.World, r Reader) Inventory {
	var inventory Inventory
	var items []*item
	for _, listing := range w.Listings {
		o, read := w.Objects[listing.UID]
		switch {
		case !read || o.Trashed || !w.Owns(o.Owner):
		case hides(o.Environment, r):
			inventory.Hidden = append(inventory.Hidden, called(o.Environment, r))
		default:
			items = append(items, newItem(w, o.Environment))
		}
	}
	slices.SortStableFunc(items, func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.owner, b.owner), cmp.Compare(a.name, b.name), cmp.Compare(a.UID, b.UID))
	})
	describe(w, r, items)
	nameVariables(w, r, items)
	for _, i := range items {
		inventory.Drafts = append(inventory.Drafts, i.finished())
	}
	return inventory
}

// hides reports whether a text of an environment that an entry or a comment could show
// must not be printed.
func hides(e warp.Environment, r Reader) bool {
	m := e.Model
	secrets, _ := m.Secrets()
	texts := slices.Concat([]string{m.Name(), m.Description(), m.DockerImage()}, m.SetupCommands(), secrets)
	return r.Hides(strings.Join(texts, "\n")) || slices.ContainsFunc(texts, r.Hides)
}

// called names an environment, only by its ID when its name must not be printed.
func called(e warp.Environment, r Reader) string {
	if name := e.Model.Name(); name != "" && !r.Hides(name) {
		return fmt.Sprintf("%q (%s)", name, e.UID)
	}
	return e.UID
}

// item is an environment and the entry that is made for it.
type item struct {
	UID    string
	name   string
	owner  string // for sorting
	of     warp.Owner
	clones []setup.Clone
	values map[string]any
	left   []string // keys that the entry leaves out because it cannot say them
	why    string   // why no entry describes it; empty: an entry does, or it is not known yet
	done   bool
}

func newItem(w reconcile.World, e warp.Environment) *item {
	i := &item{UID: e.UID, name: e.Model.Name(), of: e.Owner, values: map[string]any{}}
	listed, _ := e.Model.Secrets()
	clones, user, known, err := setup.Found(e.Model.SetupCommands(), listed)
	if i.clones = clones; err != nil {
		i.off(err.Error())
	}
	i.own(w)
	i.clone()
	set := func(key, value string) {
		if value != "" {
			i.values[key] = value
		}
	}
	set("environment_name", i.name)
	if i.isTwin(w) || i.name == "" {
		i.byID()
	}
	set("description", e.Model.Description())
	if e.Model.DockerImage() != reconcile.DefaultImage {
		set("docker_image", e.Model.DockerImage())
	}
	if len(clones) > 0 {
		i.values["secret_name"] = clones[0].Secret
		if more := slices.DeleteFunc(slices.Clone(listed), func(name string) bool { return name == clones[0].Secret }); len(more) > 0 {
			i.values["environment_secrets"] = more
		}
	}
	if known && len(user) > 0 {
		i.values["setup_commands"] = user
	}
	if !known {
		i.left = append(i.left, "setup_commands")
	}
	return i
}

// own sets the keys for the environment's owner.
func (i *item) own(w reconcile.World) {
	i.owner = "~" // personal ones come last
	if i.of.Type == warp.UserOwner {
		i.values["scope"] = "personal"
		return
	}
	i.owner = i.of.UID
	if len(w.Caller.Teams) == 1 {
		return
	}
	i.values["team"] = i.of.UID
	for _, team := range w.Caller.Teams {
		namesakes := 0
		for _, other := range w.Caller.Teams {
			if other.Name == team.Name || other.UID == team.Name {
				namesakes++
			}
		}
		if team.UID == i.of.UID && namesakes == 1 && team.Name != "" && strings.TrimSpace(team.Name) == team.Name {
			i.values["team"] = team.Name
		}
	}
}

// clone sets the keys for what is cloned, and how.
func (i *item) clone() {
	if len(i.clones) == 0 {
		return
	}
	first := i.clones[0]
	var urls []string
	for _, c := range i.clones {
		urls = append(urls, c.Repository.CloneURL())
	}
	i.values["repo_url"] = urls
	if first.Branch != "" {
		i.values["branch"] = first.Branch
	}
	if first.Depth > 0 {
		i.values["clone_depth"] = first.Depth
	}
	if first.Auth != setup.Helper {
		i.values["clone_auth"] = string(first.Auth)
	}
	if first.Repository.InClear() {
		i.values["allow_http"] = true
	}
}

// byID names the environment by its ID instead of its name.
func (i *item) byID() {
	delete(i.values, "environment_name")
	i.values["environment_id"] = i.UID
}

// isTwin reports whether another environment of this owner has the same name.
func (i *item) isTwin(w reconcile.World) bool {
	return slices.ContainsFunc(w.Listings, func(l warp.EnvironmentListing) bool {
		return l.UID != i.UID && l.Name == i.name && l.Owner.Type == i.of.Type && (l.Owner.UID == i.of.UID || i.of.Type == warp.UserOwner)
	})
}

func (i *item) off(why string) { i.why, i.done = why, true }

// draft is the entry so far.
func (i *item) draft() manifest.Draft { return manifest.Draft{Values: i.values} }

// finished is the entry without keys that have their defaults, and with its comments.
func (i *item) finished() manifest.Draft {
	d := i.draft()
	if len(i.clones) == 0 {
		d.Values = nil
	} else if d.Values["environment_name"] == i.clones[0].Repository.EnvironmentName() {
		delete(d.Values, "environment_name")
	}
	if i.why != "" {
		d.IsOff = true
		d.Notes = append(d.Notes, fmt.Sprintf("left out: environment %q (%s): %s", i.name, i.UID, i.why))
	} else if len(i.left) > 0 {
		d.Notes = append(d.Notes, "kept as it is, because an entry cannot say it: "+strings.Join(i.left, ", "))
	}
	return d
}

// describe changes each item until a plan for it changes nothing, or until no entry can
// describe it. All items are planned together, so that each secret is checked once.
func describe(w reconcile.World, r Reader, items []*item) {
	for {
		var planned []*item
		var desired []reconcile.Desired
		for _, i := range items {
			if i.done {
				continue
			}
			d, err := r.Desired(i.draft())
			if err != nil {
				i.give(problems(err))
				continue
			}
			planned, desired = append(planned, i), append(desired, d)
		}
		plan := reconcile.Diff(reconcile.Provision, desired, w)
		for at, i := range planned {
			i.judge(plan, plan.Environments[at])
		}
		if !slices.ContainsFunc(items, func(i *item) bool { return !i.done }) {
			return
		}
	}
}

// problems are the keys that an error is about, and its first message.
func problems(err error) (keys []string, why string) {
	for _, found := range problem.All(err) {
		keys = append(keys, found.Input)
		why = cmp.Or(why, strings.TrimSpace(found.Input+" "+found.Summary))
	}
	return keys, why
}

// judge checks the plan for an item's entry.
func (i *item) judge(plan reconcile.Plan, e reconcile.EnvironmentPlan) {
	switch {
	case e.Err != nil && e.UID != i.UID && i.values["environment_name"] != nil, e.Err == nil && e.UID != i.UID:
		i.give([]string{"environment_name"}, "a plan would find another environment in its place")
	case e.Err != nil:
		i.off(e.Err.Error())
	case len(e.Fields) > 0:
		var keys []string
		for _, field := range e.Fields {
			keys = append(keys, keyOf[field.Name])
		}
		i.give(keys, "a plan would change "+words(e.Fields))
	case plan.SecretOf(e).Change.IsVisible():
		i.off(fmt.Sprintf("the secret %q does not exist, and a plan would create it", plan.SecretOf(e).Name))
	default:
		i.done = true
	}
}

// keyOf is the key of an entry for each field of an environment.
var keyOf = map[string]string{
	warp.KeyName: "environment_name", warp.KeyDescription: "description", warp.KeyDockerImage: "docker_image",
	warp.KeySetupCommands: "setup_commands", warp.KeySecrets: "environment_secrets",
}

// words says what a plan would change.
func words(fields []reconcile.Field) string {
	var list []string
	for _, field := range fields {
		text := field.Name
		if field.Name != warp.KeySetupCommands {
			text += fmt.Sprintf(" from %q to %q", strings.Join(field.Old, " "), strings.Join(field.New, " "))
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// give drops or changes the keys that cause a difference. When none of them can be
// dropped, the item is off.
func (i *item) give(keys []string, why string) {
	given := false
	for _, key := range keys {
		_, said := i.values[key]
		switch {
		case key == "environment_name" && said:
			i.byID()
			given = true
		case slices.Contains([]string{"description", "docker_image", "environment_secrets", "setup_commands"}, key) && said:
			delete(i.values, key)
			i.left = append(i.left, key)
			given = true
		case key == "team" && said && i.values[key] != i.of.UID:
			i.values[key] = i.of.UID
			given = true
		case (key == "setup_commands" || key == "repo_url") && !given && len(i.clones) > 1:
			i.clones = i.clones[:1]
			i.clone()
			i.values["secret_name"] = i.clones[0].Secret
			given = true
			if !slices.Contains(i.left, "setup_commands") {
				i.left = append(i.left, "setup_commands")
			}
		}
	}
	if !given {
		i.off(why)
	}
}

// notInName finds characters that the name of a variable cannot hold.
var notInName = regexp.MustCompile(`[^A-Z0-9_]+`)

// nameVariables gives each secret a variable of the job for its token, so that no job
// writes the same token to all secrets. A single secret of the usual name needs no
// variable.
func nameVariables(w reconcile.World, r Reader, items []*item) {
	type secret struct {
		owner, name string
	}
	secrets, owners := map[secret]bool{}, map[string]map[string]bool{}
	usual := true
	for _, i := range items {
		if len(i.clones) == 0 {
			continue
		}
		c := i.clones[0]
		secrets[secret{i.owner, c.Secret}] = true
		if owners[c.Secret] == nil {
			owners[c.Secret] = map[string]bool{}
		}
		owners[c.Secret][i.owner] = true
		usual = usual && c.Secret == r.UsualSecret(c.Repository.Flavor)
	}
	for _, i := range items {
		if len(i.clones) == 0 {
			continue
		}
		c := i.clones[0]
		if c.Secret == r.UsualSecret(c.Repository.Flavor) {
			delete(i.values, "secret_name")
		}
		if len(secrets) == 1 && usual {
			continue
		}
		variable := c.Secret
		if len(owners[c.Secret]) > 1 {
			variable += "_" + notInName.ReplaceAllString(strings.ToUpper(ownerName(w, i.of)), "_")
		}
		if r.IsInput(variable) {
			variable = "OZ_" + variable
		}
		i.values["bitbucket_token_variable"] = variable
	}
}

func ownerName(w reconcile.World, owner warp.Owner) string {
	for _, team := range w.Caller.Teams {
		if team.UID == owner.UID && owner.Type == warp.TeamOwner {
			return cmp.Or(team.Name, team.UID)
		}
	}
	return "personal"
}
