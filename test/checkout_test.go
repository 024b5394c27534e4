package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// checkout is a git repository with one commit, as a CI host has it before the
// program starts.
type checkout struct {
	t         testing.TB
	directory string
	home      string // without a configuration of git
}

func newCheckout(t testing.TB) checkout {
	t.Helper()
	c := checkout{t, filepath.Join(t.TempDir(), "checkout"), t.TempDir()}
	for path, text := range map[string]string{"README.md": "# Sample\n", ".oz/setup-commands": "npm ci\n", "sub/file": "text\n"} {
		path = filepath.Join(c.directory, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	c.git("init", "--quiet", "--template=")
	c.git("add", "--all")
	c.git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "--message=test")
	return c
}

// git runs git with no configuration but the repository's.
func (c checkout) git(args ...string) string {
	c.t.Helper()
	command := exec.Command("git", args...)
	command.Dir = c.directory
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "GIT_CONFIG_NOSYSTEM=1"}
	return output(c.t, command)
}

// dirt is what git shows as changed or new, a file a line.
func (c checkout) dirt() string {
	c.t.Helper()
	return c.git("status", "--porcelain", "--untracked-files=all")
}

// hosts holds the environment of each host; TEMP and CHECKOUT are directories.
var hosts = map[string][]string{
	"terminal":   nil,
	"GitHub":     {"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=TEMP/output", "GITHUB_STEP_SUMMARY=TEMP/summary", "RUNNER_TEMP=TEMP"},
	"Bitbucket":  {"CI=true", "BITBUCKET_BUILD_NUMBER=1", "BITBUCKET_CLONE_DIR=CHECKOUT", "BITBUCKET_PIPELINES_VARIABLES_PATH=TEMP/variables"},
	"GitLab":     {"CI=true", "GITLAB_CI=true", "CI_PROJECT_DIR=CHECKOUT"},
	"Azure":      {"TF_BUILD=True", "AGENT_TEMPDIRECTORY=TEMP", "BUILD_SOURCESDIRECTORY=CHECKOUT"},
	"Jenkins":    {"JENKINS_URL=https://jenkins.example.com/", "WORKSPACE=CHECKOUT", "WORKSPACE_TMP=TEMP"},
	"Kubernetes": nil,
}

// environ returns a host's environment with the checkout and a directory of its own.
func (c checkout) environ(host, temporary string) []string {
	var environ []string
	for _, entry := range hosts[host] {
		name, value, _ := strings.Cut(entry, "=")
		value = strings.Replace(value, "CHECKOUT", c.directory, 1)
		environ = append(environ, name+"="+strings.Replace(value, "TEMP", temporary, 1))
	}
	return environ
}

// TestACheckoutStaysClean runs the program in a checkout, on every host: without
// output_file, with the path that README and the GitLab component propose, and
// with one elsewhere.
func TestACheckoutStaysClean(t *testing.T) {
	t.Parallel()
	header, _ := readComponent(t, "../templates/oz-bitbucket.yml")
	component := *header.Spec.Inputs["output_file"].Default
	for host := range hosts {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			d := map[string]dialect{"GitHub": github, "Bitbucket": pipe}[host]
			if d == "" {
				d = plain
			}
			w := newWorld(t, d, warpsim.Options{})
			for _, file := range []string{"", component, "CHECKOUT/" + component, "sub/" + component, "TEMP/oz.env"} {
				for want, changes := range map[int]map[string]string{0: {"smoke_test": "false"}, 2: {"clone_depth": "x"}} {
					for _, below := range []string{".", "sub"} {
						if below == "sub" && (file != component || want != 0) {
							continue
						}
						c, temporary := newCheckout(t), t.TempDir()
						changes["output_file"] = strings.NewReplacer("CHECKOUT", c.directory, "TEMP", temporary).Replace(file)
						changes["report_file"] = ".oz-bitbucket/oz.json"
						command, _ := w.command(w.inputs(changes))
						command.Dir = filepath.Join(c.directory, below)
						command.Env = append(command.Env, c.environ(host, temporary)...)
						said, _ := command.CombinedOutput()
						require.Equal(t, want, command.ProcessState.ExitCode(), "%s", said)
						assert.Empty(t, c.dirt(), file)
						written := changes["output_file"]
						if !filepath.IsAbs(written) {
							written = filepath.Join(command.Dir, written)
						}
						_, err := os.Stat(written)
						assert.NoError(t, err, file)
					}
				}
			}
			w.requireClean()
		})
	}
}

// TestAFileThatTheUserPlacesIsAllThatGitSees: the user chose its place, and must hide it from
// git.
func TestAFileThatTheUserPlacesIsAllThatGitSees(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	c := newCheckout(t)
	exclude := filepath.Join(c.directory, ".git", "info", "exclude")
	require.NoError(t, os.Mkdir(filepath.Dir(exclude), 0o755))
	require.NoError(t, os.WriteFile(exclude, []byte("*.log\n"), 0o644))
	for range 2 {
		command, _ := w.command(w.inputs(map[string]string{"output_file": "oz.env"}), "plan")
		command.Dir = c.directory
		output(t, command)
		assert.Equal(t, "?? oz.env\n", c.dirt())
	}
	content, err := os.ReadFile(exclude)
	require.NoError(t, err)
	assert.Equal(t, "*.log\n", string(content))
	w.requireClean()
}

// TestWhatAKilledProcessLeftIsHidden: a job finds the files of a job that was killed with
// SIGKILL at the worst moment, before our directory had its .gitignore.
func TestWhatAKilledProcessLeftIsHidden(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	c := newCheckout(t)
	ours := filepath.Join(c.directory, ".oz-bitbucket")
	require.NoError(t, os.Mkdir(ours, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(ours, ".oz-bitbucket-KILLED"), []byte("*\n"), 0o600))
	require.NotEmpty(t, c.dirt())
	command, _ := w.command(w.inputs(map[string]string{"output_file": ".oz-bitbucket/oz.env"}), "plan")
	command.Dir = c.directory
	output(t, command)
	assert.Empty(t, c.dirt())
	w.requireClean()
}
