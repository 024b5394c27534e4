package setup

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

// Use is a repository that a setup command clones with a secret.
type Use struct {
	Repository bitbucket.Repository
	Kind       bitbucket.TokenKind // as which the token is presented; empty: the commands do not tell
	Branch     string              // branch or tag; empty is the repository's own
	Directory  string              // of the checkout, below the directory in which the command runs
	Command    string              // that clones it
}

// Usage is what the setup commands of an environment do with a secret.
type Usage struct {
	Uses   []Use
	Opaque []string // commands that name the secret, and neither clone nor log in with it as far as we recognise
}

// UsageOf finds the repositories that commands clone over HTTP with the variable: a
// clone presents it, or an earlier command has told git to present it to the server.
func UsageOf(commands []string, variable string) Usage {
	var usage Usage
	var known []string
	clones, logins := read(commands)
	for _, c := range clones {
		if shell.Names(c.with, variable) {
			usage.Uses = append(usage.Uses, c.Use)
			known = append(known, c.Command)
		}
	}
	for _, l := range logins {
		if shell.Names(l.text, variable) {
			known = append(known, l.command)
		}
	}
	for _, command := range commands {
		if shell.Names(command, variable) && !slices.Contains(known, command) {
			usage.Opaque = append(usage.Opaque, command)
		}
	}
	return usage
}

// cloning is a repository that a command clones over HTTP.
type cloning struct {
	Use
	depth int
	own   bool   // the clone has a credential of its own
	with  string // what presents the credential: the clone, or the login before it
}

// read finds the clones and the logins of commands that run one after another.
func read(commands []string) (clones []cloning, logins []login) {
	for _, command := range commands {
		for _, call := range shell.Calls(command) {
			if l, ok := loginOf(call); ok && l.text != "" {
				l.command = command
				logins = append(logins, l)
			}
			for _, c := range clonesOf(call) {
				if c.with = call.Source; !c.own {
					c.with = loginFor(c.Repository, logins)
				}
				c.Kind, c.Command = kindOf(c.Repository, c.with), command
				clones = append(clones, c)
			}
		}
	}
	return clones, logins
}

// Clones reports whether command, as a whole, clones r: a "git clone" with any
// options, directory, user and variable, over HTTPS or SSH, and beside it no more
// than tests and fetches. A clone that is part of a longer command is not.
func Clones(command string, r bitbucket.Repository) bool {
	clones := false
	for _, call := range shell.Chain(command) {
		switch subcommand, arguments := git(call); {
		case subcommand == "clone":
			clones = clones || slices.ContainsFunc(arguments, func(word string) bool {
				named, err := bitbucket.Parse(word, r.Flavor)
				if refused, ok := errors.AsType[*bitbucket.URLError](err); ok {
					named = refused.Repository // over SSH, or with a token to the letter
				}
				return named.Same(r)
			})
		case subcommand != "fetch" && call.Program() != "test":
			return false
		}
	}
	return clones
}

// clonesOf are the repositories that a "git clone" clones over HTTP.
func clonesOf(c shell.Call) []cloning {
	subcommand, arguments := git(c)
	if subcommand != "clone" {
		return nil
	}
	own := slices.ContainsFunc(c.Words, func(word string) bool {
		word = strings.ToLower(word)
		return strings.Contains(word, "extraheader=") || strings.Contains(word, ".helper=")
	})
	var list []cloning
	depth, _ := strconv.Atoi(option(arguments, "--depth"))
	for i, word := range arguments {
		if r, user, ok := cloned(word); ok {
			use := Use{Repository: r, Branch: option(arguments, "--branch", "-b"), Directory: directoryOf(arguments[i+1:], r)}
			list = append(list, cloning{Use: use, depth: depth, own: own || strings.Contains(user, ":")})
		}
	}
	return list
}

// cloned is the Bitbucket repository of an HTTP URL, and the user before its host.
func cloned(word string) (r bitbucket.Repository, user string, ok bool) {
	scheme, rest, found := strings.Cut(word, "://")
	if !found || scheme != "https" && scheme != "http" {
		return bitbucket.Repository{}, "", false
	}
	if before, after, found := strings.Cut(rest, "@"); found && !strings.Contains(before, "/") {
		user, rest = before, after
	}
	r, err := bitbucket.Parse(scheme+"://"+rest, "")
	return r, user, err == nil
}

// login is what a command tells git about the credential of later ones.
type login struct {
	prefix  string // of the URLs that it is for, in lower case; empty: all
	text    string // that names variable and user
	command string
}

// loginOf finds what a "git config" says about credentials: a helper, a header, or
// a URL with a password that takes the place of another. An empty helper takes back
// those before it.
//
//	git config --global credential.https://bitbucket.org.helper '!f() { echo username=x-token-auth; echo "password=$TOKEN"; }; f'
//	git config --global http.https://git.example.com/.extraHeader "Authorization: Bearer $TOKEN"
//	git config --global url.https://x-token-auth:$TOKEN@bitbucket.org/.insteadOf https://bitbucket.org/
func loginOf(c shell.Call) (l login, ok bool) {
	subcommand, arguments := git(c)
	if subcommand != "config" {
		return login{}, false
	}
	for i, key := range arguments[:max(len(arguments)-1, 0)] {
		section, rest, _ := strings.Cut(strings.ToLower(key), ".")
		dot := strings.LastIndex(rest, ".")
		prefix, value := strings.TrimSuffix(rest[:max(dot, 0)], "/"), strings.ToLower(arguments[i+1])
		switch section + "." + rest[dot+1:] {
		case "credential.helper":
			return login{prefix: prefix, text: c.Source}, true
		case "http.extraheader":
			if value == "" { // which says nothing of helpers
				return login{prefix: prefix}, true
			}
			return login{prefix: prefix, text: c.Source}, strings.HasPrefix(value, "authorization:")
		case "url.insteadof":
			return login{prefix: strings.TrimSuffix(value, "/"), text: c.Source}, strings.Contains(prefix, "@")
		}
	}
	return login{}, false
}

// loginFor is the text of the last login for a repository, empty for none.
func loginFor(r bitbucket.Repository, logins []login) string {
	url := strings.ToLower(r.CloneURL())
	for _, l := range slices.Backward(logins) {
		if l.prefix == "" || l.prefix == url || strings.HasPrefix(url, l.prefix+"/") {
			return l.text
		}
	}
	return ""
}

// git are git's subcommand and the words after it, empty for other programs.
func git(c shell.Call) (subcommand string, arguments []string) {
	if c.Program() != "git" {
		return "", nil
	}
	for i := 1; i < len(c.Words); i++ {
		switch word := c.Words[i]; {
		case slices.Contains([]string{"-c", "-C", "--config-env", "--git-dir", "--work-tree"}, word):
			i++ // its value
		case !strings.HasPrefix(word, "-"):
			return word, c.Words[i+1:]
		}
	}
	return "", nil
}

// kindOf tells as which kind of token a text presents the secret, by the user
// that it names in a URL or in a helper; empty: by none of ours.
func kindOf(r bitbucket.Repository, text string) bitbucket.TokenKind {
	for _, kind := range r.Flavor.TokenKinds() {
		if r.Flavor == bitbucket.DataCenter || strings.Contains(text, "/"+kind.User()+":") || strings.Contains(text, "username="+kind.User()) {
			return kind
		}
	}
	return ""
}

// option is the value of an option that has these names, empty for none.
func option(arguments []string, names ...string) string {
	for i, argument := range arguments {
		if name, value, _ := strings.Cut(argument, "="); slices.Contains(names, name) {
			return cmp.Or(value, strings.Join(arguments[i+1:min(i+2, len(arguments))], ""))
		}
	}
	return ""
}

// directoryOf is where git clones to, by the words after the URL.
func directoryOf(after []string, r bitbucket.Repository) string {
	if len(after) == 0 || strings.HasPrefix(after[0], "-") {
		return r.Directory()
	}
	return strings.TrimPrefix(after[0], "./")
}
