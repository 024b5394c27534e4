// Command oz-bitbucket gives Warp Oz cloud agents access to a Bitbucket
// repository. It runs in a CI job, as a GitHub container action, a Bitbucket
// pipe or a plain container. README.md lists its inputs and outputs.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/oz-bitbucket/oz-bitbucket/internal/action"
)

// memory is when the collector works for every byte. The bounds of the answers keep
// what lives near it, at 128 MiB for a moment; left to itself, the heap would grow to
// twice what lives, and the largest transcript take 400 MB.
const memory = 96 << 20

// percent is GOGC until the collector has worked once. That happens at 6 MB then, rather than at
// 3: a plan allocates 4 MB in all, and one collection takes a tenth of its CPU. Measured with
// 100 environments: 19 ms rather than 21, and 0.1 to 0.6 MB less at the peak.
const percent = 200

// The first signal tells the job to stop. Later ones are swallowed: what is under
// way then, the cancel of a run and the outputs, ends by itself within seconds.
func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory)
	}
	if os.Getenv("GOGC") == "" {
		before := debug.SetGCPercent(percent)
		runtime.AddCleanup(new([64]byte), func(before int) { debug.SetGCPercent(before) }, before) // when the collector finds it
	}
	ctx, stop := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // whoever read the log may be gone; a run must still be cancelled
	go func() { stop(action.Interrupted((<-signals).(syscall.Signal))) }()
	os.Exit(action.Main(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
