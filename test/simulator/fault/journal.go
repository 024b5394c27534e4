package fault

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// Request is one request as it arrived. Tests search these for leaked secrets.
type Request struct {
	Method, URL string
	Header      http.Header
	Body        []byte
	// Operation is its name in a Script; empty when the simulator knows no such operation.
	Operation string
	At        time.Time
}

// Journal keeps every request. Its zero value is ready; it is safe for concurrent use.
type Journal struct {
	mu       sync.Mutex
	requests []Request
}

// Record appends one request. It copies the header and the body.
func (j *Journal) Record(r *http.Request, operation string, body []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests = append(j.requests, Request{
		Method:    r.Method,
		URL:       r.URL.String(),
		Header:    r.Header.Clone(),
		Body:      slices.Clone(body),
		Operation: operation,
		At:        time.Now(),
	})
}

// All returns the requests so far, oldest first.
func (j *Journal) All() []Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.requests)
}

// Reset forgets the requests so far.
func (j *Journal) Reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests = nil
}
