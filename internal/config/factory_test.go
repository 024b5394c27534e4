package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
)

func TestFactory(t *testing.T) {
	t.Parallel()
	definition := files{
		"f/factory.yaml":       "schemaVersion: v1alpha1\nagentDefaults: {model: auto}\n",
		"f/runners/linux.yaml": "setupCommands: [a]\n",
		"old/factory.yaml":     "schemaVersion: v0\n",
	}
	for _, tt := range []struct {
		changes map[string]string
		want    *config.Factory
		wrong   []string
	}{
		{nil, nil, nil},
		{map[string]string{"factory": "f"}, &config.Factory{Folder: "f"}, nil},
		{map[string]string{"factory": "./f/", "mode": "plan"}, &config.Factory{Folder: "./f/"}, nil},
		{map[string]string{"factory": "f", "factory_runner": "linux"}, &config.Factory{Folder: "f", Runner: "linux"}, nil},
		{map[string]string{"factory": "f", "factory_runner": "../runners/linux"}, nil, []string{"factory_runner: is not the name of a runner; give the name of its file in runners/, without .yaml"}},
		{map[string]string{"factory": "f", "factory_runner": ".."}, nil, []string{"factory_runner: is not the name of a runner; give the name of its file in runners/, without .yaml"}},
		{map[string]string{"factory": "f", "factory_runner": "mac"}, nil, []string{"factory_runner: f/runners/mac.yaml cannot be read; give the folder of a definition in the checkout"}},
		{map[string]string{"factory_runner": "linux"}, nil, []string{"factory_runner: does nothing without factory; give the folder of the definition as factory"}},
		{map[string]string{"factory": "nowhere"}, nil, []string{"factory: nowhere/factory.yaml cannot be read; give the folder of a definition in the checkout"}},
		{map[string]string{"factory": "old"}, nil, []string{"factory: old/factory.yaml: its schemaVersion is not v1alpha1, the only version that this program knows"}},
		{map[string]string{"factory": "f", "mode": "destroy"}, nil, []string{"factory: does nothing in mode destroy; leave it out"}},
		{map[string]string{"factory": "f", "mode": "test"}, nil, []string{"factory: does nothing in mode test; leave it out"}},
		{map[string]string{"factory": "f", "scope": "personal"}, nil, []string{"factory: cannot be used with scope: personal: a factory's agents never get personal secrets; use scope: team"}},
		{map[string]string{"factory": "f", "factory_runner": "linux", "environment_name": "x", "schedule_cron": "0 3 * * *", "schedule_prompt": "x"}, nil, []string{
			"environment_name: does nothing with factory_runner, which needs no environment; leave it out",
			"schedule_cron: does nothing with factory_runner, which needs no environment; leave it out",
		}},
	} {
		job, err := config.Parse(cloud(tt.changes), definition.read, noVariable)
		if tt.wrong != nil {
			assert.Equal(t, tt.wrong, problems(t, cloud(tt.changes), definition))
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, tt.want, job.Factory)
		alone := tt.want != nil && tt.want.Runner != ""
		assert.Equal(t, alone, job.Entries[0].EnvironmentName == "", "a runner needs no environment")
		assert.Equal(t, !alone, job.Entries[0].SmokeTest)
	}
	assert.Equal(t, []string{"factory: is given beside manifest, but is for a job with one environment; leave it out, or give the job one environment"},
		mistakes(t, theManifest, with("factory", "f")))
}
