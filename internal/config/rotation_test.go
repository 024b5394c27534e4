package config_test

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// rotate is the inputs of a rotation without a repository, with changes.
func rotate(changes ...map[string]string) map[string]string {
	inputs := cloud(append([]map[string]string{{"mode": "rotate"}}, changes...)...)
	if len(changes) == 0 || changes[0]["repo_url"] == "" {
		delete(inputs, "repo_url")
	}
	return inputs
}

// minting is the inputs of a rotation that makes its own token, with changes.
func minting(changes ...map[string]string) map[string]string {
	inputs := map[string]string{"mode": "rotate", "mint": "true", "flavor": "datacenter", "trusted_hosts": "https://git.example.com", "bitbucket_token": httpToken, "warp_api_key": warpAPIKey}
	for _, change := range changes {
		maps.Copy(inputs, change)
	}
	return inputs
}

func TestRotation(t *testing.T) {
	t.Parallel()
	c := parse(t, rotate(with("previous_token", "the-old-value"), with("smoke_test", "all")))
	assert.Equal(t, config.Rotation{PreviousToken: sensitive.New("the-old-value"), MintOwner: "auto"}, c.Rotation)
	assert.Equal(t, "BITBUCKET_API_TOKEN", c.SecretName, "the token's prefix tells the flavor")
	assert.Empty(t, c.EnvironmentName, "nothing is narrowed")
	assert.True(t, c.SmokeTest && c.SmokeTestAll)
	assert.Equal(t, "BITBUCKET_TOKEN", parse(t, rotate(with("bitbucket_token", httpToken), with("trusted_hosts", "https://git.example.com"))).SecretName)
	assert.Equal(t, "MINE", parse(t, rotate(with("bitbucket_token", "opaque"), with("secret_name", "MINE"))).SecretName)
}

func TestMinting(t *testing.T) {
	t.Parallel()
	c := parse(t, minting(map[string]string{
		"bitbucket_token": "", "bitbucket_username": "jane", "bitbucket_password": "pass word $1", "mint_owner": "project", "token_expiry_days": "30", "revoke_after": "3",
	}))
	assert.Equal(t, config.Rotation{
		Mint: true, MintOwner: "project", Username: "jane", Password: sensitive.New("pass word $1"), ExpiryDays: 30, RevokeAfter: 72 * time.Hour,
	}, c.Rotation)
	assert.Equal(t, bitbucket.DataCenter, c.Flavor)
	for text, want := range map[string]time.Duration{"": 0, "0": 0, "90m": 90 * time.Minute, "never": -1} {
		assert.Equal(t, want, parse(t, minting(with("revoke_after", text))).Rotation.RevokeAfter, text)
	}
	assert.Equal(t, 90, parse(t, minting()).Rotation.ExpiryDays)
}

func TestRotationRefuses(t *testing.T) {
	t.Parallel()
	const (
		revoke = "revoke_after: is not a duration; give whole days such as 3, a duration such as 12h, or never"
		days   = "token_expiry_days: is not a number of days; give a whole number from 1 to 3650"
		pair   = "bitbucket_username: must be given together with bitbucket_password; give both, or bitbucket_token alone"
	)
	requireRefused(t, []refusal{
		{"a secret without a name", rotate(with("bitbucket_token", "opaque")), "secret_name: is missing; name the secret to rotate, or give repo_url or flavor, each of which implies a default name"},
		{"the same value twice", rotate(with("previous_token", apiToken)), "previous_token: is the same value as bitbucket_token; pass the token that is stored today"},
		{"mint in another mode", cloud(with("mint", "true")), "mint: does nothing in mode apply; set mode: rotate, or leave it out"},
		{"mint on Cloud", rotate(with("mint", "true")), "mint: works on Data Center only: Bitbucket Cloud has no REST API that makes tokens; make a token at https://id.atlassian.com/manage-profile/security/api-tokens and give it as bitbucket_token"},
		{"mint nowhere", minting(with("flavor", ""), with("trusted_hosts", ""), with("bitbucket_token", "opaque"), with("secret_name", "X")), "flavor: does not say that the server is Data Center, which mint needs; set flavor: datacenter, or give repo_url"},
		{"a user without a password", minting(with("bitbucket_username", "jane")), pair},
		{"a password without a user", minting(with("bitbucket_password", "long enough")), pair},
		{"a user that makes nothing", rotate(with("bitbucket_username", "jane")), "bitbucket_username: does nothing without mint: true; set mint: true, or leave it and bitbucket_password out"},
		{"an unknown owner", minting(with("mint_owner", "team")), "mint_owner: is not one of auto, user, project, repository"},
		{"no days", minting(with("token_expiry_days", "0")), days},
		{"too many days", minting(with("token_expiry_days", "3651")), days},
		{"days in words", minting(with("token_expiry_days", "30d")), days},
		{"a negative time", minting(with("revoke_after", "-1h")), revoke},
		{"a time in words", minting(with("revoke_after", "soon")), revoke},
		{"no date", cloud(with("token_expires_at", "31.1.2027")), "token_expires_at: is not a date; give it as 2027-01-31 or 2027-01-31T12:00:00Z"},
		{"no number", cloud(with("expiry_warning", "two")), "expiry_warning: is not a number of days; give a whole number from 0 to 3650"},
		{"the password in another input", minting(with("bitbucket_username", "jane"), with("bitbucket_password", "long enough"), with("secret_name", "X"), with("description", "it is long enough")),
			"description: holds the value of bitbucket_password; take it out"},
		{"a password of eight bytes too", minting(with("bitbucket_username", "jane"), with("bitbucket_password", "8 bytes."), with("secret_name", "X"), with("description", "it is 8 bytes.")),
			"description: holds the value of bitbucket_password; take it out"},
		{"the previous value in another input", rotate(with("previous_token", "the-old-value"), with("description", "was the-old-value")), "description: holds the value of previous_token; take it out"},
	})
}

func TestTokenExpiresAtTakesATime(t *testing.T) {
	t.Parallel()
	c := parse(t, cloud(with("token_expires_at", "2027-01-31T12:00:00+02:00")))
	assert.Equal(t, time.Date(2027, 1, 31, 10, 0, 0, 0, time.UTC), c.TokenExpiresAt)
}

// TestAShortPasswordMayStandElsewhere: it may be an ordinary word of other inputs.
func TestAShortPasswordMayStandElsewhere(t *testing.T) {
	t.Parallel()
	assert.Empty(t, problems(t, minting(with("bitbucket_username", "jane"), with("bitbucket_password", "7 bytes"), with("secret_name", "X"), with("description", "it is 7 bytes")), nil))
}

func TestOnSharedSecret(t *testing.T) {
	t.Parallel()
	assert.Equal(t, config.Warn, parse(t, cloud(with("on_shared_secret", "warn"))).OnSharedSecret)
	assert.Equal(t, config.Fail, parse(t, cloud()).OnSharedSecret)
	requireRefused(t, []refusal{{"another word", cloud(with("on_shared_secret", "ignore")), "on_shared_secret: is not one of fail, warn"}})
}
