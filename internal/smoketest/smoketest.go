// Package smoketest runs one cloud agent in an environment and judges it. It
// reaches Oz only through the Runner that it is handed, and waits.
package smoketest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Runner starts, watches and stops runs.
type Runner interface {
	StartRun(context.Context, warp.RunRequest) (warp.Run, error)
	GetRun(ctx context.Context, id string) (warp.Run, error)
	FindRuns(ctx context.Context, key, value string) ([]warp.Run, error)
	ListRuns(ctx context.Context, environmentID string, since time.Time) ([]warp.Run, error)
	CancelRun(ctx context.Context, id string) error
	GetReply(ctx context.Context, id string) (string, error)
}

// Result is the judgement in one word. The values are those of the output
// smoke_test.
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

// Verdict is the judgement, why, and the run that was judged.
type Verdict struct {
	Result Result
	Reason string // one sentence; never the agent's words
	Run    warp.Run
}

// Test says what to run and what to expect.
type Test struct {
	EnvironmentID   string
	EnvironmentName string
	Team            bool // else personal
	Secrets         []string
	Directory       string // checkout of the primary repository, below the workspace
	Prompt          string // added to the built-in one
	Model           string

	// Commit is what Bitbucket served before. Empty: nothing to compare with,
	// and the run's own state decides.
	Commit string
	// Now asks Bitbucket again what it serves, for when the branch moved on.
	Now func(context.Context) (string, error)

	Timeout time.Duration
	Attempt string // unique to this run of the program; finds the run when the answer is lost
}

// attemptKey is the metadata that carries Test.Attempt.
const attemptKey = "oz-bitbucket.attempt"

const (
	startGrace  = 2 * time.Second // for the answer to a start, when told to stop
	cancelLimit = 5 * time.Second // for cancelling, when told to stop
	firstPoll   = time.Second
	slowestPoll = 15 * time.Second
	reportEvery = time.Minute
	patience    = 5 // failed polls, or polls for a transcript, in a row
)

var errTimeout = errors.New("smoke_test_timeout is over")

// Run starts the agent, waits for it and judges it. Whatever happens, no run
// that it started goes on when it returns: told to stop or out of time, it
// cancels. A start whose answer was lost is looked up, never repeated.
func (t Test) Run(ctx context.Context, r Runner, log *slog.Logger) Verdict {
	within, cancel := context.WithTimeoutCause(ctx, t.Timeout, errTimeout)
	defer cancel()
	w := watch{Test: t, runner: r, log: log}
	verdict := w.once(within)
	if verdict.Run.State == warp.Errored && verdict.Run.Retryable && within.Err() == nil {
		log.Warn("Oz reports an error of its own that may pass; starting the smoke test once more")
		w.Attempt += "-again"
		verdict = w.once(within)
	}
	return verdict
}

// watch is one run under observation.
type watch struct {
	Test
	runner Runner
	log    *slog.Logger
}

func (w watch) once(ctx context.Context) Verdict {
	began := time.Now()
	run, err := w.start(ctx, began)
	if err != nil {
		if ctx.Err() != nil {
			return w.stopped(ctx, run)
		}
		return Verdict{Failed, "the run could not be started: " + remedy(err), run}
	}
	w.log.Info("run " + run.ID)
	if run.AtCapacity {
		w.log.Info("queued: the team's limit of concurrent cloud agents is reached; the run begins when another one ends")
	}
	run, err = w.wait(ctx, run, began)
	switch {
	case ctx.Err() != nil:
		return w.stopped(ctx, run)
	case err != nil:
		w.cancel(ctx, run)
		return Verdict{Failed, fmt.Sprintf("the run could not be watched: %v", err), run}
	}
	return w.judge(ctx, run)
}

// start starts the run, or finds the one that a lost answer hid.
func (w watch) start(ctx context.Context, began time.Time) (warp.Run, error) {
	under, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(startGrace, cancel)
		context.AfterFunc(under, func() { timer.Stop() })
	})()
	if ctx.Err() != nil {
		return warp.Run{}, context.Cause(ctx)
	}
	run, err := w.runner.StartRun(under, warp.RunRequest{
		Title:         w.title(),
		Prompt:        w.prompt(),
		EnvironmentID: w.EnvironmentID,
		Model:         w.Model,
		Team:          w.Team,
		Secrets:       w.Secrets,
		Metadata:      map[string]string{attemptKey: w.Attempt},
	})
	if !errors.Is(err, warp.ErrAnswerLost) {
		return run, err
	}
	w.log.Info(fmt.Sprintf("looking for the run: %v", err))
	looking, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelLimit)
	defer stop()
	for {
		found, ok := w.find(looking, began)
		if ok {
			return found, nil
		}
		if !pause(looking, firstPoll) {
			return warp.Run{}, err
		}
	}
}

// find finds the run of this attempt by its metadata or, where the server
// refuses that filter, among the environment's newest runs.
func (w watch) find(ctx context.Context, began time.Time) (warp.Run, bool) {
	runs, err := w.runner.FindRuns(ctx, attemptKey, w.Attempt)
	if err != nil {
		runs, _ = w.runner.ListRuns(ctx, w.EnvironmentID, began.Add(-time.Minute))
	}
	for _, run := range runs {
		if run.Metadata[attemptKey] == w.Attempt || run.Metadata == nil && run.Title == w.title() {
			return run, true
		}
	}
	return warp.Run{}, false
}

// title names the environment and the attempt, so that people and find can
// tell runs apart.
func (w watch) title() string {
	return fmt.Sprintf("Smoke test of %s (%s)", w.EnvironmentName, w.Attempt)
}

// prompt asks for one command and its output. It never names the commit.
func (w watch) prompt() string {
	text := fmt.Sprintf("This is a smoke test of the environment. Run exactly one command, in the directory %q below the workspace, and change no file:\n\n"+
		"    git rev-parse HEAD\n\n"+
		"Answer with the full hash that it prints. If the directory is missing or the command fails, answer with the error instead.", w.Directory)
	if w.Prompt != "" {
		text += "\n\n" + w.Prompt
	}
	return text
}

// wait polls until the run is over, at intervals that grow from firstPoll to
// slowestPoll.
func (w watch) wait(ctx context.Context, run warp.Run, began time.Time) (warp.Run, error) {
	var (
		every    = firstPoll
		reported = began
		shown    warp.RunState
		failures int
	)
	for {
		if !pause(ctx, every) {
			return run, context.Cause(ctx)
		}
		every = min(every*3/2, slowestPoll)
		now, err := w.runner.GetRun(ctx, run.ID)
		if err != nil {
			if failures++; failures == patience || ctx.Err() != nil {
				return run, err
			}
			w.log.Info(fmt.Sprintf("asking again: %v", err))
			continue
		}
		failures = 0
		if now.SessionLink != "" && run.SessionLink == "" {
			w.log.Info("session: " + now.SessionLink)
		}
		now.ID = run.ID
		if now.SessionLink == "" {
			now.SessionLink = run.SessionLink
		}
		run = now
		if elapsed := time.Since(began).Round(time.Second); run.State != shown || time.Since(reported) >= reportEvery {
			w.log.Info(fmt.Sprintf("%s after %s", clean(string(run.State)), elapsed))
			shown, reported = run.State, time.Now()
		}
		if !run.State.Going() {
			return run, nil
		}
	}
}

// stopped cancels the run and says why it had to stop.
func (w watch) stopped(ctx context.Context, run warp.Run) Verdict {
	if run.ID != "" {
		run = w.cancel(ctx, run)
	}
	if errors.Is(context.Cause(ctx), errTimeout) {
		return Verdict{TimedOut, fmt.Sprintf("the run did not end within %s; if it was queued, free one of the team's agents or raise smoke_test_timeout", w.Timeout), run}
	}
	return Verdict{Cancelled, "the job was told to stop", run}
}

// cancel stops the run, in its own time even when ctx is over, and returns it as
// it is then.
func (w watch) cancel(ctx context.Context, run warp.Run) warp.Run {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelLimit)
	defer stop()
	for {
		err := w.runner.CancelRun(ctx, run.ID)
		var refusal *warp.Refusal
		if err == nil || errors.As(err, &refusal) && refusal.Status == 400 { // over already
			w.log.Info(fmt.Sprintf("run %s cancelled", run.ID))
			break
		}
		if refusal != nil && refusal.Status != 409 && refusal.Status != 429 { // 409: still being prepared
			w.log.Error(fmt.Sprintf("run %s could not be cancelled and may go on: %v", run.ID, err))
			break
		}
		if !pause(ctx, firstPoll) {
			w.log.Error(fmt.Sprintf("run %s could not be cancelled and may go on: %v", run.ID, err))
			return run
		}
	}
	if now, err := w.runner.GetRun(ctx, run.ID); err == nil {
		run.State = now.State
	}
	return run
}

// pause waits and reports whether the time passed before ctx was done.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// clean makes foreign text safe for a log: one line, no control characters, at
// most 500 characters.
func clean(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(text); len(runes) > 500 {
		text = string(runes[:500]) + " ..."
	}
	return text
}
