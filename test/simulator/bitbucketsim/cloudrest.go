package bitbucketsim

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
)

// cloudRemoved is the text of Cloud's REST at an address that it has removed, with status 410.
//
// Source: https://github.com/ktrysmt/go-bitbucket/issues/357
const cloudRemoved = `{"type": "error", "error": {"message": "CHANGE-2770 - Functionality has been deprecated", ` +
	`"detail": "Please read the changelog entry for more details.", ` +
	`"data": {"announcement_url": "https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-2770"}}}`

// removedFromCloud are the addresses that listed across workspaces. Cloud removed them on 2026-04-14.
//
// Source: https://developer.atlassian.com/cloud/bitbucket/changelog/#CHANGE-2770
var removedFromCloud = []string{"/2.0/repositories", "/2.0/workspaces", "/2.0/user/permissions/repositories", "/2.0/user/permissions/workspaces"}

// Removed returns a permanent fault: Bitbucket has removed the address of this operation, which it still
// serves today.
func Removed(operation string) fault.Fault {
	return fault.Fault{
		Operation: operation, Status: http.StatusGone, Body: cloudRemoved, Times: -1,
		Header: http.Header{"Content-Type": {"application/json"}},
	}
}

// routeCloudREST routes a request to api.bitbucket.org.
func (s *Server) routeCloudREST(r *http.Request) route {
	if slices.Contains(removedFromCloud, r.URL.Path) {
		return route{serve: func(w http.ResponseWriter, _ *http.Request) { Removed("").Strike(w) }}
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/2.0/repositories/")
	if workspace := strings.TrimSuffix(name, "/"); ok && workspace != "" && !strings.Contains(workspace, "/") && r.Method == http.MethodGet {
		return route{CloudRepositories, func(w http.ResponseWriter, r *http.Request) { s.listCloud(w, r, workspace) }}
	}
	owner, slug, ok2 := strings.Cut(strings.TrimSuffix(name, "/"), "/")
	if !ok || !ok2 || strings.Contains(slug, "/") || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return route{serve: s.serveCloudUnknown}
	}
	return route{CloudRepository, func(w http.ResponseWriter, r *http.Request) {
		s.serveCloudRepository(w, r, owner, slug)
	}}
}

func (s *Server) serveCloudUnknown(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusNotFound, cloudError{Message: "Resource not found"}.body())
}

// serveCloudRepository answers one repository and describes the token in headers. The address and two-step
// rules do not hold for metadata.
//
// Source: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-repositories/ and
// https://support.atlassian.com/bitbucket-cloud/kb/how-to-fetch-the-scope-of-a-token-via-command-line/
func (s *Server) serveCloudRepository(w http.ResponseWriter, r *http.Request, owner, slug string) {
	repository := s.repository(Cloud, owner, slug)
	open := repository != nil && repository.Public
	c := credentialsOf(r)
	if !c.sent() {
		if !open {
			writeJSON(w, http.StatusNotFound, cloudError{Message: cloudUnknown}.body())
			return
		}
		writeJSON(w, http.StatusOK, repository.cloudJSON(""))
		return
	}
	token, valid := s.identifyCloudREST(c)
	if !valid {
		s.failLogin(c.secret)
		w.Header().Set("WWW-Authenticate", cloudChallenge)
		writeJSON(w, http.StatusUnauthorized, cloudError{Message: "Token is invalid, expired, or not supported for this endpoint."}.body())
		return
	}
	w.Header().Set("X-Oauth-Scopes", strings.Join(token.scopes(), ", "))
	w.Header().Set("X-Accepted-Oauth-Scopes", token.readScope())
	w.Header().Set("X-Credential-Type", token.credentialType())
	switch {
	case token.State == NoScope:
		missing := cloudError{Message: cloudMissingScope}
		missing.Detail = &scopeDetail{Required: []string{token.readScope()}, Granted: token.scopes()}
		writeJSON(w, http.StatusForbidden, missing.body())
	case !open && !token.reaches(repository):
		writeJSON(w, http.StatusNotFound, cloudError{Message: cloudUnknown}.body())
	default:
		writeJSON(w, http.StatusOK, repository.cloudJSON(token.User))
	}
}

// identifyCloudREST checks Basic with the e-mail address for an API token, and Bearer for an access token.
// The wrong scheme is 401 for both.
func (s *Server) identifyCloudREST(c credentials) (Token, bool) {
	token, known := s.token(Cloud, c.secret)
	if !known || !token.live() {
		return Token{}, false
	}
	if token.Kind == AccessToken {
		return token, c.scheme == "bearer"
	}
	owner := strings.EqualFold(c.user, token.User) || token.User == ""
	return token, c.scheme == "basic" && strings.Contains(c.user, "@") && owner
}

// cloudError is the error inside a body {"type":"error","error":{...}}.
type cloudError struct {
	Message string       `json:"message"`
	Detail  *scopeDetail `json:"detail,omitempty"`
}

type scopeDetail struct {
	Required []string `json:"required"`
	Granted  []string `json:"granted"`
}

func (e cloudError) body() any {
	return map[string]any{"type": "error", "error": e}
}

// cloudJSON returns the repository as the REST API shows it. The https clone link holds the caller's name.
func (r *Repository) cloudJSON(caller string) any {
	fullName := r.Owner + "/" + r.Slug
	user, _, _ := strings.Cut(caller, "@")
	if user != "" {
		user += "@"
	}
	var main any
	if r.Head() != "" {
		main = map[string]string{"type": "branch", "name": mainBranch}
	}
	return map[string]any{
		"type":       "repository",
		"full_name":  fullName,
		"name":       r.Slug,
		"slug":       r.Slug,
		"uuid":       uuidOf(fullName),
		"is_private": !r.Public,
		"scm":        "git",
		"project":    map[string]string{"type": "project", "key": r.Project},
		"size":       4096,
		"mainbranch": main,
		"workspace":  map[string]string{"type": "workspace", "slug": r.Owner, "uuid": uuidOf(r.Owner)},
		"links": map[string]any{
			"html": link{Href: "https://" + cloudHost + "/" + fullName},
			"clone": []link{
				{Name: "https", Href: "https://" + user + cloudHost + "/" + fullName + ".git"},
				{Name: "ssh", Href: "git@" + cloudHost + ":" + fullName + ".git"},
			},
		},
	}
}

type link struct {
	Href string `json:"href"`
	Name string `json:"name,omitempty"`
}

// uuidOf makes a UUID from a name, in braces as Bitbucket's.
func uuidOf(name string) string {
	h := sha256.Sum256([]byte(name))
	return fmt.Sprintf("{%x-%x-%x-%x-%x}", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
