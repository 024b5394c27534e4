package bitbucketsim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
)

func TestDataCenterListsAProjectInPages(t *testing.T) {
	t.Parallel()
	s, _ := dataCenterWith(t, bitbucketsim.Token{User: "ann"})
	for i := range 30 {
		s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PROJ", Slug: fmt.Sprintf("r%02d", i), Empty: true})
	}
	s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "OTHER", Slug: "x", Empty: true})
	type page struct {
		Values        []struct{ Slug string }
		IsLastPage    bool
		NextPageStart *int
	}
	get := func(path, token string) (int, page) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.DataCenterURL()+"/rest/api/1.0"+path, nil)
		require.NoError(t, err)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer answer.Body.Close()
		content, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		var p page
		_ = json.Unmarshal(content, &p)
		return answer.StatusCode, p
	}
	status, first := get("/projects/proj/repos", httpToken)
	assert.Equal(t, 200, status)
	assert.Len(t, first.Values, 25)
	assert.False(t, first.IsLastPage)
	require.NotNil(t, first.NextPageStart)
	_, rest := get(fmt.Sprintf("/projects/PROJ/repos?start=%d", *first.NextPageStart), httpToken)
	assert.Len(t, rest.Values, 6)
	assert.True(t, rest.IsLastPage)
	assert.Equal(t, "sample", rest.Values[5].Slug)
	status, _ = get("/projects/GONE/repos", httpToken)
	assert.Equal(t, 404, status)
	status, _ = get("/projects/PROJ/repos", "")
	assert.Equal(t, 401, status)
	status, _ = get("/projects/PROJ/repos", "wrong")
	assert.Equal(t, 401, status)
	assertNoViolations(t, s)
}
