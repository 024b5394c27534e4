package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNewcomersRunTheDemo does what the README says of trying the program without an
// account, in a container that has BusyBox and what the README says is needed: nothing else
// on its PATH, no home, no modules, and no network but loopback. The checkout is a fresh
// clone. Two things come from this machine, because registries and time are scarce: the
// modules, as a proxy of files would serve them, and Go's build cache, which only saves the
// time of compiling. -trimpath makes its entries the same in every directory.
func TestNewcomersRunTheDemo(t *testing.T) {
	t.Parallel()
	requireImage(t)
	told := regexp.MustCompile("To try it without an account,\\s+run\\s+`([^`]+)`\\s+in\\s+a\\s+checkout:(?s:.*?)Its\\s+last\\s+line\\s+is\\s+`([^`]+)`\\.\\s+It\\s+needs\\s+([^.]+)\\.").
		FindStringSubmatch(manual(t)["../README.md"])
	require.NotNil(t, told, "the README does not say how to try it")
	command, last := told[1], told[2]
	output := func(args ...string) string { return strings.TrimSpace(output(t, exec.Command(args[0], args[1:]...))) }

	repository := filepath.Join(t.TempDir(), "repository")
	require.NoError(t, copySources(repository))
	commitAll(t, repository)
	root := output("go", "env", "GOROOT")
	modules, cache := filepath.Join(output("go", "env", "GOMODCACHE"), "cache", "download"), output("go", "env", "GOCACHE")
	args := []string{
		"run", "--rm", "--network=none", fmt.Sprintf("--user=%d:%d", os.Getuid(), os.Getgid()), "--tmpfs=/home:exec,mode=1777", "--workdir=/home",
		"--env=HOME=/home", "--env=TMPDIR=/home", "--env=GOPROXY=file://" + modules, "--volume=" + modules + ":" + modules + ":ro",
		"--env=GOCACHE=" + cache, "--volume=" + cache + ":" + cache, "--env=GOFLAGS=-trimpath", "--volume=" + repository + ":/repository:ro",
	}
	for _, libraries := range []string{"/lib", "/lib64", "/usr/lib"} {
		if _, err := os.Stat(libraries); err == nil {
			args = append(args, "--volume="+libraries+":"+libraries+":ro")
		}
	}
	for program := range strings.SplitSeq(strings.ReplaceAll(strings.ToLower(told[3]), " and ", ", "), ", ") {
		switch program {
		case "go":
			args = append(args, "--volume="+root+":"+root+":ro", "--env=PATH="+root+"/bin:/usr/local/bin:/bin")
			continue
		case "git": // is in two places
			within := output("git", "--exec-path")
			args = append(args, "--volume="+within+":"+within+":ro")
		}
		path, err := exec.LookPath(program)
		needs(t, program, err == nil)
		path, err = filepath.EvalSymlinks(path)
		require.NoError(t, err)
		args = append(args, "--volume="+path+":/usr/local/bin/"+program+":ro")
	}
	inContainer := func(script string) string {
		return output(append(append([]string{"docker"}, args...), runBase, "/bin/sh", "-euc", "git clone -q /repository checkout\ncd checkout\n"+script)...)
	}
	log := inContainer(command)
	assert.Equal(t, last, log[strings.LastIndex(log, "\n")+1:], log)

	// make test cannot run inside itself; here make says that it would.
	setUp := regexp.MustCompile(`(?m)^    (make \w+) `).FindAllStringSubmatch(readFiles(t, "../CONTRIBUTING.md")["../CONTRIBUTING.md"], -1)
	require.GreaterOrEqual(t, len(setUp), 2)
	var dry strings.Builder
	for _, line := range setUp {
		fmt.Fprintf(&dry, "%s -n\n", line[1])
	}
	assert.Contains(t, dry.String(), "make test -n\n")
	assert.Contains(t, inContainer(dry.String()), "go run ./test/tally")
}

// commitAll makes a directory a repository with one commit.
func commitAll(t *testing.T, directory string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "test"}} {
		output(t, exec.Command("git", append([]string{"-C", directory}, args...)...))
	}
}
