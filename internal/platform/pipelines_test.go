package platform_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
)

func TestPipelinesToTheByte(t *testing.T) {
	t.Parallel()
	clone, variables := t.TempDir(), filepath.Join(t.TempDir(), "variables")
	require.NoError(t, os.WriteFile(variables, []byte("MINE=1\n"), 0o644))
	j := start("BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_CLONE_DIR="+clone, "BITBUCKET_PIPELINES_VARIABLES_PATH="+variables)
	end := j.Group("Plan")
	j.Log().Info("a\n✔ pretended")
	j.Log().Warn("careful")
	end()
	j.Log().Error("broken")
	require.NoError(t, j.Emit(facts(), ""))
	assert.Equal(t, ""+
		"INFO: == Plan\nINFO: a\nINFO:   ✔ pretended\nWARNING: careful\nERROR: broken\n"+
		"INFO: outputs: source "+clone+"/.oz-bitbucket/outputs.env\n"+
		"✔ secret rotated, environment unchanged, smoke test passed\n", j.log.String())
	assert.Equal(t, factsJSON, j.out.String())
	assert.Equal(t, ""+
		"ENVIRONMENT_ID='En00000000000000000001'\nENVIRONMENT_NAME='it'\\''s acme'\nENVIRONMENT_CHANGE='keep'\n"+
		`ENVIRONMENTS='[{"id":"En00000000000000000001","name":"it'\''s acme","change":"keep","verdict":"passed","error":""}]'`+"\n"+
		"SECRET_NAME='BITBUCKET_API_TOKEN'\nSECRET_CHANGE='rotate'\nCHANGED='false'\nSMOKE_TEST='passed'\n"+
		"RUN_ID='run-1'\nRUN_STATE='SUCCEEDED'\nSESSION_LINK='https://app.warp.dev/session/1?a=b&c=d'\n"+
		"SCHEDULE_ID=''\n"+
		"HEAD_COMMIT='0123456789abcdef0123456789abcdef01234567'\n"+
		"TOKEN_EXPIRES_AT=''\nTOKEN_EXPIRES_IN_DAYS=''\nROLLED_BACK=''\nFACTORY_CHANGED=''\n", read(t, filepath.Join(clone, ".oz-bitbucket/outputs.env")))
	assert.True(t, strings.HasPrefix(read(t, variables), "MINE=1\nENVIRONMENT_ID=En00000000000000000001\nENVIRONMENT_NAME=it's acme\n"))
}

func TestAFailedPipeEndsWithACross(t *testing.T) {
	t.Parallel()
	f := facts()
	f.ExitCode, f.Err, f.Plan, f.Applied = 1, errors.New("no"), nil, reconcile.Applied{}
	j := start("BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_CLONE_DIR="+t.TempDir())
	require.NoError(t, j.Emit(f, ""))
	assert.True(t, strings.HasSuffix(j.log.String(), "✖ failed, nothing was written\n"), j.log.String())

	j = start("BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_CLONE_DIR="+t.TempDir())
	require.Error(t, j.Emit(facts(), t.TempDir()), "output_file is a directory")
	assert.NotContains(t, j.log.String(), "✔")
}

// TestAShellReadsTheOutputs sources the file with the hardest names.
func TestAShellReadsTheOutputs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain", "it's", "''", `$(touch x) ` + "`touch x`" + ` "$HOME" \ ; touch x #`, "-n", "é ✔", "!history", ""} {
		clone := t.TempDir()
		f := facts()
		f.Applied.Environments[0].Name = name
		j := start("BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_CLONE_DIR="+clone)
		require.NoError(t, j.Emit(f, ""))
		shell := exec.Command("sh", "-eu", "-c", `. ./.oz-bitbucket/outputs.env; printf '%s|%s' "$ENVIRONMENT_NAME" "$RUN_ID"`)
		shell.Dir = clone
		said, err := shell.CombinedOutput()
		require.NoError(t, err, string(said))
		assert.Equal(t, name+"|run-1", string(said))
		left, err := os.ReadDir(clone)
		require.NoError(t, err)
		assert.Len(t, left, 1)
	}
}

func TestAPipeGoesOnWithoutItsFiles(t *testing.T) {
	t.Parallel()
	blocked := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(blocked, ".oz-bitbucket"), nil, 0o644))
	for name, tt := range map[string]struct{ clone, want string }{
		"not set":           {"", "WARNING: BITBUCKET_CLONE_DIR is not set, so there is no .oz-bitbucket/outputs.env"},
		"not there":         {filepath.Join(blocked, "gone"), "WARNING: the outputs are not in .oz-bitbucket/outputs.env, only in the JSON line: "},
		"a file in the way": {blocked, "WARNING: the outputs are not in .oz-bitbucket/outputs.env, only in the JSON line: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := start("BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_CLONE_DIR="+tt.clone, "BITBUCKET_PIPELINES_VARIABLES_PATH="+filepath.Join(blocked, "no", "such"))
			require.NoError(t, j.Emit(facts(), ""))
			assert.Contains(t, j.log.String(), tt.want)
			assert.Contains(t, j.log.String(), "INFO: the output variables of the step cannot be set from here")
			assert.Contains(t, j.log.String(), "✔")
			assert.Equal(t, factsJSON, j.out.String())
		})
	}
}
