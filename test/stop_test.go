package test

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

const (
	// pauseForTheTest is how long a simulator waits so that a test can act.
	pauseForTheTest = 1500 * time.Millisecond
	// longerThanTheAnswer is longer than a stopped job waits for the answer to a start, and half
	// of its time to find the run.
	longerThanTheAnswer = 2500 * time.Millisecond

	// leaves is the time between GitHub's SIGINT and SIGTERM.
	// Source: actions/runner, ProcessInvoker.cs.
	leaves = 7500 * time.Millisecond
)

// job is a process that has not ended.
type job struct {
	w              *world
	command        *exec.Cmd
	directory      string
	stdout, stderr bytes.Buffer
}

func (w *world) start(inputs map[string]string) *job {
	w.t.Helper()
	j := &job{w: w}
	j.command, j.directory = w.command(inputs)
	j.command.Stdout, j.command.Stderr = &j.stdout, &j.stderr
	require.NoError(w.t, j.command.Start())
	w.t.Cleanup(func() { _ = j.command.Process.Kill() })
	return j
}

// wait waits for the process and collects its results.
func (j *job) wait() result {
	j.w.t.Helper()
	_ = j.command.Wait() // the exit code is in the result
	require.True(j.w.t, j.command.ProcessState.Exited(), "%s; it had said:\n%s%s", j.command.ProcessState, &j.stdout, &j.stderr)
	return j.w.finished(j.command, j.directory, j.stdout.String(), j.stderr.String())
}

// stop sends a signal and waits for the end. A job that still runs when the host would send
// the next signal is killed; wait then reports it.
func (j *job) stop(signal syscall.Signal) result {
	j.w.t.Helper()
	require.NoError(j.w.t, j.command.Process.Signal(signal))
	kill := time.AfterFunc(leaves, func() { _ = j.command.Process.Kill() })
	defer kill.Stop()
	return j.wait()
}

// await polls until a condition on the simulators holds.
func (w *world) await(condition func() bool) {
	w.t.Helper()
	require.Eventually(w.t, condition, 20*time.Second, 5*time.Millisecond)
}

// awaitRequest waits until Oz has received a request.
func (w *world) awaitRequest(operation string) {
	w.t.Helper()
	w.await(func() bool {
		for _, request := range w.oz.Journal.All() {
			if request.Operation == operation {
				return true
			}
		}
		return false
	})
}

// The tests of signals run before the parallel ones: the time that a host leaves is real, and
// would be too short on a busy machine.

func TestSignalsCancelTheRun(t *testing.T) {
	for name, tt := range map[string]struct {
		behaviour warpsim.Behaviour
		state     string
	}{
		"queued":              {warpsim.Behaviour{Queued: true}, "CANCELLED"},
		"working":             {warpsim.Behaviour{Hold: time.Hour}, "CANCELLED"},
		"being prepared":      {warpsim.Behaviour{Queued: true, CancelStatuses: []int{409, 409, 409}}, "CANCELLED"},
		"refused three times": {warpsim.Behaviour{Queued: true, CancelStatuses: []int{404, 503, 400}}, "CANCELLED"},
		"slow to stop":        {warpsim.Behaviour{Hold: time.Hour, CancelAfter: 3 * time.Second}, "CANCELLED"},
		"ending by itself":    {warpsim.Behaviour{Hold: 3 * time.Second, CancelStatuses: []int{409, 409, 409, 409, 409, 409, 409}}, "SUCCEEDED"},
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				signal, code := syscall.SIGTERM, 143
				if w.dialect == github {
					signal, code = syscall.SIGINT, 130
				}
				w.oz.Behave(tt.behaviour)
				job := w.start(w.inputs(nil))
				w.awaitRequest("GET /agent/runs/{id}")
				r := job.stop(signal)
				assert.Equal(t, code, r.code, r.log)
				assert.Equal(t, "create", r.outputs["environment_change"])
				assert.Regexp(t, `interrupted; the secret is written, and environment \S+ too`, r.log)
				assert.Equal(t, tt.state, w.lastRun().State)
				assert.Len(t, w.oz.Runs(), 1)
				w.requireRun(r, "cancelled", tt.state)
			})
		})
	}
}

func TestASecondSignalDoesNotEndTheCancel(t *testing.T) {
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.Behave(warpsim.Behaviour{Queued: true, CancelStatuses: []int{409, 409}})
		job := w.start(w.inputs(nil))
		w.awaitRequest("GET /agent/runs/{id}")
		require.NoError(t, job.command.Process.Signal(syscall.SIGINT))
		w.awaitRequest("POST /agent/runs/{id}/cancel")
		for range 3 {
			require.NoError(t, job.command.Process.Signal(syscall.SIGTERM))
		}
		r := job.stop(syscall.SIGINT)
		assert.Equal(t, 130, r.code, "the first signal's")
		w.requireRun(r, "cancelled", "CANCELLED")
	})
}

func TestTheCancelNeedsNobodyWhoReadsTheLog(t *testing.T) {
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.Behave(warpsim.Behaviour{Queued: true})
		command, _ := w.command(w.inputs(nil))
		reader, writer, err := os.Pipe()
		require.NoError(t, err)
		command.Stdout, command.Stderr = writer, writer
		require.NoError(t, command.Start())
		require.NoError(t, writer.Close())
		w.awaitRequest("POST /agent/runs")
		require.NoError(t, reader.Close())
		require.NoError(t, command.Process.Signal(syscall.SIGTERM))
		_ = command.Wait()
		assert.Equal(t, 143, command.ProcessState.ExitCode())
		w.awaitRequest("POST /agent/runs/{id}/cancel")
	})
}

func TestASignalBeforeTheStartStartsNothing(t *testing.T) {
	inBoth(t, warpsim.Options{Latency: pauseForTheTest / 5}, func(t *testing.T, w *world) {
		job := w.start(w.inputs(nil))
		w.awaitRequest("CreateGenericStringObject")
		r := job.stop(syscall.SIGTERM)
		assert.Equal(t, 143, r.code, r.log)
		assert.Equal(t, "create", r.outputs["secret_change"])
		assert.Empty(t, r.outputs["run_id"])
		assert.Empty(t, w.oz.Runs())
	})
}

func TestASignalDuringTheStartLeavesNoRun(t *testing.T) {
	noFilter := warpsim.Options{NoMetadataFilter: true}
	for name, tt := range map[string]struct {
		options   warpsim.Options
		behaviour warpsim.Behaviour
	}{
		"before its effect":             {warpsim.Options{}, warpsim.Behaviour{Queued: true, StartAfter: pauseForTheTest}},
		"before its effect, for long":   {warpsim.Options{}, warpsim.Behaviour{Queued: true, StartAfter: longerThanTheAnswer}},
		"after its effect, for ever":    {warpsim.Options{}, warpsim.Behaviour{Hold: time.Hour, AnswerAfter: time.Hour}},
		"without the filter":            {noFilter, warpsim.Behaviour{Hold: time.Hour, AnswerAfter: time.Hour}},
		"for long, and prepared slowly": {noFilter, warpsim.Behaviour{Queued: true, StartAfter: longerThanTheAnswer, CancelStatuses: []int{409, 409}}},
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, tt.options, func(t *testing.T, w *world) {
				w.oz.Behave(tt.behaviour)
				job := w.start(w.inputs(nil))
				w.awaitRequest("POST /agent/runs")
				r := job.stop(syscall.SIGTERM)
				assert.Equal(t, 143, r.code, r.log)
				require.Len(t, w.oz.Runs(), 1)
				assert.Equal(t, w.lastRun().ID, r.outputs["run_id"], r.log)
				assert.Equal(t, "cancelled", r.outputs["smoke_test"])
				assert.Equal(t, "CANCELLED", r.outputs["run_state"])
			})
		})
	}
}

func TestALostStartIsFoundAndNotRepeated(t *testing.T) {
	t.Parallel()
	answers := []fault.Fault{{}, {Status: 502}, {Status: 200, Body: "{}"}}
	for name, tt := range map[string]struct {
		options warpsim.Options
		lost    []fault.Fault
	}{
		"with the filter":    {warpsim.Options{}, answers},
		"without the filter": {warpsim.Options{NoMetadataFilter: true}, answers[:1]},
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, tt.options, func(t *testing.T, w *world) {
				for i, lost := range tt.lost {
					lost.Operation, lost.When = "POST /agent/runs", fault.After
					w.oz.Script.Add(lost)
					r := w.run(w.inputs(nil))
					require.Equal(t, 0, r.code, r.log)
					require.Len(t, w.oz.Runs(), i+1)
					w.requireRun(r, "passed", "SUCCEEDED")
				}
			})
		})
	}
}
