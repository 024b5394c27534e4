package transport

import (
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// longestLead is how long a first connection is waited for. A server that is slower, or
// silent, is dialled as any other.
const longestLead = time.Second

// leading has one request dial a host that offers HTTP/2, and those that are sent meanwhile
// wait for its connection, which they share. net/http dials for each of them until there is
// one. Where HTTP/1.1 is spoken they wait in vain, once: it is for a host that is named.
type leading struct {
	next  http.RoundTripper
	host  string
	taken atomic.Bool   // a request dials, or has
	ready chan struct{} // closed when there is a connection, or none came of it
}

func (l *leading) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host != l.host {
		return l.next.RoundTrip(request)
	}
	if !l.taken.CompareAndSwap(false, true) {
		select {
		case <-l.ready:
		case <-time.After(longestLead):
		case <-request.Context().Done(): // as next will say
		}
		return l.next.RoundTrip(request)
	}
	ready := sync.OnceFunc(func() { close(l.ready) })
	defer ready()
	// When a request has its connection, others may not find it yet; when it is on its way, they do.
	trace := &httptrace.ClientTrace{WroteHeaders: ready}
	return l.next.RoundTrip(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
}
