package bitbucketsim

import (
	"net/http"
	"slices"
	"strings"
)

// listPermitted is GET /rest/api/{version}/repos?permission=REPO_READ|REPO_WRITE: the active repositories in
// which the caller has that permission. A page has at most 1,000.
//
// Source: https://developer.atlassian.com/server/bitbucket/rest/, GET /api/latest/repos
func (s *Server) listPermitted(w http.ResponseWriter, r *http.Request) {
	token, standing, admitted := s.admitREST(w, r)
	if !admitted {
		return
	}
	permission := r.URL.Query().Get("permission")
	if !slices.Contains([]string{"", "REPO_READ", "REPO_WRITE"}, permission) {
		writeErrors(w, http.StatusBadRequest, invalidArgument, "permission is none of REPO_READ, REPO_WRITE.")
		return
	}
	base := schemeOf(r) + "://" + r.Host + dataCenterContext
	var found []*Repository
	s.mu.Lock()
	for _, repository := range s.repositories {
		may := mayRead(token, repository)
		if permission == "REPO_WRITE" {
			may = standing == signedIn && token.Write && token.reaches(repository)
		}
		if repository.Flavor == DataCenter && !repository.Archived && may {
			found = append(found, repository)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(found, func(a, b *Repository) int { return strings.Compare(a.Owner+"/"+a.Slug, b.Owner+"/"+b.Slug) })
	values := make([]any, len(found))
	for i, repository := range found {
		values[i] = repository.dataCenterJSON(base)
	}
	writePage(w, r, values)
}
