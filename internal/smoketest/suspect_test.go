package smoketest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

func TestWorst(t *testing.T) {
	t.Parallel()
	order := []smoketest.Verdict{
		{Result: smoketest.Failed, Suspect: true},
		{Result: smoketest.Failed},
		{Result: smoketest.TimedOut},
		{Result: smoketest.Cancelled},
		{Result: smoketest.Passed},
		{Result: smoketest.Skipped},
	}
	for i, worse := range order {
		assert.Equal(t, worse, smoketest.Worst([]smoketest.Verdict{worse}))
		for _, better := range order[i:] {
			assert.Equal(t, worse, smoketest.Worst([]smoketest.Verdict{worse, better}))
			assert.Equal(t, worse, smoketest.Worst([]smoketest.Verdict{better, worse}))
		}
		first, second := worse, worse
		first.Reason, second.Reason = "first", "second"
		assert.Equal(t, "first", smoketest.Worst([]smoketest.Verdict{first, second}).Reason)
	}
}

// setupFailed is a run whose setup failed, with the server's message.
func setupFailed(message string) warp.Run {
	return warp.Run{State: warp.Failed, ErrorCode: "environment_setup_failed", Message: "Environment setup failed: " + message}
}

func TestTheFailedCommandIsTheLongestThatIsNamed(t *testing.T) {
	t.Parallel()
	const (
		aClone   = "the clone failed"
		aCommand = "a setup command failed"
		aLogin   = "git could not be configured; check that the image has git"
		either   = "the clone or a setup command failed"
	)
	var (
		clone   = smoketest.Command{Text: cloneCommand, Token: true, Clone: true}
		longer  = smoketest.Command{Text: cloneCommand + " again && make"}
		fetch   = smoketest.Command{Text: "cd sample && git fetch https://x:$T@bitbucket.org/acme/sample.git", Token: true}
		build   = smoketest.Command{Text: "make"}
		noToken = smoketest.Command{Text: "git clone https://bitbucket.org/acme/public.git", Clone: true}
		login   = smoketest.Command{Text: "git config --global", Before: true}
		stale   = smoketest.Command{Text: "npm ci", Kept: true}
		nothing = smoketest.Command{}
	)
	ran := func(c smoketest.Command) string {
		return "Failed to run setup command: " + c.Text + ". Check your repository URLs and setup commands."
	}
	for name, tt := range map[string]struct {
		message  string
		commands []smoketest.Command
		reason   string
		suspect  bool
	}{
		"the clone":                           {ran(clone), []smoketest.Command{clone, build}, aClone, true},
		"the clone, a part of another":        {ran(clone), []smoketest.Command{longer, clone}, aClone, true},
		"one that holds the clone":            {ran(longer), []smoketest.Command{clone, longer}, aCommand, false},
		"one that holds the clone, the first": {ran(longer), []smoketest.Command{longer, clone}, aCommand, false},
		"a clone without the token":           {ran(noToken), []smoketest.Command{clone, noToken}, aClone, true},
		"one that reads the token":            {ran(fetch), []smoketest.Command{clone, fetch}, aCommand, true},
		"one that does not":                   {ran(build), []smoketest.Command{clone, fetch, build}, aCommand, false},
		"one that is not listed":              {ran(build), []smoketest.Command{clone}, aCommand, true},
		"the login":                           {ran(login), []smoketest.Command{login, clone}, aLogin, false},
		"one that was kept":                   {ran(stale), []smoketest.Command{clone, stale}, aCommand + "; the log names it, and the session shows its output; the environment keeps its commands while setup_commands is not given", false},
		"the shell exited in it":              {"The shell exited during setup command: " + build.Text, []smoketest.Command{clone, build}, aCommand, false},
		"a number":                            {"The setup command #2 timed out", []smoketest.Command{clone, build}, aCommand, true},
		"none":                                {"the directory exists", []smoketest.Command{clone, build}, either, true},
		"an empty command is in no message":   {"the directory exists", []smoketest.Command{nothing}, either, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := trial{Test: smoketest.Test{Commit: before, Commands: tt.commands}}
			tr.in(t, &oz{ends: []warp.Run{setupFailed(tt.message)}})
			assert.Equal(t, smoketest.Failed, tr.verdict.Result)
			assert.Contains(t, tr.verdict.Reason, tt.reason+";")
			assert.Contains(t, tr.log, tt.message, "the log names it")
			assert.Equal(t, tt.suspect, tr.verdict.Suspect)
		})
	}
}

func TestTheCommitIsLookedUpBeforeAnythingIsStarted(t *testing.T) {
	t.Parallel()
	refused := fmt.Errorf("401: bad ::credentials: %w", smoketest.ErrRefused)
	for name, tt := range map[string]struct {
		commit, prompt string
		commits        []string // that Bitbucket serves, one a question
		err            error
		reply          string
		want           smoketest.Result
		reason         string
		suspect        bool
		runs           int
	}{
		"and is what the agent must find": {"", "", []string{before}, nil, before, smoketest.Passed, "the agent found commit " + before, false, 1},
		"and the agent finds another":     {"", "", []string{before, before}, nil, other, smoketest.Failed, "found commit " + other + ", but Bitbucket serves " + before, true, 1},
		"and moves on":                    {"", "", []string{before, later}, nil, later, smoketest.Passed, "which was pushed during the test", false, 1},
		"and there is none":               {"", "", []string{""}, nil, "no", smoketest.Passed, "there was no commit to compare with", false, 1},
		"and the prompt names it":         {"", "say " + before, []string{before}, nil, before, smoketest.Failed, "smoke_test_prompt names the commit", false, 0},
		"but not when it is known":        {before, "", nil, nil, before, smoketest.Passed, before, false, 1},
		"and is refused":                  {"", "", []string{""}, refused, "", smoketest.Failed, "look up the commit: 401: bad : :credentials: refused by Bitbucket", true, 0},
		"and Bitbucket is out":            {"", "", []string{""}, errors.New("503"), "", smoketest.Failed, "look up the commit: 503", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			questions := 0
			o := &oz{reply: func(int) (string, error) { return tt.reply, nil }}
			tr := trial{Test: smoketest.Test{Commit: tt.commit, Prompt: tt.prompt, Now: func(context.Context) (string, error) {
				assert.Equal(t, min(questions, 1), len(o.runs), "the first question comes before the run")
				questions++
				return tt.commits[questions-1], tt.err
			}}}
			tr.in(t, o)
			assert.Equal(t, tt.want, tr.verdict.Result)
			assert.Contains(t, tr.verdict.Reason, tt.reason)
			assert.Equal(t, tt.suspect, tr.verdict.Suspect)
			assert.Len(t, o.asked, tt.runs)
			assert.Equal(t, len(tt.commits), questions)
		})
	}
}

func TestALookUpEndsWithTheTest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		signal time.Duration
		want   smoketest.Result
	}{
		"told to stop": {time.Second, smoketest.Cancelled},
		"out of time":  {0, smoketest.TimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &oz{}
			tr := trial{signal: tt.signal, Test: smoketest.Test{Timeout: time.Minute, Now: func(ctx context.Context) (string, error) {
				<-ctx.Done()
				return "", fmt.Errorf("%w: %w", smoketest.ErrRefused, ctx.Err())
			}}}
			tr.in(t, o)
			assert.Equal(t, tt.want, tr.verdict.Result)
			assert.Contains(t, tr.verdict.Reason, "; no run was started")
			assert.False(t, tr.verdict.Suspect)
			assert.Empty(t, o.asked)
			assert.LessOrEqual(t, tr.took, time.Minute)
		})
	}
}

func TestAPersonalSecretTakesTheSuspicion(t *testing.T) {
	t.Parallel()
	const secret = `your personal secret "T", which hides the team's of the same name in your own runs: rename or delete it, or use an agent's API key`
	for name, tt := range map[string]struct {
		end   warp.Run
		reply string
		want  smoketest.Result
		adds  string // to the reason
	}{
		"the clone failed":        {setupFailed(cloneCommand), "", smoketest.Failed, "; this run read " + secret},
		"an unknown part":         {setupFailed("no"), "", smoketest.Failed, "; this run read " + secret},
		"another commit":          {warp.Run{State: warp.Succeeded}, other, smoketest.Failed, "; this run read " + secret},
		"no commit":               {warp.Run{State: warp.Succeeded}, "no such directory", smoketest.Failed, "; this run read " + secret},
		"passed":                  {warp.Run{State: warp.Succeeded}, before, smoketest.Passed, ", but with " + secret},
		"a command of the user's": {setupFailed("cd sample && npm ci"), "", smoketest.Failed, ""},
		"no credits":              {warp.Run{State: warp.Failed, ErrorCode: "insufficient_credits"}, "", smoketest.Failed, ""},
		"cancelled":               {warp.Run{State: warp.Cancelled}, "", smoketest.Cancelled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judged := func(shadow string) smoketest.Verdict {
				tr := trial{Test: smoketest.Test{Commit: before, Shadow: shadow}}
				tr.in(t, &oz{ends: []warp.Run{tt.end}, reply: func(int) (string, error) { return tt.reply, nil }})
				return tr.verdict
			}
			plain, shadowed := judged(""), judged("T")
			assert.Equal(t, tt.want, shadowed.Result)
			reason := strings.Replace(plain.Reason, "check that the image has git and that Oz can reach Bitbucket; ", "", 1)
			assert.Equal(t, reason+tt.adds, shadowed.Reason)
			assert.Equal(t, tt.want == smoketest.Failed && tt.adds != "", plain.Suspect)
			assert.False(t, shadowed.Suspect)
		})
	}
	t.Run("but not when Bitbucket itself refuses", func(t *testing.T) {
		t.Parallel()
		tr := trial{Test: smoketest.Test{Shadow: "T", Now: func(context.Context) (string, error) { return "", smoketest.ErrRefused }}}
		tr.in(t, &oz{})
		assert.True(t, tr.verdict.Suspect, "the look up presents the token itself")
		assert.NotContains(t, tr.verdict.Reason, "personal secret")
	})
}
