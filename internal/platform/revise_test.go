package platform_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRevise(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "a", "b.yaml")
	require.NoError(t, os.Mkdir(filepath.Join(folder, "a"), 0o755))
	require.NoError(t, os.WriteFile(path, []byte("old\r\n"), 0o600))
	require.NoError(t, os.Chmod(path, 0o754))
	to := func(text string) func(string) (string, error) {
		return func(old string) (string, error) { return strings.Replace(old, "old", text, 1), nil }
	}
	require.NoError(t, start().Revise(folder, "a/b.yaml", to("new")))
	assert.Equal(t, "new\r\n", read(t, path))
	before, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o754), before.Mode())

	require.NoError(t, start().Revise(folder, "a/b.yaml", to("newer")), "this changes nothing")
	after, err := os.Stat(path)
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after), "an unchanged text is not written")

	no := errors.New("no")
	err = start().Revise(folder, "a/b.yaml", func(string) (string, error) { return "x", no })
	require.ErrorIs(t, err, no)
	require.ErrorContains(t, err, path+": no")
	assert.Equal(t, "new\r\n", read(t, path))
	left, err := os.ReadDir(filepath.Join(folder, "a"))
	require.NoError(t, err)
	assert.Len(t, left, 1)
}

// TestReviseLeadsNowhereElse: neither through a link nor into what is not a file.
func TestReviseLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "b.yaml"), []byte("old"), 0o600))
	for name, prepare := range map[string]func(folder string) error{
		"a symbolic link":    func(folder string) error { return os.Symlink(outside, filepath.Join(folder, "a")) },
		"is a symbolic link": func(folder string) error { return os.Symlink(filepath.Join(outside, "b.yaml"), made(folder)) },
		"is a FIFO":          func(folder string) error { return syscall.Mkfifo(made(folder), 0o600) },
		"is a directory":     func(folder string) error { return os.Mkdir(made(folder), 0o700) },
		"no such file":       func(folder string) error { return os.Mkdir(filepath.Join(folder, "a"), 0o700) },
		"not a directory":    func(folder string) error { return os.WriteFile(filepath.Join(folder, "a"), nil, 0o600) },
		"file too large":     func(folder string) error { return os.WriteFile(made(folder), make([]byte, 1<<20+1), 0o600) },
	} {
		folder := t.TempDir()
		require.NoError(t, prepare(folder))
		called := false
		err := start().Revise(folder, "a/b.yaml", func(string) (string, error) { called = true; return "new", nil })
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, filepath.Join(folder, "a", "b.yaml"))
		assert.False(t, called, name)
	}
	assert.Equal(t, "old", read(t, filepath.Join(outside, "b.yaml")))
}

// made makes a directory and returns the path of a file in it.
func made(folder string) string {
	_ = os.Mkdir(filepath.Join(folder, "a"), 0o700)
	return filepath.Join(folder, "a", "b.yaml")
}
