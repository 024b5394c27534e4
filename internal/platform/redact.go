package platform

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/url"
	"slices"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// redactor forwards text line by line, with secrets replaced by ***. It keeps a line until
// its end arrives, so it finds a secret that several Writes spell. Write never fails: failed
// keeps the error.
type redactor struct {
	to     io.Writer
	mu     sync.Mutex
	hidden []sensitive.String
	known  *redact.Redactor // of hidden
	begun  []byte           // a line without its end
	failed error            // the first one
}

// hide replaces secrets from now on.
func (r *redactor) hide(secrets ...sensitive.String) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hidden = append(r.hidden, secrets...)
	r.known = redact.New(r.hidden...)
}

func (r *redactor) redact(text string) string {
	r.mu.Lock()
	known := r.known
	r.mu.Unlock()
	return known.Redact(text)
}

// masks returns the forms of a secret that a host is told to hide: every line, as in a URL,
// and as Basic credentials.
func masks(secret sensitive.String) []string {
	var forms []string
	for _, line := range redact.Pieces(secret) {
		forms = append(forms, line, url.QueryEscape(line), url.PathEscape(line), base64.StdEncoding.EncodeToString([]byte(line)))
		for _, kind := range []bitbucket.TokenKind{bitbucket.APIToken, bitbucket.AccessToken} {
			forms = append(forms, base64.StdEncoding.EncodeToString([]byte(kind.User()+":"+line)))
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// Write implements io.Writer.
func (r *redactor) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = append(r.begun, p...)
	end := bytes.LastIndexByte(r.begun, '\n') + 1
	if end == 0 {
		return len(p), nil
	}
	lines := r.known.Redact(string(r.begun[:end]))
	r.begun = slices.Clone(r.begun[end:])
	if _, err := io.WriteString(r.to, lines); err != nil && r.failed == nil {
		r.failed = err
	}
	return len(p), nil
}

// err returns the first error of a write, nil when all were successful.
func (r *redactor) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
