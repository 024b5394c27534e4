package bitbucketapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
)

// told is what a call returned that goes into paths, headers and outputs.
type told struct {
	records []bitbucket.TokenRecord
	token   sensitive.String
	refs    bitbucket.Refs
}

// asker asks one server as a job does.
type asker struct {
	api    *bitbucketapi.API
	r      bitbucket.Repository
	token  sensitive.String
	record string // the token's ID
}

func (a asker) tokens() *bitbucketapi.Tokens { return a.api.Tokens(a.r, janes()) }

// of is who has the tokens.
var of = bitbucket.TokenOwner{User: "jane"}

// calls are all that the clients ask.
var calls = []func(ctx context.Context, a asker, t *told) error{
	func(ctx context.Context, a asker, t *told) (err error) {
		t.refs, err = a.api.Client(a.token).ListRefs(ctx, a.r, bitbucket.UploadPack, bearer, "main")
		return err
	},
	func(ctx context.Context, a asker, _ *told) error {
		return a.api.Client(a.token).CheckPush(ctx, a.r, bearer, true)
	},
	func(ctx context.Context, a asker, _ *told) error {
		_, err := a.api.Client(a.token).CheckREST(ctx, a.r, bearer)
		return err
	},
	func(ctx context.Context, a asker, t *told) error {
		record, err := a.api.Client(a.token).FindSelf(ctx, a.r)
		if err == nil {
			t.records = append(t.records, record)
		}
		return err
	},
	func(ctx context.Context, a asker, _ *told) error { _, err := a.tokens().FindUser(ctx); return err },
	func(ctx context.Context, a asker, _ *told) error {
		_, err := a.api.Tokens(a.r, bitbucketapi.Credential{Secret: a.token}).FindUser(ctx)
		return err
	},
	func(ctx context.Context, a asker, t *told) (err error) {
		t.records, err = a.tokens().ListTokens(ctx, of)
		return err
	},
	func(ctx context.Context, a asker, t *told) error {
		record, value, err := a.tokens().CreateToken(ctx, of, "ours", bitbucket.RepositoryRead, 30)
		if t.token = value; err == nil {
			t.records = append(t.records, record)
		}
		return err
	},
	func(ctx context.Context, a asker, _ *told) error { return a.tokens().DeleteToken(ctx, of, a.record) },
}

// FuzzAnswers has Bitbucket answer each call with anything, as raw bytes below the status
// line: the clients never panic, the call ends, what it returns is what the API says it
// is, and no error holds a piece of the credential, which the seeds say back. The other
// seeds are what the simulator answers.
func FuzzAnswers(f *testing.F) {
	const mine = "BBDC-MTIzNDU2Nzg5MDEyOkFCQ0RFRkdISUpLTE1OT1BRUlNU" // of the ID 123456789012
	for i, seed := range record(f) {
		headers := "Content-Type: " + seed.kind + "\r\nX-AUSERNAME: jane\r\n"
		f.Add(uint8(i), uint16(seed.status), headers, seed.body)
		f.Add(uint8(i), uint16(400), headers, seed.body)
		f.Add(uint8(i), uint16(200), headers+"Content-Encoding: gzip\r\nX-Oauth-Scopes: "+mine+"\r\n", seed.body)
		for _, said := range []string{mine, "pass word", base64.StdEncoding.EncodeToString([]byte("jane:pass word"))} {
			f.Add(uint8(i), uint16(401), "Content-Type: text/plain\r\n", []byte("who is "+said+"?"))
			f.Add(uint8(i), uint16(403), "Location: https://evil.test/"+said+"\r\n", []byte(`{"errors":[{"message":"`+said+`","exceptionName":"`+said+`"}]}`))
			f.Add(uint8(i), uint16(200), said+"\r\n", []byte(said))
			f.Add(uint8(i), uint16(200), "X-AUSERNAME: "+said+"\r\nTransfer-Encoding: chunked\r\n", []byte(said+"\r\n0\r\n"+said))
		}
		f.Add(uint8(i), uint16(101), "Upgrade: x\r\nConnection: Upgrade\r\n", []byte{})
	}
	f.Add(uint8(3), uint16(200), "X-AUSERNAME: jane\r\n", []byte(`{"id":"123456789012","name":"n","createdDate":1e18,"expiryDays":9223372036854775807}`))
	f.Add(uint8(6), uint16(200), "", []byte(`{"values":[{"id":"../x"}],"isLastPage":false,"nextPageStart":1}`))
	f.Add(uint8(7), uint16(200), "", []byte(`{"id":"12","token":"a b\u0000\n","name":"ours"}`))

	type answer struct {
		status  uint16
		headers string
		body    []byte
	}
	var next atomic.Pointer[answer]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, wire, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer connection.Close()
		a := next.Load()
		_, _ = fmt.Fprintf(wire, "HTTP/1.1 %03d Said\r\n%sConnection: close\r\n\r\n%s", a.status, a.headers, a.body)
		_ = wire.Flush()
	}))
	f.Cleanup(server.Close)
	clients, repository := askerOf(f, server.URL)
	withToken := redact.New(sensitive.New(mine))
	withPassword := redact.New(sensitive.New("pass word"), sensitive.New(base64.StdEncoding.EncodeToString([]byte("jane:pass word"))))
	f.Fuzz(func(t *testing.T, call uint8, status uint16, headers string, body []byte) {
		next.Store(&answer{status % 1000, headers, body})
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond) // less than the first wait before another try
		defer stop()
		call %= uint8(len(calls))
		hiding := withToken
		if call == 4 || call >= 6 {
			hiding = withPassword
		}
		var got told
		err := calls[call](ctx, asker{bitbucketapi.New(clients), repository, sensitive.New(mine), "123456789012"}, &got)
		if err != nil {
			text := strings.ReplaceAll(err.Error(), server.URL, "")
			assert.Equal(t, hiding.Redact(text), text)
			assert.True(t, got.token.IsEmpty())
			assert.Empty(t, got.records)
			return
		}
		for _, record := range got.records {
			assert.Regexp(t, `^[0-9A-Za-z_-]{1,64}$`, record.ID)
		}
		assert.Regexp(t, `^[!-~]*$`, got.token.Reveal())
		for _, commit := range []string{got.refs.Head, got.refs.Branch, got.refs.Tag} {
			assert.Regexp(t, `^([0-9a-f]{40}|[0-9a-f]{64})?$`, commit)
		}
		assert.Equal(t, hiding.Redact(fmt.Sprint(got.refs.Scopes)), fmt.Sprint(got.refs.Scopes))
	})
}

// askerOf are clients that report nothing, and a repository of the server.
func askerOf(f *testing.F, base string) (transport.Clients, bitbucket.Repository) {
	f.Helper()
	clients, err := transport.New(transport.Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(f, err)
	r, err := bitbucket.Parse(base+"/scm/PRJ/sample.git", bitbucket.DataCenter)
	require.NoError(f, err)
	return clients, r
}

type recorded struct {
	status int
	kind   string
	body   []byte
}

// record makes every call of the simulator, and returns its answers.
func record(f *testing.F) []recorded {
	f.Helper()
	sim := bitbucketsim.Start(bitbucketsim.Options{})
	defer sim.Close()
	sim.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PRJ", Slug: "sample"})
	sim.AddUser("jane", "pass word")
	to, err := url.Parse(sim.DataCenterURL())
	require.NoError(f, err)
	var last recorded
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(answer *http.Response) error {
		body, err := io.ReadAll(answer.Body)
		last = recorded{answer.StatusCode, answer.Header.Get("Content-Type"), body}
		answer.Body = io.NopCloser(bytes.NewReader(body))
		return err
	}
	server := httptest.NewServer(proxy)
	defer server.Close()
	clients, r := askerOf(f, server.URL)
	a := asker{api: bitbucketapi.New(clients), r: r}
	made, value, err := a.tokens().CreateToken(f.Context(), of, "ours", bitbucket.RepositoryRead, 30)
	require.NoError(f, err)
	a.token, a.record = value, made.ID
	answers := make([]recorded, len(calls))
	good := 0
	for i, call := range calls {
		if err := call(f.Context(), a, new(told)); err == nil {
			good++
		} else {
			f.Logf("%d: %v", i, err)
		}
		answers[i] = last
	}
	require.Greater(f, good, len(calls)/2, "the seeds are answers of success")
	return answers
}
