package preflight_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
)

const tokenPage = "create an API token with the scope read:repository:bitbucket (scopes do not imply each other) at https://id.atlassian.com/manage-profile/security/api-tokens"

const policy = "the organization's policy does not let the token's owner use API tokens; ask an administrator to allow them, or use a repository access token"

// pages make access tokens for acme/app.
const pages = " (https://bitbucket.org/acme/app/admin/access-tokens), or of its workspace (https://bitbucket.org/acme/workspace/settings/access-tokens)"

// TestEveryRefusalSaysWhatToDo has one row for each class of refusal, with the
// words of the real servers. The whole error is compared.
//
// Source: https://confluence.atlassian.com/bbkb/error-403-when-performing-git-operations-1155479141.html,
// https://github.com/go-git/go-git/issues/552 and public reports.
func TestEveryRefusalSaysWhatToDo(t *testing.T) {
	t.Parallel()
	stranger := func(status int, text string) error {
		return &bitbucket.Refusal{Status: status, Text: text, NotGit: true}
	}
	tests := map[string]struct {
		token  preflight.Token
		answer error
		want   string // after the repository
	}{
		"a bad API token": {
			apiToken, no(401, "Invalid credentials"),
			"401: Invalid credentials (presented as Basic with the user x-bitbucket-api-token-auth): the token was not accepted: it is expired, revoked, cut off, of another kind, or an API token without scopes, which looks the same; " + tokenPage,
		},
		"a bad token of a kind that is a guess": {
			guess, no(401, "Invalid credentials"),
			"401: Invalid credentials (presented as Basic with the user x-bitbucket-api-token-auth, then as Basic with the user x-token-auth): the token was not accepted: it is expired, revoked, cut off, of another kind, or an API token without scopes, which looks the same; " + tokenPage,
		},
		"a bad access token": {
			access, no(401, "You may not have access to this repository or it no longer exists in this workspace"),
			"401: You may not have access to this repository or it no longer exists in this workspace (presented as Basic with the user x-token-auth): the token was not accepted: it is expired, revoked, cut off or of another kind; create an access token with the scope repository (Repositories: Read) in the settings of acme/app, Security, Access tokens" + pages,
		},
		"a bad Data Center token": {
			httpToken, no(401, "Authentication failed. Please check your credentials and try again"),
			"401: Authentication failed. Please check your credentials and try again (presented as Bearer): the token was not accepted: it is expired, revoked, cut off or of another kind; create an HTTP access token with the permission Repository read in the settings of PRJ/app, of its project or of a user (https://git.example/bitbucket/plugins/servlet/access-tokens/manage)",
		},
		"an expired token": {
			apiToken, no(401, "Access token expired"),
			"401: Access token expired (presented as Basic with the user x-bitbucket-api-token-auth): the token has expired; " + tokenPage,
		},
		"no scope, in plain words": {
			apiToken, noScope,
			"403: Your credentials lack one or more required privilege scopes: the token is known, but lacks a scope; " + tokenPage,
		},
		"no scope, and which there are": {
			access, no(403, "Your credentials lack one or more required privilege scopes. (required: repository; granted: pipeline)"),
			"403: Your credentials lack one or more required privilege scopes. (required: repository; granted: pipeline): the token is known, but lacks a scope; create an access token with the scope repository (Repositories: Read) in the settings of acme/app, Security, Access tokens" + pages,
		},
		"a hidden repository on Cloud": {
			apiToken, no(403, "The requested repository either does not exist or you do not have access"),
			"403: The requested repository either does not exist or you do not have access: acme/app does not exist, or the token may not see it, and the server does not say which; check the name, and that the token has the scope read:repository:bitbucket and its owner access to acme/app; an API token can be limited to another workspace",
		},
		"a missing repository on Cloud, long ago": {
			access, no(404, "a page of HTML"),
			"404: a page of HTML: acme/app does not exist, or the token may not see it, and the server does not say which; check the name, and that the token has the scope repository (Repositories: Read) and its owner access to acme/app; a repository's own token works for that repository only",
		},
		"a hidden repository on Data Center": {
			httpToken, missing,
			"200: Repository not found The requested repository does not exist, or you do not have permission to access it: PRJ/app does not exist, or the token may not see it, and the server does not say which; check the name, and that the token has the permission Repository read and its owner access to PRJ/app; a repository's own token works for that repository only",
		},
		"a known token without the permission": {
			httpToken, no(401, "You are not permitted to access this resource (bitbucket.AuthorisationException)"),
			"401: You are not permitted to access this resource (bitbucket.AuthorisationException) (presented as Bearer): the token is known, but may not see the repository; check that the token has the permission Repository read and its owner access to PRJ/app",
		},
		"an address that is not on the list": {
			apiToken, no(403, "To access this repository, an admin must whitelist your IP"),
			"403: To access this repository, an admin must whitelist your IP: the workspace accepts only listed IP addresses; ask an admin to add this runner's and those of the agents, which run elsewhere",
		},
		"two-step verification": {
			apiToken, no(403, "To access this repository, enable two-step authentication"),
			"403: To access this repository, enable two-step authentication: the workspace requires two-step verification; enable it for the token's owner, or use a repository access token",
		},
		"an organization that blocks": {
			apiToken, no(403, "Access is blocked by your organization's admin"),
			"403: Access is blocked by your organization's admin: " + policy,
		},
		"an organization that blocks, in other letters": {
			apiToken, no(403, "Your organisation does not permit this"),
			"403: Your organisation does not permit this: " + policy,
		},
		"an owner who is not allowed": {
			apiToken, no(403, "You are not allowed to use API tokens in this workspace"),
			"403: You are not allowed to use API tokens in this workspace: " + policy,
		},
		"a policy of managed users": {
			apiToken, no(403, "The authentication policy rules this out"),
			"403: The authentication policy rules this out: " + policy,
		},
		"a policy of external users": {
			apiToken, no(403, "The external user policy rules this out"),
			"403: The external user policy rules this out: " + policy,
		},
		"a policy behind 401": {
			apiToken, no(401, "An admin has disabled API token access"),
			"401: An admin has disabled API token access (presented as Basic with the user x-bitbucket-api-token-auth): " + policy,
		},
		"an organization's policy, and no API token": {
			access, no(403, "Access is blocked by your organization's admin"),
			"403: Access is blocked by your organization's admin: the server does not say why; check that the token has the scope repository (Repositories: Read) and its owner access to acme/app",
		},
		"somebody else's policy": {
			apiToken, no(403, "Blocked by policy"),
			"403: Blocked by policy: the server does not say why; check that the token has the scope read:repository:bitbucket and its owner access to acme/app",
		},
		"an organization's list of addresses": {
			apiToken, no(403, "Your IP is blocked by your organization's IP allowlist"),
			"403: Your IP is blocked by your organization's IP allowlist: the workspace accepts only listed IP addresses; ask an admin to add this runner's and those of the agents, which run elsewhere",
		},
		"CAPTCHA": {
			httpToken, no(200, "CAPTCHA required Your Bitbucket account has been marked as requiring a CAPTCHA to be solved before it may be used again"),
			"200: CAPTCHA required Your Bitbucket account has been marked as requiring a CAPTCHA to be solved before it may be used again: the server has locked the token's owner out after failed logins; log in once at https://git.example/bitbucket as the owner, solve the CAPTCHA, then run again",
		},
		"no licence": {
			httpToken, no(200, "You are not currently licensed to use Bitbucket. Please contact your administrator"),
			"200: You are not currently licensed to use Bitbucket. Please contact your administrator: the token is known, but its owner has no Bitbucket licence; ask an administrator for one",
		},
		"a limit": {
			apiToken, no(429, "Rate limit for this resource has been exceeded (Retry-After: 120)"),
			"429: Rate limit for this resource has been exceeded (Retry-After: 120): Bitbucket limits the rate, and the token may be valid; run again later",
		},
		"a server that is down": {
			apiToken, busy,
			"503: a page of HTML: Bitbucket is down or restarting, and the token may be valid; run again later",
		},
		"a server that is not there": {
			apiToken, errors.New("dial tcp: lookup bitbucket.org: no such host"),
			"dial tcp: lookup bitbucket.org: no such host; this says nothing about the token: check the host in repo_url, and whether a VPN, a proxy or a firewall blocks the way; agents must reach the host too",
		},
		"a server that nobody trusts": {
			httpToken, fmt.Errorf("%w; set ca_certificate", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}),
			"tls: failed to verify certificate: x509: certificate signed by unknown authority; set ca_certificate",
		},
		"a server that says what to do": {
			httpToken, fmt.Errorf("GET x: %w", fixable{}),
			"GET x: no; do that",
		},
		"a wrong context path": {
			httpToken, stranger(404, "a page of HTML"),
			"404: a page of HTML: the answer is from a login page or a proxy, not from a git server; check the host and the path in front of /scm/ in repo_url against what Bitbucket shows under Clone, and allow /scm/ in the proxy",
		},
		"a sign-in proxy": {
			httpToken, stranger(302, "redirected to https://sso.example"),
			"302: redirected to https://sso.example: a git server does not redirect this address, so a sign-in proxy did, or repo_url is out of date; the token is not sent after a redirect; check the host and the path in front of /scm/ in repo_url against what Bitbucket shows under Clone, and allow /scm/ in the proxy",
		},
		"a repository that has moved": {
			apiToken, &bitbucket.Refusal{Status: 301, NotGit: true, Text: "redirected to https://bitbucket.org/new/app.git", MovedTo: "https://bitbucket.org/new/app.git"},
			"301: redirected to https://bitbucket.org/new/app.git: the repository has moved, and a token is not sent after a redirect; give https://bitbucket.org/new/app.git in repo_url, or in the environment that clones it",
		},
		"a proxy in front of Cloud": {
			apiToken, stranger(200, `the answer has the type "text/html", not git's`),
			`200: the answer has the type "text/html", not git's: the answer is from a login page or a proxy, not from a git server; allow bitbucket.org in the proxy of this network`,
		},
		"a proxy that drops the credential": {
			httpToken, no(401, "Authentication is required to access this resource. (plugins.rest.api.security.exception.AuthenticationRequiredException)"),
			"401: Authentication is required to access this resource. (plugins.rest.api.security.exception.AuthenticationRequiredException) (presented as Bearer): no credential has reached Bitbucket; a proxy in front of it has dropped the Authorization header",
		},
		"an app password": {
			apiToken, no(410, "App passwords are gone"),
			"410: App passwords are gone: this is how Bitbucket refuses app passwords, which it removed on 2026-07-28; " + tokenPage,
		},
		"an app password, with the announcement": {
			apiToken, no(410, "CHANGE-3222 - Functionality has been deprecated (announcement_url: https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-3222)"),
			"410: CHANGE-3222 - Functionality has been deprecated (announcement_url: https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-3222): this is how Bitbucket refuses app passwords, which it removed on 2026-07-28; " + tokenPage,
		},
		"an address that was removed": {
			apiToken, no(410, "CHANGE-2770 - Functionality has been deprecated"),
			"410: CHANGE-2770 - Functionality has been deprecated: the token is not the cause: this version of oz-bitbucket uses an address that Bitbucket has removed; look for a newer version",
		},
		"an address that will be": {
			access, no(410, "CHANGE-9999 - Gone (announcement_url: https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-9999)"),
			"410: CHANGE-9999 - Gone (announcement_url: https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-9999): the token is not the cause: this version of oz-bitbucket uses an address that Bitbucket has removed; look for a newer version",
		},
		"words of tomorrow": {
			apiToken, no(403, "Forbidden"),
			"403: Forbidden: the server does not say why; check that the token has the scope read:repository:bitbucket and its owner access to acme/app",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repository := bitbucket.Repository{Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: "acme", Slug: "app"}
			if tt.token.Kind == bitbucket.HTTPAccessToken {
				repository = bitbucket.Repository{Flavor: bitbucket.DataCenter, Scheme: "https", Host: "git.example", Context: "/bitbucket", Owner: "PRJ", Slug: "app"}
			}
			s := &server{answers: map[string]error{"": tt.answer}}
			_, err := check(t.Context(), s, []bitbucket.Repository{repository}, tt.token, "", false)
			require.ErrorIs(t, err, tt.answer)
			assert.EqualError(t, err, "prove the token against "+repository.CloneURL()+": "+tt.want)
		})
	}
}

// TestEveryRefusedPushSaysWhatToDo: the token may read.
func TestEveryRefusedPushSaysWhatToDo(t *testing.T) {
	t.Parallel()
	const cannot = "the token cannot push to https://bitbucket.org/acme/app.git, and require_write asks for it: "
	tests := map[string]struct {
		answer error
		want   string
	}{
		"a scope":                     {noScope, cannot + "403: Your credentials lack one or more required privilege scopes: the token is known, but lacks a scope; create an access token with the scope repository:write (Repositories: Write) in the settings of acme/app, Security, Access tokens" + pages},
		"401":                         {unauthorized, cannot + "401: Invalid credentials: the token can read but not push; create an access token with the scope repository:write (Repositories: Write) in the settings of acme/app, Security, Access tokens" + pages},
		"no permission":               {no(403, "You do not have permission to push to this repository"), cannot + "403: You do not have permission to push to this repository: the token is known, but may not do this; check that the token has the scope repository:write (Repositories: Write) and its owner access to acme/app"},
		"archived":                    {no(200, "Repository archived The repository is archived and cannot be pushed to"), cannot + "200: Repository archived The repository is archived and cannot be pushed to: the repository is archived and takes no push; take it out of the archive, or set require_write to false"},
		"an address that was removed": {removed, "ask https://bitbucket.org/acme/app.git whether the token may push: 410: CHANGE-2770 - Functionality has been deprecated: the token is not the cause: this version of oz-bitbucket uses an address that Bitbucket has removed; look for a newer version"},
		"the server is down":          {busy, "ask https://bitbucket.org/acme/app.git whether the token may push: 503: a page of HTML: Bitbucket is down or restarting, and the token may be valid; run again later"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{answers: map[string]error{"push": tt.answer}, refs: bitbucket.Refs{Head: head}}
			_, err := check(t.Context(), s, cloud("app"), access, "", true)
			assert.EqualError(t, err, tt.want)
		})
	}
}

// fixable is an error as transport makes it.
type fixable struct{}

func (fixable) Error() string  { return "no; do that" }
func (fixable) Remedy() string { return "do that" }
