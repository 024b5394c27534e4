package test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// accessToken is an access token of Cloud.
const accessToken = "ATCTT3MARKER-access-31c9=0A1B2C3D"

// requireNothingWritten checks that Oz holds nothing.
func (w *world) requireNothingWritten() {
	w.t.Helper()
	assert.Empty(w.t, w.oz.Secrets())
	assert.Empty(w.t, w.oz.Environments())
	assert.Empty(w.t, w.oz.Runs())
}

// refuses runs a job whose token must not pass, and returns its log.
func (w *world) refuses(inputs map[string]string) string {
	w.t.Helper()
	r := w.run(inputs)
	assert.Equal(w.t, 1, r.code, r.log)
	assert.Empty(w.t, r.outputs["secret_change"])
	assert.Empty(w.t, r.outputs["environment_id"])
	assert.LessOrEqual(w.t, w.bitbucket.FailedLogins(inputs["bitbucket_token"]), 2)
	w.requireNothingWritten()
	return r.log
}

func TestAPublicRepositoryProvesNothing(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		const fine, open = "is public: a clone works without the token\n", "so nothing proves that the token is good"
		tests := []struct {
			name  string
			token bitbucketsim.Token
			says  string
			code  int
		}{
			{"an API token", bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken}, fine, 0},
			{"a dead API token", bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken, State: bitbucketsim.Expired}, open, 0},
			{"an access token", bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken}, fine, 0},
			{"a dead access token", bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, State: bitbucketsim.Revoked}, "the REST refused: 401", 1},
			{"a Data Center token", bitbucketsim.Token{Value: dcToken, Kind: bitbucketsim.HTTPAccessToken}, fine, 0},
			{"a dead Data Center token", bitbucketsim.Token{Value: dcToken, Kind: bitbucketsim.HTTPAccessToken, State: bitbucketsim.Revoked}, "the REST refused: 401", 1},
		}
		cloud := w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "open", Public: true, Unchecked: true})
		dc := w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "~jane", Slug: "open", Public: true, Unchecked: true})
		for _, tt := range tests {
			w.bitbucket.AddToken(tt.token)
			repository := cloud
			if tt.token.Kind == bitbucketsim.HTTPAccessToken {
				repository = dc
			}
			inputs := w.inputs(map[string]string{"repo_url": repository.CloneURL(), "bitbucket_token": tt.token.Value, "mode": "plan"})
			r := w.run(inputs)
			require.Equal(t, tt.code, r.code, "%s: %s", tt.name, r.log)
			assert.Contains(t, r.log, tt.says, tt.name)
			assert.LessOrEqual(t, w.bitbucket.FailedLogins(tt.token.Value), 2, tt.name)
		}
		w.requireNothingWritten()
	})
}
