package setup

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Use is a repository that a setup command clones with a secret.
type Use struct {
	Repository bitbucket.Repository
	Kind       bitbucket.TokenKind // as which the command presents the token; empty: it does not tell
	Branch     string              // branch or tag; empty is the repository's own
	Directory  string              // of the checkout, below the directory in which the command runs
}

// Usage is what the setup commands of an environment do with a secret.
type Usage struct {
	Uses   []Use
	Opaque []string // commands that name the secret and clone nothing with it that we recognise
}

// UsageOf finds what commands do with the variable that holds the secret.
func UsageOf(commands []string, variable string) Usage {
	var u Usage
	for _, command := range commands {
		uses := Uses(command, variable)
		if len(uses) == 0 && Names(command, variable) {
			u.Opaque = append(u.Opaque, command)
		}
		u.Uses = append(u.Uses, uses...)
	}
	return u
}

// Names reports whether the variable's name stands anywhere in command as a
// word of its own: expanded, in quotes that another shell will read, as an
// argument, or in text that cannot be parsed. It is true wherever Reads is.
func Names(command, variable string) bool {
	other := func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	return slices.Contains(strings.FieldsFunc(command, other), variable)
}

// Reads reports whether command reads the variable, be it in a script that it
// hands to "sh -c". A command that cannot be parsed reads nothing.
func Reads(command, variable string) bool {
	reads := false
	walk(command, func(node syntax.Node) {
		expansion, ok := node.(*syntax.ParamExp)
		reads = reads || ok && expansion.Param.Value == variable
	})
	return reads
}

// Uses finds the Bitbucket repositories that command clones over HTTP with the
// variable: by a Command of ours, of any version, or by a "git clone" anywhere
// in it, such as after "cd somewhere &&".
func Uses(command, variable string) []Use {
	var uses []Use
	walk(command, func(node syntax.Node) {
		call, ok := node.(*syntax.CallExpr)
		if !ok {
			return
		}
		words := wordsOf(call)
		url, ours := helperURL(words)
		arguments := cloneArguments(words)
		switch {
		case ours && Reads(words[2], variable):
			if r, err := bitbucket.Parse(url, ""); err == nil {
				uses = append(uses, Use{r, kindOf(r, words[2]), branchOf(words[5:]), directoryOf(words[5:], r)})
			}
		case mentions(call, variable):
			for i, word := range arguments {
				if r, ok := cloned(word); ok {
					uses = append(uses, Use{r, kindOf(r, word), branchOf(arguments), directoryOf(arguments[i+1:], r)})
				}
			}
		}
	})
	return uses
}

// walk visits every node of command, and of the scripts in it.
func walk(command string, visit func(syntax.Node)) {
	file, err := parse(command)
	if err != nil {
		return
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		if node == nil {
			return true
		}
		visit(node)
		if call, ok := node.(*syntax.CallExpr); ok {
			if words := wordsOf(call); len(words) > 2 && slices.Contains([]string{"sh", "bash", "dash"}, words[0]) && words[1] == "-c" {
				walk(words[2], visit)
			}
		}
		return true
	})
}

// mentions reports whether a word of the call expands the variable.
func mentions(call *syntax.CallExpr, variable string) bool {
	found := false
	syntax.Walk(call, func(node syntax.Node) bool {
		expansion, ok := node.(*syntax.ParamExp)
		found = found || ok && expansion.Param.Value == variable
		return true
	})
	return found
}

// cloned is the repository of a URL with or without a user and an expanded
// password. A URL that is not one of Bitbucket's has none.
func cloned(word string) (bitbucket.Repository, bool) {
	scheme, rest, found := strings.Cut(word, "://")
	if !found || scheme != "https" && scheme != "http" {
		return bitbucket.Repository{}, false
	}
	if user, after, found := strings.Cut(rest, "@"); found && !strings.Contains(user, "/") {
		rest = after
	}
	r, err := bitbucket.Parse(scheme+"://"+rest, "")
	return r, err == nil
}

// kindOf tells as which kind of token a command presents the secret, by the user
// that its text names; empty: by none of ours.
func kindOf(r bitbucket.Repository, text string) bitbucket.TokenKind {
	switch {
	case r.Flavor == bitbucket.DataCenter:
		return bitbucket.HTTPAccessToken
	case presents(text, bitbucket.AccessToken):
		return bitbucket.AccessToken
	case presents(text, bitbucket.APIToken):
		return bitbucket.APIToken
	}
	return ""
}

// presents reports whether a command names the user of this kind of token, in a
// URL or in a helper.
func presents(text string, kind bitbucket.TokenKind) bool {
	return strings.Contains(text, "/"+kind.User()+":") || strings.Contains(text, "username="+kind.User()+";")
}

// branchOf is the value of git's option for the branch.
func branchOf(arguments []string) string {
	for i, argument := range arguments {
		if value, found := strings.CutPrefix(argument, "--branch="); found {
			return value
		}
		if (argument == "--branch" || argument == "-b") && i+1 < len(arguments) {
			return arguments[i+1]
		}
	}
	return ""
}

// directoryOf is where git clones to: the argument right after the URL, or the
// repository's own directory.
func directoryOf(after []string, r bitbucket.Repository) string {
	if len(after) == 0 || strings.HasPrefix(after[0], "-") {
		return r.Directory()
	}
	return strings.TrimPrefix(after[0], "./")
}
