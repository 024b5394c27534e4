package setup

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

// Use is a repository that a setup command clones with a secret.
type Use struct {
	Repository bitbucket.Repository
	Kind       bitbucket.TokenKind // how the token is presented; empty: not known from the commands
	Branch     string              // branch or tag; empty: the repository's default branch
	Directory  string              // the checkout, below the directory in which the command runs
	Command    string              // the command that clones the repository
}

// Usage is how the setup commands of an environment use a secret.
type Usage struct {
	Uses   []Use
	Opaque []string // commands that name the secret but are not recognised as a clone or login

	// Elsewhere are other origins, "https://host", to which git presents the secret. The
	// commands clone no Bitbucket repository from there.
	Elsewhere []string
}

// UsageOf finds the repositories that commands clone over HTTP with the variable: the
// clone itself presents it, or an earlier login configures git to present it to the
// server.
func UsageOf(commands []string, variable string) Usage {
	var usage Usage
	clones, logins := read(commands)
	logins = slices.DeleteFunc(logins, func(l login) bool { return !shell.Names(l.text, variable) })
	for _, c := range clones {
		if shell.Names(c.with, variable) {
			usage.Uses = append(usage.Uses, c.Use)
		}
	}
	found, presented := map[string]bool{}, origins(logins)
	for _, use := range usage.Uses {
		found[use.Repository.Origin()] = true
	}
	for _, command := range commands {
		known := slices.ContainsFunc(usage.Uses, func(use Use) bool { return use.Command == command })
		opaque := false
		for _, call := range shell.Calls(command) {
			_, tells := loginOf(call)
			known = known || tells && shell.Names(call.Source, variable)
			for _, origin := range elsewhere(call) {
				if !found[origin] && (shell.Names(call.Source, variable) || presented[origin] || presented[everywhere]) {
					found[origin] = true
					usage.Elsewhere = append(usage.Elsewhere, origin)
				}
			}
			opaque = opaque || !tells && len(clonesOf(call)) == 0 && (shell.Names(call.Source, variable) || mayServe(logins, call.Source))
		}
		if opaque || !known && shell.Names(command, variable) {
			usage.Opaque = append(usage.Opaque, command)
		}
	}
	return usage
}

// Presents returns a function that reports whether commands clone over HTTP with a
// variable, as UsageOf does. It parses the commands once for any number of variables.
func Presents(commands []string) func(variable string) bool {
	clones, _ := read(commands)
	with, words := map[string]bool{}, map[string]bool{}
	for _, c := range clones {
		if !with[c.with] {
			with[c.with] = true
			for _, word := range shell.Words(c.with) {
				words[word] = true
			}
		}
	}
	return func(variable string) bool { return words[variable] }
}

// cloning is a repository that a command clones over HTTP.
type cloning struct {
	Use
	depth int
	own   bool   // the clone has a credential of its own
	with  string // text of the command that presents the credential: the clone, or a login before it
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

// Clones reports whether command as a whole clones r: a "git clone" with any options,
// directory, user and variable, over HTTPS or SSH. Only tests and fetches may come
// before it. It is false for a clone in a longer command.
func Clones(command string, r bitbucket.Repository) bool {
	clones := false
	for _, call := range shell.Chain(command) {
		subcommand, arguments := git(call)
		if clones || subcommand != "clone" && subcommand != "fetch" && call.Program() != "test" {
			return false
		}
		clones = subcommand == "clone" && slices.ContainsFunc(arguments, func(word string) bool {
			named, err := bitbucket.Parse(word, r.Flavor)
			if refused, ok := errors.AsType[*bitbucket.URLError](err); ok {
				named = refused.Repository // over SSH, or with a literal token
			}
			return named.Same(r)
		})
		if subcommand == "clone" && !clones {
			return false
		}
	}
	return clones
}

// clonesOf returns the repositories that a "git clone" clones over HTTP.
func clonesOf(c shell.Call) []cloning {
	subcommand, arguments := git(c)
	if subcommand != "clone" {
		return nil
	}
	own := slices.ContainsFunc(c.Words, func(word string) bool {
		word = strings.ToLower(word)
		return strings.Contains(word, "extraheader=authorization:") || strings.HasSuffix(word, ".helper=") || strings.Contains(word, ".helper=!")
	})
	var list []cloning
	depth, _ := strconv.Atoi(shell.Option(arguments, "--depth"))
	for i, word := range arguments {
		if r, user, ok := cloned(word); ok {
			use := Use{Repository: r, Branch: shell.Option(arguments, "--branch", "-b"), Directory: directoryOf(arguments[i+1:], r)}
			list = append(list, cloning{Use: use, depth: depth, own: own || strings.Contains(user, ":")})
		}
	}
	return list
}

// cloned returns the Bitbucket repository of an HTTP URL, and the user before its host.
func cloned(word string) (r bitbucket.Repository, user string, ok bool) {
	scheme, rest, found := strings.Cut(word, "://")
	if !found || scheme != "https" && scheme != "http" {
		return bitbucket.Repository{}, "", false
	}
	if before, after, found := strings.Cut(rest, "@"); found && !strings.Contains(before, "/") {
		user, rest = before, after
	}
	r, err := bitbucket.Parse(scheme+"://"+rest, "")
	return r, user, err == nil && strings.HasSuffix(bitbucket.OriginOf(word), "://"+r.Host) // "https://evil.example.com?@bitbucket.org/..." is not
}

// elsewhere returns the origins that a call of git names besides the repositories that it
// clones. An origin inside a variable is not found.
func elsewhere(c shell.Call) []string {
	if !shell.Names(c.Source, "git") {
		return nil
	}
	clones := len(clonesOf(c)) > 0
	var origins []string
	for _, word := range c.Words {
		if _, _, ok := cloned(word); !clones || !ok {
			origins = append(origins, bitbucket.OriginOf(word[len(beforeURL.FindString(word)):]))
		}
	}
	return slices.DeleteFunc(origins, func(origin string) bool { return origin == "" || strings.Contains(origin, "$") })
}

// beforeURL is what may come before a URL of git in a word: nothing, "git+" of pip, or
// "url." of a configuration that replaces another URL by this one.
var beforeURL = regexp.MustCompile(`(?i)^(?:git\+|(?:--config=)?url\.)`)

// login is what a command tells git about the credential for later commands.
type login struct {
	prefix  string // prefix of the URLs that it is for, in lower case; empty: all
	text    string // the text that names variable and user
	command string
}

// loginOf returns what a "git config" sets for credentials: a helper, a header, or a URL with
// a password that replaces another URL. An empty helper removes the helpers before it.
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
		prefix, value := userOf.ReplaceAllString(strings.TrimSuffix(rest[:max(dot, 0)], "/"), "://"), strings.ToLower(arguments[i+1])
		switch section + "." + rest[dot+1:] {
		case "credential.helper":
			return login{prefix: prefix, text: c.Source}, value == "" || strings.Contains(value, "$") // other commands add to it
		case "http.extraheader":
			if value == "" { // not a setting of a helper
				return login{prefix: prefix}, true
			}
			return login{prefix: prefix, text: c.Source}, strings.HasPrefix(value, "authorization:")
		case "url.insteadof":
			return login{prefix: strings.TrimSuffix(value, "/"), text: c.Source}, strings.Contains(rest, "@")
		}
	}
	return login{}, false
}

// userOf finds the user in a URL.
var userOf = regexp.MustCompile(`://[^/@]*@`)

// mayServe reports whether git may present one of the logins in a call that is neither
// a clone nor a login that is understood. The call may name the server, or hold it in a
// variable.
func mayServe(logins []login, source string) bool {
	if len(logins) == 0 || !shell.Names(source, "git") {
		return false
	}
	if !strings.Contains(source, "://") {
		return shell.Names(source, "clone") && strings.Contains(source, "$")
	}
	source = strings.ToLower(source)
	return slices.ContainsFunc(logins, func(l login) bool { return strings.Contains(source, l.host()) })
}

// host returns the host that the login is for; "" for all hosts.
func (l login) host() string {
	_, server, _ := strings.Cut(l.prefix, "://")
	host, _, _ := strings.Cut(strings.TrimPrefix(server, "*."), "/")
	return host
}

// everywhere stands for all origins: git sends a header without a URL to each of them.
const everywhere = ""

// origins returns the origins to which git may present the logins.
func origins(logins []login) map[string]bool {
	at := map[string]bool{}
	for _, l := range logins {
		origin := bitbucket.OriginOf(l.prefix)
		switch {
		case origin != "":
			at[origin] = true
		case l.prefix == "" && strings.Contains(strings.ToLower(l.text), "extraheader"):
			at[everywhere] = true
		}
	}
	return at
}

// loginFor returns the text of the last login for a repository; "" when there is none.
func loginFor(r bitbucket.Repository, logins []login) string {
	url := strings.ToLower(r.CloneURL())
	for _, l := range slices.Backward(logins) {
		if l.prefix == "" || l.prefix == url || strings.HasPrefix(url, l.prefix+"/") {
			return l.text
		}
	}
	return ""
}

// git returns git's subcommand and the words after it; both are empty for other programs.
func git(c shell.Call) (subcommand string, arguments []string) {
	if c.Program() != "git" {
		return "", nil
	}
	return c.Subcommand("-c", "-C", "--config-env", "--git-dir", "--work-tree")
}

// kindOf returns the kind of token that a text presents, derived from the user that it names
// in a URL or in a helper; "" for an unknown user.
func kindOf(r bitbucket.Repository, text string) bitbucket.TokenKind {
	for _, kind := range r.Flavor.TokenKinds() {
		if r.Flavor == bitbucket.DataCenter || strings.Contains(text, "/"+kind.User()+":") || strings.Contains(text, "username="+kind.User()) {
			return kind
		}
	}
	return ""
}

// directoryOf returns the directory into which git clones, from the words after the URL.
func directoryOf(after []string, r bitbucket.Repository) string {
	if len(after) == 0 || strings.HasPrefix(after[0], "-") {
		return r.Directory()
	}
	return strings.TrimPrefix(after[0], "./")
}
