package transport

import (
	"context"
	"net"
	"net/http"
)

// Dial begins to open connections for the requests of Git and Beside that will soon go to
// an origin, such as https://bitbucket.org, and returns. Nothing is sent to the origin but
// the TLS handshake. A proxy that needs a login is not used, because a refused login would
// be repeated. Nothing depends on Dial: where it fails, those requests open their own
// connections. Call it before any of them is sent.
func (c Clients) Dial(origin string, connections int) {
	ended := make(chan struct{})
	defer close(ended)
	for range connections {
		c.dial(origin, ended)
	}
}

// dial begins to open one connection. It is not ready before ended is closed.
func (c Clients) dial(origin string, ended <-chan struct{}) {
	ctx, stop := context.WithTimeout(context.Background(), dialTimeout)
	defer stop()
	begun := func() { stop(); <-ended }
	request, err := http.NewRequestWithContext(context.WithValue(ctx, onlyDialKey{}, begun), http.MethodHead, origin, nil)
	if err != nil || hasLogin(c.networks[1], request) {
		return
	}
	if answer, err := c.networks[1].RoundTrip(request); err == nil { // against the contract, there was a connection
		_ = answer.Body.Close()
	}
}

// hasLogin reports whether a request would go through a proxy that needs a login.
func hasLogin(network *http.Transport, request *http.Request) bool {
	if network.Proxy == nil {
		return false
	}
	proxy, err := network.Proxy(request)
	return err != nil || proxy != nil && proxy.User != nil
}

// onlyDialKey is the key of a function that ends a request of Dial, and waits until all of
// them have ended.
type onlyDialKey struct{}

// onlyDialling is dial, which ends the requests of Dial before a connection could carry
// them. net/http goes on to dial when a request has ended, because a later request may use
// the connection.
func onlyDialling(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if begun, ok := ctx.Value(onlyDialKey{}).(func()); ok {
			begun()
		}
		return dial(ctx, network, address)
	}
}
