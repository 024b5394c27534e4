package reconcile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

const unlistedHere = `runs cannot clone in environment ` + whole + `: its setup commands clone with secret "TOKEN", which is not in its list of secrets; `

// TestAVerification leaves one environment as it is, with the secrets that it lists.
func TestAVerification(t *testing.T) {
	t.Parallel()
	nameless := func(d *reconcile.Desired) { d.SecretName = "" }
	given := func(name string) func(*reconcile.Desired) {
		return func(d *reconcile.Desired) { d.SecretName, d.SecretGiven = name, true }
	}
	with := func(secret string) string { return strings.ReplaceAll(clones("acme-api"), "TOKEN", secret) }
	listing := func(model string, names ...string) string {
		m := parsed(model).With("secrets", []string{})
		for _, name := range names {
			m = m.WithSecret(name)
		}
		return m.String()
	}
	for name, test := range map[string]struct {
		model   string
		desired reconcile.Desired
		secret  string   // empty: none
		listed  []string // secrets of the plan
		warn    []string
	}{
		"the default":                         {clones("acme-api"), desired(), "TOKEN", []string{"TOKEN"}, nil},
		"by ID":                               {clones("acme-api"), desired(byID), "TOKEN", []string{"TOKEN"}, nil},
		"a listed one":                        {with("OTHER"), desired(), "OTHER", []string{"OTHER"}, nil},
		"a listed one, without a default":     {with("OTHER"), desired(nameless), "OTHER", []string{"OTHER"}, nil},
		"the listed one with which it clones": {listing(with("OTHER"), "A", "OTHER", "B"), desired(), "OTHER", []string{"A", "OTHER", "B"}, nil},
		"the default before others": {
			`{"name":"acme-api","setup_commands":["git clone https://x-token-auth:$OTHER@bitbucket.org/acme/a.git","git clone https://x-token-auth:$TOKEN@bitbucket.org/acme/b.git"],"secrets":[{"name":"OTHER"},{"name":"TOKEN"}]}`,
			desired(), "TOKEN", []string{"OTHER", "TOKEN"}, nil,
		},
		"one that is given":                     {clones("acme-api"), desired(given("TOKEN")), "TOKEN", []string{"TOKEN"}, nil},
		"one that is given, and does not clone": {clones("acme-api"), desired(given("OTHER")), "OTHER", []string{"TOKEN"}, nil},
		"one that is not listed":                {listing(clones("acme-api"), "A"), desired(), "TOKEN", []string{"A"}, []string{unlistedHere + "run apply, which adds it again"}},
		"without a list":                        {parsed(clones("acme-api")).With("secrets", nil).String(), desired(), "TOKEN", nil, []string{unlistedHere + "run apply, which adds it again"}},
		"one that only a command reads":         {listing(with("OTHER"), "A"), desired(), "OTHER", []string{"A"}, []string{strings.ReplaceAll(unlistedHere, `"TOKEN"`, `"OTHER"`) + "run apply, which adds it again"}},
		"one with which nothing clones":         {`{"name":"acme-api","setup_commands":["echo $A"],"secrets":[{"name":"A"}]}`, desired(), "TOKEN", []string{"A"}, nil},
		"none":                                  {`{"name":"acme-api","setup_commands":["echo $A"],"secrets":[{"name":"A"}]}`, desired(nameless), "", []string{"A"}, nil},
		"what else needs a change":              {with("TOKEN"), desired(func(d *reconcile.Desired) { d.DockerImage, d.Description, d.Secrets = "new", "new", []string{"NEW"} }), "TOKEN", []string{"TOKEN"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := withSecret()
			o.add(acme, test.model)
			o.integrations[uid] = []string{"slack"}
			for _, method := range []string{"ListConnected", "ListIntegrations", "ListSchedules", "ListFactories", "ListGoing"} {
				o.script[method] = refuses(errors.New("nobody asks"))
			}
			desired := test.desired
			desired.Variables = variables
			plan := o.diff(t, reconcile.Verification, desired)
			require.NoError(t, plan.Err())
			require.Len(t, plan.Environments, 1)
			e := plan.Environments[0]
			assert.Equal(t, keep("acme-api"), exported(e))
			assert.Equal(t, acme, e.Owner)
			assert.Equal(t, test.listed, e.Secrets, "those, and no other")
			assert.Equal(t, parsed(test.model).SetupCommands(), e.Commands)
			assert.Equal(t, setup.UsageOf(e.Commands, test.secret), e.Usage)
			assert.Empty(t, e.Schedules)
			assert.Equal(t, test.warn, plan.Warnings)
			assert.Empty(t, plan.Notes)
			assert.False(t, plan.Changes())
			secret := plan.SecretOf(e)
			assert.Equal(t, test.secret, secret.Name)
			if test.secret != "" {
				assert.Equal(t, []any{acme, reconcile.Keep}, []any{secret.Owner, secret.Change})
				assert.Empty(t, secret.Others)
			}

			done := o.applier(o).Apply(t.Context(), plan, nil)
			require.NoError(t, done.Err())
			assert.Equal(t, reconcile.StoredEnvironment{Change: reconcile.Keep, UID: uid, Name: "acme-api"}, done.Environments[0])
			for _, s := range done.Secrets {
				assert.Equal(t, reconcile.StoredSecret{Change: reconcile.Keep}, s)
			}
			require.NoError(t, plan.Confirm(done))
			assert.Equal(t, "nothing was written", done.Words(reconcile.Verification))
			assert.Empty(t, o.begun)
			for _, method := range []string{"ListConnected", "ListIntegrations", "ListSchedules", "ListFactories", "ListGoing"} {
				assert.Len(t, o.script[method], 2, "nobody asks %s", method)
			}
		})
	}
}

// variables are those of these tests' commands, as a shell reads them.
func variables(command string) []string {
	var names []string
	for _, name := range []string{"TOKEN", "OTHER", "A"} {
		if strings.Contains(command, "$"+name) {
			names = append(names, name)
		}
	}
	return names
}

func TestWhatAVerificationRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arrange func(*oz)
		desired reconcile.Desired
		wantErr string
	}{
		"nothing there":    {func(*oz) {}, desired(), `environment "acme-api" does not exist for this owner (team ` + acme.UID + `); check environment_name, scope and team, or run apply first`},
		"of another owner": {environment(jane, clones("acme-api")), desired(), `environment "acme-api" does not exist`},
		"in the trash":     {trashed(acme, clones("acme-api")), desired(), `environment "acme-api" does not exist`},
		"by ID, in the trash": {trashed(acme, clones("acme-api")), desired(byID),
			"environment " + uid + " is in the trash; restore it, or leave environment_id out"},
		"by ID, of another owner": {environment(other, clones("acme-api")), desired(byID), "environment " + uid + " belongs to another owner"},
		"two of one name": {func(o *oz) { o.add(acme, clones("acme-api")); o.add(acme, clones("acme-api")) }, desired(),
			`2 environments are named "acme-api": `},
		"no owner": {func(*oz) {}, desired(func(d *reconcile.Desired) { d.Team = "nobody" }), `team "nobody" is not among the teams`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // two of one name may be about to settle
				o := withSecret()
				test.arrange(o)
				plan := o.diff(t, reconcile.Verification, test.desired)
				require.ErrorContains(t, plan.Err(), test.wantErr)
				assert.Empty(t, plan.Environments[0].Change)
				assert.Empty(t, plan.Secrets)
			})
		})
	}
	o := withSecret()
	_, err := o.observe(t.Context(), reconcile.Verification, desired(byID))
	require.ErrorContains(t, err, "get environment "+uid, "an ID that does not exist")
}

func TestAVerificationTellsOfAHiddenSecret(t *testing.T) {
	t.Parallel()
	o := withSecret()
	o.add(acme, clones("acme-api"))
	o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: jane, Type: warp.RawValue}, "mine"})
	plan := o.diff(t, reconcile.Verification, desired())
	assert.True(t, plan.Secrets[0].Hidden)
	require.Len(t, plan.Warnings, 1)
	assert.Contains(t, plan.Warnings[0], `your personal secret "TOKEN" hides the team's`)
}

// TestRunsThatCannotClone: of each mode, that the list of secrets lacks the one with which an environment clones.
func TestRunsThatCannotClone(t *testing.T) {
	t.Parallel()
	without := parsed(clones("acme-api")).With("secrets", []string{}).WithSecret("NPM_TOKEN").String()
	for mode, remedy := range map[reconcile.Mode]string{
		reconcile.Provision: "this plan adds it again", reconcile.Rotation: "run apply, which adds it again", reconcile.Verification: "run apply, which adds it again",
	} {
		for name, test := range map[string]struct {
			model string
			warns bool
		}{
			"listed":                         {clones("acme-api"), false},
			"not listed":                     {without, true},
			"an empty list":                  {parsed(clones("acme-api")).With("secrets", []string{}).String(), true},
			"clones nothing":                 {`{"name":"acme-api","setup_commands":["echo $TOKEN"],"secrets":[]}`, false},
			"clones with another":            {strings.ReplaceAll(clones("acme-api"), "$TOKEN", "$NPM_TOKEN"), false},
			"clones in the middle of a line": {`{"name":"acme-api","setup_commands":["test -d a || git clone https://x-token-auth:${TOKEN}@bitbucket.org/acme/a.git"],"secrets":[]}`, true},
		} {
			o := withSecret()
			o.add(acme, test.model)
			d := desired(func(d *reconcile.Desired) { d.SecretGiven = true })
			plan := o.diff(t, mode, d)
			require.NoError(t, plan.Err(), name)
			at := slices.Index(plan.Warnings, unlistedHere+remedy)
			assert.Equal(t, test.warns, at >= 0, "%s, mode %d: %v", name, mode, plan.Warnings)
			if mode == reconcile.Rotation {
				assert.Contains(t, plan.Environments[0].Secrets, "TOKEN", "a rotation tests the value")
			}
		}
	}
}

// TestWhatElseStartsAgents is noted of an environment that exists.
func TestWhatElseStartsAgents(t *testing.T) {
	t.Parallel()
	broken := refuses(errors.New("connection refused"))
	const nobody = "not everything that starts agents could be read for environment " + whole + ": "
	for name, test := range map[string]struct {
		arrange      func(*oz)
		integrations []string
		foreign      []string // SC stands for the ID of the first schedule
		notes        []string
	}{
		"nothing": {arrange: func(*oz) {}},
		"integrations": {
			arrange: func(o *oz) {
				o.integrations[uid], o.integrations["En9"] = []string{"slack", "linear"}, []string{"slack"}
			},
			integrations: []string{"slack", "linear"},
		},
		"schedules": {arrange: func(o *oz) {
			o.schedule(acme, foreignSchedule("x", uid, ""))
			o.schedule(acme, foreignSchedule("acme-api", uid, ""))
			o.schedule(acme, foreignSchedule("y", "En9", ""))
		}, foreign: []string{`"x" (SC)`}},
		"no list of integrations, but those of the environment": {
			arrange:      func(o *oz) { o.script["ListConnected"] = broken; o.integrations[uid] = []string{"slack"} },
			integrations: []string{"slack"},
		},
		"no integrations at all": {
			arrange: func(o *oz) { o.script["ListConnected"], o.script["ListIntegrations"] = broken, broken },
			notes:   []string{nobody + "list the integrations of environment " + uid + ": connection refused", nobody + "list integrations: connection refused"},
		},
		"no schedules": {
			arrange:      func(o *oz) { o.script["ListSchedules"] = broken; o.integrations[uid] = []string{"slack"} },
			integrations: []string{"slack"}, notes: []string{nobody + "list schedules: connection refused"},
		},
		"nobody asks for factories and runs": {arrange: func(o *oz) { o.script["ListFactories"], o.script["ListGoing"] = broken, broken }},
		"nobody asks twice for integrations": {arrange: func(o *oz) { o.script["ListIntegrations"] = broken }},
	} {
		o := withSecret()
		o.add(acme, converged)
		test.arrange(o)
		plan := o.plan(t, desired())
		e := plan.Environments[0]
		var foreign []string
		for _, text := range test.foreign {
			foreign = append(foreign, strings.ReplaceAll(text, "SC", o.schedules[0].ID))
		}
		assert.Equal(t, test.integrations, e.Integrations, name)
		assert.Equal(t, foreign, e.Foreign, name)
		assert.Equal(t, test.notes, plan.Notes, name)
		assert.Equal(t, reconcile.Keep, e.Change, name)

		o = withSecret()
		test.arrange(o)
		plan = o.plan(t, desired())
		assert.Empty(t, plan.Notes, "of one that is to be created there is nothing to say")
		assert.Empty(t, plan.Environments[0].Integrations)
	}
}

// TestTheConnectionsOfEachOwner: a removal and a provision ask for their owner's.
func TestTheConnectionsOfEachOwner(t *testing.T) {
	t.Parallel()
	o := withSecret()
	o.add(acme, converged)
	id := o.schedule(acme, request(uid))
	for mode, want := range map[reconcile.Mode]map[warp.Owner]reconcile.Connections{
		reconcile.Provision:    {acme: {Schedules: o.schedules}},
		reconcile.Removal:      {acme: {Schedules: o.schedules, Factories: []warp.Factory{{UID: "Fa1"}}}},
		reconcile.Rotation:     {},
		reconcile.Verification: {},
	} {
		o.factories = []warp.Factory{{UID: "Fa1"}}
		world, err := o.observe(t.Context(), mode, desired())
		require.NoError(t, err)
		assert.Equal(t, want, world.Connections, "%d: %s", mode, id)
	}
	world, err := o.observe(t.Context(), reconcile.Provision, desired(func(d *reconcile.Desired) { d.Team = "nobody" }))
	require.NoError(t, err)
	assert.Empty(t, world.Connections)
}
