// Package setup writes, recognises and merges the setup commands of an
// environment. It is pure: a command is text here, and nothing runs it.
package setup

import (
	"strconv"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Auth is the way in which git gets the token.
type Auth string

// The ways.
const (
	Helper Auth = "helper" // git asks a credential helper, which reads the variable
	URL    Auth = "url"    // the forms of Oz's documentation, to the letter
)

// Clone is what a clone command is made of. Its texts must have been
// validated: a Repository from bitbucket.Parse, a POSIX variable name, a branch
// without control characters.
type Clone struct {
	Repository bitbucket.Repository
	Secret     string              // name of the variable that holds the token
	Kind       bitbucket.TokenKind // decides the user name
	Auth       Auth
	Branch     string // branch or tag; empty is the repository's own
	Depth      int    // commits to fetch; 0 is all
	BearerOnly bool   // Data Center was seen to refuse Basic authentication

	// Guess says that nobody has seen the server take the token in this form:
	// where a command of the repository is there already, its Kind and its
	// BearerOnly stay.
	Guess bool
}

// Command is the clone command, one line for any POSIX shell and fish. Run in
// the workspace root it leaves a checkout in Repository.Directory().
func (c Clone) Command() string {
	switch {
	case c.Auth == Helper:
		return c.helperCommand()
	case c.Repository.Flavor == bitbucket.DataCenter:
		return c.headerCommand()
	}
	return c.userCommand()
}

// userCommand is the documented form for Cloud:
//
//	git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/your-workspace/your-repo.git
func (c Clone) userCommand() string {
	scheme, rest, _ := strings.Cut(c.Repository.CloneURL(), "://")
	return "git clone " + c.options() + scheme + "://" + c.Kind.User() + ":$" + c.Secret + "@" + rest
}

// headerCommand is the documented form for Data Center:
//
//	git clone -c "http.extraHeader=Authorization: Bearer $BITBUCKET_TOKEN" https://your-server.com/scm/your-project/your-repo.git
func (c Clone) headerCommand() string {
	return "git clone " + c.options() +
		`-c "http.extraHeader=Authorization: Bearer $` + c.Secret + `" ` + c.Repository.CloneURL()
}

// options are git's options for branch and depth, each with a blank after it.
func (c Clone) options() string {
	var options string
	if c.Branch != "" {
		options += "--branch " + quote(c.Branch) + " "
	}
	if c.Depth > 0 {
		options += "--depth " + strconv.Itoa(c.Depth) + " "
	}
	return options
}
