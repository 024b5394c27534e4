package preflight

import (
	"errors"
	"fmt"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// explain says what a refusal means and what to do. The server's text decides
// where a status has several meanings.
func explain(r bitbucket.Repository, kind bitbucket.TokenKind, err error) error {
	if err == nil {
		return nil
	}
	var refused *bitbucket.Refusal
	if !errors.As(err, &refused) {
		return fmt.Errorf("prove the token against %s: %w", r.CloneURL(), err)
	}
	return fmt.Errorf("prove the token against %s: %w: %s", r.CloneURL(), err, meaning(r, kind, refused))
}

// explainPush says why require_write is not met.
func explainPush(r bitbucket.Repository, kind bitbucket.TokenKind, err error) error {
	if isOutage(err) {
		return fmt.Errorf("ask %s whether the token may push: %w", r.CloneURL(), err)
	}
	return fmt.Errorf("the token cannot push to %s, and require_write asks for it: %w; create one with %s", r.CloneURL(), err, writePermission(kind))
}

func meaning(r bitbucket.Repository, kind bitbucket.TokenKind, refused *bitbucket.Refusal) string {
	text := strings.ToLower(refused.Text)
	says := func(words ...string) bool {
		for _, word := range words {
			if strings.Contains(text, word) {
				return true
			}
		}
		return false
	}
	switch {
	case refused.NotGit:
		return "that is not a git server's answer but a login page, a proxy or a wrong context path; check repo_url"
	case says("captcha"):
		return "the server has locked the account after failed logins; log in once in a browser as the token's owner and solve the CAPTCHA"
	case says("not currently licensed"):
		return "the token's owner has no Bitbucket licence; ask an administrator for one"
	case says("whitelist", "allowlist"):
		return "the workspace admits listed IP addresses only; add the runner's and the agent's"
	case says("two-step"):
		return "the workspace demands two-step verification; enable it for the token's owner, or use a repository access token"
	case says("privilege scope"):
		return "the token lacks a scope; create one with " + readPermission(kind)
	case refused.Status == 429:
		return "Bitbucket limits the rate; run again later"
	case refused.Status >= 500:
		return "Bitbucket is down or being restarted; run again later"
	case refused.Status == 410:
		return "app passwords were removed on 2026-07-28; create an API token with scopes"
	case refused.Status == 401 && says("not permitted"):
		return "the token's owner is known but may not read the repository; grant " + readPermission(kind)
	case refused.Status == 401 && r.Flavor == bitbucket.Cloud:
		return fmt.Sprintf("the token was not accepted for the user %s: it is expired, revoked, cut off, made without scopes, or of another kind; create one with %s", kind.User(), readPermission(kind))
	case refused.Status == 401:
		return "the token was not accepted: it is expired, revoked or cut off; create one with " + readPermission(kind)
	}
	return fmt.Sprintf("%s does not exist, or the token may not see it; check the name, and that the token is for this repository", r)
}
