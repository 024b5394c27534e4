package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// The benchmarks run the program as a process against the simulators. In addition to the
// wall time they report the requests that it sent and its peak memory.

// BenchmarkSmokeTest waits for an agent that works for a minute, and counts the requests.
func BenchmarkSmokeTest(b *testing.B) {
	for b.Loop() {
		w := newWorld(b, plain, warpsim.Options{})
		w.oz.Behave(warpsim.Behaviour{Hold: time.Minute})
		w.must(w.inputs(nil))
		b.ReportMetric(float64(w.oz.Counts()["GET /agent/runs/{id}"]), "polls/minute")
	}
}

// BenchmarkVersion is the cost of the process itself.
func BenchmarkVersion(b *testing.B) {
	info, err := os.Stat(binary)
	require.NoError(b, err)
	for b.Loop() {
		require.NoError(b, exec.Command(binary, "--version").Run())
	}
	b.ReportMetric(float64(info.Size())/1e6, "MB/binary")
}

// measureAt times a job in a new world each time, after an optional preparation that is not
// timed.
func measureAt(b *testing.B, latency time.Duration, job, prepare func(*world)) {
	var requests, memory int64
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b, plain, warpsim.Options{Latency: latency})
		if prepare != nil {
			prepare(w)
			w.oz.Journal.Reset()
			w.bitbucket.Journal.Reset()
		}
		b.StartTimer()
		job(w)
		b.StopTimer()
		requests = w.requested()
		memory = max(memory, w.memory)
		w.oz.Close()
		w.bitbucket.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(requests), "requests")
	b.ReportMetric(float64(memory)/1e6, "MB/peak")
}

// measured is must, and sets w.memory to the program's own peak and w.processors to its time
// on all processors. The system's number for the memory of a finished process begins with
// that of its parent, which here holds both servers.
//
// Source: https://github.com/torvalds/linux/blob/v6.1/fs/exec.c (setmax_mm_hiwater_rss) and
// https://man7.org/linux/man-pages/man5/proc_pid_status.5.html (VmHWM)
func (w *world) measured(inputs map[string]string, args ...string) {
	w.t.Helper()
	command, directory := w.command(inputs, args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	memory := watched(w.t, command)
	r := w.finished(command, directory, stdout.String(), stderr.String())
	require.Equal(w.t, 0, r.code, r.log)
	w.memory = memory
	w.processors = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
}

// watched runs a command and reads its peak memory every millisecond. It returns bytes.
func watched(t testing.TB, command *exec.Cmd) (memory int64) {
	t.Helper()
	require.NoError(t, command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended: // its exit code is in the result
			return memory
		case <-tick.C:
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", command.Process.Pid)) // gone when it has ended
			if _, text, found := bytes.Cut(status, []byte("VmHWM:")); found {
				var kib int64
				_, _ = fmt.Sscan(string(text), &kib)
				memory = max(memory, kib<<10)
			}
		}
	}
}

// must runs a job that must succeed.
func (w *world) must(inputs map[string]string, args ...string) result {
	w.t.Helper()
	r := w.run(inputs, args...)
	require.Equal(w.t, 0, r.code, r.log)
	return r
}

// peak returns the most memory that a finished process had, in bytes.
func peak(process *os.ProcessState) int64 {
	return process.SysUsage().(*syscall.Rusage).Maxrss << 10 // Linux counts in KiB
}
