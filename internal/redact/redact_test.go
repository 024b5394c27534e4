package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// secrets hold every kind of character that an encoding may touch; the last are
// short.
var secrets = []string{
	"ATATT3-_x%2B<y>&/z+~#[1]|*=9F0E1D2C",
	"wk-1.9f8e7d6c5b4a39281706f5e4d3c2b1a0987654321fedcba0123456",
	`pässwört & "Söhne" <Köln> \u0041 100% \n`,
	"correct horse battery staple",
	"ab&cöd%2",
	"hunter22",
}

// each escapes every character of a text by itself.
func each(text string, escape func(c rune) string) string {
	var escaped strings.Builder
	for _, c := range text {
		escaped.WriteString(escape(c))
	}
	return escaped.String()
}

func everyByte(text, format string) string {
	var escaped strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&escaped, format, text[i])
	}
	return escaped.String()
}

func quoted(text string) string {
	encoded, _ := json.Marshal(text)
	return string(encoded)
}

func wrapped(text, with string, every int) string {
	var lines []string
	for ; len(text) > every; text = text[every:] {
		lines = append(lines, text[:every])
	}
	return strings.Join(append(lines, text), with)
}

func split(with string) func(string) string {
	return func(piece string) string {
		return strings.TrimSuffix(each(piece, func(c rune) string { return string(c) + with }), with)
	}
}

// lines inserts with between two letters, repeatedly.
func lines(with string) func(string) string {
	two := regexp.MustCompile(`(?s)(.{3,}?[\pL\d])([\pL\d])`)
	return func(piece string) string { return two.ReplaceAllString(piece, "${1}"+with+"$2") }
}

// summarised returns a text as the summary writes it.
func summarised(text string) string {
	text = strings.ReplaceAll(text, "&", "&amp;")
	return regexp.MustCompile("[\\\\`*_\\[\\]<>#|~@]").ReplaceAllString(text, `\$0`)
}

// spelling is a way to write a piece of a secret.
type spelling struct {
	name  string
	write func(piece string) string
	split bool // by Markdown
}

var spellings = []spelling{
	{"plain", func(p string) string { return p }, false},
	{"upper case", strings.ToUpper, false},
	{"lower case", strings.ToLower, false},
	{"spaces", split(" "), false},
	{"line breaks", split("\r\n"), false},
	{"NUL", split("\x00"), false},
	{"zero-width", split("\u200b"), false},
	{"bidirectional", split("\u202e"), false},
	{"soft hyphens and selectors", split("\u00ad\ufe0f"), false},
	{"backslashes", split(`\`), false},
	{"stars", split("**"), true},
	{"underscores", split("_"), true},
	{"backquotes", split("`"), true},
	{"tildes", split("~~"), true},
	{"a query", url.QueryEscape, false},
	{"a path", url.PathEscape, false},
	{"a query, lower case", func(p string) string { return strings.ToLower(url.QueryEscape(p)) }, false},
	{"a query in a path in a query", func(p string) string { return url.QueryEscape(url.PathEscape(url.QueryEscape(p))) }, false},
	{"every byte", func(p string) string { return everyByte(p, "%%%02X") }, false},
	{"every byte five times", func(p string) string { return everyByte(p, "%%25252525%02x") }, false},
	{"escapes of escapes", func(p string) string { return everyByte(everyByte(p, "%%%02x"), "%%%02X") }, false},
	{"JSON", quoted, false},
	{"JSON of JSON", func(p string) string { return quoted(quoted(p)) }, false},
	{"Go", strconv.QuoteToASCII, false},
	{"UTF-16", func(p string) string {
		var escaped strings.Builder
		for _, half := range utf16.Encode([]rune(p)) {
			fmt.Fprintf(&escaped, `\u%04x`, half)
		}
		return escaped.String()
	}, false},
	{"u in braces", func(p string) string { return each(p, func(c rune) string { return fmt.Sprintf(`\u{%x}`, c) }) }, false},
	{"U", func(p string) string { return each(p, func(c rune) string { return fmt.Sprintf(`\U%08x`, c) }) }, false},
	{"x of bytes", func(p string) string { return everyByte(p, `\x%02x`) }, false},
	{"octal", func(p string) string { return everyByte(p, `\%03o`) }, false},
	{"HTML", html.EscapeString, false},
	{"HTML twice", func(p string) string { return html.EscapeString(html.EscapeString(p)) }, false},
	{"HTML by name", func(p string) string {
		return strings.NewReplacer("ö", "&ouml;", "ä", "&auml;", "&", "&amp;", "<", "&lt;", ">", "&gt;", "%", "&percnt;", "-", "&#45;").Replace(p)
	}, false},
	{"HTML in decimal", func(p string) string { return each(p, func(c rune) string { return fmt.Sprintf("&#%d;", c) }) }, false},
	{"HTML in hexadecimal", func(p string) string { return each(p, func(c rune) string { return fmt.Sprintf("&#X%04x;", c) }) }, false},
	{"Mermaid", func(p string) string { return each(p, func(c rune) string { return fmt.Sprintf("#%d;", c) }) }, false},
	{"lines of a diff on one line", lines(" + "), true},
	{"lines of a list on one line", lines(" - "), true},
	{"lines that are quoted, in JSON", func(p string) string { return quoted(lines("\n> ")(p)) }, true},
	{"rows of a table, in Go", func(p string) string { return strconv.Quote(lines(" |\n| ")(p)) }, true},
	{"control characters in JSON", func(p string) string { return quoted(split("\b\f")(p)) }, false},
	{"control characters in Go", func(p string) string { return strconv.Quote(split("\a\v")(p)) }, false},
	{"Braille's blank", split("\u2800"), false},
	{"HTML with zeros", func(p string) string { return each(p, func(c rune) string { return fmt.Sprintf("&#%040d;", c) }) }, false},
	{"u in braces with zeros", func(p string) string { return each(p, func(c rune) string { return fmt.Sprintf(`\u{%020x}`, c) }) }, false},
	{"HTML in the summary", func(p string) string {
		return summarised(each(p, func(c rune) string { return fmt.Sprintf("&#%d;", c) }))
	}, false},
	{"stars in the summary", func(p string) string { return summarised(split("**")(p)) }, true},
	{"lines that are quoted, on one line of the summary", func(p string) string { return summarised(lines(" > ")(p)) }, true},
	{"HTML in Mermaid", func(p string) string {
		return each(p, func(c rune) string { return fmt.Sprintf("#38;#35;x%x#59;", c) })
	}, false},
	{"HTML by name in Mermaid", func(p string) string {
		return strings.NewReplacer("&", "#38;", ";", "#59;").Replace(html.EscapeString(html.EscapeString(p)))
	}, false},
	{"lines of a diff", split("\n    +   "), false},
	{"lines that are quoted", split("\r\n> "), false},
	{"HTML in a URL in JSON", func(p string) string { return quoted(url.QueryEscape(html.EscapeString(p))) }, false},
	{"a URL, split", func(p string) string { return wrapped(url.QueryEscape(p), " \n", 5) }, false},
	{"hexadecimal", func(p string) string { return hex.EncodeToString([]byte(p)) }, false},
	{"hexadecimal, upper case", func(p string) string { return strings.ToUpper(hex.EncodeToString([]byte(p))) }, false},
	{"hexadecimal, split", func(p string) string { return wrapped(hex.EncodeToString([]byte(p)), " ", 4) }, false},
	{"Base64", func(p string) string { return base64.StdEncoding.EncodeToString([]byte(p)) }, false},
	{"Base64, one before", func(p string) string { return base64.StdEncoding.EncodeToString([]byte("?" + p + "ÿ")) }, false},
	{"Base64, two before", func(p string) string { return base64.RawURLEncoding.EncodeToString([]byte("??" + p + "?>")) }, false},
	{"Base64 for URLs", func(p string) string { return base64.URLEncoding.EncodeToString([]byte(p)) }, false},
	{"Base64, wrapped", func(p string) string {
		return wrapped(base64.StdEncoding.EncodeToString([]byte("x-token-auth:"+p)), "\r\n", 7)
	}, false},
	{"Base64 in JSON, wrapped", func(p string) string {
		return quoted(wrapped(base64.StdEncoding.EncodeToString([]byte("jane:"+p)), "\n", 7))
	}, false},
	{"Base64 in a URL", func(p string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(p))) }, false},
	{"Base64 in Markdown", func(p string) string {
		return split("**")(base64.StdEncoding.EncodeToString([]byte(p)))
	}, false},
}

// pieces are the shortest pieces of a secret and some longer ones.
func pieces(secret string) []string {
	if len(secret) < 12 {
		return []string{secret}
	}
	var list []string
	for from := range secret {
		for _, length := range []int{12, 13, 19, len(secret) - from} {
			to := from + length
			for to < len(secret) && !utf8.RuneStart(secret[to]) {
				to++
			}
			if length >= 12 && to <= len(secret) {
				list = append(list, secret[from:to])
			}
		}
	}
	return list
}

// mostlyBetween reports whether Markdown could not split a piece: in each 12 bytes
// of it its own characters are Markdown's, too, or it holds an escape of its own.
func mostlyBetween(piece string) bool {
	unescaped, err := url.PathUnescape(piece)
	if err == nil && unescaped != piece || html.UnescapeString(piece) != piece {
		return true
	}
	return !slices.ContainsFunc(pieces(piece), func(part string) bool { return len(part) < 12+utf8.UTFMax && !fewLetters(part) })
}

func fewLetters(piece string) bool {
	letters := strings.Map(func(c rune) rune {
		if strings.ContainsRune("*_`~\\ ", c) {
			return -1
		}
		return c
	}, piece)
	return len(letters) < 8
}

func TestWhatIsReplaced(t *testing.T) {
	t.Parallel()
	const secret = "wk-1.9f8e7d6c5b4a39281706f5e4d3c2b1a0987654321fedcba0123456"
	r := redact.New(sensitive.New(secret), sensitive.New("hunter22"), sensitive.New("abc"), sensitive.New(""), sensitive.String{}, sensitive.New("\n \n"), sensitive.New("line one of\r\n  second line\n}\n"))
	for text, want := range map[string]string{
		"":                               "",
		"a " + secret + " b":             "a *** b",
		"a " + secret[5:] + " b":         "a *** b",
		"a " + secret[20:33] + " x":      "a *** x",
		"a " + secret[20:31] + " x":      "a " + secret[20:31] + " x",
		secret + secret:                  "******",
		secret + "hunter22":              "******",
		secret[:15] + "x" + secret[15:]:  "***x***",
		"a **" + secret + "** b":         "a **" + "***" + "** b",
		"a HUNTER22b hunter2":            "a ***b hunter2",
		"h u n t e r 2 2":                "***",
		"line one of\nsecond line":       "***\n***",
		"abc } * _ ` 100% \\ &amp; %41":  "abc } * _ ` 100% \\ &amp; %41",
		"\xff\xfe " + secret + " \xc3":   "\xff\xfe *** \xc3",
		"%" + secret:                     "%***",
		"%2" + secret:                    "%2***",
		`\` + secret:                     `\***`,
		"&" + secret + ";":               "&***;",
		"https://a:" + secret + "@b.c/d": "https://a:***@b.c/d",
	} {
		assert.Equal(t, want, r.Redact(text), "%q", text)
	}
	var none *redact.Redactor
	assert.Equal(t, secret, none.Redact(secret))
	assert.Equal(t, secret, (&redact.Redactor{}).Redact(secret))
	assert.Equal(t, secret, redact.New().Redact(secret))
}

func TestLatin1(t *testing.T) {
	t.Parallel()
	r := redact.New(sensitive.New("pässwört für §5 Köln"))
	for _, text := range []string{"p%E4ssw%F6rt%20f%FCr%20%A75", `p\xe4ssw\xf6rt f\xfcr`, "p%e4ssw%f6rt+f%fcr"} {
		assert.Contains(t, r.Redact(text), redact.Marker, text)
	}
}

// TestWordsOfASecretStay: a secret with underscores hides no word without them.
func TestWordsOfASecretStay(t *testing.T) {
	t.Parallel()
	r := redact.New(sensitive.New("pass_word"), sensitive.New("__*_secret_*__"), sensitive.New("************"), sensitive.New("            "))
	assert.Equal(t, "an app password", redact.New(sensitive.New("app-password-1f")).Redact("an app password"))
	const text = "the password, the secret and * * *"
	assert.Equal(t, text, r.Redact(text))
	assert.Equal(t, "the ***, ***", r.Redact(`the pass\_word, __*_SECRET_*__`))
}

// ownEscapes are what a piece may hold that is read as one byte.
var ownEscapes = regexp.MustCompile(`(?:%|\\x)\s*[0-9A-Fa-f]\s*[0-9A-Fa-f]`)

// FuzzNoPieceSurvives: any piece, in any spelling, in any text.
func FuzzNoPieceSurvives(f *testing.F) {
	for i, secret := range secrets {
		f.Add(secret, "before ", " after", uint8(i), uint8(20), uint8(i*7))
	}
	f.Fuzz(func(t *testing.T, secret, before, after string, from, length, way uint8) {
		if !utf8.ValidString(secret) || strings.ContainsFunc(secret, unicode.IsControl) || strings.TrimSpace(secret) != secret || len(secret) < 5 {
			t.Skip("not a secret")
		}
		piece := secret
		if len(secret) >= 12 {
			at := min(int(from), len(secret)-12)
			for !utf8.RuneStart(secret[at]) {
				at--
			}
			to := min(len(secret), at+12+int(length))
			for to < len(secret) && !utf8.RuneStart(secret[to]) {
				to++
			}
			piece = secret[at:to]
		}
		s := spellings[int(way)%len(spellings)]
		if mostlyBetween(piece) || len(ownEscapes.ReplaceAllString(piece, "")) < 4 || !strings.EqualFold(strings.ToUpper(piece), piece) || !strings.EqualFold(strings.ToLower(piece), piece) || s.split && len(secret) < 12 && strings.ContainsAny(secret, "*_`~") {
			t.Skip("not claimed")
		}
		written := s.write(piece)
		text := before + "!" + written + "!" + after
		clean := redact.New(sensitive.New(secret)).Redact(text)
		if strings.Count(clean, written) > strings.Count(before+"!"+"!"+after, written) || !strings.Contains(clean, redact.Marker) {
			t.Errorf("%s: %q of %q survives in %q: %q", s.name, piece, secret, text, clean)
		}
	})
}

// FuzzNothingElseChanges: letters that are in no spelling of the secret stay, to
// the byte.
func FuzzNothingElseChanges(f *testing.F) {
	const secret = "ATATT3xFfGF0:9F0E1D2C.hunter22"
	r := redact.New(sensitive.New(secret))
	f.Add("100% of \\ &amp; ** `x` %41", uint8(3), uint8(30))
	f.Add("\xff\u200b\u202e&#65;", uint8(0), uint8(11))
	f.Fuzz(func(t *testing.T, text string, from, length uint8) {
		// A piece that is too short, between letters that are in no piece.
		at := min(int(from), len(secret)-11)
		piece := secret[at : at+min(int(length), 11)]
		foreign := strings.Map(func(c rune) rune {
			if strings.ContainsRune("ATGFXEDCHUNRatgfxedchunr0123456789.:", c) {
				return 'z'
			}
			return c
		}, strings.ToValidUTF8(text, "?"))
		foreign = strings.NewReplacer("\u212a", "", "\u017f", "").Replace(foreign)
		whole := foreign + "!" + piece + "!" + foreign
		if got := r.Redact(whole); got != whole {
			t.Errorf("%q became %q", whole, got)
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	var known []sensitive.String
	for i, secret := range secrets {
		known = append(known, sensitive.New(secret), sensitive.New(fmt.Sprint(i)+strings.Repeat(secret[:4]+"x-Y_z", 20)))
	}
	r := redact.New(known...)
	for name, unit := range map[string]string{
		"words":         "a line of a log, with nothing in it.\n",
		"escapes":       "%25&amp;\\u0025\\\\",
		"nested":        "%25",
		"entities":      "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;;;;;;;;",
		"chain":         "%3",
		"nearly":        secrets[1][:11] + "!",
		"secrets":       secrets[1] + " ",
		"nearly Base64": base64.StdEncoding.EncodeToString([]byte(secrets[1][:11])),
		"zeros":         "0",
	} {
		text := strings.Repeat(unit, 1<<20/len(unit))
		if name == "nested" {
			text = "%" + strings.Repeat("25", 1<<19)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				r.Redact(text)
			}
		})
	}
	b.Run("learn", func(b *testing.B) {
		for b.Loop() {
			redact.New(known...)
		}
	})
}
