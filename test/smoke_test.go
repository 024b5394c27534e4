package test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// lastRun returns the run that was started last.
func (w *world) lastRun() warpsim.Run {
	w.t.Helper()
	runs := w.oz.Runs()
	require.NotEmpty(w.t, runs)
	return runs[len(runs)-1]
}

// requireRun checks the outputs that are about the last run.
func (w *world) requireRun(r result, verdict, state string) {
	w.t.Helper()
	run := w.lastRun()
	assert.Equal(w.t, verdict, r.outputs["smoke_test"], r.log)
	assert.Equal(w.t, run.ID, r.outputs["run_id"])
	assert.Equal(w.t, state, r.outputs["run_state"])
	assert.Contains(w.t, r.log, "run "+run.ID)
}

func TestEachEndOfARunHasItsVerdict(t *testing.T) {
	t.Parallel()
	tests := []struct {
		behaviour warpsim.Behaviour
		verdict   string
		state     string
		log       string
	}{
		{warpsim.Behaviour{}, "passed", "SUCCEEDED", "the agent found commit"},
		{warpsim.Behaviour{Reply: func(honest string) string { return "Certainly!\n\n" + strings.ToUpper(honest) }}, "passed", "SUCCEEDED", ""},
		{warpsim.Behaviour{Reply: func(string) string { return wrongCommit }}, "failed", "SUCCEEDED", "found commit " + wrongCommit + ", but Bitbucket serves"},
		{warpsim.Behaviour{State: "FAILED", ErrorCode: "insufficient_credits"}, "failed", "FAILED", "add some, or set smoke_test: false"},
		{warpsim.Behaviour{State: "FAILED", ErrorCode: "budget_exceeded"}, "failed", "FAILED", "spending limit is reached"},
		{warpsim.Behaviour{State: "ERROR", ErrorCode: "resource_unavailable"}, "failed", "ERROR", "no capacity"},
		{warpsim.Behaviour{State: "ERROR", ErrorCode: "authentication_required"}, "failed", "ERROR", "warp_api_key"},
		{warpsim.Behaviour{State: "BLOCKED", Message: "May I?"}, "failed", "BLOCKED", "waits for a human"},
		{warpsim.Behaviour{State: "CANCELLED"}, "cancelled", "CANCELLED", "someone cancelled the run in Oz"},
		{warpsim.Behaviour{State: "PAUSED"}, "failed", "PAUSED", "which this version of the program does not know"},
	}
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for _, tt := range tests {
			w.oz.Behave(tt.behaviour)
			before := len(w.oz.Runs())
			r := w.run(w.inputs(nil))
			assert.Equal(t, map[bool]int{true: 0, false: 3}[tt.verdict == "passed"], r.code, r.log)
			w.requireRun(r, tt.verdict, tt.state)
			assert.Contains(t, r.log, tt.log)
			assert.Contains(t, r.log, "session: "+r.outputs["session_link"])
			assert.Contains(t, r.log, "used 1.00 credits and 1234 tokens")
			assert.Len(t, w.oz.Runs(), before+1)
			if w.dialect == github {
				assert.Contains(t, r.summary, "used 1.00 credits and 1234 tokens")
			}
		}
	})
}

func TestTheVerdictNamesWhatBroke(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		r := w.run(w.inputs(map[string]string{"setup_commands": "false"}))
		assert.Equal(t, 3, r.code)
		w.requireRun(r, "failed", "FAILED")
		assert.Contains(t, r.log, "cd ./sample && false")
		assert.Contains(t, r.log, "a setup command failed")

		login := model(t, w.onlyEnvironment())["setup_commands"].([]any)[0].(string)
		w.oz.Behave(warpsim.Behaviour{State: "FAILED", ErrorCode: "environment_setup_failed", Message: "Failed to run setup command: " + login + ". Check it."})
		r = w.run(w.inputs(map[string]string{"setup_commands": "#"}))
		assert.Equal(t, 3, r.code)
		assert.Contains(t, r.log, "git could not be configured; check that the image has git")

		for _, auth := range []string{"helper", "url"} {
			r = w.run(w.inputs(map[string]string{"setup_commands": "#", "clone_auth": auth, "verify_token": "false", "bitbucket_token": "ATATT3MARKER-revoked"}))
			assert.Equal(t, 3, r.code)
			w.requireRun(r, "failed", "FAILED")
			assert.Contains(t, r.log, "the clone failed")
		}

		r = w.run(w.inputs(map[string]string{"verify_token": "false"}))
		assert.Equal(t, 0, r.code, r.log)
		assert.Contains(t, r.log, "there was no commit to compare with")
		assert.Empty(t, r.outputs["head_commit"])
	})
}

func TestAPassingErrorIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		passing := warpsim.Behaviour{State: "ERROR", ErrorCode: "internal_error", Retryable: true}
		w.oz.Behave(passing)
		r := w.run(w.inputs(nil))
		assert.Equal(t, 0, r.code, r.log)
		w.requireRun(r, "passed", "SUCCEEDED")
		require.Len(t, w.oz.Runs(), 2)
		assert.Contains(t, r.log, "run "+w.oz.Runs()[0].ID+" ended with a temporary error of Oz")
		assert.Contains(t, r.log, "used 2.00 credits and 2468 tokens", "both are paid for")

		w.oz.Behave(passing, passing)
		r = w.run(w.inputs(nil))
		assert.Equal(t, 3, r.code)
		assert.Len(t, w.oz.Runs(), 4)
	})
}

func TestARefusedStartIsExplained(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for code, next := range map[string]string{
			"OUT_OF_CREDITS": "add some, or set smoke_test: false", "AT_CLOUD_AGENT_CAPACITY": "run the job again when another run has ended",
		} {
			w.oz.Script.Add(fault.Fault{Operation: "POST /agent/runs", Status: 429, Header: http.Header{"X-Warp-Error-Code": {code}}, Body: `{"error":"::error::no"}`})
			r := w.run(w.inputs(nil))
			assert.Equal(t, 3, r.code)
			assert.Equal(t, "failed", r.outputs["smoke_test"])
			assert.Contains(t, r.log, next)
			assert.NotContains(t, r.log, "::error::no")
			assert.Empty(t, w.oz.Runs())
		}
		w.oz.Script.Add(fault.Fault{Operation: "POST /agent/runs", Status: 429, Header: http.Header{"Retry-After": {"0"}}, Times: 2})
		r := w.run(w.inputs(nil))
		assert.Equal(t, 0, r.code, r.log)
		assert.Len(t, w.oz.Runs(), 1)
	})
}

func TestPollingSurvivesBursts(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		now := http.Header{"Retry-After": {"0"}}
		const poll = "GET /agent/runs/{id}"
		w.oz.Script.Add(fault.Fault{Operation: poll, Status: 429, Header: now, Times: 7})
		w.oz.Script.Add(fault.Fault{Operation: poll, Status: 503, Header: now, Times: 3})
		w.oz.Script.Add(fault.Fault{Operation: poll, Status: 200, Body: "<html>A proxy's page</html>"})
		r := w.run(w.inputs(nil))
		assert.Equal(t, 0, r.code, r.log)
		w.requireRun(r, "passed", "SUCCEEDED")
		assert.Contains(t, r.log, "asking again")
	})
}

func TestTranscripts(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for _, behaviour := range []warpsim.Behaviour{{TranscriptAfter: 2}, {Chatter: 48 << 20}, {UsageAfter: 1}} {
			w.oz.Behave(behaviour)
			r := w.run(w.inputs(nil))
			assert.Equal(t, 0, r.code, r.log)
			w.requireRun(r, "passed", "SUCCEEDED")
			assert.Contains(t, r.log, "used 1.00 credits")
		}
		w.oz.Script.Add(fault.Fault{Operation: "GET /agent/runs/{id}/conversation", Status: 422})
		r := w.run(w.inputs(nil))
		assert.Equal(t, 3, r.code)
		w.requireRun(r, "failed", "SUCCEEDED")
		assert.Contains(t, r.log, "choose another smoke_test_model")
	})
}

// This runs before the parallel tests, as do those of signals: its time is real too.
func TestHeadMayMoveDuringTheTest(t *testing.T) {
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		before := w.cloud.Head()
		w.oz.Behave(warpsim.Behaviour{StartAfter: pauseForTheTest})
		job := w.start(w.inputs(nil))
		w.awaitRequest("POST /agent/runs")
		after := w.cloud.Commit("Pushed before the clone")
		r := job.wait()
		assert.Equal(t, 0, r.code, r.log)
		w.requireRun(r, "passed", "SUCCEEDED")
		assert.Contains(t, r.log, "the agent found commit "+after+", which was pushed during the test")
		assert.Equal(t, before, r.outputs["head_commit"])

		w.oz.Behave(warpsim.Behaviour{Hold: pauseForTheTest})
		job = w.start(w.inputs(nil))
		w.await(func() bool { return len(w.oz.Runs()) == 2 && len(w.lastRun().Steps) == 3 })
		w.cloud.Commit("Pushed after the clone")
		r = job.wait()
		assert.Equal(t, 0, r.code, r.log)
		assert.Contains(t, r.log, "the agent found commit "+after)
	})
}

func TestAPromptAddsToTheProof(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		r := w.run(w.inputs(map[string]string{"smoke_test_prompt": "Say " + strings.ToUpper(w.cloud.Head()) + "."}))
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "smoke_test_prompt names "+w.cloud.Head())
		assert.Empty(t, w.oz.Secrets(), "nothing is written")
		assert.Empty(t, w.oz.Runs())

		r = w.run(w.inputs(map[string]string{"smoke_test_prompt": "Say hello.", "smoke_test_model": "auto"}))
		assert.Equal(t, 0, r.code, r.log)
		run := w.lastRun()
		assert.Equal(t, "auto", run.Model)
		assert.Equal(t, team, run.Owner)
		assert.Equal(t, []string{"BITBUCKET_API_TOKEN"}, run.Secrets)
		assert.Contains(t, run.Title, "acme-sample")
		assert.Contains(t, run.Prompt, "git rev-parse HEAD")
		assert.True(t, strings.HasSuffix(run.Prompt, "\n\nSay hello."))
		assert.NotContains(t, run.Prompt, w.cloud.Head())

		r = w.run(w.inputs(map[string]string{"scope": "personal"}))
		assert.Equal(t, 0, r.code, r.log)
		assert.Equal(t, warpsim.Owner{Type: "User", UID: userUID}, w.lastRun().Owner)
	})
}

func TestWhatAgentAndServerSayIsInert(t *testing.T) {
	t.Parallel()
	const evil = "EVIL\x1b[2J\r\n::set-output name=run_id::x\n##[add-mask]y ##vso[task.complete]z \u202eidib 0123456789012345678901234567890123456789"
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for _, behaviour := range []warpsim.Behaviour{
			{Reply: func(string) string { return evil }},
			{State: "FAILED", ErrorCode: evil, Message: evil},
			{State: evil, Session: "https://oz.example.test/x\n::set-output name=a::b"},
			{State: "FAILED", Session: "javascript:alert(1)"},
		} {
			w.oz.Behave(behaviour)
			r := w.run(w.inputs(nil))
			assert.Equal(t, 3, r.code, r.log)
			assert.Equal(t, w.lastRun().ID, r.outputs["run_id"])
			for _, bad := range []string{"\x1b", "\r", "::set-output", "##[add", "##vso", "\u202e", "javascript:"} {
				assert.NotContains(t, r.log, bad)
			}
			assert.NotContains(t, r.summary, "set-output name")
			if behaviour.Reply != nil {
				assert.Contains(t, r.log, "the agent says: EVIL")
				assert.NotContains(t, r.summary, "EVIL")
			}
			assert.Equal(t, behaviour.Session == "", r.outputs["session_link"] != "")
		}
	})
}
