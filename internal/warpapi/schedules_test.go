package warpapi_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// daily is the schedule in a request, with keys that this program does not know.
const daily = `{"name":"daily","cron_schedule":"0 4 * * *","prompt":"a & <b>","enabled":true,"mode":"plan",` +
	`"agent_config":{"environment_id":"E","skills":["a/b"],"idle_timeout_minutes":5},"metadata":{"k":"v"},"from_the_future":[1.50]}`

func TestAScheduleFromCreateToDelete(t *testing.T) {
	t.Parallel()
	for name, owner := range map[string]warp.Owner{"team": team, "user": user} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			oz, c := newOz(t)
			created, err := c.CreateSchedule(t.Context(), owner, model(t, daily))
			require.NoError(t, err)
			assert.Regexp(t, `^[A-Za-z0-9]{22}$`, created.ID)
			assert.Equal(t, []any{owner, "daily", "0 4 * * *", "a & <b>", true, "E", map[string]string{"k": "v"}, `[1.50]`},
				[]any{created.Owner, created.Name(), created.Cron(), created.Prompt(), created.Enabled(), created.EnvironmentID(), created.Metadata(), string(created.Raw("from_the_future"))})

			read, err := c.GetSchedule(t.Context(), owner, created.ID)
			require.NoError(t, err)
			assert.Equal(t, created, read)
			list, err := c.ListSchedules(t.Context(), owner)
			require.NoError(t, err)
			assert.Equal(t, []warp.Schedule{created}, list)

			replaced, err := c.ReplaceSchedule(t.Context(), owner, created.ID, read.Request().With("prompt", "new"))
			require.NoError(t, err)
			assert.Equal(t, []any{created.ID, owner, "new", created.CreatedAt()}, []any{replaced.ID, replaced.Owner, replaced.Prompt(), replaced.CreatedAt()})
			assert.NotEqual(t, created.UpdatedAt(), replaced.UpdatedAt())
			assert.Equal(t, "normal", oz.Schedules()[0].Mode, "what no answer tells is reset")

			paused, err := c.EnableSchedule(t.Context(), owner, created.ID, false)
			require.NoError(t, err)
			assert.False(t, paused.Enabled())
			assert.Equal(t, replaced.Request().With("enabled", false), paused.Request(), "and nothing else")
			resumed, err := c.EnableSchedule(t.Context(), owner, created.ID, true)
			require.NoError(t, err)
			assert.True(t, resumed.Enabled())

			require.NoError(t, c.DeleteSchedule(t.Context(), owner, created.ID))
			assert.Empty(t, oz.Schedules())
			list, err = c.ListSchedules(t.Context(), owner)
			require.NoError(t, err)
			assert.Empty(t, list)
			assert.Empty(t, oz.Violations())

			var sent []string
			for _, request := range oz.Journal.All() {
				sent = append(sent, request.Method+" "+request.Operation)
				wanted := []string(nil)
				if owner == team {
					wanted = []string{teamUID}
				}
				assert.Equal(t, wanted, request.Header["X-Warp-Team-Uid"], request.Operation)
			}
			assert.Equal(t, []string{
				"POST POST /agent/schedules", "GET GET /agent/schedules/{id}", "GET GET /agent/schedules", "PUT PUT /agent/schedules/{id}",
				"POST POST /agent/schedules/{id}/pause", "POST POST /agent/schedules/{id}/resume", "DELETE DELETE /agent/schedules/{id}", "GET GET /agent/schedules",
			}, sent)
			posted, put := oz.Journal.All()[0].Body, oz.Journal.All()[3].Body
			assert.JSONEq(t, model(t, daily).With("team", owner == team).String(), string(posted))
			assert.NotContains(t, string(put), `"team"`)
			assert.Contains(t, string(put), `"from_the_future":[1.50]`)
			assert.Empty(t, oz.Journal.All()[4].Body)
		})
	}
}

func TestTwoCreatesMakeTwoSchedules(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	one, err := c.CreateSchedule(t.Context(), team, model(t, daily))
	require.NoError(t, err)
	two, err := c.CreateSchedule(t.Context(), team, model(t, daily))
	require.NoError(t, err)
	assert.NotEqual(t, one.ID, two.ID)
	assert.Len(t, oz.Schedules(), 2)
}

// TestSchedulesOfAllOwnersAreListed: all those that the caller can see.
func TestSchedulesOfAllOwnersAreListed(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	ours := oz.AddSchedule(teamSim, `{"name":"a","cron_schedule":"* * * * *","prompt":"p"}`)
	mine := oz.AddSchedule(warpsim.Owner{Type: "User", UID: userUID}, `{"name":"b","cron_schedule":"* * * * *","prompt":"p"}`)
	theirs := oz.AddSchedule(warpsim.Owner{Type: "User", UID: "another"}, `{"name":"c","cron_schedule":"* * * * *","prompt":"p"}`)

	list, err := c.ListSchedules(t.Context(), team)

	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.Equal(t, []any{ours, team, mine, user}, []any{list[0].ID, list[0].Owner, list[1].ID, list[1].Owner})
	_, err = c.GetSchedule(t.Context(), team, theirs)
	assert.Equal(t, 404, refusalIn(t, err).Status)
}

func refusalIn(t *testing.T, err error) *warp.Refusal {
	t.Helper()
	var refusal *warp.Refusal
	require.ErrorAs(t, err, &refusal)
	assert.NotErrorIs(t, err, warp.ErrAnswerLost)
	return refusal
}

func TestSchedulesAreRefused(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	id := oz.AddSchedule(teamSim, `{"name":"a","cron_schedule":"* * * * *","prompt":"p"}`)
	before := oz.Schedules()
	gone := warp.Refusal{Status: 404, Kind: "resource_not_found", Message: "schedule not found"}
	for name, test := range map[string]struct {
		err  error
		want warp.Refusal
	}{
		"get":     {errOfSchedule(c.GetSchedule(t.Context(), team, "nothing")), gone},
		"put":     {errOfSchedule(c.ReplaceSchedule(t.Context(), team, "nothing", model(t, daily))), gone},
		"pause":   {errOfSchedule(c.EnableSchedule(t.Context(), team, "nothing", false)), gone},
		"resume":  {errOfSchedule(c.EnableSchedule(t.Context(), team, "nothing", true)), gone},
		"delete":  {c.DeleteSchedule(t.Context(), team, "nothing"), gone},
		"no cron": {errOfSchedule(c.CreateSchedule(t.Context(), team, model(t, `{"name":"a","prompt":"p"}`))), warp.Refusal{Status: 400, Kind: "invalid_request", Message: "cron_schedule is required"}},
		"foreign team": {errOfSchedule(c.CreateSchedule(t.Context(), warp.Owner{Type: warp.TeamOwner, UID: "Tm0000000000000000000Z"}, model(t, daily))),
			warp.Refusal{Status: 403, Kind: "not_authorized", Message: "not a member of the team in X-Warp-Team-Uid"}},
	} {
		assert.Equal(t, &test.want, refusalIn(t, test.err), name)
	}
	assert.Equal(t, before, oz.Schedules())
	assert.Empty(t, oz.Violations())

	for options, want := range map[warpsimOptions]string{{none: true}: "feature_not_available", {forbidden: true}: "not_authorized"} {
		oz := warpsim.Start(warpsim.Options{NoSchedules: options.none, SchedulesForbidden: options.forbidden})
		t.Cleanup(oz.Close)
		oz.AddKey(apiKey, warpsim.Principal{UID: userUID, Teams: simTeams})
		c := newClient(t, oz.URL())
		assert.Equal(t, want, refusalIn(t, errOfSchedule(c.CreateSchedule(t.Context(), team, model(t, daily)))).Kind)
		_, err := c.ListSchedules(t.Context(), team)
		assert.Equal(t, options.none, err != nil)
	}
	require.NoError(t, c.DeleteSchedule(t.Context(), team, id))
}

type warpsimOptions struct{ none, forbidden bool }

func errOfSchedule(_ warp.Schedule, err error) error { return err }

// scheduleWrites are the calls that change schedules.
var scheduleWrites = map[string]func(c *warpapi.Client, t *testing.T, id string) error{
	"POST /agent/schedules": func(c *warpapi.Client, t *testing.T, _ string) error {
		return errOfSchedule(c.CreateSchedule(t.Context(), team, model(t, daily)))
	},
	"PUT /agent/schedules/{id}": func(c *warpapi.Client, t *testing.T, id string) error {
		return errOfSchedule(c.ReplaceSchedule(t.Context(), team, id, model(t, daily)))
	},
	"POST /agent/schedules/{id}/pause": func(c *warpapi.Client, t *testing.T, id string) error {
		return errOfSchedule(c.EnableSchedule(t.Context(), team, id, false))
	},
	"POST /agent/schedules/{id}/resume": func(c *warpapi.Client, t *testing.T, id string) error {
		return errOfSchedule(c.EnableSchedule(t.Context(), team, id, true))
	},
	"DELETE /agent/schedules/{id}": func(c *warpapi.Client, t *testing.T, id string) error { return c.DeleteSchedule(t.Context(), team, id) },
}

func TestLostAnswerOfASchedule(t *testing.T) {
	t.Parallel()
	for operation, call := range scheduleWrites {
		for _, when := range []fault.When{fault.Before, fault.After} {
			for _, status := range []int{0, 502} {
				oz, c := newOz(t)
				id := oz.AddSchedule(teamSim, `{"name":"a","cron_schedule":"* * * * *","prompt":"p"}`)
				oz.Script.Add(fault.Fault{Operation: operation, When: when, Status: status})

				require.ErrorIs(t, call(c, t, id), warp.ErrAnswerLost, operation)

				assert.Equal(t, int(when), oz.Counts()[operation], operation)
				assert.Len(t, oz.Journal.All(), 1, "sent once")
			}
		}
	}
}

// TestItemsThatAreNoSchedules: after a write the schedule may be stored, so the answer counts as
// lost; after a read it does not.
func TestItemsThatAreNoSchedules(t *testing.T) {
	t.Parallel()
	const noID = "read a schedule: it has "
	for item, want := range map[string]string{
		`{}`:                                    noID,
		`{"id":null}`:                           noID,
		`{"id":""}`:                             noID,
		`{"id":"../x"}`:                         noID,
		`{"id":"a b"}`:                          noID,
		`{"id":7}`:                              "read a schedule: json: cannot unmarshal number",
		`null`:                                  "read a schedule: not a JSON object",
		`[]`:                                    "read a schedule: not a JSON object",
		`"Sc1"`:                                 "read a schedule: not a JSON object",
		`{"id":"Sc1","scope":"Team"}`:           "read a schedule: json: cannot unmarshal string",
		`{"id":"Sc1","scope":{"uid":["Team"]}}`: "read a schedule: json: cannot unmarshal array",
	} {
		for operation, call := range scheduleWrites {
			if operation == "DELETE /agent/schedules/{id}" {
				continue // it answers none
			}
			err := call(against(t, says(item)), t, "id")
			require.ErrorContains(t, err, want, "%s: %s", operation, item)
			require.ErrorIs(t, err, warp.ErrAnswerLost, operation)
		}
		_, err := against(t, says(item)).GetSchedule(t.Context(), team, "id")
		require.ErrorContains(t, err, "GET /api/v1/agent/schedules/id: "+want, item)
		require.NotErrorIs(t, err, warp.ErrAnswerLost, item)
		list, err := against(t, says(`{"schedules":[{"id":"`+scheduleUID+`"},`+item+`]}`)).ListSchedules(t.Context(), team)
		require.ErrorContains(t, err, "GET /api/v1/agent/schedules: "+want, item)
		require.NotErrorIs(t, err, warp.ErrAnswerLost, item)
		assert.Empty(t, list, "half a list is none")
	}
}

func TestListsOfSchedules(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `null`, `{"schedules":null}`, `{"runs":[]}`} {
		_, err := against(t, says(body)).ListSchedules(t.Context(), team)
		require.EqualError(t, err, "GET /api/v1/agent/schedules: the answer holds no list", body)
	}
	list, err := against(t, says(`{"schedules":[]}`)).ListSchedules(t.Context(), team)
	require.NoError(t, err)
	assert.Empty(t, list)
	item := `{"id":"` + scheduleUID + `", "scope":null ,"x":[ 1.0 ]}`
	list, err = against(t, says(`{"schedules":[`+item+`,{"id":"`+otherUID+`","scope":{"type":"User","uid":"u"}}]}`)).ListSchedules(t.Context(), team)
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.Equal(t, warp.Schedule{Model: model(t, item), ID: scheduleUID}, list[0], "the scope is optional")
	assert.Equal(t, warp.Owner{Type: warp.UserOwner, UID: "u"}, list[1].Owner)
}

func TestDeleteSchedule(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"success":false}`, `{}`} {
		err := against(t, says(body)).DeleteSchedule(t.Context(), team, "id")
		require.EqualError(t, err, "DELETE /api/v1/agent/schedules/id: the server says that the request did not succeed")
		require.NotErrorIs(t, err, warp.ErrAnswerLost)
	}
	require.NoError(t, against(t, says(`{"success":true,"more":1}`)).DeleteSchedule(t.Context(), team, "id"))
	require.ErrorIs(t, against(t, says(`done`)).DeleteSchedule(t.Context(), team, "id"), warp.ErrAnswerLost)
}

// TestAnIDStaysInItsPlaceOfThePath: whatever the ID holds.
func TestAnIDStaysInItsPlaceOfThePath(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a/b", "../runs", "a?b=c", "a#b", "%2e%2e"} {
		var paths []string
		c := against(t, func(w http.ResponseWriter, r *http.Request) {
			paths = append(paths, r.URL.EscapedPath())
			assert.Empty(t, r.URL.RawQuery)
			w.WriteHeader(http.StatusTeapot)
		})
		for _, call := range scheduleWrites {
			require.Error(t, call(c, t, id))
		}
		_, err := c.GetSchedule(t.Context(), team, id)
		var refusal *warp.Refusal
		require.True(t, errors.As(err, &refusal))
		require.Len(t, paths, 6)
		for _, path := range paths {
			if path != "/api/v1/agent/schedules" { // a create
				assert.Contains(t, path, "/api/v1/agent/schedules/"+url.PathEscape(id), id)
			}
		}
	}
}
