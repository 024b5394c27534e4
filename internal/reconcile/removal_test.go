package reconcile_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// removable is an Oz in which the team has the secret, and the environment, which clones with it.
func removable() *oz {
	o := withSecret()
	o.add(acme, clones("acme-api"))
	o.going = make(map[string][]warp.Run)
	return o
}

func trashed(owner warp.Owner, model string) func(*oz) {
	return func(o *oz) {
		o.edit(o.add(owner, model), func(e *warp.Environment) { e.Trashed = true })
	}
}

func force(d *reconcile.Desired)         { d.Force = true }
func withSecretToo(d *reconcile.Desired) { d.DeleteSecret, d.SecretGiven = true, true }

// foreignSchedule is a schedule of somebody else, in an environment, with a configuration's other keys.
func foreignSchedule(name, environment, more string) string {
	return `{"name":"` + name + `","cron_schedule":"0 4 * * *","prompt":"p","enabled":true,"agent_config":{"environment_id":"` + environment + `"` + more + `}}`
}

const (
	whole   = `"acme-api" (` + uid + `)`
	gone404 = "404: page not found"
)

func refuses(err error) []step {
	return slices.Repeat([]step{func(context.Context, func() error) error { return err }}, 2)
}

// TestWhichEnvironmentARemovalIsAbout.
func TestWhichEnvironmentARemovalIsAbout(t *testing.T) {
	t.Parallel()
	const makes = `{"name":"acme-api","setup_commands":["make"]}`
	both := func(d *reconcile.Desired) { d.EnvironmentID = uid }
	for name, test := range map[string]struct {
		arrange func(*oz)
		desired reconcile.Desired
		want    environmentPlan
		warn    []string
		notes   []string
		wantErr string
	}{
		"by name": {arrange: environment(acme, clones("acme-api")), desired: desired(), want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Delete}},
		"by ID":   {arrange: environment(acme, clones("any")), desired: desired(byID), want: environmentPlan{ID: uid, Name: "any", Change: reconcile.Delete}},
		"by both": {arrange: environment(acme, clones("acme-api")), desired: desired(both), want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Delete}},
		"by both, which are two": {arrange: environment(acme, clones("renamed")), desired: desired(both),
			wantErr: `environment ` + uid + ` is named "renamed" and not "acme-api"; give one of environment_id and environment_name, or both of the same environment`},
		"by ID, one of two of a name": {arrange: func(o *oz) { o.add(acme, clones("acme-api")); o.add(acme, clones("acme-api")) }, desired: desired(both),
			want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Delete}},
		"nothing there": {desired: desired(), want: environmentPlan{Name: "acme-api", Change: reconcile.Keep},
			notes: []string{`environment "acme-api" does not exist for this owner (team ` + acme.UID + `)`}},
		"by ID, gone": {desired: desired(both), want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Keep},
			notes: []string{`environment ` + whole + ` does not exist for this owner (team ` + acme.UID + `)`}},
		"of another owner": {arrange: environment(other, clones("acme-api")), desired: desired(), want: environmentPlan{Name: "acme-api", Change: reconcile.Keep},
			notes: []string{`environment "acme-api" does not exist for this owner (team ` + acme.UID + `)`}},
		"by ID, of another owner": {arrange: environment(other, clones("acme-api")), desired: desired(byID),
			wantErr: `environment ` + uid + ` belongs to another owner (team ` + other.UID + `) than the one that scope and team name (team ` + acme.UID + `)`},
		"by ID, of another owner, forced": {arrange: environment(other, clones("acme-api")), desired: desired(byID, force), wantErr: "belongs to another owner"},
		"in the trash": {arrange: trashed(acme, clones("acme-api")), desired: desired(), want: environmentPlan{Name: "acme-api", Change: reconcile.Keep},
			notes: []string{`environment "acme-api" does not exist for this owner (team ` + acme.UID + `)`}},
		"by ID, in the trash": {arrange: trashed(acme, clones("acme-api")), desired: desired(both), want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Keep},
			warn: []string{`environment ` + whole + ` is in the trash already`}},
		"by ID, in the trash, and the list does not show it": {
			arrange: func(o *oz) { trashed(acme, clones("acme-api"))(o); o.hidden = []string{uid} }, desired: desired(both),
			want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Keep}, warn: []string{`environment ` + whole + ` is in the trash already`}},
		"by ID, and the list does not show it": {
			arrange: func(o *oz) { o.add(acme, clones("acme-api")); o.hidden = []string{uid} }, desired: desired(byID),
			want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Delete}},
		"beside one in the trash": {arrange: func(o *oz) { o.add(acme, clones("acme-api")); trashed(acme, clones("acme-api"))(o) }, desired: desired(),
			want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Delete}},
		"two of one name": {arrange: func(o *oz) { o.add(acme, clones("acme-api")); o.add(acme, clones("acme-api")) }, desired: desired(force),
			wantErr: `2 environments are named "acme-api": En00000000000000000001, En00000000000000000002; set environment_id to the one to manage, or delete the others`},
		"one that is not recognised": {arrange: environment(acme, makes), desired: desired(),
			wantErr: `environment ` + whole + ` does not clone with a secret in a way that this program recognises, so it may belong to someone else; set environment_id to delete exactly this one, or force: true`},
		"one that is not recognised, by ID":  {arrange: environment(acme, makes), desired: desired(byID), want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Delete}},
		"one that is not recognised, forced": {arrange: environment(acme, makes), desired: desired(force), want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Delete}},
		"one that clones with another secret": {
			arrange: environment(acme, strings.ReplaceAll(clones("acme-api"), "TOKEN", "OTHER")), desired: desired(),
			want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Delete}},
		"one that clones with another secret than the given one": {
			arrange: environment(acme, strings.ReplaceAll(clones("acme-api"), "TOKEN", "OTHER")), desired: desired(func(d *reconcile.Desired) { d.SecretGiven = true }),
			wantErr: "does not clone with a secret in a way that this program recognises"},
		"no owner": {desired: desired(func(d *reconcile.Desired) { d.Team = "nobody" }), wantErr: `team "nobody" is not among the teams`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // two of one name may be about to settle
				o := withSecret()
				if test.arrange != nil {
					test.arrange(o)
				}
				plan := o.diff(t, reconcile.Removal, test.desired)
				require.Len(t, plan.Environments, 1)
				if test.wantErr != "" {
					require.ErrorContains(t, plan.Err(), test.wantErr)
					assert.Empty(t, plan.Environments[0].Change)
					assert.Empty(t, plan.Environments[0].Schedules)
					assert.Empty(t, plan.Secrets)
					assert.False(t, plan.Changes())
					return
				}
				require.NoError(t, plan.Err())
				assert.Equal(t, test.want, exported(plan.Environments[0]))
				assert.Equal(t, test.warn, plan.Warnings)
				assert.Equal(t, test.notes, plan.Notes)
				assert.Equal(t, test.want.Change == reconcile.Delete, plan.Changes())
				assert.Equal(t, reconcile.Keep, plan.SecretOf(plan.Environments[0]).Change, "it was not asked for")
				assert.Empty(t, o.begun)
			})
		})
	}
}

// TestWhatStandsInTheWayOfARemoval: who uses the environment, and that nobody knows.
func TestWhatStandsInTheWayOfARemoval(t *testing.T) {
	t.Parallel()
	broken := refuses(errors.New("connection refused"))
	for name, test := range map[string]struct {
		arrange func(*oz)
		uses    string   // in words, with SC for the schedule's ID
		unknown []string // why nobody knows
		notes   []string
	}{
		"nothing": {},
		"what uses another environment": {arrange: func(o *oz) {
			o.integrations["En9"] = []string{"slack"}
			o.schedule(acme, foreignSchedule("x", "En9", ""))
			o.factories = []warp.Factory{{UID: "Fa1", Name: "f", EnvironmentID: "En9"}, {UID: "Fa2", Name: "g"}}
			o.going["En9"] = []warp.Run{{ID: "run"}}
		}},
		"an integration": {arrange: func(o *oz) { o.integrations[uid] = []string{"slack", "linear"} }, uses: "the integration linear, the integration slack"},
		"a schedule":     {arrange: func(o *oz) { o.schedule(acme, foreignSchedule("x", uid, "")) }, uses: `the schedule "x" (SC)`},
		"a schedule of another owner, of the name": {arrange: func(o *oz) { o.schedule(jane, foreignSchedule("acme-api", uid, "")) }, uses: `the schedule "acme-api" (SC)`},
		"a factory": {arrange: func(o *oz) { o.factories = []warp.Factory{{UID: "Fa1", Name: "f", EnvironmentID: uid}} }, uses: `the factory "f" (Fa1)`},
		"a run":     {arrange: func(o *oz) { o.going[uid] = []warp.Run{{ID: "run-1"}} }, uses: "the run run-1, which has not ended"},
		"all of them": {arrange: func(o *oz) {
			o.integrations[uid] = []string{"slack"}
			o.schedule(acme, foreignSchedule("x", uid, ""))
			o.factories = []warp.Factory{{UID: "Fa1", Name: "f", EnvironmentID: uid}}
			o.going[uid] = []warp.Run{{ID: "a"}, {ID: "b"}}
		}, uses: `the integration slack, the schedule "x" (SC), the factory "f" (Fa1), the run a, which has not ended, the run b, which has not ended`},
		"no list of integrations, but those of the environment": {
			arrange: func(o *oz) { o.script["ListConnected"] = broken; o.integrations[uid] = []string{"slack"} },
			uses:    "the integration slack",
		},
		"no integrations at all": {
			arrange: func(o *oz) { o.script["ListConnected"], o.script["ListIntegrations"] = broken, broken },
			unknown: []string{"list the integrations of environment " + uid + ": connection refused"},
		},
		"no list of schedules":             {arrange: func(o *oz) { o.script["ListSchedules"] = broken }, unknown: []string{"list schedules: connection refused"}},
		"no list of schedules in the plan": {arrange: func(o *oz) { o.script["ListSchedules"] = refuses(&warp.Refusal{Status: 403, Message: "no"}) }, unknown: []string{"list schedules: 403: no"}},
		"no list of runs":                  {arrange: func(o *oz) { o.script["ListGoing"] = broken }, unknown: []string{"list the runs in environment " + uid + ": connection refused"}},
		"no list of factories":             {arrange: func(o *oz) { o.script["ListFactories"] = broken }, unknown: []string{"list factories: connection refused"}},
		"factories that are refused":       {arrange: func(o *oz) { o.script["ListFactories"] = refuses(&warp.Refusal{Status: 400, Message: "no"}) }, unknown: []string{"list factories: 400: no"}},
		"no factories in the plan": {arrange: func(o *oz) { o.script["ListFactories"] = refuses(&warp.Refusal{Status: 403, Message: "no"}) },
			notes: []string{"whether a factory uses the environment is not known: list factories: 403: no"}},
		"no factories in an older server": {arrange: func(o *oz) {
			o.script["ListFactories"] = refuses(&warp.Refusal{Status: 404, Message: "page not found"})
		},
			notes: []string{"whether a factory uses the environment is not known: list factories: " + gone404}},
	} {
		for words, forced := range map[string]bool{name: false, name + ", forced": true} {
			t.Run(words, func(t *testing.T) {
				t.Parallel()
				o := removable()
				if test.arrange != nil {
					test.arrange(o)
				}
				uses := test.uses
				if len(o.schedules) > 0 {
					uses = strings.ReplaceAll(uses, "SC", o.schedules[0].ID)
				}
				plan := o.diff(t, reconcile.Removal, desired(func(d *reconcile.Desired) { d.Force = forced }))
				assert.Equal(t, test.notes, plan.Notes)
				var warnings []string
				if uses != "" {
					warnings = append(warnings, "environment "+whole+" is deleted although it is used by "+uses)
				}
				for _, why := range test.unknown {
					warnings = append(warnings, "environment "+whole+" is deleted although not everything that uses it could be read: "+why)
				}
				switch {
				case forced || len(warnings) == 0:
					require.NoError(t, plan.Err())
					assert.Equal(t, warnings, plan.Warnings)
					assert.Equal(t, reconcile.Delete, plan.Environments[0].Change)
				case uses != "":
					require.EqualError(t, plan.Err(), "environment "+whole+" is used by "+uses+"; remove these uses first, set schedule_name if a schedule is this program's, or set force: true")
				default:
					require.EqualError(t, plan.Err(), "what uses environment "+whole+" could not be read: "+strings.Join(test.unknown, "\n")+"; run again, or set force: true")
				}
				if plan.Err() != nil {
					assert.Empty(t, plan.Warnings)
					assert.Empty(t, plan.Environments[0].Change)
				}
			})
		}
	}
}

func TestARemovalTakesOurSchedulesAlong(t *testing.T) {
	t.Parallel()
	o := removable()
	one := o.schedule(acme, request(uid))
	two := o.schedule(acme, with(with(request(uid), "name", "old"), "enabled", false))
	o.schedule(acme, with(configured(request(uid), `{"environment_id":"En9"}`), "metadata", nil))
	plan := o.diff(t, reconcile.Removal, desired())
	require.NoError(t, plan.Err())
	assert.Equal(t, []schedulePlan{
		{ID: one, Name: "acme-api", Cron: "0 4 * * *", Enabled: true, Change: reconcile.Delete},
		{ID: two, Name: "old", Cron: "0 4 * * *", Change: reconcile.Delete},
	}, exportedSchedules(plan.Environments[0]))

	// An older server keeps no marks: ours are those of the name.
	o = removable()
	mine := o.schedule(acme, with(with(request(uid), "metadata", nil), "name", "mine"))
	plan = o.diff(t, reconcile.Removal, desired(func(d *reconcile.Desired) { d.Schedule = &reconcile.DesiredSchedule{Name: "mine"} }))
	require.NoError(t, plan.Err())
	assert.Equal(t, mine, plan.Environments[0].Schedules[0].ID)
	require.ErrorContains(t, o.diff(t, reconcile.Removal, desired()).Err(), `is used by the schedule "mine" (`+mine+`)`)

	// Those of an environment that went without them.
	for name, arrange := range map[string]func(*oz){"gone": func(*oz) {}, "in the trash": trashed(acme, clones("acme-api"))} {
		o = withSecret()
		arrange(o)
		left := o.schedule(acme, request(uid))
		plan = o.diff(t, reconcile.Removal, desired(byID))
		require.NoError(t, plan.Err(), name)
		assert.Equal(t, reconcile.Keep, plan.Environments[0].Change, name)
		require.Len(t, plan.Environments[0].Schedules, 1, name)
		assert.True(t, plan.Changes(), name)
		o.script["ListIntegrations"] = refuses(no("not found")) // nobody looks for who uses what is gone
		done := o.applier(o).Apply(t.Context(), plan, nil)
		require.NoError(t, done.Err(), name)
		assert.Equal(t, []string{"EnableSchedule", "DeleteSchedule"}, o.begun, name)
		assert.Equal(t, []reconcile.StoredSchedule{{ID: left, Name: "acme-api", Change: reconcile.Delete}}, done.Environments[0].Schedules)
		assert.Equal(t, reconcile.Keep, done.Environments[0].Change)
		assert.Empty(t, o.schedules, name)
	}

	// Without an environment nobody knows which they are.
	o = withSecret()
	o.schedule(acme, `{"name":"acme-api","cron_schedule":"0 4 * * *","prompt":"p","enabled":true}`)
	plan = o.diff(t, reconcile.Removal, desired())
	require.NoError(t, plan.Err())
	assert.Empty(t, plan.Environments[0].Schedules)
}

// TestWhoKeepsASecret: what else reads it, by its owner as well as by its name.
func TestWhoKeepsASecret(t *testing.T) {
	t.Parallel()
	const reads = `,"secrets":[{"name":"TOKEN"}]`
	personal := func(o *oz) {
		o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: jane, Type: warp.RawValue}, "mine"})
	}
	for name, test := range map[string]struct {
		arrange func(*oz)
		scope   warp.OwnerType
		readers string // in words, with SC for the schedule's ID; empty: it is deleted
	}{
		"nobody":                                 {},
		"an environment":                         {arrange: environment(acme, clones("web")), readers: `environment "web" (En00000000000000000002)`},
		"one that lists it":                      {arrange: environment(acme, `{"name":"web","secrets":[{"name":"TOKEN"}]}`), readers: `environment "web" (En00000000000000000002)`},
		"two":                                    {arrange: func(o *oz) { o.add(acme, clones("a")); o.add(acme, clones("b")) }, readers: `environment "a" (En00000000000000000002), environment "b" (En00000000000000000003)`},
		"one of another secret":                  {arrange: environment(acme, strings.ReplaceAll(clones("web"), "TOKEN", "TOKENS"))},
		"one of another team":                    {arrange: environment(other, clones("web"))},
		"one of the caller":                      {arrange: environment(jane, clones("web")), readers: `environment "web" (En00000000000000000002)`},
		"one of the caller, with one of its own": {arrange: func(o *oz) { o.add(jane, clones("web")); personal(o) }},
		"one in the trash":                       {arrange: trashed(acme, clones("web"))},
		"a schedule elsewhere":                   {arrange: func(o *oz) { o.schedule(acme, foreignSchedule("x", "En9", reads)) }, readers: `schedule "x" (SC)`},
		"a schedule without an environment":      {arrange: func(o *oz) { o.schedule(warp.Owner{}, `{"name":"x","agent_config":{"secrets":[{"name":"TOKEN"}]}}`) }, readers: `schedule "x" (SC)`},
		"a schedule of the caller":               {arrange: func(o *oz) { o.schedule(jane, foreignSchedule("x", "En9", reads)) }, readers: `schedule "x" (SC)`},
		"a schedule of another team":             {arrange: func(o *oz) { o.schedule(other, foreignSchedule("x", "En9", reads)) }},
		"a schedule of another secret":           {arrange: func(o *oz) { o.schedule(acme, foreignSchedule("x", "En9", `,"secrets":[{"name":"TOKENS"}]`)) }},
		"an MCP server": {arrange: func(o *oz) {
			o.schedule(acme, foreignSchedule("x", "En9", `,"mcp_servers":{"s":{"env":{"A":"${TOKEN}"}}}`))
		}, readers: `schedule "x" (SC)`},
		"our own schedule": {arrange: func(o *oz) { o.schedule(acme, request(uid)) }},
		"an integration": {arrange: func(o *oz) {
			o.connected = []warp.Integration{{Provider: "slack", EnvironmentID: "En9", Secrets: []string{"A", "TOKEN"}}}
		}, readers: "integration slack"},
		"an integration of another secret": {arrange: func(o *oz) { o.connected = []warp.Integration{{Provider: "slack", Secrets: []string{"TOKENS"}}} }},
		"a factory":                        {arrange: func(o *oz) { o.factories = []warp.Factory{{UID: "Fa1", Name: "f", Secrets: []string{"TOKEN"}}} }, readers: `factory "f" (Fa1)`},
		"a factory of another secret":      {arrange: func(o *oz) { o.factories = []warp.Factory{{UID: "Fa1", Name: "f", Secrets: []string{"TOKENS"}}} }},
		"a personal one, of a team's":      {arrange: func(o *oz) { personal(o); o.add(jane, clones("acme-api")) }, scope: warp.UserOwner},
		"a personal one, of the caller": {arrange: func(o *oz) {
			personal(o)
			o.add(jane, clones("acme-api"))
			o.add(jane, clones("web"))
		}, scope: warp.UserOwner, readers: `environment "web" (En00000000000000000003)`},
	} {
		for words, forced := range map[string]bool{name: false, name + ", forced": true} {
			t.Run(words, func(t *testing.T) {
				t.Parallel()
				o := removable()
				if test.arrange != nil {
					test.arrange(o)
				}
				readers := test.readers
				if len(o.schedules) > 0 {
					readers = strings.ReplaceAll(readers, "SC", o.schedules[0].ID)
				}
				plan := o.planFor(t, reconcile.Removal, desired(withSecretToo, func(d *reconcile.Desired) {
					d.Force = forced
					if test.scope != "" {
						d.Scope = test.scope
					}
				}))
				secret := plan.SecretOf(plan.Environments[0])
				secrets := len(o.secrets)
				done := o.applier(o).Apply(t.Context(), plan, nil)
				require.NoError(t, done.Err())
				assert.Equal(t, reconcile.Delete, done.Environments[0].Change)
				if readers != "" {
					assert.Equal(t, reconcile.Keep, secret.Change)
					assert.Equal(t, []string{`secret "TOKEN" is kept, because something else uses it: ` + readers}, plan.Warnings)
					assert.Equal(t, reconcile.Keep, done.Secrets[0].Change)
					assert.Len(t, o.secrets, secrets)
					return
				}
				assert.Equal(t, reconcile.Delete, secret.Change)
				assert.Empty(t, plan.Warnings)
				assert.Equal(t, reconcile.Delete, done.Secrets[0].Change)
				assert.Len(t, o.secrets, secrets-1)
				assert.Nil(t, o.secret(secret.Owner, "TOKEN"))
				assert.Empty(t, secret.Others)
			})
		}
	}
}

func TestWhichSecretARemovalIsAbout(t *testing.T) {
	t.Parallel()
	another := strings.ReplaceAll(clones("acme-api"), "TOKEN", "NPM_TOKEN")
	two := func(first, second string) string {
		return `{"name":"acme-api","setup_commands":["git clone https://x-token-auth:$` + first + `@bitbucket.org/acme/api.git","git clone https://x-token-auth:$` + second +
			`@bitbucket.org/acme/web.git"],"secrets":[{"name":"` + first + `"},{"name":"` + second + `"}]}`
	}
	several, severalOurs := two("NPM_TOKEN", "OTHER_TOKEN"), two("NPM_TOKEN", "TOKEN")
	ask := func(d *reconcile.Desired) { d.DeleteSecret = true }
	nameless := func(d *reconcile.Desired) { d.SecretName = "" }
	for name, test := range map[string]struct {
		model   string // empty: there is no environment
		kind    warp.SecretType
		note    string // in the secret's description
		desired reconcile.Desired
		want    secretPlan // zero: none
		warn    []string
		wantErr string
	}{
		"not asked for":                  {model: clones("acme-api"), desired: desired(), want: secretPlan{"TOKEN", reconcile.Keep}},
		"the given one":                  {model: clones("acme-api"), desired: desired(withSecretToo), want: secretPlan{"TOKEN", reconcile.Delete}},
		"the default":                    {model: clones("acme-api"), desired: desired(ask), want: secretPlan{"TOKEN", reconcile.Delete}},
		"the one that it clones with":    {model: another, desired: desired(ask), want: secretPlan{"NPM_TOKEN", reconcile.Delete}},
		"the one, without a default":     {model: another, desired: desired(ask, nameless), want: secretPlan{"NPM_TOKEN", reconcile.Delete}},
		"of an environment that is gone": {desired: desired(ask), note: "rotated by oz-bitbucket on 2026-11-24", want: secretPlan{"TOKEN", reconcile.Delete}},
		"of an environment that is gone, and never ours": {desired: desired(ask), want: secretPlan{"TOKEN", reconcile.Keep},
			warn: []string{`secret "TOKEN" is kept: there is no environment that names it, and this program has not written it; to delete it, set secret_name`}},
		"of an environment that is gone, the given one": {desired: desired(withSecretToo), want: secretPlan{"TOKEN", reconcile.Delete}},
		"several, and none is the default": {model: several, desired: desired(ask, nameless),
			warn: []string{"environment " + whole + " clones with several secrets (NPM_TOKEN, OTHER_TOKEN), so none is deleted; set secret_name"}},
		"several, the default among them":  {model: severalOurs, desired: desired(ask), want: secretPlan{"TOKEN", reconcile.Delete}},
		"of another type":                  {model: clones("acme-api"), kind: "DOTENVX", desired: desired(ask), wantErr: `secret "TOKEN" has the type DOTENVX, which this program does not write, so it is not deleted; leave delete_secret out, or check secret_name`},
		"of another type, not asked for":   {model: clones("acme-api"), kind: "DOTENVX", desired: desired(), want: secretPlan{"TOKEN", reconcile.Keep}},
		"none, and none is asked for":      {desired: desired(nameless)},
		"none, though one is asked for":    {desired: desired(ask, nameless), warn: []string{"neither the inputs nor an environment name a secret, so none is deleted; set secret_name"}},
		"one that is not there":            {desired: desired(ask, func(d *reconcile.Desired) { d.SecretName = "NONE" }), want: secretPlan{"NONE", reconcile.Keep}},
		"one that is not there, of others": {desired: desired(ask, func(d *reconcile.Desired) { d.Scope = warp.UserOwner }), want: secretPlan{"TOKEN", reconcile.Keep}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := withSecret()
			o.secret(acme, "TOKEN").Description = cmp.Or(test.note, "for ci")
			if test.kind != "" {
				o.secret(acme, "TOKEN").Type = test.kind
			}
			if test.model != "" {
				o.add(acme, test.model)
			}
			plan := o.diff(t, reconcile.Removal, test.desired)
			if test.wantErr != "" {
				require.EqualError(t, plan.Err(), test.wantErr)
				assert.Empty(t, plan.Environments[0].Change)
				return
			}
			require.NoError(t, plan.Err())
			secret := plan.SecretOf(plan.Environments[0])
			assert.Equal(t, test.want, secretPlan{secret.Name, secret.Change})
			assert.Equal(t, test.warn, plan.Warnings)
			before := len(o.secrets)
			done := o.applier(o).Apply(t.Context(), plan, nil)
			require.NoError(t, done.Err())
			if test.want.Change == reconcile.Delete {
				before--
				assert.Nil(t, o.secret(acme, test.want.Name))
			}
			assert.Len(t, o.secrets, before)
		})
	}
}

// TestWhoReadsTheSecretOfTheEnvironment is asked of the one with which it clones, not of the default.
func TestWhoReadsTheSecretOfTheEnvironment(t *testing.T) {
	t.Parallel()
	npm := func(name string) string { return strings.ReplaceAll(clones(name), "TOKEN", "NPM_TOKEN") }
	for name, test := range map[string]struct {
		arrange func(*oz)
		warn    []string
		want    reconcile.Change
	}{
		"another environment": {environment(acme, npm("web")),
			[]string{`secret "NPM_TOKEN" is kept, because something else uses it: environment "web" (En00000000000000000002)`}, reconcile.Keep},
		"one in the trash":   {trashed(acme, npm("web")), nil, reconcile.Delete},
		"one of the default": {environment(acme, clones("web")), nil, reconcile.Delete},
	} {
		for by, change := range map[string]func(*reconcile.Desired){"by name": func(*reconcile.Desired) {}, "by ID": byID} {
			o := withSecret()
			o.add(acme, npm("acme-api"))
			test.arrange(o)
			plan := o.planFor(t, reconcile.Removal, desired(change, func(d *reconcile.Desired) { d.DeleteSecret = true }))
			assert.Equal(t, test.warn, plan.Warnings, "%s, %s", name, by)
			assert.Equal(t, secretPlan{"NPM_TOKEN", test.want}, secretPlan{plan.Secrets[0].Name, plan.Secrets[0].Change}, "%s, %s", name, by)
		}
	}
}

// TestAnEnvironmentThatCannotBeReadIsNotGone, listed or not.
func TestAnEnvironmentThatCannotBeReadIsNotGone(t *testing.T) {
	t.Parallel()
	for name, arrange := range map[string]func(*oz){"listed": func(*oz) {}, "not listed": func(o *oz) { o.hidden = []string{uid} }} {
		for _, err := range []error{errors.New("connection refused"), &warp.Refusal{Status: 403, Message: "no"}} {
			o := removable()
			arrange(o)
			o.script["GetEnvironment"] = refuses(err)
			_, got := o.observe(t.Context(), reconcile.Removal, desired(byID))
			require.ErrorIs(t, got, err, name)
			require.ErrorContains(t, got, "get environment "+uid, name)
		}
	}
}

// TestASecretWhoseReadersNobodyKnowsStays: another environment has its name, or it is gone, or in the trash, and what
// is listed does not tell which secret is meant.
func TestASecretWhoseReadersNobodyKnowsStays(t *testing.T) {
	t.Parallel()
	ask := func(d *reconcile.Desired) { d.DeleteSecret = true }
	npm := func(name string) string { return strings.ReplaceAll(clones(name), "TOKEN", "NPM_TOKEN") }
	broken := refuses(errors.New("connection refused"))
	for name, test := range map[string]struct {
		arrange func(*oz)
		desired reconcile.Desired
	}{
		"the first listed of the name is in the trash, with another secret": {func(o *oz) {
			trashed(acme, npm("acme-api"))(o)
			o.add(acme, clones("acme-api"))
			o.add(acme, clones("web"))
		}, desired(ask)},
		"it is in the trash, with another secret": {func(o *oz) {
			trashed(acme, npm("acme-api"))(o)
			o.add(acme, clones("web"))
		}, desired(byID, ask)},
		"it is not listed, with another secret": {func(o *oz) {
			o.add(acme, clones("acme-api"))
			o.add(acme, clones("web"))
			o.hidden = []string{uid}
		}, desired(byID, ask, func(d *reconcile.Desired) { d.SecretName = "NPM_TOKEN" })},
		"it is gone, and integrations are unknown": {func(o *oz) {
			o.connected = []warp.Integration{{Provider: "slack", Secrets: []string{"TOKEN"}}}
			o.script["ListConnected"] = broken
		}, desired(withSecretToo)},
		"it is gone, and factories are unknown": {func(o *oz) {
			o.factories = []warp.Factory{{UID: "Fa1", Name: "f", Secrets: []string{"TOKEN"}}}
			o.script["ListFactories"] = broken
		}, desired(withSecretToo)},
		"it is gone, and schedules are unknown": {func(o *oz) {
			o.schedule(acme, foreignSchedule("x", "En9", `,"secrets":[{"name":"TOKEN"}]`))
			o.script["ListSchedules"] = broken
		}, desired(withSecretToo)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := withSecret()
			test.arrange(o)
			plan := o.diff(t, reconcile.Removal, test.desired)
			if plan.Err() == nil {
				o.applier(o).Apply(t.Context(), plan, nil)
			}
			assert.NotContains(t, o.begun, "DeleteSecret")
			assert.NotNil(t, o.secret(acme, "TOKEN"))
		})
	}
}
