package bitbucket_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	const (
		cloud  = bitbucket.Cloud
		server = bitbucket.DataCenter
	)
	tests := []struct {
		name        string
		flavor      bitbucket.Flavor
		token       string
		wantKind    bitbucket.TokenKind
		wantCertain bool
		wantForeign string // a part of it
	}{
		{"API token", cloud, "ATATT3xFfGF0", bitbucket.APIToken, true, ""},
		{"access token", cloud, "ATCTT3xFfGN0", bitbucket.AccessToken, true, ""},
		{"unknown on Cloud", cloud, "opaque", bitbucket.APIToken, false, ""},
		{"Data Center token on Cloud", cloud, "BBDC-MjAz", bitbucket.APIToken, false, "Data Center HTTP access token (BBDC-…)"},
		{"app password on Cloud", cloud, "ATBBabc", bitbucket.APIToken, false, "app password (ATBB…), which Bitbucket removed on 2026-07-28"},
		{"Warp API key", cloud, "wk-1.abc", bitbucket.APIToken, false, "Warp API key"},
		{"HTTP access token", server, "BBDC-MjAz", bitbucket.HTTPAccessToken, true, ""},
		{"older HTTP access token", server, "MjUyOTcz", bitbucket.HTTPAccessToken, true, ""},
		{"API token on Data Center", server, "ATATT3xFfGF0", bitbucket.HTTPAccessToken, true, "Cloud API token (ATATT…)"},
		{"access token on Data Center", server, "ATCTT3xFfGN0", bitbucket.HTTPAccessToken, true, "Cloud access token (ATCTT…)"},
		{"app password on Data Center", server, "ATBBabc", bitbucket.HTTPAccessToken, true, "app password"},
		{"GitHub token", server, "ghp_abc", bitbucket.HTTPAccessToken, true, "GitHub"},
		{"no flavor", "", "ATATT3xFfGF0", bitbucket.APIToken, true, "Cloud API token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hasPrefix := func(prefix string) bool { return strings.HasPrefix(tt.token, prefix) }

			kind, certain := bitbucket.KindOf(tt.flavor, hasPrefix)
			assert.Equal(t, tt.wantKind, kind)
			assert.Equal(t, tt.wantCertain, certain)

			foreign := bitbucket.ForeignKind(tt.flavor, hasPrefix)
			if tt.wantForeign == "" {
				assert.Empty(t, foreign)
			} else {
				assert.Contains(t, foreign, tt.wantForeign)
			}
		})
	}
}

func TestTokenKinds(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []bitbucket.TokenKind{"api_token", "access_token"}, bitbucket.Cloud.TokenKinds())
	assert.Equal(t, []bitbucket.TokenKind{"http_access_token"}, bitbucket.DataCenter.TokenKinds())
	assert.Empty(t, bitbucket.Flavor("").TokenKinds())
}

func TestUser(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "x-bitbucket-api-token-auth", bitbucket.APIToken.User())
	assert.Equal(t, "x-token-auth", bitbucket.AccessToken.User())
	assert.Equal(t, "x-token-auth", bitbucket.HTTPAccessToken.User())
}

func TestSurplus(t *testing.T) {
	t.Parallel()
	all := []string{
		"read:repository:bitbucket", "write:repository:bitbucket", "admin:repository:bitbucket", "delete:repository:bitbucket", "manage:org",
		"read:user:bitbucket", "repository", "repository:write", "repository:admin", "repository:delete", "pullrequest", "pullrequest:write", "pipeline", "webhook",
	}
	rest := []string{
		"admin:repository:bitbucket", "delete:repository:bitbucket", "manage:org", "repository:admin", "repository:delete", "pullrequest:write", "webhook",
	}
	assert.ElementsMatch(t, rest, bitbucket.Surplus(all, true))
	assert.ElementsMatch(t, append(rest, "write:repository:bitbucket", "repository:write"), bitbucket.Surplus(all, false))
	assert.Empty(t, bitbucket.Surplus([]string{"repository", "read:repository:bitbucket"}, false))
	assert.Empty(t, bitbucket.Surplus(nil, false))
}
