package config

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// pasted finds what looks like a token in inputs that are shown, before anything
// is said about one of them. leaks and spelledOut refuse it.
func (p *parser) pasted() {
	for _, text := range p.in.texts() {
		for _, found := range lookalikes(text.value) {
			p.config.Pasted = append(p.config.Pasted, sensitive.New(found.word))
		}
	}
}

// undeclared lists what looks like a token in text and is none of the job's own.
func (p *parser) undeclared(text string) []lookalike {
	if len(lookalikes(text)) == 0 {
		return nil
	}
	return lookalikes(p.withoutDeclared(text))
}

// withoutDeclared is text without the values that inputs declare as secrets: about
// those, leaks knows more to say.
func (p *parser) withoutDeclared(text string) string {
	job := *p.config.Job
	job.Pasted = nil
	for _, secret := range job.Secrets() {
		if whole, err := regexp.Compile(`(?i)` + regexp.QuoteMeta(secret.Reveal())); err == nil {
			text = whole.ReplaceAllLiteralString(text, redact.Marker)
		}
	}
	return text
}

// lookalike is a word that looks like a token, and the kind of it.
type lookalike struct{ word, kind string }

// What a token is made of, where one may begin, and what a certificate is, in whose
// Base64 anything may stand.
var (
	tokenText   = regexp.MustCompile(`[A-Za-z0-9+/=_.-]+`)
	wordStart   = regexp.MustCompile(`(?:^|[^A-Za-z0-9])[A-Za-z]`)
	opaque      = regexp.MustCompile(`[A-Za-z0-9]{8,}`)
	certificate = regexp.MustCompile(`(?s)-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----`)
)

// shortestToken is the length from which a word that begins like a token is
// taken for one: 16 characters after the shortest prefix. Real ones are longer.
const shortestToken = len("wk-") + 16

// lookalikes lists the words of text, as it is and unescaped as a URL, that look
// like a token of any kind that has a prefix.
func lookalikes(text string) []lookalike {
	escaped := strings.ContainsRune(text, '%')
	if len(text) < shortestToken || !escaped && bitbucket.ForeignKind("", func(prefix string) bool { return strings.Contains(text, prefix) }) == "" {
		return nil // which is quick
	}
	text = certificate.ReplaceAllString(text, "")
	found := lookalikesIn(text)
	if plain, err := url.PathUnescape(text); err == nil && plain != text {
		found = append(found, lookalikesIn(plain)...)
	}
	return found
}

func lookalikesIn(text string) []lookalike {
	var found []lookalike
	for _, run := range tokenText.FindAllString(text, -1) {
		for _, at := range wordStart.FindAllStringIndex(run, -1) {
			word := run[at[1]-1:]
			if len(word) < shortestToken {
				break
			}
			if kind := kindOf(word); kind != "" {
				found = append(found, lookalike{word, kind}) // with what follows it
				break
			}
		}
	}
	return found
}

// kindOf is the kind of token that a word begins like, empty for none.
func kindOf(word string) string {
	return bitbucket.ForeignKind("", func(prefix string) bool {
		rest, ok := strings.CutPrefix(word, prefix)
		return ok && (!strings.ContainsAny(prefix, "-_") || isOpaque(rest[:min(len(rest), longestName)]))
	})
}

// longestName bounds how much of a word is looked at.
const longestName = 64

// isOpaque tells what a machine made from a name, whose prefix people use as well:
// "wk-2026-frontend-service" and "BBDC-1234-mend-the-build" are none.
func isOpaque(text string) bool {
	for _, run := range opaque.FindAllString(text, -1) {
		if strings.ContainsAny(run, "0123456789") && strings.ContainsFunc(run, func(r rune) bool { return r > '9' }) {
			return true
		}
	}
	return false
}
