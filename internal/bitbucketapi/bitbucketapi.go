// Package bitbucketapi asks Bitbucket as git will, by smart HTTP, with the same
// host, user and credential, and where git cannot tell, its REST. It reveals one
// sensitive value, the token, in one header, and follows no redirect.
package bitbucketapi

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Client asks Bitbucket with one token. It is safe for concurrent use.
type Client struct{ presenter }

// ListRefs asks for the refs of a repository as `git fetch` does for the
// service git-upload-pack and `git push` for git-receive-pack. Of the first it
// reads on until it knows HEAD and the wanted ref (a short name of a branch or
// tag, or empty); of the second only that there is a list, and Refs is empty.
// The credential is sent at once, for a public repository never asks for it.
// A refusal is a *bitbucket.Refusal: that holds for a login page, a proxy's page
// and a redirect too, which prove nothing. Its text never holds the token, even
// when the server says the request back.
//
// Source: https://git-scm.com/docs/http-protocol
func (c *Client) ListRefs(ctx context.Context, r bitbucket.Repository, service bitbucket.Service, as bitbucket.Login, wanted string) (bitbucket.Refs, error) {
	// GET https://host/.../repo.git/info/refs?service=git-upload-pack
	answer, err := c.get(ctx, r.CloneURL()+"/info/refs?service="+string(service), as)
	if err != nil {
		return bitbucket.Refs{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return bitbucket.Refs{}, c.refusal(answer, r.Flavor)
	}
	// The type may have parameters, as in remote-curl.c of git.
	said := answer.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(said); err != nil || kind != "application/x-"+string(service)+"-advertisement" {
		return bitbucket.Refs{}, &bitbucket.Refusal{Status: answer.StatusCode, NotGit: true, Text: c.safeText(answer, fmt.Sprintf("the answer is %q, not git's", said))}
	}
	refs, err := readRefs(bufio.NewReader(answer.Body), service, wanted)
	var refused *bitbucket.Refusal
	if errors.As(err, &refused) {
		refused.Text = c.safeText(answer, refused.Text)
	}
	if err == nil {
		refs.Scopes = c.scopes(answer)
	}
	return refs, err
}

// CheckPush asks whether a push would be taken. One that is not needed is not
// asked when it could draw the last answer of 401 that the token may draw.
func (c *Client) CheckPush(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, needed bool) error {
	asking := *c
	asking.spare = !needed
	_, err := asking.ListRefs(ctx, r, bitbucket.ReceivePack, as, "")
	return err
}

// get sends a request that presents the token, or nothing.
func (c *Client) get(ctx context.Context, at string, as bitbucket.Login) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	switch {
	case as.Bearer:
		// Authorization: Bearer BBDC-...
		request.Header.Set("Authorization", "Bearer "+c.secret.Reveal())
	case as.User != "":
		// Authorization: Basic base64(x-token-auth:ATCTT...)
		request.SetBasicAuth(as.User, c.secret.Reveal())
	}
	return c.send(request)
}

// refusal reads an answer other than 2xx. Bitbucket gives git its reasons in
// plain text: a page instead comes from somebody in front of it, or from another
// path of the server. But a missing repository may be a page on Cloud.
//
// Source: https://confluence.atlassian.com/bbkb/error-403-when-performing-git-operations-1155479141.html
func (c *Client) refusal(answer *http.Response, from bitbucket.Flavor) *bitbucket.Refusal {
	hiding := c.hiding(answer.Request)
	content := beginning(answer.Body, hiding)
	refused := &bitbucket.Refusal{Status: answer.StatusCode, Text: c.safeText(answer, cmp.Or(reasonOf([]byte(content)), content))}
	switch answer.StatusCode {
	case http.StatusForbidden:
		refused.NotGit = refused.Text == page
	case http.StatusTooManyRequests:
		if wait := answer.Header.Get("Retry-After"); wait != "" {
			refused.Text += " (Retry-After: " + c.safeText(answer, wait) + ")"
		}
	case http.StatusNotFound:
		refused.NotGit = refused.Text == page && from == bitbucket.DataCenter
	}
	if answer.Header.Get("Location") != "" {
		refused.Text = strings.TrimSuffix("redirected to "+origin(answer, hiding), " to ")
		refused.NotGit = true
	}
	return refused
}

// safeText is a server's text for people, without the credential that it was sent.
func (c *Client) safeText(answer *http.Response, text string) string {
	return oneLine(c.hiding(answer.Request).Redact(text))
}
