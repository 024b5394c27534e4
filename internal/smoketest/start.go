package smoketest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/grace"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

const (
	// lookLimit is how long to look for a run whose start got no answer: the server may
	// work on the request that long.
	lookLimit = 30 * time.Second
	// slowestLook bounds the requests: two for each look, about 28 a minute.
	slowestLook = 5 * time.Second
	// clockSkew is how much this machine's clock may be ahead of Oz's.
	clockSkew = time.Hour
)

// start starts the run. When the answer is lost, it looks for the run. An error that
// wraps warp.ErrAnswerLost says that the run was not found.
func (w watch) start(ctx context.Context, began time.Time) (warp.Run, error) {
	if ctx.Err() != nil {
		return warp.Run{}, context.Cause(ctx)
	}
	answering, cancel := grace.After(ctx, answerGrace)
	defer cancel()
	looking, stop := grace.After(ctx, lookGrace)
	defer stop()
	run, err := w.runner.StartRun(answering, warp.RunRequest{
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
	w.log.Info("looking for the run: " + clean(err.Error()))
	looking, stop = context.WithTimeout(looking, lookLimit)
	defer stop()
	for every := firstPoll; looking.Err() == nil; every = min(every*3/2, slowestLook) {
		if found, ok := w.find(ctx, looking, began); ok {
			return found, nil
		}
		if !pause(ctx, every) { // the job was told to stop: look now, and then more often
			pause(looking, hurriedPoll)
		}
	}
	return warp.Run{}, err
}

// find finds the run of this attempt by its metadata. When that finds nothing, because
// the server refuses the filter or is late, it looks among the environment's newest
// runs.
func (w watch) find(ctx, looking context.Context, began time.Time) (warp.Run, bool) {
	limit := askLimit
	if ctx.Err() != nil {
		limit = hurriedAsk
	}
	for _, list := range []func(context.Context) ([]warp.Run, error){
		func(ctx context.Context) ([]warp.Run, error) { return w.runner.FindRuns(ctx, attemptKey, w.Attempt) },
		func(ctx context.Context) ([]warp.Run, error) {
			return w.runner.ListRuns(ctx, w.EnvironmentID, began.Add(-clockSkew))
		},
	} {
		asking, stop := context.WithTimeout(looking, limit)
		runs, _ := list(asking)
		stop()
		for _, run := range runs {
			if run.ID != "" && (run.Metadata[attemptKey] == w.Attempt || run.Title == w.title()) {
				return run, true
			}
		}
	}
	return warp.Run{}, false
}

// unknown is the verdict when it is unknown whether a run was started.
func (w watch) unknown(ctx context.Context, err error) Verdict {
	look := fmt.Sprintf("look in Oz for %q and cancel it", w.title())
	if ctx.Err() != nil {
		return w.stopped(ctx, warp.Run{}, "the start had no answer and its run was not found; "+look)
	}
	w.log.Info("the start failed with: " + clean(err.Error()))
	return Verdict{Result: Failed, Reason: "it is unknown whether the run was started: Oz gave no answer, and the run was not found; " + look}
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
