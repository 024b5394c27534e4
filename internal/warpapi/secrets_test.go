package warpapi_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

func TestGetCaller(t *testing.T) {
	t.Parallel()
	const other = "Tm0000000000000000000B"
	both := append([]warpsim.Team{{UID: other, Name: "Beta"}}, simTeams...)
	tests := []struct {
		name      string
		principal warpsim.Principal
		want      warp.Caller
	}{
		{"a user", warpsim.Principal{UID: userUID, Teams: simTeams}, warp.Caller{UID: userUID, Teams: []warp.Team{{UID: teamUID, Name: "Acme"}}}},
		{"a user of two teams", warpsim.Principal{UID: userUID, Teams: both}, warp.Caller{UID: userUID, Teams: []warp.Team{{UID: other, Name: "Beta"}, {UID: teamUID, Name: "Acme"}}}},
		{"a user of no team", warpsim.Principal{UID: userUID}, warp.Caller{UID: userUID}},
		{"a service account", warpsim.Principal{UID: "robot", ServiceAccount: true, Teams: simTeams},
			warp.Caller{UID: "serviceAccount:robot", ServiceAccount: true, Teams: []warp.Team{{UID: teamUID, Name: "Acme"}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			oz := warpsim.Start(warpsim.Options{})
			t.Cleanup(oz.Close)
			oz.AddKey(apiKey, test.principal)

			caller, err := newClient(t, oz.URL()).GetCaller(t.Context())

			require.NoError(t, err)
			assert.Equal(t, test.want, caller)
			assert.Empty(t, oz.Violations())
		})
	}
}

func TestTeamOfTwoWorkspacesCountsOnce(t *testing.T) {
	t.Parallel()
	c := answering(t, canned{200, nil, `{"data":{"user":{"__typename":"UserOutput","principalType":"ROBOT","user":{"profile":{"uid":"` + userUID + `"},
		"workspaces":[{"teams":[{"uid":"` + teamUID + `","name":"A"}]},{"teams":[]},{"teams":[{"uid":"` + teamUID + `","name":"A"},{"uid":"` + otherUID + `","name":"B"}]}]}}}}`}, "")

	caller, err := c.GetCaller(t.Context())

	require.NoError(t, err)
	assert.Equal(t, warp.Caller{UID: userUID, Teams: []warp.Team{{UID: teamUID, Name: "A"}, {UID: otherUID, Name: "B"}}}, caller)
}

func TestGetUploadKeys(t *testing.T) {
	t.Parallel()
	const bare = "Tm0000000000000000000B"
	for name, without := range map[string]bool{"with a user's": false, "without a user's": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			oz := warpsim.Start(warpsim.Options{})
			t.Cleanup(oz.Close)
			oz.AddKey(apiKey, warpsim.Principal{UID: userUID, NoUploadKey: without, Teams: append([]warpsim.Team{{UID: bare, NoUploadKey: true}}, simTeams...)})

			keys, err := newClient(t, oz.URL()).GetUploadKeys(t.Context())

			require.NoError(t, err)
			assert.Equal(t, without, keys.For(user) == "")
			assert.NotEmpty(t, keys.For(team))
			assert.NotEqual(t, keys.For(user), keys.For(team))
			assert.NotContains(t, keys.Teams, bare, "a team without a key is left out")
		})
	}
}

func TestSecretsAreWrittenForTheirOwner(t *testing.T) {
	t.Parallel()
	for name, owner := range map[string]warp.Owner{"team": team, "user": user} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			oz, c := newOz(t)
			value, next := sealed(t, c, owner, "TOKEN", "first value"), sealed(t, c, owner, "TOKEN", "next value")

			createdAt, err := c.CreateSecret(t.Context(), owner, "TOKEN", "for ci", value)
			require.NoError(t, err)
			created, err := c.ListSecrets(t.Context())
			require.NoError(t, err)
			updatedAt, err := c.UpdateSecret(t.Context(), owner, "TOKEN", "", next)
			require.NoError(t, err)
			updated, err := c.ListSecrets(t.Context())
			require.NoError(t, err)

			require.Len(t, oz.Secrets(), 1)
			got := oz.Secrets()[0]
			assert.Equal(t, []any{string(owner.Type), owner.UID, "TOKEN", "RAW_VALUE", "next value", 2},
				[]any{got.Owner.Type, got.Owner.UID, got.Name, got.Type, got.Value, got.Versions})
			require.Len(t, created, 1)
			require.Len(t, updated, 1)
			assert.Equal(t, created[0].UpdatedAt, createdAt, "the stamp of this write")
			assert.Equal(t, updated[0].UpdatedAt, updatedAt, "the stamp of this write")
			assert.NotEqual(t, createdAt, updatedAt)
			assert.Equal(t, warp.Secret{Name: "TOKEN", Owner: owner, Type: warp.RawValue, UpdatedAt: updated[0].UpdatedAt, Description: "for ci"}, updated[0], "no description leaves the one that is there")
			assert.Empty(t, oz.Violations())
		})
	}
}

func TestSecretsOfAllOwnersAreListed(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	oz.AddSecret(teamSim, "TOKEN", "of the team")
	oz.AddSecret(warpsim.Owner{Type: "User", UID: userUID}, "TOKEN", "of the user")
	oz.AddSecret(warpsim.Owner{Type: "User", UID: "another"}, "TOKEN", "of another")

	secrets, err := c.ListSecrets(t.Context())

	require.NoError(t, err)
	require.Len(t, secrets, 2)
	assert.Equal(t, []warp.Owner{team, user}, []warp.Owner{secrets[0].Owner, secrets[1].Owner})
}

func TestTypeOfASecretIsAnOpenList(t *testing.T) {
	t.Parallel()
	c := answering(t, canned{200, nil, `{"data":{"managedSecrets":{"__typename":"ManagedSecretsOutput","managedSecrets":[
		{"name":"N","type":"NEW_KIND","updatedAt":"t","owner":{"type":"Organisation","uid":"o"}}]}}}`}, "")

	secrets, err := c.ListSecrets(t.Context())

	require.NoError(t, err)
	assert.Equal(t, []warp.Secret{{Name: "N", Type: "NEW_KIND", UpdatedAt: "t", Owner: warp.Owner{Type: "Organisation", UID: "o"}}}, secrets)
}

func TestSecretsAreRefused(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	oz.AddSecret(teamSim, "TAKEN", "someone's value")
	before := oz.Secrets()
	other := warp.Owner{Type: warp.TeamOwner, UID: "Tm0000000000000000000Z"}

	for name, test := range map[string]struct {
		err  error
		kind string
	}{
		"a name that is taken":         {errOf(c.CreateSecret(t.Context(), team, "TAKEN", "", sealed(t, c, team, "TAKEN", "mine"))), "InvalidInputError"},
		"a name that is not there":     {errOf(c.UpdateSecret(t.Context(), team, "MISSING", "", sealed(t, c, team, "MISSING", "mine"))), "InvalidInputError"},
		"another team":                 {errOf(c.CreateSecret(t.Context(), other, "NEW", "", sealed(t, c, team, "NEW", "mine"))), "InvalidInputError"},
		"sealed for another name":      {errOf(c.CreateSecret(t.Context(), team, "NEW", "", sealed(t, c, team, "OLD", "mine"))), "InvalidSecretError"},
		"sealed for another owner":     {errOf(c.UpdateSecret(t.Context(), team, "TAKEN", "", sealed(t, c, user, "TAKEN", "mine"))), "InvalidSecretError"},
		"a ciphertext that is no such": {errOf(c.UpdateSecret(t.Context(), team, "TAKEN", "", warp.NewSealedSecret("AAAA"))), "InvalidSecretError"},
	} {
		var refusal *warp.Refusal
		require.ErrorAs(t, test.err, &refusal, name)
		assert.Equal(t, test.kind, refusal.Kind, name)
		assert.NotErrorIs(t, test.err, warp.ErrAnswerLost, name)
	}
	assert.Equal(t, before, oz.Secrets())
}

func TestLostAnswerOfASecret(t *testing.T) {
	t.Parallel()
	for _, when := range []fault.When{fault.Before, fault.After} {
		oz, c := newOz(t)
		value := sealed(t, c, team, "TOKEN", "first value")
		oz.Script.Add(fault.Fault{Operation: "CreateManagedSecret", When: when})

		require.ErrorIs(t, errOf(c.CreateSecret(t.Context(), team, "TOKEN", "", value)), warp.ErrAnswerLost)

		assert.Len(t, oz.Secrets(), int(when), "sent once, whatever became of it")
		assert.Empty(t, oz.Violations())
	}
}

// errOf is the error of a write.
func errOf(_ string, err error) error { return err }
