package bitbucketsim_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
)

const password = "correct horse battery"

// owners starts a Data Center with PROJ/sample, jane, who administers it, and bob, who administers
// nothing. It returns their authorizations too.
func owners(t *testing.T) (s *bitbucketsim.Server, repository *bitbucketsim.Repository, jane, bob string) {
	t.Helper()
	s = start(t)
	repository = s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PROJ", Slug: "sample"})
	s.AddUser("Jane.D@x", password)
	s.AddUser("bob", "another password", "OTHER")
	return s, repository, basic("Jane.D@x", password), basic("bob", "another password")
}

// rest calls the REST of the Data Center.
func rest(t *testing.T, s *bitbucketsim.Server, method, path, authorization, body string, headers ...string) reply {
	t.Helper()
	got, err := tryREST(t, s, method, path, authorization, body, headers...)
	require.NoError(t, err)
	return got
}

func tryREST(t *testing.T, s *bitbucketsim.Server, method, path, authorization, body string, headers ...string) (reply, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.DataCenterURL()+"/rest/"+path, strings.NewReader(body))
	require.NoError(t, err)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := newClient(t, s).Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(content)}, err
}

// record is a token on the wire.
type record struct {
	ID, Name, Token   string
	CreatedDate       int64
	LastAuthenticated *int64
	ExpiryDays        *int
	Permissions       []string
	User              *struct{ Name, Slug string }
}

func recordOf(t *testing.T, r reply) (got record) {
	t.Helper()
	require.Equal(t, http.StatusOK, r.status, r.body)
	require.NoError(t, json.Unmarshal([]byte(r.body), &got))
	return got
}

// exception returns the exception's name in an errors body; "" for another body.
func exception(r reply) string {
	var body struct {
		Errors []struct{ ExceptionName string }
	}
	if json.Unmarshal([]byte(r.body), &body) != nil || len(body.Errors) == 0 {
		return ""
	}
	return body.Errors[0].ExceptionName[strings.LastIndex(body.Errors[0].ExceptionName, ".")+1:]
}

func TestCreatedTokenIsAToken(t *testing.T) {
	t.Parallel()
	for _, owner := range []string{"users/jane.d_x", "projects/PROJ", "projects/PROJ/repos/sample"} {
		for version, permission := range map[string]string{"latest": "REPO_READ", "1.0": "REPO_WRITE"} {
			t.Run(version+" "+owner, func(t *testing.T) {
				t.Parallel()
				s, repository, jane, _ := owners(t)
				other := s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "OTHER", Slug: "sample"})
				path := "access-tokens/" + version + "/" + owner

				answer := rest(t, s, "PUT", path, jane, `{"name":"ci","permissions":["PROJECT_READ","`+permission+`"],"expiryDays":90}`)
				made := recordOf(t, answer)

				assert.Equal(t, "Jane.D%40x", answer.header.Get("X-AUSERNAME"))
				assert.Regexp(t, `^0\d{11}$`, made.ID)
				assert.NotContains(t, answer.body, "expiryDate")
				assert.WithinDuration(t, time.Now(), time.UnixMilli(made.CreatedDate), time.Minute)
				assert.Equal(t, []string{"PROJECT_READ", permission}, made.Permissions)
				assert.Equal(t, 90, *made.ExpiryDays)
				encoded, found := strings.CutPrefix(made.Token, "BBDC-")
				decoded, err := base64.StdEncoding.DecodeString(encoded)
				require.NoError(t, err)
				assert.True(t, found && strings.HasPrefix(string(decoded), made.ID+":") && len(decoded) == 33)
				assert.Equal(t, strings.HasPrefix(owner, "users/"), made.User != nil)

				bearer := "Bearer " + made.Token
				assert.Equal(t, 200, get(t, s, refs(repository.CloneURL(), "upload-pack"), bearer).status)
				push := map[string]int{"REPO_READ": 403, "REPO_WRITE": 200}
				assert.Equal(t, push[permission], get(t, s, refs(repository.CloneURL(), "receive-pack"), bearer).status)
				elsewhere := get(t, s, refs(other.CloneURL(), "upload-pack"), bearer)
				assert.Equal(t, !strings.HasPrefix(owner, "users/"), strings.Contains(elsewhere.body, "ERR Repository not found"))

				read := rest(t, s, "GET", path+"/"+made.ID, jane, "")
				assert.NotContains(t, read.body, made.Token, "shown once")
				assert.Equal(t, made.ID, recordOf(t, read).ID)
				require.Len(t, s.AccessTokens(), 1)
				kept := s.AccessTokens()[0]
				assert.Equal(t, []string{made.ID, "ci", permission, owner, made.Token, "Jane.D@x"}, []string{kept.ID, kept.Name, kept.Permission, kept.Owner, kept.Value, kept.By})
				assertNoViolations(t, s)
			})
		}
	}
}

func TestDeletedTokenStopsAtOnce(t *testing.T) {
	t.Parallel()
	s, repository, jane, _ := owners(t)
	token := s.AddAccessToken("projects/PROJ/repos/sample", "ci", "REPO_READ", 0)
	kept := s.AddAccessToken("projects/PROJ/repos/sample", "kept", "REPO_READ", 0)
	path := "access-tokens/latest/projects/proj/repos/sample/" + token.ID

	deleted := rest(t, s, "DELETE", path, jane, "")

	assert.Equal(t, []any{204, ""}, []any{deleted.status, deleted.body})
	assert.Equal(t, 401, get(t, s, refs(repository.CloneURL(), "upload-pack"), "Bearer "+token.Value).status)
	assert.Equal(t, 200, get(t, s, refs(repository.CloneURL(), "upload-pack"), "Bearer "+kept.Value).status)
	for _, method := range []string{"DELETE", "GET"} {
		gone := rest(t, s, method, path, jane, "")
		assert.Equal(t, []any{404, "NoSuchEntityException"}, []any{gone.status, exception(gone)})
	}
	require.Len(t, s.DeletedAccessTokens(), 1)
	assert.Equal(t, []string{"ci", "Jane.D@x"}, []string{s.DeletedAccessTokens()[0].Name, s.DeletedAccessTokens()[0].By})
	assert.Len(t, s.AccessTokens(), 1)
	assert.Equal(t, []string{token.Value, kept.Value}, s.MintedValues())
}

func TestTokenOfAnotherOwnerIsNotThere(t *testing.T) {
	t.Parallel()
	s, _, jane, _ := owners(t)
	token := s.AddAccessToken("projects/PROJ", "ci", "REPO_READ", 0)
	for _, owner := range []string{"projects/PROJ/repos/sample", "users/jane.d_x"} {
		assert.Equal(t, 404, rest(t, s, "DELETE", "access-tokens/latest/"+owner+"/"+token.ID, jane, "").status)
	}
	assert.Equal(t, 200, rest(t, s, "GET", "access-tokens/latest/projects/PROJ/"+token.ID, jane, "").status)
}

func TestTokensExpire(t *testing.T) {
	t.Parallel()
	s, repository, jane, _ := owners(t)
	dies, lives := s.AddAccessToken("projects/PROJ", "dies", "REPO_READ", 2), s.AddAccessToken("projects/PROJ", "lives", "REPO_READ", 0)
	status := func(token bitbucketsim.HTTPToken) int {
		return get(t, s, refs(repository.CloneURL(), "upload-pack"), "Bearer "+token.Value).status
	}
	s.Elapse(47 * time.Hour)
	assert.Equal(t, []int{200, 200}, []int{status(dies), status(lives)})

	s.Elapse(time.Hour)

	assert.Equal(t, []int{401, 200}, []int{status(dies), status(lives)})
	require.Len(t, s.AccessTokens(), 1)
	assert.Equal(t, lives.ID, s.AccessTokens()[0].ID)
	shown := recordOf(t, rest(t, s, "GET", "access-tokens/latest/projects/PROJ/"+dies.ID, jane, ""))
	assert.Equal(t, "dies", shown.Name, "until somebody deletes it")
	assert.NotNil(t, shown.LastAuthenticated)
}

func TestListOfTokensHasPages(t *testing.T) {
	t.Parallel()
	s, _, jane, _ := owners(t)
	var ids []string
	for range 27 {
		ids = append(ids, s.AddAccessToken("projects/PROJ", "same name", "REPO_READ", 0).ID)
		s.AddAccessToken("projects/OTHER", "same name", "REPO_READ", 0)
	}
	tests := []struct {
		query                    string
		start, limit, size, next int // next 0: the last page
	}{
		{"", 0, 25, 25, 25},
		{"?start=25", 25, 25, 2, 0},
		{"?limit=10", 0, 10, 10, 10},
		{"?limit=10&start=20", 20, 10, 7, 0},
		{"?limit=27", 0, 27, 27, 0},
		{"?start=100", 100, 25, 0, 0},
	}
	for _, test := range tests {
		var page struct {
			Size, Limit, Start int
			IsLastPage         bool
			NextPageStart      *int
			Values             []record
		}
		got := rest(t, s, "GET", "access-tokens/latest/projects/PROJ"+test.query, jane, "")
		require.NoError(t, json.Unmarshal([]byte(got.body), &page), got.body)

		assert.Equal(t, []int{test.start, test.limit, test.size}, []int{page.Start, page.Limit, page.Size}, test.query)
		assert.Len(t, page.Values, test.size, test.query)
		assert.Equal(t, test.next == 0, page.IsLastPage, test.query)
		if test.next == 0 {
			assert.Nil(t, page.NextPageStart, test.query)
		} else {
			assert.Equal(t, test.next, *page.NextPageStart, test.query)
		}
		for i, value := range page.Values {
			assert.Equal(t, ids[test.start+i], value.ID, "as a string, oldest first")
			assert.Nil(t, value.ExpiryDays)
			assert.Empty(t, value.Token)
		}
	}
	for _, query := range []string{"?start=x", "?start=-1", "?limit=0"} {
		assert.Equal(t, 400, rest(t, s, "GET", "access-tokens/latest/projects/PROJ"+query, jane, "").status)
	}
}

func TestWhoManagesTokens(t *testing.T) {
	t.Parallel()
	const (
		denied  = "AuthorisationException"
		wrong   = "IncorrectPasswordAuthenticationException"
		nothing = "AuthenticationRequiredException"
	)
	s, _, jane, bob := owners(t)
	s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "OTHER", Slug: "sample"})
	s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "~bob", Slug: "notes"})
	token := s.AddAccessToken("users/bob", "strong", "REPO_ADMIN", 0)
	bearer := "Bearer " + token.Value
	tests := []struct {
		name, authorization, owner string
		bearerMay                  bool
		status                     int
		exception                  string
	}{
		{"a user, the own ones", bob, "users/bob", false, 200, ""},
		{"an administrator of the project", bob, "projects/OTHER", false, 200, ""},
		{"an administrator of the repository's project", bob, "projects/OTHER/repos/sample", false, 200, ""},
		{"the owner of a personal repository", bob, "projects/~bob/repos/notes", false, 200, ""},
		{"not somebody else", bob, "projects/PROJ/repos/sample", false, 401, denied},
		{"not an administrator for another user", jane, "users/bob", false, 401, denied},
		{"not a token for its user", bearer, "users/bob", false, 401, denied},
		{"not a token with its user's name", basic("bob", token.Value), "users/bob", false, 401, denied},
		{"not a token with the fixed user", basic("x-token-auth", token.Value), "projects/PROJ", false, 401, denied},
		{"a token where the policy lets it", bearer, "projects/PROJ", true, 200, ""},
		{"not a wrong password", basic("bob", "wrong"), "users/bob", false, 401, wrong},
		{"not a wrong token", "Bearer wrong too", "users/bob", true, 401, wrong},
		{"nobody", "", "users/bob", true, 401, nothing},
		{"no user", jane, "users/nobody", false, 404, "NoSuchUserException"},
		{"no project", jane, "projects/NONE", false, 404, "NoSuchProjectException"},
		{"no repository", jane, "projects/PROJ/repos/none", false, 404, "NoSuchRepositoryException"},
	}
	for _, test := range tests {
		s.SetPolicy(bitbucketsim.DataCenterPolicy{TokensMayMint: test.bearerMay})
		path := "access-tokens/latest/" + test.owner
		for _, got := range []reply{
			rest(t, s, "GET", path, test.authorization, ""),
			rest(t, s, "PUT", path, test.authorization, `{"name":"n","permissions":["REPO_READ"]}`),
		} {
			assert.Equal(t, test.status, got.status, test.name)
			assert.Equal(t, test.exception, exception(got), test.name)
		}
	}
	assertNoViolations(t, s)
}

func TestTokenMayLookAtItsOwnRecord(t *testing.T) {
	t.Parallel()
	s, _, _, _ := owners(t)
	own, other := s.AddAccessToken("projects/PROJ", "own", "REPO_READ", 3), s.AddAccessToken("projects/PROJ", "other", "REPO_ADMIN", 3)
	path := "access-tokens/latest/projects/PROJ/"
	assert.Equal(t, 3, *recordOf(t, rest(t, s, "GET", path+own.ID, "Bearer "+own.Value, "")).ExpiryDays)
	assert.Equal(t, 401, rest(t, s, "GET", path+other.ID, "Bearer "+own.Value, "").status)
	assert.Equal(t, 401, rest(t, s, "DELETE", path+own.ID, "Bearer "+own.Value, "").status)
}

func TestTokensThatAreNotMade(t *testing.T) {
	t.Parallel()
	const good = `{"name":"n","permissions":["REPO_READ"],"expiryDays":30}`
	tests := []struct {
		name   string
		policy bitbucketsim.DataCenterPolicy
		body   string
		status int
		says   string
	}{
		{"no name", bitbucketsim.DataCenterPolicy{}, `{"permissions":["REPO_READ"]}`, 400, "A name and known permissions"},
		{"no permissions", bitbucketsim.DataCenterPolicy{}, `{"name":"n","permissions":[]}`, 400, "A name and known permissions"},
		{"an unknown permission", bitbucketsim.DataCenterPolicy{}, `{"name":"n","permissions":["REPO_READ","READ"]}`, 400, "A name and known permissions"},
		{"no JSON", bitbucketsim.DataCenterPolicy{}, `{`, 400, "cannot be read"},
		{"no life", bitbucketsim.DataCenterPolicy{}, `{"name":"n","permissions":["REPO_READ"],"expiryDays":0}`, 400, "at least one day"},
		{"an eternal life", bitbucketsim.DataCenterPolicy{ExpiryRequired: true}, `{"name":"n","permissions":["REPO_READ"]}`, 400, "An expiry is required"},
		{"too long a life", bitbucketsim.DataCenterPolicy{MaximumExpiryDays: 29}, good, 400, "at most 29 days"},
		{"one too many", bitbucketsim.DataCenterPolicy{MaximumTokens: 1}, good, 400, "maximum number"},
		{"an old version", bitbucketsim.DataCenterPolicy{NoTokenREST: true}, good, 404, "HTTP 404 Not Found"},
		{"no passwords", bitbucketsim.DataCenterPolicy{BasicRefused: true}, good, 403, "Basic Authentication has been disabled"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, _, jane, _ := owners(t)
			s.AddAccessToken("projects/PROJ", "there", "REPO_READ", 0)
			s.SetPolicy(test.policy)

			got := rest(t, s, "PUT", "access-tokens/latest/projects/PROJ", jane, test.body)

			assert.Equal(t, test.status, got.status)
			assert.Contains(t, got.body, test.says)
			assert.Equal(t, test.status == 400, exception(got) != "")
			assert.Len(t, s.AccessTokens(), 1)
		})
	}
	s, _, jane, _ := owners(t)
	s.SetPolicy(bitbucketsim.DataCenterPolicy{ExpiryRequired: true, MaximumExpiryDays: 30, MaximumTokens: 1})
	assert.Equal(t, 415, rest(t, s, "PUT", "access-tokens/latest/projects/PROJ", jane, good, "Content-Type", "text/plain").status)
	assert.Equal(t, 405, rest(t, s, "POST", "access-tokens/latest/projects/PROJ", jane, good).status)
	assert.Equal(t, 404, rest(t, s, "PUT", "access-tokens/2.0/projects/PROJ", jane, good).status)
	assert.Equal(t, 404, rest(t, s, "PUT", "access-tokens/latest/projects/PROJ/branches/x", jane, good).status)
	assert.Equal(t, 200, rest(t, s, "PUT", "access-tokens/latest/projects/PROJ", jane, good).status, "exactly what is allowed")
}

func TestFaultsOfTheTokenREST(t *testing.T) {
	t.Parallel()
	tests := []struct {
		operation, method string
		created, deleted  int // when only the answer is lost
	}{
		{bitbucketsim.CreateAccessToken, "PUT", 1, 0},
		{bitbucketsim.DeleteAccessToken, "DELETE", 0, 1},
		{bitbucketsim.GetAccessToken, "GET", 0, 0},
	}
	for _, test := range tests {
		for _, f := range []fault.Fault{{When: fault.Before}, {When: fault.After}, {When: fault.Before, Status: 503}, {When: fault.After, Status: 503}} {
			s, _, jane, _ := owners(t)
			token := s.AddAccessToken("projects/PROJ", "there", "REPO_READ", 0)
			f.Operation = test.operation
			s.Script.Add(f)
			path, body := "access-tokens/latest/projects/PROJ/"+token.ID, ""
			if test.method == "PUT" {
				path, body = "access-tokens/latest/projects/PROJ", `{"name":"n","permissions":["REPO_READ"]}`
			}

			got, err := tryREST(t, s, test.method, path, jane, body)

			assert.Equal(t, f.Status == 0, err != nil, test.operation)
			assert.Equal(t, f.Status, got.status, test.operation)
			happened := 0
			if f.When == fault.After {
				happened = 1
			}
			assert.Len(t, s.AccessTokens(), 1+happened*(test.created-test.deleted), test.operation)
			assert.Len(t, s.DeletedAccessTokens(), happened*test.deleted, test.operation)
			assert.Equal(t, map[string]int{test.operation: 1}, s.Counts())
		}
	}
}

func TestFindUsers(t *testing.T) {
	t.Parallel()
	s, _, jane, _ := owners(t)
	find := func(authorization, query string) (slugs []string, r reply) {
		var page struct{ Values []struct{ Name, Slug string } }
		r = rest(t, s, "GET", "api/latest/users"+query, authorization, "")
		require.NoError(t, json.Unmarshal([]byte(r.body), &page), r.body)
		for _, user := range page.Values {
			slugs = append(slugs, user.Slug)
		}
		return slugs, r
	}
	all, _ := find(jane, "")
	assert.Equal(t, []string{"bob", "jane.d_x"}, all)
	some, _ := find(jane, "?filter=jAnE.D%40X")
	assert.Equal(t, []string{"jane.d_x"}, some, "the slug is not the name")
	one, _ := find(jane, "?limit=1&start=1")
	assert.Equal(t, []string{"jane.d_x"}, one)
	token := s.AddAccessToken("users/jane.d_x", "n", "REPO_READ", 0)
	_, own := find("Bearer "+token.Value, "?limit=1")
	assert.Equal(t, "Jane.D%40x", own.header.Get("X-AUSERNAME"))
	_, anonymous := find("", "")
	assert.Equal(t, []any{401, "AuthenticationRequiredException"}, []any{anonymous.status, exception(anonymous)})
	assertNoViolations(t, s)

	get(t, s, s.DataCenterURL()+"/rest/api/latest/users?filter="+strings.ReplaceAll(password, " ", "%20"), jane)
	assert.Len(t, s.Violations(), 1, "a password in a URL")
}

func TestPasswordOpensGit(t *testing.T) {
	t.Parallel()
	s, repository, jane, _ := owners(t)
	assert.Equal(t, 200, get(t, s, refs(repository.CloneURL(), "receive-pack"), jane).status)
	assert.Equal(t, 401, get(t, s, refs(repository.CloneURL(), "upload-pack"), basic("Jane.D@x", "wrong")).status)
	assert.Equal(t, 1, s.FailedLogins("wrong"))
	assert.Panics(t, func() { s.AddUser("nobody", "") })
}
