package bitbucket

import (
	"slices"
	"strings"
)

// TokenKind is a kind of token. Git and REST treat each kind differently.
type TokenKind string

// The token kinds.
const (
	APIToken        TokenKind = "api_token"         // Cloud: of an Atlassian account, made with scopes
	AccessToken     TokenKind = "access_token"      // Cloud: of a repository, project or workspace
	HTTPAccessToken TokenKind = "http_access_token" // Data Center: of a user, project or repository
)

// Prefixes that tell the kind of a token.
//
// Source: Atlassian's own examples and public secret scanners; the length
// varies, and older Data Center tokens have no prefix.
const (
	apiTokenPrefix        = "ATATT"
	accessTokenPrefix     = "ATCTT"
	appPasswordPrefix     = "ATBB"
	httpAccessTokenPrefix = "BBDC-"
)

// User is the user name that git sends with a token of this kind. On Data Center it is
// for Basic authentication; Bearer has no user name.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/
// and, for access tokens, BitbucketAccessTokenAuthenticator.java of Jenkins'
// bitbucket-branch-source plugin.
func (k TokenKind) User() string {
	if k == APIToken {
		return "x-bitbucket-api-token-auth"
	}
	return "x-token-auth"
}

// Login is how git presents a token of this kind: Basic on Cloud, Bearer on Data
// Center. Every version of Data Center accepts Bearer for tokens of every owner.
//
// Source: https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html
func (k TokenKind) Login() Login {
	if k == HTTPAccessToken {
		return Login{Bearer: true}
	}
	return Login{User: k.User()}
}

// Surplus lists the scopes of a Cloud token that allow changes, which a clone does not
// need: "write:repository:bitbucket", "repository:write", "webhook" and so on. With
// push, the scope to push is left out.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/api-token-permissions/
// and https://support.atlassian.com/bitbucket-cloud/docs/repository-access-token-permissions/
func Surplus(scopes []string, push bool) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool {
		if scope == "write:repository:bitbucket" || scope == "repository:write" {
			return push
		}
		for part := range strings.SplitSeq(scope, ":") {
			switch part {
			case "write", "admin", "delete", "manage", "webhook":
				return false
			}
		}
		return true
	})
}

// KindOf derives the kind of a token from the flavor and the token's prefix. It is
// certain when the prefix says so or the flavor has only that kind. Otherwise kind is a
// guess: the flavor's most common one.
func KindOf(f Flavor, hasPrefix func(string) bool) (kind TokenKind, certain bool) {
	switch {
	case f == DataCenter:
		return HTTPAccessToken, true
	case hasPrefix(apiTokenPrefix):
		return APIToken, true
	case hasPrefix(accessTokenPrefix):
		return AccessToken, true
	}
	return APIToken, false
}

// ForeignKind says what a token is when its prefix shows that it cannot work
// with the flavor: "a Data Center HTTP access token (BBDC-…)". It is empty for
// a token that may work. The empty flavor has no tokens of its own: every known
// prefix is foreign to it.
func ForeignKind(f Flavor, hasPrefix func(string) bool) string {
	for _, known := range knownTokens {
		fits := known.flavor == f && f != ""
		if !fits && hasPrefix(known.prefix) {
			return known.name
		}
	}
	return ""
}

// knownTokens names tokens by prefix, with the flavor that they work with.
var knownTokens = []struct {
	prefix string
	flavor Flavor // empty: none
	name   string
}{
	{apiTokenPrefix, Cloud, "a Bitbucket Cloud API token (ATATT…)"},
	{accessTokenPrefix, Cloud, "a Bitbucket Cloud access token (ATCTT…)"},
	{httpAccessTokenPrefix, DataCenter, "a Data Center HTTP access token (BBDC-…)"},
	// Source: Atlassian Community, article 3237429 (CHANGE-3222).
	{appPasswordPrefix, "", "an app password (ATBB…), which Bitbucket removed on 2026-07-28"},
	{"wk-", "", "a Warp API key (wk-…)"},
	{"ghp_", "", "a GitHub token (ghp_…)"},
	{"github_pat_", "", "a GitHub token (github_pat_…)"},
	{"glpat-", "", "a GitLab token (glpat-…)"},
}

// NotInToken reports whether r is a character that no token of Bitbucket or Warp holds:
// they are printable ASCII without white space, quotes and the like.
func NotInToken(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("'\"\\$`", r)
}
