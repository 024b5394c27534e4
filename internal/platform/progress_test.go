package platform_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
)

func TestACountEveryTenSeconds(t *testing.T) {
	t.Parallel()
	for host, label := range map[string]string{
		"NONE=": "", "GITLAB_CI=true": "", "GITHUB_ACTIONS=true": "", "BITBUCKET_BUILD_NUMBER=1": "INFO: ",
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				j := start(host, "TERM=xterm")
				step, end := j.Progress("Check", 500)
				var group sync.WaitGroup
				for i := range 25 {
					group.Go(func() {
						time.Sleep(time.Duration(i)*time.Second + time.Millisecond)
						step()
					})
				}
				group.Wait()
				end()
				time.Sleep(time.Minute)
				text := j.out.String() + j.log.String()
				assert.Equal(t, label+"Check: 10 of 500\n"+label+"Check: 20 of 500\n", text)
			})
		})
	}
}

func TestAShortPhaseIsNotCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := start()
		step, end := j.Progress("Check", 2)
		step()
		time.Sleep(9 * time.Second)
		end()
		time.Sleep(time.Minute)
		assert.Empty(t, j.out.String()+j.log.String())
	})
}

// pty returns the two ends of a new terminal.
func pty(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = ours.Close() })
	raw, err := ours.SyscallConn()
	require.NoError(t, err)
	control := func(request uintptr, value *int32) {
		require.NoError(t, raw.Control(func(fd uintptr) {
			_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(value)))
			assert.Zero(t, errno)
		}))
	}
	var unlocked, number int32
	control(syscall.TIOCSPTLCK, &unlocked)
	control(syscall.TIOCGPTN, &number)
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = theirs.Close() })
	return ours, theirs
}

// written returns what a process wrote to a terminal, up to its line "the end".
func written(t *testing.T, ours *os.File) string {
	t.Helper()
	var text []byte
	require.NoError(t, ours.SetReadDeadline(time.Now().Add(time.Minute)))
	for !bytes.Contains(text, []byte("the end")) || !bytes.HasSuffix(text, []byte("\n")) {
		part := make([]byte, 4096)
		n, err := ours.Read(part)
		require.NoError(t, err)
		text = append(text, part[:n]...)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n") // a terminal writes \r\n
}

func TestABarOnATerminal(t *testing.T) {
	t.Parallel()
	ours, theirs := pty(t)
	var out bytes.Buffer
	on := platform.Detect([]string{"TERM=xterm"}, &out, theirs)
	on.Mask(nil, hidden)
	step, end := on.Progress("Apply", 3)
	step()
	on.Log().Info("environment \"a\" " + secret)
	on.Log().Warn("two\nlines")
	step()
	step()
	end()
	on.Log().Info("the end")

	const wipe = "\r\x1b[K"
	bar := func(full, done int) string {
		return fmt.Sprintf("Apply      [%s%s] %d of 3", strings.Repeat("=", full), strings.Repeat(" ", 30-full), done)
	}
	assert.Equal(t, wipe+bar(0, 0)+wipe+bar(10, 1)+
		wipe+"environment \"a\" ***\n"+bar(10, 1)+
		wipe+"\x1b[33mwarning: two\x1b[0m\n  lines\n"+bar(10, 1)+
		wipe+bar(20, 2)+wipe+bar(30, 3)+wipe+"the end\n", written(t, ours))
	assert.Empty(t, out.String())
}

func TestABarHidesSecrets(t *testing.T) {
	t.Parallel()
	ours, theirs := pty(t)
	on := platform.Detect([]string{"TERM=xterm"}, &bytes.Buffer{}, theirs)
	on.Mask(nil, hidden)
	_, end := on.Progress(secret, 3)
	end()
	on.Log().Info("the end")
	text := written(t, ours)
	assert.Contains(t, text, "***")
	assert.NotContains(t, text, secret)
}

func TestNoBarWhereNobodyWatches(t *testing.T) {
	t.Parallel()
	for _, variables := range [][]string{
		{"TERM=xterm", "CI=true"}, {"TERM=dumb"}, {}, {"TERM=xterm", "GITLAB_CI=true"}, {"TERM=xterm", "BITBUCKET_BUILD_NUMBER=1"},
	} {
		t.Run(fmt.Sprint(variables), func(t *testing.T) {
			t.Parallel()
			ours, theirs := pty(t)
			on := platform.Detect(variables, &bytes.Buffer{}, theirs)
			step, end := on.Progress("Apply", 3)
			step()
			end()
			on.Log().Info("the end")
			text := written(t, ours)
			assert.NotContains(t, text, "[=")
			assert.NotContains(t, text, "of 3")
		})
	}
	file, err := os.Create(t.TempDir() + "/log")
	require.NoError(t, err)
	defer file.Close()
	step, end := platform.Detect([]string{"TERM=xterm"}, &bytes.Buffer{}, file).Progress("Apply", 3)
	step()
	end()
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	assert.Empty(t, text, "a file is not a terminal")
}
