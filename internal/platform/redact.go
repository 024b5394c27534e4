package platform

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// Lengths of what is hidden. Hiding less would blank ordinary words; a piece is
// what an error that quotes a long text and cuts it may leave of a secret.
const (
	shortestSecret = 4
	shortestPiece  = 12
)

// redactor writes on, line by line, with secrets replaced by ***. A line that
// is not ended yet waits for its end, so a secret may be spread over Writes.
// Write never fails: what could not be written is kept in failed.
type redactor struct {
	to     io.Writer
	mu     sync.Mutex
	hidden []string
	begun  []byte // of a line
	failed error  // the first one
}

// hide replaces a secret from now on: each of its lines, however it is escaped
// (spelled), and the Base64 of any text that holds it.
func (r *redactor) hide(secret sensitive.String) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range secretLines(secret) {
		r.hidden = append(r.hidden, line)
		r.hidden = append(r.hidden, base64Cores(line)...)
	}
}

// secretLines are the lines of a secret that are long enough to be hidden.
// Config takes only secrets of one line; the problem is printed all the same.
func secretLines(secret sensitive.String) []string {
	var lines []string
	for line := range strings.Lines(secret.Reveal()) {
		if line = strings.TrimSpace(line); len(line) >= shortestSecret {
			lines = append(lines, line)
		}
	}
	return lines
}

// base64Cores are the characters that the Base64 of any text with value in it
// has, whatever stands before and after: one for each of the three offsets, in
// both alphabets. Basic credentials hold them for every user name.
func base64Cores(value string) []string {
	var cores []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := encoding.EncodeToString([]byte(strings.Repeat(" ", before) + value))
			core := text[(before*8+5)/6 : (before+len(value))*8/6]
			if len(core) >= shortestPiece && !slices.Contains(cores, core) {
				cores = append(cores, core)
			}
		}
	}
	return cores
}

func (r *redactor) redact(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.without(text)
}

// without is text without what is hidden.
func (r *redactor) without(text string) string {
	var clean strings.Builder
	for at := 0; at < len(text); {
		longest := 0
		for _, secret := range r.hidden {
			longest = max(longest, begins(text[at:], secret))
		}
		if longest > 0 {
			clean.WriteString("***")
			at += longest
			continue
		}
		clean.WriteByte(text[at])
		at++
	}
	return clean.String()
}

// begins returns the length of the part of text, at its beginning, that spells
// secret or a piece of it that something cut. It is 0 when there is none.
func begins(text, secret string) int {
	ends := []int{0} // several: "%25" may be a percent sign, or one and two digits
	for i := range len(secret) {
		var next []int
		for _, end := range ends {
			next = spelled(next, text, end, secret[i])
		}
		if next == nil && i < shortestPiece {
			return 0
		}
		if next == nil {
			break
		}
		ends = next
	}
	return slices.Max(ends)
}

// spelled adds to ends where a spelling of c ends that begins in text at at: c
// itself, or c escaped for a URL, JSON, Markdown or HTML.
func spelled(ends []int, text string, at int, c byte) []int {
	if at == len(text) {
		return ends
	}
	if text[at] == c && !slices.Contains(ends, at+1) {
		ends = append(ends, at+1)
	}
	switch text[at] {
	case '%', '\\', '&':
		for _, escaped := range spellings[c] {
			end := at + len(escaped)
			if end <= len(text) && strings.EqualFold(text[at:end], escaped) && !slices.Contains(ends, end) {
				ends = append(ends, end)
			}
		}
	}
	return ends
}

// spellings are the escaped forms of each byte. %25 is the percent sign of a URL
// that is escaped once more, as in a workflow command.
var spellings = func() (table [256][]string) {
	names := map[byte]string{'<': "&lt;", '>': "&gt;", '&': "&amp;"}
	for c := range table {
		table[c] = []string{
			fmt.Sprintf("%%%02x", c), fmt.Sprintf("%%25%02x", c), fmt.Sprintf(`\u%04x`, c), `\` + string(rune(c)),
			fmt.Sprintf("&#%d;", c), fmt.Sprintf("&#x%x;", c), fmt.Sprintf("&#x%02x;", c),
		}
		if name, ok := names[byte(c)]; ok {
			table[c] = append(table[c], name)
		}
	}
	return table
}()

// masks are the forms of a secret that a host is told to hide: every line, as
// in a URL, and as Basic credentials.
func masks(secret sensitive.String) []string {
	var forms []string
	for _, line := range secretLines(secret) {
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
	lines := r.without(string(r.begun[:end]))
	r.begun = slices.Clone(r.begun[end:])
	if _, err := io.WriteString(r.to, lines); err != nil && r.failed == nil {
		r.failed = err
	}
	return len(p), nil
}

// err returns why something could not be written, nil when everything was.
func (r *redactor) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
