package bitbucket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// Service is the service that a git client requests from a server.
type Service string

// The services of git's smart HTTP.
const (
	UploadPack  Service = "git-upload-pack"  // clone and fetch
	ReceivePack Service = "git-receive-pack" // push
)

// Login is how a token is presented. The zero Login presents none.
type Login struct {
	Bearer bool
	User   string // for Basic
}

// String describes the login: "Bearer", "Basic with the user x-token-auth" or "nobody".
func (l Login) String() string {
	switch {
	case l.Bearer:
		return "Bearer"
	case l.User != "":
		return "Basic with the user " + l.User
	}
	return "nobody"
}

// Refs are the relevant commits that a server advertises. A missing one is empty.
type Refs struct {
	Head   string
	Branch string // of the wanted name
	Tag    string // of the wanted name; for an annotated tag, the commit that it points to

	Scopes []string // of the token, where Cloud's answer tells them
}

// Offer is the first answer of a repository that allows a clone.
type Offer struct {
	Scopes []string // of the token, where Cloud's answer tells them
	// Refs asks for the refs, unless the answer holds them. Called once.
	Refs func(context.Context) (Refs, error)
}

// Commit is what a clone of the wanted branch or tag, or of HEAD, checks out.
func (r Refs) Commit(wanted string) string {
	if wanted == "" {
		return r.Head
	}
	return cmp.Or(r.Branch, r.Tag)
}

// Refusal is a refusal of Bitbucket, or an answer that is not a git server's.
type Refusal struct {
	Status  int    // HTTP status; Data Center refuses with 200 too
	Text    string // the server's words on one line, bounded
	NotGit  bool   // a login page, a proxy's page, a redirect
	MovedTo string // clone URL on the same host to which the answer redirects; empty for none
	Hidden  bool   // Text may hold a new token: it may be read but never shown
}

// ErrNotAsked is returned in place of an answer: the token had been refused before, and
// one more refusal could lock its owner's account.
var ErrNotAsked = errors.New("not asked, because the server had refused the token with 401 before")

// Error is the status and, when they may be shown, the server's words.
func (r *Refusal) Error() string {
	if r.Hidden {
		return fmt.Sprintf("%d; the server's words are not shown because they could hold a token", r.Status)
	}
	return fmt.Sprintf("%d: %s", r.Status, r.Text)
}
