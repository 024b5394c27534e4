package setup_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// secret is the variable that holds the token in the tests.
const secret = "BITBUCKET_TOKEN"

// An interpreter is a shell that may run setup commands, typed into its standard
// input.
type interpreter struct {
	name    string
	options []string
	first   string // line before the commands
	between string // line after each, which ends a session whose command failed
}

const between = "S=$?; test $S = 0 || exit $S"

var shells = []interpreter{
	{"dash", nil, "", between},
	{"bash", []string{"--norc", "--noprofile", "-i"}, "set -H", between},
	{"bash --posix", nil, "", between},
	{"zsh", []string{"-f", "-i"}, "", between},
	{"fish", []string{"--no-config", "-i"}, "", "set S $status; test $S = 0 || exit $S"},
}

// isInstalled reports whether the machine has the shell.
func (in interpreter) isInstalled(t *testing.T) bool {
	t.Helper()
	return isInstalled(t, strings.Fields(in.name)[0])
}

// isInstalled reports whether the machine has a program. One that is missing is
// named in the test's log; in CI none may be.
func isInstalled(t *testing.T, program string) bool {
	t.Helper()
	_, err := exec.LookPath(program)
	if os.Getenv("CI") != "" {
		require.NoError(t, err)
	}
	if err != nil {
		t.Logf("%s is not installed: nothing was tested", program)
	}
	return err == nil
}

// workspace is what a run of an environment has: a directory to clone into, a
// home and a token in the environment.
type workspace struct {
	t       *testing.T
	root    string
	home    string
	token   string
	environ []string
}

func newWorkspace(t *testing.T, token string) *workspace {
	t.Helper()
	w := &workspace{t: t, root: t.TempDir(), home: t.TempDir(), token: token}
	w.environ = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "TMPDIR=" + w.home, "TERM=dumb", "HISTFILE=",
		"GIT_CONFIG_NOSYSTEM=1", secret + "=" + token,
		"GIT_AUTHOR_NAME=Agent", "GIT_AUTHOR_EMAIL=agent@example.com",
		"GIT_COMMITTER_NAME=Agent", "GIT_COMMITTER_EMAIL=agent@example.com",
	}
	return w
}

// in is a path inside the workspace.
func (w *workspace) in(elements ...string) string {
	return filepath.Join(append([]string{w.root}, elements...)...)
}

// command is a command that starts in the workspace root, in a session of its
// own, without a terminal on which git could ask.
func (w *workspace) command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = w.root
	cmd.Env = w.environ
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// run runs a setup command in dash and returns what it printed.
func (w *workspace) run(command string) (string, error) {
	out, err := w.command("dash", "-c", command).CombinedOutput()
	return string(out), err
}

// mustRun is run for a command that must succeed.
func (w *workspace) mustRun(command string) string {
	w.t.Helper()
	out, err := w.run(command)
	require.NoError(w.t, err, "%s\n%s", command, out)
	return strings.TrimSpace(out)
}

// enter types commands into one session of a shell, which returns to the workspace
// root after each and ends at the first that fails.
func (w *workspace) enter(sh interpreter, commands ...string) (string, error) {
	cmd := w.command(append(strings.Fields(sh.name), sh.options...)...)
	input := sh.first + "\n"
	for _, command := range commands {
		input += command + "\n" + sh.between + "\ncd '" + w.root + "'\n"
	}
	cmd.Stdin = strings.NewReader(input + "exit 0\n")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mustType is enter for commands that must succeed.
func (w *workspace) mustType(sh interpreter, commands ...string) {
	w.t.Helper()
	out, err := w.enter(sh, commands...)
	require.NoError(w.t, err, "%s\n%s", strings.Join(commands, "\n"), out)
}

// read is the text of a file in the workspace.
func (w *workspace) read(elements ...string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.in(elements...))
	require.NoError(w.t, err)
	return string(text)
}

// write writes a file in the workspace.
func (w *workspace) write(text string, elements ...string) {
	w.t.Helper()
	file := w.in(elements...)
	require.NoError(w.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(w.t, os.WriteFile(file, []byte(text), 0o644))
}

// holdsNoToken searches workspace and home, files and their names, for the
// token.
func (w *workspace) holdsNoToken() {
	w.t.Helper()
	searched := 0
	for _, root := range []string{w.root, w.home} {
		err := filepath.WalkDir(root, func(name string, entry os.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			searched++
			text, err := os.ReadFile(name)
			assert.NotContains(w.t, name, w.token)
			assert.False(w.t, bytes.Contains(text, []byte(w.token)), "token in %s", name)
			return err
		})
		require.NoError(w.t, err)
	}
	assert.NotZero(w.t, searched)
}
