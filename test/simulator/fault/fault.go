// Package fault scripts failures of a simulator, and keeps a journal of its requests. The simulators
// share it; it does not know their protocols.
package fault

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// When says whether a fault strikes before or after the operation's effect.
type When int

const (
	// Before fails the operation before its effect.
	Before When = iota
	// After fails after the effect: the answer is lost.
	After
	// Meanwhile is not a failure: after Delay and Do, the operation continues.
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
	// Times is how often it strikes: 0 means once, negative means always.
	Times int
	// Skip lets this many matching requests pass first.
	Skip int
	// Delay is how long the operation waits first, even when the client gives up.
	Delay time.Duration
	// Do, unless nil, is called when the fault is due, after its delay and before anything else. It may be
	// somebody else's write, or end the client.
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
	_, _ = io.WriteString(w, f.Body) // the client may have gone
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
// fault of the operation counts, until it is used up.
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
