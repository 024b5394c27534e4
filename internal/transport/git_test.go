package transport_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// TestGitIsDialledNoMoreThanItIsAsked: whatever comes together, sixteen connections carry
// it, and every request is answered. Over HTTP/2 those that are not needed are closed, and
// others take their place, so only the answers count.
func TestGitIsDialledNoMoreThanItIsAsked(t *testing.T) {
	t.Parallel()
	for name, shares := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := sign(t, nil, "Self", asItIs)
			var connections atomic.Int32
			front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
			front.EnableHTTP2 = shares
			front.Config.ErrorLog = log.New(io.Discard, "", 0)
			front.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			front.TLS = &tls.Config{Certificates: []tls.Certificate{server.Certificate}}
			front.StartTLS()
			t.Cleanup(front.Close)
			clients, err := transport.New(transport.Options{CACertificates: server.pem()})
			require.NoError(t, err)
			t.Cleanup(clients.Close)

			var sent sync.WaitGroup
			for range 400 {
				sent.Go(func() {
					got := send(t.Context(), clients.Git, front.URL)
					assert.NoError(t, got.err)
					assert.Contains(t, got.body, name)
				})
			}
			sent.Wait()
			if !shares {
				assert.LessOrEqual(t, connections.Load(), int32(16))
			}
		})
	}
}
