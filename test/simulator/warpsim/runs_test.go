package warpsim_test

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// startRun starts a run of the environment and returns the status. more are
// further members of the body, with a leading comma.
func (c client) startRun(uid, more string, headers ...string) int {
	c.Helper()
	return c.rest("POST", "/agent/runs", `{"prompt":"Look at repo","config":{"environment_id":"`+uid+`"}`+more+`}`, nil, headers...)
}

// ended waits until the newest run has ended and returns it.
func (c client) ended() warpsim.Run {
	c.Helper()
	newest := func() warpsim.Run { return c.oz.Runs()[len(c.oz.Runs())-1] }
	eventually(c.T, func() bool { return !newest().Going() })
	return newest()
}

// environment is the model of an environment with these setup commands.
func environment(secrets string, commands ...string) string {
	quoted := make([]string, len(commands))
	for i, command := range commands {
		quoted[i] = text(command)
	}
	if secrets != "" {
		secrets = `,"secrets":` + secrets
	}
	return `{"name":"ci","setup_commands":[` + strings.Join(quoted, ",") + `]` + secrets + `}`
}

// steps returns the commands that ran, as "output/code".
func steps(r warpsim.Run) []string {
	var list []string
	for _, step := range r.Steps {
		list = append(list, strings.TrimSpace(step.Output)+"/"+strconv.Itoa(step.Code))
	}
	return list
}

func TestRunsExecuteTheSetupCommands(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		commands []string
		want     []string
		state    string
	}{
		{"in the workspace, each time", []string{"mkdir a && cd a && basename $PWD", "basename $PWD"}, []string{"a/0", "workspace/0"}, "SUCCEEDED"},
		{"in one shell", []string{"export A=1; f() { echo f; }", "echo $A; f"}, []string{"/0", "1\nf/0"}, "SUCCEEDED"},
		{"with CI", []string{"echo $CI $GIT_TERMINAL_PROMPT"}, []string{"true 0/0"}, "SUCCEEDED"},
		{"with both streams", []string{"echo out; echo err >&2"}, []string{"out\nerr/0"}, "SUCCEEDED"},
		{"until one fails", []string{"true", "echo bad; false", "echo never"}, []string{"/0", "bad/1"}, "FAILED"},
		{"until one ends the shell", []string{"exit 3", "echo never"}, []string{"/-1"}, "FAILED"},
		{"none", nil, nil, "SUCCEEDED"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, warpsim.Options{})
			require.Equal(t, 200, c.startRun(c.oz.AddEnvironment(team, environment("", test.commands...)), ""))

			run := c.ended()

			assert.Equal(t, test.state, run.State)
			assert.Equal(t, test.want, steps(run))
			if test.state == "SUCCEEDED" {
				return
			}
			var got struct {
				StatusMessage struct {
					Message   string
					ErrorCode string `json:"error_code"`
				} `json:"status_message"`
			}
			require.Equal(t, 200, c.rest("GET", "/agent/runs/"+run.ID, "", &got))
			assert.Equal(t, "environment_setup_failed", got.StatusMessage.ErrorCode)
			assert.Contains(t, got.StatusMessage.Message, "Environment setup failed: ")
		})
	}
}

// TestHistoryExpansion: the shell is interactive, reads this as an event and executes nothing.
func TestHistoryExpansion(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	require.Equal(t, 200, c.startRun(c.oz.AddEnvironment(team, environment("", `touch done; echo "!no"`, "test ! -e done")), ""))
	run := c.ended()
	assert.Equal(t, "SUCCEEDED", run.State)
	assert.Contains(t, run.Steps[0].Output, "!no: event not found")
}

func TestCommandLimit(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{CommandLimit: 100 * time.Millisecond})
	require.Equal(t, 200, c.startRun(c.oz.AddEnvironment(team, environment("", "mkfifo fifo; cat fifo")), ""))
	assert.Equal(t, "FAILED", c.ended().State)
}

func TestTheImageBringsItsVariablesAlong(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{RunEnviron: []string{"SET=by the worker"}})
	uid := c.oz.AddEnvironment(team, environment("", `echo "$TRUSTED, $SET."`))
	require.Equal(t, 200, c.startRun(uid, ""))
	assert.Equal(t, ", by the worker.", strings.TrimSpace(c.ended().Steps[0].Output))

	c.oz.SetImage("TRUSTED=by the image", "SET=by the image")
	require.Equal(t, 200, c.startRun(uid, ""))
	assert.Equal(t, "by the image, by the worker.", strings.TrimSpace(c.ended().Steps[0].Output))
}

func TestRunSeesOnlyTheListedSecrets(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{RunEnviron: []string{"FIXED=of the worker"}})
	c.oz.AddSecret(team, "LISTED", "by the environment")
	c.oz.AddSecret(team, "ASKED", "by the run")
	c.oz.AddSecret(team, "OTHER", "by nobody")
	c.oz.AddSecret(team, "FIXED", "of the team")
	c.oz.AddSecret(team, "BOTH", "of the team")
	c.oz.AddSecret(personal, "BOTH", "of the user")
	c.oz.AddSecret(personal, "MINE", "of the user")
	c.oz.AddSecret(personal, "OTHER", "by nobody")
	names := `[{"name":"LISTED"},{"name":"FIXED"},{"name":"BOTH"},{"name":"MINE"},{"name":"MISSING"}]`
	c.oz.AddKey("wk-colleague-0000", warpsim.Principal{UID: "colleague", Teams: acme})
	uid := c.oz.AddEnvironment(team, environment(names, `echo "$LISTED, $ASKED, $OTHER, $FIXED, $BOTH, $MINE."`))

	for _, tt := range []struct {
		name, key, team string
		echo            string
		secrets         []string
	}{
		{"a person's run for the team", userKey, "true",
			"by the environment, by the run, , of the worker, of the user, of the user.", []string{"ASKED", "BOTH", "FIXED", "LISTED", "MINE"}},
		{"a person's own run", userKey, "false",
			"by the environment, by the run, , of the worker, of the user, of the user.", []string{"ASKED", "BOTH", "FIXED", "LISTED", "MINE"}},
		{"another person's run for the team", "wk-colleague-0000", "true",
			"by the environment, by the run, , of the worker, of the team, .", []string{"ASKED", "BOTH", "FIXED", "LISTED"}},
		{"a service account's run", serviceKey, "true",
			"by the environment, by the run, , of the worker, of the team, .", []string{"ASKED", "BOTH", "FIXED", "LISTED"}},
	} {
		c.key = tt.key
		require.Equal(t, 200, c.rest("POST", "/agent/runs",
			`{"prompt":"p","team":`+tt.team+`,"config":{"environment_id":"`+uid+`","secrets":[{"name":"ASKED"},{"name":"LISTED"}]}}`, nil), tt.name)
		run := c.ended()
		assert.Equal(t, []string{tt.echo + "/0"}, steps(run), tt.name)
		assert.Equal(t, tt.secrets, run.Secrets, tt.name)
	}
	assert.Empty(t, c.oz.Violations())
}

func TestMachinesEnvironmentStaysOutside(t *testing.T) {
	t.Setenv("WARPSIM_TEST_MARKER", "outside")
	c := start(t, warpsim.Options{})
	require.Equal(t, 200, c.startRun(c.oz.AddEnvironment(team, environment("", `echo "[$WARPSIM_TEST_MARKER]"; test $HOME = "${PWD%/workspace}/home"`)), ""))
	assert.Equal(t, []string{"[]/0"}, steps(c.ended()))
}

func TestAgentReportsTheCheckoutThatThePromptNames(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	commit := `git -c user.name=a -c user.email=a@b -C %s commit --quiet --allow-empty -m x`
	uid := c.oz.AddEnvironment(team, environment("",
		"git init --quiet repo && "+strings.ReplaceAll(commit, "%s", "repo"), "git init --quiet another", "git -C repo rev-parse HEAD"))
	require.Equal(t, 200, c.startRun(uid, ""))
	run := c.ended()
	require.Len(t, run.Steps, 3)
	hash := strings.TrimSpace(run.Steps[2].Output)
	require.Regexp(t, `^[0-9a-f]{40}$`, hash)
	assert.Equal(t, "The commit in repo is "+hash+".", run.Reply)

	var conversation struct {
		Steps []struct {
			Messages []struct {
				Role    string
				Content []struct{ Text string }
			}
		}
	}
	require.Equal(t, 200, c.rest("GET", "/agent/runs/"+run.ID+"/conversation", "", &conversation))
	messages := conversation.Steps[0].Messages
	assert.Equal(t, []string{"user", "Look at repo", "assistant", run.Reply},
		[]string{messages[0].Role, messages[0].Content[0].Text, messages[2].Role, messages[2].Content[0].Text})
}

func TestCancelKillsTheChildrenToo(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, environment("", "mkfifo fifo; cat fifo & echo $! > child; wait"))
	require.Equal(t, 200, c.startRun(uid, ""))
	run := c.oz.Runs()[0]
	var child int
	eventually(t, func() bool {
		content, _ := os.ReadFile(filepath.Join(run.Workspace, "child"))
		child, _ = strconv.Atoi(strings.TrimSpace(string(content)))
		return child != 0
	})
	require.NoError(t, syscall.Kill(child, 0))

	var id string
	require.Equal(t, 200, c.rest("POST", "/agent/runs/"+run.ID+"/cancel", "", &id))

	assert.Equal(t, run.ID, id)
	assert.Equal(t, "CANCELLED", c.ended().State)
	eventually(t, func() bool { return gone(child) })
	assert.Equal(t, 400, c.rest("POST", "/agent/runs/"+run.ID+"/cancel", "", nil), "it is over")
}

// gone reports whether a process has ended, whether or not it was reaped.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestCloseEndsRunsAndRemovesWorkspaces(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	c := start(t, warpsim.Options{Workspaces: directory})
	require.Equal(t, 200, c.startRun(c.oz.AddEnvironment(team, environment("", "echo $$ > shell; mkfifo fifo; cat fifo")), ""))
	run := c.oz.Runs()[0]
	var shell int
	eventually(t, func() bool {
		content, _ := os.ReadFile(filepath.Join(run.Workspace, "shell"))
		shell, _ = strconv.Atoi(strings.TrimSpace(string(content)))
		return shell != 0
	})

	c.oz.Close()

	assert.True(t, gone(shell))
	left, err := os.ReadDir(directory)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestBehaviours(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, environment(""))
	c.oz.Behave(
		warpsim.Behaviour{Queued: true, CancelStatuses: []int{409}},
		warpsim.Behaviour{State: "ERROR", ErrorCode: "internal_error", Message: "Oh", Retryable: true},
		warpsim.Behaviour{Reply: func(honest string) string { return honest + " Really." }, TranscriptAfter: 1},
		warpsim.Behaviour{NoTranscript: true},
		warpsim.Behaviour{Hold: time.Hour},
	)
	conversation := func(id string) int { return c.rest("GET", "/agent/runs/"+id+"/conversation", "", nil) }

	var started struct {
		State      string
		AtCapacity bool `json:"at_capacity"`
	}
	require.Equal(t, 200, c.rest("POST", "/agent/runs", `{"prompt":"p","config":{"environment_id":"`+uid+`"}}`, &started))
	assert.Equal(t, "QUEUED", started.State)
	assert.True(t, started.AtCapacity)
	queued := c.oz.Runs()[0].ID
	assert.Equal(t, 409, c.rest("POST", "/agent/runs/"+queued+"/cancel", "", nil))
	assert.Equal(t, 200, c.rest("POST", "/agent/runs/"+queued+"/cancel", "", nil))

	require.Equal(t, 200, c.startRun(uid, ""))
	var failed struct {
		StatusMessage struct {
			Message   string
			ErrorCode string `json:"error_code"`
			Retryable bool
		} `json:"status_message"`
	}
	require.Equal(t, 200, c.rest("GET", "/agent/runs/"+c.ended().ID, "", &failed))
	assert.Equal(t, []any{"Oh", "internal_error", true}, []any{failed.StatusMessage.Message, failed.StatusMessage.ErrorCode, failed.StatusMessage.Retryable})

	require.Equal(t, 200, c.startRun(uid, ""))
	run := c.ended()
	assert.Equal(t, "I found no checkout. Really.", run.Reply)
	assert.Equal(t, 404, conversation(run.ID))
	assert.Equal(t, 200, conversation(run.ID))

	require.Equal(t, 200, c.startRun(uid, ""))
	run = c.ended()
	for range 3 {
		assert.Equal(t, 404, conversation(run.ID))
	}

	require.Equal(t, 200, c.startRun(uid, ""))
	held := c.oz.Runs()[4].ID
	eventually(t, func() bool { return c.oz.Runs()[4].State == "INPROGRESS" })
	assert.Equal(t, 200, c.rest("POST", "/agent/runs/"+held+"/cancel", "", nil))
	assert.Equal(t, "CANCELLED", c.ended().State)

	require.Equal(t, 200, c.startRun(uid, ""), "then honest ones again")
	assert.Equal(t, "SUCCEEDED", c.ended().State)
}

// TestCancelOfABlockedRun: by the API's description the run has ended; a server may accept the cancel.
func TestCancelOfABlockedRun(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		behaviour warpsim.Behaviour
		answers   []int
		state     string
	}{
		"over":           {warpsim.Behaviour{}, []int{400, 400}, "BLOCKED"},
		"over, later":    {warpsim.Behaviour{CancelStatuses: []int{409}}, []int{409, 400}, "BLOCKED"},
		"not over":       {warpsim.Behaviour{Cancellable: true}, []int{200, 400}, "CANCELLED"},
		"not over later": {warpsim.Behaviour{Cancellable: true, CancelStatuses: []int{409, 503}}, []int{409, 503, 200, 400}, "CANCELLED"},
		"ended slowly":   {warpsim.Behaviour{Cancellable: true, CancelAfter: time.Millisecond}, []int{200}, "CANCELLED"},
		"another end":    {warpsim.Behaviour{Cancellable: true, State: "SUCCEEDED"}, []int{400}, "SUCCEEDED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, warpsim.Options{})
			tt.behaviour.State = cmp.Or(tt.behaviour.State, "BLOCKED")
			c.oz.Behave(tt.behaviour)
			require.Equal(t, 200, c.startRun(c.oz.AddEnvironment(team, environment("")), ""))
			id := c.ended().ID
			for _, want := range tt.answers {
				assert.Equal(t, want, c.rest("POST", "/agent/runs/"+id+"/cancel", "", nil))
			}
			eventually(t, func() bool { return c.oz.Runs()[0].State == tt.state })
		})
	}
}

// TestWhatTheServerTellsOfARun: links, usage and transcripts as the test sets them.
func TestWhatTheServerTellsOfARun(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.oz.Behave(warpsim.Behaviour{Session: "https://session.test/1", UsageAfter: 1, Chatter: 3 << 20})
	require.Equal(t, 200, c.startRun(c.oz.AddEnvironment(team, environment("")), ""))
	run := c.ended()
	var got struct {
		SessionLink  string `json:"session_link"`
		RequestUsage *struct {
			Tokens int `json:"total_tokens"`
		} `json:"request_usage"`
	}
	require.Equal(t, 200, c.rest("GET", "/agent/runs/"+run.ID, "", &got))
	assert.Equal(t, "https://session.test/1", got.SessionLink)
	assert.Nil(t, got.RequestUsage)
	require.Equal(t, 200, c.rest("GET", "/agent/runs/"+run.ID, "", &got))
	assert.Equal(t, 1234, got.RequestUsage.Tokens)

	transcript, err := c.send("GET", "/api/v1/agent/runs/"+run.ID+"/conversation", "")
	require.NoError(t, err)
	assert.Greater(t, len(transcript.body), 3<<20)
	assert.Contains(t, transcript.body[len(transcript.body)-200:], run.Reply)
}

// TestSlowStartAndCancel: a wait of an hour, before and after the start's effect, for which Close does
// not wait; and a cancel that was accepted and has no effect yet.
func TestSlowStartAndCancel(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]warpsim.Behaviour{"before": {StartAfter: time.Hour}, "after": {Queued: true, AnswerAfter: time.Hour}} {
		c := start(t, warpsim.Options{})
		uid := c.oz.AddEnvironment(team, environment(""))
		c.oz.Behave(b)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = c.send("POST", "/api/v1/agent/runs", `{"prompt":"p","config":{"environment_id":"`+uid+`"}}`)
		}()
		eventually(t, func() bool { return len(c.oz.Journal.All()) == 1 && (name == "before" || len(c.oz.Runs()) == 1) })
		assert.Len(t, c.oz.Runs(), map[string]int{"before": 0, "after": 1}[name])
		c.oz.Close()
		<-done
	}
	c := start(t, warpsim.Options{})
	c.oz.Behave(warpsim.Behaviour{Queued: true, CancelAfter: time.Hour})
	require.Equal(t, 200, c.startRun(c.oz.AddEnvironment(team, environment("")), ""))
	assert.Equal(t, 200, c.rest("POST", "/agent/runs/"+c.oz.Runs()[0].ID+"/cancel", "", nil))
	assert.True(t, c.oz.Runs()[0].Going())
}

func TestStartIsRefused(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, environment(""))
	hidden := c.oz.AddEnvironment(warpsim.Owner{Type: "User", UID: "someone"}, environment(""))

	assert.Equal(t, 400, c.rest("POST", "/agent/runs", `{"config":{"environment_id":"`+uid+`"}}`, nil), "no prompt")
	assert.Equal(t, 404, c.startRun("nothing", ""))
	assert.Equal(t, 404, c.startRun(hidden, ""))
	assert.Equal(t, 403, c.startRun(uid, "", "X-Warp-Team-Uid", otherUID))
	assert.Empty(t, c.oz.Violations())
	assert.Equal(t, 400, c.startRun(uid, `,"promt":"x"`), "an unknown member")
	assert.Equal(t, 400, c.rest("POST", "/agent/runs", `{"prompt":`, nil))
	assert.Len(t, c.oz.Violations(), 2)
	assert.Empty(t, c.oz.Runs())
	assert.Empty(t, c.oz.Counts())
}

func TestWhoOwnsARun(t *testing.T) {
	t.Parallel()
	other := warpsim.Owner{Type: "Team", UID: otherUID}
	tests := []struct {
		name, key, more string
		headers         []string
		status          int
		owner           warpsim.Owner
	}{
		{"the only team", userKey, "", nil, 200, team},
		{"the user who asks to", userKey, `,"team":false`, nil, 200, personal},
		{"one of two teams, by the header", "wk-both-0000", `,"team":true`, []string{"X-Warp-Team-Uid", otherUID}, 200, other},
		{"one of two teams, not named", "wk-both-0000", `,"team":true`, nil, 400, warpsim.Owner{}},
		{"nobody's team", "wk-lone-0000", `,"team":true`, nil, 400, warpsim.Owner{}},
		{"a service account's team, whatever it says", serviceKey, `,"team":false`, []string{"X-Warp-Team-Uid", otherUID}, 200, team},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, warpsim.Options{})
			c.oz.AddKey("wk-both-0000", warpsim.Principal{UID: "both", Teams: []warpsim.Team{{UID: teamUID}, {UID: otherUID}}})
			c.oz.AddKey("wk-lone-0000", warpsim.Principal{UID: "lone"})
			owner := team
			if test.key == "wk-lone-0000" {
				owner = warpsim.Owner{Type: "User", UID: "lone"}
			}
			uid := c.oz.AddEnvironment(owner, environment(""))
			c.key = test.key

			assert.Equal(t, test.status, c.startRun(uid, test.more, test.headers...))

			if test.status == 200 {
				assert.Equal(t, test.owner, c.oz.Runs()[0].Owner)
			}
		})
	}
}

func TestListRuns(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	one, two := c.oz.AddEnvironment(team, environment("")), c.oz.AddEnvironment(team, environment(""))
	for i, uid := range []string{one, two, one} {
		c.oz.Behave(warpsim.Behaviour{Queued: true})
		require.Equal(t, 200, c.startRun(uid, `,"title":"`+strconv.Itoa(i)+`","metadata":{"a.b":"v `+strconv.Itoa(i%2)+`"}`))
	}
	list := func(query string) string {
		var got struct{ Runs []struct{ Title string } }
		require.Equal(t, 200, c.rest("GET", "/agent/runs"+query, "", &got))
		titles := ""
		for _, run := range got.Runs {
			titles += run.Title
		}
		return titles
	}
	assert.Equal(t, "210", list(""), "newest first")
	assert.Equal(t, "20", list("?environment_id="+one))
	assert.Equal(t, "20", list("?metadata%5Ba.b%5D=v+0"))
	assert.Equal(t, "1", list("?metadata[a.b]=v%201"))
	assert.Equal(t, "2", list("?limit=1"))
	assert.Equal(t, "", list("?created_after=2999-01-01T00:00:00Z"))
	assert.Equal(t, "210", list("?created_after=2000-01-01T00:00:00Z"))
	require.Equal(t, 200, c.rest("POST", "/agent/runs/"+c.oz.Runs()[1].ID+"/cancel", "", nil))
	assert.Equal(t, "20", list("?state=QUEUED&environment_id="+one))
	assert.Equal(t, "20", list("?state=QUEUED&state=INPROGRESS"))
	assert.Equal(t, "210", list("?state=CANCELLED&state=QUEUED"))
	assert.Equal(t, "", list("?state=SUCCEEDED"))
	assert.Equal(t, "", list("?schedule_id=unknown"))
	for _, query := range []string{"?limit=0", "?limit=501", "?limit=x", "?created_after=yesterday", "?state=RUNNING", "?state=QUEUED,PENDING", "?cursor=x"} {
		assert.Equal(t, 400, c.rest("GET", "/agent/runs"+query, "", nil), query)
	}
	c.key = "wk-lone-0000"
	c.oz.AddKey(c.key, warpsim.Principal{UID: "lone"})
	assert.Empty(t, list(""), "runs of others")
	assert.Equal(t, 404, c.rest("GET", "/agent/runs/"+c.oz.Runs()[0].ID, "", nil))

	c = start(t, warpsim.Options{NoMetadataFilter: true})
	assert.Equal(t, 403, c.rest("GET", "/agent/runs?metadata[k]=v", "", nil))
}

// TestRunsComeInPages: with the same filter, also when something changes between them.
func TestRunsComeInPages(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	one, two := c.oz.AddEnvironment(team, environment("")), c.oz.AddEnvironment(team, environment(""))
	for i, uid := range []string{one, two, one, one} {
		c.oz.Behave(warpsim.Behaviour{Queued: true})
		require.Equal(t, 200, c.startRun(uid, `,"title":"`+strconv.Itoa(i)+`"`))
	}
	type page struct {
		Runs     []struct{ Title string }
		PageInfo struct {
			HasNextPage bool   `json:"has_next_page"`
			NextCursor  string `json:"next_cursor"`
		} `json:"page_info"`
	}
	titles := ""
	query := "?state=QUEUED&limit=1&environment_id=" + one
	for cursor := ""; ; {
		var got page
		require.Equal(t, 200, c.rest("GET", "/agent/runs"+query+cursor, "", &got))
		require.Len(t, got.Runs, 1)
		titles += got.Runs[0].Title
		assert.Equal(t, got.PageInfo.HasNextPage, got.PageInfo.NextCursor != "")
		if !got.PageInfo.HasNextPage {
			break
		}
		cursor = "&cursor=" + got.PageInfo.NextCursor
		if titles == "3" {
			require.Equal(t, 200, c.rest("POST", "/agent/runs/"+c.oz.Runs()[3].ID+"/cancel", "", nil))
		}
	}
	assert.Equal(t, "320", titles)
}

// TestWaitForRun: a run that waits for capacity ends when it is cancelled. Every wait ends when the
// server closes.
func TestWaitForRun(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.oz.Behave(warpsim.Behaviour{Queued: true}, warpsim.Behaviour{}, warpsim.Behaviour{Hold: time.Hour}, warpsim.Behaviour{Queued: true})
	uid := c.oz.AddEnvironment(team, environment("", "echo out"))
	for range 4 {
		require.Equal(t, 200, c.startRun(uid, ""))
	}
	id := func(i int) string { return c.oz.Runs()[i].ID }
	require.Equal(t, 200, c.rest("POST", "/agent/runs/"+id(0)+"/cancel", "", nil))
	assert.Equal(t, "CANCELLED", c.oz.WaitForRun(id(0)).State)
	run := c.oz.WaitForRun(id(1))
	assert.Equal(t, []string{"out/0"}, steps(run))
	assert.Equal(t, []string{"SUCCEEDED", "I found no checkout."}, []string{run.State, run.Reply})
	assert.Panics(t, func() { c.oz.WaitForRun("unknown") })
	c.oz.Close()
	assert.True(t, c.oz.WaitForRun(id(2)).Going())
	assert.True(t, c.oz.WaitForRun(id(3)).Going())
}
