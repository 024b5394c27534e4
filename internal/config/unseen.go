package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// character is an invisible character, or one that looks like another.
type character struct {
	name string // in Unicode
	kind kind
}

// kind is what is wrong with a character.
type kind string

// The kinds, in the words of a warning about a command.
const (
	isMark  kind = "which is invisible"
	isSpace kind = "which a shell does not treat as a space"
	isQuote kind = "which a shell does not treat as a quote"
	isDash  kind = "which commands do not treat as -"
	isDots  kind = "which commands do not treat as three dots"
)

// characters are often in text that is copied from a page, a document or a chat. Other
// invisible characters are of the kind isMark and have no name.
//
// Source: Unicode 15.0, UnicodeData.txt; for U+FEFF, its alias.
var characters = map[rune]character{
	0x0085: {"NEXT LINE", isMark},
	0x00a0: {"NO-BREAK SPACE", isSpace},
	0x00ad: {"SOFT HYPHEN", isMark},
	0x034f: {"COMBINING GRAPHEME JOINER", isMark},
	0x061c: {"ARABIC LETTER MARK", isMark},
	0x115f: {"HANGUL CHOSEONG FILLER", isMark},
	0x1160: {"HANGUL JUNGSEONG FILLER", isMark},
	0x1680: {"OGHAM SPACE MARK", isSpace},
	0x180e: {"MONGOLIAN VOWEL SEPARATOR", isMark},
	0x2000: {"EN QUAD", isSpace},
	0x2001: {"EM QUAD", isSpace},
	0x2002: {"EN SPACE", isSpace},
	0x2003: {"EM SPACE", isSpace},
	0x2004: {"THREE-PER-EM SPACE", isSpace},
	0x2005: {"FOUR-PER-EM SPACE", isSpace},
	0x2006: {"SIX-PER-EM SPACE", isSpace},
	0x2007: {"FIGURE SPACE", isSpace},
	0x2008: {"PUNCTUATION SPACE", isSpace},
	0x2009: {"THIN SPACE", isSpace},
	0x200a: {"HAIR SPACE", isSpace},
	0x200b: {"ZERO WIDTH SPACE", isMark},
	0x200c: {"ZERO WIDTH NON-JOINER", isMark},
	0x200d: {"ZERO WIDTH JOINER", isMark},
	0x200e: {"LEFT-TO-RIGHT MARK", isMark},
	0x200f: {"RIGHT-TO-LEFT MARK", isMark},
	0x2028: {"LINE SEPARATOR", isMark},
	0x2029: {"PARAGRAPH SEPARATOR", isMark},
	0x202a: {"LEFT-TO-RIGHT EMBEDDING", isMark},
	0x202b: {"RIGHT-TO-LEFT EMBEDDING", isMark},
	0x202c: {"POP DIRECTIONAL FORMATTING", isMark},
	0x202d: {"LEFT-TO-RIGHT OVERRIDE", isMark},
	0x202e: {"RIGHT-TO-LEFT OVERRIDE", isMark},
	0x202f: {"NARROW NO-BREAK SPACE", isSpace},
	0x205f: {"MEDIUM MATHEMATICAL SPACE", isSpace},
	0x2060: {"WORD JOINER", isMark},
	0x2066: {"LEFT-TO-RIGHT ISOLATE", isMark},
	0x2067: {"RIGHT-TO-LEFT ISOLATE", isMark},
	0x2068: {"FIRST STRONG ISOLATE", isMark},
	0x2069: {"POP DIRECTIONAL ISOLATE", isMark},
	0x3000: {"IDEOGRAPHIC SPACE", isSpace},
	0x3164: {"HANGUL FILLER", isMark},
	0xfeff: {"BYTE ORDER MARK", isMark},
	0xffa0: {"HALFWIDTH HANGUL FILLER", isMark},

	0x00ab: {"LEFT-POINTING DOUBLE ANGLE QUOTATION MARK", isQuote},
	0x00b4: {"ACUTE ACCENT", isQuote},
	0x00bb: {"RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK", isQuote},
	0x2018: {"LEFT SINGLE QUOTATION MARK", isQuote},
	0x2019: {"RIGHT SINGLE QUOTATION MARK", isQuote},
	0x201a: {"SINGLE LOW-9 QUOTATION MARK", isQuote},
	0x201b: {"SINGLE HIGH-REVERSED-9 QUOTATION MARK", isQuote},
	0x201c: {"LEFT DOUBLE QUOTATION MARK", isQuote},
	0x201d: {"RIGHT DOUBLE QUOTATION MARK", isQuote},
	0x201e: {"DOUBLE LOW-9 QUOTATION MARK", isQuote},
	0x201f: {"DOUBLE HIGH-REVERSED-9 QUOTATION MARK", isQuote},
	0x2032: {"PRIME", isQuote},
	0x2033: {"DOUBLE PRIME", isQuote},
	0x2010: {"HYPHEN", isDash},
	0x2011: {"NON-BREAKING HYPHEN", isDash},
	0x2012: {"FIGURE DASH", isDash},
	0x2013: {"EN DASH", isDash},
	0x2014: {"EM DASH", isDash},
	0x2015: {"HORIZONTAL BAR", isDash},
	0x2212: {"MINUS SIGN", isDash},
	0x2026: {"HORIZONTAL ELLIPSIS", isDots},
}

// known looks r up in characters, and among other invisible ones.
func known(r rune) (character, bool) {
	if c, ok := characters[r]; ok {
		return c, true
	}
	if r > unicode.MaxASCII && unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
		return character{"", isMark}, true
	}
	return character{}, false
}

func (c character) looksLikeAnother() bool {
	return c.kind == isQuote || c.kind == isDash || c.kind == isDots
}

// finding is a character and where it is. Line and column count characters from one.
type finding struct {
	rune         rune
	line, column int
	character
}

// String is "U+00A0 NO-BREAK SPACE".
func (f finding) String() string {
	return fmt.Sprintf("U+%04X %s", f.rune, cmp.Or(f.name, "(an invisible character)"))
}

// findings are the known characters in text. Left out are spaces at the ends of a line,
// which are trimmed, and characters that scripts other than Latin need.
func findings(text string) []finding {
	var found []finding
	number := 0
	for line := range strings.Lines(text) {
		number++
		end := len(strings.TrimRightFunc(line, unicode.IsSpace))
		column, before := 0, ' '
		for at, r := range line {
			column++
			c, ok := known(r)
			atEnd := c.kind == isSpace && (at >= end || strings.TrimSpace(line[:at]) == "")
			if ok && !atEnd && !(before > 0xff && isJoiner(r, c)) {
				found = append(found, finding{r, number, column, c})
			}
			before = r
		}
	}
	return found
}

// isJoiner reports whether text that is not Latin may need a character: to join emoji,
// to mark direction, or as a space as wide as a letter.
func isJoiner(r rune, c character) bool {
	return 0x200c <= r && r <= 0x200f || r == 0x061c || r == 0x3000 || c.name == ""
}

// What inputs hold: it decides which characters are allowed in them.
var (
	prose    = []string{"description", "smoke_test_prompt", "schedule_prompt"}
	commands = []string{"setup_commands"}
	names    = []string{"team", "environment_name", "schedule_name", "branch", "bitbucket_username", "ca_certificate", "output_file", "manifest"}
)

// unseen looks for invisible characters, and those that look like others, in every
// input except secrets, before anything else reads them. In prose and commands they may
// be meant, so they draw a warning. Elsewhere they are refused, and removed so that
// they cause no second message.
func (p *parser) unseen() {
	for _, input := range table {
		if field := p.in.field(input); field.Kind() == reflect.String {
			field.SetString(p.seen(input.Name, field.String()))
		}
	}
}

// seen is the value of an input without refused characters.
func (p *parser) seen(input, value string) string {
	if !utf8.ValidString(value) && input != "ca_certificate" { // a PEM file may have comments in any encoding
		p.add(input, "pass it in UTF-8", "line %d holds a byte that is not UTF-8", lineOfByte(value))
		return strings.ToValidUTF8(value, "")
	}
	isProse, isCommand := slices.Contains(prose, input), slices.Contains(commands, input)
	isName := slices.Contains(names, input) || strings.HasSuffix(input, "_file")
	found := slices.DeleteFunc(findings(value), func(f finding) bool { return f.looksLikeAnother() && (isProse || isName) })
	switch {
	case len(found) == 0:
		return value
	case isCommand && strings.HasPrefix(value, byteOrderMark):
		p.refuse(input, found[0])
		value = strings.TrimPrefix(value, byteOrderMark)
		found = found[1:]
		fallthrough
	case isProse, isCommand:
		p.suspect(input, value, found)
		return value
	}
	p.refuse(input, found[0])
	return trim(strings.Map(plain, value))
}

// refuse says which character an input cannot hold.
func (p *parser) refuse(input string, f finding) {
	remedy := "take it out; it comes along when text is copied"
	if f.looksLikeAnother() || f.kind == isSpace {
		remedy = "type it again; it comes along when text is copied"
	}
	p.add(input, remedy, "line %d holds %s at column %d", f.line, f, f.column)
}

// mostSuspects bounds the warnings about one input.
const mostSuspects = 5

// suspect warns of the first such character of each line that is not a comment.
func (p *parser) suspect(input, value string, found []finding) {
	lines := strings.Split(value, "\n")
	isCommand := slices.Contains(commands, input)
	said, last := 0, 0
	for _, f := range found {
		if f.line == last || isCommand && strings.HasPrefix(strings.TrimSpace(lines[f.line-1]), "#") {
			continue
		}
		if last, said = f.line, said+1; said > mostSuspects {
			p.warn("%s holds such characters in other lines too", input)
			return
		}
		why := f.kind
		if !isCommand {
			why = "which is easily missed"
		}
		p.warn("%s, line %d, holds %s at column %d, %s", input, f.line, f, f.column, why)
	}
}

// plain replaces a refused character by the one it looks like, or removes it.
func plain(r rune) rune {
	c, bad := known(r)
	switch {
	case !bad:
		return r
	case c.kind == isSpace:
		return ' '
	case c.kind == isDash:
		return '-'
	}
	return -1
}

// lineOfByte is the line of the first byte that is not UTF-8.
func lineOfByte(text string) int {
	line := 1
	for at, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[at:], string(utf8.RuneError)) {
			break
		}
		if r == '\n' {
			line++
		}
	}
	return line
}

// Marks that begin a file.
//
// Source: Unicode 15.0, 23.8, table 23-6.
const byteOrderMark = "\ufeff"

var wideMarks = []struct{ mark, encoding string }{
	{"\xff\xfe\x00\x00", "UTF-32"}, {"\x00\x00\xfe\xff", "UTF-32"}, {"\xff\xfe", "UTF-16"}, {"\xfe\xff", "UTF-16"},
}

// decoded is the text of a file that an input names, and whether it is text. A byte
// order mark is removed with a warning.
func (p *parser) decoded(input string, content []byte) (text string, ok bool) {
	text = string(content)
	if encoding := wideEncoding(text); encoding != "" {
		p.add(input, "save the file as UTF-8", "names a file in %s", encoding)
		return "", false
	}
	if rest, marked := strings.CutPrefix(text, byteOrderMark); marked {
		p.warn("%s names a file that begins with U+FEFF BYTE ORDER MARK, which is left out; save it as UTF-8 without a byte order mark", input)
		return rest, true
	}
	return text, true
}

// wideEncoding is UTF-16 or UTF-32 when text has that encoding, else empty.
func wideEncoding(text string) string {
	for _, wide := range wideMarks {
		if strings.HasPrefix(text, wide.mark) {
			return wide.encoding
		}
	}
	var nul [2]int // at even and odd places
	for at := range len(text) {
		if text[at] == 0 {
			nul[at%2]++
		}
	}
	if half := len(text) / 2; half > 0 && max(nul[0], nul[1]) >= half {
		return "UTF-16"
	}
	return ""
}
