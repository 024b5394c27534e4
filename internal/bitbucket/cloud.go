package bitbucket

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// cloudHost is where Bitbucket Cloud serves git over HTTPS.
const cloudHost = "bitbucket.org"

// Reasons to refuse a URL on Cloud.
const (
	isLikeCloud = "the host only looks like bitbucket.org"
	isSubdomain = "this is a subdomain of bitbucket.org that has no clone URLs"
	hasPort     = "bitbucket.org serves HTTPS on its own port only"
	isNoRepo    = "the URL names no repository: both a workspace and a repository are needed"
	isForeign   = "the path is that of a Data Center URL, but the host is Bitbucket Cloud"
)

// lookAlike matches hosts that look like bitbucket.org at first sight.
//
// This expression and the others of the package are compiled when one is needed. A run needs few.
var lookAlike = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[a-z0-9_-]bitbucket\.org$|bitbucket\.org[.-]`) })

func isLookAlike(host string) bool { return lookAlike().MatchString(host) }

// isOnCloud reports whether host is bitbucket.org or a subdomain, such as
// "api.bitbucket.org".
func isOnCloud(host string) bool {
	return host == cloudHost || strings.HasSuffix(host, "."+cloudHost)
}

// Names on Cloud, in lower case. A slug of dots alone would be a path.
//
// Source: Atlassian Support, "What is a slug?"
var (
	workspaceID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9_-]+$`) })
	cloudSlug   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\.*[a-z0-9_-][a-z0-9_.-]*$`) })
)

// readCloud reads the path of a URL on bitbucket.org or a subdomain of it:
//
//	WORKSPACE/REPO[.git]
//	WORKSPACE/REPO/PAGE...
//	[api/]2.0/repositories/WORKSPACE/REPO...
func (a address) readCloud(host, port string) reading {
	path, isAPI := cutCloudREST(a.path)
	switch {
	case len(path) < 2, len(path) > 2 && path[1] == "workspace":
		return reading{reason: isNoRepo}
	case len(path) > 2 && slices.Contains([]string{"scm", "projects", "users", "rest"}, path[0]):
		return reading{reason: isForeign}
	}
	owner := strings.ToLower(path[0])
	slug := strings.TrimSuffix(strings.ToLower(path[1]), ".git")
	switch {
	case !workspaceID().MatchString(owner), !cloudSlug().MatchString(slug):
		return reading{reason: hasBadName}
	case strings.HasSuffix(slug, ".git"):
		return reading{reason: hasGitTwice}
	}
	read := reading{repository: Repository{Flavor: Cloud, Scheme: "https", Host: cloudHost, Owner: owner, Slug: slug}}
	switch {
	case isAPI:
		read.reason = isREST
	case len(path) > 2:
		read.reason = isPage
	case host != cloudHost:
		read.reason = isSubdomain
	case port != "":
		read.reason = hasPort
	}
	return read
}

// cutCloudREST removes the path of Cloud's REST API.
func cutCloudREST(path []string) (rest []string, isAPI bool) {
	for _, prefix := range [][]string{
		{"2.0", "repositories"}, {"api", "2.0", "repositories"}, {"!api", "2.0", "repositories"},
	} {
		if len(path) >= len(prefix) && slices.Equal(path[:len(prefix)], prefix) {
			return path[len(prefix):], true
		}
	}
	return path, false
}
