package bitbucketsim

import (
	"net/http"
	"net/url"
	"strings"
)

// dataCenterContext is the context path under which Data Center is installed.
const dataCenterContext = "/bitbucket"

// Data Center's messages over git.
//
// Source: https://github.com/go-git/go-git/issues/552 for the missing repository; GitHub Desktop's code for
// the challenge; https://confluence.atlassian.com/bitbucketserverkb/ ("How to configure CAPTCHA")
const (
	dataCenterChallenge = `Basic realm="Atlassian Bitbucket"`
	dataCenterMissing   = "Repository not found\nThe requested repository does not exist, or you do not have permission to access it."
	dataCenterCAPTCHA   = "CAPTCHA required\nYour Bitbucket account has been marked as requiring a CAPTCHA to be solved before it may be used again."
	dataCenterLicence   = "You are not currently licensed to use Bitbucket. Please contact your administrator."
	dataCenterArchived  = "Repository archived\nThe repository is archived and cannot be pushed to."
)

// serveLoopback answers a request to the plain HTTP server.
func (s *Server) serveLoopback(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, s.routeDataCenter(r))
}

// routeDataCenter routes a request below or outside the context path.
func (s *Server) routeDataCenter(r *http.Request) route {
	path, inside := strings.CutPrefix(r.URL.Path, dataCenterContext+"/")
	if !inside {
		return route{serve: s.serveOutsideContext}
	}
	area, rest, _ := strings.Cut(path, "/")
	switch area {
	case "scm":
		return s.routeDataCenterGit(r, rest)
	case "rest":
		return s.routeDataCenterREST(r, rest)
	case "login":
		return route{serve: s.serveLogin}
	default:
		return route{serve: s.servePage}
	}
}

// serveOutsideContext answers as the servlet container does, with 404. A clone URL with the wrong context path
// may send credentials here; no other request may.
func (s *Server) serveOutsideContext(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.URL.Path, "/scm/") {
		s.forbidCredentials(r)
	}
	writeHTML(w, http.StatusNotFound, "<!doctype html>\n<html>\n<title>HTTP Status 404 – Not Found</title>\n<h1>HTTP Status 404 – Not Found</h1>\n</html>\n")
}

// servePage answers everything that is neither /rest nor /scm. Tokens do not work there: Bearer gets the login
// page, and Basic counts as a failed login.
//
// Source: https://support.atlassian.com/bitbucket-data-center/kb/ ("Access tokens no longer work as expected
// after upgrading", versions 8.9.22, 8.19.12, 9.3.2 and later)
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	c := credentialsOf(r)
	s.forbidCredentials(r)
	switch {
	case c.scheme == "basic":
		s.failLogin(c.secret)
		w.Header().Set("WWW-Authenticate", dataCenterChallenge)
		writeHTML(w, http.StatusUnauthorized, "<!DOCTYPE html>\n<html>\n<title>Unauthorized</title>\n</html>\n")
	case !c.sent() && r.URL.Path == dataCenterContext+"/status":
		writeJSON(w, http.StatusOK, map[string]string{"state": "RUNNING"})
	default:
		next := strings.TrimPrefix(r.URL.Path, dataCenterContext)
		http.Redirect(w, r, dataCenterContext+"/login?next="+url.QueryEscape(next), http.StatusFound)
	}
}

// serveLogin answers every caller with the login page: HTML with status 200.
func (s *Server) serveLogin(w http.ResponseWriter, r *http.Request) {
	s.forbidCredentials(r)
	writeHTML(w, http.StatusOK, "<!DOCTYPE html>\n<html>\n<title>Log in - Bitbucket</title>\n<form id=\"loginForm\" method=\"post\"></form>\n</html>\n")
}

// forbidCredentials notes a violation when credentials are sent to a path that must not get them.
func (s *Server) forbidCredentials(r *http.Request) {
	if credentialsOf(r).sent() {
		s.violate("%s %s: credentials were sent outside /rest and /scm", r.Method, r.Host)
	}
}

// standing is Data Center's judgement of a request's credentials.
type standing int

const (
	anonymous standing = iota
	signedIn
	badCredentials
	basicRefused
	locked // a CAPTCHA is required
	unlicensed
)

// identifyDataCenter checks Bearer, and Basic with a password, or a token with the fixed user or its owner.
//
// Source: https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html and
// https://support.atlassian.com/bitbucket-data-center/kb/git-commands-failing-with-url-rejected-when-using-http-access-tokens-as-basic-auth/
func (s *Server) identifyDataCenter(c credentials) (Token, standing) {
	if !c.sent() {
		return Token{}, anonymous
	}
	token, known := s.token(DataCenter, c.secret)
	if c.scheme == "basic" && s.currentPolicy().BasicRefused {
		return Token{}, basicRefused
	}
	if p, ok := s.person(c); ok {
		return p.token(), signedIn
	}
	named := c.scheme == "basic" && (c.user == accessTokenUser || token.User != "" && c.user == token.User)
	switch {
	case !known, !token.live(), c.scheme != "bearer" && !named:
		s.failLogin(c.secret)
		return Token{}, badCredentials
	case token.State == CAPTCHA:
		return token, locked
	case token.State == Unlicensed:
		return token, unlicensed
	}
	return token, signedIn
}

// mayRead reports whether the token (or no token) may read the repository, which may be nil.
func mayRead(t Token, repository *Repository) bool {
	if repository == nil {
		return false
	}
	return repository.Public || t.State != NoScope && t.reaches(repository)
}

// routeDataCenterGit routes what comes after /scm/.
func (s *Server) routeDataCenterGit(r *http.Request, path string) route {
	call, isGit := parseGitCall(r, path)
	if !isGit {
		return route{serve: func(w http.ResponseWriter, r *http.Request) {
			writeHTML(w, http.StatusNotFound, "<!DOCTYPE html>\n<html>\n<title>Not found</title>\n</html>\n")
		}}
	}
	return route{call.operation(), func(w http.ResponseWriter, r *http.Request) { s.serveDataCenterGit(w, r, call) }}
}

func (s *Server) serveDataCenterGit(w http.ResponseWriter, r *http.Request, call gitCall) {
	repository := s.repository(DataCenter, call.owner, call.slug)
	if repository.redirected(w, r, call) {
		return
	}
	if repository.unchecked(call) {
		s.serveGit(w, r, call, repository)
		return
	}
	token, standing := s.identifyDataCenter(credentialsOf(r))
	if standing == signedIn {
		w.Header().Set("X-AUSERNAME", url.QueryEscape(token.User)) // as below /rest: seen below /scm, too
	}
	push := call.service == ReceivePack
	switch {
	case standing == badCredentials, standing == anonymous && (push || !mayRead(token, repository)):
		w.Header().Set("WWW-Authenticate", dataCenterChallenge)
		writeText(w, http.StatusUnauthorized, "Authentication failed. Please check your credentials and try again.\n")
	case standing == basicRefused:
		writeText(w, http.StatusForbidden, "Basic Authentication has been disabled on this instance.\n")
	case standing == locked:
		writeGitError(w, call, dataCenterCAPTCHA)
	case standing == unlicensed:
		writeGitError(w, call, dataCenterLicence)
	case !mayRead(token, repository):
		writeGitError(w, call, dataCenterMissing)
	case push && !(token.Write && token.reaches(repository)):
		writeText(w, http.StatusForbidden, "You do not have permission to push to this repository.\n")
	case push && repository.Archived:
		writeGitError(w, call, dataCenterArchived)
	default:
		s.serveGit(w, r, call, repository)
	}
}
