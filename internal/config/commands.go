package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

// notInURL are the characters of a token that have a meaning of their own before the
// "@" of a URL. Git reads "/", "?" and "#" as the end of the host and "@" as the end of
// the password. It then prints the rest that it cannot read, token included. "%" begins
// an escape.
//
// Source: git's credential_from_url in credential.c; tried for every printable
// character with git 2.39.5.
const notInURL = "/?#@%"

func (p *parser) setup() {
	c, in := &p.config, p.in
	c.CloneAuth = setup.Auth(p.choice("clone_auth", in.CloneAuth))
	if c.CloneAuth == setup.URL {
		p.cloneURL()
	}
	c.Branch = in.Branch
	short := strings.TrimPrefix(strings.TrimPrefix(in.Branch, "refs/heads/"), "refs/tags/")
	switch {
	case in.Branch == "", p.holdsSecret(in.Branch):
	case !validRef(in.Branch):
		p.add("branch", "give the short name of a branch or tag", "%q cannot be the name of a branch or tag", in.Branch)
	case short != in.Branch:
		p.add("branch", "give the short name, "+strconv.Quote(short), "git clone does not take a full name such as %q", in.Branch)
	}
	if in.CloneDepth != "" {
		depth, err := strconv.ParseUint(in.CloneDepth, 10, 31)
		if err != nil || depth < 1 {
			p.add("clone_depth", "give a positive integer", "is not a depth")
		}
		c.CloneDepth = int(depth)
	}
	c.SetupCommandsGiven = in.SetupCommands != ""
	p.commands(in.SetupCommands)
}

// commands reads one command a line. The lines of a here-document belong to the
// command that begins it.
func (p *parser) commands(input string) {
	number, first, open := 0, 0, ""
	for line := range strings.Lines(input) {
		number++
		line = strings.TrimRight(line, "\r\n")
		command := strings.TrimSpace(line)
		if open != "" {
			command = open + "\n" + line
		} else if first = number; command == "" || strings.HasPrefix(command, "#") {
			p.spelledOut(first, command)
			continue
		}
		if open = ""; shell.OpensDocument(command) {
			open = command
			continue
		}
		p.command(first, command)
	}
	if open != "" {
		p.command(first, open) // it reports the missing end
	}
}

// cloneURL warns of what clone_auth: url does with the token.
func (p *parser) cloneURL() {
	switch p.config.Primary().Flavor {
	case bitbucket.Cloud:
		if strings.ContainsAny(p.config.Token.Reveal(), notInURL) {
			p.add("clone_auth", "leave it at helper", "url cannot work with this token, which holds one of %s: git would fail and print it", strings.Join(strings.Split(notInURL, ""), " "))
		}
	case bitbucket.DataCenter:
		p.warn("clone_auth: url sends the token's header to every host that git talks to in the checkout, such as those of submodules, of other remotes and of redirects, which git follows with the header; clone_auth: helper does not")
	}
	p.warn("clone_auth: url leaves the token in .git/config, where agents can read and print it; clone_auth: helper does not")
}

// command checks one setup command. Messages name the number of its line and do not
// show the command: it may hold a secret that no input declares.
func (p *parser) command(number int, command string) {
	c := &p.config
	c.SetupCommands = append(c.SetupCommands, command)
	const input = "setup_commands"
	switch {
	case p.spelledOut(number, command), p.holdsSecret(command): // leaks reports the latter
		return
	case emptied().MatchString(command):
		p.add(input, "quote the command so that the CI's shell leaves $VARIABLES alone", "line %d: a variable in it was replaced by nothing before the program started", number)
		return
	}
	if err := shell.Check(command); err != nil {
		p.add(input, "fix the command; each line is one command of its own", "line %d is not a shell command: %v", number, err)
		return
	}
	for _, repository := range c.Repositories {
		if setup.Clones(command, repository) {
			p.warn("setup_commands, line %d, clones %s, which the program clones already", number, repository.CloneURL())
		}
	}
	for _, name := range shell.Variables(command) {
		usual := name == cloudSecretName || name == dataCenterSecretName
		if usual && name != c.SecretName && !slices.Contains(c.EnvironmentSecrets, name) {
			p.warn("setup_commands, line %d, reads $%s, but the token is in $%s (secret_name)", number, name, c.SecretName)
		}
	}
}

// spelledOut refuses a line, also a comment, with a word that looks like a token. The
// job's own tokens are left to leaks.
func (p *parser) spelledOut(number int, line string) bool {
	found := p.undeclared(line)
	if len(found) > 0 {
		p.add("setup_commands", "revoke it, store a new one as a managed secret, add its name to environment_secrets and write $NAME", "line %d holds what looks like %s", number, found[0].kind)
	}
	return len(found) > 0
}

// emptied finds the traces of a variable that a shell has replaced by an empty value: a
// URL with an empty user or password, and a header that ends after its scheme.
var emptied = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)://[^/@\s"']*:@|://@|x-(?:bitbucket-api-)?token-auth:@|` +
		`\b(?:bearer|basic)[ \\]+["']+(?:[\s;&|)]|$)|authorization: *(?:bearer|basic)$`)
})

// validRef follows git's rules for names of branches and tags.
//
// Source: https://git-scm.com/docs/git-check-ref-format
func validRef(name string) bool {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }
	if strings.ContainsFunc(name, bad) || strings.Contains(name, "..") || strings.Contains(name, "@{") ||
		name == "@" || strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}
