package test

import (
	"fmt"
	"net/http"
	"slices"
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

// toBitbucket are the requests that a Bitbucket itself got. A connection through the proxy
// may carry none.
func (w *world) toBitbucket() []fault.Request {
	return slices.DeleteFunc(w.bitbucket.Journal.All(), func(r fault.Request) bool { return r.Operation == bitbucketsim.Connect })
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
// there is to prove. Where an environment has changed since, it asks once after all proofs.
func TestWhenANewTokenEndsIsAskedBesideItsPush(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		listed, found []string // slugs of what the environment clones besides
		owner         string   // of the token
	}{
		"as listed":       {owner: "users/jane"},
		"a clone more":    {found: []string{"other"}, owner: "users/jane"},
		"another clone":   {listed: []string{"web"}, found: []string{"other"}, owner: "users/jane"},
		"a project token": {listed: []string{"web"}, found: []string{"web"}, owner: "projects/PRJ"}, // which web's project does not show
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{})
			w.bitbucket.AddUser("jane", password)
			changes := map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken, "smoke_test": "false"}
			r := w.must(w.inputs(changes))
			changes["bitbucket_token"] = w.bitbucket.AddAccessToken(tt.owner, "next", "REPO_READ", 90).Value
			for _, slug := range []string{"other", "web"} {
				w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "OTH", Slug: slug, Public: true})
			}
			model := w.onlyEnvironment().Model
			cloning := func(slugs []string) {
				commands := `"setup_commands":[`
				for _, slug := range slugs {
					url := strings.Replace(w.dc.CloneURL(), "PRJ/sample", "OTH/"+slug, 1)
					commands += fmt.Sprintf(`"git clone -c \"http.extraHeader=Authorization: Bearer $%s\" %s",`, r.outputs["secret_name"], url)
				}
				w.oz.Edit(w.onlyEnvironment().UID, strings.Replace(model, `"setup_commands":[`, commands, 1))
			}
			cloning(tt.listed)
			isChanged := !slices.Equal(tt.listed, tt.found)
			switch {
			case isChanged:
				w.meanwhile(func() { cloning(tt.found) })
			case tt.owner == "users/jane": // the owner of another token is a guess, which waits for the push
				w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.ReceivePackRefs, When: fault.Meanwhile, Do: func() {
					assert.Eventually(t, func() bool { return w.bitbucketRequests()[bitbucketsim.GetAccessToken] > 0 }, 20*time.Second, 5*time.Millisecond)
				}})
			}
			w.bitbucket.Journal.Reset()
			r = w.must(w.rotation(changes))
			assert.NotEmpty(t, r.outputs["token_expires_at"])
			for _, slug := range tt.found {
				assert.True(t, w.isAsked(bitbucketsim.UploadPackRefs, slug))
			}
			if asked := w.bitbucket.Journal.All(); isChanged {
				assert.Equal(t, 1, w.bitbucketRequests()[bitbucketsim.GetAccessToken])
				assert.Equal(t, bitbucketsim.GetAccessToken, asked[len(asked)-1].Operation)
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
