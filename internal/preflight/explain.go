package preflight

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// explain returns an error that says what an answer to a clone means and what to do.
func explain(r bitbucket.Repository, kind bitbucket.TokenKind, err error) error {
	return fmt.Errorf("prove the token against %s: %w", r.CloneURL(), explained(r, kind, readPermission(kind), err))
}

// explainPush returns an error that says why require_write is not met. A 401 for a token
// that can read refuses only the push.
func explainPush(r bitbucket.Repository, kind bitbucket.TokenKind, err error) error {
	need := writePermission(kind)
	switch {
	case isUnauthorized(err):
		err = fmt.Errorf("%w: the token can read but not push; %s", err, create(r, kind, need))
	case isOutage(err):
		return fmt.Errorf("ask %s whether the token may push: %w", r.CloneURL(), explained(r, kind, need, err))
	default:
		err = explained(r, kind, need, err)
	}
	return fmt.Errorf("the token cannot push to %s, and require_write asks for it: %w", r.CloneURL(), err)
}

// explained adds to an answer what it means and what to do.
func explained(r bitbucket.Repository, kind bitbucket.TokenKind, need string, err error) error {
	var refused *bitbucket.Refusal
	var certificate *tls.CertificateVerificationError
	var fixable interface{ Remedy() string } // of transport
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("%w: %s", err, whyRefused(r, kind, need, refused))
	case errors.As(err, &certificate), errors.As(err, &fixable), errors.Is(err, bitbucket.ErrNotAsked): // the error says what to do
		return err
	}
	return fmt.Errorf("%w; this says nothing about the token: check the host in repo_url, and whether a VPN, a proxy or a firewall blocks the way; agents must reach the host too", err)
}

// whyRefused returns the meaning of a refusal and what to do. Where a status has several
// meanings, the server's text decides. Its wording has changed over the years, so only a few
// words of it are compared. need is the required permission.
//
// Source: https://confluence.atlassian.com/bbkb/error-403-when-performing-git-operations-1155479141.html
// for Cloud; for Data Center https://github.com/go-git/go-git/issues/552 (a
// refusal is 200 with ERR) and the exceptions in
// https://docs.atlassian.com/bitbucket-server/javadoc/
func whyRefused(r bitbucket.Repository, kind bitbucket.TokenKind, need string, refused *bitbucket.Refusal) string {
	says := func(words ...string) bool { return hasAny(refused, words...) }
	switch {
	case refused.MovedTo != "":
		return "the repository has moved, and a token is not sent after a redirect; give " + refused.MovedTo + " in repo_url, or in the environment that clones it"
	case refused.NotGit:
		return stranger(r, refused)
	case refused.Status == 429:
		return "Bitbucket limits the rate, and the token may be valid; run again later"
	case refused.Status >= 500:
		return "Bitbucket is down or restarting, and the token may be valid; run again later"
	case isRemoved(refused):
		return "the token is not the cause: this version of oz-bitbucket uses an address that Bitbucket has removed; look for a newer version"
	case refused.Status == 410:
		return "this is how Bitbucket refuses app passwords, which it removed on 2026-07-28; " + create(r, kind, need)
	case says("captcha"):
		return "the server has locked the token's owner out after failed logins; log in once at " + r.Origin() + r.Context + " as the owner, solve the CAPTCHA, then run again"
	case says("not currently licensed", "noaccessauthentication"):
		return "the token is known, but its owner has no Bitbucket licence; ask an administrator for one"
	case isOfAddress(refused):
		return "the workspace accepts only listed IP addresses; ask an admin to add this runner's and those of the agents, which run elsewhere"
	case says("two-step", "two-factor"):
		return "the workspace requires two-step verification; enable it for the token's owner, or use a repository access token"
	case kind == bitbucket.APIToken && isPolicy(refused):
		return "the organization's policy does not let the token's owner use API tokens; ask an administrator to allow them, or use a repository access token"
	case says("privilege scope"):
		return "the token is known, but lacks a scope; " + create(r, kind, need)
	case says("archived"):
		return "the repository is archived and takes no push; take it out of the archive, or set require_write to false"
	case says("authentication is required", "authenticationrequired"):
		return "no credential has reached Bitbucket; a proxy in front of it has dropped the Authorization header"
	case refused.Status == 401 && says("not permitted", "authorisationexception"):
		return "the token is known, but may not see the repository; check " + grant(r, need)
	case refused.Status == 401 && says("token expired", "has expired"):
		return "the token has expired; " + create(r, kind, need)
	case refused.Status == 401 && kind == bitbucket.APIToken:
		return "the token was not accepted: it is expired, revoked, cut off, of another kind, or an API token without scopes, which looks the same; " + create(r, kind, need)
	case refused.Status == 401:
		return "the token was not accepted: it is expired, revoked, cut off or of another kind; " + create(r, kind, need)
	case refused.Status == 404, says("not exist", "no longer exists", "not found", "not have access"):
		return fmt.Sprintf("%s does not exist, or the token may not see it, and the server does not say which; check the name, and %s; %s", r, grant(r, need), reach(kind))
	case refused.Status == 403 && says("permission"):
		return "the token is known, but may not do this; check " + grant(r, need)
	}
	return "the server does not say why; check " + grant(r, need)
}

// hasAny reports whether a refusal's text has any of the words, in any letter case.
func hasAny(refused *bitbucket.Refusal, words ...string) bool {
	text := strings.ToLower(refused.Text)
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}

// isRemoved reports whether a refusal is the 410 of an address that Bitbucket has removed.
// An app password gets a 410 too, also with an announcement.
//
// Source: https://developer.atlassian.com/cloud/bitbucket/changelog/#CHANGE-2770;
// app passwords are CHANGE-3222.
func isRemoved(refused *bitbucket.Refusal) bool {
	return refused.Status == 410 && hasAny(refused, "change-2770", "announcement_url") && !hasAny(refused, "app password", "change-3222")
}

// isOfAddress reports whether Bitbucket refused the caller's IP address.
func isOfAddress(refused *bitbucket.Refusal) bool {
	return hasAny(refused, "whitelist", "allowlist", "allow list")
}

// isPolicy reports whether an organization's policy refuses an API token. Atlassian
// documents that the answer names an administrator's block, but not its words.
//
// Source: https://support.atlassian.com/security-and-access-policies/docs/set-api-token-access/
func isPolicy(refused *bitbucket.Refusal) bool {
	return hasAny(refused, "api token", "organization", "organisation", "authentication policy", "user policy") &&
		hasAny(refused, "policy", "block", "not allow", "not permit", "disabled")
}

// stranger returns what probably answered instead of a git server, and what to do.
func stranger(r bitbucket.Repository, refused *bitbucket.Refusal) string {
	who := "the answer is from a login page or a proxy, not from a git server"
	if refused.Status >= 300 && refused.Status < 400 {
		who = "a git server does not redirect this address, so a sign-in proxy did, or repo_url is out of date; the token is not sent after a redirect"
	}
	if r.Flavor == bitbucket.Cloud {
		return who + "; allow bitbucket.org in the proxy of this network"
	}
	return who + "; check the host and the path in front of /scm/ in repo_url against what Bitbucket shows under Clone, and allow /scm/ in the proxy"
}

// grant returns what to check for a token that the server knows.
func grant(r bitbucket.Repository, need string) string {
	return fmt.Sprintf("that the token has %s and its owner access to %s", need, r)
}

// reach returns another reason why a valid token of this kind may not see a repository.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/api-tokens/, "API token features"
func reach(kind bitbucket.TokenKind) string {
	if kind == bitbucket.APIToken {
		return "an API token can be limited to another workspace"
	}
	return "a repository's own token works for that repository only"
}

// create returns how to make a token that works, with the page for it. The addresses of
// Bitbucket's pages are not documented; they are as browsers show them.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/,
// https://support.atlassian.com/bitbucket-cloud/docs/repository-access-tokens/ and
// https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html
func create(r bitbucket.Repository, kind bitbucket.TokenKind, need string) string {
	switch kind {
	case bitbucket.APIToken:
		return "create an API token with " + need + " (scopes do not imply each other) at https://id.atlassian.com/manage-profile/security/api-tokens"
	case bitbucket.AccessToken:
		return "create an access token with " + need + " in the settings of " + r.String() + ", Security, Access tokens (" + r.Origin() + "/" + r.String() + "/admin/access-tokens), or of its workspace (" +
			r.Origin() + "/" + r.Owner + "/workspace/settings/access-tokens)"
	}
	return "create an HTTP access token with " + need + " in the settings of " + r.String() + ", of its project or of a user (" + r.Origin() + r.Context + "/plugins/servlet/access-tokens/manage)"
}

// readPermission names what a token needs to clone.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/api-token-permissions/
func readPermission(k bitbucket.TokenKind) string {
	switch k {
	case bitbucket.APIToken:
		return "the scope read:repository:bitbucket"
	case bitbucket.AccessToken:
		return "the scope repository (Repositories: Read)"
	}
	return "the permission Repository read"
}

// writePermission names what a token needs to clone and push.
func writePermission(k bitbucket.TokenKind) string {
	switch k {
	case bitbucket.APIToken:
		return "the scopes read:repository:bitbucket and write:repository:bitbucket"
	case bitbucket.AccessToken:
		return "the scope repository:write (Repositories: Write)"
	}
	return "the permission Repository write"
}
