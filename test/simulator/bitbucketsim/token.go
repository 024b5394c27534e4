package bitbucketsim

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The kinds of token, for Token.Kind.
const (
	APIToken        = "api_token"         // Cloud, of a user
	AccessToken     = "access_token"      // Cloud, of a repository, project or workspace
	HTTPAccessToken = "http_access_token" // Data Center, every owner
	AppPassword     = "app_password"      // Cloud, removed: git answers 410, REST 401
)

// The states of a token, for Token.State. The empty state is a valid token.
const (
	Expired    = "expired"
	Revoked    = "revoked"
	Unscoped   = "unscoped"   // an API token made "without scopes": 401 everywhere
	NoScope    = "no_scope"   // signed in, but without the right to read repositories
	IPBlocked  = "ip_blocked" // Cloud: private git data only, REST still answers
	TwoStep    = "two_step"   // Cloud: private git data only, REST still answers
	CAPTCHA    = "captcha"    // Data Center: locked after failed logins
	Unlicensed = "unlicensed" // Data Center: no licence seat
)

// states lists which state a kind of token can be in.
var states = map[string][]string{
	APIToken:        {"", Expired, Revoked, Unscoped, NoScope, IPBlocked, TwoStep},
	AccessToken:     {"", Expired, Revoked, NoScope, IPBlocked, TwoStep},
	HTTPAccessToken: {"", Expired, Revoked, NoScope, CAPTCHA, Unlicensed},
	AppPassword:     {""},
}

// Token is a token that the simulated Bitbucket has issued.
type Token struct {
	Value string
	// Kind is one of APIToken, AccessToken, HTTPAccessToken and AppPassword.
	Kind string
	// Write lets it push too.
	Write bool
	// Repositories lists what it can access as "owner/slug"; empty means all of its flavor.
	Repositories []string
	// Project limits it to one project, when it is not empty.
	Project string
	// State is one of the states above that its kind can have.
	State string
	// User is the owner. Data Center: the user slug, for X-AUSERNAME and as Basic user name. Cloud API token:
	// the e-mail, the Basic user of REST; empty accepts any e-mail.
	User string
}

// AddToken issues a token and replaces one with the same value, so that a test can let a token expire. It
// panics on an empty value and on a kind or state that Bitbucket does not have.
func (s *Server) AddToken(t Token) {
	if t.Value == "" || !slices.Contains(states[t.Kind], t.State) {
		panic(fmt.Errorf("add token: no token of kind %q and state %q with %d characters", t.Kind, t.State, len(t.Value)))
	}
	t.Repositories = slices.Clone(t.Repositories)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[t.Value] = t
}

// token returns the token that was issued to this flavor. One of the other flavor is unknown here, and
// sending it is a violation.
func (s *Server) token(flavor Flavor, value string) (Token, bool) {
	s.mu.Lock()
	t, known := s.tokens[value]
	if known {
		t = s.present(t)
	}
	s.mu.Unlock()
	if known && t.flavor() != flavor {
		s.violate("a token of %s was sent to %s", t.flavor(), flavor)
		return Token{}, false
	}
	return t, known
}

func (t Token) flavor() Flavor {
	if t.Kind == HTTPAccessToken {
		return DataCenter
	}
	return Cloud
}

// live reports whether the token can still sign in.
func (t Token) live() bool {
	return t.State != Expired && t.State != Revoked && t.State != Unscoped && t.Kind != AppPassword
}

// reaches reports whether the repository exists and the token's owner can see it.
func (t Token) reaches(r *Repository) bool {
	if r == nil || r.Flavor != t.flavor() {
		return false
	}
	if t.Project != "" && !strings.EqualFold(t.Project, r.Owner) {
		return false
	}
	named := func(name string) bool { return strings.EqualFold(name, r.Owner+"/"+r.Slug) }
	return len(t.Repositories) == 0 || slices.ContainsFunc(t.Repositories, named)
}

// scopes returns the granted scopes in the vocabulary of the token's kind.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/api-token-permissions/ and
// https://support.atlassian.com/bitbucket-cloud/docs/repository-access-token-permissions/
func (t Token) scopes() []string {
	var granted []string
	switch {
	case t.Kind == APIToken && t.State == NoScope:
		granted = []string{"read:user:bitbucket"}
	case t.Kind == APIToken:
		granted = []string{"read:repository:bitbucket"}
	case t.State == NoScope:
		granted = []string{"pipeline"}
	default:
		granted = []string{"repository"}
	}
	if t.Write && t.Kind == APIToken {
		granted = append(granted, "write:repository:bitbucket")
	} else if t.Write {
		granted = append(granted, "repository:write")
	}
	return granted
}

// readScope returns the scope for reading a repository.
func (t Token) readScope() string {
	if t.Kind == APIToken {
		return "read:repository:bitbucket"
	}
	return "repository"
}

// credentialType returns the value of Cloud's header x-credential-type.
func (t Token) credentialType() string {
	switch {
	case t.Kind == APIToken:
		return "api_token"
	case len(t.Repositories) == 1:
		return "repo_access_token"
	default:
		return "workspace_access_token"
	}
}

// credentials is the content of a request's Authorization header.
type credentials struct {
	scheme       string // "basic", "bearer", something else in lower case, or empty: nothing was sent
	user, secret string
}

func credentialsOf(r *http.Request) credentials {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	c := credentials{scheme: strings.ToLower(scheme), secret: value}
	if c.scheme == "basic" {
		decoded, err := base64.StdEncoding.DecodeString(value)
		if err == nil {
			c.user, c.secret, _ = strings.Cut(string(decoded), ":")
		}
	}
	return c
}

func (c credentials) sent() bool { return c.scheme != "" }
