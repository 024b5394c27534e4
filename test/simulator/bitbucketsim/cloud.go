package bitbucketsim

import (
	"net/http"
	"strings"
)

// Cloud's messages. Git shows a text/plain body as "remote:" lines.
//
// Source: https://confluence.atlassian.com/bbkb/error-403-when-performing-git-operations-1155479141.html and
// community reports; the wording has changed over the years, so a client should look for a few words only.
const (
	cloudChallenge      = `Basic realm="Bitbucket.org HTTP"`
	cloudInvalid        = "Invalid credentials"
	cloudUnknown        = "You may not have access to this repository or it no longer exists in this workspace. If you think this repository exists and you have access, make sure you are authenticated."
	cloudNoAccess       = "The requested repository either does not exist or you do not have access. If you believe this repository exists and you have access, make sure you're authenticated."
	cloudMissingScope   = "Your credentials lack one or more required privilege scopes."
	cloudAddressBlocked = "To access this repository, an admin must whitelist your IP."
	cloudTwoStep        = "To access this repository, enable two-step authentication."
)

// cloudAppPassword is the answer to git with an app password since 2026-07-28. The status is documented, the
// text is not.
//
// Source: https://community.atlassian.com/ article 3237429 (CHANGE-3222)
const cloudAppPassword = "App passwords are no longer supported. Use an API token."

// The fixed user names of Cloud's git.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/ and
// https://support.atlassian.com/bitbucket-cloud/docs/using-access-tokens/
const (
	apiTokenUser    = "x-bitbucket-api-token-auth"
	accessTokenUser = "x-token-auth"
)

// routeCloud routes a request to bitbucket.org. A client that does not call itself git gets the web site.
//
// Source: https://github.com/mirage/ocaml-git/issues/66, of 2014; no later source is known.
func (s *Server) routeCloud(r *http.Request) route {
	call, isGit := parseGitCall(r, r.URL.Path)
	if !isGit || !strings.HasPrefix(r.UserAgent(), "git/") {
		return route{serve: s.serveCloudPage}
	}
	return route{call.operation(), func(w http.ResponseWriter, r *http.Request) { s.serveCloudGit(w, r, call) }}
}

// serveCloudPage answers as the web site, which accepts no token.
func (s *Server) serveCloudPage(w http.ResponseWriter, r *http.Request) {
	if credentialsOf(r).sent() {
		s.violate("%s %s: credentials were sent to a page that is not git", r.Method, r.Host)
	}
	writeHTML(w, http.StatusNotFound, "<!DOCTYPE html>\n<html>\n<title>Bitbucket</title>\n<h1>Not Found</h1>\n</html>\n")
}

func (s *Server) serveCloudGit(w http.ResponseWriter, r *http.Request, call gitCall) {
	repository := s.repository(Cloud, call.owner, call.slug)
	if repository.redirected(w, r, call) {
		return
	}
	status, text := s.judgeCloudGit(credentialsOf(r), call, repository)
	switch status {
	case http.StatusOK:
		s.serveGit(w, r, call, repository)
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", cloudChallenge)
		writeText(w, status, text)
	default:
		writeText(w, status, text)
	}
}

// judgeCloudGit decides a call to Cloud's git: 200, or a refusal and its text. The repository may be nil.
//
// Bad credentials are refused for a public repository, too, unless it is Unchecked. The address and two-step rules protect private
// repositories only.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/control-access-to-private-content-in-a-workspace/
func (s *Server) judgeCloudGit(c credentials, call gitCall, repository *Repository) (status int, text string) {
	open := repository != nil && repository.Public && call.service == UploadPack
	if repository.unchecked(call) {
		return http.StatusOK, ""
	}
	if !c.sent() {
		if open {
			return http.StatusOK, ""
		}
		return http.StatusUnauthorized, cloudUnknown
	}
	token, valid := s.identifyCloudGit(c)
	switch {
	case token.Kind == AppPassword:
		return http.StatusGone, cloudAppPassword
	case !valid:
		s.failLogin(c.secret)
		return http.StatusUnauthorized, cloudInvalid
	case token.State == NoScope:
		return http.StatusForbidden, cloudMissingScope
	case open:
		return http.StatusOK, ""
	case !token.reaches(repository):
		return http.StatusForbidden, cloudNoAccess
	case token.State == IPBlocked:
		return http.StatusForbidden, cloudAddressBlocked
	case token.State == TwoStep:
		return http.StatusForbidden, cloudTwoStep
	case call.service == ReceivePack && !token.Write:
		return http.StatusForbidden, cloudMissingScope
	}
	return http.StatusOK, ""
}

// identifyCloudGit checks Basic credentials: an API token with the fixed user or a user name, but not an
// e-mail address; an access token with its own fixed user.
func (s *Server) identifyCloudGit(c credentials) (Token, bool) {
	if c.scheme == "bearer" {
		s.violate("a Bearer header was sent to Cloud's git, which takes Basic")
	}
	token, known := s.token(Cloud, c.secret)
	if c.scheme != "basic" || !known || !token.live() {
		return Token{Kind: token.Kind}, false
	}
	if token.Kind == AccessToken {
		return token, c.user == accessTokenUser
	}
	return token, c.user != "" && c.user != accessTokenUser && !strings.Contains(c.user, "@")
}
