package redact

import (
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// alphabet says which characters of a text count, and how they are compared.
type alphabet int

const (
	visible       alphabet = iota // all visible characters except the backslash; case does not count
	letters                       // the same without the Markdown characters
	base64Letters                 // case counts; the URL alphabet is read as the standard one
)

// reader decodes a text from left to right, and knows the position of each decoded
// byte. The bytes read are a stack: a complete escape is popped, and its meaning is
// pushed, which may complete another escape. So the reader decodes to any depth in one
// pass. It remembers the last 64 KiB.
type reader struct {
	text     string
	alphabet alphabet
	decode   bool
	end      int  // position in text
	blank    bool // the last byte was white space

	next  []unit // still to read, the last one first
	raw   []unit
	bytes []byte // of raw
	said  []byte // in the alphabet
	from  []int  // where each byte of said begins in text
}

// unit describes a byte: its position in the text, the number of decoded bytes before
// it, whether white space came before it, and whether it was in an escape of Mermaid.
type unit struct {
	from, said int
	byte       byte
	alone      bool
	mermaid    bool
}

// remembered is how many bytes a reader looks back. It bounds memory, not time.
const remembered = 64 << 10

// forget drops all but the last remembered bytes and their meaning.
func (r *reader) forget() {
	before := len(r.raw) - remembered
	said := r.raw[before].said
	r.raw, r.bytes = slices.Delete(r.raw, 0, before), slices.Delete(r.bytes, 0, before)
	r.said, r.from = slices.Delete(r.said, 0, said), slices.Delete(r.from, 0, said)
	for i := range r.raw {
		r.raw[i].said -= said
	}
}

// run reads the text from its beginning, and calls each time that something was
// decoded.
func (r *reader) run(more func()) {
	size := min(len(r.text), 2*remembered)
	r.raw, r.bytes = slices.Grow(r.raw[:0], size), slices.Grow(r.bytes[:0], size)
	r.said, r.from = slices.Grow(r.said[:0], size), slices.Grow(r.from[:0], size)
	r.blank = false
	for i := 0; i < len(r.text); i++ {
		r.end = i + 1
		if len(r.raw) >= 2*remembered {
			r.forget()
		}
		r.next = append(r.next, unit{from: i, byte: r.text[i]})
		for len(r.next) > 0 {
			last := len(r.next) - 1
			one := r.next[last]
			r.next = r.next[:last]
			r.push(one, more)
		}
		if r.text[i] == '\n' {
			i += margin(r.text[i+1:])
		}
	}
}

// margin is the length of a prefix of a line of foreign text: an indent, and the sign
// of a diff, a list or a quotation with a space after it.
func margin(line string) int {
	text := strings.TrimLeft(line, " \t")
	indent := len(line) - len(text)
	if len(text) > 1 && strings.IndexByte(signs, text[0]) >= 0 && text[1] == ' ' {
		return indent + 2
	}
	return indent
}

func (r *reader) push(u unit, more func()) {
	b := u.byte
	switch {
	case b <= ' ', b == 0x7f:
		r.space()
		return
	case r.between(b):
		if r.last(1) == '\\' { // the backslash escapes b
			r.pop(1)
		}
		return
	}
	u.said, u.alone, r.blank = len(r.said), u.alone || r.blank, false
	r.raw, r.bytes = append(r.raw, u), append(r.bytes, b)
	switch {
	case b == '\\':
	case b < utf8.RuneSelf:
		r.say(r.spelled(b), u.from)
		more()
	case r.character(b, u.from):
		more()
	}
	if !r.decode {
		return
	}
	if length, meaning := r.escape(b); length > 0 {
		of := unit{mermaid: b == ';' && r.last(length) == '#'}
		first := r.pop(length)
		of.from, of.alone, of.mermaid = first.from, first.alone, of.mermaid || first.mermaid
		if meaning == "" {
			r.space()
		}
		for i := range len(meaning) {
			of.byte = meaning[len(meaning)-1-i]
			r.next = append(r.next, of)
		}
	}
}

// signs may begin a line of foreign text: in a diff, a list, a quotation or a table.
const signs = "+->|"

// space is white space. A sign between two spaces may be the beginning of a line whose
// line break was replaced by a space.
func (r *reader) space() {
	last := len(r.raw) - 1
	if r.alphabet == letters && last >= 0 && r.raw[last].alone && strings.IndexByte(signs, r.bytes[last]) >= 0 {
		r.pop(1)
	}
	r.blank = true
}

// between reports whether b may be between any two characters of a secret.
func (r *reader) between(b byte) bool {
	switch b {
	case '*', '`', '~':
		return r.alphabet != visible
	case '_':
		return r.alphabet == letters
	}
	return false
}

// spelled is an ASCII character in the alphabet.
func (r *reader) spelled(b byte) byte {
	switch {
	case r.alphabet == base64Letters && b == '-':
		return '+'
	case r.alphabet == base64Letters && b == '_':
		return '/'
	case r.alphabet != base64Letters && 'A' <= b && b <= 'Z':
		return b - 'A' + 'a'
	}
	return b
}

func (r *reader) say(b byte, from int) {
	r.said = append(r.said, b)
	r.from = append(r.from, from)
}

// character decodes a byte that is not ASCII. When the byte ends a character, it
// decodes that character instead: in one letter case, or to nothing when it is
// invisible. It reports whether it decoded something.
func (r *reader) character(b byte, from int) bool {
	r.say(b, from)
	if utf8.RuneStart(b) {
		return true
	}
	c, size := utf8.DecodeLastRune(r.bytes)
	if c == utf8.RuneError {
		return true
	}
	first := r.raw[len(r.raw)-size]
	r.said, r.from = r.said[:first.said], r.from[:first.said]
	if invisible(c) {
		r.pop(size)
		return false
	}
	var encoded [utf8.UTFMax]byte
	for i := range utf8.EncodeRune(encoded[:], folded(c)) {
		r.say(encoded[i], first.from)
	}
	return true
}

// folded is the first of the letters that differ from c only in case.
func folded(c rune) rune {
	first := c
	for other := unicode.SimpleFold(c); other != c; other = unicode.SimpleFold(other) {
		first = min(first, other)
	}
	return unicode.ToLower(first)
}

// pop removes the last bytes, and returns the first of them.
func (r *reader) pop(length int) unit {
	first := r.raw[len(r.raw)-length]
	r.raw, r.bytes = r.raw[:len(r.raw)-length], r.bytes[:len(r.bytes)-length]
	r.said, r.from = r.said[:first.said], r.from[:first.said]
	return first
}

// escape is the length and the meaning of an escape that ends with b, 0 for none.
func (r *reader) escape(b byte) (int, string) {
	if r.last(2) == '\\' {
		switch {
		case strings.IndexByte("abfnrtv", b) >= 0:
			return 2, ""
		case b < utf8.RuneSelf && unicode.In(rune(b), unicode.P, unicode.S): // an escape of Markdown
			return 2, string(rune(b))
		}
	}
	switch b {
	case ';':
		return r.entity()
	case '}':
		return r.braces()
	}
	if !isHex(b) {
		return 0, ""
	}
	for _, form := range escapes {
		length := len(form.begin) + form.digits
		if b := r.bytes; len(b) < length || string(b[len(b)-length:len(b)-form.digits]) != form.begin {
			continue
		}
		value, err := strconv.ParseUint(string(r.bytes[len(r.bytes)-form.digits:]), form.base, 32)
		switch {
		case err != nil, form.ofByte && value > 0xff:
			continue
		case form.ofByte:
			return length, string([]byte{byte(value)})
		case 0xd800 <= value && value < 0xdc00: // the first half of a pair
			return 0, ""
		case 0xdc00 <= value && value < 0xe000:
			return r.pair(value)
		}
		return length, string(rune(value))
	}
	return 0, ""
}

// escapes are those of a fixed length.
var escapes = []struct {
	begin        string
	digits, base int
	ofByte       bool // not of a character
}{
	{"%", 2, 16, true},
	{`\x`, 2, 16, true},
	{`\u`, 4, 16, false},
	{`\U`, 8, 16, false},
	{`\`, 3, 8, true},
}

// last returns the n-th byte from the end, 0 when there is none.
func (r *reader) last(n int) byte {
	if n > len(r.bytes) {
		return 0
	}
	return r.bytes[len(r.bytes)-n]
}

// pair reads \ud83d\ude00, whose second half is known.
func (r *reader) pair(second uint64) (int, string) {
	if r.last(12) != '\\' || r.last(11) != 'u' {
		return 0, ""
	}
	first, err := strconv.ParseUint(string(r.bytes[len(r.bytes)-10:len(r.bytes)-6]), 16, 32)
	if err != nil || first < 0xd800 || first >= 0xdc00 {
		return 0, ""
	}
	return 12, string(rune((first-0xd800)<<10 + (second - 0xdc00) + 0x10000))
}

// braces reads \u{41}.
func (r *reader) braces() (int, string) {
	n := 2
	for isHex(r.last(n)) {
		n++
	}
	if n == 2 || r.last(n) != '{' || r.last(n+1) != 'u' || r.last(n+2) != '\\' {
		return 0, ""
	}
	value, err := strconv.ParseUint(string(r.bytes[len(r.bytes)-n+1:len(r.bytes)-1]), 16, 32)
	if err != nil || value > unicode.MaxRune {
		return 0, ""
	}
	return n + 2, string(rune(value))
}

// entity reads &amp;, &#38; and &#x26;, and Mermaid's #38;. It may look back over the
// whole text, because no later look goes back beyond this semicolon.
func (r *reader) entity() (int, string) {
	for n := 2; n <= len(r.bytes); n++ {
		switch b := r.last(n); {
		case r.ampersand(n):
			escaped := string(r.bytes[len(r.bytes)-n:])
			meaning := html.UnescapeString(escaped)
			if len(meaning) > 1 && strings.HasSuffix(meaning, ";") { // not known
				return 0, ""
			}
			return n, meaning
		case b == '#' && n > 2 && !r.ampersand(n+1):
			value, err := strconv.ParseUint(string(r.bytes[len(r.bytes)-n+1:len(r.bytes)-1]), 10, 32)
			if err != nil || value > unicode.MaxRune {
				return 0, ""
			}
			return n, string(rune(value))
		case b != '#' && !isHex(b|0x20) && (b|0x20 < 'g' || 'z' < b|0x20):
			return 0, ""
		}
	}
	return 0, ""
}

// ampersand reports whether the n-th byte from the end begins an escape that the last
// byte ends. In Mermaid's &#65; both bytes are escaped, in #38;#65; only one.
func (r *reader) ampersand(n int) bool {
	return r.last(n) == '&' && r.raw[len(r.raw)-n].mermaid == r.raw[len(r.raw)-1].mermaid
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}

// invisible reports whether a character has no visible shape: white space, and
// characters that are not displayed.
func invisible(c rune) bool {
	return unicode.In(c, unicode.Z, unicode.Variation_Selector) || unseen(c) || c == '\u2800' // the blank of Braille
}

// unseen reports whether a character acts invisibly: control, format, bidirectional and
// zero-width characters, line breaks, and those that fonts ignore.
func unseen(c rune) bool {
	if ' ' <= c && c <= '~' {
		return false // most characters; to search the tables for each took most of a large report's time
	}
	return unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}
