package reconcile_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// good is a model that is as desired.
const good = `{"name":"ci","docker_image":"ubuntu:24.04","setup_commands":["git clone it"],"secrets":[{"name":"TOKEN"}],"unknown":1.50}`

func TestDiffOfTheEnvironment(t *testing.T) {
	t.Parallel()
	type field = reconcile.Field
	tests := []struct {
		name    string
		models  []string // of environments that are there
		change  func(*reconcile.Desired)
		want    reconcile.Change
		fields  []field
		warning string
		wantErr string
	}{
		{name: "absent", want: reconcile.Create, fields: []field{
			{Name: "name", New: []string{"ci"}}, {Name: "docker_image", New: []string{"warpdotdev/dev-base:latest"}},
			{Name: "setup_commands", New: []string{"git clone it"}}, {Name: "secrets", New: []string{"TOKEN"}},
		}},
		{name: "as desired", models: []string{good}, want: reconcile.Keep},
		{name: "an image that nobody asked to change", models: []string{good}, change: func(d *reconcile.Desired) { d.DockerImage = "" }, want: reconcile.Keep},
		{name: "another image", models: []string{good}, change: func(d *reconcile.Desired) { d.DockerImage = "debian" }, want: reconcile.Update,
			fields: []field{{"docker_image", []string{"ubuntu:24.04"}, []string{"debian"}}}},
		{name: "no image", models: []string{`{"name":"ci","setup_commands":["git clone it"],"secrets":[{"name":"TOKEN"}]}`}, want: reconcile.Update,
			fields: []field{{"docker_image", nil, []string{"warpdotdev/dev-base:latest"}}}},
		{name: "another description", models: []string{good}, change: func(d *reconcile.Desired) { d.Description = "a\nb" }, want: reconcile.Update,
			fields: []field{{"description", nil, []string{"a", "b"}}}},
		{name: "other commands", models: []string{good}, change: func(d *reconcile.Desired) {
			d.SetupCommands = func([]string) []string { return []string{"git clone it", "npm ci"} }
		}, want: reconcile.Update, fields: []field{{"setup_commands", []string{"git clone it"}, []string{"git clone it", "npm ci"}}}},
		{name: "another secret", models: []string{good}, change: func(d *reconcile.Desired) { d.Secrets = []string{"NPM_TOKEN"} }, want: reconcile.Update,
			fields: []field{{"secrets", []string{"TOKEN"}, []string{"TOKEN", "NPM_TOKEN"}}}, warning: `secret "NPM_TOKEN" of environment_secrets does not exist`},
		{name: "more secrets than asked for", models: []string{`{"name":"ci","docker_image":"ubuntu:24.04","setup_commands":["git clone it"],"secrets":[{"name":"X"},{"name":"TOKEN"}]}`}, want: reconcile.Keep},
		{name: "no list of secrets", models: []string{`{"name":"ci","docker_image":"ubuntu:24.04","setup_commands":["git clone it"]}`}, want: reconcile.Update,
			fields: []field{{"secrets", nil, []string{"TOKEN"}}}, warning: "its runs see only the listed ones: TOKEN"},
		{name: "two of one name", models: []string{good, good}, wantErr: "En00000000000000000001, En00000000000000000002"},
		{name: "by ID", models: []string{good, good}, change: func(d *reconcile.Desired) { d.EnvironmentID, d.EnvironmentName = "En00000000000000000002", "" }, want: reconcile.Keep},
		{name: "by ID with its own name", models: []string{good, good}, change: func(d *reconcile.Desired) { d.EnvironmentID = "En00000000000000000002" }, want: reconcile.Keep},
		{name: "renamed", models: []string{good}, change: func(d *reconcile.Desired) { d.EnvironmentID, d.EnvironmentName = "En00000000000000000001", "new" }, want: reconcile.Update,
			fields: []field{{"name", []string{"ci"}, []string{"new"}}}},
		{name: "renamed to a name that is taken", models: []string{good, `{"name":"new"}`}, change: func(d *reconcile.Desired) { d.EnvironmentID, d.EnvironmentName = "En00000000000000000001", "new" },
			wantErr: "En00000000000000000002 has that name already"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, withSecret := range []bool{false, true} {
				server := newOz()
				for _, model := range tt.models {
					server.add(team, model)
				}
				if withSecret {
					server.secrets = []stored{{Secret: warp.Secret{Name: "TOKEN", Owner: team, Type: warp.RawValue}}}
				}
				d := desired()
				if len(tt.models) > 0 && tt.name != "no image" {
					d.DockerImage = "ubuntu:24.04"
				}
				if tt.change != nil {
					tt.change(&d)
				}
				observed, err := reconcile.Observe(t.Context(), server, d)
				require.NoError(t, err)
				plan, err := reconcile.Diff(d, observed)
				if tt.wantErr != "" {
					require.ErrorContains(t, err, tt.wantErr)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, tt.want, plan.Environment.Change)
				assert.Equal(t, tt.fields, plan.Environment.Fields)
				assert.Equal(t, map[bool]reconcile.Change{false: reconcile.Create, true: reconcile.Rotate}[withSecret], plan.Secret.Change)
				assert.Equal(t, tt.want != reconcile.Keep || !withSecret, plan.Changes())
				if tt.warning != "" {
					require.Len(t, plan.Warnings, 1)
					assert.Contains(t, plan.Warnings[0], tt.warning)
				} else {
					assert.Empty(t, plan.Warnings)
				}

				// What was applied is kept.
				_, err = applier(server).Apply(t.Context(), plan, token)
				require.NoError(t, err)
				observed, err = reconcile.Observe(t.Context(), server, d)
				require.NoError(t, err)
				again, err := reconcile.Diff(d, observed)
				require.NoError(t, err)
				assert.Equal(t, reconcile.Keep, again.Environment.Change)
				assert.False(t, again.Changes())
			}
		})
	}
}

func TestDiffRefusesToGuess(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		desired  func(*reconcile.Desired)
		observed reconcile.Observed
		wantErr  string
	}{
		{"no upload key", nil, reconcile.Observed{Owner: team}, "no upload key"},
		{"a secret of another type", nil, reconcile.Observed{Owner: team, UploadKey: "k", Secret: &warp.Secret{Type: "DOTENVX"}}, "DOTENVX"},
		{"an environment in the trash", func(d *reconcile.Desired) { d.EnvironmentID = "x" }, reconcile.Observed{Owner: team, UploadKey: "k"}, "in the trash"},
		{"an environment of another owner", func(d *reconcile.Desired) { d.EnvironmentID = "x" }, reconcile.Observed{Owner: team, UploadKey: "k",
			Environments: []reconcile.Candidate{{Environment: warp.Environment{Owner: others}}}}, "belongs to another owner"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := desired()
			if tt.desired != nil {
				tt.desired(&d)
			}
			_, err := reconcile.Diff(d, tt.observed)
			require.ErrorContains(t, err, tt.wantErr)
		})
	}
}

func TestDiffNamesTheIntegrationsOfAnUpdate(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]int{"ubuntu:24.04": 0, "debian": 1} {
		server := newOz()
		server.integrations[server.add(team, good)] = []string{"slack", "linear"}
		d := desired()
		d.DockerImage = image
		observed, err := reconcile.Observe(t.Context(), server, d)
		require.NoError(t, err)
		plan, err := reconcile.Diff(d, observed)
		require.NoError(t, err)
		require.Len(t, plan.Warnings, want)
		if want > 0 {
			assert.Contains(t, plan.Warnings[0], "slack, linear")
		}
	}
}

func TestDiffRotation(t *testing.T) {
	t.Parallel()
	_, err := reconcile.DiffRotation(desired(), reconcile.Observed{Owner: team, UploadKey: "k"})
	require.ErrorContains(t, err, "rotation creates none")

	secret := &warp.Secret{Name: "TOKEN", Type: warp.RawValue, Description: "for ci; rotated by oz-bitbucket on 2026-01-02, expires 2026-12-31"}
	plan, err := reconcile.DiffRotation(desired(), reconcile.Observed{At: noon, Owner: team, UploadKey: "k", Secret: secret})
	require.NoError(t, err)
	assert.Equal(t, reconcile.Rotate, plan.Secret.Change)
	assert.Equal(t, time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC), plan.Secret.Was.Expires)
	require.Len(t, plan.Warnings, 1)
	assert.Contains(t, plan.Warnings[0], "no environment uses")
	assert.False(t, plan.Changes(), "a rotation alone is no change")
}
