// Package smoketest runs one cloud agent in an environment and judges the run. It
// reaches Oz only through a Runner, and it waits.
package smoketest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/grace"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Runner starts, watches and stops runs. A refusal is a *warp.Refusal. After an error
// that wraps warp.ErrAnswerLost it is unknown whether the request took effect.
type Runner interface {
	StartRun(context.Context, warp.RunRequest) (warp.Run, error)
	GetRun(ctx context.Context, id string) (warp.Run, error)
	FindRuns(ctx context.Context, key, value string) ([]warp.Run, error)
	ListRuns(ctx context.Context, environmentID string, since time.Time) ([]warp.Run, error)
	CancelRun(ctx context.Context, id string) error
	GetReply(ctx context.Context, id string) (string, error)
}

// Result is the result in one word. The values are those of the output smoke_test.
type Result string

// The results. Passed means that the agent found the commit that Bitbucket
// serves.
const (
	Passed    Result = "passed"
	Failed    Result = "failed"
	TimedOut  Result = "timed_out"
	Cancelled Result = "cancelled"
	Skipped   Result = "skipped"
)

// IsGood reports whether the test passed, or was not asked for.
func (r Result) IsGood() bool { return r == Passed || r == Skipped }

// Verdict is the result, its reason, and the run.
type Verdict struct {
	Result  Result
	Reason  string   // one sentence without a full stop; never the agent's words
	Run     warp.Run // its Usage is that of every run that the test started
	Suspect bool     // the token may be the cause of the failure
	Clone   bool     // a clone failed for an unknown reason
}

// Worst returns the worst verdict: one that suspects the token, then failed, timed out,
// cancelled, passed, skipped, none. Of equal verdicts it is the first. Verdicts must
// not be empty.
func Worst(verdicts []Verdict) Verdict {
	rank := func(v Verdict) int {
		if v.Suspect {
			return -1
		}
		return slices.Index([]Result{Failed, TimedOut, Cancelled, Passed, Skipped, ""}, v.Result)
	}
	return slices.MinFunc(verdicts, func(a, b Verdict) int { return cmp.Compare(rank(a), rank(b)) })
}

// Command is a setup command of the environment.
type Command struct {
	Text   string
	Token  bool // it reads the token: a clone, or any other command that names the secret
	Clone  bool // it clones
	Before bool // this program wrote it, and it configures git for the clones
	Kept   bool // the environment had it before, and setup_commands is not given
}

// ErrRefused marks an error of Test.Now: Bitbucket itself refused the token or
// the repository.
var ErrRefused = errors.New("refused by Bitbucket")

// Test says what to run and what to expect.
type Test struct {
	EnvironmentID   string
	EnvironmentName string
	Team            bool // else personal
	Secrets         []string
	Directory       string // checkout of the primary repository, below the workspace
	Commands        []Command

	// Shadow is empty, or the name of the caller's personal secret that hides the
	// team's secret in the caller's runs, and so in this test.
	Shadow string

	Prompt string // added to the built-in one
	Model  string

	// Commit is the commit that Bitbucket served before, in lower case. When it is
	// empty, Run calls Now first. When Now returns none either, the state of the run
	// decides.
	Commit string
	// Now asks Bitbucket for the commit: before the run when there is no Commit, and
	// after it when the branch may have moved on. It returns an empty commit for an
	// empty repository. Its error wraps ErrRefused when Bitbucket itself refused the
	// token or the repository; after another error, such as an outage, the token is not
	// suspected. Now may be nil.
	Now func(context.Context) (string, error)

	Timeout time.Duration
	Attempt string // unique to this run of the program; finds the run when the answer is lost
}

// attemptKey is the metadata that carries Test.Attempt.
const attemptKey = "oz-bitbucket.attempt"

const (
	firstPoll   = time.Second
	usualPoll   = 5 * time.Second  // at least a tenth of the elapsed time
	slowestPoll = 15 * time.Second // the upper bound
	reportEvery = time.Minute
	patience    = 5 // tries for something that may be late: a new run, a transcript
)

// errTimeout is the cause when a test took too long.
var errTimeout = errors.New("smoke_test_timeout has passed")

// Run looks up the commit when it has none, starts the agent, waits for it and judges
// it. Best effort: no run that it started goes on after it returns. It cancels the run
// when the timeout passes, and within stopGrace after ctx ends. When the answer to a
// start is lost, it looks for the run and never starts a second one. Only a run that
// ended with a temporary error of Oz is tried once more, within the same timeout.
func (t Test) Run(ctx context.Context, r Runner, log *slog.Logger) Verdict {
	stopping, stop := grace.After(ctx, stopGrace)
	defer stop()
	within, cancel := context.WithTimeoutCause(ctx, t.Timeout, errTimeout)
	defer cancel()

	w := watch{Test: t, runner: r, log: log, stopping: stopping}
	if w.Commit == "" && w.Now != nil {
		commit, err := w.Now(within)
		switch {
		case err != nil && within.Err() != nil:
			return w.stopped(within, warp.Run{}, nothingStarted)
		case err != nil:
			return Verdict{Result: Failed, Reason: "look up the commit: " + clean(err.Error()), Suspect: errors.Is(err, ErrRefused)}
		}
		w.Commit = commit
	}
	if Names(w.Prompt, w.Commit) {
		return Verdict{Result: Failed, Reason: "smoke_test_prompt names the commit that the agent must find, so the test would prove nothing; remove it"}
	}
	verdict := w.once(within)
	first := verdict.Run
	if first.State != warp.Errored || !first.Retryable || within.Err() != nil {
		return verdict
	}
	log.Warn(fmt.Sprintf("run %s ended with a temporary error of Oz (%s); starting the smoke test once more", first.ID, code(first)))
	w.Attempt += "-again"
	verdict = w.once(within)
	if verdict.Run.ID == "" {
		verdict.Run = first
		return verdict
	}
	verdict.Run.Usage.Credits += first.Usage.Credits
	verdict.Run.Usage.Tokens += first.Usage.Tokens
	return verdict
}

// watch is one run under observation.
type watch struct {
	Test
	runner   Runner
	log      *slog.Logger
	stopping context.Context // ends stopGrace after the job was told to stop
}

// once is one run from its start to its verdict. Ctx ends with the timeout.
func (w watch) once(ctx context.Context) Verdict {
	began := time.Now()
	run, err := w.start(ctx, began)
	switch {
	case errors.Is(err, warp.ErrAnswerLost):
		return w.unknown(ctx, err)
	case err != nil && ctx.Err() != nil:
		return w.stopped(ctx, run, nothingStarted)
	case err != nil:
		return Verdict{Result: Failed, Reason: "the run could not be started: " + remedy(err), Run: run}
	}
	w.log.Info("run " + run.ID)
	if run.AtCapacity {
		w.log.Info("queued: the team's limit of concurrent cloud agents is reached; " + freed)
	}
	run, err = w.wait(ctx, run, began)
	switch {
	case ctx.Err() != nil:
		stopped, came := w.cancel(run)
		return w.stopped(ctx, stopped, came+advice(ctx, run, err))
	case err != nil:
		run, came := w.cancel(run)
		return Verdict{Result: Failed, Reason: fmt.Sprintf("the run could not be watched: %s; %s", remedy(err), came), Run: run}
	}
	return w.account(ctx, w.shadowed(w.judge(ctx, run)))
}

// nothingStarted is the outcome of a test that was stopped before its run.
const nothingStarted = "no run was started"

// freed says when a queued run starts.
const freed = "the run begins when another one ends"

// wait polls until the run is over, at intervals that grow from firstPoll to usualPoll,
// and then with the elapsed time. It notices the end within 5 seconds, or within a tenth
// of the run's time, at most 15 seconds. That is 14 requests in the first minute, 25 in
// the first three, and 4 in each minute after that: 253 in an hour. An outage does not end
// the polling: the transport tries each poll several times, and smoke_test_timeout bounds
// the rest. The error is a refusal or, when ctx has ended, Oz's last failure.
func (w watch) wait(ctx context.Context, run warp.Run, began time.Time) (warp.Run, error) {
	var (
		every    = firstPoll
		reported = began
		shown    warp.RunState
		failures int
		failure  error
	)
	for {
		if !pause(ctx, every) {
			return run, failure
		}
		every = min(every*3/2, max(usualPoll, min(time.Since(began)/10, slowestPoll)))
		now, err := w.runner.GetRun(ctx, run.ID)
		due := time.Since(reported) >= reportEvery
		elapsed := time.Since(began).Round(time.Second)
		switch {
		case err != nil && ctx.Err() != nil:
			return run, failure
		case err != nil:
			if failures++; final(err, failures) {
				return run, err
			}
			if failure = err; failures == 1 || due {
				w.log.Info(fmt.Sprintf("no state after %s, asking again: %s", elapsed, clean(err.Error())))
				reported = time.Now()
			}
			continue
		}
		failures, failure = 0, nil
		if now.SessionLink != "" && run.SessionLink == "" {
			w.log.Info("session: " + now.SessionLink)
		}
		run = run.Become(now)
		if run.State != shown || due {
			w.log.Info(fmt.Sprintf("%s after %s%s", clean(string(run.State)), elapsed, explained(run, due)))
			shown, reported = run.State, time.Now()
		}
		if !run.State.Going() {
			return run, nil
		}
	}
}

// explained adds words to a state that lasts.
func explained(run warp.Run, lasts bool) string {
	if run.State == warp.Queued && lasts {
		return ": waiting for a free cloud agent; " + freed
	}
	return ""
}

// final reports whether a failed poll ends the polling. Only a refusal does. A 404 does
// so only after several polls, because the server may not know a new run yet. A 429
// without a code does not: it limits requests.
func final(err error, failures int) bool {
	refusal, refused := errors.AsType[*warp.Refusal](err)
	switch {
	case !refused || refusal.Status == 429 && refusal.Kind == "":
		return false
	case refusal.Status == 404:
		return failures >= patience
	}
	return true
}

// account reads the run once more when Oz has not yet reported its usage.
func (w watch) account(ctx context.Context, v Verdict) Verdict {
	if v.Run.Usage != (warp.Usage{}) || ctx.Err() != nil {
		return v
	}
	ctx, stop := context.WithTimeout(ctx, askLimit)
	defer stop()
	if now, err := w.runner.GetRun(ctx, v.Run.ID); err == nil {
		v.Run.Usage = now.Usage
	}
	return v
}

// pause waits and reports whether the time passed before ctx was done.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
