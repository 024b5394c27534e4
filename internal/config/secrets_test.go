package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
)

func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	read := files{"/run/token": "\n" + apiToken + "\r\n", "/run/key": warpAPIKey + "\n"}
	c, err := config.Parse(map[string]string{
		"repo_url": cloudURL, "bitbucket_token_file": "/run/token", "warp_api_key_file": " /run/key ",
	}, read.read, noVariable)
	require.NoError(t, err)
	assert.Equal(t, apiToken, c.Entries[0].Token.Reveal())
	assert.Equal(t, warpAPIKey, c.WarpAPIKey.Reveal())
}

func TestFilesOfSecretsAreRefused(t *testing.T) {
	t.Parallel()
	read := files{"/run/blank": " \r\n", "/run/bad": "two words", "/run/token": apiToken}
	const secret = "ATATT3xFfGF0-put-into-the-wrong-input=1A2B3C4D"
	for _, name := range []string{"bitbucket_token", "warp_api_key"} {
		for path, want := range map[string]string{
			"/run/none":  "_file: cannot be read; give the path of a file that the job can read, not the secret itself",
			secret:       "_file: holds what looks like a Bitbucket Cloud API token (ATATT…); give the path of a file that the job can read, not the secret itself, and revoke it if it is real",
			"/run/blank": "_file: names an empty file; put the secret into it",
			"/run/bad":   "_file: holds white space; pass the bare value",
		} {
			inputs := cloud(with(name+"_file", path))
			delete(inputs, name)
			assert.Equal(t, []string{name + want}, problems(t, inputs, read))
		}
		assert.Equal(t, []string{name + "_file: " + name + " is given too; give one of the two"},
			problems(t, cloud(with(name+"_file", "/run/none")), read), "the file is not looked at")
	}
}

func TestPastedSecretsAreRefusedWithWhatHappened(t *testing.T) {
	t.Parallel()
	const (
		unexpanded = "is the name of a variable, not its value; pass the variable's value; check that it is defined for this job"
		variable   = "is the name of a variable, not its value; pass the variable's value"
		quotes     = "has quotes around it; pass the bare value"
		scheme     = "begins with the name of an HTTP header or scheme; pass what follows"
	)
	for value, want := range map[string]string{
		`"ATATT3secret"`:                quotes,
		"'ATATT3secret'":                quotes,
		"`ATATT3secret`":                quotes,
		"Bearer ATATT3secret":           scheme,
		"bearer\tATATT3secret":          scheme,
		"Basic QVRBVFQz":                "is a header of HTTP's scheme Basic, which encodes user and token together; pass the token or key itself",
		"Authorization: Bearer ATATT3s": scheme,
		"ATATT3\nsecret":                "holds a line break; pass the bare value, on one line",
		"ATATT3\r\n secret":             "holds a line break; pass the bare value, on one line",
		"ATATT3 secret":                 "holds white space; pass the bare value",
		"ATATT3\tsecret":                "holds white space; pass the bare value",
		"$BITBUCKET_API_TOKEN":          unexpanded,
		"${BITBUCKET_API_TOKEN}":        unexpanded,
		"${{ secrets.TOKEN }}":          unexpanded,
		"$(token)":                      unexpanded,
		"%BITBUCKET_API_TOKEN%":         unexpanded,
		"BITBUCKET_API_TOKEN":           variable,
		"BITBUCKET_TOKEN":               variable,
		"WARP_API_KEY":                  variable,
	} {
		assert.Equal(t, []string{"bitbucket_token: " + want}, problems(t, cloud(with("bitbucket_token", value)), nil), value)
		assert.Equal(t, []string{"warp_api_key: " + want}, problems(t, cloud(with("warp_api_key", value)), nil), value)
	}
	for value, at := range map[string]string{
		`ab"cd`: "3", "ab'cd": "3", `ab\cd`: "3", "$1": "1", "ab$cd": "3", "ab`cd": "3", "\"abc": "1",
		"tök": "2", "ab\x00": "3", "ab\x7f": "3",
	} {
		assert.Equal(t, []string{"bitbucket_token: holds a character that no token has, at position " + at +
			"; pass the bare value: printable ASCII without white space, quotes, backslash, $ or backquote"},
			problems(t, cloud(with("bitbucket_token", value)), nil), "%q", value)
	}
}

func TestEveryOtherCharacterMayBeInAToken(t *testing.T) {
	t.Parallel()
	token := "x"
	for r := '!'; r <= '~'; r++ {
		if !strings.ContainsRune("'\"\\$`", r) {
			token += string(r)
		}
	}
	for _, inputs := range []map[string]string{cloud(), server()} {
		inputs["bitbucket_token"] = token
		assert.Equal(t, token, parse(t, inputs).Token.Reveal())
	}
}

func TestSwappedSecrets(t *testing.T) {
	t.Parallel()
	requireRefused(t, []refusal{
		{"the key as the token", cloud(with("bitbucket_token", warpAPIKey)), "bitbucket_token: is the same value as warp_api_key; pass the Bitbucket token"},
		{"the token as the key", cloud(with("warp_api_key", apiToken)), "bitbucket_token: is the same value as warp_api_key; pass the Bitbucket token"},
		{"another key as the token", cloud(with("bitbucket_token", "wk-other")), "bitbucket_token: is a Warp API key (wk-…), which cannot work with https://bitbucket.org; create a token on the Bitbucket that holds the repository"},
		{"another token as the key", cloud(with("warp_api_key", "ATCTT3other")), "warp_api_key: is a Bitbucket Cloud access token (ATCTT…); pass the API key that Warp's settings show, which begins with wk-"},
		{"the name of the secret", cloud(with("bitbucket_token", "MY_TOKEN"), with("secret_name", "MY_TOKEN"), with("setup_commands", "echo $MY_TOKEN")), "bitbucket_token: is the name of the secret, not the token; pass the token's value"},
		{"a GitHub token", server(with("bitbucket_token", "ghp_abc")), "bitbucket_token: is a GitHub token (ghp_…), which cannot work with https://git.example.com; create a token on the Bitbucket that holds the repository"},
		{"an app password", cloud(with("bitbucket_token", "ATBBabc")), "bitbucket_token: is an app password (ATBB…), which Bitbucket removed on 2026-07-28, which cannot work with https://bitbucket.org; create a token on the Bitbucket that holds the repository"},
		{"a Cloud token on Data Center", server(with("bitbucket_token", apiToken)), "bitbucket_token: is a Bitbucket Cloud API token (ATATT…), which cannot work with https://git.example.com; create a token on the Bitbucket that holds the repository"},
		{"a Data Center token on Cloud", cloud(with("bitbucket_token", httpToken)), "bitbucket_token: is a Data Center HTTP access token (BBDC-…), which cannot work with https://bitbucket.org; create a token on the Bitbucket that holds the repository"},
	})
}

func TestTokenKinds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, kind, token, url string
		want                   bitbucket.TokenKind
		certain                bool
	}{
		{"by prefix, API token", "auto", apiToken, cloudURL, bitbucket.APIToken, true},
		{"by prefix, access token", "", "ATCTT3xFfGN0", cloudURL, bitbucket.AccessToken, true},
		{"a guess", "", "opaque", cloudURL, bitbucket.APIToken, false},
		{"as told", "access_token", "opaque", cloudURL, bitbucket.AccessToken, true},
		{"as told against the prefix", "access_token", apiToken, cloudURL, bitbucket.AccessToken, true},
		{"Data Center", "", "opaque", serverURL, bitbucket.HTTPAccessToken, true},
		{"Data Center as told", "http_access_token", httpToken, serverURL, bitbucket.HTTPAccessToken, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := parse(t, cloud(map[string]string{"token_kind": test.kind, "bitbucket_token": test.token, "repo_url": test.url}))
			assert.Equal(t, test.want, c.TokenKind)
			assert.Equal(t, test.certain, c.KindCertain)
		})
	}
	requireRefused(t, []refusal{
		{"Cloud has no http_access_token", cloud(with("token_kind", "http_access_token")), "token_kind: flavor cloud has no http_access_token; leave it at auto"},
		{"Data Center has no api_token", server(with("token_kind", "api_token")), "token_kind: flavor datacenter has no api_token; leave it at auto"},
		{"Data Center has no access_token", server(with("token_kind", "access_token")), "token_kind: flavor datacenter has no access_token; leave it at auto"},
		{"unknown", cloud(with("token_kind", "app_password")), "token_kind: is not one of auto, api_token, access_token, http_access_token"},
	})
}

// requireNothingOf fails when a text holds eight bytes of a secret, in
// whatever case.
func requireNothingOf(t *testing.T, texts []string, secrets ...string) {
	t.Helper()
	for _, text := range texts {
		for _, secret := range secrets {
			secret, text := strings.ToLower(secret), strings.ToLower(text)
			for at := range len(secret) - 7 {
				if piece := secret[at : at+8]; strings.Contains(text, piece) { // require looks at thousands slowly
					require.NotContains(t, text, piece)
				}
			}
		}
	}
}

func TestACommandWithTheTokenDrawsOneProblem(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"echo %", "echo '%", "git clone https://x-token-auth:%@bitbucket.org/acme/api.git", "x-token-auth:@ %"} {
		assert.Equal(t, []string{"setup_commands: holds the value of bitbucket_token; take it out; in setup_commands, write $BITBUCKET_API_TOKEN"},
			problems(t, cloud(with("setup_commands", strings.ReplaceAll(command, "%", apiToken))), nil), command)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("token", "key", cloudURL, "npm ci", "https://app.warp.dev", "20m", "ubuntu:24.04", "main")
	f.Add("to\"ken", "k y", "https://x-token-auth:tok@bitbucket.org/a/b", "echo 'x", "http://[::1]:1", "6h1s", "UBUNTU", "a..b")
	f.Add("a/b", "c", "git@host:MARKER-tok/x", "curl -H \"Authorization: Bearer \"", ":", "-1", "@", "refs/heads/x")
	f.Fuzz(func(t *testing.T, token, key, repo, commands, root, timeout, image, branch string) {
		token, key = "MARKER-T0k3n-"+token, "wk-MARKER-k3y-"+key
		for _, auth := range []string{"url", "helper"} {
			c, err := config.Parse(map[string]string{
				"bitbucket_token": token, "warp_api_key": key, "repo_url": strings.ReplaceAll(repo, "tok", token),
				"setup_commands": strings.ReplaceAll(commands, "tok", token), "warp_server_url": strings.ReplaceAll(root, "key", key),
				"smoke_test_timeout": timeout, "docker_image": strings.ReplaceAll(image, "tok", token),
				"branch": strings.ReplaceAll(branch, "tok", token), "clone_auth": auth, "description": repo, "environment_secrets": commands,
			}, files{}.read, noVariable)
			if err != nil {
				assert.NotContains(t, strings.ToLower(err.Error()), "marker-t0k3n-")
				assert.NotContains(t, strings.ToLower(err.Error()), "wk-marker-k3y-")
				continue
			}
			assert.NotEmpty(t, c.Entries[0].Repositories)
			for _, warning := range c.Entries[0].Warnings {
				assert.NotContains(t, warning, "MARKER-")
			}
		}
	})
}
