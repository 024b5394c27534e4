package bitbucketapi

import (
	"context"
	"net/url"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// ListPermitted asks a Data Center which repositories the token may read, or push to. Server
// is any repository of that server. The result holds repositories in their folded form.
// The request is optional: it never takes the last attempt of the token.
//
// Source: https://developer.atlassian.com/server/bitbucket/rest/, GET /api/latest/repos,
// parameter permission. A page has at most 1,000.
func (c *Client) ListPermitted(ctx context.Context, server bitbucket.Repository, write bool) (map[bitbucket.Repository]bool, error) {
	lists := c.rest(server)
	lists.spare = true
	permission := "REPO_READ"
	if write {
		permission = "REPO_WRITE"
	}
	// GET https://host/context/rest/api/1.0/repos?limit=1000&permission=REPO_READ&start=0
	query := url.Values{"permission": {permission}, "limit": {"1000"}}
	found := map[bitbucket.Repository]bool{}
	type item struct {
		Slug    string
		Project struct{ Key string }
	}
	for value, err := range list[item](ctx, lists, "/rest/api/1.0/repos", query) {
		if err != nil {
			return nil, err
		}
		r := server
		r.Owner, r.Slug = value.Project.Key, value.Slug
		found[r.Folded()] = true
	}
	return found, nil
}
