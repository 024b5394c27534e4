package smoketest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

func TestAnEndHasAVerdictAndANextStep(t *testing.T) {
	t.Parallel()
	failed := func(code string) warp.Run { return warp.Run{State: warp.Failed, ErrorCode: code} }
	for name, tt := range map[string]struct {
		end    warp.Run
		want   smoketest.Result
		reason string
	}{
		"succeeded":           {warp.Run{State: warp.Succeeded}, smoketest.Passed, before},
		"cancelled elsewhere": {warp.Run{State: warp.Cancelled}, smoketest.Cancelled, "someone cancelled"},
		"credits":             {failed("insufficient_credits"), smoketest.Failed, "no credits left; add some"},
		"budget":              {failed("budget_exceeded"), smoketest.Failed, "spending limit is reached; raise it"},
		"capacity":            {warp.Run{State: warp.Errored, ErrorCode: "resource_unavailable"}, smoketest.Failed, "no capacity at the moment; run the job again later"},
		"authentication":      {warp.Run{State: warp.Errored, ErrorCode: "authentication_required"}, smoketest.Failed, "does not accept warp_api_key"},
		"authorisation":       {failed("not_authorized"), smoketest.Failed, "warp_api_key may not start runs"},
		"an unknown failure":  {failed("flux"), smoketest.Failed, "the run failed (flux); the session shows why"},
		"an unknown error":    {warp.Run{State: warp.Errored, ErrorCode: "flux"}, smoketest.Failed, "Oz failed (flux); run the job again later"},
		"no code":             {warp.Run{State: warp.Failed}, smoketest.Failed, "no error code"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &oz{ends: []warp.Run{tt.end}}
			tr := trial{Test: smoketest.Test{Commit: before}}
			tr.in(t, o)
			assert.Equal(t, tt.want, tr.verdict.Result)
			assert.Contains(t, tr.verdict.Reason, tt.reason)
			assert.Equal(t, tt.end.State, tr.verdict.Run.State, "the state that was judged")
			assert.Equal(t, "run-1", tr.verdict.Run.ID)
			assert.NotEmpty(t, tr.verdict.Run.SessionLink)
			assert.Equal(t, usage, tr.verdict.Run.Usage)
			assert.False(t, tr.verdict.Suspect)
			assert.Len(t, o.runs, 1)
			assert.Empty(t, tr.going)
			assert.Equal(t, 1, tr.lines("session: https://oz.example.test/session/run-1"))
		})
	}
}

func TestARefusedStartIsExplainedAndNotRepeated(t *testing.T) {
	t.Parallel()
	for kind, reason := range map[string]string{
		"insufficient_credits": "add some", "budget_exceeded": "raise it", "AT_CLOUD_AGENT_CAPACITY": "when another run has ended",
		"not_authorized": "an agent key of the team", "OUT_OF_CREDITS": "add some", "flux": "403: flux: no",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			starts := 0
			o := &oz{start: func() error { starts++; return refusal(403, kind) }}
			tr := trial{Test: smoketest.Test{Commit: before}}
			tr.in(t, o)
			assert.Equal(t, smoketest.Failed, tr.verdict.Result)
			assert.Contains(t, tr.verdict.Reason, "could not be started")
			assert.False(t, tr.verdict.Suspect)
			assert.Contains(t, tr.verdict.Reason, reason)
			assert.Empty(t, o.runs)
			assert.Zero(t, tr.took)
		})
	}
}

func TestOnlyTheCommitPasses(t *testing.T) {
	t.Parallel()
	moved := func(context.Context) (string, error) { return later, nil }
	for name, tt := range map[string]struct {
		commit, prompt, reply string
		now                   func(context.Context) (string, error)
		want                  smoketest.Result
		reason                string
	}{
		"anywhere in the text":       {before, "", "ok\n_" + before + "_!", nil, smoketest.Passed, before},
		"in another letter case":     {"abcdef" + before[6:], "", "ABCDEF" + before[6:], nil, smoketest.Passed, ""},
		"HEAD moved on":              {before, "", later, moved, smoketest.Passed, later + ", which was pushed during the test"},
		"neither":                    {before, "", other, moved, smoketest.Failed, "found commit " + other + ", but Bitbucket serves " + before},
		"a part of a longer hash":    {before, "", before + before[:24], nil, smoketest.Failed, "but Bitbucket serves"},
		"a part of a word":           {before, "", "x" + before, nil, smoketest.Failed, "did not report the commit " + before},
		"short":                      {before, "", before[:12], nil, smoketest.Failed, "did not report"},
		"SHA-256":                    {before + before[:24], "", "it is " + before + before[:24], nil, smoketest.Passed, ""},
		"Bitbucket does not answer":  {before, "", other, func(context.Context) (string, error) { return "", errors.New("503") }, smoketest.Failed, other},
		"nothing to compare with":    {"", "", "no", nil, smoketest.Passed, "there was no commit to compare with"},
		"the prompt names it":        {before, "say " + before, before, nil, smoketest.Failed, "smoke_test_prompt names the commit"},
		"the prompt names the later": {before, "say " + later, later, moved, smoketest.Failed, "found commit " + later},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := trial{Test: smoketest.Test{Commit: tt.commit, Prompt: tt.prompt, Now: tt.now}}
			tr.in(t, &oz{reply: func(int) (string, error) { return tt.reply, nil }})
			assert.Equal(t, tt.want, tr.verdict.Result)
			assert.Contains(t, tr.verdict.Reason, tt.reason)
			assert.Equal(t, tt.want == smoketest.Failed && tr.verdict.Run.ID != "", tr.verdict.Suspect)
			assert.Empty(t, tr.going)
		})
	}
}

func TestATranscriptMayBeLate(t *testing.T) {
	t.Parallel()
	missing := refusal(404, "resource_not_found")
	for name, tt := range map[string]struct {
		reply  func(try int) (string, error)
		want   smoketest.Result
		reason string
		tries  int
	}{
		"late": {func(try int) (string, error) {
			return []string{"", "I run it.", before}[min(try, 3)-1], []error{missing, nil, nil}[min(try, 3)-1]
		}, smoketest.Passed, "", 3},
		"broken twice": {func(try int) (string, error) {
			if try < 3 {
				return "", errors.New("unexpected EOF")
			}
			return before, nil
		}, smoketest.Passed, "", 3},
		"missing":         {func(int) (string, error) { return "", missing }, smoketest.Failed, "Oz has none", 5},
		"empty":           {func(int) (string, error) { return "", nil }, smoketest.Failed, "did not report", 5},
		"never there":     {func(int) (string, error) { return "", refusal(422, "operation_not_supported") }, smoketest.Failed, "harness", 1},
		"huge":            {func(int) (string, error) { return "", fmt.Errorf("read: %w", warp.ErrTooLong) }, smoketest.Failed, "too long", 1},
		"of another hash": {func(int) (string, error) { return other, nil }, smoketest.Failed, other, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &oz{reply: tt.reply}
			tr := trial{Test: smoketest.Test{Commit: before}}
			tr.in(t, o)
			assert.Equal(t, tt.want, tr.verdict.Result)
			assert.Contains(t, tr.verdict.Reason, tt.reason)
			_, unreadable := tt.reply(tt.tries)
			assert.Equal(t, tt.want == smoketest.Failed && unreadable == nil, tr.verdict.Suspect)
			assert.Equal(t, tt.tries, o.replies)
			assert.Less(t, tr.took, 2*time.Minute)
		})
	}
}

func TestAPassingErrorOfOzIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	passing := warp.Run{State: warp.Errored, ErrorCode: "internal_error", Retryable: true}
	for name, tt := range map[string]struct {
		ends  []warp.Run
		runs  int
		want  smoketest.Result
		usage float64
	}{
		"and passes":         {[]warp.Run{passing, {State: warp.Succeeded}}, 2, smoketest.Passed, 3},
		"and only once more": {[]warp.Run{passing}, 2, smoketest.Failed, 3},
		"but not for good":   {[]warp.Run{{State: warp.Errored}}, 1, smoketest.Failed, 1.5},
		"nor a failure":      {[]warp.Run{{State: warp.Failed, Retryable: true}}, 1, smoketest.Failed, 1.5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &oz{ends: tt.ends}
			tr := trial{Test: smoketest.Test{Commit: before}}
			tr.in(t, o)
			assert.Equal(t, tt.want, tr.verdict.Result)
			require.Len(t, o.runs, tt.runs)
			assert.Equal(t, o.runs[tt.runs-1].ID, tr.verdict.Run.ID)
			assert.InDelta(t, tt.usage, tr.verdict.Run.Usage.Credits, 0)
			assert.Equal(t, tt.runs-1, tr.lines("run run-1 ended with a temporary error of Oz (internal_error); starting the smoke test once more"))
			if tt.runs == 2 {
				assert.NotEqual(t, o.runs[0].Metadata, o.runs[1].Metadata)
			}
		})
	}
	t.Run("in the same time", func(t *testing.T) {
		t.Parallel()
		o := &oz{ends: []warp.Run{passing}, lasts: 12 * time.Minute}
		tr := trial{Test: smoketest.Test{Commit: before}}
		tr.in(t, o)
		assert.Equal(t, smoketest.TimedOut, tr.verdict.Result)
		assert.Equal(t, 20*time.Minute, tr.took)
		assert.Equal(t, "run-2", tr.verdict.Run.ID)
		assert.Empty(t, tr.going)
	})
}

func TestUsageThatComesLateIsRead(t *testing.T) {
	t.Parallel()
	tr := trial{Test: smoketest.Test{Commit: before}}
	tr.in(t, &oz{usageLate: true})
	assert.Equal(t, smoketest.Passed, tr.verdict.Result)
	assert.Equal(t, usage, tr.verdict.Run.Usage)
}

func TestForeignTextIsInert(t *testing.T) {
	t.Parallel()
	const evil = "\x1b[31mred\x1b[0m\r\n::set-output name=run_id::x ##[add-mask]y ##vso[task.setvariable]z \u202ebidi\u2066 \u200bzero\x00 ::::"
	for name, o := range map[string]*oz{
		"the agent's": {reply: func(int) (string, error) { return evil, nil }},
		"Oz's":        {ends: []warp.Run{{State: warp.Failed, Message: evil, ErrorCode: evil}}},
		"a refusal's": {start: func() error { return &warp.Refusal{Status: 400, Kind: evil, Message: evil} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := trial{Test: smoketest.Test{Commit: before}}
			tr.in(t, o)
			shown := tr.log + tr.verdict.Reason
			assert.Contains(t, shown, "red", "it is shown")
			for _, bad := range []string{"\x1b", "::", "##", "\u202e", "\u2066", "\u200b", "\x00", "\r"} {
				assert.NotContains(t, shown, bad)
			}
			if name == "the agent's" {
				assert.NotContains(t, tr.verdict.Reason, "red", "the agent's words stay out of the summary")
			}
		})
	}
}

func TestTheRequestAsksForOneCommandAndNamesNoCommit(t *testing.T) {
	t.Parallel()
	o := &oz{}
	tr := trial{Test: smoketest.Test{Commit: before, Prompt: "And say hello.", Team: true, Secrets: []string{"T", "NPM"}, Model: "auto"}}
	tr.in(t, o)
	require.Len(t, o.asked, 1)
	prompt := o.asked[0].Prompt
	for _, part := range []string{`in the directory "sample"`, "exactly one command", "change no file", "git rev-parse HEAD", "\n\nAnd say hello."} {
		assert.Contains(t, prompt, part)
	}
	assert.NotContains(t, prompt, before)
	assert.Equal(t, warp.RunRequest{
		Title: "Smoke test of acme-sample (attempt-1)", Prompt: prompt, EnvironmentID: "En00000000000000000001", Model: "auto",
		Team: true, Secrets: []string{"T", "NPM"}, Metadata: map[string]string{"oz-bitbucket.attempt": "attempt-1"},
	}, o.asked[0])
}
