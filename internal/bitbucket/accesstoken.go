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

// TokenOwner is the owner of a Data Center HTTP access token: a user (only User is
// set), a project (only Project) or a repository (Project and Slug).
type TokenOwner struct {
	User    string // the user's slug, which need not be the login name
	Project string // key, or "~user"
	Slug    string
}

// Path is the owner's path in the REST API for access tokens:
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

// String describes the owner in words.
func (o TokenOwner) String() string {
	switch {
	case o.User != "":
		return "user " + o.User
	case o.Slug != "":
		return "repository " + o.Project + "/" + o.Slug
	}
	return "project " + o.Project
}

// TokenRecord is a Data Center HTTP access token without its value. Only the answer to
// its creation holds the value.
type TokenRecord struct {
	ID      string // digits; may begin with 0
	Name    string
	Created time.Time
	Expires time.Time // zero: never
}

// ErrAnswerLost marks an error after which it is unknown whether Bitbucket carried out
// the request. Look before trying again.
var ErrAnswerLost = errors.New("the answer was lost, so the request may have taken effect")
