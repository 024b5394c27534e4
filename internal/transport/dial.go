package transport

import (
	"context"
	"net"
	"net/http"
)

// Dial begins to open connections for the requests of Git and Beside that will soon go to
// an origin, such as https://bitbucket.org, and returns. No request is sent, and no
// credential. Nothing depends on it: where it fails, those requests open their own. Call it
// before anything is sent to that origin.
func (c Clients) Dial(origin string, connections int) {
	for range connections {
		dialling, stop := context.WithCancel(context.Background())
		request, err := http.NewRequestWithContext(context.WithValue(dialling, stopKey{}, stop), http.MethodHead, origin, nil)
		if err == nil {
			answer, err := c.networks[1].RoundTrip(request)
			if err == nil { // somebody was faster, against the contract
				_ = answer.Body.Close()
			}
		}
		stop()
	}
}

// stopKey is the key of what ends a request as soon as its connection is dialled.
type stopKey struct{}

// stopping is a way to dial that ends the requests of Dial. net/http goes on to dial after
// its request has ended, because a later request may use the connection.
func stopping(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if stop, ok := ctx.Value(stopKey{}).(context.CancelFunc); ok {
			stop()
		}
		return dial(ctx, network, address)
	}
}
