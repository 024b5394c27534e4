// Package warpsim simulates Warp's Oz API on a loopback address: GraphQL for secrets, environments and
// integrations, REST for runs, schedules, factories and addresses. It is a second, independent reading of the wire and imports nothing from the product.
//
// It has state, not canned replies: documents are validated against the server's schema, secrets are really
// unsealed, revisions really conflict, and a run really starts a shell that executes the environment's setup
// commands. Script makes operations fail before or after their effect, Journal keeps every request, and
// Violations lists the client's mistakes.
package warpsim

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
)

// Options are the simulator's settings. The zero value is a silent server on a free loopback port.
type Options struct {
	// Addr is the address to listen on; empty means a free port of 127.0.0.1.
	Addr string
	// Workspaces is the existing directory in which each run gets its own; empty means a new temporary one.
	Workspaces string
	// KeepWorkspaces leaves the runs' directories behind on Close.
	KeepWorkspaces bool
	// RunEnviron holds further NAME=value variables of every run, such as HTTPS_PROXY. As on a real
	// worker, a secret does not override them.
	RunEnviron []string
	// CommandLimit bounds each setup command; 0 means one minute.
	CommandLimit time.Duration
	// Latency is added to each request.
	Latency time.Duration
	// MostFields makes the server refuse a GraphQL document that asks for more at its root; 0 means none.
	MostFields int
	// ListTrashed makes the lists of environments include those in the trash.
	ListTrashed bool
	// NoMetadataFilter refuses metadata filters in the list of runs, as some plans do.
	NoMetadataFilter bool
	// NoSchedules refuses every request about schedules with feature_not_available.
	NoSchedules bool
	// SchedulesForbidden refuses to write schedules with not_authorized; they can be read.
	SchedulesForbidden bool
	// NoScheduleMetadata accepts the metadata of schedules but does not store it, as an old server does.
	NoScheduleMetadata bool
	// IntegrationsMessage is the message of simpleIntegrations instead of a list; empty means it lists them.
	IntegrationsMessage string
	// EgressRanges are the networks that runs come from; none means a server that is too old to list them.
	EgressRanges []string
	// NoFactories makes a server that is too old for factories. A server without factories answers the same.
	NoFactories bool
	// Log receives one line per request; nil means none.
	Log io.Writer
}

// Server is a running simulator. All methods are safe for concurrent use.
type Server struct {
	// Script makes operations fail. Its names are the operationName for GraphQL, and for REST
	// "POST /agent/runs", "GET /agent/runs", "GET /agent/runs/{id}", "GET /agent/runs/{id}/conversation",
	// "POST /agent/runs/{id}/cancel", "GET /agent/environments", "POST /agent/schedules", "GET /agent/schedules",
	// "GET /agent/schedules/{id}", "PUT /agent/schedules/{id}", "DELETE /agent/schedules/{id}",
	// "POST /agent/schedules/{id}/pause", "POST /agent/schedules/{id}/resume", "GET /networking/egress-ranges" and
	// "GET /factory".
	Script fault.Script
	// Journal holds every request as it arrived, refused ones too.
	Journal fault.Journal

	options    Options
	url        string
	log        *log.Logger
	http       *http.Server
	workspaces string
	stop       context.Context // ends when the server closes
	stopNow    context.CancelFunc
	working    sync.WaitGroup // handlers, runs and the listener

	mu           sync.Mutex // guards everything below
	closed       bool
	lastTick     time.Time
	counts       map[string]int
	violations   []string
	leaks        leaks
	keys         map[string]*principal
	principals   map[string]*principal // by actor UID
	teams        map[string]*team
	secrets      []*secret
	objects      []*cloudObject
	deleted      []string // UIDs of deleted objects
	rejections   int
	behaviours   []Behaviour
	runs         []*run
	image        []string // NAME=value
	schedules    []*schedule
	integrations []*integration
	factories    []factory
}

// Start listens and serves until Close. It panics when it cannot, as httptest does.
func Start(o Options) *Server {
	listener, err := net.Listen("tcp", cmp.Or(o.Addr, "127.0.0.1:0"))
	if err != nil {
		panic(fmt.Sprintf("warpsim: %v", err))
	}
	workspaces, err := os.MkdirTemp(o.Workspaces, "warpsim-")
	if err != nil {
		panic(fmt.Sprintf("warpsim: %v", err))
	}
	o.CommandLimit = cmp.Or(o.CommandLimit, time.Minute)

	s := &Server{
		options:    o,
		url:        "http://" + listener.Addr().String(),
		log:        log.New(cmp.Or(o.Log, io.Discard), "oz: ", 0),
		workspaces: workspaces,
		counts:     map[string]int{},
		keys:       map[string]*principal{},
		principals: map[string]*principal{},
		teams:      map[string]*team{},
	}
	s.stop, s.stopNow = context.WithCancel(context.Background())
	s.http = &http.Server{Handler: s.routes(), ErrorLog: log.New(io.Discard, "", 0)}
	s.working.Go(func() { _ = s.http.Serve(listener) }) // ends with http.ErrServerClosed
	return s
}

// URL returns the server's root, without a trailing slash. A client uses it as the address of Warp.
func (s *Server) URL() string { return s.url }

// Close ends the listener, the connections and the runs, waits for all of them, and removes the workspaces.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()

	s.stopNow()
	_ = s.http.Close()
	s.working.Wait()
	if !s.options.KeepWorkspaces {
		_ = os.RemoveAll(s.workspaces)
	}
}

// Counts returns how often each operation took effect: it was neither refused nor struck before its effect. An
// operation whose answer was lost afterwards counts.
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]int, len(s.counts))
	for operation, n := range s.counts {
		counts[operation] = n
	}
	return counts
}

// Violations returns the client's mistakes, each once, in the order of their discovery. For a correct client it is
// empty.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// flag notes a violation. The caller holds the lock.
func (s *Server) flag(format string, args ...any) {
	violation := fmt.Sprintf(format, args...)
	if !slices.Contains(s.violations, violation) {
		s.violations = append(s.violations, violation)
	}
}

// call is one request on its way through the simulator.
type call struct {
	*http.Request
	body      []byte
	operation string // its name in Script, Journal and Counts
	caller    *principal
}

// routes returns all endpoints of the simulator.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /graphql/v2", s.serve(operationName, s.graphql))

	rest := func(pattern, operation string, handle func(*call) answer) {
		method, path, _ := strings.Cut(pattern, " ")
		name := func([]byte) string { return operation }
		mux.Handle(method+" /api/v1"+path, s.serve(name, handle))
	}
	rest("POST /agent/runs", "POST /agent/runs", s.startRun)
	rest("POST /agent/run", "POST /agent/runs", s.startRun) // the deprecated spelling
	rest("GET /agent/runs", "GET /agent/runs", s.listRuns)
	rest("GET /agent/runs/{id}", "GET /agent/runs/{id}", s.getRun)
	rest("GET /agent/runs/{id}/conversation", "GET /agent/runs/{id}/conversation", s.getConversation)
	rest("POST /agent/runs/{id}/cancel", "POST /agent/runs/{id}/cancel", s.cancelRun)
	rest("GET /agent/environments", "GET /agent/environments", s.listEnvironments)

	const schedule = "/agent/schedules/{id}"
	rest("POST /agent/schedules", "POST /agent/schedules", s.guarded(true, s.createSchedule))
	rest("GET /agent/schedules", "GET /agent/schedules", s.guarded(false, s.listSchedules))
	rest("GET "+schedule, "GET "+schedule, s.guarded(false, s.onSchedule(s.getSchedule)))
	rest("PUT "+schedule, "PUT "+schedule, s.guarded(true, s.onSchedule(s.putSchedule)))
	rest("DELETE "+schedule, "DELETE "+schedule, s.guarded(true, s.onSchedule(s.deleteSchedule)))
	rest("POST "+schedule+"/pause", "POST "+schedule+"/pause", s.guarded(true, s.onSchedule(s.enable(false))))
	rest("POST "+schedule+"/resume", "POST "+schedule+"/resume", s.guarded(true, s.onSchedule(s.enable(true))))

	rest("GET /networking/egress-ranges", "GET /networking/egress-ranges", s.egressRanges)
	rest("GET /factory", "GET /factory", s.listFactories)

	mux.HandleFunc("/", s.elsewhere)
	return mux
}

// serve wraps an operation with what all of them need: journal, latency, faults, authentication, answer.
func (s *Server) serve(name func(body []byte) string, handle func(*call) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.enter() {
			panic(http.ErrAbortHandler)
		}
		defer s.working.Done()

		body, err := io.ReadAll(r.Body)
		c := &call{Request: r, body: body, operation: name(body)}
		s.Journal.Record(r, c.operation, body)
		if err != nil || !s.wait(s.options.Latency) {
			panic(http.ErrAbortHandler)
		}

		strike, struck := s.Script.Next(c.operation)
		if struck && strike.When == fault.Before {
			s.log.Printf("%s %s: fault before, status %d", r.Method, c.operation, strike.Status)
			strike.Strike(w)
			return
		}
		a := s.admit(c, handle)
		if struck {
			s.log.Printf("%s %s: fault after, status %d", r.Method, c.operation, strike.Status)
			strike.Strike(w)
			return
		}
		s.log.Printf("%s %s: status %d", r.Method, c.operation, a.status)
		a.write(w)
	}
}

// admit passes a request with a known key to its handler.
func (s *Server) admit(c *call, handle func(*call) answer) answer {
	s.mu.Lock()
	s.inspect(c)
	key, _ := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
	c.caller = s.keys[key]
	s.mu.Unlock()

	if c.caller == nil {
		return unauthorized(c)
	}
	return handle(c)
}

// inspect checks what every request must have. The caller holds the lock.
func (s *Server) inspect(c *call) {
	if len(c.body) > 0 && !strings.HasPrefix(c.Header.Get("Content-Type"), "application/json") {
		s.flag("%s: body without Content-Type application/json", c.operation)
	}
	if scheme, _, _ := strings.Cut(c.Header.Get("Authorization"), " "); scheme != "Bearer" {
		s.flag("%s: no bearer token in Authorization", c.operation)
	}
	for key := range s.keys {
		if strings.Contains(c.URL.String(), key) {
			s.flag("%s: API key in the URL", c.operation)
		}
	}
}

// elsewhere answers every other path: with the page of a session, or with 404.
func (s *Server) elsewhere(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.working.Done()

	body, _ := io.ReadAll(r.Body)
	s.Journal.Record(r, "", body)
	page := r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/session/")

	s.mu.Lock()
	if !page {
		s.flag("%s %s: no such endpoint", r.Method, r.URL.Path)
	}
	if r.Header.Get("Authorization") != "" {
		s.flag("%s %s: Authorization sent where none is needed", r.Method, r.URL.Path)
	}
	s.mu.Unlock()

	if !page {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, "A shared session.\n")
}

// enter registers a handler with working, unless the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.working.Add(1)
	return true
}

// wait pauses for d and reports whether the server is still open.
func (s *Server) wait(d time.Duration) bool {
	if d <= 0 {
		return s.stop.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop.Done():
		return false
	}
}
