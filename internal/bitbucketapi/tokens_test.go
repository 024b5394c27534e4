package bitbucketapi_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
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
		default: // a server that does not advance
			_, _ = io.WriteString(w, `{"values":[{"id":"2","createdDate":2000,"expiryDays":1}],"nextPageStart":1}`)
		}
	}))
	t.Cleanup(server.Close)
	found, err := tokensAt(t, server.URL, janes()).ListTokens(t.Context(), bitbucket.TokenOwner{User: "jane"})
	require.NoError(t, err)
	assert.Equal(t, []bitbucket.TokenRecord{
		{ID: "1", Created: time.Unix(1, 0).UTC()}, {ID: "2", Created: time.Unix(2, 0).UTC(), Expires: time.Unix(2, 0).UTC().Add(24 * time.Hour)},
	}, found)
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
		{"refused", 401, `{"errors":[{"message":"You are not permitted","exceptionName":"com.atlassian.bitbucket.AuthorisationException"}]}`, false, false, "not permitted"},
		{"an old version", 404, `{"message":"HTTP 404 Not Found","status-code":404}`, false, true, "404"},
		{"a login page", 302, "", false, true, "302"},
		{"a page", 403, "<html>no</html>", false, true, "a page of HTML"},
		{"the credential repeated", 400, `{"errors":[{"message":"bad: ` + credential + ` pass word"}]}`, false, false, "bad"},
		{"the server fails", 500, "", true, false, "500"},
		{"no answer", 0, "", true, false, "EOF"},
		{"no token in the answer", 200, `{"id":"1"}`, true, false, "the answer holds no token"},
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
