package transport

import (
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// longestLead is how long requests wait for the first connection. When a server is slower,
// each of them dials.
const longestLead = time.Second

// leading lets one request dial a host that offers HTTP/2. Requests that are sent meanwhile
// wait for that connection and share it; net/http would dial for each of them. When the
// host speaks only HTTP/1.1, they wait once for nothing, so leading is for one named host.
type leading struct {
	next  http.RoundTripper
	host  string
	taken atomic.Bool   // a request dials or has dialled
	ready chan struct{} // closed when there is a connection, or dialling has failed
}

func (l *leading) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host != l.host {
		return l.next.RoundTrip(request)
	}
	if !l.taken.CompareAndSwap(false, true) {
		select {
		case <-l.ready:
		case <-time.After(longestLead):
		case <-request.Context().Done(): // next returns the error
		}
		return l.next.RoundTrip(request)
	}
	ready := sync.OnceFunc(func() { close(l.ready) })
	defer ready()
	// When a request gets its connection, others may not find it yet; once its headers are
	// written, they do.
	trace := &httptrace.ClientTrace{WroteHeaders: ready}
	return l.next.RoundTrip(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
}
