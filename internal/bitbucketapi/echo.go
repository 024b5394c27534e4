package bitbucketapi

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// echo removes, from what a server says, the credential that it was sent.
type echo struct {
	hidden  []sensitive.String
	longest int // bytes of the longest of them
}

// echoOf is for the answers to a request. A server may say the token back as it
// is, as Base64 with and without its user, and escaped as in a URL.
func echoOf(request *http.Request, token sensitive.String) echo {
	value := token.Reveal()
	_, sent, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	if sent == "" {
		return echo{}
	}
	var e echo
	for _, form := range []string{sent, base64.StdEncoding.EncodeToString([]byte(value)), value} {
		for _, escaped := range []string{url.QueryEscape(form), url.PathEscape(form), form} {
			e.hidden = append(e.hidden, sensitive.New(escaped))
			e.longest = max(e.longest, len(escaped))
		}
	}
	return e
}

func (e echo) redact(text string) string {
	for _, hidden := range e.hidden {
		text = hidden.Redact(text)
	}
	return text
}

// read reads the beginning of a body, at least 4 KB where there is as much. Where
// it ends in the middle, so may a credential: the last piece is left out.
func (e echo) read(body io.Reader) string {
	limit := 4<<10 + 2*e.longest
	content, _ := io.ReadAll(io.LimitReader(body, int64(limit)))
	text := e.redact(string(content))
	if len(content) == limit {
		text = text[:max(0, len(text)-e.longest)]
	}
	return text
}

// origin is where a redirect leads, "https://host", empty when it names none or
// repeats the credential.
func (e echo) origin(answer *http.Response) string {
	said := answer.Header.Get("Location")
	at, err := answer.Location()
	if err != nil || e.redact(said) != said {
		return ""
	}
	return at.Scheme + "://" + at.Host
}

// safe is an error whose text lost the credential: net/http quotes what it
// could not read as HTTP.
func (e echo) safe(err error) error {
	if err == nil || e.redact(err.Error()) == err.Error() {
		return err
	}
	return redacted{err, e.redact(err.Error())}
}

type redacted struct {
	err  error
	text string
}

func (r redacted) Error() string { return r.text }
func (r redacted) Unwrap() error { return r.err }

// page stands for a text that is for browsers.
const page = "a page of HTML"

// oneLine is a foreign text on one line, at most 300 characters and without its
// full stop, nothing of a page of HTML.
func oneLine(content []byte) string {
	text := strings.Join(strings.FieldsFunc(string(bytes.ToValidUTF8(content, nil)), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if strings.HasPrefix(text, "<") {
		return page
	}
	if runes := []rune(text); len(runes) > 300 {
		return string(runes[:300]) + " ..."
	}
	return strings.TrimSuffix(text, ".")
}
