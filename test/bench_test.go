package test

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// The benchmarks run the program as a process against the simulators and
// report, beside the wall time, the requests that it sent and its peak memory.
// Latency is added to each request, so that (time at 100 ms - time at 0 ms) /
// 100 ms is the number of round trips that wait for each other.

func BenchmarkPlan(b *testing.B) {
	measure(b, func(w *world) { w.must(w.inputs(nil), "plan") }, nil)
}

func BenchmarkFirstApply(b *testing.B) {
	measure(b, func(w *world) { w.must(w.inputs(map[string]string{"smoke_test": "false"})) }, nil)
}

func BenchmarkSecondApply(b *testing.B) {
	apply := func(w *world) { w.must(w.inputs(map[string]string{"smoke_test": "false"})) }
	measure(b, apply, apply)
}

// BenchmarkRotate replaces one secret that 1, 10 and 100 environments use, each
// with a repository of its own, at 100 ms.
func BenchmarkRotate(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(strconv.Itoa(n)+"environments", func(b *testing.B) {
			measureAt(b, 100*time.Millisecond, func(w *world) { w.must(w.rotation(map[string]string{"smoke_test": "false"})) }, func(w *world) { w.environments(n) })
		})
	}
}

// BenchmarkFleet plans and applies files of 1, 50, 500 and 5,000 entries at 100 ms, beside
// the proofs; and proves 500.
func BenchmarkFleet(b *testing.B) {
	untested := map[string]string{"smoke_test": "false"}
	job := func(text string, args ...string) func(*world) {
		return func(w *world) { w.must(w.manifest(text, untested), args...) }
	}
	for _, n := range []int{1, 50, 500, 5000} {
		apply, plan := job(unproved(n)), job(unproved(n), "plan")
		b.Run("fresh/"+strconv.Itoa(n), func(b *testing.B) { measureAt(b, 100*time.Millisecond, apply, nil) })
		b.Run("unchanged/"+strconv.Itoa(n), func(b *testing.B) { measureAt(b, 100*time.Millisecond, plan, apply) })
	}
	text := entries(500)
	b.Run("proofs/500", func(b *testing.B) {
		measureAt(b, 100*time.Millisecond, job(text, "plan"), func(w *world) { w.copies(500); job(text)(w) })
	})
}

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

// measure times a job in a new world each time, after an optional preparation
// that is not timed.
func measure(b *testing.B, job, prepare func(*world)) {
	for _, latency := range []time.Duration{0, 100 * time.Millisecond} {
		b.Run(strconv.Itoa(int(latency.Milliseconds()))+"ms", func(b *testing.B) { measureAt(b, latency, job, prepare) })
	}
}

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
		requests = int64(len(w.oz.Journal.All()) + len(w.bitbucket.Journal.All()))
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
