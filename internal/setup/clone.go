// Package setup writes, recognises and merges the setup commands of an environment. It
// is pure and runs no command.
package setup

import (
	"strconv"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

// Auth is how git gets the token.
type Auth string

const (
	Helper Auth = "helper" // git asks a credential helper, which reads the variable
	URL    Auth = "url"    // exactly the commands of Oz's documentation
)

// Clone describes the commands for one repository. Its texts must be valid: a
// Repository from bitbucket.Parse, a POSIX variable name, a branch without control
// characters.
type Clone struct {
	Repository bitbucket.Repository
	Secret     string              // name of the variable that holds the token
	Kind       bitbucket.TokenKind // decides the user name
	Auth       Auth
	Branch     string // branch or tag; empty is the repository's own
	Depth      int    // commits to fetch; 0 is all
	BearerOnly bool   // this Data Center refuses Basic authentication

	// Guess reports that no proof shows that the server accepts the token in this form. Kind
	// and BearerOnly are then taken from existing commands, if there are any.
	Guess bool
}

// Command clones the repository, one line for any POSIX shell and fish. Run in
// the workspace root it leaves a checkout in Repository.Directory(). With Helper
// it needs the LogIn commands before it.
func (c Clone) Command() string {
	scheme, address, _ := strings.Cut(c.Repository.CloneURL(), "://")
	switch {
	case c.Auth == Helper:
		return c.helperCommand()
	case c.Repository.Flavor == bitbucket.DataCenter:
		// git clone -c "http.extraHeader=Authorization: Bearer $BITBUCKET_TOKEN" https://your-server.com/scm/your-project/your-repo.git
		return "git clone " + c.options() + `-c "http.extraHeader=Authorization: Bearer $` + c.Secret + `" ` + c.Repository.CloneURL()
	}
	// git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/your-workspace/your-repo.git
	return "git clone " + c.options() + scheme + "://" + c.Kind.User() + ":$" + c.Secret + "@" + address
}

// helperCommand is
//
//	test -e app/.git/index && git -C app fetch origin || GIT_TERMINAL_PROMPT=0 git clone -o origin -c url.URL.insteadOf=URL URL app
//
// Git writes the index at the end of a clone, so a directory with an index is a
// checkout. It gets a fetch and keeps its files and branches. The remote is origin,
// whatever clone.defaultRemoteName says. Git uses the longest match of all
// url.*.insteadOf, and no match is longer than the URL itself. So an image that
// rewrites the URL, for example to SSH, has no effect.
//
// Source: https://git-scm.com/docs/git-config; https://git-scm.com/docs/git-clone.
func (c Clone) helperCommand() string {
	url, directory := c.Repository.CloneURL(), shell.Quote(relative(c.Repository.Directory()))
	return "test -e " + directory + "/.git/index && git -C " + directory + " fetch origin || " +
		"GIT_TERMINAL_PROMPT=0 git clone -o origin -c url." + url + ".insteadOf=" + url + " " + c.options() + url + " " + directory
}

// options returns git's options for branch and depth, each with a blank after it.
func (c Clone) options() string {
	var options string
	if c.Branch != "" {
		options += "--branch " + shell.Quote(c.Branch) + " "
	}
	if c.Depth > 0 {
		options += "--depth " + strconv.Itoa(c.Depth) + " "
	}
	return options
}

// relative returns a directory's name in a form that cannot be an option.
func relative(directory string) string {
	if strings.HasPrefix(directory, "-") {
		return "./" + directory
	}
	return directory
}
