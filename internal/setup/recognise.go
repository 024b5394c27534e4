package setup

import (
	"errors"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Clones reports whether command, as a whole, is a clone command of r: a
// "git clone" with any options, directory, user and variable, over HTTPS or
// SSH, or a Command of ours, of any version. A clone that is part of a longer
// command is not.
func Clones(command string, r bitbucket.Repository) bool {
	words := wordsOfCommand(command)
	if url, ok := helperURL(words); ok {
		return names(url, r)
	}
	return slices.ContainsFunc(cloneArguments(words), func(word string) bool { return names(word, r) })
}

// names reports whether a word is a URL of r, clean or not.
func names(word string, r bitbucket.Repository) bool {
	named, err := bitbucket.Parse(word, r.Flavor)
	if refused, ok := errors.AsType[*bitbucket.URLError](err); ok {
		named = refused.Repository
	}
	return named.Same(r)
}

// helperURL is the URL in the words of a helper command.
func helperURL(words []string) (url string, ok bool) {
	if len(words) < 5 || words[0] != "sh" || words[1] != "-c" || words[3] != programName {
		return "", false
	}
	return words[4], true
}

// cloneArguments are the words after "git [option...] clone".
func cloneArguments(words []string) []string {
	if len(words) == 0 || path.Base(words[0]) != "git" {
		return nil
	}
	for i := 1; i < len(words); i++ {
		switch {
		case words[i] == "clone":
			return words[i+1:]
		case slices.Contains([]string{"-c", "-C", "--config-env", "--git-dir", "--work-tree"}, words[i]):
			i++ // its value
		case !strings.HasPrefix(words[i], "-"):
			return nil // another subcommand
		}
	}
	return nil
}

// wordsOfCommand are the words of a simple command after the shell has taken the quotes
// off; an expansion stands as "$". Anything but one simple command has none.
func wordsOfCommand(command string) []string {
	file, err := parse(command)
	if err != nil || len(file.Stmts) != 1 {
		return nil
	}
	call, ok := file.Stmts[0].Cmd.(*syntax.CallExpr)
	if !ok {
		return nil
	}
	return wordsOf(call)
}

// wordsOf are the words of one call.
func wordsOf(call *syntax.CallExpr) []string {
	words := make([]string, len(call.Args))
	for i, arg := range call.Args {
		words[i] = text(arg.Parts)
	}
	return words
}

// text is what the parts of a word amount to.
func text(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(part.Value))
		case *syntax.SglQuoted:
			b.WriteString(part.Value)
		case *syntax.DblQuoted:
			b.WriteString(text(part.Parts))
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

// unescape drops each backslash that keeps the next character from meaning
// something. Inside double quotes some backslashes stand for themselves, but no
// URL has one.
func unescape(literal string) string {
	var b strings.Builder
	for i := 0; i < len(literal); i++ {
		if literal[i] == '\\' && i+1 < len(literal) {
			i++
		}
		b.WriteByte(literal[i])
	}
	return b.String()
}
