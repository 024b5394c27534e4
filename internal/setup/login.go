package setup

import (
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// LogIn are the two commands after which git knows, for every repository of the
// clone's server, whom to ask for the token; none with URL. They hold the name of
// the variable and never its value, and run in the session that runs the clones.
func (c Clone) LogIn() []string {
	if c.Auth != Helper {
		return nil
	}
	origin := c.Repository.Origin()
	fill := strings.NewReplacer("ORIGIN", origin, "HELPER", c.helper()).Replace
	return []string{fill(prepare), fill(logIn)}
}

// prepare makes the image's git ready for the login. A prompt would wait for ever, on
// the terminal or in an askpass program. Where GIT_CONFIG_GLOBAL is no regular file,
// git would hang on a FIFO, or as root replace /dev/null; then, and without a home,
// the login goes to a file in the workspace root. A header of the image's own would
// be sent beside the credential: an empty one drops those before it, and being as
// specific as this outdoes the general ones after it.
//
// Source: https://git-scm.com/docs/git, GIT_TERMINAL_PROMPT, GIT_ASKPASS, GIT_CONFIG_GLOBAL (since
// git 2.32); https://git-scm.com/docs/git-config, http.extraHeader, http.<url>.*.
const prepare = `export GIT_TERMINAL_PROMPT=0; export GIT_ASKPASS=; ` +
	`test -w "$HOME" && ! printenv GIT_CONFIG_GLOBAL || test -f "$GIT_CONFIG_GLOBAL" || export GIT_CONFIG_GLOBAL="$PWD/.gitconfig"; ` +
	`git config --global --replace-all http.ORIGIN/.extraHeader ''`

// logIn is for the one server, so no other is ever asked for. The empty helper
// drops every helper that the image or Oz configured, which would store the token
// or answer with a stale one. The key ends in a slash, which git ignores: a
// section that the image has under the usual key could stand before such a helper,
// and git would add to that section.
//
// Source: https://git-scm.com/docs/gitcredentials.
const logIn = `git config --global --replace-all credential.ORIGIN/.helper '' && ` +
	`git config --global --add credential.ORIGIN/.helper '!HELPER; :'`

// helper is what git runs in sh to get the credential. Git adds the operation,
// which the last colon takes; it reads the answer of "get" alone.
//
// Git sends Bearer since 2.46 and ignores the lines before that, so it sends Basic
// where the server takes it. Where the server does not, Basic is left out: a
// refused login could lock the account.
//
// Source: https://git-scm.com/docs/git-credential, capability[], authtype; tried
// with git 2.25.1, 2.31.0, 2.39.5, 2.46.0 and 2.55.0.
func (c Clone) helper() string {
	const bearer = `printf "%s\n" capability[]=authtype authtype=Bearer "credential=`
	user := "username=" + c.Kind.User()
	switch {
	case c.Repository.Flavor != bitbucket.DataCenter:
		return "echo " + user + `; echo "password=${` + c.Secret + `:?is not set}"`
	case c.BearerOnly:
		return bearerOnly + bearer + "${" + c.Secret + `:?}"`
	}
	return "t=${" + c.Secret + ":?}; " + bearer + `$t" ` + user + ` "password=$t"`
}

// bearerOnly begins the helper where the server takes no Basic.
const bearerOnly = "grep -q authtype || echo git 2.46 needed >&2; "
