package bitbucket

import (
	"errors"
	"net/url"
	"time"
)

// Permission is what a Data Center HTTP access token may do in repositories.
//
// Source: https://developer.atlassian.com/server/bitbucket/rest/, Authentication,
// "Create personal HTTP token".
type Permission string

// The permissions that this program asks for.
const (
	RepositoryRead  Permission = "REPO_READ"
	RepositoryWrite Permission = "REPO_WRITE"
)

// TokenOwner is whom a Data Center HTTP access token belongs to: a user (User
// alone), a project (Project alone) or a repository (Project and Slug).
type TokenOwner struct {
	User    string // the user's slug, which need not be the login name
	Project string // key, or "~user"
	Slug    string
}

// Path is the owner's path in the REST of access tokens:
//
//	/users/jane
//	/projects/PRJ
//	/projects/PRJ/repos/app
func (o TokenOwner) Path() string {
	if o.User != "" {
		return "/users/" + url.PathEscape(o.User)
	}
	path := "/projects/" + url.PathEscape(o.Project)
	if o.Slug != "" {
		path += "/repos/" + url.PathEscape(o.Slug)
	}
	return path
}

// String says in words whose token it is.
func (o TokenOwner) String() string {
	switch {
	case o.User != "":
		return "user " + o.User
	case o.Slug != "":
		return "repository " + o.Project + "/" + o.Slug
	}
	return "project " + o.Project
}

// TokenRecord is a Data Center HTTP access token without its value, which only
// the answer to its creation holds.
type TokenRecord struct {
	ID      string // digits; may begin with 0
	Name    string
	Created time.Time
	Expires time.Time // zero: never
}

// ErrAnswerLost marks an error after which nobody knows whether Bitbucket did
// what it was asked. Look before trying again.
var ErrAnswerLost = errors.New("the answer was lost, it may have happened")
