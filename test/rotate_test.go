package test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

const nextToken = "ATATT3MARKER-cloud-next-77aa=5E6F7A8B"

// rotation is the inputs of a rotation to nextToken, with changes.
func (w *world) rotation(changes map[string]string) map[string]string {
	w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken})
	inputs := w.inputs(map[string]string{"mode": "rotate", "bitbucket_token": nextToken})
	delete(inputs, "repo_url")
	for name, value := range changes {
		inputs[name] = value
	}
	return inputs
}

func TestRotate(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.must(w.inputs(map[string]string{"smoke_test": "false"}))
		before := w.onlyEnvironment()
		inputs := w.rotation(map[string]string{"token_expires_at": "2099-01-31"})
		for range 2 {
			r := w.must(inputs)
			assert.Equal(t, "rotate", r.outputs["secret_change"])
			assert.Equal(t, "false", r.outputs["changed"])
			assert.Equal(t, "passed", r.outputs["smoke_test"])
			assert.Equal(t, "false", r.outputs["rolled_back"])
			assert.Equal(t, "2099-01-31T00:00:00Z", r.outputs["token_expires_at"])
			assert.JSONEq(t, `[{"id":"`+before.UID+`","name":"acme-sample","verdict":"passed"}]`, r.outputs["environments"])
			w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
			assert.Equal(t, before, w.onlyEnvironment(), "a rotation touches no environment")
		}
		require.Len(t, w.oz.Secrets(), 1)
		assert.Regexp(t, `^rotated by oz-bitbucket on \d{4}-\d\d-\d\d, expires 2099-01-31$`, w.oz.Secrets()[0].Description)
	})
}
