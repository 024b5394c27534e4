package bitbucketapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// version2 is a server that speaks version 2 of git's protocol to those who ask for it.
type version2 struct {
	advertisement string           // after the lines of smart HTTP
	list          string           // what ls-refs answers
	instead       http.HandlerFunc // answers ls-refs, when it is set

	asked []string // ls-refs, as it came
}

const can = "000eversion 2\n" + "0015agent=git/2.39.5\n" + "0013ls-refs=unborn\n" + "0012fetch=shallow\n"

func (s *version2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		command, _ := io.ReadAll(r.Body)
		s.asked = append(s.asked, string(command))
		if s.instead != nil {
			s.instead(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		_, _ = io.WriteString(w, s.list)
		return
	}
	if r.Header.Get("Git-Protocol") != "version=2" {
		git(bitbucket.UploadPack, advertisement(bitbucket.UploadPack, one+" HEAD"))(w, r)
		return
	}
	git(bitbucket.UploadPack, s.advertisement)(w, r)
}

// lines makes pkt-lines and the flush after them.
func lines(texts ...string) string {
	var b strings.Builder
	for _, text := range texts {
		b.WriteString(line(text + "\n"))
	}
	return b.String() + flush
}

func TestRefsOfVersion2(t *testing.T) {
	t.Parallel()
	const smart = "001e# service=git-upload-pack\n0000"
	sha1, sha256 := can+"0017object-format=sha1\n0000", can+"0019object-format=sha256\n0000"
	const head = "0014command=ls-refs\n00010009peel\n0014ref-prefix HEAD\n0000"
	wants := func(format, name string) string {
		command := "0014command=ls-refs\n" + line("object-format="+format+"\n") + "00010009peel\n0014ref-prefix HEAD\n"
		if name != "" {
			command += line("ref-prefix refs/heads/"+name+"\n") + line("ref-prefix refs/tags/"+name+"\n")
		}
		return command + flush
	}
	tests := map[string]struct {
		advertisement string
		wanted        string
		list          string
		asked         string
		want          bitbucket.Refs
	}{
		"HEAD":                         {smart + sha1, "", lines(one + " HEAD"), wants("sha1", ""), bitbucket.Refs{Head: one}},
		"no object format":             {smart + can + flush, "", lines(one + " HEAD"), head, bitbucket.Refs{Head: one}},
		"an object format of tomorrow": {smart + can + line("object-format=sha3\n") + flush, "", lines(one + " HEAD"), head, bitbucket.Refs{Head: one}},
		"without the lines of HTTP":    {sha1, "", lines(one + " HEAD"), wants("sha1", ""), bitbucket.Refs{Head: one}},
		"a branch":                     {smart + sha1, "dev", lines(one+" HEAD", two+" refs/heads/dev", three+" refs/heads/dev2"), wants("sha1", "dev"), bitbucket.Refs{Head: one, Branch: two}},
		"a light tag":                  {smart + sha1, "v1", lines(one+" HEAD", two+" refs/tags/v1"), wants("sha1", "v1"), bitbucket.Refs{Head: one, Tag: two}},
		"an annotated tag":             {smart + sha1, "v1", lines(one+" HEAD", two+" refs/tags/v1 peeled:"+three), wants("sha1", "v1"), bitbucket.Refs{Head: one, Tag: three}},
		"a tag peeled to nothing":      {smart + sha1, "v1", lines(one+" HEAD", two+" refs/tags/v1 peeled:x"), wants("sha1", "v1"), bitbucket.Refs{Head: one, Tag: two}},
		"attributes":                   {smart + sha1, "dev", lines(one+" HEAD symref-target:refs/heads/dev", one+" refs/heads/dev x:y"), wants("sha1", "dev"), bitbucket.Refs{Head: one, Branch: one}},
		"more than was asked for":      {smart + sha1, "dev", lines(one+" HEAD", three+" refs/heads/a", two+" refs/heads/dev", three+" refs/x"), wants("sha1", "dev"), bitbucket.Refs{Head: one, Branch: two}},
		"nothing of the name":          {smart + sha1, "gone", lines(one + " HEAD"), wants("sha1", "gone"), bitbucket.Refs{Head: one}},
		"an empty repository":          {smart + sha1, "", flush, wants("sha1", ""), bitbucket.Refs{}},
		"SHA-256":                      {smart + sha256, "main", lines(long+" HEAD", long+" refs/heads/main"), wants("sha256", "main"), bitbucket.Refs{Head: long, Branch: long}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &version2{advertisement: tt.advertisement, list: tt.list}
			client, repository := against(t, server.ServeHTTP)
			refs, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, tt.wanted)
			require.NoError(t, err)
			assert.Equal(t, tt.want, refs)
			assert.Equal(t, []string{tt.asked}, server.asked)
		})
	}
}

func TestRefusalsOfVersion2(t *testing.T) {
	t.Parallel()
	const smart = "001e# service=git-upload-pack\n0000"
	notRefs := bitbucket.Refusal{Status: 200, NotGit: true, Text: "the answer is not a list of refs"}
	result := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			_, _ = io.WriteString(w, body)
		}
	}
	tests := map[string]struct {
		advertisement string
		answer        http.HandlerFunc
		want          bitbucket.Refusal
	}{
		"a server without ls-refs":   {smart + "000eversion 2\n" + "0012fetch=shallow\n" + flush, nil, notRefs},
		"ERR among the capabilities": {smart + "000eversion 2\n" + line("ERR gone") + flush, nil, bitbucket.Refusal{Status: 200, Text: "gone"}},
		"a version of tomorrow":      {smart + "000eversion 3\n" + flush, nil, notRefs},
		"ERR":                        {smart + can + flush, result(line("ERR Repository not found\n")), bitbucket.Refusal{Status: 200, Text: "Repository not found"}},
		"ERR with the token":         {smart + can + flush, result(line("ERR no: " + token)), bitbucket.Refusal{Status: 200, Text: "no: ***"}},
		"a status":                   {smart + can + flush, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no way", http.StatusForbidden) }, bitbucket.Refusal{Status: 403, Text: "no way"}},
		"a page":                     {smart + can + flush, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, bitbucket.Refusal{Status: 200, NotGit: true, Text: `the answer has the type "text/html; charset=utf-8", not git's`}},
		"the wrong type":             {smart + can + flush, git(bitbucket.UploadPack, lines(one+" HEAD")), bitbucket.Refusal{Status: 200, NotGit: true, Text: `the answer has the type "application/x-git-upload-pack-advertisement", not git's`}},
		"no hash":                    {smart + can + flush, result(lines("unborn HEAD")), notRefs},
		"no name":                    {smart + can + flush, result(lines(one)), notRefs},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, repository := against(t, (&version2{advertisement: tt.advertisement, instead: tt.answer}).ServeHTTP)
			refs, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, "")
			var refused *bitbucket.Refusal
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, tt.want, *refused)
			assert.Empty(t, refs)
		})
	}
}

// TestVersion1IsReadToo: such a server lists its refs after its version.
func TestVersion1IsReadToo(t *testing.T) {
	t.Parallel()
	client, repository := against(t, git(bitbucket.UploadPack, "001e# service=git-upload-pack\n0000"+lines("version 1", one+" HEAD\x00x", two+" refs/heads/main")))
	refs, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, "main")
	require.NoError(t, err)
	assert.Equal(t, bitbucket.Refs{Head: one, Branch: two}, refs)
}

// TestAnAnswerThatBreaksOffIsAskedForAgain: listing refs changes nothing, though it is a POST.
func TestAnAnswerThatBreaksOffIsAskedForAgain(t *testing.T) {
	t.Parallel()
	tries := 0
	server := &version2{advertisement: can + flush}
	server.instead = func(w http.ResponseWriter, _ *http.Request) {
		if tries++; tries == 1 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		_, _ = io.WriteString(w, lines(one+" HEAD"))
	}
	client, repository := against(t, server.ServeHTTP)
	refs, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, "")
	require.NoError(t, err)
	assert.Equal(t, one, refs.Head)
	assert.Len(t, server.asked, 2)
	assert.Equal(t, server.asked[0], server.asked[1])
}

func TestACloneAndAPushAreAskedForInOneRequest(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]struct {
		as       bitbucket.Login
		service  bitbucket.Service
		protocol string
	}{
		"a clone": {bearer, bitbucket.UploadPack, "version=2"},
		"a push":  {bearer, bitbucket.ReceivePack, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			client, repository := against(t, func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, fmt.Sprintf("%s %s %s", r.Method, r.URL.RawQuery, r.Header.Get("Git-Protocol")))
				git(ask.service, line("# service="+string(ask.service)+"\n")+flush+lines(one+" refs/heads/main"))(w, r)
			})
			check := client.CheckClone
			if ask.service == bitbucket.ReceivePack {
				check = func(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) error {
					return client.CheckPush(ctx, r, as, true)
				}
			}
			require.NoError(t, check(t.Context(), repository, ask.as))
			assert.Equal(t, []string{"GET service=" + string(ask.service) + " " + ask.protocol}, asked)
		})
	}
}

// TestARedirectNamesTheCloneURL of where a repository went, and nothing else.
func TestARedirectNamesTheCloneURL(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		location string // HOST is the server's own
		moved    string
		text     string
	}{
		"another name":             {"http://HOST/bitbucket/scm/NEW/app.git/info/refs?service=git-upload-pack", "http://HOST/bitbucket/scm/NEW/app.git", "redirected to http://HOST/bitbucket/scm/NEW/app.git"},
		"a path":                   {"/bitbucket/scm/NEW/app.git/info/refs?service=git-upload-pack", "http://HOST/bitbucket/scm/NEW/app.git", "redirected to http://HOST/bitbucket/scm/NEW/app.git"},
		"a context path":           {"/scm/PRJ/app.git/info/refs", "http://HOST/scm/PRJ/app.git", "redirected to http://HOST/scm/PRJ/app.git"},
		"a user in it":             {"http://jane:secret@HOST/scm/PRJ/app.git/info/refs", "http://HOST/scm/PRJ/app.git", "redirected to http://HOST/scm/PRJ/app.git"},
		"HTTPS":                    {"https://HOST/bitbucket/scm/PRJ/app.git/info/refs", "https://HOST/bitbucket/scm/PRJ/app.git", "redirected to https://HOST/bitbucket/scm/PRJ/app.git"},
		"another host":             {"https://git.example/bitbucket/scm/PRJ/app.git/info/refs", "", "redirected to https://git.example"},
		"a page to sign in":        {"/bitbucket/login?next=/scm/PRJ/app.git/info/refs", "", "redirected to http://HOST"},
		"itself":                   {"/bitbucket/scm/PRJ/app.git/info/refs", "", "redirected to http://HOST"},
		"no repository":            {"/bitbucket/info/refs", "", "redirected to http://HOST"},
		"a name that hides a line": {"/bitbucket/scm/NEW/a%0Ab.git/info/refs", "", "redirected to http://HOST"},
		"the token":                {"/bitbucket/scm/" + token + "/app.git/info/refs", "", "redirected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, repository := against(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", strings.ReplaceAll(tt.location, "HOST", r.Host))
				w.WriteHeader(http.StatusMovedPermanently)
			})
			_, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, "")
			var refused *bitbucket.Refusal
			require.ErrorAs(t, err, &refused)
			here := func(text string) string { return strings.ReplaceAll(text, "HOST", repository.Host) }
			assert.Equal(t, bitbucket.Refusal{Status: 301, NotGit: true, Text: here(tt.text), MovedTo: here(tt.moved)}, *refused)
		})
	}
}

// TestTheFirstAnswerTellsTheScopes, of which the second says nothing.
func TestTheFirstAnswerTellsTheScopes(t *testing.T) {
	t.Parallel()
	server := &version2{advertisement: can + flush, list: lines(one + " HEAD")}
	client, repository := against(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("X-OAuth-Scopes", "repository")
		}
		server.ServeHTTP(w, r)
	})
	refs, err := client.ListRefs(t.Context(), repository, bitbucket.UploadPack, bearer, "")
	require.NoError(t, err)
	assert.Equal(t, bitbucket.Refs{Head: one, Scopes: []string{"repository"}}, refs)
}

// TestAPushThatIsNotNeededSparesTheLastRefusal: when the token has been refused once, it is
// not presented for it.
func TestAPushThatIsNotNeededSparesTheLastRefusal(t *testing.T) {
	t.Parallel()
	asked := 0
	client, repository := against(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		http.Error(w, "no", http.StatusUnauthorized)
	})
	require.Error(t, client.CheckClone(t.Context(), repository, bearer))
	require.ErrorIs(t, client.CheckPush(t.Context(), repository, bearer, false), bitbucket.ErrNotAsked)
	assert.Equal(t, 1, asked)
	require.NotErrorIs(t, client.CheckPush(t.Context(), repository, bearer, true), bitbucket.ErrNotAsked)
	assert.Equal(t, 2, asked)
}
