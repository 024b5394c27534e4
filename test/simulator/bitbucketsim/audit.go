package bitbucketsim

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// allowedFailures is how often one token value may fail: a client may try Data Center with Bearer, then
// Basic. By default Data Center requires a CAPTCHA after 5 failed logins.
const allowedFailures = 2

// Violations returns what no careful client does, oldest first; no entry holds a token. They are:
//
//   - a proxy request for anything but the simulated hosts, or with an Authorization header
//   - a known token or password, or any user part, in a URL; a known token or password in a header other than Authorization
//   - two Authorization headers in one request
//   - credentials for a Data Center path outside /rest and /scm, or for a page of bitbucket.org
//   - a Data Center token sent to Cloud, or a Cloud token sent to Data Center
//   - a Bearer header for Cloud's git
//   - a third failed authentication (and each further one) with one token value
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// FailedLogins returns how many requests with this token value were refused as bad credentials. The empty
// token stands for credentials without a password, which git sends for a URL with a user part.
func (s *Server) FailedLogins(token string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures[token]
}

// Counts returns the number of requests of each operation since Start or the last Journal.Reset, those that
// were refused or failed by script included.
func (s *Server) Counts() map[string]int {
	counts := map[string]int{}
	for _, request := range s.Journal.All() {
		if request.Operation != "" {
			counts[request.Operation]++
		}
	}
	return counts
}

func (s *Server) violate(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, fmt.Sprintf(format, args...))
}

// failLogin counts a failed authentication.
func (s *Server) failLogin(token string) {
	s.mu.Lock()
	s.failures[token]++
	count := s.failures[token]
	s.mu.Unlock()
	if count > allowedFailures && token != "" {
		s.violate("%d failed authentications with one token value", count)
	}
}

// inspect searches a request for secrets where none may be.
func (s *Server) inspect(r *http.Request) {
	place := r.Method + " " + r.Host
	if r.URL.User != nil {
		s.violate("%s: the URL carries credentials", place)
	}
	if s.holdsToken(r.URL.String()) {
		s.violate("%s: the URL carries a token", place)
	}
	if len(r.Header.Values("Authorization")) > 1 {
		s.violate("%s: two Authorization headers", place)
	}
	for name, values := range r.Header {
		if name != "Authorization" && s.holdsToken(strings.Join(values, "\n")) {
			s.violate("%s: the header %s carries a token", place, name)
		}
	}
}

// holdsToken reports whether the text holds a known token or password, as it is or percent-encoded.
func (s *Server) holdsToken(text string) bool {
	decoded, err := url.PathUnescape(text)
	if err != nil {
		decoded = text
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for value := range s.tokens {
		if strings.Contains(text, value) || strings.Contains(decoded, value) {
			return true
		}
	}
	for _, p := range s.users {
		if strings.Contains(decoded, p.password) {
			return true
		}
	}
	return false
}
