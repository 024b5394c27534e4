package bitbucketsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// owned returns the repositories of a workspace or project, in the order of their names.
func (s *Server) owned(flavor Flavor, owner string) []*Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Repository
	for _, r := range s.repositories {
		if r.Flavor == flavor && strings.EqualFold(r.Owner, owner) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *Repository) int { return strings.Compare(a.Slug, b.Slug) })
	return list
}

// listDataCenter answers a page of the repositories of a project that the caller sees.
//
// Source: https://developer.atlassian.com/server/bitbucket/rest/, Project: "Retrieve repositories for the project".
func (s *Server) listDataCenter(w http.ResponseWriter, r *http.Request, owner string) {
	token, standing, admitted := s.admitREST(w, r)
	if !admitted {
		return
	}
	if !s.ownerExists(DataCenter, owner) && standing != anonymous {
		writeErrors(w, http.StatusNotFound, noSuchProject, "Project "+owner+" does not exist.")
		return
	}
	values := []any{}
	for _, repository := range s.owned(DataCenter, owner) {
		if mayRead(token, repository) {
			values = append(values, repository.dataCenterJSON(schemeOf(r)+"://"+r.Host+dataCenterContext))
		}
	}
	if len(values) == 0 && standing == anonymous {
		writeErrors(w, http.StatusUnauthorized, authenticationRequired, "Authentication is required to access this resource.")
		return
	}
	writePage(w, r, values)
}

// listCloud answers a page of the repositories of a workspace that the caller sees, those of one project when q
// asks for it. It knows no other form of q.
//
// Source: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-repositories/ and
// https://developer.atlassian.com/cloud/bitbucket/rest/intro/#pagination
func (s *Server) listCloud(w http.ResponseWriter, r *http.Request, workspace string) {
	var token Token
	c := credentialsOf(r)
	if c.sent() {
		var valid bool
		if token, valid = s.identifyCloudREST(c); !valid {
			s.failLogin(c.secret)
			w.Header().Set("WWW-Authenticate", cloudChallenge)
			writeJSON(w, http.StatusUnauthorized, cloudError{Message: "Token is invalid, expired, or not supported for this endpoint."}.body())
			return
		}
	}
	if token.State == NoScope {
		missing := cloudError{Message: cloudMissingScope}
		missing.Detail = &scopeDetail{Required: []string{token.readScope()}, Granted: token.scopes()}
		writeJSON(w, http.StatusForbidden, missing.body())
		return
	}
	if !s.ownerExists(Cloud, workspace) {
		writeJSON(w, http.StatusNotFound, cloudError{Message: "No workspace with identifier '" + workspace + "'."}.body())
		return
	}
	query := r.URL.Query()
	project, filtered := strings.CutPrefix(query.Get("q"), `project.key="`)
	project, ended := strings.CutSuffix(project, `"`)
	if query.Get("q") != "" && !(filtered && ended) {
		writeJSON(w, http.StatusBadRequest, cloudError{Message: "Invalid q."}.body())
		return
	}
	values := []any{}
	for _, repository := range s.owned(Cloud, workspace) {
		seen := repository.Public || c.sent() && token.reaches(repository)
		if seen && (project == "" || repository.Project == project) {
			values = append(values, repository.cloudJSON(token.User))
		}
	}
	length, page := 10, 1
	if text := query.Get("pagelen"); text != "" {
		length, _ = strconv.Atoi(text)
	}
	if text := query.Get("page"); text != "" {
		page, _ = strconv.Atoi(text)
	}
	if length < 1 || length > 100 || page < 1 {
		writeJSON(w, http.StatusBadRequest, cloudError{Message: "Invalid page"}.body())
		return
	}
	from := min((page-1)*length, len(values))
	to := min(from+length, len(values))
	answer := map[string]any{"values": values[from:to], "pagelen": length, "size": len(values), "page": page}
	if to < len(values) {
		query.Set("page", strconv.Itoa(page+1))
		answer["next"] = "https://" + cloudRESTHost + r.URL.Path + "?" + query.Encode()
	}
	writeJSON(w, http.StatusOK, answer)
}
