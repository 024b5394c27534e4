package bitbucketapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// Credential is what manages tokens on a Data Center: a user with a password, or
// a token. Manuals say that a token cannot make tokens; some servers let it.
type Credential struct {
	Username string // empty: Secret is a token
	Secret   sensitive.String
}

// Tokens manages the HTTP access tokens of a Data Center. It is safe for
// concurrent use.
//
// Source: https://developer.atlassian.com/server/bitbucket/rest/, Authentication.
type Tokens struct {
	presenter
	base     string // https://host[:port][/context]
	username string // empty: the secret is a token

	// Hide is told the value of a new token before anything else of the answer, which
	// may repeat it, goes anywhere. Nil: nobody is told.
	Hide func(token sensitive.String)
}

// TokenID is the ID that a Data Center token carries inside, empty when it
// carries none: BBDC-base64(ID:20 random bytes).
//
// Source: the example of the server's own OpenAPI document, where the decoded
// token begins with the record's id; not documented in words.
func TokenID(token sensitive.String) string {
	encoded := strings.TrimPrefix(token.Reveal(), "BBDC-")
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		decoded, _ = base64.RawStdEncoding.DecodeString(encoded)
	}
	id, _, found := bytes.Cut(decoded, []byte(":"))
	if !found || len(id) == 0 || len(bytes.Trim(id, "0123456789")) > 0 {
		return ""
	}
	return string(id)
}

// FindUser is the slug of the credential's user. The server finds everybody whose
// name holds this one, so it may be on a later page.
func (t *Tokens) FindUser(ctx context.Context) (string, error) {
	name := t.username
	if name == "" {
		var err error
		if name, err = t.whoami(ctx); err != nil {
			return "", err
		}
	}
	for user, err := range list[struct{ Name, Slug string }](ctx, t, users, url.Values{"filter": {name}}) {
		if err != nil {
			return "", err
		}
		if strings.EqualFold(user.Name, name) {
			return user.Slug, nil
		}
	}
	return "", fmt.Errorf("the server knows no user %q", name)
}

const users = "/rest/api/latest/users"

// whoami is the name of the user that a token acts as. Where no answer has told it yet, the
// REST is asked. No document says which answers tell: it was seen below /rest and /scm.
func (t *Tokens) whoami(ctx context.Context) (string, error) {
	if t.known.user.Load() == nil {
		if _, err := t.call(ctx, http.MethodGet, users+"?limit=1", nil, nil); err != nil {
			return "", err
		}
	}
	name := t.known.user.Load()
	if name == nil {
		return "", errors.New("the server does not tell whose token this is")
	}
	return *name, nil
}

// rest asks the REST of a Data Center, the server of a repository, with the token.
func (c *Client) rest(of bitbucket.Repository) *Tokens {
	return &Tokens{presenter: c.presenter, base: of.Origin() + of.Context}
}

// FindSelf returns the record of the token itself, as far as the server of the
// repository, a Data Center, shows a token its own: as one of its user, of the
// repository or of its project. It presents the token at most four times. A later call
// returns what the first has found, unless that was cancelled. The user comes first, because
// the server has told who that is. The other two are guesses, and the answer to a wrong one
// may be a 401. They begin only when the token may draw two, and go one by one.
func (c *Client) FindSelf(ctx context.Context, r bitbucket.Repository) (bitbucket.TokenRecord, error) {
	id := TokenID(c.secret)
	if id == "" {
		return bitbucket.TokenRecord{}, errors.New("the token does not tell its ID")
	}
	c.known.mu.Lock()
	defer c.known.mu.Unlock()
	if !c.known.asked {
		c.known.self, c.known.err = c.findSelf(ctx, r, id)
		c.known.asked = !errors.Is(ctx.Err(), context.Canceled)
	}
	return c.known.self, c.known.err
}

func (c *Client) findSelf(ctx context.Context, r bitbucket.Repository, id string) (bitbucket.TokenRecord, error) {
	t := c.rest(r)
	owners := []bitbucket.TokenOwner{{Project: r.Owner, Slug: r.Slug}, {Project: r.Owner}}
	if name, err := t.whoami(ctx); err == nil {
		owners = slices.Insert(owners, 0, bitbucket.TokenOwner{User: strings.ToLower(name)})
	}
	var failures []error
	for _, owner := range owners {
		t.spare = owner.Slug != ""
		var item tokenItem
		_, err := t.call(ctx, http.MethodGet, tokensPath(owner)+"/"+id, nil, &item)
		if err == nil && item.ID != id {
			err = fmt.Errorf("GET %s: the answer is about another token", tokensPath(owner)+"/"+id)
		}
		if err == nil {
			return item.record(), nil
		}
		if failures = append(failures, err); errors.Is(err, bitbucket.ErrNotAsked) {
			break
		}
	}
	return bitbucket.TokenRecord{}, errors.Join(failures...)
}

// ListTokens returns every token of the owner.
func (t *Tokens) ListTokens(ctx context.Context, of bitbucket.TokenOwner) ([]bitbucket.TokenRecord, error) {
	var records []bitbucket.TokenRecord
	for item, err := range list[tokenItem](ctx, t, tokensPath(of), url.Values{}) {
		if err != nil {
			return nil, err
		}
		if !isID(item.ID) {
			return nil, fmt.Errorf("GET %s: the list holds a token without an ID", tokensPath(of))
		}
		records = append(records, item.record())
	}
	return records, nil
}

// list asks for a list page by page, as far as the caller reads. It ends with the
// first error, which a list that goes beyond the bounds of transport.Pages is too,
// and a page that does not move on.
//
// Source: https://developer.atlassian.com/server/bitbucket/rest/, "Paged APIs".
func list[T any](ctx context.Context, t *Tokens, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, stop := transport.ForList(ctx)
		defer stop()
		fail := func(err error) { yield(*new(T), fmt.Errorf("%s %s: %w", http.MethodGet, path, err)) }
		var pages transport.Pages
		if !query.Has("limit") {
			query.Set("limit", "100")
		}
		for start := 0; ; {
			var content json.RawMessage
			query.Set("start", strconv.Itoa(start))
			if _, err := t.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &content); err != nil {
				yield(*new(T), err)
				return
			}
			var page struct {
				Values        []T
				IsLastPage    bool
				NextPageStart *int
			}
			if transport.Decode(content, &page) != nil {
				fail(errNotOurs)
				return
			}
			last := page.IsLastPage || page.NextPageStart == nil
			if err := pages.Add(len(page.Values), len(content), last); err != nil {
				fail(err)
				return
			}
			for _, value := range page.Values {
				if !yield(value, nil) {
					return
				}
			}
			switch {
			case last:
				return
			case *page.NextPageStart <= start:
				fail(fmt.Errorf("the list does not move on: after %d the next page begins at %d", start, *page.NextPageStart))
				return
			}
			start = *page.NextPageStart
		}
	}
}

// CreateToken makes a token that ends after a number of days, and returns its
// value, which nobody can read again. An error that wraps
// bitbucket.ErrAnswerLost says that it is not known whether it exists. A value that no
// token has is an error too; what was made is revoked.
func (t *Tokens) CreateToken(ctx context.Context, of bitbucket.TokenOwner, name string, permission bitbucket.Permission, days int) (bitbucket.TokenRecord, sensitive.String, error) {
	in := struct {
		Name        string   `json:"name"`
		Permissions []string `json:"permissions"`
		ExpiryDays  int      `json:"expiryDays"`
	}{name, []string{string(permission)}, days}
	var created struct {
		tokenItem
		Token sensitive.String
	}
	failed := func(err error) (bitbucket.TokenRecord, sensitive.String, error) {
		return bitbucket.TokenRecord{}, sensitive.String{}, err
	}
	if _, err := t.call(ctx, http.MethodPut, tokensPath(of), in, &created); err != nil {
		return failed(err)
	}
	at := "PUT " + tokensPath(of)
	if created.Token.IsEmpty() || !isID(created.ID) {
		return failed(fmt.Errorf("%s: %w: the answer holds no token", at, bitbucket.ErrAnswerLost))
	}
	if odd := oddity(created.Token); odd != "" {
		if err := t.DeleteToken(ctx, of, created.ID); err != nil {
			return failed(fmt.Errorf("%s: %w: the answer's token %s, and could not be revoked: %w", at, bitbucket.ErrAnswerLost, odd, err))
		}
		return failed(fmt.Errorf("%s: the answer's token %s; it was revoked, and nothing was stored", at, odd))
	}
	if t.Hide != nil {
		t.Hide(created.Token)
	}
	record := created.record()
	record.Name = name // the server's may be anything
	return record, created.Token, nil
}

// oddity is what no token has, empty for one that could be one. It is as strict with
// the server's as the inputs are with a user's, whose rule is in config's secrets.go:
// the value goes into headers, into git's configuration and through shells.
func oddity(token sensitive.String) string {
	value := token.Reveal()
	switch {
	case len(value) > longestToken:
		return "is longer than " + plural.Of(longestToken, "character")
	case strings.ContainsFunc(value, unicode.IsSpace):
		return "holds white space"
	case strings.ContainsFunc(value, bitbucket.NotInToken):
		return "holds a character that no token has"
	}
	return ""
}

// isID reports whether a text can be the ID of a token, which is part of a path.
// Every version was seen to send digits.
func isID(text string) bool {
	return text != "" && len(text) <= 64 && strings.Trim(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-") == ""
}

// DeleteToken revokes a token. One that is gone already is no error.
func (t *Tokens) DeleteToken(ctx context.Context, of bitbucket.TokenOwner, id string) error {
	_, err := t.call(ctx, http.MethodDelete, tokensPath(of)+"/"+url.PathEscape(id), nil, nil)
	var refused *bitbucket.Refusal
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil
	}
	return err
}

func tokensPath(of bitbucket.TokenOwner) string { return "/rest/access-tokens/latest" + of.Path() }

// tokenItem is a token on the wire. Times are milliseconds; no version was seen
// to send the moment of expiry.
type tokenItem struct {
	ID          string
	Name        string
	CreatedDate int64
	ExpiryDays  int64
}

func (i tokenItem) record() bitbucket.TokenRecord {
	r := bitbucket.TokenRecord{ID: i.ID, Name: i.Name, Created: time.UnixMilli(i.CreatedDate).UTC()}
	if i.ExpiryDays > 0 {
		r.Expires = r.Created.Add(time.Duration(i.ExpiryDays) * 24 * time.Hour)
	}
	return r
}

// call makes one call of the REST. A refusal is a *bitbucket.Refusal; an error
// after which a write may have happened wraps bitbucket.ErrAnswerLost.
func (t *Tokens) call(ctx context.Context, method, path string, in, out any) (http.Header, error) {
	header, err := t.exchange(ctx, method, path, in, out)
	if err == nil {
		return header, nil
	}
	var refused *bitbucket.Refusal
	if method != http.MethodGet && !errors.As(err, &refused) && !errors.As(err, &unsent{}) && !transport.NeverSent(err) {
		err = fmt.Errorf("%w: %w", bitbucket.ErrAnswerLost, err)
	}
	path, _, _ = strings.Cut(path, "?")
	return nil, fmt.Errorf("%s %s: %w", method, path, err)
}

func (t *Tokens) exchange(ctx context.Context, method, path string, in, out any) (http.Header, error) {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, t.base+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if t.username != "" {
		// Authorization: Basic base64(jane:password)
		request.SetBasicAuth(t.username, t.secret.Reveal())
	} else {
		// Authorization: Bearer BBDC-...
		request.Header.Set("Authorization", "Bearer "+t.secret.Reveal())
	}
	client := t.clients.Writes
	if method == http.MethodGet {
		client = t.clients.Beside // git's addresses are of the same server, and were asked before
	}
	answer, err := t.send(client, request)
	if err != nil && method == http.MethodPut {
		err = wordless(err)
	}
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	switch status := answer.StatusCode; {
	case status >= 500, status == http.StatusRequestTimeout:
		return nil, fmt.Errorf("%d %s", status, http.StatusText(status))
	case status >= 300:
		refused := t.refused(answer)
		refused.Hidden = method == http.MethodPut && refused.Text != page
		return nil, refused
	}
	content, err := one.Read(answer.Body)
	if err == nil && out != nil && transport.Decode(content, out) != nil {
		err = errNotOurs
	}
	if err != nil {
		return nil, err
	}
	return answer.Header, nil
}

var errNotOurs = errors.New("the answer is not Bitbucket's")

// refused is a refusal in Bitbucket's own words. An answer without them is not
// Bitbucket's REST, or a part of it that this version lacks.
func (t *Tokens) refused(answer *http.Response) *bitbucket.Refusal {
	content := beginning(answer.Body, t.hiding(answer.Request))
	words := reasonOf([]byte(content))
	return &bitbucket.Refusal{
		Status: answer.StatusCode,
		NotGit: words == "",
		Text:   oneLine(cmp.Or(words, content)),
	}
}
