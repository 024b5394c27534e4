package bitbucketsim

import (
	"net/http"
	"net/url"
	"strings"
)

// Exception names, which are more exact than the status.
//
// Source: https://docs.atlassian.com/bitbucket-server/javadoc/ and error bodies seen in public reports
const (
	incorrectPassword      = "com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException"
	authenticationRequired = "com.atlassian.plugins.rest.api.security.exception.AuthenticationRequiredException"
	notAuthorised          = "com.atlassian.bitbucket.AuthorisationException"
	noLicence              = "com.atlassian.bitbucket.auth.NoAccessAuthenticationException"
	captchaRequired        = "com.atlassian.bitbucket.auth.CaptchaRequiredAuthenticationException"
	noSuchProject          = "com.atlassian.bitbucket.project.NoSuchProjectException"
	noSuchRepository       = "com.atlassian.bitbucket.repository.NoSuchRepositoryException"
)

// routeDataCenterREST routes what comes after /rest/: api/{version}/application-properties,
// api/{version}/projects/{key}/repos[/{slug}], api/{version}/users/{slug}/repos[/{slug}], api/{version}/users and
// access-tokens/{version}/.
func (s *Server) routeDataCenterREST(r *http.Request, path string) route {
	parts := strings.Split(path, "/")
	get := r.Method == http.MethodGet && len(parts) > 2 && parts[0] == "api" && (parts[1] == "latest" || parts[1] == "1.0")
	if len(parts) > 2 && parts[0] == "access-tokens" && (parts[1] == "latest" || parts[1] == "1.0") {
		return s.routeAccessTokens(r, strings.Join(parts[2:], "/"))
	}
	switch {
	case get && len(parts) == 3 && parts[2] == "users":
		return route{FindUsers, s.findUsers}
	case get && len(parts) == 3 && parts[2] == "repos":
		return route{PermittedRepositories, s.listPermitted}
	case get && len(parts) == 3 && parts[2] == "application-properties":
		return route{DataCenterProperties, s.serveProperties}
	case get && len(parts) == 5 && (parts[2] == "projects" || parts[2] == "users") && parts[4] == "repos":
		owner := parts[3]
		if parts[2] == "users" {
			owner = "~" + owner
		}
		return route{DataCenterRepositories, func(w http.ResponseWriter, r *http.Request) { s.listDataCenter(w, r, owner) }}
	case get && len(parts) == 6 && (parts[2] == "projects" || parts[2] == "users") && parts[4] == "repos":
		owner, slug := parts[3], parts[5]
		if parts[2] == "users" {
			owner = "~" + owner
		}
		return route{DataCenterRepository, func(w http.ResponseWriter, r *http.Request) {
			s.serveDataCenterRepository(w, r, owner, slug)
		}}
	default:
		return route{serve: serveNoRoute}
	}
}

// admitREST signs the request in, or answers it. Only anonymous and signedIn continue.
func (s *Server) admitREST(w http.ResponseWriter, r *http.Request) (Token, standing, bool) {
	token, standing := s.identifyDataCenter(credentialsOf(r))
	switch standing {
	case badCredentials:
		w.Header().Set("WWW-Authenticate", dataCenterChallenge)
		writeErrors(w, http.StatusUnauthorized, incorrectPassword, "Authentication failed. Please check your credentials and try again.")
	case basicRefused:
		writeText(w, http.StatusForbidden, "Basic Authentication has been disabled on this instance.\n")
	case locked:
		writeErrors(w, http.StatusUnauthorized, captchaRequired, strings.ReplaceAll(dataCenterCAPTCHA, "\n", ". "))
	case unlicensed:
		writeErrors(w, http.StatusUnauthorized, noLicence, dataCenterLicence)
	case signedIn:
		w.Header().Set("X-AUSERNAME", url.QueryEscape(token.User))
		return token, standing, true
	default:
		return token, standing, true
	}
	return token, standing, false
}

// serveProperties returns the version to every caller, but refuses bad credentials.
func (s *Server) serveProperties(w http.ResponseWriter, r *http.Request) {
	if _, _, admitted := s.admitREST(w, r); !admitted {
		return
	}
	version := s.currentPolicy().Version
	if version == "" {
		version = "9.4.2"
	}
	writeJSON(w, http.StatusOK, map[string]string{
		"version":     version,
		"buildNumber": "9004002",
		"buildDate":   "1735689600000",
		"displayName": "Bitbucket",
	})
}

// serveDataCenterRepository answers one repository. 401 is also the answer for a known caller without the
// permission; only the exception name differs.
func (s *Server) serveDataCenterRepository(w http.ResponseWriter, r *http.Request, owner, slug string) {
	token, standing, admitted := s.admitREST(w, r)
	if !admitted {
		return
	}
	repository := s.repository(DataCenter, owner, slug)
	switch {
	case mayRead(token, repository):
		base := schemeOf(r) + "://" + r.Host + dataCenterContext
		writeJSON(w, http.StatusOK, repository.dataCenterJSON(base))
	case standing == anonymous:
		writeErrors(w, http.StatusUnauthorized, authenticationRequired, "Authentication is required to access this resource.")
	case repository != nil:
		writeErrors(w, http.StatusUnauthorized, notAuthorised, "You are not permitted to access this resource")
	case s.ownerExists(DataCenter, owner):
		writeErrors(w, http.StatusNotFound, noSuchRepository, "Repository "+owner+"/"+slug+" does not exist.")
	default:
		writeErrors(w, http.StatusNotFound, noSuchProject, "Project "+owner+" does not exist.")
	}
}

// writeErrors answers {"errors":[{"context":null,"message":"...","exceptionName":"..."}]}.
func writeErrors(w http.ResponseWriter, status int, exceptionName, message string) {
	writeJSON(w, status, map[string]any{"errors": []any{
		map[string]any{"context": nil, "message": message, "exceptionName": exceptionName},
	}})
}

// dataCenterJSON returns the repository as the REST API shows it to a client of this base URL.
func (r *Repository) dataCenterJSON(base string) any {
	kind, browse := "NORMAL", base+"/projects/"+r.Owner
	if user, personal := strings.CutPrefix(r.Owner, "~"); personal {
		kind, browse = "PERSONAL", base+"/users/"+user
	}
	clone := []link{
		{Name: "ssh", Href: "ssh://git@" + dataCenterHost + ":7999/" + r.Owner + "/" + r.Slug + ".git"},
		{Name: "http", Href: r.dataCenterCloneURL(base)},
	}
	if r.NoHTTP {
		clone = clone[:1]
	}
	return map[string]any{
		"slug":          r.Slug,
		"name":          r.Slug,
		"id":            1,
		"scmId":         "git",
		"state":         "AVAILABLE",
		"statusMessage": "Available",
		"forkable":      true,
		"public":        r.Public,
		"archived":      r.Archived,
		"project":       map[string]any{"key": r.Owner, "name": r.Owner, "id": 1, "public": r.Public, "type": kind},
		"links": map[string]any{
			"self":  []link{{Href: browse + "/repos/" + r.Slug + "/browse"}},
			"clone": clone,
		},
	}
}
