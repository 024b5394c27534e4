package bitbucketapi_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
)

// apiAt returns an API that has asked nothing yet, and a repository of a server.
func apiAt(t *testing.T, base string) (*bitbucketapi.API, bitbucket.Repository) {
	t.Helper()
	clients, err := transport.New(transport.Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	r, err := bitbucket.Parse(base+"/scm/PRJ/sample.git", bitbucket.DataCenter)
	require.NoError(t, err)
	return bitbucketapi.New(clients), r
}

// tokensAt returns a client for the token REST of a server.
func tokensAt(t *testing.T, base string, c bitbucketapi.Credential) *bitbucketapi.Tokens {
	t.Helper()
	api, r := apiAt(t, base)
	return api.Tokens(r, c)
}

func janes() bitbucketapi.Credential {
	return bitbucketapi.Credential{Username: "jane", Secret: sensitive.New("pass word")}
}

func TestTokenID(t *testing.T) {
	t.Parallel()
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	noise := strings.Repeat("\xff", 20)
	for token, want := range map[string]string{
		"BBDC-" + encode("075905477751:"+noise):              "075905477751",
		encode("252973515069:" + noise):                      "252973515069",
		"BBDC-" + strings.TrimRight(encode("1:"+noise), "="): "1",
		"BBDC-" + encode("no colon"):                         "",
		"BBDC-" + encode("jane:"+noise):                      "",
		"BBDC-" + encode(":"+noise):                          "",
		"BBDC-not base64!":                                   "",
		"":                                                   "",
	} {
		assert.Equal(t, want, bitbucketapi.TokenID(sensitive.New(token)), token)
	}
}

func TestTokensLiveFromTheirCreationToTheirRevocation(t *testing.T) {
	t.Parallel()
	server := bitbucketsim.Start(bitbucketsim.Options{})
	t.Cleanup(server.Close)
	server.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PRJ", Slug: "sample"})
	server.AddUser("jane", "pass word")
	tokens := tokensAt(t, server.DataCenterURL(), janes())
	for _, owner := range []bitbucket.TokenOwner{{User: "jane"}, {Project: "PRJ"}, {Project: "PRJ", Slug: "sample"}} {
		record, value, err := tokens.CreateToken(t.Context(), owner, "ours", bitbucket.RepositoryRead, 30)
		require.NoError(t, err)
		assert.True(t, value.HasPrefix("BBDC-"))
		assert.Equal(t, record.ID, bitbucketapi.TokenID(value))
		assert.Equal(t, record.Created.Add(30*24*time.Hour), record.Expires)

		found, err := tokens.ListTokens(t.Context(), owner)
		require.NoError(t, err)
		assert.Equal(t, []bitbucket.TokenRecord{record}, found)

		api, r := apiAt(t, server.DataCenterURL())
		self, err := api.Client(value).FindSelf(t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, record, self)
		_, err = api.Client(value).CheckREST(t.Context(), r, bearer)
		require.NoError(t, err, "that has not used all attempts up")

		require.NoError(t, tokens.DeleteToken(t.Context(), owner, record.ID))
		require.NoError(t, tokens.DeleteToken(t.Context(), owner, record.ID), "what is gone is no error")
		found, err = tokens.ListTokens(t.Context(), owner)
		require.NoError(t, err)
		assert.Empty(t, found)
	}
	slug, err := tokens.FindUser(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "jane", slug)
	assert.Empty(t, server.Violations())
}

func TestFindUserReadsUntilItKnows(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		others string // whose names hold the name too
		pages  int
	}{
		"alone":               {"bob%03d", 1},
		"on the first of all": {"jane%03d", 1},
		"on the last of all":  {"%03djane", 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := bitbucketsim.Start(bitbucketsim.Options{})
			t.Cleanup(server.Close)
			server.AddUser("jane", "pass word")
			for i := range 250 {
				server.AddUser(fmt.Sprintf(tt.others, i), "x")
			}
			slug, err := tokensAt(t, server.DataCenterURL(), janes()).FindUser(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "jane", slug)
			assert.Len(t, server.Journal.All(), tt.pages)
		})
	}
}

func TestListTokensReadsEveryPage(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("start") {
		case "0":
			_, _ = io.WriteString(w, `{"values":[{"id":"1","createdDate":1000}],"nextPageStart":1}`)
		default: // neither isLastPage nor another page
			_, _ = io.WriteString(w, `{"values":[{"id":"2","createdDate":2000,"expiryDays":1}],"nextPageStart":null}`)
		}
	}))
	t.Cleanup(server.Close)
	found, err := tokensAt(t, server.URL, janes()).ListTokens(t.Context(), bitbucket.TokenOwner{User: "jane"})
	require.NoError(t, err)
	assert.Equal(t, []bitbucket.TokenRecord{
		{ID: "1", Created: time.Unix(1, 0).UTC()}, {ID: "2", Created: time.Unix(2, 0).UTC(), Expires: time.Unix(2, 0).UTC().Add(24 * time.Hour)},
	}, found)
}

// TestAListThatDoesNotEndIsGivenUp: a list that is not whole is none, for a token that
// is not on it counts as revoked.
func TestAListThatDoesNotEndIsGivenUp(t *testing.T) {
	t.Parallel()
	item := `{"id":"1","name":"` + strings.Repeat("x", 1000) + `"}`
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	for name, tt := range map[string]struct {
		page  string // %d is the next start
		pages int
		want  string
	}{
		"one page for ever":      {`{"values":[` + item + `],"nextPageStart":7}`, 2, "the list does not move on: after 7 the next page begins at 7"},
		"back to the first":      {`{"values":[` + item + `],"nextPageStart":-1}`, 1, "the list does not move on: after 0 the next page begins at -1"},
		"one element repeated":   {`{"values":[` + item + `],"nextPageStart":%d}`, 100, "the list has more than 100 pages"},
		"no elements":            {`{"values":[],"nextPageStart":%d}`, 100, "the list has more than 100 pages"},
		"more than was asked":    {`{"values":[` + many(900) + `],"nextPageStart":%d}`, 12, "the list holds more than 10000 elements"},
		"more bytes than needed": {`{"values":[],"x":"` + strings.Repeat("x", 1000<<10) + `","nextPageStart":%d}`, 17, "the list is longer than 16 MiB"},
		"one page without end":   {`{"values":[` + many(1100) + `],"isLastPage":true}`, 1, "the answer is too large: more than 1 MiB"},
		"tiny elements":          {`{"values":[` + strings.Repeat("{},", 10_000) + `{}],"isLastPage":true}`, 1, "its lists hold more than 10000 elements"},
		"what is no ID":          {`{"values":[{"id":"../../users/jane"}],"isLastPage":true}`, 1, "the list holds a token without an ID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pages atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, strings.ReplaceAll(tt.page, "%d", fmt.Sprint(pages.Add(1))))
			}))
			t.Cleanup(server.Close)
			found, err := tokensAt(t, server.URL, janes()).ListTokens(t.Context(), bitbucket.TokenOwner{User: "jane"})
			require.ErrorContains(t, err, "GET /rest/access-tokens/latest/users/jane")
			require.ErrorContains(t, err, tt.want)
			assert.Nil(t, found)
			assert.EqualValues(t, tt.pages, pages.Load())
		})
	}
}

// TestAMintedTokenIsCheckedAsOneThatIsGiven, and revoked when it cannot be one.
func TestAMintedTokenIsCheckedAsOneThatIsGiven(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`MARKER x`:                       "holds white space",
		`MARKER\n`:                       "holds white space",
		`MARKER\u2028`:                   "holds white space",
		`MARKER\u0000`:                   "holds a character that no token has",
		`MARKER'; curl`:                  "holds white space",
		`MARKER'`:                        "holds a character that no token has",
		`\"MARKER\"`:                     "holds a character that no token has",
		`MARKER$(id)`:                    "holds a character that no token has",
		"MARKER`id`":                     "holds a character that no token has",
		`MARKER\\`:                       "holds a character that no token has",
		`MARKERü`:                        "holds a character that no token has",
		`MARKER\u202e`:                   "holds a character that no token has",
		strings.Repeat("MARKER12", 1000): "is longer than 1024 characters",
	} {
		for _, revocable := range []bool{true, false} {
			var revoked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPut:
					_, _ = io.WriteString(w, `{"id":"815","name":"x","token":"`+value+`"}`)
				case !revocable:
					http.Error(w, "no", http.StatusInternalServerError)
				default:
					revoked = append(revoked, r.URL.Path)
				}
			}))
			record, token, err := tokensAt(t, server.URL, janes()).CreateToken(t.Context(), bitbucket.TokenOwner{Project: "PRJ"}, "x", bitbucket.RepositoryWrite, 1)
			server.Close()
			require.ErrorContains(t, err, "PUT /rest/access-tokens/latest/projects/PRJ: ")
			require.ErrorContains(t, err, "the answer's token "+want)
			assert.NotContains(t, err.Error(), "MARKER")
			assert.True(t, token.IsEmpty())
			assert.Zero(t, record)
			if revocable {
				assert.Equal(t, []string{"/rest/access-tokens/latest/projects/PRJ/815"}, revoked)
				assert.NotErrorIs(t, err, bitbucket.ErrAnswerLost)
			} else {
				assert.ErrorIs(t, err, bitbucket.ErrAnswerLost, "it may live on")
			}
		}
	}
}

func TestCreateTokenSortsAnswers(t *testing.T) {
	t.Parallel()
	credential := base64.StdEncoding.EncodeToString([]byte("jane:pass word"))
	tests := []struct {
		name   string
		status int // 0 cuts the connection
		body   string
		lost   bool
		notOf  bool // not Bitbucket's words
		want   string
	}{
		{"refused", 401, `{"errors":[{"message":"You are not permitted","exceptionName":"com.atlassian.bitbucket.AuthorisationException"}]}`, false, false, "401; the server's words are not shown"},
		{"an old version", 404, `{"message":"HTTP 404 Not Found","status-code":404}`, false, true, "404; the"},
		{"a login page", 302, "", false, true, "302"},
		{"a page", 403, "<html>no</html>", false, true, "a page of HTML"},
		{"the credential repeated", 400, `{"errors":[{"message":"bad: ` + credential + ` pass word"}]}`, false, false, "400; the server's words are not shown"},
		{"the server fails", 500, "", true, false, "500"},
		{"no answer", 0, "", true, false, "EOF"},
		{"no token in the answer", 200, `{"id":"1"}`, true, false, "the answer holds no token"},
		{"no ID in the answer", 200, `{"id":"..","token":"x"}`, true, false, "the answer holds no token"},
		{"another answer", 200, `<html>`, true, false, "not Bitbucket's"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				assert.Equal(t, "Basic "+credential, r.Header.Get("Authorization"))
				if tt.status == 0 {
					panic(http.ErrAbortHandler)
				}
				if tt.status == 302 {
					w.Header().Set("Location", "/login")
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			t.Cleanup(server.Close)
			_, _, err := tokensAt(t, server.URL, janes()).CreateToken(t.Context(), bitbucket.TokenOwner{Project: "PRJ"}, "x", bitbucket.RepositoryWrite, 1)
			require.ErrorContains(t, err, "PUT /rest/access-tokens/latest/projects/PRJ: ")
			assert.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), credential)
			assert.NotContains(t, err.Error(), "pass word")
			assert.NotContains(t, err.Error(), "permitted", "nothing that the server says")
			var refused *bitbucket.Refusal
			if tt.lost {
				assert.ErrorIs(t, err, bitbucket.ErrAnswerLost)
				assert.NotErrorAs(t, err, &refused)
			} else {
				require.ErrorAs(t, err, &refused)
				assert.Equal(t, tt.notOf, refused.NotGit)
			}
			assert.Equal(t, 1, asked, "a change is not tried again")
		})
	}
}

// TestNoAnswerToAPutIsRepeated: it could hold the token that was made, which
// nobody knows to hide.
func TestNoAnswerToAPutIsRepeated(t *testing.T) {
	t.Parallel()
	const made = "BBDC-MARKER-made-just-now"
	for name, tt := range map[string]struct{ answer, want string }{
		"in the words":       {"HTTP/1.1 409 Conflict\r\nContent-Length: 49\r\n\r\n" + `{"errors":[{"message":"` + made + `"}]}`, "409; the server's words are not shown"},
		"in the status":      {"HTTP/1.1 500 " + made + "\r\nContent-Length: 0\r\n\r\n", "500 Internal Server Error"},
		"in what is no HTTP": {"HTTP/1.1 200 OK\r\n" + made + "\r\n\r\n", "the answer cannot be read"},
		"in no status":       {made + "\r\n\r\n", "the answer cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if assert.NoError(t, err) {
					_, _ = io.WriteString(conn, tt.answer)
					_ = conn.Close()
				}
			}))
			t.Cleanup(server.Close)
			_, _, err := tokensAt(t, server.URL, janes()).CreateToken(t.Context(), bitbucket.TokenOwner{Project: "PRJ"}, "x", bitbucket.RepositoryWrite, 1)
			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), "MARKER")
		})
	}
}
