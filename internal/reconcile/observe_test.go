package reconcile_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

func TestObserveFindsTheOwner(t *testing.T) {
	t.Parallel()
	two := []warp.Team{{UID: team.UID, Name: "Acme"}, {UID: others.UID, Name: "Others"}}
	tests := []struct {
		name    string
		teams   []warp.Team
		robot   bool
		scope   warp.OwnerType
		team    string
		want    warp.Owner
		wantErr string
	}{
		{"the only team", two[:1], false, warp.TeamOwner, "", team, ""},
		{"a team by name", two, false, warp.TeamOwner, "Others", others, ""},
		{"a team by UID", two, true, warp.TeamOwner, others.UID, others, ""},
		{"a UID before a name", []warp.Team{{UID: team.UID, Name: others.UID}, two[1]}, false, warp.TeamOwner, others.UID, others, ""},
		{"the user", two, false, warp.UserOwner, "", user, ""},
		{"no team", nil, false, warp.TeamOwner, "", warp.Owner{}, "sees no team"},
		{"several teams", two, false, warp.TeamOwner, "", warp.Owner{}, others.UID},
		{"several teams of one name", []warp.Team{{UID: team.UID, Name: "X"}, {UID: others.UID, Name: "X"}}, false, warp.TeamOwner, "X", warp.Owner{}, "several teams"},
		{"an unknown team", two, false, warp.TeamOwner, "acme", warp.Owner{}, `team "acme" is not among`},
		{"a service account's own", two, true, warp.UserOwner, "", warp.Owner{}, "service account"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newOz()
			server.caller.Teams, server.caller.ServiceAccount = tt.teams, tt.robot
			d := desired()
			d.Scope, d.Team = tt.scope, tt.team
			observed, err := reconcile.Observe(t.Context(), server, d)
			if tt.wantErr != "" {
				require.ErrorContains(t, err, tt.wantErr)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, observed.Owner)
		})
	}
}

func TestObserveFindsWhatIsThere(t *testing.T) {
	t.Parallel()
	server := newOz()
	server.secrets = []stored{
		{Secret: warp.Secret{Name: "TOKEN", Owner: others, Type: warp.RawValue}},
		{Secret: warp.Secret{Name: "TOKEN", Owner: user, Type: warp.RawValue}},
		{Secret: warp.Secret{Name: "TOKEN", Owner: team, Type: warp.RawValue, UpdatedAt: "then"}},
		{Secret: warp.Secret{Name: "OTHER", Owner: team}},
	}
	mine := server.add(team, `{"name":"ci"}`)
	server.add(others, `{"name":"ci"}`)
	server.add(team, `{"name":"CI"}`)
	trashed := server.add(team, `{"name":"ci"}`)
	server.find(trashed).Trashed = true
	server.integrations[mine] = []string{"slack"}

	observed, err := reconcile.Observe(t.Context(), server, desired())
	require.NoError(t, err)
	assert.Equal(t, "then", observed.Secret.UpdatedAt)
	assert.Equal(t, []string{"OTHER"}, observed.OtherSecrets)
	assert.True(t, observed.Personal)
	assert.Equal(t, warp.UploadKey("team key"), observed.UploadKey)
	require.Len(t, observed.Environments, 1)
	assert.Equal(t, mine, observed.Environments[0].UID)
	assert.Equal(t, []string{"slack"}, observed.Environments[0].Integrations)

	d := desired()
	d.EnvironmentID = server.add(team, `{"name":"by hand"}`)
	observed, err = reconcile.Observe(t.Context(), server, d)
	require.NoError(t, err)
	assert.Equal(t, d.EnvironmentID, observed.Environments[0].UID)
	assert.Equal(t, []string{mine, trashed}, observed.Namesakes)
}

func TestObserveNamesWhatItCouldNotRead(t *testing.T) {
	t.Parallel()
	for operation, want := range map[string]string{
		"caller": "look up the caller", "keys": "look up the upload keys", "secrets": "list secrets",
		"environments": "list environments", "environment": "get environment En", "integrations": "list the integrations",
	} {
		server := newOz()
		server.add(team, `{"name":"ci"}`)
		server.strikes[operation] = []strike{{before: errors.New("down")}}
		_, err := reconcile.Observe(t.Context(), server, desired())
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, "down")
	}
}

func TestObserveUsers(t *testing.T) {
	t.Parallel()
	server := newOz()
	listed := server.add(team, `{"name":"listed","secrets":[{"name":"TOKEN"}]}`)
	reads := server.add(team, `{"name":"reads","setup_commands":["x","use it"]}`)
	personal := server.add(user, `{"name":"mine","secrets":[{"name":"TOKEN"}]}`)
	server.add(others, `{"name":"theirs","secrets":[{"name":"TOKEN"}]}`)
	server.add(team, `{"name":"unrelated","secrets":[{"name":"TOKENS"}],"setup_commands":["x"]}`)
	trashed := server.add(team, `{"name":"trashed","secrets":[{"name":"TOKEN"}]}`)
	server.find(trashed).Trashed = true
	uses := func(commands []string) bool { return len(commands) == 2 }
	users := func(d reconcile.Desired) []string {
		observed, err := reconcile.ObserveUsers(t.Context(), server, d, uses)
		require.NoError(t, err)
		var uids []string
		for _, e := range observed.Environments {
			uids = append(uids, e.UID)
		}
		return uids
	}
	assert.Equal(t, []string{listed, reads, personal}, users(desired()))
	server.secrets = []stored{{Secret: warp.Secret{Name: "TOKEN", Owner: user}}}
	assert.Equal(t, []string{listed, reads}, users(desired()), "a personal secret hides the team's")
	d := desired()
	d.Scope = warp.UserOwner
	assert.Equal(t, []string{personal}, users(d))
}
