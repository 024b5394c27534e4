package bitbucket

import (
	"net/url"
	"regexp"
	"sync"
)

// Build is a build of Bitbucket Pipelines, as a job inside of it sees it.
type Build struct {
	Workspace, Slug string // of the repository
	Commit          string // its hash
	Number          string
	Pipe            bool // the job is a pipe, in a container beside that of the step
}

var (
	commitHash  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{40}$`) })
	buildNumber = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{1,18}$`) })
)

// IsKnown reports whether each part of the build is what Bitbucket gives, and so a part of a
// path and nothing more.
func (b Build) IsKnown() bool {
	return workspaceID().MatchString(b.Workspace) && cloudSlug().MatchString(b.Slug) && commitHash().MatchString(b.Commit) && buildNumber().MatchString(b.Number)
}

// Page is the page of the build.
func (b Build) Page() string {
	return "https://" + cloudHost + "/" + b.Workspace + "/" + b.Slug + "/pipelines/results/" + b.Number
}

// Insights is a report of Code Insights, which stands on the pull requests of a commit. A
// report takes the place of the one with the same ID.
type Insights struct {
	ID          string
	Report      []byte   // JSON
	Annotations [][]byte // JSON, a list of MostAnnotations at most in each
}

// Path is where the report is in Cloud's REST.
//
// Source: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-reports/
func (i Insights) Path(of Build) string {
	return "/2.0/repositories/" + of.Workspace + "/" + of.Slug + "/commit/" + of.Commit + "/reports/" + url.PathEscape(i.ID)
}

// MostAnnotations is how many annotations one request takes.
//
// Source: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-reports/
const MostAnnotations = 100
