// Package bitbucketapi asks Bitbucket over smart HTTP as git will, with the same
// host, user and credential. What git cannot tell, it asks Bitbucket's REST API. It
// reveals one sensitive value, the token, in one header.
//
// It sends to git's addresses what git sends, with git's User-Agent and version 2 of
// the protocol. It differs in four ways:
//
//   - The credential goes out with the first request. Git asks without one first,
//     so it never presents the token for a public repository.
//   - A redirect is an error. Git follows the first one, and may take the
//     credential along; here a credential goes to the host that it is meant for.
//   - Git's own configuration (http.proxy, http.sslCAInfo, http.extraHeader) is not
//     read. The agents' git runs on another machine with its own configuration.
//   - TLS is Go's. It trusts the system's roots and ca_certificate, where git trusts
//     what its libcurl was built with.
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

// ListRefs asks for the refs of a repository: for the service git-upload-pack as
// `git fetch` does, for git-receive-pack as `git push` does. For git-upload-pack it
// reads until it knows HEAD and the wanted ref (a short name of a branch or tag, or
// empty). For git-receive-pack it only checks that there is a list, and Refs is empty.
// The credential is sent at once, because a public repository never asks for it.
// A refusal is a *bitbucket.Refusal. A login page, a proxy's page and a redirect are
// refusals, too: they prove nothing. The text of a refusal never holds the token, even
// when the server repeats the request.
//
// Source: https://git-scm.com/docs/http-protocol
func (c *Client) ListRefs(ctx context.Context, r bitbucket.Repository, service bitbucket.Service, as bitbucket.Login, wanted string) (bitbucket.Refs, error) {
	offered, err := c.discover(ctx, r, service, as, wanted)
	if err != nil {
		return bitbucket.Refs{}, err
	}
	return c.refs(ctx, r, as, wanted, offered)
}

// Offer is the first half of ListRefs for a clone: it tells whether a clone is allowed.
func (c *Client) Offer(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, wanted string) (bitbucket.Offer, error) {
	offered, err := c.discover(ctx, r, bitbucket.UploadPack, as, wanted)
	return bitbucket.Offer{
		Scopes: offered.refs.Scopes,
		Refs:   func(ctx context.Context) (bitbucket.Refs, error) { return c.refs(ctx, r, as, wanted, offered) },
	}, err
}

// refs returns the refs that the first answer held, or asks for them.
func (c *Client) refs(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, wanted string, offered advertised) (bitbucket.Refs, error) {
	if offered.version2 == nil {
		return offered.refs, nil
	}
	answer, err := c.post(ctx, r, as, lsRefs(*offered.version2, wanted))
	if err != nil {
		return bitbucket.Refs{}, err
	}
	defer answer.Body.Close()
	refs, err := readAs(c, answer, r, "application/x-git-upload-pack-result", func(body *bufio.Reader) (bitbucket.Refs, error) {
		return readRefs(body, wanted)
	})
	refs.Scopes = offered.refs.Scopes
	return refs, err
}

// CheckClone asks whether a clone would be allowed. It does not ask for the refs.
func (c *Client) CheckClone(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) error {
	_, err := c.discover(ctx, r, bitbucket.UploadPack, as, "")
	return err
}

// CheckPush asks whether a push would be allowed. When the answer is not needed, the
// request is optional: it is not sent if it could draw the last 401 that the token may
// draw.
func (c *Client) CheckPush(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, needed bool) error {
	asking := *c
	asking.spare = !needed
	_, err := asking.discover(ctx, r, bitbucket.ReceivePack, as, "")
	return err
}

// Accepted is told that a server that requires the token has accepted it. It returns how
// many requests that present the token may be under way from now on, at least one. The refs
// of an Offer may be asked for beside them, because the server has just allowed the clone.
func (c *Client) Accepted(by bitbucket.Flavor) int {
	if by == bitbucket.Cloud {
		return c.known.attempts.Widen(mostOnCloud)
	}
	c.known.attempts.Trust()
	return c.known.attempts.Widen(mostFailures)
}

// discover is git's first request.
func (c *Client) discover(ctx context.Context, r bitbucket.Repository, service bitbucket.Service, as bitbucket.Login, wanted string) (advertised, error) {
	// GET https://host/.../repo.git/info/refs?service=git-upload-pack
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.CloneURL()+"/info/refs?service="+string(service), nil)
	if err != nil {
		return advertised{}, err
	}
	request.Header.Set("Accept", "*/*")
	request.Header.Set("Pragma", "no-cache")
	if service == bitbucket.UploadPack { // a push has no version 2
		request.Header.Set("Git-Protocol", "version=2")
	}
	answer, err := c.send(c.clients.Git, c.present(request, as))
	if err != nil {
		return advertised{}, err
	}
	defer answer.Body.Close()
	offered, err := readAs(c, answer, r, "application/x-"+string(service)+"-advertisement", func(body *bufio.Reader) (advertised, error) {
		return readAdvertisement(body, service, wanted)
	})
	if err == nil {
		offered.refs.Scopes = c.scopes(answer)
	}
	return offered, err
}

// post is git's second request, in version 2. It changes nothing.
func (c *Client) post(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, command string) (*http.Response, error) {
	// POST https://host/.../repo.git/git-upload-pack
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.CloneURL()+"/git-upload-pack", strings.NewReader(command))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/x-git-upload-pack-result")
	request.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	request.Header.Set("Git-Protocol", "version=2")
	following := c.presenter
	following.again = true
	return following.send(c.clients.Git, c.present(request, as))
}

// readAs reads an answer of git's server, which must have the wanted media type. The type
// may have parameters, as in remote-curl.c of git.
func readAs[T any](c *Client, answer *http.Response, r bitbucket.Repository, wanted string, read func(*bufio.Reader) (T, error)) (T, error) {
	var none T
	if answer.StatusCode/100 != 2 {
		return none, c.refusal(answer, r)
	}
	said := answer.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(said); err != nil || kind != wanted {
		return none, &bitbucket.Refusal{Status: answer.StatusCode, NotGit: true, Text: c.safeText(answer, fmt.Sprintf("the answer has the type %q, not git's", said))}
	}
	content, err := read(bufio.NewReader(answer.Body))
	var refused *bitbucket.Refusal
	if errors.As(err, &refused) {
		refused.Text = c.safeText(answer, refused.Text)
	}
	return content, err
}

// get sends a request to the REST API, with the token or without a credential.
func (c *Client) get(ctx context.Context, at string, as bitbucket.Login) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	return c.send(c.clients.Reads, c.present(request, as))
}

// present adds the token to a request in the way that as says; the zero Login adds nothing.
func (c *Client) present(request *http.Request, as bitbucket.Login) *http.Request {
	switch {
	case as.Bearer:
		// Authorization: Bearer BBDC-...
		request.Header.Set("Authorization", "Bearer "+c.secret.Reveal())
	case as.User != "":
		// Authorization: Basic base64(x-token-auth:ATCTT...)
		request.SetBasicAuth(as.User, c.secret.Reveal())
	}
	return request
}

// refusal reads an answer other than 2xx. Bitbucket gives git its reasons in
// plain text. A page of HTML comes from a proxy in front of it, or from another
// path of the server. On Cloud, a page can also mean a missing repository.
//
// Source: https://confluence.atlassian.com/bbkb/error-403-when-performing-git-operations-1155479141.html
func (c *Client) refusal(answer *http.Response, from bitbucket.Repository) *bitbucket.Refusal {
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
		refused.NotGit = refused.Text == page && from.Flavor == bitbucket.DataCenter
	}
	if answer.Header.Get("Location") != "" {
		refused.MovedTo = moved(answer, from, hiding)
		refused.Text = strings.TrimSuffix("redirected to "+cmp.Or(refused.MovedTo, origin(answer, hiding)), " to ")
		refused.NotGit = true
	}
	return refused
}

// safeText is a server's text for people, without the credential that it was sent.
func (c *Client) safeText(answer *http.Response, text string) string {
	return oneLine(c.hiding(answer.Request).Redact(text))
}
