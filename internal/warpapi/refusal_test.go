package warpapi_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
)

// canned answers every request in the same way. ROOT in the body stands for the root
// field of the operation.
type canned struct {
	status  int // 0 cuts the connection
	headers []string
	body    string
}

// answering is a client of a server with this canned answer.
func answering(t *testing.T, a canned, root string) *warpapi.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.status == 0 {
			panic(http.ErrAbortHandler)
		}
		for i := 0; i < len(a.headers); i += 2 {
			w.Header().Set(a.headers[i], a.headers[i+1])
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, strings.ReplaceAll(a.body, "ROOT", root))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return newClient(t, server.URL)
}

// verdict is what a caller can learn from an error.
type verdict struct {
	refusal *warp.Refusal // nil when it is none
	lost    bool          // the write may have happened
	says    string
}

func TestWhatEveryOperationMakesOfAnAnswer(t *testing.T) {
	t.Parallel()
	const (
		page     = "<!DOCTYPE html>\n<html>\n<title>Sign in</title>"
		page1    = "<!DOCTYPE html> <html> <title>Sign in</title>"
		document = `{"type":"https://docs.warp.dev/errors/not-authorized/","title":"Not authorized","status":403,"detail":"No access to that.","error":"Not authorized: No access to that.","retryable":false}`
		notOz    = "the answer is not what Oz sends: "
	)
	refused := func(status int, kind, message string) verdict {
		r := &warp.Refusal{Status: status, Kind: kind, Message: message}
		return verdict{refusal: r, says: r.Error()}
	}
	lost := func(says string) verdict { return verdict{lost: true, says: says} }
	told := func(says string) verdict { return verdict{says: says} }
	const gone = "; Oz does not accept warp_api_key: it may be expired, revoked or cut off; create one as https://docs.warp.dev/reference/cli/api-keys says"
	tests := []struct {
		name          string
		kind          string // "graphql", "rest", or both
		answer        canned
		reads, writes verdict
	}{
		{"UserFacingError", "graphql", canned{200, nil, `{"data":{"ROOT":{"__typename":"UserFacingError","error":{"__typename":"InvalidInputError","message":"No such thing"}}}}`},
			refused(200, "InvalidInputError", "No such thing"), refused(200, "InvalidInputError", "No such thing")},
		{"UserFacingError of a kind that nobody knows", "graphql", canned{200, nil, `{"data":{"ROOT":{"__typename":"UserFacingError","error":{"__typename":"NewError","message":"Hm","limit":3}}}}`},
			refused(200, "NewError", "Hm"), refused(200, "NewError", "Hm")},
		{"UserFacingError without a word", "graphql", canned{200, nil, `{"data":{"ROOT":{"__typename":"UserFacingError","error":null}}}`},
			refused(200, "", "no reason given"), refused(200, "", "no reason given")},
		{"union of a type that nobody knows", "graphql", canned{200, nil, `{"data":{"ROOT":{"__typename":"NewOutput"}}}`},
			told(`"NewOutput"`), lost(`"NewOutput"`)},
		{"errors without data", "graphql", canned{200, nil, `{"errors":[{"message":"one","path":["ROOT"]},{"message":"two"}]}`},
			refused(200, "", "one; two"), refused(200, "", "one; two")},
		{"errors with null data", "graphql", canned{200, nil, `{"data":null,"errors":[{"message":"one"}]}`}, refused(200, "", "one"), refused(200, "", "one")},
		{"errors with a null field", "graphql", canned{200, nil, `{"data":{"ROOT":null},"errors":[{"message":"one"}]}`}, refused(200, "", "one"), refused(200, "", "one")},
		{"a caller that is gone", "graphql", canned{200, nil, `{"data":null,"errors":[{"message":"User not in context: Not found"}]}`},
			refused(401, "", "User not in context: Not found; the owner of warp_api_key is unknown: the account may be disabled or deleted"),
			refused(401, "", "User not in context: Not found; the owner of warp_api_key is unknown: the account may be disabled or deleted")},
		{"data null", "graphql", canned{200, nil, `{"data":null}`}, told("an answer without data"), lost("an answer without data")},
		{"no data at all", "graphql", canned{200, nil, `{}`}, told("an answer without data"), lost("an answer without data")},
		{"data without the field", "graphql", canned{200, nil, `{"data":{}}`}, told("an answer without data"), lost("an answer without data")},
		{"data that is no object", "graphql", canned{200, nil, `{"data":[1]}`}, told("an answer without data"), lost("an answer without data")},
		{"no answer, cut off", "both", canned{}, verdict{}, lost("EOF")},
		{"a page with 200", "both", canned{200, nil, page}, told(notOz + "invalid character '<' looking for beginning of value: " + page1), lost(notOz)},
		{"nothing with 200", "both", canned{200, nil, ""}, told(notOz + "unexpected end of JSON input: (empty)"), lost(notOz)},
		{"nothing with 204", "both", canned{204, nil, ""}, told(notOz + "unexpected end of JSON input: (empty)"), lost(notOz)},
		{"a page with 201", "both", canned{201, nil, page}, told(notOz + "invalid character '<' looking for beginning of value: " + page1), lost(notOz)},
		{"redirect", "both", canned{302, []string{"Location", "https://sign.in.test/path?with=secrets"}, ""},
			told("302 Found: redirected to https://sign.in.test, which is not followed; check warp_server_url"),
			told("302 Found: redirected to https://sign.in.test, which is not followed; check warp_server_url")},
		{"redirect to nowhere", "both", canned{303, nil, ""}, told("303 See Other: redirected to another place"), told("303 See Other: redirected to another place")},
		{"401", "both", canned{401, nil, `{"error":"Invalid API key"}`}, refused(401, "", "Invalid API key"+gone), refused(401, "", "Invalid API key"+gone)},
		{"problem document", "both", canned{403, []string{"Content-Type", "application/problem+json"}, document},
			refused(403, "not_authorized", "No access to that."), refused(403, "not_authorized", "No access to that.")},
		{"problem document without a detail", "both", canned{404, nil, `{"type":"/errors/resource_not_found","title":"Resource not found","error":"x"}`},
			refused(404, "resource_not_found", "Resource not found"), refused(404, "resource_not_found", "Resource not found")},
		{"problem document without a type", "both", canned{400, nil, `{"type":"about:blank","title":"Bad"}`}, refused(400, "", "Bad"), refused(400, "", "Bad")},
		{"older error", "both", canned{409, nil, `{"error":"busy"}`}, refused(409, "", "busy"), refused(409, "", "busy")},
		{"error of another shape", "both", canned{400, nil, `{"error":{"code":3}}`}, refused(400, "", `{"error":{"code":3}}`), refused(400, "", `{"error":{"code":3}}`)},
		{"a page with 403", "both", canned{403, nil, page}, refused(403, "", page1), refused(403, "", page1)},
		{"a long page", "both", canned{404, nil, strings.Repeat("é", 4000)}, refused(404, "", strings.Repeat("é", 150)+" ..."), refused(404, "", strings.Repeat("é", 150)+" ...")},
		{"no credits", "both", canned{429, []string{"X-Warp-Error-Code", "OUT_OF_CREDITS"}, `{"error":"x","userDisplayMessage":"Buy some."}`},
			refused(429, "OUT_OF_CREDITS", "Buy some."), refused(429, "OUT_OF_CREDITS", "Buy some.")},
		{"at capacity", "both", canned{429, []string{"X-Warp-Error-Code", "AT_CLOUD_AGENT_CAPACITY", "Retry-After", "0"}, `{"error":"all busy","running_agents":4}`},
			refused(429, "AT_CLOUD_AGENT_CAPACITY", "all busy"), refused(429, "AT_CLOUD_AGENT_CAPACITY", "all busy")},
		{"too many requests", "both", canned{429, []string{"Retry-After", "0"}, `{"error":"slow down"}`}, refused(429, "", "slow down"), refused(429, "", "slow down")},
		{"too many requests, for an hour", "both", canned{429, []string{"Retry-After", "3600"}, `{"error":"slow down"}`},
			refused(429, "", "slow down; Oz asks to wait 1h0m0s"), refused(429, "", "slow down; Oz asks to wait 1h0m0s")},
		{"no credits, for a day", "both", canned{429, []string{"X-Warp-Error-Code", "OUT_OF_CREDITS", "Retry-After", "86400"}, `{"error":"x"}`},
			refused(429, "OUT_OF_CREDITS", "x; Oz asks to wait 24h0m0s"), refused(429, "OUT_OF_CREDITS", "x; Oz asks to wait 24h0m0s")},
		{"503 for 90 seconds", "both", canned{503, []string{"Retry-After", "90"}, page},
			told("503 Service Unavailable: " + page1 + "; Oz asks to wait 1m30s"), lost("503 Service Unavailable: " + page1 + "; Oz asks to wait 1m30s")},
		{"500 for good", "both", canned{500, []string{"Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"}, ""},
			told("500 Internal Server Error: (empty); Oz asks to wait 2562047h47m16s"), lost("500 Internal Server Error: (empty); Oz asks to wait 2562047h47m16s")},
		{"408", "both", canned{408, nil, ""}, verdict{}, lost("408 Request Timeout: (empty)")},
		{"500", "both", canned{500, nil, document}, verdict{}, lost(`500 Internal Server Error: {"type"`)},
		{"501", "both", canned{501, nil, page}, told("501 Not Implemented: " + page1), lost("501 Not Implemented: " + page1)},
		{"503", "both", canned{503, []string{"Retry-After", "0"}, page}, told("503 Service Unavailable: " + page1), lost("503 Service Unavailable: " + page1)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, o := range operations {
				want := test.reads
				if o.write {
					want = test.writes
				}
				if want == (verdict{}) || test.kind == "graphql" && o.root == "" {
					continue // it would wait and try again, which is proved in transport
				}
				if (o.name == "CancelRun" || o.name == "GetReply") && test.answer.status/100 == 2 {
					continue // the one's answer holds nothing to read, the other's streams by (transcript.go)
				}
				t.Run(o.name, func(t *testing.T) {
					t.Parallel()

					err := o.call(t.Context(), answering(t, test.answer, o.root))

					require.ErrorContains(t, err, want.says)
					assert.Equal(t, want.lost, errors.Is(err, warp.ErrAnswerLost), err)
					var got *warp.Refusal
					if errors.As(err, &got) || want.refusal != nil {
						assert.Equal(t, want.refusal, got)
					}
					assert.NotContains(t, err.Error(), apiKey)
				})
			}
		})
	}
}

// TestEvery2xxIsAnAnswer: only the content of the answer counts.
func TestEvery2xxIsAnAnswer(t *testing.T) {
	t.Parallel()
	const (
		run     = `{"run_id":"` + runUUID + `","state":"QUEUED"}`
		reply   = `{"steps":[{"messages":[{"role":"assistant","content":[{"type":"text","text":"done"}]}]}]}`
		deleted = `{"data":{"deleteObject":{"__typename":"DeleteObjectOutput","success":true}}}`
	)
	for _, status := range []int{200, 201, 202, 203, 206, 226, 299} {
		started, err := answering(t, canned{status, nil, run}, "").StartRun(t.Context(), warp.RunRequest{})
		require.NoError(t, err, status)
		assert.Equal(t, warp.Run{ID: runUUID, State: warp.Queued}, started, status)

		found, err := answering(t, canned{status, nil, run}, "").GetRun(t.Context(), runUUID)
		require.NoError(t, err, status)
		assert.Equal(t, started, found, status)

		text, err := answering(t, canned{status, nil, reply}, "").GetReply(t.Context(), "id")
		require.NoError(t, err, status)
		assert.Equal(t, "done", text, status)

		require.NoError(t, answering(t, canned{status, nil, deleted}, "").DeleteEnvironment(t.Context(), "id"), status)
	}
	for _, a := range []canned{{status: 200}, {status: 201, body: "{}"}, {status: 202, body: "<html>"}, {status: 204}} {
		require.NoError(t, answering(t, a, "").CancelRun(t.Context(), "id"), "nothing is expected of %d", a.status)
	}
	_, err := answering(t, canned{status: 204}, "").GetReply(t.Context(), "id")
	require.Error(t, err)
}

func TestErrorsNameTheOperation(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"GetCaller": "POST /graphql/v2?op=GetUser: 401: ", "CreateSecret": "POST /graphql/v2?op=CreateManagedSecret: 401: ",
		"StartRun": "POST /api/v1/agent/runs: 401: ", "FindRuns": "GET /api/v1/agent/runs: 401: ",
		"GetReply": "GET /api/v1/agent/runs/id/conversation: 401: ", "CancelRun": "POST /api/v1/agent/runs/id/cancel: 401: ",
	} {
		for _, o := range operations {
			if o.name == name {
				require.ErrorContains(t, o.call(t.Context(), answering(t, canned{status: 401}, o.root)), want)
			}
		}
	}
}

func TestWriteThatWasNeverSentIsNotLost(t *testing.T) {
	t.Parallel()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, o := range operations {
		err := o.call(t.Context(), newClient(t, untrusted.URL))
		require.ErrorContains(t, err, "set ca_certificate", o.name)
		assert.NotErrorIs(t, err, warp.ErrAnswerLost, o.name)

		err = o.call(over, newClient(t, untrusted.URL))
		require.ErrorIs(t, err, context.Canceled, o.name)
		assert.NotErrorIs(t, err, warp.ErrAnswerLost, o.name)
	}
}
