package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// TestWhenATokenEndsIsAskedOnce: for the user whom git's answers name.
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

// TestWhenANewTokenEndsIsAskedBesideItsPush: a rotation does so where the list shows all that
// there is to prove. Where an environment has changed since, it still asks once.
func TestWhenANewTokenEndsIsAskedBesideItsPush(t *testing.T) {
	t.Parallel()
	for _, changed := range []bool{false, true} {
		t.Run(fmt.Sprint("changed: ", changed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{})
			w.bitbucket.AddUser("jane", password)
			changes := map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken, "smoke_test": "false"}
			r := w.must(w.inputs(changes))
			changes["bitbucket_token"] = w.bitbucket.AddAccessToken("users/jane", "next", "REPO_READ", 90).Value
			other := w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PRJ", Slug: "other"})
			if changed {
				w.meanwhile(func() {
					clone := fmt.Sprintf(`git clone -c \"http.extraHeader=Authorization: Bearer $%s\" %s`, r.outputs["secret_name"], other.CloneURL())
					w.oz.Edit(w.onlyEnvironment().UID, strings.Replace(w.onlyEnvironment().Model, `"setup_commands":[`, `"setup_commands":["`+clone+`",`, 1))
				})
			} else {
				w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.ReceivePackRefs, When: fault.Meanwhile, Do: func() {
					assert.Eventually(t, func() bool { return w.bitbucketRequests()[bitbucketsim.GetAccessToken] == 1 }, 20*time.Second, 5*time.Millisecond)
				}})
			}
			w.bitbucket.Journal.Reset()
			r = w.must(w.rotation(changes))
			assert.NotEmpty(t, r.outputs["token_expires_at"])
			assert.Equal(t, 1, w.bitbucketRequests()[bitbucketsim.GetAccessToken])
			assert.Equal(t, changed, w.isAsked(bitbucketsim.UploadPackRefs, "other"))
			if asked := w.bitbucket.Journal.All(); changed {
				assert.Equal(t, bitbucketsim.GetAccessToken, asked[len(asked)-1].Operation, "after all proofs")
			}
		})
	}
}

// TestWhenATokenEndsIsAskedAfterAllProofs: the requests about pushes and about the record are
// each refused with 401, and the token must still be proved for another environment.
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
