package mint

import (
	"errors"
	"fmt"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// explain adds what a refusal of the REST API for tokens means and what to do.
//
// Source: https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html
// and the server's OpenAPI document; the words of refusals differ by version.
func explain(err error, of bitbucket.TokenOwner) error {
	var refused *bitbucket.Refusal
	if !errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("%w: %s", err, whyTokenRefused(refused, of))
}

func whyTokenRefused(refused *bitbucket.Refusal, of bitbucket.TokenOwner) string {
	text := strings.ToLower(refused.Text)
	switch {
	case strings.Contains(text, "captcha"):
		return "the server has locked the account after failed logins; log in once in a browser and solve the CAPTCHA"
	case strings.Contains(text, "basic authentication"):
		return "the server takes no passwords over REST; give a bitbucket_token that may make tokens, or make a token on the website and give it as bitbucket_token"
	case refused.Status == 404 && refused.NotGit:
		return "this server has no REST API for tokens of a " + kind(of) + " at this path: it is too old (user tokens came with 5.5, the others with 7.18), or the context path is wrong"
	case refused.Status == 404:
		return "the server does not know the " + of.String()
	case refused.Status == 401 && strings.Contains(text, "not permitted"), refused.Status == 403:
		return "the credential may not manage tokens of the " + kind(of) + ": give bitbucket_username and bitbucket_password of " + manager(of) + "; many servers do not let a token make tokens"
	case refused.Status == 401:
		return "the credential was not accepted; it is wrong, expired or revoked, or the server takes no passwords over REST"
	case refused.Status == 400 && strings.Contains(text, "expir"):
		return "the server's policy limits how long a token may live; set token_expiry_days to a number within that limit"
	case refused.Status == 400 && strings.Contains(text, "maximum"):
		return "the " + kind(of) + " has as many tokens as the server allows; revoke some"
	case refused.NotGit:
		return "that is not Bitbucket's answer but a login page or a proxy"
	}
	return "the server refused"
}

func kind(of bitbucket.TokenOwner) string {
	word, _, _ := strings.Cut(of.String(), " ")
	return word
}

// manager names who may make tokens for the owner.
func manager(of bitbucket.TokenOwner) string {
	if of.User != "" {
		return "the user itself"
	}
	return "an administrator of the " + kind(of)
}
