package bitbucketapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// Listed is a repository of a workspace or project.
type Listed struct {
	bitbucket.Repository
	Unusable string // why agents cannot work in it; empty: it can be cloned over HTTPS
}

// ListRepositories lists the repositories of a workspace or project that the token may
// see. The server gives only their names; links to other hosts are not followed.
//
// Source: https://developer.atlassian.com/server/bitbucket/rest/, Repository, and
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-repositories/.
func (c *Client) ListRepositories(ctx context.Context, of bitbucket.Place, as bitbucket.Login) ([]Listed, error) {
	var listed []Listed
	err := c.eachRepository(ctx, of, as, func(i repositoryItem) error {
		r, ok := of.Named(i.Slug)
		if !ok {
			return fmt.Errorf("the list holds a repository with an impossible name: %q", oneLine(i.Slug))
		}
		listed = append(listed, Listed{r, i.unusable(of.Home.Flavor)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the repositories of %s: %w", of, err)
	}
	return listed, nil
}

// repositoryItem is a repository on the wire.
type repositoryItem struct {
	Slug     string
	Archived bool // Data Center
	Links    struct {
		Clone []struct{ Name, Href string }
	}
}

// unusable is why agents cannot work in a repository, empty when they can.
func (i repositoryItem) unusable(flavor bitbucket.Flavor) string {
	isHTTP := func(link struct{ Name, Href string }) bool { return link.Name == "http" || link.Name == "https" }
	switch {
	case i.Archived:
		return "it is archived"
	case flavor == bitbucket.DataCenter && !slices.ContainsFunc(i.Links.Clone, isHTTP): // an administrator can switch it off
		return "the server offers no clone over HTTPS"
	}
	return ""
}

// eachRepository visits the items of all pages.
func (c *Client) eachRepository(ctx context.Context, of bitbucket.Place, as bitbucket.Login, visit func(repositoryItem) error) error {
	if of.Home.Flavor == bitbucket.Cloud {
		return c.eachOnCloud(ctx, of, as, visit)
	}
	path := "/rest/api/1.0/projects/" + url.PathEscape(of.Home.Owner) + "/repos"
	if user, personal := strings.CutPrefix(of.Home.Owner, "~"); personal {
		path = "/rest/api/1.0/users/" + url.PathEscape(user) + "/repos"
	}
	for item, err := range list[repositoryItem](ctx, c.rest(of.Home), path, url.Values{}) {
		if err != nil {
			return err
		}
		if err := visit(item); err != nil {
			return err
		}
	}
	return nil
}

// ofCloud bounds a page of Cloud's list. A repository takes several kilobytes when the
// server ignores the parameter fields.
var ofCloud = transport.Bound{Bytes: 4 << 20, Elements: 20_000, Members: 100_000}

func (c *Client) eachOnCloud(ctx context.Context, of bitbucket.Place, as bitbucket.Login, visit func(repositoryItem) error) error {
	ctx, stop := transport.ForList(ctx)
	defer stop()
	query := url.Values{"pagelen": {"100"}, "fields": {"next,values.slug,values.links.clone"}}
	if of.Project != "" {
		query.Set("q", `project.key="`+of.Project+`"`)
	}
	home := cloudREST + "/repositories/" + url.PathEscape(of.Home.Owner)
	var pages transport.Pages
	for at := home + "?" + query.Encode(); at != ""; {
		// GET https://api.bitbucket.org/2.0/repositories/acme?pagelen=100
		var page struct {
			Values []repositoryItem
			Next   string
		}
		bytes, err := c.getPage(ctx, at, as, of, &page)
		if err != nil {
			return err
		}
		if err := pages.Add(len(page.Values), bytes, page.Next == ""); err != nil {
			return err
		}
		for _, item := range page.Values {
			if err := visit(item); err != nil {
				return err
			}
		}
		// The next request presents the token, so it has to be for a page of the same list.
		if next, _, _ := strings.Cut(page.Next, "?"); page.Next != "" && !strings.EqualFold(strings.TrimSuffix(next, "/"), home) {
			return fmt.Errorf("the next page is not a page of this list: it is at %q", oneLine(next))
		}
		at = page.Next
	}
	return nil
}

// getPage reads one page and returns its length.
func (c *Client) getPage(ctx context.Context, at string, as bitbucket.Login, of bitbucket.Place, page any) (bytes int, err error) {
	answer, err := c.get(ctx, at, as)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, c.refusal(answer, of.Home)
	}
	content, err := ofCloud.Read(answer.Body)
	if err == nil && transport.Decode(content, page) != nil {
		err = errNotOurs
	}
	return len(content), err
}
