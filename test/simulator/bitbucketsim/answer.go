package bitbucketsim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
)

// route is the operation of a request, which a script may fail, and how it is answered.
type route struct {
	operation string
	serve     http.HandlerFunc
}

// answer takes a request through the simulator: journal, inspection, latency, faults, then the route.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, route route) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.serving.Done()

	body, err := io.ReadAll(r.Body)
	s.record(r, route.operation, body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone away
	}
	// CGI requires a length, but git sends its packs chunked.
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil

	s.inspect(r)
	s.hold(r)

	logged := &statusWriter{ResponseWriter: w, sent: &s.sent}
	defer func() { s.log.Printf("%s %s%s %d", r.Method, r.Host, r.URL.Path, logged.status) }()
	f, struck := s.Script.Next(route.operation)
	switch {
	case !struck:
		route.serve(logged, r)
	case f.When == fault.Before:
		f.Strike(logged)
	default:
		route.serve(lostAnswer{}, r)
		f.Strike(logged)
	}
}

// record adds the request to the journal, with its absolute URL.
func (s *Server) record(r *http.Request, operation string, body []byte) {
	meant := *r
	absolute := *r.URL
	if absolute.Host == "" {
		absolute.Scheme, absolute.Host = schemeOf(r), r.Host
	}
	meant.URL = &absolute
	s.Journal.Record(&meant, operation, body)
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// hold waits for the latency, or until the client gives up.
func (s *Server) hold(r *http.Request) {
	if s.latency == 0 {
		return
	}
	timer := time.NewTimer(s.latency)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// statusWriter remembers the status for the log; 0 is a connection that was cut.
type statusWriter struct {
	http.ResponseWriter
	status int
	sent   *atomic.Int64
}

func (w *statusWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.sent.Add(int64(n))
	return n, err
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// lostAnswer discards an answer with its headers.
type lostAnswer struct{}

func (lostAnswer) Header() http.Header         { return http.Header{} }
func (lostAnswer) Write(p []byte) (int, error) { return len(p), nil }
func (lostAnswer) WriteHeader(int)             {}

func writeText(w http.ResponseWriter, status int, text string) {
	write(w, status, "text/plain; charset=utf-8", []byte(text))
}

func writeHTML(w http.ResponseWriter, status int, page string) {
	write(w, status, "text/html;charset=UTF-8", []byte(page))
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // cannot happen: the simulator makes every value
	}
	write(w, status, "application/json", body)
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
}
