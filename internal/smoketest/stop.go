package smoketest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// All are counted from the moment at which the job is told to stop. GitHub sends
// SIGINT, SIGTERM 7.5 s later, and kills 2.5 s after that. The run is found and
// cancelled before the second signal, and the outputs are written before the kill.
//
// Source: actions/runner, ProcessInvoker.cs.
const (
	answerGrace = 2 * time.Second // for the answer to a start that is under way
	lookGrace   = 5 * time.Second // until a run without an answer must be found
	stopGrace   = 7 * time.Second // until it must be cancelled
)

const (
	// cancelLimit bounds a cancel as long as the job is not told to stop: a run that is
	// being prepared (409) cannot be cancelled yet.
	cancelLimit = 30 * time.Second
	cancelAsk   = 3 * time.Second  // for one cancel request
	askLimit    = 10 * time.Second // for any other request, including the transport's retries

	// Limits for the look for a run after the job was told to stop.
	hurriedPoll = 500 * time.Millisecond
	hurriedAsk  = 1500 * time.Millisecond
)

// stopped is the verdict on an interrupted test; came is the outcome of the run in
// words.
func (w watch) stopped(ctx context.Context, run warp.Run, came string) Verdict {
	if errors.Is(context.Cause(ctx), errTimeout) {
		return Verdict{Result: TimedOut, Reason: fmt.Sprintf("the smoke test was not over within %s; %s", w.Timeout, came), Run: run}
	}
	return Verdict{Result: Cancelled, Reason: "the job was told to stop; " + came, Run: run}
}

// advice is what to do after a timeout, else empty.
func advice(ctx context.Context, run warp.Run, failure error) string {
	switch {
	case !errors.Is(context.Cause(ctx), errTimeout):
		return ""
	case failure != nil:
		return "; Oz did not answer at the end; the log holds the last error; run the job again later"
	case run.AtCapacity || run.State == warp.Queued:
		return "; it was queued: free one of the team's cloud agents, or raise smoke_test_timeout"
	}
	return "; the session shows what took so long; raise smoke_test_timeout if that is normal"
}

// cancel stops the run and polls until it has stopped. It has a time limit of its own,
// so it works after the test's timeout. It returns the last known state of the run, and
// the outcome in words.
//
//	200       accepted; another end may still win
//	400       over already, if its state says so too; one that is BLOCKED, or in a
//	          state that is unknown here, has stopped
//	409, 404  being prepared or too new: again
//	5xx, lost again: to cancel twice does no harm
//	422, 403  it cannot be cancelled
func (w watch) cancel(run warp.Run) (warp.Run, string) {
	ctx, stop := context.WithTimeout(w.stopping, cancelLimit)
	defer stop()
	var (
		accepted bool
		err      error
	)
	for {
		if !accepted {
			err = w.within(ctx, func(ctx context.Context) error { return w.runner.CancelRun(ctx, run.ID) })
			accepted = err == nil
		}
		_ = w.within(ctx, func(ctx context.Context) error {
			now, err := w.runner.GetRun(ctx, run.ID)
			if err == nil {
				run = run.Become(now)
			}
			return err
		})
		switch {
		case run.State == warp.Cancelled:
			return run, "the run is cancelled"
		case run.State.Over():
			return run, fmt.Sprintf("the run had ended by itself (%s)", run.State)
		case !run.State.Going() && refusedWith(err, 400):
			return run, "the run has stopped"
		case refusedWith(err, 401, 403, 422), !pause(ctx, firstPoll):
			return run, w.leftover(run, accepted, err)
		}
	}
}

// within gives one request a time limit.
func (w watch) within(ctx context.Context, ask func(context.Context) error) error {
	ctx, stop := context.WithTimeout(ctx, cancelAsk)
	defer stop()
	return ask(ctx)
}

// leftover says that a run may go on.
func (w watch) leftover(run warp.Run, accepted bool, err error) string {
	if accepted {
		return fmt.Sprintf("Oz has accepted the cancel of run %s, which may go on for a moment", run.ID)
	}
	w.log.Info("the last answer to the cancel: " + clean(err.Error()))
	return fmt.Sprintf("run %s could not be cancelled and may go on; cancel it in Oz", run.ID)
}

// refusedWith reports whether err is a refusal with one of these statuses.
func refusedWith(err error, statuses ...int) bool {
	refusal, refused := errors.AsType[*warp.Refusal](err)
	for _, status := range statuses {
		if refused && refusal.Status == status {
			return true
		}
	}
	return false
}
