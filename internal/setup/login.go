package setup

import (
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// LogIn returns the two commands that tell git how to get the token for every repository of
// the clone's server. With URL there are none. The commands hold the variable's name and
// never its value, and must run in the same session as the clones.
func (c Clone) LogIn() []string {
	if c.Auth != Helper {
		return nil
	}
	origin := c.Repository.Origin()
	fill := strings.NewReplacer("ORIGIN", origin, "HELPER", c.helper()).Replace
	return []string{fill(prepare), fill(logIn)}
}

// prepare configures the image's git for the login. It switches off prompts, on the
// terminal and in an askpass program, because they would wait for ever. When
// GIT_CONFIG_GLOBAL is not a regular file, git would hang on a FIFO, or as root replace
// /dev/null. In that case, and without a home, the login goes to a file in the
// workspace root. Git would also send a header from the image's configuration together
// with the credential. An empty header drops headers before it, and because its URL is
// specific it also wins over general ones after it.
//
// Source: https://git-scm.com/docs/git, GIT_TERMINAL_PROMPT, GIT_ASKPASS, GIT_CONFIG_GLOBAL (since
// git 2.32); https://git-scm.com/docs/git-config, http.extraHeader, http.<url>.*.
const prepare = `export GIT_TERMINAL_PROMPT=0; export GIT_ASKPASS=; ` +
	`test -w "$HOME" && ! printenv GIT_CONFIG_GLOBAL || test -f "$GIT_CONFIG_GLOBAL" || export GIT_CONFIG_GLOBAL="$PWD/.gitconfig"; ` +
	`git config --global --replace-all http.ORIGIN/.extraHeader ''`

// logIn sets the helper for one server only. The empty helper drops every helper that
// the image or Oz configured, because it could store the token or answer with an old
// one. The key ends in a slash, which git ignores. Without the slash, git would add to
// a section of that name in the image's configuration, which may come before such a
// helper.
//
// Source: https://git-scm.com/docs/gitcredentials.
const logIn = `git config --global --replace-all credential.ORIGIN/.helper '' && ` +
	`git config --global --add credential.ORIGIN/.helper '!HELPER; :'`

// helper is what git runs in sh to get the credential. Git appends the operation, which
// becomes an argument of the last colon. Git reads the answer only for "get".
//
// Git 2.46 and newer sends Bearer. An older git ignores these lines and sends Basic.
// When the server refuses Basic, it is left out: a refused login could lock the
// account.
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

// bearerOnly begins the helper when the server refuses Basic.
const bearerOnly = "grep -q authtype || echo git 2.46 needed >&2; "
