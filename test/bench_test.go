package test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// The benchmarks run the program as a process against the simulators and
// report, beside the wall time, the requests that it sent and its peak memory.

// BenchmarkSmokeTest waits for an agent that works for a minute and reports how
// often it asked.
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

// must runs a job that has to succeed.
func (w *world) must(inputs map[string]string, args ...string) result {
	w.t.Helper()
	r := w.run(inputs, args...)
	require.Equal(w.t, 0, r.code, r.log)
	return r
}

// peak is the most memory that a finished process had, in bytes.
func peak(process *os.ProcessState) int64 {
	return process.SysUsage().(*syscall.Rusage).Maxrss << 10 // Linux counts in KiB
}
