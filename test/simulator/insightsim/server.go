// Package insightsim simulates the proxy that runs with each step of Bitbucket Pipelines, and the part of
// Bitbucket Cloud's REST with the reports of Code Insights. It follows Atlassian's documentation alone:
//
//   - "Code Insights": the proxy listens on port 29418, takes http://api.bitbucket.org and adds the credential.
//   - "REST API, group Reports": paths, fields, bounds. A report holds its annotations.
package insightsim

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
)

// The operations, as a fault.Script names them.
const (
	Put    = "PUT report"
	Delete = "DELETE report"
	Post   = "POST annotations"
)

// Report is a stored report.
type Report struct {
	ID string
	Fields
	Annotations []Annotation // in the order of their IDs
}

// Server is a running simulator. Its methods are safe for concurrent use.
type Server struct {
	// Script holds the faults to come. A fault that strikes After an operation lets it happen first.
	Script fault.Script
	// Journal holds every request as it arrived.
	Journal fault.Journal

	listener net.Listener
	server   *http.Server

	mu         sync.Mutex
	commits    map[string]map[string]*held // reports by workspace/slug/commit and ID
	violations []string
}

type held struct {
	Fields
	annotations map[string]Annotation
}

// Start listens at an address, host:port.
func Start(address string) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	s := &Server{listener: listener, commits: map[string]map[string]*held{}}
	s.server = &http.Server{Handler: http.HandlerFunc(s.serve)}
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

// URL returns the proxy's address.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Close ends the simulator and every connection.
func (s *Server) Close() { _ = s.server.Close() }

// AddCommit adds a commit, "workspace/slug/hash". Requests about other commits are refused.
func (s *Server) AddCommit(commit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits[commit] = map[string]*held{}
}

// Reports returns those on a commit, in the order of their IDs.
func (s *Server) Reports(commit string) []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Report
	for _, id := range slices.Sorted(maps.Keys(s.commits[commit])) {
		on := s.commits[commit][id]
		r := Report{ID: id, Fields: on.Fields}
		for _, external := range slices.Sorted(maps.Keys(on.annotations)) {
			r.Annotations = append(r.Annotations, on.annotations[external])
		}
		list = append(list, r)
	}
	return list
}

// Violations returns the requests that no client of the documented interface sends.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

func (s *Server) violate(r *http.Request, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, fmt.Sprintf("%s %s: ", r.Method, r.URL)+fmt.Sprintf(format, args...))
}

var resource = regexp.MustCompile(`^/2\.0/repositories/([^/]+/[^/]+)/commit/([^/]+)/reports/([^/]+)(/annotations)?$`)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return
	}
	path := resource.FindStringSubmatch(r.URL.EscapedPath())
	operation := ""
	if path != nil {
		operation = map[string]string{"PUT ": Put, "DELETE ": Delete, "POST /annotations": Post}[r.Method+" "+path[4]]
	}
	s.Journal.Record(r, operation, body)
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie"} {
		if r.Header.Get(name) != "" {
			s.violate(r, "a credential where the proxy adds one: %s", name)
		}
	}
	switch {
	case r.URL.Scheme != "http" || r.URL.Host != "api.bitbucket.org":
		s.violate(r, "the proxy authenticates requests to http://api.bitbucket.org alone")
		refuse(w, http.StatusBadGateway, "not for this proxy")
		return
	case operation == "":
		s.violate(r, "there is no such resource")
		refuse(w, http.StatusNotFound, "no such resource")
		return
	}
	f, struck := s.Script.Next(operation)
	if struck && f.When == fault.Before {
		f.Strike(w)
		return
	}
	status, answer := s.do(operation, path[1]+"/"+path[2], path[3], body)
	if status == http.StatusBadRequest {
		s.violate(r, "%v", answer)
	}
	if struck {
		f.Strike(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if answer != nil {
		_ = json.NewEncoder(w).Encode(answer) // the client may have gone
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"key": "report-service.general", "message": message})
}

// do carries an operation out on a report of a commit.
func (s *Server) do(operation, commit, id string, body []byte) (status int, answer any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reports, known := s.commits[commit]
	if !known {
		return http.StatusNotFound, map[string]any{"message": "no such commit"}
	}
	bad := func(err error) (int, any) {
		return http.StatusBadRequest, map[string]any{"key": "report-service.general.bad-request", "message": err.Error()}
	}
	report := reports[id]
	switch {
	case operation == Put:
		fields, err := readFields(body)
		if err != nil {
			return bad(err)
		}
		if report == nil {
			report = &held{annotations: map[string]Annotation{}}
			reports[id] = report
		}
		report.Fields = fields // annotations stay
		return http.StatusOK, fields
	case report == nil:
		return http.StatusNotFound, map[string]any{"message": "no such report"}
	case operation == Delete:
		delete(reports, id)
		return http.StatusNoContent, nil
	}
	list, err := readAnnotations(body)
	if err != nil {
		return bad(err)
	}
	all := maps.Clone(report.annotations)
	for _, a := range list {
		all[a.ExternalID] = a
	}
	if len(all) > mostAnnotations {
		return bad(fmt.Errorf("a report holds at most %d annotations", mostAnnotations))
	}
	report.annotations = all
	return http.StatusOK, list
}
