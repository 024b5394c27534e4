package bitbucketapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// cloudREST is the address of Bitbucket Cloud's REST API.
const cloudREST = "https://api.bitbucket.org/2.0"

// CheckREST asks the REST API for a repository. It tells a good token from a bad one
// even when the repository is public. No error means that the login was accepted;
// scopes are then the token's, if Cloud tells them. Every other answer of the server
// is a *bitbucket.Refusal. NotGit marks a page that is not from the REST API.
//
// Source: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-repositories/
// and https://developer.atlassian.com/server/bitbucket/rest/, Repository.
func (c *Client) CheckREST(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) (scopes []string, err error) {
	// GET https://api.bitbucket.org/2.0/repositories/acme/app
	answer, err := c.get(ctx, restURL(r), as)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return nil, c.refusal(answer, r)
	}
	var repository struct{ Slug string }
	content, err := one.Read(answer.Body)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(content, &repository) != nil || repository.Slug == "" {
		return nil, &bitbucket.Refusal{Status: answer.StatusCode, NotGit: true, Text: "the answer does not describe a repository"}
	}
	return c.scopes(answer), nil
}

// scopes are the token's scopes. The REST API tells them; whether git's addresses do
// is not documented.
//
// Source: https://support.atlassian.com/bitbucket-cloud/kb/how-to-fetch-the-scope-of-a-token-via-command-line/
func (c *Client) scopes(answer *http.Response) []string {
	// x-oauth-scopes: repository, repository:write
	header := c.safeText(answer, answer.Header.Get("X-Oauth-Scopes"))
	if header == "" {
		return nil
	}
	return strings.Split(strings.ReplaceAll(header, " ", ""), ",")
}

// restURL is the address of a repository in the REST API.
func restURL(r bitbucket.Repository) string {
	if r.Flavor == bitbucket.Cloud {
		return cloudREST + "/repositories/" + url.PathEscape(r.Owner) + "/" + url.PathEscape(r.Slug)
	}
	owner := "/projects/" + url.PathEscape(r.Owner)
	if user, personal := strings.CutPrefix(r.Owner, "~"); personal {
		owner = "/users/" + url.PathEscape(user)
	}
	return r.Origin() + r.Context + "/rest/api/latest" + owner + "/repos/" + url.PathEscape(r.Slug)
}

// reasonOf is what Bitbucket's JSON says about an error, of Data Center or Cloud:
//
//	{"errors": [{"message": "...", "exceptionName": "com.atlassian...."}]}
//	{"type": "error", "error": {"message": "...", "detail": {"required": ["..."], "granted": ["..."]}}}
//	{"type": "error", "error": {"message": "...", "detail": "...", "data": {"announcement_url": "..."}}}
//
// The last one is for an address that was removed. For any other content the result is
// empty.
//
// Source: https://github.com/ktrysmt/go-bitbucket/issues/357 for the last.
func reasonOf(content []byte) string {
	var document struct {
		Errors []struct{ Message, ExceptionName string }
		Error  struct {
			Message      string
			Detail, Data json.RawMessage
		}
	}
	if json.Unmarshal(content, &document) != nil {
		return ""
	}
	var texts []string
	for _, e := range document.Errors {
		_, exception, _ := strings.Cut(e.ExceptionName, "com.atlassian.")
		texts = append(texts, e.Message+" ("+exception+")")
	}
	if text := document.Error.Message; text != "" {
		var scopes struct{ Required, Granted []string }
		if json.Unmarshal(document.Error.Detail, &scopes) == nil && len(scopes.Required) > 0 {
			text += " (required: " + strings.Join(scopes.Required, ", ") + "; granted: " + strings.Join(scopes.Granted, ", ") + ")"
		}
		var notice struct {
			URL string `json:"announcement_url"`
		}
		if json.Unmarshal(document.Error.Data, &notice) == nil && notice.URL != "" {
			text += " (announcement_url: " + notice.URL + ")"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}
