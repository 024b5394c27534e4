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

func TestObserve(t *testing.T) {
	t.Parallel()
	o := newOz()
	own := o.add(acme, converged)
	o.add(other, converged)
	o.integrations[own] = []string{"slack"}
	o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: acme, Type: warp.RawValue, UpdatedAt: "7"}, "old"})
	observed, err := reconcile.Observe(t.Context(), o, desired())
	require.NoError(t, err)
	assert.False(t, observed.At.IsZero())
	assert.Equal(t, reconcile.Observed{
		At:           observed.At,
		Caller:       o.caller,
		Owner:        acme,
		UploadKey:    "key of acme",
		Secret:       &warp.Secret{Name: "TOKEN", Owner: acme, Type: warp.RawValue, UpdatedAt: "7"},
		OtherSecrets: []string{"NPM_TOKEN"},
		Environments: []reconcile.Candidate{{Environment: o.environments[0], Integrations: []string{"slack"}}},
	}, observed)
	assert.Empty(t, o.begun, "observing writes nothing")
}

func TestObserveByID(t *testing.T) {
	t.Parallel()
	o := newOz()
	first, second := o.add(acme, converged), o.add(acme, converged)
	observed, err := reconcile.Observe(t.Context(), o, desired(func(d *reconcile.Desired) { d.EnvironmentID = second }))
	require.NoError(t, err)
	assert.Equal(t, []reconcile.Candidate{{Environment: o.environments[1]}}, observed.Environments)
	assert.Equal(t, []string{first}, observed.Namesakes)
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
			o.caller = test.caller
			observed, err := reconcile.Observe(t.Context(), o, test.desired)
			if test.wantErr != "" {
				require.EqualError(t, err, test.wantErr)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, observed.Owner)
			assert.Equal(t, o.keys.For(test.want), observed.UploadKey)
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
	observed, err := reconcile.Observe(t.Context(), o, desired(func(d *reconcile.Desired) { d.Scope = warp.UserOwner }))
	require.NoError(t, err)
	require.NotNil(t, observed.Secret)
	var found []string
	for _, candidate := range observed.Environments {
		found = append(found, candidate.UID)
	}
	assert.Equal(t, []string{bare, named}, found)
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
		"ListIntegrations": "list the integrations of environment En00000000000000000001: connection refused",
	} {
		o := newOz()
		o.add(acme, converged)
		o.script[method] = []step{func(context.Context, func() error) error { return broken }}
		_, err := reconcile.Observe(t.Context(), o, desired())
		require.EqualError(t, err, want)
		assert.ErrorIs(t, err, broken)
	}
	o := newOz()
	_, err := reconcile.Observe(t.Context(), o, desired(byID))
	assert.ErrorContains(t, err, "get environment En00000000000000000001: ", "an ID that does not exist")
}

// Jobs that start together create one each for a moment.
func TestObserveWaitsForOthersToSettle(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]step{
		"while they are two":        fine,
		"while one is just leaving": refused,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOz()
				stays := o.add(acme, converged)
				goes := o.add(acme, converged)
				o.script["GetEnvironment"] = []step{fine, other}
				time.AfterFunc(time.Second, func() { _ = o.DeleteEnvironment(t.Context(), goes) })
				observed, err := reconcile.Observe(t.Context(), o, desired())
				require.NoError(t, err)
				require.Len(t, observed.Environments, 1)
				assert.Equal(t, stays, observed.Environments[0].UID)
			})
		})
	}
}
