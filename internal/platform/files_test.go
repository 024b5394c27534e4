package platform_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFilesThatAreNotOursAreNotWritten puts in the place of every output file what a
// repository or a careless step may leave there. A FIFO would hang.
func TestFilesThatAreNotOursAreNotWritten(t *testing.T) {
	t.Parallel()
	const before = "[core]\n"
	inTheWay := map[string]func(path, victim string) error{
		"a symbolic link":      func(path, victim string) error { return os.Symlink(victim, path) },
		"a FIFO":               func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory":          func(path, _ string) error { return os.Mkdir(path, 0o700) },
		"a device or a socket": func(path, _ string) error { return syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0) },
	}
	for what, put := range inTheWay {
		for role, tt := range map[string]struct {
			environ []string // DIRECTORY is replaced
			file    string
			said    string
			fails   bool
		}{
			"output_file":                        {nil, "out.env", "write output_file: DIRECTORY/out.env is ", true},
			"output_file of a GitLab report":     {[]string{"GITLAB_CI=true"}, "out.env", "write output_file: DIRECTORY/out.env is ", true},
			"GITHUB_OUTPUT":                      {[]string{"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=DIRECTORY/output"}, "output", "GITHUB_OUTPUT: DIRECTORY/output is ", true},
			"GITHUB_STEP_SUMMARY":                {[]string{"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=DIRECTORY/fine", "GITHUB_STEP_SUMMARY=DIRECTORY/summary"}, "summary", "there is no job summary: DIRECTORY/summary is ", false},
			"the file to source":                 {[]string{"BITBUCKET_BUILD_NUMBER=1", "BITBUCKET_CLONE_DIR=DIRECTORY"}, ".oz-bitbucket/outputs.env", "write the outputs to source: .oz-bitbucket/outputs.env is ", true},
			"BITBUCKET_PIPELINES_VARIABLES_PATH": {[]string{"BITBUCKET_BUILD_NUMBER=1", "BITBUCKET_PIPELINES_VARIABLES_PATH=DIRECTORY/variables"}, "variables", "BITBUCKET_PIPELINES_VARIABLES_PATH: DIRECTORY/variables is ", false},
		} {
			t.Run(role+" is "+what, func(t *testing.T) {
				t.Parallel()
				directory, victim := t.TempDir(), filepath.Join(t.TempDir(), "config")
				require.NoError(t, os.WriteFile(victim, []byte(before), 0o600))
				path := filepath.Join(directory, tt.file)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, put(path, victim))
				fill := strings.NewReplacer("DIRECTORY", directory).Replace
				var environ []string
				for _, entry := range tt.environ {
					environ = append(environ, fill(entry))
				}
				outputFile := ""
				if tt.file == "out.env" {
					outputFile = path
				}
				j := start(environ...)
				err := j.Emit(facts(), outputFile)
				want := fill(tt.said) + what + ", but outputs go into regular files only; delete it or remove it from the repository"
				if tt.fails {
					require.ErrorContains(t, err, want)
					assert.NotContains(t, j.log.String(), "✔")
				} else {
					require.NoError(t, err)
					assert.Contains(t, j.out.String()+j.log.String(), want)
				}
				assert.Equal(t, before, read(t, victim))
			})
		}
	}
}

func TestAFileBehindALinkedDirectory(t *testing.T) {
	t.Parallel()
	outside, clone := t.TempDir(), t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(clone, ".git"), 0o700))
	for _, target := range []string{outside, ".git"} { // out of the repository, and inside it
		link := filepath.Join(clone, ".oz-bitbucket")
		require.NoError(t, os.Symlink(target, link))
		j := start("BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_CLONE_DIR="+clone)
		require.ErrorContains(t, j.Emit(facts(), ""), "write the outputs to source: .oz-bitbucket/outputs.env is below .oz-bitbucket, a symbolic link")
		require.NoError(t, os.Remove(link))
	}
	for _, directory := range []string{outside, filepath.Join(clone, ".git")} {
		left, err := os.ReadDir(directory)
		require.NoError(t, err)
		assert.Empty(t, left)
	}
}

// TestNoLinkBelowTheWorkingDirectory is not parallel: there is one working
// directory.
func TestNoLinkBelowTheWorkingDirectory(t *testing.T) {
	outside := t.TempDir()
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll("a/b", 0o700))
	require.NoError(t, os.Symlink(outside, "a/link"))
	for _, path := range []string{"a/link/out.env", "a/link/../out.env", here + "/a/link/out.env", "./a//link/./out.env"} {
		err := start().Emit(facts(), path)
		if path == "a/link/../out.env" {
			require.NoError(t, err, "it is a/out.env")
			continue
		}
		require.ErrorContains(t, err, "write output_file: "+path+" is below link, a symbolic link", path)
	}
	left, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, left)

	for _, path := range []string{"a/b/out.env", here + "/a/b/two.env", "a/out.env", filepath.Join(outside, "out.env"), "../out.env"} {
		require.NoError(t, start().Emit(facts(), path), path)
		assert.Equal(t, factsLines, read(t, path))
	}
	// A link to a directory elsewhere is allowed.
	link := filepath.Join(t.TempDir(), "run")
	require.NoError(t, os.Symlink(outside, link))
	require.NoError(t, start().Emit(facts(), link+"/three.env"))
}

func TestFilesAreMadeAnew(t *testing.T) {
	t.Parallel()
	clone := t.TempDir()
	output := filepath.Join(clone, "out.env")
	for range 2 {
		require.NoError(t, os.WriteFile(output, []byte("old"), 0o644))
		require.NoError(t, os.Chmod(output, 0o644))
		before, err := os.Open(output)
		require.NoError(t, err)
		defer before.Close()
		j := start("BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_CLONE_DIR="+clone)
		require.NoError(t, j.Emit(facts(), output))
		old, err := before.Stat()
		require.NoError(t, err)
		assert.EqualValues(t, 3, old.Size(), "a reader of the old file keeps it")
	}
	for _, path := range []string{output, filepath.Join(clone, ".oz-bitbucket", "outputs.env")} {
		about, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), about.Mode(), path)
	}
	for directory, want := range map[string]int{clone: 2, filepath.Join(clone, ".oz-bitbucket"): 2} {
		left, err := os.ReadDir(directory)
		require.NoError(t, err)
		assert.Len(t, left, want, "no temporary file is left")
	}
}

// TestFilesBelongToTheJobsUser: a container's root writes for the steps after it.
func TestFilesBelongToTheJobsUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	clone := t.TempDir()
	require.NoError(t, os.Chown(clone, 1001, 1002))
	j := start("BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_CLONE_DIR="+clone)
	require.NoError(t, j.Emit(facts(), filepath.Join(clone, "out.env")))
	for _, name := range []string{"out.env", ".oz-bitbucket", ".oz-bitbucket/outputs.env", ".oz-bitbucket/.gitignore"} {
		about, err := os.Stat(filepath.Join(clone, name))
		require.NoError(t, err)
		owner := about.Sys().(*syscall.Stat_t)
		assert.Equal(t, []uint32{1001, 1002}, []uint32{owner.Uid, owner.Gid}, name)
	}
}

// TestAMountedFile is overwritten in place, because nothing can be renamed over a mount.
func TestAMountedFile(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	source, mounted := filepath.Join(directory, "source"), filepath.Join(directory, "out.env")
	for _, path := range []string{source, mounted} {
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("old\n", 1000)), 0o600))
	}
	if err := syscall.Mount(source, mounted, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(mounted, 0)) })
	require.NoError(t, start().Emit(facts(), mounted))
	assert.Equal(t, factsLines, read(t, source))
	left, err := os.ReadDir(directory)
	require.NoError(t, err)
	assert.Len(t, left, 2)
}

// TestAFIFOInPlaceOfADirectory: it is refused at once, without a wait for a writer.
func TestAFIFOInPlaceOfADirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	require.NoError(t, err)
	require.NoError(t, os.Mkdir("clone", 0o700))
	for _, path := range []string{"fifo", "clone/.oz-bitbucket", filepath.Join(t.TempDir(), "fifo")} {
		if filepath.IsAbs(path) {
			here = filepath.Dir(path)
		}
		require.NoError(t, syscall.Mkfifo(path, 0o600))
	}
	for _, path := range []string{"fifo/out.env", here + "/fifo/out.env", "clone/.oz-bitbucket/a/out.env"} {
		require.EqualError(t, start().Emit(facts(), path), "write output_file: open "+path+": not a directory")
	}
	for _, clone := range []string{"clone", "fifo", here + "/fifo"} {
		j := start("BITBUCKET_BUILD_NUMBER=7", "BITBUCKET_CLONE_DIR="+clone)
		require.NoError(t, j.Emit(facts(), ""))
		assert.Contains(t, j.log.String(), "WARNING: the outputs are not in .oz-bitbucket/outputs.env, only in the JSON line: ")
		assert.Contains(t, j.log.String(), "not a directory")
	}
}

// TestAFileOfAnInputThatDoesNotEnd: the program gives up on it, and reads a shell's <(...).
func TestAFileOfAnInputThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	read := func(path string) ([]byte, error) { return start().ReadFile(path) }
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	content, err := read(path)
	require.NoError(t, err)
	assert.Empty(t, content, "the pipe has no writer")

	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	time.AfterFunc(100*time.Millisecond, func() {
		_, _ = writer.WriteString("secret\n")
		_ = writer.Close()
	})
	content, err = read(fmt.Sprintf("/dev/fd/%d", reader.Fd()))
	require.NoError(t, err)
	assert.Equal(t, "secret\n", string(content))

	silent, held, err := os.Pipe()
	require.NoError(t, err)
	defer silent.Close()
	defer held.Close()
	_, err = read(fmt.Sprintf("/dev/fd/%d", silent.Fd()))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	long := filepath.Join(t.TempDir(), "long")
	require.NoError(t, os.WriteFile(long, nil, 0o600))
	require.NoError(t, os.Truncate(long, 1<<40))
	_, err = read(long)
	require.ErrorIs(t, err, syscall.EFBIG)
}
