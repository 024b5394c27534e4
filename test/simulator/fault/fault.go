// Package fault scripts what goes wrong in a simulator, and keeps a journal of what was asked of it.
// Both simulators share it; it knows neither of their protocols.
package fault

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// When says on which side of the operation's effect a fault strikes.
type When int

const (
	// Before fails before anything happened.
	Before When = iota
	// After lets the operation happen, then loses its answer.
	After
	// Meanwhile is not a failure: after Delay and Do, the operation goes on.
	Meanwhile
)

// Fault is one scripted failure of an operation.
type Fault struct {
	// Operation names what fails: a GraphQL operation name ("CreateManagedSecret"), or
	// "METHOD /path-pattern" as each simulator documents.
	Operation string
	When      When
	// Status is the answered status; 0 cuts the connection without an answer.
	Status int
	Header http.Header
	Body   string
	// Times is how often it strikes: 0 means once, negative means for ever.
	Times int
	// Skip lets this many matching requests pass first.
	Skip int
	// Delay is how long the operation waits first, whether or not the client does.
	Delay time.Duration
	// Do, unless nil, is called when the fault is due and its delay over, before anything else happens: somebody else's write,
	// or the end of the client.
	Do func()
}

// Strike answers with Status, Header and Body, or cuts the connection when Status is 0. A cut panics with
// http.ErrAbortHandler, which net/http turns into a closed connection without a log line.
func (f Fault) Strike(w http.ResponseWriter) {
	if f.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, values := range f.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, f.Body) // a client that has gone away is no concern of the script
}

// Script is the list of faults still to come. Its zero value is ready; it is safe for concurrent use.
type Script struct {
	mu     sync.Mutex
	faults []*Fault
}

// Add appends a fault. Faults of one operation strike in the order in which they were added.
func (s *Script) Add(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Next counts one request of this operation and takes the strike that is due, if any. Only the oldest
// fault of the operation counts; the next one takes over when it is used up.
func (s *Script) Next(operation string) (Fault, bool) {
	f, due := s.take(operation)
	if due {
		time.Sleep(f.Delay)
	}
	if due && f.Do != nil {
		f.Do()
	}
	return f, due && f.When != Meanwhile
}

func (s *Script) take(operation string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Operation != operation {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			return Fault{}, false
		}
		if f.Times > 0 {
			f.Times--
		}
		if f.Times == 0 {
			s.faults = append(s.faults[:i], s.faults[i+1:]...)
		}
		return *f, true
	}
	return Fault{}, false
}

// Clear forgets the faults still to come.
func (s *Script) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}
