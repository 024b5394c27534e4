package redact

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Neutral is text on one line that can neither rewrite a terminal, nor reorder
// or hide what is read, nor be a command to a CI host. Control, format,
// bidirectional, zero-width and line-breaking characters are shown escaped, as
// \u202e; white space other than the space becomes one. What hosts take for a
// command is broken by a space:
//
//	::error::x              : :error: :x
//	##[group]x              # #[group]x
//	##vso[task.complete]    # #vso[task.complete]
//
// Source: actions/runner, ActionCommand.cs; Azure's logging commands.
func Neutral(text string) string {
	text = shown(text)
	for _, mark := range []string{"::", "##"} {
		for strings.Contains(text, mark) {
			text = strings.ReplaceAll(text, mark, mark[:1]+" "+mark[:1])
		}
	}
	return text
}

// OneLine is Neutral for prose: each run of white space, line breaks too, is one
// space, and there is none at the ends.
func OneLine(text string) string { return Neutral(strings.Join(strings.Fields(text), " ")) }

// Lines is text of several lines, each of which is neutral. Lines after the first
// are indented, so none looks like the beginning of a line of ours. Within a
// line "::" stays as it is: it is a command at the beginning only.
func Lines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = command.ReplaceAllString(shown(strings.TrimSuffix(line, "\r")), "# #$1")
		if strings.HasPrefix(strings.TrimSpace(line), "::") {
			line = ". " + line
		}
		if i > 0 && line != "" && line[0] != ' ' {
			line = "  " + line
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

// command is the beginning of what a host takes for a command anywhere in a
// line: ##[error] on GitHub, ##vso[...] on Azure, ##teamcity[...].
var command = regexp.MustCompile(`##([A-Za-z]*\[)`)

// shown is text with what acts unseen escaped, and spaces of any width as one.
func shown(text string) string {
	var safe strings.Builder
	for at, c := range text {
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(text[at:], string(utf8.RuneError)):
			fmt.Fprintf(&safe, `\x%02x`, text[at])
		case c == '\t', unicode.Is(unicode.Zs, c):
			safe.WriteByte(' ')
		case !unseen(c):
			safe.WriteRune(c)
		case c > 0xffff:
			fmt.Fprintf(&safe, `\U%08x`, c)
		default:
			fmt.Fprintf(&safe, `\u%04x`, c)
		}
	}
	return safe.String()
}
