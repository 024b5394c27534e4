package warpapi_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
)

// against is a client of a server that answers everything with answer.
func against(t *testing.T, answer http.HandlerFunc) *warpapi.Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	root, err := url.Parse(server.URL)
	require.NoError(t, err)
	clients, err := transport.New(transport.Options{UserAgent: "test", Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return warpapi.New(root, sensitive.New("wk-test"), clients, "test", slog.New(slog.DiscardHandler))
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func TestWhatARunTellsIsWhatItSaysItIs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		want warp.Run
	}{
		"all of it": {
			`{"run_id":"` + runUUID + `","state":"FAILED","session_link":"http://localhost:8080/session/5b0e","title":"t","created_at":"2026-08-22T10:00:00Z","metadata":{"a":"b"},
			  "status_message":{"message":"no","error_code":"environment-setup-failed","retryable":true},
			  "request_usage":{"inference_cost":1.25,"compute_cost":0.5,"platform_cost":0.25,"total_tokens":12.0}}`,
			warp.Run{
				ID: runUUID, State: warp.Failed, SessionLink: "http://localhost:8080/session/5b0e", Title: "t", CreatedAt: "2026-08-22T10:00:00Z",
				Metadata: map[string]string{"a": "b"}, Message: "no", ErrorCode: "environment_setup_failed", Retryable: true, Usage: warp.Usage{Credits: 2, Tokens: 12},
			},
		},
		"nothing but the state": {`{"state":"QUEUED","status_message":null,"request_usage":null,"started_at":null}`, warp.Run{State: warp.Queued}},
		"the old name":          {`{"task_id":"` + runUUID + `","state":"QUEUED"}`, warp.Run{ID: runUUID, State: warp.Queued}},
		"GraphQL's spelling":    {`{"state":"IN_PROGRESS"}`, warp.Run{State: warp.InProgress}},
		"a state of tomorrow":   {`{"state":"PAUSED"}`, warp.Run{State: "PAUSED"}},
		"no state":              {`{"state":"::x::\n"}`, warp.Run{State: "UNREADABLE"}},
		"a script":              {`{"state":"QUEUED","session_link":"javascript:alert(1)"}`, warp.Run{State: warp.Queued}},
		"a path":                {`{"state":"QUEUED","session_link":"/session/1"}`, warp.Run{State: warp.Queued}},
		"a link with a command": {`{"state":"QUEUED","session_link":"https://a.test/\n::set-output name=a::b"}`, warp.Run{State: warp.Queued}},
		"a link with a user":    {`{"state":"QUEUED","session_link":"https://a:b@a.test/"}`, warp.Run{State: warp.Queued}},
		"a link without end":    {`{"state":"QUEUED","session_link":"https://a.test/` + strings.Repeat("a", 2048) + `"}`, warp.Run{State: warp.Queued}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, err := against(t, says(tt.body)).GetRun(context.Background(), runUUID)
			require.NoError(t, err)
			assert.Equal(t, tt.want, run)
		})
	}
}

func TestAnAnswerWithoutAStateIsNone(t *testing.T) {
	t.Parallel()
	_, err := against(t, says("{}")).GetRun(context.Background(), "x")
	require.ErrorContains(t, err, "the answer holds no state")
}

func TestAStartWithoutAnIDIsALostAnswer(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"{}", "", "<html>", `{"run_id":"a/b"}`} {
		_, err := against(t, says(body)).StartRun(context.Background(), warp.RunRequest{})
		require.ErrorIs(t, err, warp.ErrAnswerLost, body)
	}
	run, err := against(t, says(`{"task_id":"`+runUUID+`","at_capacity":true}`)).StartRun(context.Background(), warp.RunRequest{})
	require.NoError(t, err)
	assert.Equal(t, warp.Run{ID: runUUID, State: warp.Queued, AtCapacity: true}, run)
}

func TestTheReplyIsTheAgentsLastText(t *testing.T) {
	t.Parallel()
	message := func(role, text string) string {
		return `{"role":"` + role + `","content":[{"type":"text","text":"` + text + `"}]}`
	}
	for name, tt := range map[string]struct{ body, want string }{
		"of several":            {`{"steps":[{"messages":[` + message("assistant", "a") + `,` + message("assistant", "b") + `]}]}`, "b"},
		"not the tool's":        {`{"steps":[{"messages":[` + message("assistant", "a") + `,` + message("tool", "b") + `,` + message("user", "c") + `]}]}`, "a"},
		"in pieces":             {`{"steps":[{"messages":[{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"action","name":"x"},{"type":"text","text":"b"}]}]}]}`, "ab"},
		"of the last step":      {`{"steps":[{"messages":[` + message("assistant", "a") + `]},{"messages":[` + message("assistant", "b") + `]},{"messages":[]}]}`, "b"},
		"before a delegate's":   {`{"steps":[{"steps":[{"messages":[` + message("assistant", "b") + `]}],"messages":[` + message("assistant", "a") + `]}]}`, "a"},
		"a delegate's":          {`{"steps":[{"messages":[],"steps":[{"messages":[` + message("assistant", "b") + `]}]}]}`, "b"},
		"not the blank one":     {`{"steps":[{"messages":[` + message("assistant", "a") + `,` + message("assistant", " \\n") + `]}]}`, "a"},
		"none":                  {`{"conversation_id":"x","steps":[]}`, ""},
		"null everywhere":       {`{"steps":[{"messages":null,"steps":null}]}`, ""},
		"no steps":              {`{}`, ""},
		"in a piece we know":    {`{"steps":[{"messages":[{"role":"assistant","content":[{"type":"action","text":{"b":1}},{"type":"text","text":"a"},5]}]}]}`, "a"},
		"of a message we know":  {`{"steps":[{"messages":[` + message("assistant", "a") + `,null,5,"b",["b"],{"role":5},{"role":"assistant","content":null}]}]}`, "a"},
		"of a step with a name": {`{"steps":[null,{"id":1,"messages":[` + message("assistant", "a") + `]},null]}`, "a"},
		"content that is text":  {`{"steps":[{"messages":[` + message("assistant", "a") + `,{"role":"tool","content":"b"}]}]}`, "a"},
		"members we don't know": {`{"new":{"steps":[1]},"steps":[{"id":"1","more":[{}],"messages":[` + message("assistant", "a") + `]}]}`, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply, err := against(t, says(tt.body)).GetReply(context.Background(), "x")
			require.NoError(t, err)
			assert.Equal(t, tt.want, reply)
		})
	}
}

func TestATranscriptThatCannotBeReadQuotesNobody(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"SECRET", `["SECRET"]`, `{"steps":{"SECRET":1}}`, `{"steps":[{"messages":[{"role":"assistant","content":[{"type":"text","text":"SECRET`,
		`{"steps":"SECRET"}`, `{"steps":[{"messages":"SECRET"}]}`, `{"steps":[{"steps":[{"messages":{"SECRET":1}}]}]}`, `{"steps":["SECRET"]}`,
		`{"steps":[{"messages":[{"role":"assistant","content":[{"type":"text","text":"SECRET"}]}]},5]}`, `{"steps":[]} SECRET`, "",
	} {
		reply, err := against(t, says(body)).GetReply(context.Background(), "x")
		require.Error(t, err, body)
		assert.Empty(t, reply)
		assert.NotContains(t, err.Error(), "SECRET")
	}
}

func TestATranscriptIsBounded(t *testing.T) {
	t.Parallel()
	const transcript = `{"steps":[{"messages":[{"role":"assistant","content":[{"type":"text","text":"a"}]}]}]}`
	reply, err := against(t, says(strings.Repeat(" ", 2<<20)+transcript)).GetReply(context.Background(), "x")
	require.NoError(t, err)
	assert.Equal(t, "a", reply)

	_, err = against(t, says(strings.Repeat(" ", 64<<20)+transcript)).GetReply(context.Background(), "x")
	require.EqualError(t, err, "GET /api/v1/agent/runs/x/conversation: read the answer: the answer is too large: more than 64 MiB")
	require.ErrorIs(t, err, warp.ErrTooLong)
}
