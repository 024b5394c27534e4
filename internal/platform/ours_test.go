package platform_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOurDirectoryHidesItselfFirst watches the directory: whenever the program is killed,
// git sees nothing in it, except the .gitignore that is being made.
func TestOurDirectoryHidesItselfFirst(t *testing.T) {
	t.Parallel()
	for name, environ := range map[string][]string{
		"output_file":        nil,
		"the file to source": {"BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_CLONE_DIR=CLONE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clone := t.TempDir()
			ours := filepath.Join(clone, ".oz-bitbucket")
			require.NoError(t, os.Mkdir(ours, 0o755)) // a watch needs an existing directory
			made := watch(t, ours)
			file := ""
			if environ == nil {
				file = filepath.Join(ours, "oz.env")
			} else {
				environ[1] = "BITBUCKET_CLONE_DIR=" + clone
			}
			require.NoError(t, start(environ...).Emit(facts(), file))
			names := made()
			require.Len(t, names, 4)
			assert.Equal(t, ".gitignore", names[1], "%q", names)
			assert.Contains(t, names[0], ".oz-bitbucket-")
		})
	}
}

// watch returns a function that lists the names that appeared in a directory.
func watch(t *testing.T, directory string) (names func() []string) {
	t.Helper()
	watcher, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(watcher) })
	_, err = syscall.InotifyAddWatch(watcher, directory, syscall.IN_CREATE|syscall.IN_MOVED_TO)
	require.NoError(t, err)
	return func() (names []string) {
		events := make([]byte, 4096)
		n, err := syscall.Read(watcher, events)
		require.NoError(t, err)
		for rest := events[:n]; len(rest) > 0; {
			end := syscall.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
			name, _, _ := bytes.Cut(rest[syscall.SizeofInotifyEvent:end], []byte{0})
			names, rest = append(names, string(name)), rest[end:]
		}
		return names
	}
}

// TestOurDirectoryIsMade: wherever output_file names it. No other directory is made.
func TestOurDirectoryIsMade(t *testing.T) {
	t.Parallel()
	above := t.TempDir()
	ours := filepath.Join(above, ".oz-bitbucket")
	path := filepath.Join(ours, "oz.env")
	require.NoError(t, start().Emit(facts(), path))
	assert.Equal(t, factsLines, read(t, path))
	ignore := filepath.Join(ours, ".gitignore")
	assert.Equal(t, "*\n", read(t, ignore))
	about, err := os.Stat(ignore)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), about.Mode(), "git may run as another user")

	// An existing .gitignore is kept.
	require.NoError(t, os.WriteFile(ignore, []byte("*.env\n"), 0o600))
	require.NoError(t, start().Emit(facts(), path))
	assert.Equal(t, "*.env\n", read(t, ignore))

	for _, path := range []string{"no/oz.env", "no/.oz-bitbucket/oz.env", ".oz-bitbucket/no/oz.env"} {
		require.ErrorContains(t, start().Emit(facts(), filepath.Join(above, path)), "write output_file: open "+above)
	}
	assert.NoDirExists(t, filepath.Join(above, "no"))

	link := filepath.Join(t.TempDir(), ".oz-bitbucket")
	require.NoError(t, os.Symlink(above, link))
	require.ErrorContains(t, start().Emit(facts(), filepath.Join(link, "oz.env")), "oz.env is below .oz-bitbucket, a symbolic link")
}
