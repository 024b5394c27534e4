package config_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
)

func TestParseImport(t *testing.T) {
	t.Parallel()
	const cloudPage, serverPage = "https://bitbucket.org/acme", "https://git.example.com/projects/PRJ"
	for name, tt := range map[string]struct {
		inputs map[string]string
		login  bitbucket.Login
		want   string // the problems, empty for none
	}{
		"of Oz":                        {map[string]string{"warp_api_key": warpAPIKey}, bitbucket.Login{}, ""},
		"without a key":                {map[string]string{}, bitbucket.Login{}, "warp_api_key: is missing"},
		"a place needs no key":         {map[string]string{"repo_url": cloudPage, "bitbucket_token": webToken}, bitbucket.Login{Bearer: true}, ""},
		"a place needs a token":        {map[string]string{"repo_url": cloudPage}, bitbucket.Login{}, "bitbucket_token: is missing"},
		"an API token of nobody":       {map[string]string{"repo_url": cloudPage, "bitbucket_token": apiToken}, bitbucket.Login{}, "bitbucket_token: is an API token"},
		"an API token with its e-mail": {map[string]string{"repo_url": cloudPage, "bitbucket_token": apiToken, "bitbucket_username": "j@example.com"}, bitbucket.Login{User: "j@example.com"}, ""},
		"a token of unknown kind":      {map[string]string{"repo_url": cloudPage, "bitbucket_token": "opaque-token-1234"}, bitbucket.Login{Bearer: true}, ""},
		"its kind is told":             {map[string]string{"repo_url": cloudPage, "bitbucket_token": "opaque-token-1234", "token_kind": "api_token"}, bitbucket.Login{}, "bitbucket_token: is an API token"},
		"Data Center":                  {map[string]string{"repo_url": serverPage, "bitbucket_token": httpToken}, bitbucket.Login{Bearer: true}, ""},
		"a token of the other flavor":  {map[string]string{"repo_url": serverPage, "bitbucket_token": apiToken}, bitbucket.Login{}, "bitbucket_token: is a Bitbucket Cloud API token"},
		"in clear text":                {map[string]string{"repo_url": "http://git.example.com/projects/PRJ", "bitbucket_token": httpToken}, bitbucket.Login{Bearer: true}, "repo_url: http://git.example.com would send the token in clear text"},
		"a repository":                 {map[string]string{"repo_url": cloudURL, "bitbucket_token": apiToken}, bitbucket.Login{}, "repo_url: this names one repository"},
		"two pages":                    {map[string]string{"repo_url": cloudPage + "\n" + serverPage, "bitbucket_token": apiToken}, bitbucket.Login{}, "repo_url: names several pages"},
		"a manifest":                   {map[string]string{"warp_api_key": warpAPIKey, "manifest": "x"}, bitbucket.Login{}, "manifest: is given"},
		"one value for both":           {map[string]string{"warp_api_key": apiToken, "bitbucket_token": apiToken}, bitbucket.Login{}, "bitbucket_token: is the same value"},
		"a server in clear text":       {map[string]string{"warp_api_key": warpAPIKey, "warp_server_url": "http://oz.example.com"}, bitbucket.Login{}, "warp_server_url: would send"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := config.ParseImport(tt.inputs, files{}.read)
			var text []string
			for _, found := range problem.All(err) {
				text = append(text, found.Error())
			}
			all := strings.Join(text, "\n")
			assert.NotContains(t, all, apiToken)
			if tt.want != "" {
				assert.Contains(t, all, tt.want)
				assert.Len(t, text, 1, all)
				return
			}
			require.Empty(t, all)
			assert.Equal(t, tt.login, got.Login)
			assert.Equal(t, tt.inputs["repo_url"] == "", got.Place == bitbucket.Place{})
		})
	}
}

func TestAnImportSaysWhatItDoesNotUse(t *testing.T) {
	t.Parallel()
	inputs := map[string]string{"warp_api_key": warpAPIKey, "scope": "personal", "environment_name": "x", "clone_auth": "helper", "concurrency": "3"}
	got, err := config.ParseImport(maps.Clone(inputs), files{}.read)
	require.NoError(t, err)
	assert.Equal(t, []string{"environment_name does nothing in import", "scope does nothing in import"}, got.Job.Entries[0].Warnings)
}

func TestAnImportHidesSecrets(t *testing.T) {
	t.Parallel()
	got, err := config.ParseImport(map[string]string{"warp_api_key": "plain-key-1234", "bitbucket_token": "opaque-token-1234"}, files{}.read)
	require.NoError(t, err)
	for text, want := range map[string]bool{
		"": false, "ordinary": false, "git clone https://jane:hunter2@h/x": true, "git clone https://x-token-auth:$A@h/x": false, "https://jane@h:443/x": false, `-c "http.extraHeader=Authorization: Bearer abc"`: true,
		`-c "http.extraHeader=Authorization: Bearer $A"`: false,
		"a plain-key-1234 b":                             true, "x=opaque-token-1234": true, "git clone https://x:" + webToken + "@h": true, "x %41TCTT3xFfGN0q7w9e8r1t2y3": true} {
		assert.Equal(t, want, got.Hides(text), text)
	}
}

func TestManifestKeysBeginWithWhatIsAnEntrysOwn(t *testing.T) {
	t.Parallel()
	var names []string
	for _, key := range config.ManifestKeys() {
		names = append(names, key.Name)
		assert.Empty(t, key.Elsewhere)
	}
	assert.Equal(t, []string{"repo_url", "environment_name", "environment_id"}, names[:3])
	assert.Contains(t, strings.Join(names, " "), "secret_name bitbucket_token_variable")
	assert.True(t, config.IsInput("BITBUCKET_TOKEN"))
	assert.False(t, config.IsInput("BITBUCKET_API_TOKEN"))
}
