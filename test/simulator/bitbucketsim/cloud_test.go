package bitbucketsim_test

import (
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
)

const (
	apiToken    = "ATATT3-api-token=0A1B2C3D"
	accessToken = "ATCTT3-access-token=0A1B2C3D"
)

// cloudWith starts a simulator with the private repository acme/sample and the token, if it has a value.
func cloudWith(t *testing.T, token bitbucketsim.Token) (*bitbucketsim.Server, *bitbucketsim.Repository) {
	t.Helper()
	s := start(t)
	repository := s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "sample"})
	if token.Value != "" {
		s.AddToken(token)
	}
	return s, repository
}

func TestCloudClone(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, user, token, kind string }{
		{"an API token with the fixed user", "x-bitbucket-api-token-auth", apiToken, bitbucketsim.APIToken},
		{"an API token with a user name", "ann", apiToken, bitbucketsim.APIToken},
		{"an access token", "x-token-auth", accessToken, bitbucketsim.AccessToken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, repository := cloudWith(t, bitbucketsim.Token{Value: test.token, Kind: test.kind})
			machine := newWorkstation(t, s)

			machine.git("-c", basicHelper(test.user, test.token), "clone", repository.CloneURL())

			assert.Equal(t, "https://bitbucket.org/acme/sample.git", repository.CloneURL())
			assert.Equal(t, repository.Head(), machine.in("sample").git("rev-parse", "HEAD"))
			assert.Equal(t, "main", machine.in("sample").git("branch", "--show-current"))
			assert.FileExists(t, filepath.Join(machine.directory, "sample", "README.md"))
			assert.Equal(t, 2, s.Counts()[bitbucketsim.UploadPackRefs], "git asks without credentials first")
			assert.NotZero(t, s.Counts()[bitbucketsim.UploadPack])
			assert.Zero(t, s.FailedLogins(test.token))
			assertNoViolations(t, s)
		})
	}
}

func TestCloudCloneRefused(t *testing.T) {
	t.Parallel()
	s, repository := cloudWith(t, bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.APIToken})
	machine := newWorkstation(t, s)

	out := machine.refused("-c", basicHelper("x-bitbucket-api-token-auth", "wrong"), "clone", repository.CloneURL())
	assert.Contains(t, out, "remote: Invalid credentials")
	assert.Contains(t, out, "fatal: Authentication failed for")
	assert.Equal(t, 1, s.FailedLogins("wrong"))

	out = machine.refused("-c", basicHelper("x-token-auth-x", apiToken), "clone", "https://bitbucket.org/acme/missing.git")
	assert.Contains(t, out, "remote: The requested repository either does not exist or you do not have access.")
	assert.Contains(t, out, "403")
	assertNoViolations(t, s)
}

func TestCloudPush(t *testing.T) {
	t.Parallel()
	s, repository := cloudWith(t, bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, Write: true})
	s.AddToken(bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.APIToken})
	before := repository.Head()
	machine := newWorkstation(t, s)
	write := basicHelper("x-token-auth", accessToken)
	machine.git("-c", write, "clone", repository.CloneURL())
	checkout := machine.in("sample")
	// Bigger than http.postBuffer, so that git sends its pack chunked.
	noise := make([]byte, 3<<20)
	_, err := rand.NewChaCha8([32]byte{}).Read(noise)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(checkout.directory, "noise"), noise, 0o600))
	checkout.git("add", "noise")
	checkout.git("commit", "--quiet", "--message", "Add noise")

	out := checkout.refused("-c", basicHelper("x-bitbucket-api-token-auth", apiToken), "push")
	assert.Contains(t, out, "remote: Your credentials lack one or more required privilege scopes.")
	assert.Equal(t, before, repository.Head())

	checkout.git("-c", write, "push")
	assert.Equal(t, checkout.git("rev-parse", "HEAD"), repository.Head())
	assertNoViolations(t, s)
}

func TestCloudGitVerdicts(t *testing.T) {
	t.Parallel()
	const (
		user  = "x-bitbucket-api-token-auth"
		found = "001e# service=git-upload-pack\n"
	)
	good := bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.APIToken, Write: true}
	in := func(state string) bitbucketsim.Token {
		return bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.APIToken, State: state}
	}
	tests := []struct {
		name          string
		token         bitbucketsim.Token
		authorization string
		path          string
		service       string
		status        int
		body          string
	}{
		{"accepts a good token", good, basic(user, apiToken), "acme/sample.git", "upload-pack", 200, found},
		{"ignores letter case", good, basic(user, apiToken), "Acme/Sample.git", "upload-pack", 200, found},
		{"lets a write token push", good, basic(user, apiToken), "acme/sample.git", "receive-pack", 200, "001f# service=git-receive-pack\n"},
		{"asks for credentials", good, "", "acme/sample.git", "upload-pack", 401, "You may not have access"},
		{"asks for credentials for what is missing", good, "", "acme/missing.git", "upload-pack", 401, "You may not have access"},
		{"refuses an e-mail as git user", good, basic("ann@example.test", apiToken), "acme/sample.git", "upload-pack", 401, "Invalid credentials"},
		{"refuses an API token as an access token", good, basic("x-token-auth", apiToken), "acme/sample.git", "upload-pack", 401, "Invalid credentials"},
		{"refuses an expired token", in("expired"), basic(user, apiToken), "acme/sample.git", "upload-pack", 401, "Invalid credentials"},
		{"refuses a revoked token", in("revoked"), basic(user, apiToken), "acme/sample.git", "upload-pack", 401, "Invalid credentials"},
		{"refuses a token without scopes", in("unscoped"), basic(user, apiToken), "acme/sample.git", "upload-pack", 401, "Invalid credentials"},
		{"names a missing scope", in("no_scope"), basic(user, apiToken), "acme/sample.git", "upload-pack", 403, "privilege scopes"},
		{"names a blocked address", in("ip_blocked"), basic(user, apiToken), "acme/sample.git", "upload-pack", 403, "whitelist your IP"},
		{"names two-step verification", in("two_step"), basic(user, apiToken), "acme/sample.git", "upload-pack", 403, "two-step"},
		{"lets a read token only read", in(""), basic(user, apiToken), "acme/sample.git", "receive-pack", 403, "privilege scopes"},
		{
			"is done with app passwords", bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.AppPassword},
			basic("ann", apiToken), "acme/sample.git", "upload-pack", 410, "App passwords",
		},
		{"hides what is missing", good, basic(user, apiToken), "acme/missing.git", "upload-pack", 403, "does not exist or you do not have access"},
		{
			"hides what the token does not reach",
			bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.APIToken, Repositories: []string{"acme/other"}},
			basic(user, apiToken), "acme/sample.git", "upload-pack", 403, "does not exist or you do not have access",
		},
		{"shows a public repository to anybody", good, "", "acme/public.git", "upload-pack", 200, found},
		{"shows a public repository to a blocked address", in("ip_blocked"), basic(user, apiToken), "acme/public.git", "upload-pack", 200, found},
		{"refuses a wrong token for a public repository", good, basic(user, "wrong"), "acme/public.git", "upload-pack", 401, "Invalid credentials"},
		{"lets nobody push to a public repository", good, "", "acme/public.git", "receive-pack", 401, "You may not have access"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, _ := cloudWith(t, test.token)
			s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "public", Public: true})

			got := get(t, s, refs("https://bitbucket.org/"+test.path, test.service), test.authorization)

			assert.Equal(t, test.status, got.status)
			assert.Contains(t, got.body, test.body)
			switch test.status {
			case http.StatusOK:
				assert.Equal(t, "application/x-git-"+test.service+"-advertisement", got.header.Get("Content-Type"))
			case http.StatusUnauthorized:
				assert.Equal(t, `Basic realm="Bitbucket.org HTTP"`, got.header.Get("WWW-Authenticate"))
			default:
				assert.Empty(t, got.header.Get("WWW-Authenticate"))
			}
			assertNoViolations(t, s)
		})
	}
}

func TestCloudREST(t *testing.T) {
	t.Parallel()
	const invalid = `{"error":{"message":"Token is invalid, expired, or not supported for this endpoint."},"type":"error"}`
	user := bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.APIToken, User: "ann@example.test", Write: true}
	expired := user
	expired.State = bitbucketsim.Expired
	blocked := user
	blocked.State = bitbucketsim.IPBlocked
	noScope := bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, State: bitbucketsim.NoScope}
	one := bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, Repositories: []string{"acme/sample"}}
	tests := []struct {
		name          string
		token         bitbucketsim.Token
		authorization string
		slug          string
		status        int
		body          string
		scopes, kind  string
	}{
		{"shows the repository to an API token", user, basic("ann@example.test", apiToken), "sample", 200, `"full_name":"acme/sample"`, "read:repository:bitbucket, write:repository:bitbucket", "api_token"},
		{"shows metadata to a blocked address", blocked, basic("ann@example.test", apiToken), "sample", 200, `"is_private":true`, "read:repository:bitbucket, write:repository:bitbucket", "api_token"},
		{"shows the repository to its access token", one, "Bearer " + accessToken, "sample", 200, `"name":"main"`, "repository", "repo_access_token"},
		{"hides another repository", one, "Bearer " + accessToken, "other", 404, "You may not have access to this repository", "repository", "repo_access_token"},
		{"names the missing scope", noScope, "Bearer " + accessToken, "sample", 403, `"detail":{"required":["repository"],"granted":["pipeline"]}`, "pipeline", "workspace_access_token"},
		{"refuses an expired token", expired, basic("ann@example.test", apiToken), "sample", 401, invalid, "", ""},
		{"refuses an API token as Bearer", user, "Bearer " + apiToken, "sample", 401, invalid, "", ""},
		{"refuses another e-mail", user, basic("bob@example.test", apiToken), "sample", 401, invalid, "", ""},
		{"refuses git's user name", user, basic("x-bitbucket-api-token-auth", apiToken), "sample", 401, invalid, "", ""},
		{"refuses an access token as Basic", one, basic("x-token-auth", accessToken), "sample", 401, invalid, "", ""},
		{"hides a private repository", user, "", "sample", 404, "You may not have access to this repository", "", ""},
		{"shows a public repository to anybody", user, "", "public", 200, `"is_private":false`, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, _ := cloudWith(t, test.token)
			s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "public", Public: true})

			got := get(t, s, "https://api.bitbucket.org/2.0/repositories/acme/"+test.slug, test.authorization)

			assert.Equal(t, test.status, got.status)
			assert.Contains(t, got.body, test.body)
			assert.Equal(t, test.scopes, got.header.Get("x-oauth-scopes"))
			assert.Equal(t, test.kind, got.header.Get("x-credential-type"))
			assert.Equal(t, 1, s.Counts()[bitbucketsim.CloudRepository])
			assertNoViolations(t, s)
		})
	}
}

func TestCloudRemovesAddresses(t *testing.T) {
	t.Parallel()
	s, repository := cloudWith(t, bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.APIToken})
	s.Script.Add(bitbucketsim.Removed(bitbucketsim.UploadPackRefs))
	s.Script.Add(bitbucketsim.Removed(bitbucketsim.CloudRepository))
	const rest = "https://api.bitbucket.org/2.0/"
	tests := []struct {
		name, url string
		status    int
	}{
		{"all repositories", rest + "repositories?role=member", 410},
		{"all workspaces", rest + "workspaces", 410},
		{"what a user may do", rest + "user/permissions/repositories", 410},
		{"where a user may do it", rest + "user/permissions/workspaces", 410},
		{"an address that was never there", rest + "user/permissions", 404},
		{"git's, by script", refs(repository.CloneURL(), "upload-pack"), 410},
		{"a repository's, by script", rest + "repositories/acme/sample", 410},
	}
	for _, test := range tests {
		for range 2 {
			got := get(t, s, test.url, "")
			assert.Equal(t, test.status, got.status, test.name)
			if test.status == 410 {
				assert.Equal(t, "application/json", got.header.Get("Content-Type"), test.name)
				assert.Contains(t, got.body, `"message": "CHANGE-2770 - `, test.name)
				assert.Contains(t, got.body, `"announcement_url": "https://`, test.name)
			}
		}
	}
	assertNoViolations(t, s)
}

func TestCloudPagesTakeNoToken(t *testing.T) {
	t.Parallel()
	s, _ := cloudWith(t, bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.APIToken})

	assert.Equal(t, 404, get(t, s, "https://bitbucket.org/acme/sample/src/main", "").status)
	assertNoViolations(t, s)

	assert.Equal(t, 404, get(t, s, "https://bitbucket.org/acme/sample", basic("ann", apiToken)).status)
	assert.Equal(t, []string{"GET bitbucket.org: credentials were sent to a page that is not git"}, s.Violations())
}
