// Package redact makes foreign text safe to print: Redact hides the secrets in it,
// Neutral and Lines make it harmless to terminals and CI hosts. No other package does
// either. It is pure: text in, text out. Call Redact first: this comment does not hold
// for text that was escaped, cut or folded before.
//
// # What Redact finds
//
// A piece is 12 bytes or more from anywhere in a line of a secret, cut between
// characters. A line of 4 to 11 bytes is one piece as a whole. A shorter line is not
// hidden, because that would blank ordinary words. A piece is replaced by *** when the
// text holds it in one of these spellings:
//
//   - as it is, in any letter case;
//   - with characters escaped, all or some, to any depth and mixed: %41 of a URL
//     and + for its spaces; &amp; &#38; &#x26; of HTML and #38; of Mermaid; \u0041
//     \u{41} \U00000041 \x41 \101 \n \r \t \b \f \a \v of JSON and programming
//     languages; a backslash before any character. Letters from U+0080 to U+00FF may be
//     escaped as UTF-8 or as Latin-1;
//   - in hexadecimal, in any letter case;
//   - in Base64, in the standard and the URL alphabet, with whatever before and
//     after it in the same Base64, when the piece has 5 bytes or more;
//   - any of these, with white space, line breaks, control, zero-width,
//     bidirectional and other invisible characters between any two characters, or
//     the Markdown characters * _ ` ~ and backslash, and after a line break the
//     signs + - > | with a space behind them. An underscore within Base64 is a
//     letter of the URL alphabet.
//   - as it is or with characters escaped, with the signs + - > | between white space,
//     as after a line break that was folded or escaped. No sign of the piece itself may
//     be between white space.
//
// A piece is also found without its own Markdown characters, when 8 others remain.
// Nothing else in the text changes.
//
// # What it does not find
//
//   - A piece of fewer than 12 bytes of a longer secret, and separated pieces: with words
//     or numbers between them, in several texts (as the elements of a list, each in a
//     line of the log), reversed, or left and right of one that was replaced.
//   - Hexadecimal with other signs than those between its digits, as in 41:54.
//   - Other encodings and compression, and one of Base64 or hexadecimal within
//     another or of a secret in another letter case; Base64 in another letter case.
//   - An escape whose first characters come from the text before it, as in "%2"
//     before an escaped secret that begins with B, and HTML's escapes without their
//     semicolon.
//   - An escape that others within it spread over more than 64 KiB.
//   - A piece with a backslash before each letter where something else is escaped,
//     too: \n is a line break there.
//   - Base64 in the lines of a list or a diff, a few letters in each, when their line
//     breaks were folded away before.
//   - A piece that Markdown splits, when its own letters are mostly those that Redact
//     skips (fewer than 8 others in 12, any in a short secret).
//   - A piece of a secret with control characters, in HTML, which cannot hold them; and a
//     piece that is made of escapes itself, when decoding leaves fewer than 4 characters.
//   - Letters whose number changes with their case (ß to SS), or that are composed of
//     other characters than in the secret.
//
// # Cost
//
// Redact takes time in proportion to the text, less than a microsecond for each byte
// of it, whatever the text is, and no more than 10 MB of memory besides the text and
// what it returns and found.
package redact

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// Marker replaces a piece of a secret.
const Marker = "***"

// Lengths in bytes. Hiding less would blank ordinary words.
const (
	shortestPiece  = 12
	shortestSecret = 4
	fewestLetters  = 8 // of a piece without its Markdown characters
	shortestBase64 = 6 // letters of Base64
)

// Redactor knows secrets. The zero value and nil know none. It does not change,
// so it may be used from many goroutines.
type Redactor struct{ readings func() []*reading }

// reading is a way to read a text, and what to search for in it.
type reading struct {
	alphabet alphabet
	needles  needles
}

// New returns a Redactor of secrets. Those that are shorter than 4 bytes are
// not hidden. It learns them at the first text: most answers need no Redactor.
func New(secrets ...sensitive.String) *Redactor {
	secrets = slices.Clone(secrets)
	return &Redactor{sync.OnceValue(func() []*reading { return learned(secrets) })}
}

// learned are the readings of secrets that have something to search for.
func learned(secrets []sensitive.String) []*reading {
	readings := []*reading{{alphabet: visible}, {alphabet: letters}, {alphabet: base64Letters}}
	var by reader
	for _, secret := range secrets {
		for _, line := range Pieces(secret) {
			for _, one := range readings {
				one.learn(line, &by)
			}
		}
	}
	return slices.DeleteFunc(readings, func(one *reading) bool { return one.needles.empty() })
}

// Pieces returns the lines of a secret that are long enough to be hidden, without
// surrounding white space.
func Pieces(secret sensitive.String) []string {
	var lines []string
	for line := range strings.Lines(secret.Reveal()) {
		if line = strings.TrimSpace(line); len(line) >= shortestSecret {
			lines = append(lines, line)
		}
	}
	return lines
}

// learn adds the spellings of a line of a secret in this reading.
func (r *reading) learn(line string, by *reader) {
	for _, piece := range append(windows(line), line) {
		for _, form := range forms(piece) {
			for _, spelling := range r.alphabet.spellings(form, by) {
				r.needles.add(spelling)
			}
		}
	}
}

// forms returns the texts to which an encoding may be applied: the piece as it is, in
// Latin-1 when that is possible, and with a plus sign for each space.
func forms(piece string) []string {
	list := []string{piece}
	if latin, ok := latin1(piece); ok && latin != piece {
		list = append(list, latin)
	}
	if strings.Contains(piece, " ") {
		for _, form := range list {
			list = append(list, strings.ReplaceAll(form, " ", "+"))
		}
	}
	return list
}

// windows returns the shortest pieces of a line, one from each of its characters.
func windows(line string) []string {
	var list []string
	for at := range line {
		end := at + shortestPiece
		for end < len(line) && !utf8.RuneStart(line[end]) {
			end++
		}
		if end > len(line) {
			break
		}
		list = append(list, line[at:end])
	}
	return list
}

// latin1 returns text in Latin-1, when that is possible.
func latin1(text string) (string, bool) {
	var encoded []byte
	for _, r := range text {
		if r > 0xff {
			return "", false
		}
		encoded = append(encoded, byte(r))
	}
	return string(encoded), true
}

// spellings returns the forms of a piece that are searched for in this alphabet.
func (a alphabet) spellings(piece string, by *reader) []string {
	var list []string
	switch a {
	case visible:
		list = append(list, by.all(piece, a, false), by.all(piece, a, true))
	case letters:
		list = append(list, hex.EncodeToString([]byte(piece)))
		for _, decode := range []bool{false, true} {
			text := by.all(piece, a, decode)
			if text == by.all(piece, visible, decode) || len(text) >= fewestLetters && len(piece) >= shortestPiece {
				list = append(list, text)
			}
		}
	case base64Letters:
		for before := range 3 {
			// The characters that depend on the piece alone.
			text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", before) + piece))
			if core := text[(before*8+5)/6 : (before+len(piece))*8/6]; len(core) >= shortestBase64 {
				list = append(list, core)
			}
		}
	}
	return slices.DeleteFunc(list, func(text string) bool { return len(text) < shortestSecret })
}

// all returns the decoded text in an alphabet.
func (r *reader) all(text string, a alphabet, decode bool) string {
	r.text, r.alphabet, r.decode = text, a, decode
	r.run(func() {})
	return string(r.said)
}

// Redact returns text with every piece of a secret replaced by ***.
func (r *Redactor) Redact(text string) string {
	if r == nil || r.readings == nil || len(text) < shortestSecret {
		return text
	}
	var found []span
	ways := []bool{false}
	if strings.ContainsAny(text, `%&#\`) {
		ways = []bool{false, true}
	}
	reader := reader{text: text}
	for _, one := range r.readings() {
		for _, decode := range ways {
			reader.alphabet, reader.decode = one.alphabet, decode
			reader.run(func() {
				if length := one.needles.ending(reader.said); length > 0 {
					found = add(found, span{reader.from[len(reader.said)-length], reader.end})
				}
			})
		}
	}
	return replace(text, found)
}

// span is a part of a text.
type span struct{ from, to int }

func (s span) overlaps(other span) bool { return s.from < other.to && other.from < s.to }

// add appends a part, and joins it with the last one when they overlap.
func add(found []span, next span) []span {
	if last := len(found) - 1; last >= 0 && next.overlaps(found[last]) {
		found[last] = span{min(next.from, found[last].from), max(next.to, found[last].to)}
		return found
	}
	return append(found, next)
}

// replace replaces each part that was found by the marker. Overlapping parts count as
// one.
func replace(text string, found []span) string {
	if len(found) == 0 {
		return text
	}
	slices.SortFunc(found, func(a, b span) int { return a.from - b.from })
	var clean strings.Builder
	at := 0
	for i := 0; i < len(found); {
		whole := found[i]
		for i++; i < len(found) && found[i].from < whole.to; i++ {
			whole.to = max(whole.to, found[i].to)
		}
		clean.WriteString(text[at:whole.from] + Marker)
		at = whole.to
	}
	return clean.String() + text[at:]
}
