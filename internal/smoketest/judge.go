package smoketest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// judge gives the verdict on a run that has stopped. A run that waits for a human, or
// is in an unknown state, is cancelled: no one is watching a CI run.
func (w watch) judge(ctx context.Context, run warp.Run) Verdict {
	switch run.State {
	case warp.Succeeded:
		return w.compare(ctx, run)
	case warp.Cancelled:
		return Verdict{Result: Cancelled, Reason: "someone cancelled the run in Oz; run the job again", Run: run}
	case warp.Failed, warp.Errored:
		w.log.Info("Oz says: " + clean(run.Message))
		if refused := ofCertificate(strings.ReplaceAll(run.Message, w.failed(run.Message).Text, "")); refused != "" {
			return Verdict{Result: Failed, Reason: refused, Run: run}
		}
		reason, suspect := w.whyEnded(run)
		clone := run.ErrorCode == setupFailed && w.failed(run.Message).Clone
		return Verdict{Result: Failed, Reason: reason, Run: run, Suspect: suspect, Clone: clone}
	}
	w.log.Info("Oz says: " + clean(run.Message))
	stopped, came := w.cancel(run)
	run.Usage = stopped.Usage
	reason := fmt.Sprintf("the run is in the state %q, which this version of the program does not know; look for a newer version", clean(string(run.State)))
	if run.State == warp.Blocked {
		reason = "the agent waits for a human; the session shows for what; smoke_test_prompt may be the cause"
	}
	return Verdict{Result: Failed, Reason: reason + "; " + came, Run: run}
}

// shadowed corrects a verdict when Shadow is set: a run with the caller's personal
// secret proves nothing about the team's.
func (w watch) shadowed(v Verdict) Verdict {
	read := fmt.Sprintf("your personal secret %q, which hides the team's of the same name in your own runs: rename or delete it, or use an agent's API key", w.Shadow)
	switch {
	case w.Shadow == "":
	case v.Result == Passed:
		v.Reason += ", but with " + read
	case v.Suspect:
		v.Reason, v.Suspect = v.Reason+"; this run read "+read, false
	}
	return v
}

// compare compares the commit that the agent reported with the one that Bitbucket
// served before or serves now.
func (w watch) compare(ctx context.Context, run warp.Run) Verdict {
	if w.Commit == "" {
		return Verdict{Result: Passed, Reason: "the run succeeded; there was no commit to compare with", Run: run}
	}
	reply, err := w.reply(ctx, run)
	switch {
	case err != nil && ctx.Err() != nil:
		return w.stopped(ctx, run, "the run had succeeded, but its transcript was not read yet")
	case err != nil:
		return Verdict{Result: Failed, Reason: "the run succeeded, but its transcript cannot be read: " + unreadable(err), Run: run}
	case Names(reply, w.Commit):
		return Verdict{Result: Passed, Reason: "the agent found commit " + w.Commit, Run: run}
	}
	var now string
	if w.Now != nil {
		now, err = w.Now(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return w.stopped(ctx, run, "the run had succeeded, but did not report the expected commit")
	case err != nil:
		w.log.Info("Bitbucket cannot be asked again: " + clean(err.Error()))
	case Names(reply, now) && !Names(w.Prompt, now):
		return Verdict{Result: Passed, Reason: "the agent found commit " + now + ", which was pushed during the test", Run: run}
	}
	w.log.Info("the agent says: " + clean(reply))
	reason := "the agent did not report the commit " + w.Commit + "; the session shows what it found"
	if reported := hashes(reply); len(reported) > 0 {
		reason = fmt.Sprintf("the agent found commit %s, but Bitbucket serves %s", reported[0], w.Commit)
	}
	refused := ofCertificate(reply)
	if refused != "" {
		reason += "; " + refused
	}
	return Verdict{Result: Failed, Reason: reason, Run: run, Suspect: refused == ""}
}

// reply reads the agent's last text. The transcript may appear some time after the end
// of the run, and its last text after its first.
func (w watch) reply(ctx context.Context, run warp.Run) (string, error) {
	every := firstPoll
	for try := 1; ; try++ {
		text, err := w.runner.GetReply(ctx, run.ID)
		refused := errors.Is(err, warp.ErrTooLong) || refusedWith(err, 400, 401, 403, 422)
		if refused || len(hashes(text)) > 0 || try == patience || !pause(ctx, every) {
			return text, err
		}
		every *= 2
	}
}

// unreadable says why there is no transcript. It quotes nothing of the transcript.
func unreadable(err error) string {
	switch {
	case errors.Is(err, warp.ErrTooLong):
		return "it is too long; the session shows what the agent found"
	case refusedWith(err, 404):
		return "Oz has none; run the job again, or open the session"
	case refusedWith(err, 422):
		return "Oz keeps none for this agent's harness; choose another smoke_test_model"
	}
	if refusal, refused := errors.AsType[*warp.Refusal](err); refused {
		return clean(refusal.Error())
	}
	return "Oz did not answer; run the job again, or open the session"
}

// Names reports whether text holds the full hash of a commit as a word, in any letter
// case. It is false for an empty commit.
func Names(text, commit string) bool {
	return commit != "" && slices.Contains(hashes(text), strings.ToLower(commit))
}

// hashes are the words of text that look like full commits as git rev-parse
// prints them, SHA-1 or SHA-256, in lower case.
func hashes(text string) []string {
	var found []string
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if len(word) != 40 && len(word) != 64 {
			continue
		}
		if word = strings.ToLower(word); strings.Trim(word, "0123456789abcdef") == "" {
			found = append(found, word)
		}
	}
	return found
}

// clean makes foreign text safe for a line of a log, at most 2000 characters.
func clean(text string) string {
	const longest = 2000
	if len(text) > 8*longest { // cut a huge text first, to save time
		text = text[:8*longest]
	}
	text = redact.Neutral(strings.ToValidUTF8(text, ""))
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + " ..."
	}
	return text
}
