package transport_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// network is one web server in memory, behind every host name, for a test in a
// synctest bubble.
type network struct {
	t         *testing.T
	connected chan net.Conn
	refusals  atomic.Int32 // how many dials are refused before the first succeeds
	dials     atomic.Int32
}

func newNetwork(t *testing.T, handle http.HandlerFunc) *network {
	t.Helper()
	n := &network{t: t, connected: make(chan net.Conn)}
	server := &http.Server{Handler: handle, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	closing, closed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(closed)
		_ = server.Serve(listener{n.connected, closing})
	}()
	t.Cleanup(func() {
		close(closing)
		_ = server.Close()
		<-closed
	})
	return n
}

// clients are the clients under test, and what they log.
func (n *network) clients() (transport.Clients, *record) {
	n.t.Helper()
	lines := &record{}
	clients, err := transport.NewOver(transport.Options{UserAgent: "test", Log: lines.logger()}, func(t *http.Transport) {
		t.Proxy, t.DialContext = nil, n.dial
		n.t.Cleanup(t.CloseIdleConnections)
	})
	require.NoError(n.t, err)
	return clients, lines
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if n.dials.Add(1) <= n.refusals.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	select {
	case n.connected <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listener takes the other ends of the pipes.
type listener struct {
	connected chan net.Conn
	closing   chan struct{}
}

func (l listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.connected:
		return conn, nil
	case <-l.closing:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error { return nil }

func (l listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// record is a log.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

func (r *record) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.FieldsFunc(r.text.String(), func(c rune) bool { return c == '\n' })
}

// answer is what came of a request.
type answer struct {
	status int
	body   string
	err    error
}

// send sends `{"n":1}` and reads the answer to its end.
func send(ctx context.Context, client *transport.Client, address string) answer {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(`{"n":1}`))
	if err != nil {
		return answer{err: err}
	}
	request.Header.Set("Authorization", "Bearer "+credential)
	response, err := client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(body), err}
}

const credential = "wk-MARKER-5d1c0a7be2"
