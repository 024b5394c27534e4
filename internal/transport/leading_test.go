package transport_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// TestAHostThatSharesConnectionsIsDialledOnce by requests that are sent together, and one
// that turns out to share none serves them all.
func TestAHostThatSharesConnectionsIsDialledOnce(t *testing.T) {
	t.Parallel()
	const n = 8
	for name, shares := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := sign(t, nil, "Self", asItIs)
			var handshakes atomic.Int32
			var together sync.WaitGroup // each request is answered when all have arrived
			together.Add(n)
			front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				together.Done()
				together.Wait()
				_, _ = io.WriteString(w, r.Proto)
			}))
			front.EnableHTTP2 = shares
			front.Config.ErrorLog = log.New(io.Discard, "", 0)
			front.TLS = &tls.Config{Certificates: []tls.Certificate{server.Certificate}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				handshakes.Add(1)
				return nil, nil
			}}
			front.StartTLS()
			t.Cleanup(front.Close)
			clients, err := transport.New(transport.Options{CACertificates: server.pem(), Multiplexed: front.Listener.Addr().String()})
			require.NoError(t, err)
			t.Cleanup(clients.Close)

			var sent sync.WaitGroup
			for range n {
				sent.Go(func() {
					got := send(t.Context(), clients.Reads, front.URL)
					assert.NoError(t, got.err)
					assert.Contains(t, got.body, name)
				})
			}
			sent.Wait()

			if shares {
				assert.EqualValues(t, 1, handshakes.Load())
			} else {
				assert.EqualValues(t, n, handshakes.Load())
			}
		})
	}
}

// TestNobodyWaitsForMoreThanAConnection: not when the first is refused, not for long when
// nothing is heard, and not until it brings its answer.
func TestNobodyWaitsForMoreThanAConnection(t *testing.T) {
	t.Parallel()
	const refused, silent, late = "refused", "silent", "late"
	for name, most := range map[string]time.Duration{refused: 0, silent: time.Second, late: 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				second := make(chan struct{})
				var arrived atomic.Int32
				n := newNetwork(t, func(w http.ResponseWriter, _ *http.Request) {
					switch arrived.Add(1) {
					case 1:
						if name == late {
							<-second
						}
					case 2:
						close(second)
					}
					_, _ = io.WriteString(w, "yes")
				})
				var dials atomic.Int32
				dialled := make(chan struct{})
				clients, err := transport.NewOver(transport.Options{Multiplexed: "oz.test"}, func(network *http.Transport) {
					network.Proxy = nil
					network.DialContext = func(ctx context.Context, protocol, address string) (net.Conn, error) {
						if dials.Add(1) > 1 {
							return n.dial(ctx, protocol, address)
						}
						close(dialled)
						switch name {
						case silent:
							<-ctx.Done()
						case refused:
							synctest.Wait() // until the second request waits
						case late:
							return n.dial(ctx, protocol, address)
						}
						return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
					}
				})
				require.NoError(t, err)
				t.Cleanup(clients.Close)
				var first sync.WaitGroup
				first.Go(func() { assert.Equal(t, answer{200, "yes", nil}, send(t.Context(), clients.Reads, "http://oz.test/")) })
				<-dialled
				began := time.Now()
				assert.Equal(t, answer{200, "yes", nil}, send(t.Context(), clients.Reads, "http://oz.test/"))
				assert.LessOrEqual(t, time.Since(began), most)
				first.Wait()
			})
		})
	}
}

// TestAnAnswerThatIsNotReadLeavesItsConnection to the next request.
func TestAnAnswerThatIsNotReadLeavesItsConnection(t *testing.T) {
	t.Parallel()
	for _, length := range []int{1, 100, 100 << 10, 256<<10 - 1} {
		for _, chunked := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, func(w http.ResponseWriter, _ *http.Request) {
					if chunked {
						_ = http.NewResponseController(w).Flush()
					}
					_, _ = io.WriteString(w, strings.Repeat("x", length))
				})
				clients, _ := n.clients()
				for range 3 {
					request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://oz.test/", nil)
					require.NoError(t, err)
					response, err := clients.Reads.Do(request)
					require.NoError(t, err)
					require.NoError(t, response.Body.Close())
					synctest.Wait()
				}
				assert.EqualValues(t, 1, n.dials.Load(), "%d bytes, chunked: %t", length, chunked)
			})
		}
	}
}
