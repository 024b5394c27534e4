package test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// bitbucketRequests counts requests to Bitbucket by operation.
func (w *world) bitbucketRequests() map[string]int {
	counts := map[string]int{}
	for _, request := range w.bitbucket.Journal.All() {
		counts[request.Operation]++
	}
	return counts
}

// TestWhenATokenEndsIsAskedOnce, of the user whom git's answers name.
func TestWhenATokenEndsIsAskedOnce(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.bitbucket.AddUser("jane", password)
		token := w.bitbucket.AddAccessToken("users/jane", "first", "REPO_READ", 90).Value
		inputs := w.inputs(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": token, "smoke_test": "false"})
		for _, args := range [][]string{{"plan"}, nil, nil} {
			w.bitbucket.Journal.Reset()
			r := w.must(inputs, args...)
			assert.NotEmpty(t, r.outputs["token_expires_at"])
			counts := w.bitbucketRequests()
			assert.Equal(t, 1, counts[bitbucketsim.GetAccessToken])
			assert.Zero(t, counts[bitbucketsim.FindUsers])
		}
	})
}

// TestWhenATokenEndsIsAskedAfterAllProofs: here a question about pushes and one about the
// record are each refused with 401, and the token has to be proved for another environment.
func TestWhenATokenEndsIsAskedAfterAllProofs(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.bitbucket.AddUser("jane", password)
		token := w.bitbucket.AddAccessToken("users/jane", "first", "REPO_READ", 90).Value
		web, api := w.neighbours(bitbucketsim.DataCenter, map[string]string{"bitbucket_token": token, "smoke_test": "false"})
		w.must(web.inputs)
		var refused atomic.Int32
		for _, operation := range []string{bitbucketsim.ReceivePackRefs, bitbucketsim.GetAccessToken} {
			w.bitbucket.Script.Add(fault.Fault{Operation: operation, Status: http.StatusUnauthorized, Times: -1, Do: func() { refused.Add(1) }})
		}
		w.bitbucket.Journal.Reset()
		r := w.must(api.inputs)
		assert.Empty(t, r.outputs["token_expires_at"])
		assert.EqualValues(t, 2, refused.Load())
		var last string
		for _, request := range w.bitbucket.Journal.All() {
			last = request.Operation
		}
		assert.Equal(t, bitbucketsim.GetAccessToken, last)
		assert.Len(t, w.oz.Environments(), 2)
	})
}
