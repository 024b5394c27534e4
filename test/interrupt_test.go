package test

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/action"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// requireInterrupted checks that the error of a job that was told to stop says what was
// written, in the summary too, and holds no library's words for an interrupt.
func requireInterrupted(t *testing.T, r result, written string) {
	t.Helper()
	require.Equal(t, 143, r.code, r.log)
	for _, said := range []string{r.log, r.summary} {
		assert.NotContains(t, said, "context canceled")
		assert.NotContains(t, said, "signal 15")
	}
	assert.Regexp(t, `(?m)^(error: |::error title=oz-bitbucket::)interrupted; `+written+`(\n|%0A)`, r.log)
	assert.Contains(t, r.log, "\nNext: run the job again")
	assert.Equal(t, 1, strings.Count(r.log, "interrupted; "), r.log)
	assert.NotContains(t, r.log, "interrupted by")
}

// TestAJobThatIsToldToStopSaysWhatItHasWritten: at whatever step the signal arrives.
func TestAJobThatIsToldToStopSaysWhatItHasWritten(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		at      fault.Fault
		changes map[string]string
		written string
	}{
		"reading":               {fault.Fault{Operation: "GetUser", When: fault.Before, Status: 503}, nil, "nothing was written"},
		"reading, unanswered":   {fault.Fault{Operation: "GetCloudEnvironments", When: fault.Before}, nil, "nothing was written"},
		"a plan":                {fault.Fault{Operation: "ListManagedSecrets", When: fault.Before}, map[string]string{"mode": "plan"}, "nothing was written"},
		"a test":                {fault.Fault{Operation: "GetUser", When: fault.Before}, map[string]string{"mode": "test"}, "nothing was written"},
		"writing the secret":    {fault.Fault{Operation: "CreateManagedSecret", When: fault.Meanwhile}, nil, "the secret is written, but it is not known whether the environment is; run again to converge"},
		"an answer that is cut": {fault.Fault{Operation: "CreateManagedSecret", When: fault.After}, nil, "(nothing is known to be written|the secret is written, but it is not known whether the environment is); run again to converge"},
		"writing all": {fault.Fault{Operation: "CreateGenericStringObject", When: fault.Meanwhile}, nil,
			`the secret is written, and environment \S+ too; run again to converge`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				r := w.terminate(tt.at, w.inputs(tt.changes))
				requireInterrupted(t, r, tt.written)
				if tt.written == "nothing was written" {
					if w.dialect == github {
						assert.Contains(t, r.summary, "### oz-bitbucket: interrupted, nothing was written\n")
					}
					w.requireClean()
				}
			})
		})
	}
}

func TestAFleetThatIsToldToStopCountsWhatItHasWritten(t *testing.T) {
	t.Parallel()
	for operation, written := range map[string]string{
		"ListManagedSecrets":  "nothing was written",
		"CreateManagedSecret": "1 secret and 0 environments were written; environments without a change in the outputs were not reached",
	} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			fleet(w)
			inputs := w.manifest(threeEntries, map[string]string{"concurrency": "1"})
			r := w.terminate(fault.Fault{Operation: operation, When: fault.Meanwhile}, inputs)
			requireInterrupted(t, r, written)
			assert.NotRegexp(t, `: interrupted\b`+"[^;]", r.log, "it is logged once")
			for _, e := range r.environments(t) {
				assert.Empty(t, e.Error)
			}
			w.must(inputs)
		})
	}
}

// TestAnImportThatIsToldToStop: it prints nothing.
func TestAnImportThatIsToldToStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	inputs := w.inputs(nil)
	delete(inputs, "repo_url")
	delete(inputs, "bitbucket_token")
	command, _ := w.command(inputs, "import")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	started := make(chan struct{})
	w.oz.Script.Add(fault.Fault{Operation: "GetUser", When: fault.Before, Status: 503, Do: func() {
		<-started
		_ = command.Process.Signal(syscall.SIGTERM)
		time.Sleep(pauseForTheTest / 10) // until the signal has been received
	}})
	require.NoError(t, command.Start())
	close(started)
	_ = command.Wait()
	assert.Equal(t, 143, command.ProcessState.ExitCode())
	assert.Equal(t, "error: interrupted; nothing was written\n", stderr.String())
	assert.Empty(t, stdout.String())
	assert.Equal(t, "interrupted", action.Interrupted(15).Error())
}
