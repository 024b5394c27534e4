package bitbucketapi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// hiding redacts the credential that a request presents: the server may repeat it.
func (p presenter) hiding(request *http.Request) *redact.Redactor {
	_, sent, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	if sent == "" {
		return nil
	}
	return redact.New(p.secret, sensitive.New(sent))
}

// beginning reads the beginning of a body: all of it when it is short, else at least
// 4 KB. Reading a long body may end within a credential, so the last 4 KB that were read
// are then left out.
func beginning(body io.Reader, hiding *redact.Redactor) string {
	const enough = 4 << 10
	content, _ := io.ReadAll(io.LimitReader(body, 2*enough))
	text := hiding.Redact(string(content))
	if len(content) == 2*enough {
		text = text[:min(len(text), enough)]
	}
	return text
}

// origin is where a redirect leads, "https://host", empty when it names none or
// repeats the credential.
func origin(answer *http.Response, hiding *redact.Redactor) string {
	at := location(answer, hiding)
	if at == nil {
		return ""
	}
	return at.Scheme + "://" + at.Host
}

// moved is the clone URL to which a redirect leads from a repository's. It is empty when
// the redirect leads to another host or not to a repository.
func moved(answer *http.Response, from bitbucket.Repository, hiding *redact.Redactor) string {
	at := location(answer, hiding)
	if at == nil || !strings.EqualFold(at.Hostname(), answer.Request.URL.Hostname()) {
		return ""
	}
	path, isGit := strings.CutSuffix(at.Path, "/info/refs")
	to, err := bitbucket.Parse(at.Scheme+"://"+at.Host+path, from.Flavor)
	if !isGit || err != nil || to.Same(from) && to.Origin() == from.Origin() {
		return ""
	}
	return to.CloneURL()
}

// location is where a redirect leads, nil when that cannot be read or repeats the
// credential.
func location(answer *http.Response, hiding *redact.Redactor) *url.URL {
	said := answer.Header.Get("Location")
	at, err := answer.Location()
	if err != nil || hiding.Redact(said) != said {
		return nil
	}
	return at
}

// without removes the credential from an error's text: net/http quotes what it
// could not read as HTTP.
func without(err error, hiding *redact.Redactor) error {
	if err == nil || hiding.Redact(err.Error()) == err.Error() {
		return err
	}
	return reworded{err, hiding.Redact(err.Error())}
}

// wordless is an error whose text quotes nothing of an answer.
func wordless(err error) error {
	_, ofNetwork := errors.AsType[net.Error](err)
	switch {
	case ofNetwork, transport.NeverSent(err), errors.As(err, &unsent{}),
		errors.Is(err, context.Canceled), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return err
	}
	return reworded{err, "the answer cannot be read"}
}

// reworded is an error with another text.
type reworded struct {
	err  error
	text string
}

func (r reworded) Error() string { return r.text }
func (r reworded) Unwrap() error { return r.err }

// page replaces a text that is meant for browsers.
const page = "a page of HTML"

// oneLine is a server's text on one line, at most 300 characters of it, without its last
// full stop. A page of HTML becomes page.
func oneLine(text string) string {
	text = redact.OneLine(strings.ToValidUTF8(text, ""))
	if strings.HasPrefix(text, "<") {
		return page
	}
	if runes := []rune(text); len(runes) > 300 {
		return string(runes[:300]) + " ..."
	}
	return strings.TrimSuffix(text, ".")
}
