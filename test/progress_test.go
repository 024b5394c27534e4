package test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// watched runs the program with standard error on a new terminal, and returns what the
// terminal shows.
func (w *world) watched(inputs map[string]string) string {
	w.t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		w.t.Skipf("there are no terminals here: %v", err)
	}
	defer ours.Close()
	var unlocked, number int32
	for request, value := range map[uintptr]*int32{syscall.TIOCSPTLCK: &unlocked, syscall.TIOCGPTN: &number} {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, ours.Fd(), request, uintptr(unsafe.Pointer(value)))
		require.Zero(w.t, errno)
	}
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(w.t, err)

	command, directory := w.command(inputs)
	command.Env = append(command.Env, "TERM=xterm")
	var stdout bytes.Buffer
	command.Stdout, command.Stderr = &stdout, theirs
	require.NoError(w.t, command.Start())
	require.NoError(w.t, theirs.Close())
	text, _ := io.ReadAll(ours) // until the other end is closed
	require.NoError(w.t, command.Wait(), "%s", text)
	screen := strings.ReplaceAll(string(text), "\r\n", "\n")
	w.finished(command, directory, stdout.String(), screen)
	return screen
}

// TestAFleetOnATerminal: each phase has a bar, which ends full and is then removed.
func TestAFleetOnATerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	fleet(w)
	screen := w.watched(w.manifest(threeEntries, nil))
	for _, phase := range []string{"Check     ", "Apply     ", "Smoke test"} {
		for _, done := range []string{"0", "3"} {
			assert.Regexp(t, phase+` \[[= ]{30}\] `+done+` of 3`, screen)
		}
	}
	assert.Contains(t, screen, "\r\x1b[Kenvironment \"acme-web\" (", "a line replaces the bar")
	assert.NotRegexp(t, `of 3\n`, screen, "no bar stays")
	assert.NotRegexp(t, `of 3[^\r]`, screen, "nothing is written behind a bar")
}

// TestALogTellsWhatChanged: it only counts what is kept.
func TestALogTellsWhatChanged(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false"}))
		changed := strings.Replace(threeEntries, "README.md", "main.go", 1)
		r := w.must(w.manifest(changed, map[string]string{"smoke_test": "false"}))
		assert.Regexp(t, `environment "acme-api" \(\S+\): updated`, r.log)
		assert.NotContains(t, r.log, ": kept")
		assert.NotContains(t, r.log, "of 3", "it ends before the first count")
	})
}
