package transport_test

import (
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// TestGitIsDialledNoMoreThanItIsAsked: whatever comes together, sixteen connections carry
// it, and every request is answered.
func TestGitIsDialledNoMoreThanItIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
		})
		clients, _ := n.clients()
		var sent sync.WaitGroup
		for range 400 {
			sent.Go(func() {
				got := send(t.Context(), clients.Git, "http://bitbucket.example.com/")
				assert.NoError(t, got.err)
				assert.Equal(t, `{"n":1}`, got.body)
			})
		}
		sent.Wait()
		assert.Equal(t, int32(16), n.dials.Load())
	})
}
