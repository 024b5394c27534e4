package transport_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// TestDial: the first requests find connections, and nothing was sent before.
func TestDial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		n := newNetwork(t, func(w http.ResponseWriter, _ *http.Request) {
			requests++
			_, _ = w.Write([]byte("yes"))
		})
		clients, _ := n.clients()
		clients.Dial("http://bitbucket.example.com", 2)
		synctest.Wait()
		assert.Equal(t, int32(2), n.dials.Load())
		assert.Zero(t, requests)

		for _, client := range []*transport.Client{clients.Git, clients.Beside} {
			assert.NoError(t, send(t.Context(), client, "http://bitbucket.example.com/").err)
		}
		assert.Equal(t, 2, requests)
		assert.Equal(t, int32(2), n.dials.Load())
	})
}

// TestDialInVain: a server that refuses the connection does so again for the request.
func TestDialInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, func(http.ResponseWriter, *http.Request) {})
		n.refusals.Store(1)
		clients, _ := n.clients()
		clients.Dial("http://bitbucket.example.com", 1)
		clients.Dial("no origin\x7f", 1)
		synctest.Wait()
		assert.NoError(t, send(t.Context(), clients.Git, "http://bitbucket.example.com/").err)
		assert.Equal(t, int32(2), n.dials.Load())
	})
}

// TestDialAsksNoProxyForALogin: a refused password would be presented once for each connection.
func TestDialAsksNoProxyForALogin(t *testing.T) {
	t.Parallel()
	for proxy, want := range map[string]int32{"http://proxy.example.com": 2, "http://ann:pass@proxy.example.com": 0, "http://ann@proxy.example.com": 0} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) })
			clients, err := transport.NewOver(transport.Options{Environ: []string{"HTTPS_PROXY=" + proxy}}, func(network *http.Transport) {
				network.DialContext = n.dial
				t.Cleanup(network.CloseIdleConnections)
			})
			require.NoError(t, err)
			clients.Dial("https://bitbucket.example.com", 2)
			synctest.Wait()
			assert.Equal(t, want, n.dials.Load(), proxy)
		})
	}
}
