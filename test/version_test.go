package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestVersionOfACheckout builds the program in a repository as a developer does, with make and
// with go. It also runs the Dockerfile's script for the version, without compiling.
func TestVersionOfACheckout(t *testing.T) {
	t.Parallel()
	checkout := filepath.Join(t.TempDir(), "checkout")
	require.NoError(t, copySources(checkout))
	commit := committed(t, checkout)
	in := func(name string, args ...string) string {
		command := exec.Command(name, args...)
		command.Dir = checkout
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=true", "HOME="+t.TempDir(), "GOPATH="+goEnv(t, "GOPATH"), "GOCACHE="+goEnv(t, "GOCACHE"))
		return output(t, command)
	}

	in("make", "build")
	assert.Equal(t, "oz-bitbucket "+commit[:7]+"\n", in("bin/oz-bitbucket", "--version"))

	in("go", "build", "-trimpath", "-o", "bin/oz-bitbucket", ".")
	assert.Regexp(t, `^oz-bitbucket v0\.0\.0-\d{14}-`+commit[:12]+`\n$`, in("bin/oz-bitbucket", "--version"))

	require.NoError(t, os.Rename(filepath.Join(checkout, ".git/logs/HEAD"), filepath.Join(checkout, "HEAD")))
	version := func() string { return in("sh", "-ec", versionInDockerfile(t)) }
	assert.Equal(t, "dev+"+commit, version())
	assert.Equal(t, "1.2.3", in("sh", "-ec", "VERSION=1.2.3; "+versionInDockerfile(t)))
	require.NoError(t, os.Remove(filepath.Join(checkout, "HEAD")))
	assert.Empty(t, version())

	archive, unpacked := filepath.Join(t.TempDir(), "archive.tar"), filepath.Join(t.TempDir(), "unpacked")
	require.NoError(t, os.Mkdir(unpacked, 0o755))
	in("git", "archive", "-o", archive, "HEAD")
	in("tar", "-xf", archive, "-C", unpacked)
	in("go", "build", "-C", unpacked, "-trimpath", "-buildvcs=false", "-o", "oz-bitbucket", ".")
	assert.Equal(t, "oz-bitbucket dev+"+commit+"\n", in(filepath.Join(unpacked, "oz-bitbucket"), "--version"))
}

// versionInDockerfile returns the Dockerfile's script that prints the version for the linker.
func versionInDockerfile(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../Dockerfile")
	require.NoError(t, err)
	_, script, found := strings.Cut(strings.ReplaceAll(string(content), "\\\n", ""), "\nRUN ")
	require.True(t, found)
	first, rest, found := strings.Cut(script, ";")
	require.True(t, found)
	_, version, found := strings.Cut(rest, "action.version=")
	require.True(t, found)
	version, _, _ = strings.Cut(version, `"`)
	return first + `; printf %s "` + version + `"`
}

// committed makes a directory a repository with one commit, and returns the commit's ID.
func committed(t *testing.T, directory string) string {
	t.Helper()
	git := func(args ...string) string {
		return output(t, exec.Command("git", append([]string{"-C", directory, "-c", "user.name=test", "-c", "user.email=test@localhost"}, args...)...))
	}
	git("init", "-q")
	git("add", "-A")
	git("commit", "-qm", "test")
	return strings.TrimSpace(git("rev-parse", "HEAD"))
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(output(t, exec.Command("go", "env", name)))
}
