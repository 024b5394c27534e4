package bitbucketsim

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// permissions are the permissions of HTTP access tokens, weakest first.
//
// Source: https://developer.atlassian.com/server/bitbucket/rest/, Authentication.
var permissions = []string{"PROJECT_READ", "REPO_READ", "PROJECT_WRITE", "REPO_WRITE", "PROJECT_ADMIN", "REPO_ADMIN"}

// HTTPToken is an HTTP access token of Data Center as its server keeps it.
type HTTPToken struct {
	// ID has twelve digits, the first of which is 0.
	ID, Name string
	// Permission is the strongest that it has.
	Permission string
	// Owner is the path of its owner: "users/jane", "projects/PRJ" or "projects/PRJ/repos/app".
	Owner string
	// Value is the token itself.
	Value string
	// By is the name of who made it, empty for AddAccessToken.
	By string

	permissions   []string
	created, used time.Time
	days          int
}

// DeletedToken is a token that was revoked over REST.
type DeletedToken struct {
	HTTPToken
	// By is the name of who deleted it.
	By string
}

// person is somebody who signs in with a password.
type person struct {
	name, password string
	projects       []string // whose tokens the person manages; none: of all
}

// AddUser adds a person who signs in with a password and administers the named projects, or every project
// when none is named. The slug is the name in lower case, with "_" for characters that a slug cannot hold. It
// panics on an empty password.
func (s *Server) AddUser(name, password string, projects ...string) {
	if password == "" {
		panic(fmt.Errorf("add user %q: no password", name))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[slugOf(name)] = person{name, password, projects}
}

// AddAccessToken makes a token as a person would on the website; with 0 days it never expires.
func (s *Server) AddAccessToken(owner, name, permission string, days int) HTTPToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mint(HTTPToken{Owner: owner, Name: name, permissions: []string{permission}, days: days})
}

// AccessTokens returns the tokens that work, oldest first.
func (s *Server) AccessTokens() []HTTPToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.minted), s.lapsed)
}

// DeletedAccessTokens returns the tokens that were deleted, in order.
func (s *Server) DeletedAccessTokens() []DeletedToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deleted)
}

// MintedValues returns the value of every token that ever existed.
func (s *Server) MintedValues() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mintedValues)
}

// Elapse moves the clock by which tokens expire.
func (s *Server) Elapse(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.elapsed += d
}

// mint completes a token, which works at once. The caller holds the lock.
func (s *Server) mint(t HTTPToken) HTTPToken {
	t.ID = fmt.Sprintf("%012d", 75905477751+int64(len(s.mintedValues))*7)
	noise := make([]byte, 20)
	_, _ = rand.Read(noise) // never fails
	t.Value = "BBDC-" + base64.StdEncoding.EncodeToString(append([]byte(t.ID+":"), noise...))
	t.Permission = slices.MaxFunc(t.permissions, func(a, b string) int { return slices.Index(permissions, a) - slices.Index(permissions, b) })
	t.created = s.now()
	if n := len(s.minted); n > 0 && !t.created.After(s.minted[n-1].created) {
		t.created = s.minted[n-1].created.Add(time.Millisecond)
	}
	s.minted, s.mintedValues = append(s.minted, t), append(s.mintedValues, t.Value)

	issued := Token{Value: t.Value, Kind: HTTPAccessToken, Write: !strings.HasSuffix(t.Permission, "_READ")}
	parts := strings.Split(t.Owner, "/")
	switch {
	case len(parts) == 4:
		issued.Repositories = []string{parts[1] + "/" + parts[3]}
	case parts[0] == "projects":
		issued.Project = parts[1]
	}
	if parts[0] == "users" {
		issued.User = parts[1]
		if p, known := s.users[parts[1]]; known {
			issued.User = p.name
		}
	} else {
		issued.User = "access-token-user/" + t.ID // not a person's name
	}
	s.tokens[t.Value] = issued
	return t
}

// now returns the server's clock, which counts milliseconds. The caller holds the lock.
func (s *Server) now() time.Time {
	return time.Now().UTC().Add(s.elapsed).Truncate(time.Millisecond)
}

// lapsed reports whether a token has expired. The caller holds the lock.
func (s *Server) lapsed(t HTTPToken) bool {
	return t.days > 0 && !s.now().Before(t.created.AddDate(0, 0, t.days))
}

// present returns the present state of a token's value, and counts as a use of it. The caller holds the lock.
func (s *Server) present(t Token) Token {
	i := slices.IndexFunc(s.minted, func(known HTTPToken) bool { return known.Value == t.Value })
	if i < 0 {
		return t
	}
	if s.lapsed(s.minted[i]) {
		t.State = Expired
	} else {
		s.minted[i].used = s.now()
	}
	return t
}

// person returns who signs in with these credentials, with everything that the person may do.
func (s *Server) person(c credentials) (person, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, known := s.users[slugOf(c.user)]
	return p, c.scheme == "basic" && known && p.name == c.user && p.password == c.secret
}

// token returns a token with the person's rights.
func (p person) token() Token { return Token{Kind: HTTPAccessToken, User: p.name, Write: true} }

// manages reports whether the person manages an owner's tokens.
func (p person) manages(owner string) bool {
	parts := strings.Split(owner, "/")
	if parts[0] == "users" {
		return parts[1] == slugOf(p.name)
	}
	administers := func(project string) bool { return strings.EqualFold(project, parts[1]) }
	return len(p.projects) == 0 || strings.EqualFold("~"+slugOf(p.name), parts[1]) || slices.ContainsFunc(p.projects, administers)
}

var notSlug = regexp.MustCompile(`[^a-z0-9._-]`)

func slugOf(name string) string { return notSlug.ReplaceAllString(strings.ToLower(name), "_") }

// json returns the person as REST shows it.
func (p person) json() map[string]any {
	return map[string]any{
		"name": p.name, "slug": slugOf(p.name), "displayName": p.name, "emailAddress": slugOf(p.name) + "@example.test",
		"id": 1, "active": true, "type": "NORMAL",
	}
}

// json returns the token as REST shows it: times are milliseconds, and the time of expiry is not included. The
// caller holds the lock.
func (s *Server) json(t HTTPToken) map[string]any {
	shown := map[string]any{"id": t.ID, "name": t.Name, "createdDate": t.created.UnixMilli(), "permissions": t.permissions}
	if t.days > 0 {
		shown["expiryDays"] = t.days
	}
	if !t.used.IsZero() {
		shown["lastAuthenticated"] = t.used.UnixMilli()
	}
	if slug, ok := strings.CutPrefix(t.Owner, "users/"); ok && s.users[slug].name != "" {
		shown["user"] = s.users[slug].json()
	}
	return shown
}

// serveNoRoute answers as a version without the endpoint does.
func serveNoRoute(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusNotFound, map[string]any{"message": "HTTP 404 Not Found", "status-code": 404, "sub-code": -1})
}
