package reconcile_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// all is a rotation that is about everyone who reads the secret.
func all(changes ...func(*reconcile.Desired)) reconcile.Desired {
	return desired(append([]func(*reconcile.Desired){func(d *reconcile.Desired) { d.EnvironmentName = "" }}, changes...)...)
}

// withSecret is an Oz that holds the team's secret.
func withSecret() *oz {
	o := newOz()
	o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: acme, Type: warp.RawValue, UpdatedAt: "0", Description: "for ci"}, "old"})
	return o
}

func uids(plan reconcile.Plan) []string {
	var found []string
	for _, e := range plan.Environments {
		found = append(found, e.UID)
	}
	return found
}

func clones(slug string) string {
	return `{"name":"` + slug + `","setup_commands":["git clone https://x-token-auth:$TOKEN@bitbucket.org/acme/` + slug + `.git","make"],"secrets":[{"name":"TOKEN"}]}`
}

func TestARotationIsAboutEveryoneWhoReadsTheSecret(t *testing.T) {
	t.Parallel()
	o := withSecret()
	listed := o.add(acme, `{"name":"listed","secrets":[{"name":"TOKEN"}]}`)
	reads := o.add(acme, `{"name":"reads","setup_commands":["make","use ${TOKEN} it"]}`)
	personal := o.add(jane, `{"name":"mine","secrets":[{"name":"TOKEN"}]}`)
	o.add(other, `{"name":"theirs","secrets":[{"name":"TOKEN"}]}`)
	o.add(acme, `{"name":"unrelated","secrets":[{"name":"TOKENS"}],"setup_commands":["$TOKENS"]}`)
	o.edit(o.add(acme, `{"name":"trashed","secrets":[{"name":"TOKEN"}]}`), func(e *warp.Environment) { e.Trashed = true })

	plan := o.diff(t, reconcile.Rotation, all())
	require.NoError(t, plan.Err())
	assert.Equal(t, []string{listed, reads, personal}, uids(plan))
	for _, e := range plan.Environments {
		assert.Equal(t, reconcile.Keep, e.Change)
		assert.Equal(t, []string{"TOKEN"}, e.Secrets, "a run reads it, listed or not")
	}
	assert.Empty(t, plan.Secrets[0].Others)
	assert.False(t, plan.Changes(), "a rotation alone is no change")
	assert.Equal(t, []string{
		`environment "listed" (` + listed + `) uses secret "TOKEN", but this program recognises no clone command that uses it`,
		`environment "reads" (` + reads + `) uses secret "TOKEN" in a command that this program cannot follow; so it is not proved that the token works there`,
		`environment "mine" (` + personal + `) uses secret "TOKEN", but this program recognises no clone command that uses it`,
	}, plan.Warnings)

	o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: jane, Type: warp.RawValue}, "mine"})
	plan = o.diff(t, reconcile.Rotation, all())
	assert.Equal(t, []string{listed, reads}, uids(plan), "a personal secret hides the team's")
	assert.True(t, plan.Secrets[0].Hidden)
	assert.Contains(t, plan.Warnings[len(plan.Warnings)-1], `your personal secret "TOKEN" hides the team's`)

	plan = o.diff(t, reconcile.Rotation, all(func(d *reconcile.Desired) { d.Scope = warp.UserOwner }))
	assert.Equal(t, []string{personal}, uids(plan))
	assert.False(t, plan.Secrets[0].Hidden)
	assert.Contains(t, plan.Warnings[len(plan.Warnings)-1], `"listed" (`+listed+`), "reads" (`+reads+`), "theirs"`, "where it takes the place of a team's")

	o.script["GetEnvironment"] = []step{func(context.Context, func() error) error { return &warp.Refusal{Status: 403} }}
	_, err := o.observe(t.Context(), reconcile.Rotation, all())
	require.ErrorContains(t, err, "get environment En")
}

func TestARotationIsNarrowed(t *testing.T) {
	t.Parallel()
	o := withSecret()
	app, web := o.add(acme, clones("app")), o.add(acme, clones("web"))
	at := func(url string) []bitbucket.Repository {
		r, err := bitbucket.Parse(url, "")
		require.NoError(t, err)
		return []bitbucket.Repository{r}
	}
	for name, narrow := range map[string]func(*reconcile.Desired){
		"by ID":         func(d *reconcile.Desired) { d.EnvironmentID = web },
		"by name":       func(d *reconcile.Desired) { d.EnvironmentName = "web" },
		"by repository": func(d *reconcile.Desired) { d.Repositories = at("https://bitbucket.org/acme/web") },
	} {
		plan := o.diff(t, reconcile.Rotation, all(narrow))
		require.NoError(t, plan.Err(), name)
		assert.Equal(t, []string{web}, uids(plan), name)
		require.Len(t, plan.Secrets[0].Others, 1, name)
		assert.Equal(t, app, plan.Secrets[0].Others[0].UID)
		assert.Equal(t, []string{`the inputs leave out environments that use the same secret and get the new value unchecked: "app" (` + app + `)`}, plan.Warnings)
	}
	plan := o.diff(t, reconcile.Rotation, all(func(d *reconcile.Desired) { d.EnvironmentName = "nobody" }))
	assert.EqualError(t, plan.Err(), `environment "nobody" does not use secret "TOKEN", which serves 2 other environments`)
}

func TestWhatARotationRefuses(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, newOz().diff(t, reconcile.Rotation, all()).Err(), "a rotation does not create it")
	o := withSecret()
	o.keys = warp.UploadKeys{}
	require.ErrorContains(t, o.diff(t, reconcile.Rotation, all()).Err(), "no upload key")
	assert.Equal(t, []string{`no environment uses secret "TOKEN"`}, withSecret().diff(t, reconcile.Rotation, all()).Warnings)
}

func TestApplyOfARotation(t *testing.T) {
	t.Parallel()
	rotate := func(o *oz) reconcile.StoredSecret {
		token := reconcile.Token{Value: sensitive.New("token"), Expires: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}
		return o.applier(o).Apply(t.Context(), o.planFor(t, reconcile.Rotation, all()), []reconcile.Token{token}).Secrets[0]
	}
	for _, trouble := range []step{fine, lostBefore, lostAfter} {
		o := withSecret()
		o.add(acme, clones("app"))
		before := o.environments[0]
		o.script["UpdateSecret"] = []step{trouble}
		done := rotate(o)
		require.NoError(t, done.Err)
		assert.Equal(t, reconcile.Rotate, done.Change)
		assert.Equal(t, ours, o.secret(acme, "TOKEN").value)
		assert.Equal(t, o.secret(acme, "TOKEN").UpdatedAt, done.Stamp)
		assert.Regexp(t, `^for ci; rotated by oz-bitbucket on \d{4}-\d\d-\d\d, expires 2026-11-24$`, o.secret(acme, "TOKEN").Description)
		assert.Equal(t, before, o.environments[0])
	}
	gone := func(o *oz) {
		o.secrets = o.secrets[:2]
	}
	for name, trouble := range map[string]func(o *oz) step{
		"and refused": func(o *oz) step { return after(func() { gone(o) }) },
		"and not told": func(o *oz) step {
			return func(context.Context, func() error) error { gone(o); return warp.ErrAnswerLost }
		},
	} {
		o := withSecret()
		o.script["UpdateSecret"] = []step{trouble(o)}
		require.Error(t, rotate(o).Err, name)
		assert.Nil(t, o.secret(acme, "TOKEN"), "it creates none")
	}
}

// TestTheStampIsThatOfOurOwnWrite, not one that is read later.
func TestTheStampIsThatOfOurOwnWrite(t *testing.T) {
	t.Parallel()
	o := withSecret()
	var own string
	o.script["UpdateSecret"] = []step{func(_ context.Context, effect func() error) error {
		defer func() {
			own = o.secret(acme, "TOKEN").UpdatedAt
			_, _ = o.UpdateSecret(t.Context(), acme, "TOKEN", "", warp.NewSealedSecret("theirs"))
		}()
		return effect()
	}}
	done := o.applier(o).Apply(t.Context(), o.planFor(t, reconcile.Rotation, all()), []reconcile.Token{{Value: sensitive.New("token")}})
	require.NoError(t, done.Err())
	assert.Equal(t, own, done.Secrets[0].Stamp)
	assert.NotEqual(t, o.secret(acme, "TOKEN").UpdatedAt, done.Secrets[0].Stamp)
}

// TestSharedSecrets: an apply knows who else reads the secret that it overwrites.
func TestSharedSecrets(t *testing.T) {
	t.Parallel()
	o := newOz()
	own := o.add(acme, converged)
	web := o.add(acme, clones("web"))
	o.edit(o.add(acme, clones("gone")), func(e *warp.Environment) { e.Trashed = true })
	plan := o.plan(t, desired())
	assert.Equal(t, reconcile.Create, plan.Secrets[0].Change)
	assert.Empty(t, plan.Secrets[0].Others, "nothing is overwritten")

	o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: acme, Type: warp.RawValue}, "old"})
	plan = o.plan(t, desired())
	assert.Equal(t, []string{own}, uids(plan))
	require.Len(t, plan.Secrets[0].Others, 1)
	others := plan.Secrets[0].Others[0]
	assert.Equal(t, web, others.UID)
	require.Len(t, others.Usage.Uses, 1)
	assert.Equal(t, "acme/web", others.Usage.Uses[0].Repository.String())
	assert.Equal(t, bitbucket.AccessToken, others.Usage.Uses[0].Kind)
}

// TestWhatTheListsTellOfARotation is told before the environments are read, and is the plan
// where these are as they were listed.
func TestWhatTheListsTellOfARotation(t *testing.T) {
	t.Parallel()
	o := withSecret()
	app := o.add(acme, clones("app"))
	o.add(acme, `{"name":"unrelated","setup_commands":["make"]}`)
	bare := o.add(acme, `{"name":"bare","secrets":[{"name":"TOKEN"}]}`)
	wanted := []reconcile.Desired{all()}
	var listed reconcile.Plan
	observe := func(tell func(reconcile.World)) reconcile.Plan {
		world, err := reconcile.Observe(t.Context(), o, reconcile.Rotation, wanted, tell)
		require.NoError(t, err)
		return reconcile.Diff(reconcile.Rotation, wanted, world)
	}
	read := observe(func(w reconcile.World) {
		assert.Empty(t, w.Objects)
		listed = reconcile.Diff(reconcile.Rotation, wanted, w.AsListed(reconcile.Rotation, wanted))
		assert.Empty(t, w.Objects, "it is a copy")
	})
	assert.Equal(t, []string{app, bare}, uids(listed))
	assert.Equal(t, read.Users(), listed.Users())

	read = observe(func(w reconcile.World) {
		listed = reconcile.Diff(reconcile.Rotation, wanted, w.AsListed(reconcile.Rotation, wanted))
		o.edit(app, func(e *warp.Environment) { e.Model = e.Model.With(warp.KeySetupCommands, []string{"make"}) })
		o.edit(bare, func(e *warp.Environment) { e.Trashed = true })
	})
	assert.Equal(t, []string{app, bare}, uids(listed))
	assert.Len(t, listed.Users()[0].Usage.Uses, 1)
	assert.Equal(t, []string{app}, uids(read))
	assert.Empty(t, read.Users()[0].Usage.Uses)
}
