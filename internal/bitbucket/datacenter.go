package bitbucket

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Reasons to refuse a URL on Data Center.
const (
	hasNoSCM = "a clone URL of Data Center contains /scm/PROJECT/REPO.git, but this one does not"
	hasMore  = "the URL goes on after the repository"
)

// Names on Data Center.
//
// Source: Project.getKey in
// https://docs.atlassian.com/bitbucket-server/javadoc/9.6.0/ and Atlassian
// Support, "What is a slug?"
var (
	projectKey  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_-]*|~[A-Za-z0-9_.-]+)$`) })
	serverSlug  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`) })
	contextPath = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(/\.*[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)*$`) })
)

// readDataCenter reads the path of a URL on a Data Center server. A context path may
// itself hold "scm" or "projects", so only a complete form counts:
//
//	[CONTEXT/]projects/KEY/repos/REPO[/PAGE...]    and users/NAME/repos/...
//	[CONTEXT/]rest/api/VERSION/projects/KEY/repos/REPO...
//	[CONTEXT/]scm/KEY/REPO[.git]                   the last "scm" that fits
//	KEY/REPO[.git]                                 over SSH, or a guess
//
// Pages are tried first, because the path of a file in the browser can hold anything.
func (a address) readDataCenter(host, port string) reading {
	server := Repository{Flavor: DataCenter, Scheme: "https", Host: host}
	if a.scheme == "http" {
		server.Scheme = "http"
	}
	path := a.path
	if a.scheme == "ssh" { // its port says nothing about that of HTTPS
		if len(path) == 3 && isPort(path[0]) {
			path = path[1:]
		}
	} else if port != "" {
		server.Host += ":" + port
	}
	for i := range path {
		if isRepositoryPage(path[i:]) {
			owner := path[i+1]
			if path[i] == "users" {
				owner = "~" + strings.TrimPrefix(owner, "~")
			}
			context, isAPI := cutServerREST(path[:i])
			if isAPI {
				return server.named(context, owner, path[i+3], isREST)
			}
			return server.named(context, owner, path[i+3], isPage)
		}
	}
	for i := len(path) - 3; i >= 0; i-- {
		if path[i] == "scm" {
			reason := ""
			if len(path) > i+3 {
				reason = hasMore
			}
			return server.named(path[:i], path[i+1], path[i+2], reason)
		}
	}
	if len(path) == 2 && !slices.Contains([]string{"scm", "projects", "users"}, path[0]) {
		return server.named(nil, path[0], path[1], hasNoSCM)
	}
	return reading{reason: hasNoSCM}
}

// isRepositoryPage reports whether path begins like a page of a repository.
func isRepositoryPage(path []string) bool {
	return len(path) >= 4 && (path[0] == "projects" || path[0] == "users") && path[2] == "repos"
}

// cutServerREST removes the path of Data Center's REST API, "rest/api/VERSION", from a
// context.
func cutServerREST(path []string) (context []string, isAPI bool) {
	start := len(path) - 3
	if start < 0 || !slices.Equal(path[start:start+2], []string{"rest", "api"}) {
		return path, false
	}
	return path[:start], true
}

// named is the reading of a repository on the server, if its names are valid.
func (r Repository) named(context []string, owner, slug, reason string) reading {
	if len(context) > 0 {
		r.Context = "/" + strings.Join(context, "/")
	}
	r.Owner, r.Slug = owner, strings.TrimSuffix(slug, ".git")
	switch {
	case !contextPath().MatchString(r.Context), !projectKey().MatchString(r.Owner), !serverSlug().MatchString(r.Slug):
		return reading{reason: hasBadName}
	case strings.HasSuffix(r.Slug, ".git"):
		return reading{reason: hasGitTwice}
	}
	return reading{r, reason}
}
