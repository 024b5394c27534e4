package test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// TestAStandardOutputThatIsClosedOrFull: the outputs are lost, so the exit code is never 0.
func TestAStandardOutputThatIsClosedOrFull(t *testing.T) {
	t.Parallel()
	reader, gone, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	for _, stream := range []*os.File{gone, full, null} {
		t.Cleanup(func() { _ = stream.Close() })
	}
	for _, d := range []dialect{plain, github, pipe} {
		for name, tt := range map[string]struct {
			stdout *os.File // nil: closed
			said   string
		}{
			"full": {full, "no space left on device"}, "a pipe without a reader": {gone, "broken pipe"}, "closed": {nil, "standard output is closed"},
			"thrown away": {null, ""},
		} {
			t.Run(string(d)+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, d, warpsim.Options{})
				for _, args := range [][]string{{"plan"}, {"--help"}, {"--version"}} {
					command, _ := w.command(w.inputs(nil), args...)
					var stderr bytes.Buffer
					command.Stdout, command.Stderr = tt.stdout, &stderr
					if tt.stdout == nil {
						command.Args = append([]string{"sh", "-c", `exec "$0" "$@" >&-`}, command.Args...)
						shell, err := exec.LookPath("sh")
						require.NoError(t, err)
						command.Path = shell
					}
					_ = command.Run()
					w.written = append(w.written, stderr.String())
					want := 1
					if tt.said == "" {
						want = 0
					}
					assert.Equal(t, want, command.ProcessState.ExitCode(), "%s %s", args, stderr.String())
					if d != github || args[0] != "plan" { // this log is on standard output too
						assert.Contains(t, stderr.String(), tt.said)
					}
				}
				w.requireClean()
			})
		}
	}
}

// TestACommittedLinkIsNotFollowed: the repository has a link in the outputs' place, as a
// colleague could commit it, or a FIFO, as a step could leave it.
func TestACommittedLinkIsNotFollowed(t *testing.T) {
	t.Parallel()
	const before = "[core]\n\tbare = false\n"
	for name, tt := range map[string]struct {
		dialect dialect
		arrange func(directory string) error
		said    string
	}{
		"a file to source that is a link": {pipe, func(directory string) error {
			if err := os.Mkdir(filepath.Join(directory, ".oz-bitbucket"), 0o755); err != nil {
				return err
			}
			return os.Symlink("../.git/config", filepath.Join(directory, ".oz-bitbucket", "outputs.env"))
		}, "write the outputs to source: .oz-bitbucket/outputs.env is a symbolic link"},
		"its directory that is a link": {pipe, func(directory string) error {
			return os.Symlink(".git", filepath.Join(directory, ".oz-bitbucket"))
		}, "write the outputs to source: .oz-bitbucket/outputs.env is below .oz-bitbucket, a symbolic link"},
		"output_file that is a link": {plain, func(directory string) error {
			return os.Symlink(".git/config", filepath.Join(directory, "oz.env"))
		}, "write output_file: oz.env is a symbolic link"},
		"output_file that is a FIFO": {plain, func(directory string) error {
			return syscall.Mkfifo(filepath.Join(directory, "oz.env"), 0o600)
		}, "write output_file: oz.env is a FIFO"},
		"GitHub's outputs that are a FIFO": {github, func(directory string) error {
			return syscall.Mkfifo(filepath.Join(directory, "output"), 0o600)
		}, "write the outputs to GITHUB_OUTPUT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.dialect, warpsim.Options{})
			changes := map[string]string{"smoke_test": "false"}
			if tt.dialect == plain {
				changes["output_file"] = "oz.env"
			}
			command, directory := w.command(w.inputs(changes))
			config := filepath.Join(directory, ".git", "config")
			require.NoError(t, os.Mkdir(filepath.Dir(config), 0o755))
			require.NoError(t, os.WriteFile(config, []byte(before), 0o644))
			require.NoError(t, tt.arrange(directory))
			var log bytes.Buffer
			command.Stdout, command.Stderr = &log, &log
			require.NoError(t, command.Start())
			hangs := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
			_ = command.Wait()
			hangs.Stop()
			assert.Equal(t, 1, command.ProcessState.ExitCode())
			assert.Contains(t, log.String(), tt.said)
			content, err := os.ReadFile(config)
			require.NoError(t, err)
			assert.Equal(t, before, string(content))
			left, err := os.ReadDir(filepath.Dir(config))
			require.NoError(t, err)
			assert.Len(t, left, 1)
			assert.Len(t, w.oz.Environments(), 1, "the environment was still written")
		})
	}
}

// chatty is a server in front of Oz that sends extra bytes after every answer, on the same
// connection.
func chatty(t *testing.T, oz, extra string) string {
	t.Helper()
	var mu sync.Mutex
	var connections []net.Conn
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, asked *http.Request) {
		request, err := http.NewRequestWithContext(asked.Context(), asked.Method, oz+asked.URL.RequestURI(), asked.Body)
		if err != nil {
			return
		}
		request.Header = asked.Header
		request.Header.Del("Accept-Encoding")
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			return
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return
		}
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		mu.Lock()
		connections = append(connections, connection)
		mu.Unlock()
		fmt.Fprintf(connection, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s%s",
			answer.Status, answer.Header.Get("Content-Type"), len(body), body, extra)
	}))
	t.Cleanup(func() {
		server.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, connection := range connections {
			_ = connection.Close()
		}
	})
	return server.URL
}

// TestBytesAfterAnAnswerAreNoWords: net/http logs them unchanged by itself.
func TestBytesAfterAnAnswerAreNoWords(t *testing.T) {
	t.Parallel()
	for d, debug := range map[dialect]string{plain: "DEBUG=true", pipe: "DEBUG=true", github: "RUNNER_DEBUG=1"} {
		for _, loud := range []bool{false, true} {
			t.Run(fmt.Sprint(d, loud), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, d, warpsim.Options{})
				if loud {
					w.environ = []string{debug}
				}
				server := chatty(t, w.oz.URL(), "##vso[task.setvariable variable=x]"+apiKey+" "+cloudToken+"\r\n::set-output name=x::y\r\n")
				r := w.run(w.inputs(map[string]string{"warp_server_url": server, "smoke_test": "false"}))
				require.Equal(t, 0, r.code, r.log)
				assert.NotContains(t, r.log, "##vso")
				assert.NotRegexp(t, `(?m)^\s*::set-output`, r.log)
				const said = "Go says: Unsolicited response received on idle HTTP channel starting with \"# #vso[task.setvariable variable=x]*** ***"
				assert.Equal(t, loud, strings.Contains(r.log, said), r.log)
				assert.Equal(t, loud, strings.Contains(r.log, "Unsolicited"), r.log)
				w.requireClean()
			})
		}
	}
}

// TestGoPrintsNoHeaders: with GODEBUG=http2debug Go would print those of each request.
func TestGoPrintsNoHeaders(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for settings, want := range map[string]int{"http2debug=1": 2, "http2xconnect=0,http2debug=2": 2, "http2debug=0": 0} {
			w.environ = []string{"GODEBUG=" + settings}
			r := w.run(w.inputs(nil), "plan")
			assert.Equal(t, want, r.code, r.log)
			assert.Equal(t, want == 2, strings.Contains(r.log, "GODEBUG: holds http2debug, under which Go prints every header, credentials included; take it out"), r.log)
			if want == 2 {
				assert.Empty(t, w.oz.Journal.All())
				assert.Empty(t, w.bitbucket.Journal.All())
			}
			w.oz.Journal.Reset()
			w.bitbucket.Journal.Reset()
		}
	})
}
