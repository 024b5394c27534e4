package bitbucket

import (
	"net"
	"net/url"
	"strings"
)

// Repository is one repository on one Bitbucket. The zero value is not a repository.
// Two spellings of one repository are not equal (==), but Same is true for them.
type Repository struct {
	Flavor  Flavor
	Scheme  string // "https", or "http" for a Data Center without TLS
	Host    string // lower case, with ":port" unless it is the scheme's own
	Context string // Data Center: path in front of "/scm", such as "/bitbucket"; or empty
	Owner   string // Cloud: workspace; Data Center: project key or "~user"
	Slug    string // without ".git"
}

// CloneURL is the URL that git clones over HTTPS, without a user:
//
//	https://bitbucket.org/WORKSPACE/SLUG.git
//	https://HOST[:PORT][/CONTEXT]/scm/KEY/SLUG.git
//
// Parse returns the same Repository for it.
func (r Repository) CloneURL() string {
	base := r.Origin()
	if r.Flavor == DataCenter {
		base += r.Context + "/scm"
	}
	return base + "/" + r.String() + ".git"
}

// Origin is the scheme and the host, "https://host[:port]": a credential is for one
// origin.
func (r Repository) Origin() string { return r.Scheme + "://" + r.Host }

// InClear reports whether a token would travel unencrypted over a network: by
// http to a host that is not this one.
func (r Repository) InClear() bool {
	host := (&url.URL{Host: r.Host}).Hostname()
	ip := net.ParseIP(host)
	return r.Scheme == "http" && host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// String is "owner/slug".
func (r Repository) String() string { return r.Owner + "/" + r.Slug }

// Directory is the name that "git clone" gives the checkout.
func (r Repository) Directory() string { return strings.TrimSuffix(r.Slug, ".git") }

// EnvironmentName is the default name of the repository's environment,
// "owner-slug" without the "~" of a personal repository. Every spelling of one
// repository has the same: Data Center writes keys of projects in upper case and
// everything else in lower case.
func (r Repository) EnvironmentName() string {
	owner, slug := r.Owner, strings.ToLower(r.Slug)
	switch user, personal := strings.CutPrefix(r.Owner, "~"); {
	case personal:
		owner = strings.ToLower(user)
	case r.Flavor == DataCenter:
		owner = strings.ToUpper(r.Owner)
	}
	return owner + "-" + slug
}

// SecretName is a name for a secret of the repository's own, made from the
// name that it would share: "BITBUCKET_API_TOKEN_ACME_APP".
func (r Repository) SecretName(shared string) string {
	own := strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, strings.ToUpper(r.EnvironmentName()))
	return shared + "_" + own
}

// Same reports whether the server would serve the same repository for both. Both
// flavors ignore case in owner and slug. The path in front of Data Center's "/scm" is
// part of the identity. The scheme is not: a server that moves from http to https keeps
// its repositories.
func (r Repository) Same(o Repository) bool {
	return r.Flavor == o.Flavor && r.Host == o.Host && r.Context == o.Context &&
		strings.EqualFold(r.Owner, o.Owner) && strings.EqualFold(r.Slug, o.Slug)
}

// Folded is the repository in the form that all of its spellings share: two repositories
// are the same when their folded forms are equal.
func (r Repository) Folded() Repository {
	r.Scheme, r.Owner, r.Slug = "", strings.ToLower(r.Owner), strings.ToLower(r.Slug)
	return r
}
