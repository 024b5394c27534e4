package bitbucket

import (
	"slices"
	"strings"
)

// Place is a workspace, a project or a person's own repositories. The zero value is not
// a place.
type Place struct {
	Home    Repository // without Slug; Owner is the workspace, the project's key or "~user"
	Project string     // Cloud: key of a project of the workspace; empty: all of them
}

// String is "acme", "project API of acme" or "PRJ".
func (p Place) String() string {
	if p.Project != "" {
		return "project " + p.Project + " of " + p.Home.Owner
	}
	return p.Home.Owner
}

// Named is the repository of this slug in the place. It is false when the slug is not
// valid.
func (p Place) Named(slug string) (Repository, bool) {
	r := p.Home
	r.Slug = slug
	parsed, err := Parse(r.CloneURL(), r.Flavor)
	return parsed, err == nil && parsed.Same(r)
}

// Reasons to refuse the page of a place.
const (
	isNoPlace    = "this is not the page of a workspace or project"
	isRepository = "this names one repository, not a workspace or project"
)

// ParsePlace reads the address of the page of a workspace or a project. When the flavor is
// empty, the host decides. The error is a *URLError.
//
//	https://bitbucket.org/WORKSPACE[/workspace/PAGE...]
//	https://bitbucket.org/WORKSPACE/workspace/projects/KEY
//	https://HOST[:PORT][/CONTEXT]/projects/KEY[/PAGE]      and users/NAME[/PAGE]
func ParsePlace(raw string, flavor Flavor) (Place, error) {
	a := takeApart(strings.TrimSpace(raw))
	host, port, reason := a.place()
	isCloud := isOnCloud(host)
	p, read := a.readServerPlace(host, port)
	if isCloud {
		p, read = a.readCloudPlace()
	}
	switch {
	case holdsSecret(a.user):
		reason = hasSecret
	case a.scheme != "https" && a.scheme != "http":
		reason = hasNoHTTPS
	case reason != "":
	case isCloud && flavor == DataCenter:
		reason = needsCloud
	case !isCloud && flavor == Cloud:
		reason = needsDataCenter
	default:
		reason = read
	}
	if reason == "" {
		return p, nil
	}
	return Place{}, &URLError{Reason: reason, Remedy: "give a page such as https://bitbucket.org/your-workspace or https://your-server.com/projects/KEY"}
}

func (a address) readCloudPlace() (p Place, reason string) {
	if len(a.path) == 0 {
		return Place{}, isNoPlace
	}
	p.Home = Repository{Flavor: Cloud, Scheme: "https", Host: cloudHost, Owner: strings.ToLower(a.path[0])}
	switch rest := a.path[1:]; {
	case !workspaceID().MatchString(p.Home.Owner):
		return Place{}, hasBadName
	case len(rest) == 0:
	case rest[0] != "workspace":
		return Place{}, isRepository
	case len(rest) > 2 && rest[1] == "projects":
		if p.Project = rest[2]; !projectKey().MatchString(p.Project) {
			return Place{}, hasBadName
		}
	}
	return p, ""
}

func (a address) readServerPlace(host, port string) (p Place, reason string) {
	p.Home = Repository{Flavor: DataCenter, Scheme: a.scheme, Host: host}
	if port != "" {
		p.Home.Host += ":" + port
	}
	at := slices.IndexFunc(a.path, func(part string) bool { return part == "projects" || part == "users" })
	switch {
	case slices.Contains(a.path, "scm"), at >= 0 && isRepositoryPage(a.path[at:]):
		return Place{}, isRepository
	case at < 0 || at+1 == len(a.path):
		return Place{}, isNoPlace
	}
	if at > 0 {
		p.Home.Context = "/" + strings.Join(a.path[:at], "/")
	}
	if p.Home.Owner = a.path[at+1]; a.path[at] == "users" {
		p.Home.Owner = "~" + strings.TrimPrefix(p.Home.Owner, "~")
	}
	if !contextPath().MatchString(p.Home.Context) || !projectKey().MatchString(p.Home.Owner) {
		return Place{}, hasBadName
	}
	return p, ""
}
