package platform_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// FuzzSourced puts any text into the outputs and sources the file in two shells: each value
// returns byte for byte, or was refused and is empty, and nothing is run.
func FuzzSourced(f *testing.F) {
	for _, seed := range []string{
		"plain", "it's", "''", `'\''`, "$(touch x) `touch x` \"$HOME\" \\ ; touch x #", "-n", "é ✔", "!history", "~", "a\\", "'; touch x; '",
		"a\nb", "\r", "\x00", "\x85", "\u2028", "\xff\xfe", "${IFS}", "&|<>()", "=x", "%s", "\x7f", "\xc2",
	} {
		f.Add(seed, seed, seed)
	}
	f.Fuzz(func(t *testing.T, environment, secret, state string) {
		clone := t.TempDir()
		facts := facts()
		facts.Applied.Environments[0].Name = environment
		facts.Plan.Secrets[0].Name = secret
		facts.Verdict.Run.State = warp.RunState(state)
		j := start("BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_CLONE_DIR="+clone)
		refused := ""
		if err := j.Emit(facts, ""); err != nil {
			refused = err.Error()
		}
		want := ""
		for _, output := range facts.Outputs() {
			if strings.Contains(refused, "output "+output.Name+" is left empty") {
				output.Value = ""
			}
			want += output.Name + "=" + output.Value + "\n"
		}
		if !strings.ContainsFunc(environment+secret+state, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
			require.Empty(t, refused, "a plain value is not refused")
		}
		script := "set -eu; . ./.oz-bitbucket/outputs.env"
		for _, output := range facts.Outputs() {
			script += "; printf '%s=%s\\n' " + output.Name + ` "$` + strings.ToUpper(output.Name) + `"`
		}
		for _, sh := range []string{"bash", "dash"} {
			shell := exec.Command(sh, "-c", script)
			shell.Dir, shell.Env = clone, []string{"HOME=" + clone, "PATH=" + os.Getenv("PATH")}
			said, err := shell.CombinedOutput()
			require.NoError(t, err, string(said))
			assert.Equal(t, want, string(said), sh)
		}
		for directory, names := range map[string]int{clone: 1, filepath.Join(clone, ".oz-bitbucket"): 2} {
			left, err := os.ReadDir(directory)
			require.NoError(t, err)
			assert.Len(t, left, names, "nothing is run")
		}
	})
}
