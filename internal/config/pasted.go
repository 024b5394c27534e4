package config

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// pasted finds words that look like a token in inputs that are shown. It runs before
// any message about such an input. leaks and spelledOut refuse these inputs.
func (p *parser) pasted() {
	for _, text := range p.in.texts() {
		for _, found := range lookalikes(text.value) {
			p.config.Pasted = append(p.config.Pasted, sensitive.New(found.word))
		}
	}
}

// undeclared lists words in text that look like a token and are not one of the job's
// secrets.
func (p *parser) undeclared(text string) []lookalike {
	if len(lookalikes(text)) == 0 {
		return nil
	}
	return lookalikes(p.withoutDeclared(text))
}

// withoutDeclared is text without the job's secrets: leaks has better messages for
// those.
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

// lookalike is a word that looks like a token, and the kind of token.
type lookalike struct{ word, kind string }

// The characters of a token, the beginning of one, and a certificate, whose Base64 may
// look like a token by chance.
var (
	tokenText   = regexp.MustCompile(`[A-Za-z0-9+/=_.-]+`)
	wordStart   = regexp.MustCompile(`(?:^|[^A-Za-z0-9])[A-Za-z]`)
	opaque      = regexp.MustCompile(`[A-Za-z0-9]{8,}`)
	certificate = regexp.MustCompile(`(?s)-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----`)
)

// shortestToken is the least length of a word that looks like a token: 16 characters
// after the shortest prefix. Real tokens are longer.
const shortestToken = len("wk-") + 16

// lookalikes lists the words of text that look like a token of any kind that has a
// prefix. It also looks at text with URL escapes decoded.
func lookalikes(text string) []lookalike {
	escaped := strings.ContainsRune(text, '%')
	if len(text) < shortestToken || !escaped && bitbucket.ForeignKind("", func(prefix string) bool { return strings.Contains(text, prefix) }) == "" {
		return nil // the fast path
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

// isOpaque distinguishes a random text from a name that a person chose. People use the
// same prefixes: "wk-2026-frontend-service" and "BBDC-1234-fix-the-build" are not
// tokens.
func isOpaque(text string) bool {
	for _, run := range opaque.FindAllString(text, -1) {
		if strings.ContainsAny(run, "0123456789") && strings.ContainsFunc(run, func(r rune) bool { return r > '9' }) {
			return true
		}
	}
	return false
}
