package bitbucketapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// TestAListOfRepositoriesIsBelievedWithCare: names go through the parser of clone URLs, and
// addresses that the server names are not used.
func TestAListOfRepositoriesIsBelievedWithCare(t *testing.T) {
	t.Parallel()
	const link = `"links":{"clone":[{"name":"ssh","href":"ssh://x"},{"name":"http","href":"https://evil.example.com/scm/PRJ/app.git"}]}`
	for name, tt := range map[string]struct{ page, want, wantErr string }{
		"one":               {`{"values":[{"slug":"app",` + link + `}],"isLastPage":true}`, "http://HOST/bitbucket/scm/PRJ/app.git ", ""},
		"archived":          {`{"values":[{"slug":"app","archived":true,` + link + `}],"isLastPage":true}`, "http://HOST/bitbucket/scm/PRJ/app.git it is archived", ""},
		"over SSH alone":    {`{"values":[{"slug":"app","links":{"clone":[{"name":"ssh","href":"x"}]}}],"isLastPage":true}`, "http://HOST/bitbucket/scm/PRJ/app.git the server offers no clone over HTTPS", ""},
		"none":              {`{"values":[],"isLastPage":true}`, "", ""},
		"a path for a name": {`{"values":[{"slug":"../x"}],"isLastPage":true}`, "", "an impossible name"},
		"no name":           {`{"values":[{}],"isLastPage":true}`, "", "an impossible name"},
		"a page":            {`<html>`, "", "the answer is not Bitbucket's"},
		"for ever":          {`{"values":[],"nextPageStart":%d}`, "", "has more than 100 pages"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			client, r := against(t, func(w http.ResponseWriter, request *http.Request) {
				assert.Equal(t, "/bitbucket/rest/api/1.0/projects/PRJ/repos", request.URL.Path)
				assert.Equal(t, "Bearer "+token, request.Header.Get("Authorization"))
				_, _ = io.WriteString(w, strings.ReplaceAll(tt.page, "%d", fmt.Sprint(asked.Add(1))))
			})
			r.Slug = ""
			list, err := client.ListRepositories(t.Context(), bitbucket.Place{Home: r}, bitbucket.Login{Bearer: true})
			if tt.wantErr != "" {
				require.ErrorContains(t, err, "list the repositories of PRJ: ")
				require.ErrorContains(t, err, tt.wantErr)
				assert.Empty(t, list)
				return
			}
			require.NoError(t, err)
			var text []string
			for _, found := range list {
				text = append(text, strings.Replace(found.CloneURL(), r.Host, "HOST", 1)+" "+found.Unusable)
			}
			assert.Equal(t, tt.want, strings.Join(text, "\n"))
		})
	}
}
