package reconcile_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// observe reads the world for one entry.
func (o *oz) observe(ctx context.Context, mode reconcile.Mode, d reconcile.Desired) (reconcile.World, error) {
	return reconcile.Observe(ctx, o, mode, []reconcile.Desired{d})
}

// diff reads the world and plans for one entry.
func (o *oz) diff(t *testing.T, mode reconcile.Mode, d reconcile.Desired) reconcile.Plan {
	t.Helper()
	world, err := o.observe(t.Context(), mode, d)
	require.NoError(t, err)
	return reconcile.Diff(mode, []reconcile.Desired{d}, world)
}

func TestObserve(t *testing.T) {
	t.Parallel()
	o := newOz()
	own := o.add(acme, converged)
	o.add(other, converged)
	o.integrations[own] = []string{"slack"}
	world, err := o.observe(t.Context(), reconcile.Provision, desired())
	require.NoError(t, err)
	assert.False(t, world.At.IsZero())
	assert.Equal(t, o.caller, world.Caller)
	assert.Equal(t, o.keys, world.Keys)
	assert.Len(t, world.Secrets, 2)
	assert.Len(t, world.Listings, 2)
	assert.Equal(t, map[string]reconcile.Object{own: {Environment: o.environments[0]}}, world.Objects)
	assert.Equal(t, []warp.Integration{{Provider: "slack", EnvironmentID: own}}, world.Integrations)
	assert.Empty(t, o.begun, "observing writes nothing")
}

// TestObserveReadsWhoReadsTheSecret: they are read whole, for a list may hold
// what is in the trash.
func TestObserveReadsWhoReadsTheSecret(t *testing.T) {
	t.Parallel()
	o := newOz()
	own, reader := o.add(acme, converged), o.add(acme, `{"name":"reader","secrets":[{"name":"TOKEN"}]}`)
	o.add(acme, `{"name":"another"}`)
	o.integrations[reader] = []string{"slack"}
	read := func(mode reconcile.Mode) (uids []string) {
		world, err := o.observe(t.Context(), mode, desired())
		require.NoError(t, err)
		for _, uid := range []string{own, reader} {
			if _, there := world.Objects[uid]; there {
				uids = append(uids, uid)
			}
		}
		assert.Len(t, world.Objects, len(uids))
		assert.Empty(t, world.Objects[reader].Integrations, "those are nobody's business")
		return uids
	}
	assert.Equal(t, []string{own}, read(reconcile.Provision), "nothing is overwritten where there is no secret")
	o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: acme, Type: warp.RawValue}, "old"})
	assert.Equal(t, []string{own, reader}, read(reconcile.Provision))
	assert.Equal(t, []string{own, reader}, read(reconcile.Rotation))
}

func TestOwners(t *testing.T) {
	t.Parallel()
	const a, b = "Tm0000000000000000000A", "Tm0000000000000000000B"
	team := func(name string) func(*reconcile.Desired) { return func(d *reconcile.Desired) { d.Team = name } }
	personal := func(d *reconcile.Desired) { d.Scope = warp.UserOwner }
	one := []warp.Team{{UID: a, Name: "Acme"}}
	two := []warp.Team{{UID: a, Name: "Acme"}, {UID: b, Name: "Beta"}}
	twins := []warp.Team{{UID: a, Name: "Acme"}, {UID: b, Name: "Acme"}}
	tests := []struct {
		name    string
		caller  warp.Caller
		desired reconcile.Desired
		want    warp.Owner
		wantErr string
	}{
		{"the only team", warp.Caller{UID: "jane", Teams: one}, desired(), acme, ""},
		{"the only team, of a service account", warp.Caller{UID: "serviceAccount:x", ServiceAccount: true, Teams: one}, desired(), acme, ""},
		{"no team", warp.Caller{UID: "jane"}, desired(), warp.Owner{}, "scope is team, but warp_api_key sees no team; use scope: personal, or the key of a team member"},
		{"several teams", warp.Caller{UID: "jane", Teams: two}, desired(), warp.Owner{}, `warp_api_key sees several teams: ` + a + ` ("Acme"), ` + b + ` ("Beta"); set team to the UID of one`},
		{"by name", warp.Caller{UID: "jane", Teams: two}, desired(team("Beta")), other, ""},
		{"by UID", warp.Caller{UID: "jane", Teams: two}, desired(team(b)), other, ""},
		{"by UID, which another team has for a name", warp.Caller{UID: "jane", Teams: []warp.Team{{UID: a, Name: b}, {UID: b, Name: "Beta"}}}, desired(team(b)), other, ""},
		{"by the wrong case", warp.Caller{UID: "jane", Teams: two}, desired(team("beta")), warp.Owner{}, `team "beta" is not among the teams that warp_api_key sees: ` + a + ` ("Acme"), ` + b + ` ("Beta")`},
		{"by a name of two", warp.Caller{UID: "jane", Teams: twins}, desired(team("Acme")), warp.Owner{}, `warp_api_key sees several teams: ` + a + ` ("Acme"), ` + b + ` ("Acme"); set team to the UID of one`},
		{"another than the only team", warp.Caller{UID: "jane", Teams: one}, desired(team("Beta")), warp.Owner{}, `team "Beta" is not among the teams that warp_api_key sees: ` + a + ` ("Acme")`},
		{"by name without a team", warp.Caller{UID: "jane"}, desired(team("Beta")), warp.Owner{}, "scope is team, but warp_api_key sees no team; use scope: personal, or the key of a team member"},
		{"personal", warp.Caller{UID: "jane", Teams: two}, desired(personal), jane, ""},
		{"personal without a team", warp.Caller{UID: "jane"}, desired(personal), jane, ""},
		{"personal, of a service account", warp.Caller{UID: "serviceAccount:x", ServiceAccount: true, Teams: one}, desired(personal), warp.Owner{}, "scope is personal, but warp_api_key belongs to a service account, which owns nothing itself; use scope: team, or a personal API key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := newOz()
			o.caller, o.keys.Teams[other.UID] = test.caller, "key of other"
			o.secrets = nil
			plan := o.diff(t, reconcile.Provision, test.desired)
			if test.wantErr != "" {
				require.EqualError(t, plan.Err(), test.wantErr)
				assert.Empty(t, plan.Secrets)
				return
			}
			require.NoError(t, plan.Err())
			assert.Equal(t, test.want, plan.Secrets[0].Owner)
			assert.Equal(t, test.want, plan.Environments[0].Owner)
		})
	}
}

// TestPersonalOwners: the server may leave a user's UID out of environments,
// and tells of other users' secrets nothing.
func TestPersonalOwners(t *testing.T) {
	t.Parallel()
	o := newOz()
	o.secrets = []storedSecret{{warp.Secret{Name: "TOKEN", Owner: warp.Owner{Type: warp.UserOwner}, Type: warp.RawValue}, "old"}}
	bare := o.add(warp.Owner{Type: warp.UserOwner}, converged)
	named := o.add(jane, converged)
	o.add(warp.Owner{Type: warp.UserOwner, UID: "joe"}, converged)
	o.add(acme, converged)
	plan := o.diff(t, reconcile.Rotation, desired(func(d *reconcile.Desired) { d.Scope, d.EnvironmentName = warp.UserOwner, "" }))
	require.NoError(t, plan.Err())
	assert.Equal(t, []string{bare, named}, uids(plan))
}

func TestFailedReadsAreNamed(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection refused")
	for method, want := range map[string]string{
		"GetCaller":        "look up the caller: connection refused",
		"GetUploadKeys":    "look up the upload keys: connection refused",
		"ListSecrets":      "list secrets: connection refused",
		"ListEnvironments": "list environments: connection refused",
		"GetEnvironment":   "get environment En00000000000000000001: connection refused",
	} {
		o := newOz()
		o.add(acme, converged)
		o.script[method] = []step{func(context.Context, func() error) error { return broken }}
		_, err := o.observe(t.Context(), reconcile.Provision, desired())
		require.EqualError(t, err, want)
		assert.ErrorIs(t, err, broken)
	}
	o := newOz()
	_, err := o.observe(t.Context(), reconcile.Provision, desired(byID))
	assert.ErrorContains(t, err, "get environment En00000000000000000001: ", "an ID that does not exist")
}

// Jobs that start together create one each for a moment, and an environment of
// somebody else may go at any time.
func TestObserveWaitsForOthersToSettle(t *testing.T) {
	t.Parallel()
	for name, model := range map[string]string{"of the same name": converged, "that reads the secret": `{"name":"reader","secrets":[{"name":"TOKEN"}]}`} {
		for while, other := range map[string]step{"there": fine, "just leaving": refused} {
			t.Run("one "+name+" is "+while, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					o := newOz()
					o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: acme, Type: warp.RawValue}, "old"})
					stays := o.add(acme, converged)
					goes := o.add(acme, model)
					o.script["GetEnvironment"] = []step{fine, other}
					time.AfterFunc(time.Second, func() { _ = o.DeleteEnvironment(t.Context(), goes) })
					plan := o.diff(t, reconcile.Provision, desired())
					require.NoError(t, plan.Err())
					assert.Equal(t, stays, plan.Environments[0].UID)
					if name == "that reads the secret" && while == "there" {
						require.Len(t, plan.Secrets[0].Others, 1)
					}
				})
			})
		}
	}
}
