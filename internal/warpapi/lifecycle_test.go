package warpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// ended waits for the run to end: each read of its state asks again.
func ended(t *testing.T, c *warpapi.Client, id string) warp.Run {
	t.Helper()
	for {
		run, err := c.GetRun(t.Context(), id)
		require.NoError(t, err)
		if !run.State.Going() {
			return run
		}
	}
}

func TestRunFromStartToReply(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	oz.AddSecret(teamSim, "TOKEN", "a secret value")
	uid := oz.AddEnvironment(teamSim, `{"name":"ci"}`)
	oz.Behave(warpsim.Behaviour{Reply: func(string) string { return "done & <well>" }})

	started, err := c.For(team).StartRun(t.Context(), warp.RunRequest{
		Title: "title", Prompt: "prompt", EnvironmentID: uid, Model: "auto", Team: true, Secrets: []string{"TOKEN"}, Metadata: map[string]string{"k": "v"},
	})
	require.NoError(t, err)
	assert.Equal(t, warp.Run{ID: oz.Runs()[0].ID, State: warp.Queued}, started)

	run := ended(t, c, started.ID)
	assert.NotEmpty(t, run.CreatedAt)
	assert.Contains(t, run.SessionLink, "/session/")
	assert.Equal(t, warp.Run{
		ID: started.ID, State: warp.Succeeded, SessionLink: run.SessionLink, CreatedAt: run.CreatedAt, Message: "Done",
		Title: "title", Metadata: map[string]string{"k": "v"}, Usage: warp.Usage{Credits: 1, Tokens: 1234},
	}, run)
	reply, err := c.GetReply(t.Context(), run.ID)
	require.NoError(t, err)
	assert.Equal(t, "done & <well>", reply)

	got := oz.Runs()[0]
	assert.Equal(t, []any{"title", "prompt", "auto", teamSim, []string{"TOKEN"}}, []any{got.Title, got.Prompt, got.Model, got.Owner, got.Secrets})
	assert.Empty(t, oz.Violations())
}

func TestRunThatFailed(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	uid := oz.AddEnvironment(teamSim, `{"name":"ci","setup_commands":["false"]}`)
	oz.Behave(warpsim.Behaviour{Retryable: true})
	started, err := c.StartRun(t.Context(), warp.RunRequest{Prompt: "p", EnvironmentID: uid, Team: true})
	require.NoError(t, err)

	run := ended(t, c, started.ID)

	assert.Equal(t, warp.Failed, run.State)
	assert.Equal(t, "environment_setup_failed", run.ErrorCode)
	assert.Equal(t, "Environment setup failed: Failed to run setup command: false. Check your repository URLs and setup commands.", run.Message)
	assert.True(t, run.Retryable)
}

func TestPersonalRunOfACallerWithoutTeams(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	mine := warpsim.Owner{Type: "User", UID: userUID}
	uid := oz.AddEnvironment(mine, `{"name":"ci"}`)
	oz.Behave(warpsim.Behaviour{Queued: true})

	started, err := c.For(user).StartRun(t.Context(), warp.RunRequest{Prompt: "p", EnvironmentID: uid})

	require.NoError(t, err)
	assert.True(t, started.AtCapacity)
	assert.Equal(t, mine, oz.Runs()[0].Owner)
}

func TestFindAndListRuns(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	one, two := oz.AddEnvironment(teamSim, `{"name":"1"}`), oz.AddEnvironment(teamSim, `{"name":"2"}`)
	start := func(uid, attempt string) string {
		oz.Behave(warpsim.Behaviour{Queued: true})
		run, err := c.StartRun(t.Context(), warp.RunRequest{Prompt: "p", EnvironmentID: uid, Team: true, Metadata: map[string]string{"oz.attempt": attempt}})
		require.NoError(t, err)
		return run.ID
	}
	ids := func(runs []warp.Run, err error) []string {
		require.NoError(t, err)
		var ids []string
		for _, run := range runs {
			ids = append(ids, run.ID)
		}
		return ids
	}
	a, b, other := start(one, "a&b=c"), start(one, "b"), start(two, "a&b=c")
	at := time.Now().In(time.FixedZone("east", 2*3600))

	assert.Equal(t, []string{other, a}, ids(c.FindRuns(t.Context(), "oz.attempt", "a&b=c")), "newest first")
	assert.Empty(t, ids(c.FindRuns(t.Context(), "oz.attempt", "c")))
	assert.Equal(t, []string{b, a}, ids(c.ListRuns(t.Context(), one, at.Add(-time.Minute))))
	assert.Empty(t, ids(c.ListRuns(t.Context(), one, at.Add(time.Hour))))
	for _, request := range oz.Journal.All()[3:] {
		assert.Contains(t, request.URL, "limit=100")
		assert.Contains(t, request.URL, "sort_by=created_at&sort_order=desc")
	}
	assert.Empty(t, oz.Violations())
}

func TestMetadataFilterMayBeRefused(t *testing.T) {
	t.Parallel()
	oz := warpsim.Start(warpsim.Options{NoMetadataFilter: true})
	t.Cleanup(oz.Close)
	oz.AddKey(apiKey, warpsim.Principal{UID: userUID, Teams: simTeams})

	_, err := newClient(t, oz.URL()).FindRuns(t.Context(), "k", "v")

	var refusal *warp.Refusal
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, &warp.Refusal{Status: 403, Kind: "feature_not_available", Message: "filtering by metadata is not available"}, refusal)
}

func TestStartRunIsRefused(t *testing.T) {
	t.Parallel()
	const second = "Tm0000000000000000000B"
	oz := warpsim.Start(warpsim.Options{})
	t.Cleanup(oz.Close)
	oz.AddKey(apiKey, warpsim.Principal{UID: userUID, Teams: append([]warpsim.Team{{UID: second, Name: "Beta"}}, simTeams...)})
	uid := oz.AddEnvironment(teamSim, `{"name":"ci"}`)
	c := newClient(t, oz.URL())
	good := warp.RunRequest{Prompt: "p", EnvironmentID: uid, Team: true}

	for name, test := range map[string]struct {
		client  *warpapi.Client
		request warp.RunRequest
		want    warp.Refusal
	}{
		"no prompt":         {c.For(team), warp.RunRequest{EnvironmentID: uid, Team: true}, warp.Refusal{Status: 400, Kind: "invalid_request", Message: "prompt is required"}},
		"no environment":    {c.For(team), warp.RunRequest{Prompt: "p", Team: true}, warp.Refusal{Status: 404, Kind: "resource_not_found", Message: "environment not found"}},
		"one of many teams": {c, good, warp.Refusal{Status: 400, Kind: "invalid_request", Message: "the caller is on several teams: X-Warp-Team-Uid must name one"}},
		"a foreign team": {c.For(warp.Owner{Type: warp.TeamOwner, UID: "Tm0000000000000000000Z"}), good,
			warp.Refusal{Status: 403, Kind: "not_authorized", Message: "not a member of the team in X-Warp-Team-Uid"}},
	} {
		_, err := test.client.StartRun(t.Context(), test.request)
		var refusal *warp.Refusal
		require.ErrorAs(t, err, &refusal, name)
		assert.Equal(t, &test.want, refusal, name)
		assert.NotErrorIs(t, err, warp.ErrAnswerLost, name)
	}
	assert.Empty(t, oz.Runs())
}

func TestLostAnswerOfAStart(t *testing.T) {
	t.Parallel()
	for _, f := range []fault.Fault{{When: fault.Before}, {When: fault.After}, {When: fault.Before, Status: 503}, {When: fault.After, Status: 500}} {
		oz, c := newOz(t)
		uid := oz.AddEnvironment(teamSim, `{"name":"ci"}`)
		f.Operation = "POST /agent/runs"
		oz.Script.Add(f)

		_, err := c.StartRun(t.Context(), warp.RunRequest{Prompt: "p", EnvironmentID: uid, Team: true})

		require.ErrorIs(t, err, warp.ErrAnswerLost)
		assert.Len(t, oz.Runs(), int(f.When), "sent once")
	}
	for _, body := range []string{`{}`, `null`, `{"state":"QUEUED"}`} {
		_, err := answering(t, canned{200, nil, body}, "").StartRun(t.Context(), warp.RunRequest{})
		require.ErrorIs(t, err, warp.ErrAnswerLost, body)
		require.ErrorContains(t, err, "the answer names no run")
	}
}

func TestStartRunOfAnOlderServer(t *testing.T) {
	t.Parallel()
	run, err := answering(t, canned{200, nil, `{"task_id":"` + runUUID + `"}`}, "").StartRun(t.Context(), warp.RunRequest{})
	require.NoError(t, err)
	assert.Equal(t, warp.Run{ID: runUUID, State: warp.Queued}, run)
}

func TestCancelRun(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	uid := oz.AddEnvironment(teamSim, `{"name":"ci"}`)
	oz.Behave(warpsim.Behaviour{Queued: true, CancelStatuses: []int{409, 422}})
	run, err := c.StartRun(t.Context(), warp.RunRequest{Prompt: "p", EnvironmentID: uid, Team: true})
	require.NoError(t, err)
	var refusal *warp.Refusal

	require.ErrorAs(t, c.CancelRun(t.Context(), run.ID), &refusal)
	assert.Equal(t, []any{http.StatusConflict, "conflict"}, []any{refusal.Status, refusal.Kind})
	require.ErrorAs(t, c.CancelRun(t.Context(), run.ID), &refusal)
	assert.Equal(t, []any{http.StatusUnprocessableEntity, "operation_not_supported"}, []any{refusal.Status, refusal.Kind})
	require.NoError(t, c.CancelRun(t.Context(), run.ID))
	assert.Equal(t, warp.Cancelled, ended(t, c, run.ID).State)
	require.ErrorAs(t, c.CancelRun(t.Context(), run.ID), &refusal)
	assert.Equal(t, http.StatusBadRequest, refusal.Status)
	require.ErrorAs(t, c.CancelRun(t.Context(), "../../else where"), &refusal)
	assert.Equal(t, http.StatusNotFound, refusal.Status)
	assert.Equal(t, "/api/v1/agent/runs/..%2F..%2Felse%20where/cancel", oz.Journal.All()[len(oz.Journal.All())-1].URL)
}

func TestGetReplyOfARunWithoutTranscript(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	uid := oz.AddEnvironment(teamSim, `{"name":"ci"}`)
	oz.Behave(warpsim.Behaviour{TranscriptAfter: 1})
	run, err := c.StartRun(t.Context(), warp.RunRequest{Prompt: "p", EnvironmentID: uid, Team: true})
	require.NoError(t, err)
	ended(t, c, run.ID)

	_, err = c.GetReply(t.Context(), run.ID)
	var refusal *warp.Refusal
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, http.StatusNotFound, refusal.Status)
	reply, err := c.GetReply(t.Context(), run.ID)
	require.NoError(t, err)
	assert.Equal(t, "I found no checkout.", reply)
}

func TestGetReplyIsTheLastTextOfTheAgent(t *testing.T) {
	t.Parallel()
	message := func(role, kind, text string) string {
		return `{"role":"` + role + `","content":[{"type":"` + kind + `","text":"` + text + `"}]}`
	}
	step := func(messages, steps string) string { return `{"messages":[` + messages + `],"steps":[` + steps + `]}` }
	tests := []struct{ name, steps, want string }{
		{"nothing", "", ""},
		{"no step with text", step("", "") + "," + step(message("user", "text", "hello"), ""), ""},
		{"the last of several", step(message("assistant", "text", "one")+","+message("assistant", "text", "two"), ""), "two"},
		{"before what the user said then", step(message("assistant", "text", "one")+","+message("user", "text", "thanks"), ""), "one"},
		{"before an action", step(message("assistant", "text", "one"), "") + "," + step(message("assistant", "action", "rm"), ""), "one"},
		{"before an empty text", step(message("assistant", "text", "one")+","+message("assistant", "text", " "), ""), "one"},
		{"in several blocks", step(`{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"event"},{"type":"text","text":"b"}]}`, ""), "ab"},
		{"of the agent, not of its delegate", step(message("assistant", "text", "mine"), step(message("assistant", "text", "delegate"), "")), "mine"},
		{"of its delegate, where it said nothing", step("", step(message("assistant", "text", "delegate"), "")), "delegate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reply, err := answering(t, canned{200, nil, `{"conversation_id":"c","steps":[` + test.steps + `]}`}, "").GetReply(t.Context(), "id")
			require.NoError(t, err)
			assert.Equal(t, test.want, reply)
		})
	}
}
