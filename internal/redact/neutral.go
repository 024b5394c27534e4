package redact

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Shown returns text with every invisible character escaped, as \u202e: control, format,
// bidirectional and zero-width characters and line breaks. Bytes that are not UTF-8 are shown
// as \xff. Spaces of any width become plain spaces.
func Shown(text string) string {
	var safe strings.Builder
	safe.Grow(len(text))
	for at, c := range text {
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(text[at:], string(utf8.RuneError)):
			fmt.Fprintf(&safe, `\x%02x`, text[at])
		case c == '\t', c > '~' && unicode.Is(unicode.Zs, c):
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

// JSON returns the same JSON value, with the characters escaped that Shown escapes.
func JSON(text string) string {
	var safe strings.Builder
	for _, c := range text {
		if !unseen(c) {
			safe.WriteRune(c)
			continue
		}
		for _, half := range utf16.Encode([]rune{c}) {
			fmt.Fprintf(&safe, `\u%04x`, half)
		}
	}
	return safe.String()
}

// OneLine is Shown for prose on one line: every run of white space and line breaks becomes
// one space, and the ends have none.
func OneLine(text string) string { return Shown(strings.Join(strings.Fields(text), " ")) }

// Neutral is OneLine, and cannot be a command to any CI host at any position:
//
//	::error::x              : :error: :x
//	##[group]x              # #[group]x
//	##vso[task.complete]    # #vso[task.complete]
//
// Source: actions/runner, ActionCommand.cs; Azure's logging commands.
func Neutral(text string) string {
	text = OneLine(text)
	for _, mark := range []string{"::", "##"} {
		for strings.Contains(text, mark) {
			text = strings.ReplaceAll(text, mark, mark[:1]+" "+mark[:1])
		}
	}
	return text
}

// Lines returns text of several lines. Each is Shown and cannot be a command to any CI host.
// Lines after the first are indented, so that they differ from the program's own lines.
// "::" is a command only at the beginning of a line, so it stays elsewhere:
//
//	Oz says: no
//	  . ::error::x
func Lines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = Shown(strings.TrimSuffix(line, "\r"))
		if strings.Contains(line, "##") {
			line = command.ReplaceAllString(line, "# #$1")
		}
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

// command matches the beginning of a command that a host obeys anywhere in a line: ##[error]
// on GitHub, ##vso[...] on Azure, ##teamcity[...].
var command = regexp.MustCompile(`##([A-Za-z]*\[)`)
