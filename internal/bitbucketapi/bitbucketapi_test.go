package bitbucketapi_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

const token = "BBDC-MARKER/token+4c8a=="

// hashes of 40 and 64 digits.
var (
	one, two, three = strings.Repeat("1", 40), strings.Repeat("2a", 20), strings.Repeat("3f", 20)
	long            = strings.Repeat("4b", 32)
)

// against is a client of a server, and a repository there.
func against(t testing.TB, answer http.HandlerFunc) (*bitbucketapi.Client, bitbucket.Repository) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	clients, err := transport.New(transport.Options{UserAgent: "test", Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	host := strings.TrimPrefix(server.URL, "http://")
	return bitbucketapi.New(clients).Client(sensitive.New(token)),
		bitbucket.Repository{Flavor: bitbucket.DataCenter, Scheme: "http", Host: host, Context: "/bitbucket", Owner: "PRJ", Slug: "app"}
}

// line is a pkt-line: its own length in four hexadecimal digits, and the text.
func line(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

const flush = "0000"

// advertisement is what a server answers for a service.
func advertisement(service bitbucket.Service, lines ...string) string {
	var b strings.Builder
	b.WriteString(line("# service="+string(service)+"\n") + flush)
	for i, text := range lines {
		if i == 0 {
			text += "\x00multi_ack symref=HEAD:refs/heads/main agent=git/2.46"
		}
		b.WriteString(line(text + "\n"))
	}
	return b.String() + flush
}

// git answers as git's smart HTTP does.
func git(service bitbucket.Service, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-"+string(service)+"-advertisement")
		_, _ = io.WriteString(w, body)
	}
}

var bearer = bitbucket.Login{Bearer: true}

func TestRefsOfAnAdvertisement(t *testing.T) {
	t.Parallel()
	const up, push = bitbucket.UploadPack, bitbucket.ReceivePack
	full := []string{one + " HEAD", two + " refs/heads/dev", one + " refs/heads/main", two + " refs/tags/light", two + " refs/tags/v1", three + " refs/tags/v1^{}"}
	tests := map[string]struct {
		service bitbucket.Service
		lines   []string
		wanted  string
		want    bitbucket.Refs
		commit  string
	}{
		"HEAD":                           {up, full, "", bitbucket.Refs{Head: one}, one},
		"a branch":                       {up, full, "dev", bitbucket.Refs{Head: one, Branch: two}, two},
		"a light tag":                    {up, full, "light", bitbucket.Refs{Head: one, Tag: two}, two},
		"an annotated tag's commit":      {up, full, "v1", bitbucket.Refs{Head: one, Tag: three}, three},
		"a branch before a tag":          {up, []string{one + " HEAD", two + " refs/heads/v1", three + " refs/tags/v1"}, "v1", bitbucket.Refs{Head: one, Branch: two}, two},
		"a name with a slash":            {up, []string{one + " HEAD", two + " refs/heads/a/b"}, "a/b", bitbucket.Refs{Head: one, Branch: two}, two},
		"no name in the middle":          {up, full, "main/x", bitbucket.Refs{Head: one}, ""},
		"nothing of the wanted name":     {up, full, "gone", bitbucket.Refs{Head: one}, ""},
		"an empty repository":            {up, []string{strings.Repeat("0", 40) + " capabilities^{}"}, "", bitbucket.Refs{}, ""},
		"an empty one without a line":    {up, nil, "", bitbucket.Refs{}, ""},
		"a default branch not yet":       {up, []string{two + " refs/heads/dev"}, "", bitbucket.Refs{}, ""},
		"SHA-256":                        {up, []string{long + " HEAD", long + " refs/heads/main"}, "main", bitbucket.Refs{Head: long, Branch: long}, long},
		"of a push, only that it may":    {push, []string{one + " refs/heads/main"}, "", bitbucket.Refs{}, ""},
		"of a push to an empty one":      {push, []string{strings.Repeat("0", 40) + " capabilities^{}"}, "", bitbucket.Refs{}, ""},
		"of a push, though it has .have": {push, []string{one + " .have"}, "", bitbucket.Refs{}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, repository := against(t, git(tt.service, advertisement(tt.service, tt.lines...)))
			refs, err := client.ListRefs(t.Context(), repository, tt.service, bearer, tt.wanted)
			require.NoError(t, err)
			assert.Equal(t, tt.want, refs)
			assert.Equal(t, tt.commit, refs.Commit(tt.wanted))
		})
	}
}

// TestTheTypeMayHaveParameters, as git's own client lets it.
func TestTheTypeMayHaveParameters(t *testing.T) {
	t.Parallel()
	client, repository := against(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "Application/X-git-upload-pack-advertisement; charset=utf-8")
		_, _ = io.WriteString(w, advertisement(bitbucket.UploadPack, one+" HEAD"))
	})
	refs, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, "")
	require.NoError(t, err)
	assert.Equal(t, one, refs.Head)
}

// TestAnyAnswerOf2xxIsAnAnswer, as for git's own client.
func TestAnyAnswerOf2xxIsAnAnswer(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 203, 299} {
		client, repository := against(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/rest/") {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"slug": "app"}`)
				return
			}
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, advertisement(bitbucket.UploadPack, one+" HEAD"))
		})
		refs, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, "")
		require.NoError(t, err)
		assert.Equal(t, one, refs.Head)
		_, err = client.CheckREST(t.Context(), repository, bearer)
		assert.NoError(t, err)
	}
}

func TestALoginIsSentAtOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		as   bitbucket.Login
		want []string
	}{
		"Bearer":  {bearer, []string{"Bearer " + token}},
		"Basic":   {bitbucket.Login{User: "x-token-auth"}, []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("x-token-auth:"+token))}},
		"nothing": {bitbucket.Login{}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []*http.Request
			client, repository := against(t, func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r)
				git(bitbucket.UploadPack, advertisement(bitbucket.UploadPack, one+" HEAD"))(w, r)
			})
			_, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, tt.as, "")
			require.NoError(t, err)
			require.Len(t, asked, 1)
			assert.True(t, assert.ObjectsAreEqual(tt.want, asked[0].Header.Values("Authorization")), "another Authorization")
			assert.Equal(t, "GET /bitbucket/scm/PRJ/app.git/info/refs?service=git-upload-pack", asked[0].Method+" "+asked[0].URL.String())
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	says := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	packs := func(body string) http.HandlerFunc { return git(bitbucket.UploadPack, body) }
	begin := line("# service=git-upload-pack\n") + flush
	tests := map[string]struct {
		answer http.HandlerFunc
		want   bitbucket.Refusal
	}{
		"words of several lines":   {says(403, "text/plain", "no\n\n  way\x1b[31m\x00!"), bitbucket.Refusal{Status: 403, Text: `no way\u001b[31m\u0000!`}},
		"words that are not UTF-8": {says(403, "text/plain", "no \xff\xfeway"), bitbucket.Refusal{Status: 403, Text: "no way"}},
		"words without end":        {says(403, "text/plain", strings.Repeat("é", 9000)), bitbucket.Refusal{Status: 403, Text: strings.Repeat("é", 300) + " ..."}},
		"a page":                   {says(404, "text/html", " \n<!doctype html><title>x"), bitbucket.Refusal{Status: 404, NotGit: true, Text: "a page of HTML"}},
		"a limit": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "0")
			http.Error(w, "slow down.", http.StatusTooManyRequests)
		}, bitbucket.Refusal{Status: 429, Text: "slow down (Retry-After: 0)"}},
		"the REST's words":           {says(410, "application/json", `{"type":"error","error":{"message":"Gone.","data":{"announcement_url":"https://x#y"}}}`), bitbucket.Refusal{Status: 410, Text: "Gone. (announcement_url: https://x#y)"}},
		"a page of a firewall":       {says(403, "text/html", "<html>"), bitbucket.Refusal{Status: 403, NotGit: true, Text: "a page of HTML"}},
		"a page for bad credentials": {says(401, "text/html", "<html>"), bitbucket.Refusal{Status: 401, Text: "a page of HTML"}},
		"a login page with 200":      {says(200, "text/html", "<html>"), bitbucket.Refusal{Status: 200, NotGit: true, Text: `the answer has the type "text/html", not git's`}},
		"the other service's type":   {git(bitbucket.ReceivePack, advertisement(bitbucket.ReceivePack)), bitbucket.Refusal{Status: 200, NotGit: true, Text: `the answer has the type "application/x-git-receive-pack-advertisement", not git's`}},
		"the dumb protocol":          {says(200, "text/plain", one+"\trefs/heads/main\n"), bitbucket.Refusal{Status: 200, NotGit: true, Text: `the answer has the type "text/plain", not git's`}},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://sso.example/login?next=/x", http.StatusFound)
		}, bitbucket.Refusal{Status: 302, NotGit: true, Text: "redirected to https://sso.example"}},
		"ERR":                           {packs(begin + line("ERR Repository not found\nThe requested repository does not exist.")), bitbucket.Refusal{Status: 200, Text: "Repository not found The requested repository does not exist"}},
		"ERR at the very start":         {packs(line("ERR upload-pack: not our ref")), bitbucket.Refusal{Status: 200, Text: "upload-pack: not our ref"}},
		"ERR after a ref":               {packs(begin + line(two+" refs/heads/a\x00x") + line("ERR busy")), bitbucket.Refusal{Status: 200, Text: "busy"}},
		"a wrong first line":            {packs(line("# service=git-receive-pack\n") + flush), bitbucket.Refusal{Status: 200, NotGit: true, Text: "the answer is not a list of refs"}},
		"no flush after the first line": {packs(line("# service=git-upload-pack\n") + line(one+" HEAD")), bitbucket.Refusal{Status: 200, NotGit: true, Text: "the answer is not a list of refs"}},
		"an empty line for a flush":     {packs(line("# service=git-upload-pack\n") + line("")), bitbucket.Refusal{Status: 200, NotGit: true, Text: "the answer is not a list of refs"}},
		"version 2":                     {packs(begin + line("version 2\n") + flush), bitbucket.Refusal{Status: 200, NotGit: true, Text: "the answer is not a list of refs"}},
		"an empty line for a ref":       {packs(begin + line("\n") + flush), bitbucket.Refusal{Status: 200, NotGit: true, Text: "the answer is not a list of refs"}},
		"a short hash":                  {packs(begin + line(one[:39]+" HEAD") + flush), bitbucket.Refusal{Status: 200, NotGit: true, Text: "the answer is not a list of refs"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, repository := against(t, tt.answer)
			_, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, "main")
			var refused *bitbucket.Refusal
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, tt.want, *refused)
		})
	}
}

func TestAnAdvertisementThatBreaksOffIsNoRefusal(t *testing.T) {
	t.Parallel()
	begin := line("# service=git-upload-pack\n") + flush
	for name, body := range map[string]string{
		"at the start":         "",
		"in the length":        "00",
		"in a line":            begin + "003f" + one,
		"before the flush":     begin + line(one+" HEAD"),
		"not a length":         begin + "zzzz",
		"a length with a sign": begin + "+00f" + one,
		"the length of itself": begin + "0003",
		"a delimiter":          begin + "0001",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, repository := against(t, git(bitbucket.UploadPack, body))
			refs, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, "main")
			require.ErrorContains(t, err, "read the refs")
			var refused *bitbucket.Refusal
			assert.False(t, errors.As(err, &refused))
			assert.Equal(t, bitbucket.Refs{}, refs)
		})
	}
}

// endless advertises some refs, and then tags until nobody listens.
func endless(service bitbucket.Service, written *atomic.Int64, refs ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-"+string(service)+"-advertisement")
		n, err := io.WriteString(w, strings.TrimSuffix(advertisement(service, refs...), flush))
		for i := 0; err == nil && r.Context().Err() == nil; i++ {
			written.Add(int64(n))
			n, err = io.WriteString(w, line(fmt.Sprintf("%s refs/tags/x%d\n", one, i)))
		}
	}
}

func TestAHugeAdvertisementIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	full := []string{one + " HEAD", two + " refs/heads/dev", two + " refs/tags/light", two + " refs/tags/v1", three + " refs/tags/v1^{}"}
	for name, tt := range map[string]struct {
		service bitbucket.Service
		wanted  string
		refs    []string
		commit  string
	}{
		"HEAD":             {bitbucket.UploadPack, "", full, one},
		"no HEAD":          {bitbucket.UploadPack, "", full[1:], ""},
		"a branch":         {bitbucket.UploadPack, "dev", full, two},
		"a light tag":      {bitbucket.UploadPack, "light", full, two},
		"an annotated tag": {bitbucket.UploadPack, "v1", full, three},
		"a push":           {bitbucket.ReceivePack, "", full[1:], ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var written atomic.Int64
			client, repository := against(t, endless(tt.service, &written, tt.refs...))
			refs, err := client.ListRefs(t.Context(), repository, tt.service, bearer, tt.wanted)
			require.NoError(t, err)
			assert.Equal(t, tt.commit, refs.Commit(tt.wanted))
			assert.Less(t, written.Load(), int64(64<<20))
		})
	}
}

func TestAServerThatSaysTheTokenBackIsNotRepeated(t *testing.T) {
	t.Parallel()
	const service = bitbucket.UploadPack
	for name, echo := range map[string]func(w http.ResponseWriter, said string){
		"in the words": func(w http.ResponseWriter, said string) { http.Error(w, "bad header: "+said, http.StatusForbidden) },
		"at the cut": func(w http.ResponseWriter, said string) {
			http.Error(w, strings.Repeat("x", 280)+said, http.StatusForbidden)
		},
		"in ERR":              func(w http.ResponseWriter, said string) { git(service, line("ERR no: "+said))(w, nil) },
		"in the content type": func(w http.ResponseWriter, said string) { w.Header().Set("Content-Type", said) },
	} {
		for _, as := range []bitbucket.Login{bearer, {User: "x-token-auth"}} {
			t.Run(fmt.Sprintf("%s, Bearer %t", name, as.Bearer), func(t *testing.T) {
				t.Parallel()
				client, repository := against(t, func(w http.ResponseWriter, r *http.Request) {
					_, password, _ := r.BasicAuth()
					echo(w, r.Header.Get("Authorization")+" "+password)
				})
				_, err := client.ListRefs(t.Context(), repository, service, as, "")
				require.Error(t, err)
				encoded := base64.StdEncoding.EncodeToString([]byte("x-token-auth:" + token))
				for _, part := range []string{token[:12], encoded[:20]} {
					assert.False(t, strings.Contains(err.Error(), part), "the error holds a part of the credential")
				}
			})
		}
	}
}

func TestTheContextEndsARequest(t *testing.T) {
	t.Parallel()
	client, repository := against(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.ListRefs(ctx, repository, bitbucket.UploadPack, bearer, "")
	require.ErrorIs(t, err, context.Canceled)
}

// FuzzListRefs has a server answer with anything: the client never panics, and
// what it returns is well-formed.
func FuzzListRefs(f *testing.F) {
	for _, service := range []bitbucket.Service{bitbucket.UploadPack, bitbucket.ReceivePack} {
		push := service == bitbucket.ReceivePack
		f.Add([]byte(advertisement(service, one+" HEAD", two+" refs/heads/main", two+" refs/tags/main^{}")), []byte{}, "main", push)
		f.Add([]byte(line("# service="+string(service)+"\n")+flush+line("ERR no\n\x00\xff")), []byte{}, "", push)
		f.Add([]byte(line("# service="+string(service)+"\n")+flush+"0001fffe"), []byte{}, "^{}", push)
		f.Add([]byte(can+line("object-format=sha1\n")+flush), []byte(lines(one+" HEAD", two+" refs/tags/main peeled:"+three)), "main", push)
		f.Add([]byte(line("# service="+string(service)+"\n")+flush+can+flush), []byte(line("ERR no\n")), "\n0000", push)
	}
	var body, list atomic.Pointer[[]byte]
	client, repository := against(f, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			_, _ = w.Write(*list.Load())
			return
		}
		git(bitbucket.Service(r.URL.Query().Get("service")), string(*body.Load()))(w, r)
	})
	f.Fuzz(func(t *testing.T, answer, refsAnswer []byte, wanted string, push bool) {
		body.Store(&answer)
		list.Store(&refsAnswer)
		service := bitbucket.UploadPack
		if push {
			service = bitbucket.ReceivePack
		}
		refs, err := client.ListRefs(t.Context(), repository, service, bearer, wanted)
		for _, commit := range []string{refs.Head, refs.Branch, refs.Tag} {
			assert.Regexp(t, `^([0-9a-f]{40}|[0-9a-f]{64})?$`, commit)
		}
		var refused *bitbucket.Refusal
		switch {
		case err == nil:
			assert.Regexp(t, "# service="+string(service)+"|version 2", string(answer))
		case errors.As(err, &refused):
			assert.LessOrEqual(t, len([]rune(refused.Text)), 304)
			assert.NotContains(t, refused.Text, "\n")
			fallthrough
		default:
			assert.Equal(t, bitbucket.Refs{}, refs)
		}
	})
}

func TestAnAnswerMayTellTheScopes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		header string
		want   []string
	}{
		"none":                 {"", nil},
		"one":                  {"repository", []string{"repository"}},
		"two":                  {"read:repository:bitbucket, write:repository:bitbucket", []string{"read:repository:bitbucket", "write:repository:bitbucket"}},
		"the token, said back": {token, []string{"***"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, repository := against(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-OAuth-Scopes", tt.header)
				if strings.Contains(r.URL.Path, "/rest/") {
					_, _ = io.WriteString(w, `{"slug": "app"}`)
					return
				}
				git(bitbucket.UploadPack, advertisement(bitbucket.UploadPack, one+" HEAD"))(w, r)
			})
			refs, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, "")
			require.NoError(t, err)
			scopes, err := client.CheckREST(t.Context(), repository, bearer)
			require.NoError(t, err)
			assert.Equal(t, tt.want, refs.Scopes)
			assert.Equal(t, tt.want, scopes)
		})
	}
}

func TestTheRESTTellsOfALogin(t *testing.T) {
	t.Parallel()
	const yes = `{"slug": "app", "name": "App", "public": true}`
	tests := map[string]struct {
		owner  string
		status int
		body   string
		asked  string
		want   *bitbucket.Refusal
	}{
		"accepted":                   {"PRJ", 200, yes, "/bitbucket/rest/api/latest/projects/PRJ/repos/app", nil},
		"of a personal repository":   {"~jane.doe", 200, yes, "/bitbucket/rest/api/latest/users/jane.doe/repos/app", nil},
		"a login page with 200":      {"PRJ", 200, "<html>", "/bitbucket/rest/api/latest/projects/PRJ/repos/app", &bitbucket.Refusal{Status: 200, NotGit: true, Text: "the answer does not describe a repository"}},
		"somebody else's JSON":       {"PRJ", 200, `{"state": "RUNNING"}`, "/bitbucket/rest/api/latest/projects/PRJ/repos/app", &bitbucket.Refusal{Status: 200, NotGit: true, Text: "the answer does not describe a repository"}},
		"refused by Data Center":     {"PRJ", 401, `{"errors":[{"context":null,"message":"Authentication failed.","exceptionName":"com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException"}]}`, "/bitbucket/rest/api/latest/projects/PRJ/repos/app", &bitbucket.Refusal{Status: 401, Text: "Authentication failed. (bitbucket.auth.IncorrectPasswordAuthenticationException)"}},
		"refused by Cloud":           {"PRJ", 403, `{"type":"error","error":{"message":"You lack scopes.","detail":{"required":["repository"],"granted":["pipeline","runner"]}}}`, "/bitbucket/rest/api/latest/projects/PRJ/repos/app", &bitbucket.Refusal{Status: 403, Text: "You lack scopes. (required: repository; granted: pipeline, runner)"}},
		"refused with other details": {"PRJ", 404, `{"type":"error","error":{"message":"gone","detail":"There is no API hosted at this URL."}}`, "/bitbucket/rest/api/latest/projects/PRJ/repos/app", &bitbucket.Refusal{Status: 404, Text: "gone"}},
		"removed by Cloud":           {"PRJ", 410, `{"type":"error","error":{"message":"CHANGE-2770 - Functionality has been deprecated","detail":"Please read the changelog entry.","data":{"announcement_url":"https://developer.atlassian.com/x#CHANGE-2770"}}}`, "/bitbucket/rest/api/latest/projects/PRJ/repos/app", &bitbucket.Refusal{Status: 410, Text: "CHANGE-2770 - Functionality has been deprecated (announcement_url: https://developer.atlassian.com/x#CHANGE-2770)"}},
		"refused with other data":    {"PRJ", 404, `{"type":"error","error":{"message":"gone","data":["x"]}}`, "/bitbucket/rest/api/latest/projects/PRJ/repos/app", &bitbucket.Refusal{Status: 404, Text: "gone"}},
		"refused by who knows":       {"PRJ", 404, `{"message":"HTTP 404 Not Found"}`, "/bitbucket/rest/api/latest/projects/PRJ/repos/app", &bitbucket.Refusal{Status: 404, Text: `{"message":"HTTP 404 Not Found"}`}},
		"said back":                  {"PRJ", 401, `{"error":{"message":"no: ` + token + `"}}`, "/bitbucket/rest/api/latest/projects/PRJ/repos/app", &bitbucket.Refusal{Status: 401, Text: "no: ***"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan string, 1)
			client, repository := against(t, func(w http.ResponseWriter, r *http.Request) {
				asked <- r.URL.Path
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			repository.Owner = tt.owner
			_, err := client.CheckREST(t.Context(), repository, bearer)
			assert.Equal(t, tt.asked, <-asked)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			var refused *bitbucket.Refusal
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, tt.want, refused)
		})
	}
}
