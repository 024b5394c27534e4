// Command oz-bitbucket gives Warp Oz cloud agents access to a Bitbucket
// repository. It runs in a CI job, as a GitHub container action, a Bitbucket
// pipe or a plain container. README.md lists its inputs and outputs.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/oz-bitbucket/oz-bitbucket/internal/action"
)

func main() {
	ctx, stop := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { stop(action.Interrupted((<-signals).(syscall.Signal))) }()
	os.Exit(action.Main(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
