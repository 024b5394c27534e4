package platform

import (
	"encoding/base64"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// redactor writes on, with secrets replaced by ***. Every Write must hold whole
// lines.
type redactor struct {
	to     io.Writer
	mu     sync.Mutex
	hidden []string
}

// hide replaces a secret from now on, plain, escaped as in a URL, and as the
// credential of Basic authentication.
func (r *redactor) hide(secret sensitive.String) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hidden = append(r.hidden, forms(secret)...)
	// The longest first, so that no form uncovers the rest of another.
	slices.SortFunc(r.hidden, func(a, b string) int { return len(b) - len(a) })
}

// forms are the ways in which a secret could be printed.
func forms(secret sensitive.String) []string {
	if secret.IsEmpty() {
		return nil
	}
	value := secret.Reveal()
	forms := []string{value, url.QueryEscape(value), url.PathEscape(value), base64.StdEncoding.EncodeToString([]byte(value))}
	for _, kind := range []bitbucket.TokenKind{bitbucket.APIToken, bitbucket.AccessToken} {
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(kind.User()+":"+value)))
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

func (r *redactor) redact(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, hidden := range r.hidden {
		text = strings.ReplaceAll(text, hidden, "***")
	}
	return text
}

// Write implements io.Writer.
func (r *redactor) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.to, r.redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
