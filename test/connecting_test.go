package test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/action"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// TestConnectionsAreUsedAgain: a host has no more connections than requests at the same time,
// also over HTTP/1.1, where each connection carries one request. The bound is twice that,
// because a dial may end after its request has found another connection.
func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	const n, width = 200, 16
	w := newWorld(t, plain, warpsim.Options{})
	w.copies(n)
	w.must(w.manifest(entries(n), map[string]string{"smoke_test": "false"}), "plan")
	dialled := map[string]int{}
	for _, request := range w.bitbucket.Journal.All() {
		if request.Operation == bitbucketsim.Connect {
			dialled[request.URL]++
		}
	}
	require.NotEmpty(t, dialled)
	t.Log(dialled)
	for host, times := range dialled {
		assert.LessOrEqual(t, times, 2*width, host)
	}
}

// TestARunLeavesNothingBehind: in a process that continues. TestTwoHundredRunsLeaveNothingBehind
// looks longer.
func TestARunLeavesNothingBehind(t *testing.T) { // not parallel: it counts what the process has open
	leaveNothingBehind(t, 10)
}

// leaveNothingBehind counts what is open after that many plans and as many imports.
func leaveNothingBehind(t *testing.T, times int) {
	t.Helper()
	w := newWorld(t, plain, warpsim.Options{})
	inputs := w.inputs(map[string]string{"smoke_test": "false"})
	ofImport := map[string]string{}
	for _, name := range []string{"warp_api_key", "warp_server_url", "ca_certificate"} {
		ofImport[name] = inputs[name]
	}
	t.Chdir(t.TempDir())
	run := func(mode string) {
		environ, of := append(w.bitbucket.Environ(), "HOME="+w.home), inputs
		if mode == "import" {
			of = ofImport
		}
		for name, value := range of {
			environ = append(environ, strings.ToUpper(name)+"="+value)
		}
		var log strings.Builder
		require.Zero(t, action.Main(context.Background(), []string{mode}, environ, io.Discard, &log), &log)
	}
	run("apply")
	run("import")
	held := func() (descriptors, goroutines int) {
		open, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(open), runtime.NumGoroutine()
	}
	descriptors, goroutines := held()
	for range times {
		run("plan")
		run("import")
	}
	const few = 8                                         // such as the check itself; runs that leave anything leave more
	require.EventuallyWithT(t, func(c *assert.CollectT) { // the other ends close a moment later
		d, g := held()
		assert.LessOrEqual(c, d, descriptors+few)
		assert.LessOrEqual(c, g, goroutines+few)
	}, time.Minute, 10*time.Millisecond)
}

// TestTheSystemsAuthoritiesAreReadOnce: they come through a pipe, which nobody fills again before
// a minute has passed.
func TestTheSystemsAuthoritiesAreReadOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	authorities, err := os.ReadFile(roots(t))
	require.NoError(t, err)
	pipe := filepath.Join(t.TempDir(), "roots.pem")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	read := make(chan error, 1)
	go func() { read <- os.WriteFile(pipe, authorities, 0o600) }()
	w.environ = []string{"SSL_CERT_FILE=" + pipe}
	inputs := w.inputs(map[string]string{"smoke_test": "false"})
	require.NotEmpty(t, inputs["ca_certificate"])
	again := time.AfterFunc(time.Minute, func() { _ = os.WriteFile(pipe, nil, 0o600) })
	w.must(inputs)
	require.True(t, again.Stop(), "they were read again")
	require.NoError(t, <-read)
}
