package bitbucketsim_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
)

const httpToken = "BBDC-MjAzMjgzMTU0NzU1Oix/XD3+WM30a7uPcI4xZ2nLnIia"

// dataCenterWith starts a simulator with the private repository PROJ/sample and the token.
func dataCenterWith(t *testing.T, token bitbucketsim.Token) (*bitbucketsim.Server, *bitbucketsim.Repository) {
	t.Helper()
	s := start(t)
	repository := s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PROJ", Slug: "sample"})
	token.Value, token.Kind = httpToken, bitbucketsim.HTTPAccessToken
	s.AddToken(token)
	return s, repository
}

func TestDataCenterClone(t *testing.T) {
	t.Parallel()
	s, repository := dataCenterWith(t, bitbucketsim.Token{User: "ann"})
	personal := s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "~ann", Slug: "notes"})
	tests := []struct{ name, option, url, commit string }{
		{"Bearer", bearerHeader(httpToken), repository.CloneURL(), repository.Head()},
		{"Basic with the fixed user", basicHelper("x-token-auth", httpToken), repository.CloneURL(), repository.Head()},
		{"Basic with the owner", basicHelper("ann", httpToken), repository.CloneURL(), repository.Head()},
		{"a key in lower case", bearerHeader(httpToken), strings.Replace(repository.CloneURL(), "PROJ", "proj", 1), repository.Head()},
		{"a personal repository", bearerHeader(httpToken), personal.CloneURL(), personal.Head()},
		{"TLS through the proxy", bearerHeader(httpToken), repository.TLSCloneURL(), repository.Head()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			machine := newWorkstation(t, s)
			machine.git("-c", test.option, "clone", test.url, "checkout")
			assert.Equal(t, test.commit, machine.in("checkout").git("rev-parse", "HEAD"))
		})
	}
	assertNoViolations(t, s)
}

func TestDataCenterCloneRefused(t *testing.T) {
	t.Parallel()
	s, repository := dataCenterWith(t, bitbucketsim.Token{})
	machine := newWorkstation(t, s)

	out := machine.refused("-c", bearerHeader("wrong"), "clone", repository.CloneURL())
	assert.Contains(t, out, "could not read Username", "git turns to Basic after a 401")

	out = machine.refused("-c", bearerHeader(httpToken), "clone", s.DataCenterURL()+"/scm/PROJ/missing.git")
	assert.Contains(t, out, "fatal: remote error: Repository not found\nThe requested repository does not exist, or you do not have permission to access it.")
	out = machine.refused("-c", bearerHeader(httpToken), "push", s.DataCenterURL()+"/scm/PROJ/missing.git", "HEAD:refs/heads/x")
	assert.Contains(t, out, "fatal:")
	assertNoViolations(t, s)
}

func TestDataCenterPush(t *testing.T) {
	t.Parallel()
	s, repository := dataCenterWith(t, bitbucketsim.Token{})
	machine := newWorkstation(t, s)
	machine.git("-c", bearerHeader(httpToken), "clone", repository.CloneURL())
	checkout := machine.in("sample")
	require.NoError(t, os.WriteFile(filepath.Join(checkout.directory, "new"), nil, 0o600))
	checkout.git("add", "new")
	checkout.git("commit", "--quiet", "--message", "Add new")

	assert.Contains(t, checkout.refused("-c", bearerHeader(httpToken), "push"), "403")

	s.AddToken(bitbucketsim.Token{Value: httpToken, Kind: bitbucketsim.HTTPAccessToken, Write: true})
	checkout.git("-c", bearerHeader(httpToken), "push", "origin", "HEAD:main", "HEAD:refs/heads/copy")
	assert.Equal(t, checkout.git("rev-parse", "HEAD"), repository.Head())
	assertNoViolations(t, s)
}

func TestDataCenterGitVerdicts(t *testing.T) {
	t.Parallel()
	const (
		bearer  = "Bearer " + httpToken
		found   = "001e# service=git-upload-pack\n"
		missing = "001e# service=git-upload-pack\n00000071ERR Repository not found\nThe requested"
	)
	in := func(state string) bitbucketsim.Token { return bitbucketsim.Token{State: state} }
	tests := []struct {
		name          string
		token         bitbucketsim.Token
		policy        bitbucketsim.DataCenterPolicy
		authorization string
		path          string
		service       string
		status        int
		body          string
	}{
		{name: "accepts Bearer", authorization: bearer, path: "PROJ/sample.git", status: 200, body: found},
		{name: "accepts Bearer where Basic is off", policy: bitbucketsim.DataCenterPolicy{BasicRefused: true}, authorization: bearer, path: "PROJ/sample.git", status: 200, body: found},
		{name: "refuses Basic where it is off", policy: bitbucketsim.DataCenterPolicy{BasicRefused: true}, authorization: basic("x-token-auth", httpToken), path: "PROJ/sample.git", status: 403, body: "Basic Authentication has been disabled"},
		{name: "refuses another user", token: bitbucketsim.Token{User: "ann"}, authorization: basic("bob", httpToken), path: "PROJ/sample.git", status: 401},
		{name: "refuses a wrong token", authorization: "Bearer wrong", path: "PROJ/sample.git", status: 401},
		{name: "refuses an expired token", token: in("expired"), authorization: bearer, path: "PROJ/sample.git", status: 401},
		{name: "asks for credentials", path: "PROJ/sample.git", status: 401},
		{name: "asks for credentials for what is missing", path: "PROJ/missing.git", status: 401},
		{name: "hides what is missing", authorization: bearer, path: "PROJ/missing.git", status: 200, body: missing},
		{name: "hides what the token does not reach", token: bitbucketsim.Token{Repositories: []string{"PROJ/other"}}, authorization: bearer, path: "PROJ/sample.git", status: 200, body: missing},
		{name: "asks for a CAPTCHA", token: in("captcha"), authorization: bearer, path: "PROJ/sample.git", status: 200, body: "ERR CAPTCHA required\n"},
		{name: "asks for a licence", token: in("unlicensed"), authorization: bearer, path: "PROJ/sample.git", status: 200, body: "ERR You are not currently licensed"},
		{name: "shows a public repository to anybody", path: "PROJ/public.git", status: 200, body: found},
		{name: "refuses a wrong token for a public repository", authorization: "Bearer wrong", path: "PROJ/public.git", status: 401},
		{name: "lets a read token only read", authorization: bearer, path: "PROJ/sample.git", service: "receive-pack", status: 403},
		{name: "lets a write token push", token: bitbucketsim.Token{Write: true}, authorization: bearer, path: "PROJ/sample.git", service: "receive-pack", status: 200, body: "001f# service=git-receive-pack\n0000"},
		{name: "lets nobody push to an archive", token: bitbucketsim.Token{Write: true}, authorization: bearer, path: "PROJ/archive.git", service: "receive-pack", status: 200, body: "ERR Repository archived"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.service == "" {
				test.service = "upload-pack"
			}
			s, _ := dataCenterWith(t, test.token)
			s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PROJ", Slug: "public", Public: true})
			s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PROJ", Slug: "archive", Archived: true})
			s.SetPolicy(test.policy)

			got := get(t, s, refs(s.DataCenterURL()+"/scm/"+test.path, test.service), test.authorization)

			assert.Equal(t, test.status, got.status)
			assert.Contains(t, got.body, test.body)
			switch test.status {
			case http.StatusOK:
				assert.Equal(t, "application/x-git-"+test.service+"-advertisement", got.header.Get("Content-Type"))
			case http.StatusUnauthorized:
				assert.Equal(t, `Basic realm="Atlassian Bitbucket"`, got.header.Get("WWW-Authenticate"))
			}
			assertNoViolations(t, s)
		})
	}
}

func TestDataCenterREST(t *testing.T) {
	t.Parallel()
	const bearer = "Bearer " + httpToken
	tests := []struct {
		name          string
		token         bitbucketsim.Token
		authorization string
		path          string
		status        int
		exception     string
		user          string
	}{
		{name: "names the version to anybody", path: "application-properties", status: 200},
		{name: "names the version to a token", token: bitbucketsim.Token{User: "ann lee"}, authorization: bearer, path: "application-properties", status: 200, user: "ann+lee"},
		{name: "refuses a wrong token for the version", authorization: "Bearer wrong", path: "application-properties", status: 401, exception: "IncorrectPasswordAuthenticationException"},
		{name: "shows the repository", token: bitbucketsim.Token{User: "ann"}, authorization: bearer, path: "projects/PROJ/repos/sample", status: 200, user: "ann"},
		{name: "shows a personal repository by its key", authorization: bearer, path: "projects/~ann/repos/notes", status: 200},
		{name: "shows a personal repository by its user", authorization: bearer, path: "users/ann/repos/notes", status: 200},
		{name: "asks for credentials", path: "projects/PROJ/repos/sample", status: 401, exception: "AuthenticationRequiredException"},
		{name: "refuses an expired token", token: bitbucketsim.Token{State: "expired"}, authorization: bearer, path: "projects/PROJ/repos/sample", status: 401, exception: "IncorrectPasswordAuthenticationException"},
		{name: "refuses a token that does not reach it", token: bitbucketsim.Token{Repositories: []string{"PROJ/other"}}, authorization: bearer, path: "projects/PROJ/repos/sample", status: 401, exception: "bitbucket.AuthorisationException"},
		{name: "asks for a licence", token: bitbucketsim.Token{State: "unlicensed"}, authorization: bearer, path: "projects/PROJ/repos/sample", status: 401, exception: "NoAccessAuthenticationException"},
		{name: "asks for a CAPTCHA", token: bitbucketsim.Token{State: "captcha"}, authorization: bearer, path: "projects/PROJ/repos/sample", status: 401, exception: "CaptchaRequiredAuthenticationException"},
		{name: "knows no such repository", authorization: bearer, path: "projects/PROJ/repos/missing", status: 404, exception: "NoSuchRepositoryException"},
		{name: "knows no such project", authorization: bearer, path: "projects/NONE/repos/sample", status: 404, exception: "NoSuchProjectException"},
		{name: "knows no such route", authorization: bearer, path: "nothing", status: 404},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, _ := dataCenterWith(t, test.token)
			s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "~ann", Slug: "notes"})

			got := get(t, s, s.DataCenterURL()+"/rest/api/latest/"+test.path, test.authorization)

			var body struct {
				Errors []struct{ ExceptionName string }
			}
			require.NoError(t, json.Unmarshal([]byte(got.body), &body), got.body)
			assert.Equal(t, test.status, got.status)
			assert.Equal(t, test.user, got.header.Get("X-AUSERNAME"))
			if test.exception == "" {
				assert.Empty(t, body.Errors)
			} else {
				require.Len(t, body.Errors, 1)
				assert.Contains(t, body.Errors[0].ExceptionName, test.exception)
			}
			assertNoViolations(t, s)
		})
	}
}

func TestDataCenterCloneLinksFollowTheBaseURL(t *testing.T) {
	t.Parallel()
	s, repository := dataCenterWith(t, bitbucketsim.Token{})
	path := "/rest/api/1.0/projects/PROJ/repos/sample"

	plain := get(t, s, s.DataCenterURL()+path, "Bearer "+httpToken)
	tls := get(t, s, s.DataCenterTLSURL()+path, "Bearer "+httpToken)

	assert.Contains(t, plain.body, repository.CloneURL())
	assert.Contains(t, tls.body, `"https://git.example.test/bitbucket/scm/PROJ/sample.git"`)
	assertNoViolations(t, s)
}

func TestDataCenterForeignPaths(t *testing.T) {
	t.Parallel()
	s, _ := dataCenterWith(t, bitbucketsim.Token{})
	whoami := s.DataCenterURL() + "/plugins/servlet/applinks/whoami"

	assert.JSONEq(t, `{"state":"RUNNING"}`, get(t, s, s.DataCenterURL()+"/status", "").body)
	login := get(t, s, s.DataCenterURL()+"/login", "")
	assert.Equal(t, 200, login.status)
	assert.Contains(t, login.header.Get("Content-Type"), "text/html")
	assert.Equal(t, 302, get(t, s, s.DataCenterURL()+"/dashboard", "").status)
	outside := strings.TrimSuffix(s.DataCenterURL(), "/bitbucket") + "/scm/PROJ/sample.git"
	assert.Equal(t, 404, get(t, s, refs(outside, "upload-pack"), "").status)
	assert.Equal(t, 404, get(t, s, refs(outside, "upload-pack"), "Bearer "+httpToken).status, "a wrong context path")
	assertNoViolations(t, s)

	bearer := get(t, s, whoami, "Bearer "+httpToken)
	assert.Equal(t, 302, bearer.status)
	assert.Equal(t, "/bitbucket/login?next=%2Fplugins%2Fservlet%2Fapplinks%2Fwhoami", bearer.header.Get("Location"))
	assert.Len(t, s.Violations(), 1)

	assert.Equal(t, 401, get(t, s, whoami, basic("x-token-auth", httpToken)).status)
	assert.Equal(t, 1, s.FailedLogins(httpToken))
	assert.Len(t, s.Violations(), 2)
	assert.Contains(t, s.Violations()[1], "credentials were sent outside /rest and /scm")
}
