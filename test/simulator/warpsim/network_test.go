package warpsim_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// factories is a page of GET /factory.
type factories struct {
	Factories []struct {
		UID, Name          string
		DefaultEnvironment string                     `json:"default_environment"`
		AgentDefaults      struct{ Secrets []string } `json:"agent_defaults"`
	}
	PageInfo struct {
		HasNextPage bool    `json:"has_next_page"`
		NextCursor  *string `json:"next_cursor"`
	} `json:"page_info"`
}

func TestFactoriesComeInPages(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 5; n++ {
		c := start(t, warpsim.Options{})
		var want, names []string
		for i := range n {
			c.oz.AddFactory("Fa"+strconv.Itoa(i), "f"+strconv.Itoa(i), "")
			want = append(want, "f"+strconv.Itoa(i))
		}
		pages := 0
		for cursor := ""; ; pages++ {
			var page factories
			require.Equal(t, 200, c.rest("GET", "/factory"+cursor, "", &page))
			assert.LessOrEqual(t, len(page.Factories), 2)
			for _, f := range page.Factories {
				names = append(names, f.Name)
			}
			assert.Equal(t, page.PageInfo.HasNextPage, page.PageInfo.NextCursor != nil)
			if !page.PageInfo.HasNextPage {
				break
			}
			cursor = "?cursor=" + *page.PageInfo.NextCursor
		}
		assert.Equal(t, want, names)
		assert.Equal(t, (n-1)/2, pages)
		assert.Equal(t, pages+1, c.oz.Counts()["GET /factory"])
	}
}

func TestFactoriesTellWhatTheyUse(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.oz.AddFactory("Fa1", "one", "En1", "A", "B")
	c.oz.AddFactory("Fa2", "two", "")
	got, err := c.send("GET", "/api/v1/factory", "")
	require.NoError(t, err)
	assert.JSONEq(t, `{"factories":[
		{"uid":"Fa1","name":"one","default_environment":"En1","agent_defaults":{"secrets":["A","B"]}},
		{"uid":"Fa2","name":"two","default_environment":"","agent_defaults":{"secrets":[]}}],"page_info":{"has_next_page":false}}`, got.body)
	assert.Equal(t, 400, c.rest("GET", "/factory?cursor=unknown", "", nil))
	assert.Empty(t, c.oz.Violations())
}

func TestEgressRanges(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{EgressRanges: []string{"192.0.2.0/24", "2001:db8::/32"}})
	var got struct{ CIDRs []string }
	require.Equal(t, 200, c.rest("GET", "/networking/egress-ranges", "", &got))
	assert.Equal(t, []string{"192.0.2.0/24", "2001:db8::/32"}, got.CIDRs)
	assert.Equal(t, map[string]int{"GET /networking/egress-ranges": 1}, c.oz.Counts())
	c.key = "wk-wrong"
	assert.Equal(t, 401, c.rest("GET", "/networking/egress-ranges", "", nil))
}

// TestOldServers: they do not have the endpoint, and their 404 is not Warp's error document.
func TestOldServers(t *testing.T) {
	t.Parallel()
	old, none := start(t, warpsim.Options{NoFactories: true}), start(t, warpsim.Options{})
	old.oz.AddFactory("Fa1", "one", "En1")
	for _, c := range []client{old, none} {
		for _, path := range []string{"/factory", "/networking/egress-ranges"} {
			got, err := c.send("GET", "/api/v1"+path, "")
			require.NoError(t, err)
			assert.Equal(t, reply{404, "text/plain; charset=utf-8", "404 page not found\n"}, got)
		}
		assert.Empty(t, c.oz.Counts())
		assert.Empty(t, c.oz.Violations())
	}
}
