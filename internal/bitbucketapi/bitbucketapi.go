// Package bitbucketapi asks Bitbucket as git will: by smart HTTP, with the same
// host, user and credential. It only reads, reveals one sensitive value, the
// token, in one header, and follows no redirect.
package bitbucketapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// Client asks one Bitbucket. It is safe for concurrent use.
type Client struct {
	reads *transport.Client
	token sensitive.String
}

// New returns a client that proves token. It makes no request.
func New(token sensitive.String, clients transport.Clients) *Client {
	return &Client{clients.Reads, token}
}

// ListRefs asks for the refs of a repository as `git fetch` does for the
// service git-upload-pack and `git push` for git-receive-pack, and reads on until
// it knows HEAD and the wanted ref (a short name of a branch or tag, or empty).
// A refusal is a *bitbucket.Refusal: that holds for a login page, a proxy's page
// and a redirect too, which prove nothing.
//
// Source: https://git-scm.com/docs/http-protocol
func (c *Client) ListRefs(ctx context.Context, r bitbucket.Repository, service bitbucket.Service, as bitbucket.Login, wanted string) (bitbucket.Refs, error) {
	// GET https://host/.../repo.git/info/refs?service=git-upload-pack
	at := r.CloneURL() + "/info/refs?service=" + string(service)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return bitbucket.Refs{}, err
	}
	switch {
	case as.Bearer:
		// Authorization: Bearer BBDC-...
		request.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	case as.User != "":
		// Authorization: Basic base64(x-token-auth:ATCTT...)
		request.SetBasicAuth(as.User, c.token.Reveal())
	}
	answer, err := c.reads.Do(request)
	if err != nil {
		return bitbucket.Refs{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return bitbucket.Refs{}, refusal(answer)
	}
	if kind := answer.Header.Get("Content-Type"); kind != "application/x-"+string(service)+"-advertisement" {
		return bitbucket.Refs{}, &bitbucket.Refusal{Status: answer.StatusCode, NotGit: true, Text: fmt.Sprintf("the answer is %q, not git's", kind)}
	}
	refs, err := readRefs(bufio.NewReader(answer.Body), service, wanted)
	if err != nil {
		return bitbucket.Refs{}, err
	}
	return refs, nil
}

// refusal reads an answer other than 200.
func refusal(answer *http.Response) *bitbucket.Refusal {
	content, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	refused := &bitbucket.Refusal{Status: answer.StatusCode, Text: plain(content)}
	if at, err := answer.Location(); err == nil {
		refused.Text = "redirected to " + at.Scheme + "://" + at.Host
		refused.NotGit = true
	}
	return refused
}

// plain is a foreign text on one line, at most 300 characters, nothing of a
// page of HTML.
func plain(content []byte) string {
	text := strings.Join(strings.FieldsFunc(string(bytes.ToValidUTF8(content, nil)), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if strings.HasPrefix(text, "<") {
		return "a page of HTML"
	}
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + " ..."
	}
	return text
}

// readRefs reads an advertisement of version 0:
//
//	001e# service=git-upload-pack\n
//	0000
//	HASH HEAD\0capabilities symref=HEAD:refs/heads/main\n
//	HASH refs/heads/main\n
//	HASH refs/tags/v1\n
//	HASH refs/tags/v1^{}\n
//	0000
func readRefs(body *bufio.Reader, service bitbucket.Service, wanted string) (bitbucket.Refs, error) {
	if first, err := readLine(body); err != nil || first != "# service="+string(service) {
		return bitbucket.Refs{}, notRefs(err)
	}
	if flush, err := readLine(body); err != nil || flush != "" {
		return bitbucket.Refs{}, notRefs(err)
	}
	var refs bitbucket.Refs
	for {
		line, err := readLine(body)
		if err != nil {
			return bitbucket.Refs{}, notRefs(err)
		}
		if line == "" {
			return refs, nil
		}
		line, _, _ = strings.Cut(line, "\x00")
		hash, name, found := strings.Cut(line, " ")
		if !found || !isHash(hash) {
			return bitbucket.Refs{}, notRefs(nil)
		}
		switch name {
		case "HEAD":
			refs.Head = hash
		case "refs/heads/" + wanted:
			refs.Branch = hash
		case "refs/tags/" + wanted, "refs/tags/" + wanted + "^{}": // the commit of an annotated tag comes second
			refs.Tag = hash
		}
		if wanted == "" && refs.Head != "" || refs.Branch != "" {
			return refs, nil
		}
	}
}

// readLine reads one pkt-line without its line feed. A flush is an empty line;
// a line with which the server refuses ("ERR ...") is a *bitbucket.Refusal.
func readLine(body *bufio.Reader) (string, error) {
	var length [4]byte
	if _, err := io.ReadFull(body, length[:]); err != nil {
		return "", err
	}
	n, err := strconv.ParseUint(string(length[:]), 16, 16)
	if err != nil || n > 0 && n < 4 {
		return "", errors.New("not a pkt-line")
	}
	if n == 0 {
		return "", nil
	}
	line := make([]byte, n-4)
	if _, err := io.ReadFull(body, line); err != nil {
		return "", err
	}
	if text, refused := strings.CutPrefix(string(line), "ERR "); refused {
		return "", &bitbucket.Refusal{Status: http.StatusOK, Text: plain([]byte(text))}
	}
	return strings.TrimSuffix(string(line), "\n"), nil
}

func isHash(text string) bool {
	return (len(text) == 40 || len(text) == 64) && strings.Trim(text, "0123456789abcdef") == ""
}

func notRefs(err error) error {
	if err == nil {
		return &bitbucket.Refusal{Status: http.StatusOK, NotGit: true, Text: "the answer is not a list of refs"}
	}
	return fmt.Errorf("read the refs: %w", err)
}
