package factory

import (
	"strings"
	"unicode/utf8"

	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
)

// The places where a key or value can be written, the best guess first. A wrong guess
// does no harm: apply parses the result.

// below returns places for new lines of a mapping: under the line of a preferred key, then
// under that of any other key with a value on its line, then above the first key.
func (f *file) below(m mapping, preferred []string, lines ...string) []patch {
	var tries []patch
	indented := func(at int) []string {
		list := make([]string, len(lines))
		for i, line := range lines {
			list[i] = indentOf(f.line(at)) + line
		}
		return list
	}
	under := func(p pair) {
		if _, plain := manifest.Scalar(p.value); plain {
			tries = append(tries, patch{at: p.line + 1, add: indented(p.line)})
		}
	}
	for _, name := range preferred {
		for _, p := range m.pairs {
			if p.name == name {
				under(p)
			}
		}
	}
	for i := range m.pairs[max(0, len(m.pairs)-mostTries):] {
		under(m.pairs[len(m.pairs)-1-i])
	}
	if len(m.pairs) > 0 {
		tries = append(tries, patch{at: m.pairs[0].line, add: indented(m.pairs[0].line)})
	}
	return tries
}

// mostTries bounds how many places are tried, because each try parses the whole file.
const mostTries = 8

// under returns the place for new lines directly below the line of a key without a value.
func (f *file) under(key pair, lines ...string) []patch {
	list := make([]string, len(lines))
	for i, line := range lines {
		list[i] = indentOf(f.line(key.line)) + line
	}
	return []patch{{at: key.line + 1, add: list}}
}

// inBrackets returns the place for a new last element in brackets or braces. Lines and
// columns count from one.
func (f *file) inBrackets(first, last, column int, element string, empty bool) []patch {
	if first != last {
		return nil
	}
	line := f.line(last - 1)
	at := offset(line, column)
	if at < 0 {
		return nil
	}
	before := strings.TrimRight(line[:at], " \t")
	space := line[len(before):at]
	switch {
	case empty:
		before = line[:at]
		space = ""
	case strings.HasSuffix(before, ","):
		before += " "
	default:
		before += ", "
	}
	return []patch{{at: last - 1, drop: 1, add: []string{before + element + space + line[at:]}}}
}

// instead replaces the value of a key on its line. Quotes and the text after the value
// stay.
func (f *file) instead(key pair, name, value string, flow bool) []patch {
	line := f.line(key.line)
	from := offset(line, key.column)
	if from < 0 || !strings.HasPrefix(line[from:], name) {
		return nil
	}
	rest := line[from+len(name):]
	colon := strings.TrimLeft(rest, " \t")
	if !strings.HasPrefix(colon, ":") {
		return nil
	}
	head := line[:len(line)-len(colon)+1]
	old := strings.TrimLeft(colon[1:], " \t")
	space := colon[1 : len(colon)-len(old)]
	if old == "" || old[0] == '#' { // no value
		return []patch{{at: key.line, drop: 1, add: []string{strings.TrimRight(head, " ") + " " + scalar(value) + spaced(space, old)}}}
	}
	end := valueEnd(old, flow)
	if quote := old[0]; quote == '"' || quote == '\'' {
		value = string(quote) + value + string(quote)
	} else {
		value = scalar(value)
	}
	return []patch{{at: key.line, drop: 1, add: []string{head + space + value + old[end:]}}}
}

// spaced returns a comment with a space before it.
func spaced(space, comment string) string {
	if comment == "" {
		return ""
	}
	if space == "" {
		space = " "
	}
	return space + comment
}

// valueEnd returns where a value on one line ends.
func valueEnd(text string, flow bool) int {
	if quote := text[0]; quote == '"' || quote == '\'' {
		if end := strings.IndexByte(text[1:], quote); end >= 0 {
			return end + 2
		}
		return len(text)
	}
	end := len(text)
	for _, comment := range []string{" #", "\t#"} {
		if at := strings.Index(text, comment); at >= 0 {
			end = min(end, at)
		}
	}
	if flow {
		if at := strings.IndexAny(text, ",}"); at >= 0 {
			end = min(end, at)
		}
	}
	return len(strings.TrimRight(text[:end], " \t"))
}

const byteOrderMark = "\ufeff"

// split splits a text into lines, which keep their ends.
func split(text string) []string {
	var lines []string
	for text != "" {
		end := strings.IndexAny(text, "\r\n") + 1
		switch {
		case end == 0:
			end = len(text)
		case text[end-1] == '\r' && end < len(text) && text[end] == '\n':
			end++
		}
		lines = append(lines, text[:end])
		text = text[end:]
	}
	return lines
}

func ending(line string) string { return line[len(strings.TrimRight(line, "\r\n")):] }

// line returns a line without its end.
func (f *file) line(at int) string {
	if at < 0 || at >= len(f.lines) {
		return ""
	}
	return strings.TrimRight(f.lines[at], "\r\n")
}

func indentOf(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " "))] }

// offset returns the byte offset of a column; columns count characters from one. It is
// negative when the line has no such column.
func offset(line string, column int) int {
	at := 0
	for range column - 1 {
		if at >= len(line) {
			return -1
		}
		_, size := utf8.DecodeRuneInString(line[at:])
		at += size
	}
	return at
}
