package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

const (
	theFactory = "# ours\r\nschemaVersion: v1alpha1\r\nname: shop # the shop\r\nsecrets: [NPM_TOKEN]\r\nagentDefaults:\r\n  model: auto\r\n  runner: linux"
	theRunner  = "# a runner\nsetupCommands:\n  # first\n  - npm --version # why not\nplatform:\n  os: linux\n"
)

// definition writes the definition of a factory with a runner, and returns its folder.
func (w *world) definition() string {
	w.t.Helper()
	folder := filepath.Join(w.t.TempDir(), "factory")
	require.NoError(w.t, os.MkdirAll(filepath.Join(folder, "runners"), 0o755))
	require.NoError(w.t, os.WriteFile(filepath.Join(folder, "factory.yaml"), []byte(theFactory), 0o640))
	require.NoError(w.t, os.WriteFile(filepath.Join(folder, "runners", "linux.yaml"), []byte(theRunner), 0o644))
	return folder
}

func contentOf(t *testing.T, parts ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(parts...))
	require.NoError(t, err)
	return string(content)
}

// asYAML returns an ID as the program writes it. One that begins with a digit could be read
// as a number, so it has quotes.
func asYAML(id string) string {
	if id[0] >= '0' && id[0] <= '9' {
		return "'" + id + "'"
	}
	return id
}

// wiredInto returns theFactory with the secret and an environment.
func wiredInto(id string) string {
	return strings.NewReplacer("[NPM_TOKEN]", "[NPM_TOKEN, BITBUCKET_API_TOKEN]", "model: auto\r\n", "model: auto\r\n  environmentId: "+asYAML(id)+"\r\n").Replace(theFactory)
}

func TestAFactoryIsWired(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		folder := w.definition()
		inputs := func(mode string) map[string]string {
			return w.inputs(map[string]string{"factory": folder, "mode": mode, "detailed_exitcode": "true"})
		}
		r := w.run(inputs("plan"))
		assert.Equal(t, 4, r.code, r.log)
		assert.Equal(t, "true", r.outputs["factory_changed"])
		assert.Contains(t, r.log, "+   environmentId: (ID of the new environment)")
		assert.Contains(t, r.log, "+ secrets: [NPM_TOKEN, BITBUCKET_API_TOKEN]")
		assert.Equal(t, theFactory, contentOf(t, folder, "factory.yaml"))
		w.requireNothingWritten()

		r = w.must(inputs("apply"))
		id := r.outputs["environment_id"]
		assert.Equal(t, "true", r.outputs["factory_changed"])
		assert.Equal(t, wiredInto(id), contentOf(t, folder, "factory.yaml"))
		assert.Contains(t, r.log, "+   environmentId: "+asYAML(id))
		assert.Equal(t, theRunner, contentOf(t, folder, "runners", "linux.yaml"))
		about, err := os.Stat(filepath.Join(folder, "factory.yaml"))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o640), about.Mode())
		left, err := os.ReadDir(folder)
		require.NoError(t, err)
		assert.Len(t, left, 2, "no temporary file is left")

		for _, mode := range []string{"apply", "plan"} {
			r = w.must(inputs(mode))
			assert.Equal(t, "false", r.outputs["factory_changed"])
			assert.Equal(t, "false", r.outputs["changed"])
			assert.Equal(t, wiredInto(id), contentOf(t, folder, "factory.yaml"))
		}

		require.NoError(t, os.WriteFile(filepath.Join(folder, "factory.yaml"), []byte(theFactory), 0o640))
		r = w.run(inputs("plan"))
		assert.Equal(t, 4, r.code, "the environment stays, and the definition would change")
		assert.Equal(t, "true", r.outputs["changed"])
		assert.Contains(t, r.log, "+   environmentId: "+asYAML(id))
		w.refuseMarkersIn(folder)
	})
}

func TestARunnerOfAFactoryGetsTheCommands(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		folder := w.definition()
		inputs := func(mode string) map[string]string {
			return w.inputs(map[string]string{"factory": folder, "factory_runner": "linux", "mode": mode})
		}
		r := w.must(inputs("plan"))
		assert.Equal(t, "true", r.outputs["factory_changed"])
		assert.Equal(t, theRunner, contentOf(t, folder, "runners", "linux.yaml"))
		w.requireNothingWritten()

		r = w.must(inputs("apply"))
		assert.Equal(t, "true", r.outputs["factory_changed"])
		assert.Equal(t, "create", r.outputs["secret_change"])
		assert.Equal(t, "skipped", r.outputs["smoke_test"])
		assert.Empty(t, r.outputs["environment_id"]+r.outputs["environment_name"]+r.outputs["environment_change"])
		assert.Equal(t, "[]", r.outputs["environments"])
		assert.Equal(t, w.cloud.Head(), r.outputs["head_commit"], "the token is proved")
		assert.Empty(t, w.oz.Environments())
		assert.Empty(t, w.oz.Runs())
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		assert.Equal(t, strings.Replace(theFactory, "[NPM_TOKEN]", "[NPM_TOKEN, BITBUCKET_API_TOKEN]", 1), contentOf(t, folder, "factory.yaml"))
		runner := contentOf(t, folder, "runners", "linux.yaml")
		assert.Contains(t, runner, "git clone")
		assert.Contains(t, runner, w.cloud.CloneURL())
		assert.Contains(t, runner, "  - npm --version # why not\nplatform:\n  os: linux\n")
		assert.True(t, strings.HasPrefix(runner, "# a runner\nsetupCommands:\n  # first\n"), runner)

		r = w.must(inputs("apply"))
		assert.Equal(t, "false", r.outputs["factory_changed"])
		assert.Equal(t, "rotate", r.outputs["secret_change"])
		assert.Equal(t, runner, contentOf(t, folder, "runners", "linux.yaml"))
		w.refuseMarkersIn(folder)
	})
}

func TestATokenThatDoesNotServeIsNotStoredForARunner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	folder := w.definition()
	r := w.run(w.inputs(map[string]string{"factory": folder, "factory_runner": "linux", "bitbucket_token": accessToken}))
	assert.Equal(t, 1, r.code, r.log)
	assert.Empty(t, r.outputs["factory_changed"])
	assert.Equal(t, theRunner, contentOf(t, folder, "runners", "linux.yaml"))
	w.requireNothingWritten()
}

// TestADefinitionThatCannotBeWired: the job ends before anything is written to Oz.
func TestADefinitionThatCannotBeWired(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		changes map[string]string
		prepare func(t *testing.T, folder string)
		code    int
		want    string
	}{
		{"of another version", nil, write("factory.yaml", "schemaVersion: v2\n"), 2, "its schemaVersion is not v1alpha1"},
		{"without a file", nil, func(t *testing.T, folder string) {
			require.NoError(t, os.Remove(filepath.Join(folder, "factory.yaml")))
		}, 2, "factory.yaml cannot be read"},
		{"behind an alias", nil, write("factory.yaml", "x: &x [A]\nschemaVersion: v1alpha1\nsecrets: *x\nagentDefaults: {model: auto}\n"), 2, `add "BITBUCKET_API_TOKEN" to its secrets by hand`},
		{"too large", nil, write("factory.yaml", theFactory+strings.Repeat("\n# x", 1<<18)), 2, "larger than 1 MiB"},
		{"a link", nil, linked("factory.yaml"), 1, "a symbolic link"},
		{"a runner that is no name", map[string]string{"factory_runner": "../linux"}, nil, 2, "factory_runner: is not the name of a runner"},
		{"a runner that is not there", map[string]string{"factory_runner": "mac"}, nil, 2, "runners/mac.yaml cannot be read"},
		{"a linked runner", map[string]string{"factory_runner": "linux"}, linked("runners/linux.yaml"), 1, "a symbolic link"},
		{"linked runners", map[string]string{"factory_runner": "linux"}, linked("runners"), 1, "a symbolic link"},
		{"a runner that cannot be edited", map[string]string{"factory_runner": "linux"}, write("runners/linux.yaml", "setupCommands: [a]\n"), 1, "write this into setupCommands by hand"},
		{"a runner alone", map[string]string{"factory": "", "factory_runner": "linux"}, nil, 2, "factory_runner: does nothing without factory"},
		{"in another mode", map[string]string{"mode": "rotate"}, nil, 2, "factory: does nothing in mode rotate"},
		{"personal", map[string]string{"scope": "personal"}, nil, 2, "factory: cannot be used with scope: personal"},
		{"a runner and an environment", map[string]string{"factory_runner": "linux", "docker_image": "node:22"}, nil, 2, "docker_image: does nothing with factory_runner"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{})
			folder := w.definition()
			if tt.prepare != nil {
				tt.prepare(t, folder)
			}
			inputs := w.inputs(map[string]string{"factory": folder})
			for name, value := range tt.changes {
				inputs[name] = value
			}
			r := w.run(inputs)
			assert.Equal(t, tt.code, r.code, r.log)
			assert.Contains(t, r.log, tt.want)
			assert.Empty(t, r.outputs["factory_changed"])
			w.requireNothingWritten()
		})
	}
	w := newWorld(t, plain, warpsim.Options{})
	fleet(w)
	r := w.run(w.manifest(threeEntries, map[string]string{"factory": w.definition()}))
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.log, "factory: is given beside manifest")
	r = w.run(w.manifest(threeEntries+"    factory: x\n", nil))
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.log, "leave it out; it is for a job with one environment")
}

func write(name, content string) func(*testing.T, string) {
	return func(t *testing.T, folder string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644))
	}
}

// link moves a file elsewhere and puts a link in its place.
func linked(name string) func(*testing.T, string) {
	return func(t *testing.T, folder string) {
		elsewhere := filepath.Join(t.TempDir(), "elsewhere")
		require.NoError(t, os.Rename(filepath.Join(folder, name), elsewhere))
		require.NoError(t, os.Symlink(elsewhere, filepath.Join(folder, name)))
	}
}
