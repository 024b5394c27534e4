package warpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// ozWith is a simulated Oz of its own kind.
func ozWith(t *testing.T, options warpsim.Options) *warpsim.Server {
	t.Helper()
	oz := warpsim.Start(options)
	t.Cleanup(oz.Close)
	oz.AddKey(apiKey, warpsim.Principal{UID: userUID, Teams: simTeams})
	return oz
}

func TestListConnected(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	list, err := c.ListConnected(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list)

	uid := oz.AddEnvironment(teamSim, odd)
	oz.AddIntegration(uid, "slack")
	oz.AddIntegrationSecret("slack", "A", "B")
	oz.AddIntegration("", "linear") // which has no configuration
	oz.AddIntegration(uid, "jira")  // which nobody asks for
	list, err = c.ListConnected(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []warp.Integration{{Provider: "slack", EnvironmentID: uid, Secrets: []string{"A", "B"}}, {Provider: "linear"}}, list)
	assert.Empty(t, oz.Violations())
}

func TestListConnectedWithAMessage(t *testing.T) {
	t.Parallel()
	oz := ozWith(t, warpsim.Options{IntegrationsMessage: "Ask your administrator."})
	list, err := newClient(t, oz.URL()).ListConnected(t.Context())
	assert.Equal(t, &warp.Refusal{Status: 200, Message: "Ask your administrator."}, refusalIn(t, err))
	assert.Nil(t, list)
}

func TestDeleteSecret(t *testing.T) {
	t.Parallel()
	for name, owner := range map[string]warp.Owner{"team": team, "user": user} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			oz, c := newOz(t)
			for _, o := range []warp.Owner{team, user} {
				oz.AddSecret(warpsim.Owner{Type: string(o.Type), UID: o.UID}, "TOKEN", "some value")
			}
			oz.AddSecret(teamSim, "OTHER", "other value")

			require.NoError(t, c.DeleteSecret(t.Context(), owner, "TOKEN"))

			assert.Len(t, oz.Secrets(), 2)
			for _, s := range oz.Secrets() {
				assert.False(t, s.Name == "TOKEN" && s.Owner.Type == string(owner.Type), "the owner's is gone, and no other")
			}
			assert.Equal(t, "InvalidInputError", refusalIn(t, c.DeleteSecret(t.Context(), owner, "TOKEN")).Kind)
			assert.Empty(t, oz.Violations())
		})
	}
	for _, when := range []fault.When{fault.Before, fault.After} {
		for _, status := range []int{0, 502} {
			oz, c := newOz(t)
			oz.AddSecret(teamSim, "TOKEN", "some value")
			oz.Script.Add(fault.Fault{Operation: "DeleteManagedSecret", When: when, Status: status})
			require.ErrorIs(t, c.DeleteSecret(t.Context(), team, "TOKEN"), warp.ErrAnswerLost)
			assert.Len(t, oz.Secrets(), 1-int(when))
			assert.Len(t, oz.Journal.All(), 1, "sent once")
		}
	}
}

func TestListFactories(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	_, err := c.ListFactories(t.Context(), team)
	assert.Equal(t, 404, refusalIn(t, err).Status, "there are none")

	var want []warp.Factory
	for i := range 5 { // three pages
		f := warp.Factory{UID: fmt.Sprint("Fa", i), Name: fmt.Sprint("f", i)}
		if i == 4 {
			f.EnvironmentID, f.Secrets = "En1", []string{"A", "B"}
		}
		oz.AddFactory(f.UID, f.Name, f.EnvironmentID, f.Secrets...)
		want = append(want, f)
	}
	oz.Journal.Reset()
	list, err := c.ListFactories(t.Context(), team)
	require.NoError(t, err)
	assert.Equal(t, want, list)
	require.Len(t, oz.Journal.All(), 3)
	for _, request := range oz.Journal.All() {
		assert.Equal(t, teamUID, request.Header.Get("X-Warp-Team-Uid"))
	}
	assert.Empty(t, oz.Violations())
}

func TestFactoriesInManyShapes(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]warp.Factory{
		`{"factories":[]}`: nil,
		`{"factories":[{"uid":"F","name":"n","default_environment":null,"agent_defaults":null}],"page_info":null}`:                                {{UID: "F", Name: "n"}},
		`{"factories":[{"uid":"F","agent_defaults":{"secrets":["A",{"name":"B","x":1}]}}],"page_info":{"has_next_page":false,"next_cursor":"c"}}`: {{UID: "F", Secrets: []string{"A", "B"}}},
		`{"factories":[{"uid":"F","agent_defaults":{"secrets":null}}],"page_info":{"has_next_page":true,"next_cursor":""}}`:                       {{UID: "F"}},
	} {
		list, err := against(t, says(body)).ListFactories(t.Context(), team)
		require.NoError(t, err, body)
		assert.Equal(t, want, list, body)
	}
	for _, body := range []string{`{"factories":[{"agent_defaults":{"secrets":[7]}}]}`, `{"factories":[{"agent_defaults":{"secrets":{"A":1}}}]}`, `{"factories":{}}`, `[]`} {
		_, err := against(t, says(body)).ListFactories(t.Context(), team)
		require.ErrorContains(t, err, "GET /api/v1/factory: the answer is not what Oz sends", body)
	}
}

// TestAListOfFactoriesThatDoesNotEnd: the number of its pages is bounded.
func TestAListOfFactoriesThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	pages := 0
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		want := url.Values{}
		if pages > 0 {
			want.Set("cursor", fmt.Sprint("c&", pages))
		}
		assert.Equal(t, want, r.URL.Query())
		pages++
		_, _ = fmt.Fprintf(w, `{"factories":[{"uid":"F"}],"page_info":{"has_next_page":true,"next_cursor":"c&%d"}}`, pages)
	})
	list, err := c.ListFactories(t.Context(), team)
	require.EqualError(t, err, "GET /api/v1/factory: the answer is too large: the list has more than 100 pages")
	assert.Nil(t, list)
	assert.Equal(t, 100, pages)
}

func TestListGoing(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	one, two := oz.AddEnvironment(teamSim, odd), oz.AddEnvironment(teamSim, odd)
	oz.Behave(warpsim.Behaviour{Queued: true})
	going, err := c.StartRun(t.Context(), warp.RunRequest{Prompt: "p", EnvironmentID: one, Team: true})
	require.NoError(t, err)
	over, err := c.StartRun(t.Context(), warp.RunRequest{Prompt: "p", EnvironmentID: one, Team: true})
	require.NoError(t, err)
	ended(t, c, over.ID)
	oz.Journal.Reset()

	list, err := c.ListGoing(t.Context(), team, one)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, going.ID, list[0].ID)
	request := oz.Journal.All()[0]
	at, err := url.Parse(request.URL)
	require.NoError(t, err)
	assert.Equal(t, url.Values{
		"environment_id": {one}, "state": {"QUEUED", "PENDING", "CLAIMED", "INPROGRESS", "BLOCKED"},
		"limit": {"100"}, "sort_by": {"created_at"}, "sort_order": {"desc"},
	}, at.Query())
	assert.Equal(t, teamUID, request.Header.Get("X-Warp-Team-Uid"))

	list, err = c.ListGoing(t.Context(), team, two)
	require.NoError(t, err)
	assert.Empty(t, list)
	assert.Empty(t, oz.Violations())
}

// TestListGoingOfAServerThatKnowsNoFilter: runs that have ended are left out, runs in an unknown
// state are not.
func TestListGoingOfAServerThatKnowsNoFilter(t *testing.T) {
	t.Parallel()
	id := func(n int) string { return fmt.Sprintf("5f0c2b1e-0000-4000-8000-%012d", n) }
	var items []string
	for i, state := range []string{"SUCCEEDED", "BLOCKED", "FAILED", "PAUSED", "ERROR", "IN_PROGRESS", "CANCELLED"} {
		items = append(items, `{"run_id":"`+id(i)+`","state":"`+state+`"}`)
	}
	list, err := against(t, says(`{"runs":[`+strings.Join(items, ",")+`]}`)).ListGoing(t.Context(), team, "En1")
	require.NoError(t, err)
	assert.Equal(t, []warp.Run{{ID: id(1), State: warp.Blocked}, {ID: id(3), State: "PAUSED"}, {ID: id(5), State: warp.InProgress}}, list)
}

func TestListEgress(t *testing.T) {
	t.Parallel()
	ranges := []string{"34.1.2.0/24", "2001:db8::/32", "10.0.0.1/32"}
	list, err := newClient(t, ozWith(t, warpsim.Options{EgressRanges: ranges}).URL()).ListEgress(t.Context())
	require.NoError(t, err)
	assert.Equal(t, ranges, list)

	_, err = newClient(t, ozWith(t, warpsim.Options{}).URL()).ListEgress(t.Context())
	assert.Equal(t, &warp.Refusal{Status: 404, Message: "404 page not found"}, refusalIn(t, err), "an older server")

	for _, block := range []string{"", "34.1.2.3", "34.1.2.0/33", "everything", "::warning::x", "1.2.3.0/24\\n::error::"} {
		list, err := against(t, says(`{"cidrs":["10.0.0.0/8","`+block+`"]}`)).ListEgress(t.Context())
		require.EqualError(t, err, "GET /api/v1/networking/egress-ranges: the answer holds an invalid range of addresses", block)
		assert.Nil(t, list)
	}
	list, err = against(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header["X-Warp-Team-Uid"])
		_, _ = io.WriteString(w, `{}`)
	}).ListEgress(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list)
}

// TestAnAnswerWithoutAListIsNoEmptyList: a removal relies on every list.
func TestAnAnswerWithoutAListIsNoEmptyList(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `null`, `{"runs":null,"factories":null}`, `{"data":{"simpleIntegrations":{"__typename":"SimpleIntegrationsOutput","integrations":null}}}`} {
		c := against(t, says(body))
		_, err := c.ListFactories(t.Context(), team)
		require.ErrorContains(t, err, "the answer holds no list", body)
		_, err = c.ListGoing(t.Context(), team, "En1")
		require.ErrorContains(t, err, "the answer holds no list", body)
		_, err = c.ListConnected(t.Context())
		require.Error(t, err, body)
	}
}
