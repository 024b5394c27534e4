package smoketest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// judge decides about a run that is over.
func (w watch) judge(ctx context.Context, run warp.Run) Verdict {
	switch run.State {
	case warp.Succeeded:
		return w.compare(ctx, run)
	case warp.Cancelled:
		return Verdict{Cancelled, "someone cancelled the run in Oz", run}
	case warp.Blocked:
		return Verdict{Failed, "the agent waits for a human; open the session to see for what", run}
	case warp.Failed, warp.Errored:
		w.log.Info("Oz says: " + clean(run.Message))
		return Verdict{Failed, meaning(run), run}
	}
	return Verdict{Failed, fmt.Sprintf("the run is in the state %q, which this version does not know", clean(string(run.State))), run}
}

// fullHash is a commit as git rev-parse prints it.
var fullHash = regexp.MustCompile(`\b([0-9a-f]{64}|[0-9a-f]{40})\b`)

// compare holds what the agent reported against what Bitbucket served before
// or serves now.
func (w watch) compare(ctx context.Context, run warp.Run) Verdict {
	if w.Commit == "" {
		return Verdict{Passed, "the run succeeded; there was no commit to compare with", run}
	}
	reply, err := w.reply(ctx, run)
	if err != nil {
		if ctx.Err() != nil {
			return w.stopped(ctx, run)
		}
		return Verdict{Failed, fmt.Sprintf("the run succeeded, but its transcript cannot be read: %v", err), run}
	}
	if strings.Contains(reply, w.Commit) {
		return Verdict{Passed, "the agent found commit " + w.Commit, run}
	}
	if now, err := w.Now(ctx); err == nil && now != "" && strings.Contains(reply, now) {
		return Verdict{Passed, "the agent found commit " + now + ", which came during the test", run}
	}
	w.log.Info("the agent says: " + clean(reply))
	if reported := fullHash.FindString(reply); reported != "" {
		return Verdict{Failed, fmt.Sprintf("the agent found commit %s where Bitbucket serves %s", reported, w.Commit), run}
	}
	return Verdict{Failed, "the agent did not report the commit " + w.Commit + "; open the session to see what it found", run}
}

// reply reads the agent's last text. A transcript may come a little later than
// the end of the run.
func (w watch) reply(ctx context.Context, run warp.Run) (string, error) {
	every := firstPoll
	for try := 1; ; try++ {
		text, err := w.runner.GetReply(ctx, run.ID)
		var refusal *warp.Refusal
		late := err == nil && text == "" || errors.As(err, &refusal) && refusal.Status == 404
		if !late || try == patience {
			return text, err
		}
		if !pause(ctx, every) {
			return "", context.Cause(ctx)
		}
		every *= 2
	}
}

// meaning says what an error code means for the user.
//
// Source: https://docs.warp.dev/reference/api-and-sdk/troubleshooting/errors
func meaning(run warp.Run) string {
	switch run.ErrorCode {
	case "environment_setup_failed":
		return "the clone or a setup command failed; the log names the command, and the session shows its output"
	case "insufficient_credits", "OUT_OF_CREDITS":
		return "there are no credits left; add some, or set smoke_test: false"
	case "budget_exceeded":
		return "the spending limit is reached; raise it, or set smoke_test: false"
	case "authentication_required", "external_authentication_required", "not_authorized":
		return "Oz did not authorise the run; check what warp_api_key may do"
	case "resource_unavailable", "AT_CLOUD_AGENT_CAPACITY":
		return "Oz had no capacity; run again later"
	}
	if run.State == warp.Errored {
		return fmt.Sprintf("Oz failed (%s); run again later", code(run))
	}
	return fmt.Sprintf("the run failed (%s); open the session to see why", code(run))
}

func code(run warp.Run) string {
	if run.ErrorCode == "" {
		return "no error code"
	}
	return clean(run.ErrorCode)
}

// remedy is an error at the start with what to do about it.
func remedy(err error) string {
	var refusal *warp.Refusal
	if !errors.As(err, &refusal) {
		return err.Error()
	}
	return err.Error() + "; " + meaning(warp.Run{State: warp.Failed, ErrorCode: refusal.Kind})
}
