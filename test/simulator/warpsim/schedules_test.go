package warpsim_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

const nightly = `{"name":"nightly","cron_schedule":"0 3 * * *","prompt":"Look at repo"}`

// with is the nightly schedule with further members.
func with(more string) string { return strings.TrimSuffix(nightly, "}") + "," + more + "}" }

// schedule is a schedule's item with all its fields.
type schedule map[string]any

func (i schedule) time(t *testing.T, name string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, i[name].(string))
	require.NoError(t, err)
	return at
}

// schedules sends a request to /agent/schedules or a path below it, and requires the status.
func (c client) schedules(status int, method, path, body string, headers ...string) (item schedule) {
	c.Helper()
	require.Equal(c, status, c.rest(method, "/agent/schedules"+path, body, &item, headers...), "%s %s %s", method, path, body)
	return item
}

// errorCode returns the code of a refusal.
func (c client) errorCode(method, path, body string) string {
	c.Helper()
	got, err := c.send(method, "/api/v1"+path, body)
	require.NoError(c, err)
	var refusal struct{ Type string }
	require.NoError(c, json.Unmarshal([]byte(got.body), &refusal), got.body)
	return refusal.Type[strings.LastIndex(refusal.Type, "/")+1:]
}

func TestCreateSchedule(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, `{"name":"ci","docker_image":"i","setup_commands":["true"],"secrets":[{"name":"S"}]}`)
	item := c.schedules(201, "POST", "", with(`"team":true,"mode":"plan","agent_uid":"robot","metadata":{"managed_by":"me"},"later":[1e3],
		"agent_config":{"environment_id":"`+uid+`","secrets":[{"name":"S"}],"unknown":{"n":12345678901234567890}}`))

	id := item["id"].(string)
	assert.Regexp(t, `^[A-Za-z0-9]{22}$`, id)
	assert.Equal(t, item["created_at"], item["updated_at"])
	next := item["history"].(map[string]any)["next_run"].(string)
	assert.Regexp(t, `T03:00:00\.000000Z$`, next)
	for _, volatile := range []string{"id", "created_at", "updated_at"} {
		delete(item, volatile)
	}
	rest, err := json.Marshal(item)
	require.NoError(t, err)
	me := `{"type":"user","uid":"` + userUID + `","display_name":"Principal ` + userUID + `","email":"` + strings.ToLower(userUID) + `@example.com"}`
	assert.JSONEq(t, `{"name":"nightly","cron_schedule":"0 3 * * *","prompt":"Look at repo","enabled":true,"agent_uid":"robot",
		"metadata":{"managed_by":"me"},"later":[1000],"last_spawn_error":null,"history":{"last_ran":null,"next_run":"`+next+`"},
		"agent_config":{"environment_id":"`+uid+`","secrets":[{"name":"S"}],"unknown":{"n":12345678901234567890}},
		"environment":{"name":"ci","description":null,"docker_image":"i","setup_commands":["true"],"github_repos":[]},
		"scope":{"type":"Team","uid":"`+teamUID+`"},"created_by":`+me+`,"updated_by":`+me+`}`, string(rest), "never a mode")

	stored := c.oz.Schedules()[0]
	assert.Equal(t, map[string]any{"n": json.Number("12345678901234567890")}, stored.Config["unknown"])
	assert.Equal(t, []any{json.Number("1e3")}, stored.Fields["later"])
	assert.NotContains(t, stored.Fields, "team")
	stored.Config, stored.Fields = nil, nil
	assert.Equal(t, warpsim.Schedule{
		ID: id, Owner: team, Name: "nightly", Cron: "0 3 * * *", Prompt: "Look at repo", Enabled: true, Mode: "plan", AgentUID: "robot",
		Metadata: map[string]string{"managed_by": "me"},
	}, stored)

	again := c.schedules(201, "POST", "", with(`"enabled":false`))
	assert.Len(t, c.oz.Schedules(), 2, "names are not unique, and a second write is never matched with the first")
	assert.Equal(t, false, again["enabled"])
	assert.Nil(t, again["history"].(map[string]any)["next_run"])
	assert.Equal(t, map[string]int{"POST /agent/schedules": 2}, c.oz.Counts())
	assert.Empty(t, c.oz.Violations())
}

func TestScheduleIsRefused(t *testing.T) {
	t.Parallel()
	keys := make([]string, 21)
	for i := range keys {
		keys[i] = `"` + strings.Repeat("k", i+1) + `":""`
	}
	const long = `{"name":"n","cron_schedule":"* * * * *","prompt":"p","enabled":true`
	tests := []struct {
		name, body string
		flagged    bool
		onlyPut    bool
	}{
		{"no name", `{"cron_schedule":"* * * * *","prompt":"p","enabled":true}`, false, false},
		{"an empty name", `{"name":"","cron_schedule":"* * * * *","prompt":"p","enabled":true}`, false, false},
		{"no cron", `{"name":"n","prompt":"p","enabled":true}`, false, false},
		{"no prompt", `{"name":"n","cron_schedule":"* * * * *","enabled":true}`, false, false},
		{"a prompt of null", `{"name":"n","cron_schedule":"* * * * *","enabled":true,"prompt":null}`, false, false},
		{"no prompt and no skills", `{"name":"n","cron_schedule":"* * * * *","enabled":true,"agent_config":{"skills":[]}}`, false, false},
		{"four fields", `{"name":"n","cron_schedule":"* * * *","prompt":"p","enabled":true}`, false, false},
		{"six fields", `{"name":"n","cron_schedule":"0 0 3 * * *","prompt":"p","enabled":true}`, false, false},
		{"a name for a cron", `{"name":"n","cron_schedule":"@daily","prompt":"p","enabled":true}`, false, false},
		{"a cron of no numbers", `{"name":"n","cron_schedule":"a b c d e","prompt":"p","enabled":true}`, false, false},
		{"an hour that is none", `{"name":"n","cron_schedule":"0 24 * * *","prompt":"p","enabled":true}`, false, false},
		{"both kinds of skills", long + `,"agent_config":{"skill_spec":"a","skills":["a"]}}`, false, false},
		{"a mode that is none", long + `,"mode":"fast"}`, false, false},
		{"much metadata", long + `,"metadata":{` + strings.Join(keys, ",") + `}}`, false, false},
		{"a key of metadata", long + `,"metadata":{"a key":""}}`, false, false},
		{"a value of metadata", long + `,"metadata":{"k":"` + strings.Repeat("v", 257) + `"}}`, false, false},
		{"no enabled", nightly, false, true},
		{"an enabled of null", with(`"enabled":null`), false, true},
		{"a team", long + `,"team":true}`, true, true},
		{"no JSON", `{`, true, false},
		{"no object", `[]`, true, false},
		{"null", `null`, true, false},
		{"two objects", long + `}{}`, true, false},
		{"a name of another type", `{"name":1,"cron_schedule":"* * * * *","prompt":"p","enabled":true}`, true, false},
		{"secrets of another type", long + `,"agent_config":{"secrets":["S"]}}`, true, false},
		{"metadata of another type", long + `,"metadata":{"k":1}}`, true, false},
		{"a timeout of another type", long + `,"agent_config":{"idle_timeout_minutes":"1"}}`, true, false},
	}
	for _, name := range []string{"id", "created_at", "updated_at", "environment", "history", "last_spawn_error", "scope", "created_by", "updated_by"} {
		tests = append(tests, struct {
			name, body       string
			flagged, onlyPut bool
		}{name, long + `,"` + name + `":null}`, true, false})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, warpsim.Options{})
			id := c.oz.AddSchedule(team, nightly)
			before := c.oz.Schedules()
			want := 0
			if test.flagged {
				want = 1
			}
			c.schedules(400, "PUT", "/"+id, test.body)
			assert.Len(t, c.oz.Violations(), want)
			if !test.onlyPut {
				c.schedules(400, "POST", "", test.body)
				assert.Len(t, c.oz.Violations(), 2*want)
			}
			assert.Equal(t, before, c.oz.Schedules())
			assert.Empty(t, c.oz.Counts())
		})
	}
}

func TestWhoOwnsASchedule(t *testing.T) {
	t.Parallel()
	other := warpsim.Owner{Type: "Team", UID: otherUID}
	tests := []struct {
		name, key, more string
		headers         []string
		status          int
		owner           warpsim.Owner
	}{
		{"the only team", userKey, `"enabled":true`, nil, 201, team},
		{"the user who asks to", userKey, `"team":false`, nil, 201, personal},
		{"an agent without a team", userKey, `"team":false,"agent_uid":"robot"`, nil, 400, warpsim.Owner{}},
		{"one of two teams, by the header", "wk-both-0000", `"team":true`, []string{"X-Warp-Team-Uid", otherUID}, 201, other},
		{"one of two teams, not named", "wk-both-0000", `"team":true`, nil, 400, warpsim.Owner{}},
		{"a service account's team, whatever it says", serviceKey, `"team":false`, []string{"X-Warp-Team-Uid", otherUID}, 201, team},
		{"a team of others", userKey, `"team":true`, []string{"X-Warp-Team-Uid", otherUID}, 403, warpsim.Owner{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, warpsim.Options{})
			c.oz.AddKey("wk-both-0000", warpsim.Principal{UID: "both", Teams: []warpsim.Team{{UID: teamUID}, {UID: otherUID}}})
			c.key = test.key
			item := c.schedules(test.status, "POST", "", with(test.more), test.headers...)
			assert.Empty(t, c.oz.Violations())
			if test.status != 201 {
				assert.Empty(t, c.oz.Schedules())
				return
			}
			assert.Equal(t, map[string]any{"type": test.owner.Type, "uid": test.owner.UID}, item["scope"])
			assert.Equal(t, test.owner, c.oz.Schedules()[0].Owner)
		})
	}
}

func TestSchedulesAreListedByName(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	for _, name := range []string{"b", "a", "c", "a"} {
		c.oz.AddSchedule(team, strings.Replace(nightly, "nightly", name, 1))
	}
	hidden := c.oz.AddSchedule(warpsim.Owner{Type: "User", UID: "someone"}, nightly)
	var got struct{ Schedules []schedule }
	require.Equal(t, 200, c.rest("GET", "/agent/schedules?name=b", "", &got), "no filter")

	var names, ids []any
	for _, item := range got.Schedules {
		names, ids = append(names, item["name"]), append(ids, item["id"])
	}
	stored := c.oz.Schedules()
	assert.Equal(t, []any{"a", "a", "b", "c"}, names)
	assert.Equal(t, []any{stored[1].ID, stored[3].ID, stored[0].ID, stored[2].ID}, ids)
	assert.Equal(t, got.Schedules[2], c.schedules(200, "GET", "/"+stored[0].ID, ""), "the list has whole items")

	for _, id := range []string{hidden, "nothing"} {
		c.schedules(404, "GET", "/"+id, "")
		c.schedules(404, "PUT", "/"+id, with(`"enabled":true`))
		c.schedules(404, "POST", "/"+id+"/pause", "")
		c.schedules(404, "POST", "/"+id+"/resume", "")
		c.schedules(404, "DELETE", "/"+id, "")
	}
	assert.Len(t, c.oz.Schedules(), 5)
	assert.Empty(t, c.oz.Violations())

	c = start(t, warpsim.Options{})
	got.Schedules = nil
	require.Equal(t, 200, c.rest("GET", "/agent/schedules", "", &got))
	assert.NotNil(t, got.Schedules, "none is an empty list")
}

// TestPutReplaces: fields that it leaves out are removed, also the mode, which no client can read.
func TestPutReplaces(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	created := c.schedules(201, "POST", "", with(`"mode":"plan","agent_uid":"robot","metadata":{"k":"v"},"later":1,
		"agent_config":{"environment_id":"gone","unknown":{"a":[1]}}`))
	id := created["id"].(string)
	assert.NotContains(t, created, "environment", "it does not resolve")

	sendBack := schedule{}
	for _, name := range []string{"name", "cron_schedule", "prompt", "agent_uid", "metadata", "later", "agent_config"} {
		sendBack[name] = created[name]
	}
	sendBack["enabled"] = false
	body, err := json.Marshal(sendBack)
	require.NoError(t, err)
	c.key = serviceKey
	kept := c.schedules(200, "PUT", "/"+id, string(body))
	for name := range sendBack {
		assert.Equal(t, sendBack[name], kept[name], name)
	}
	assert.True(t, kept.time(t, "updated_at").After(created.time(t, "updated_at")))
	assert.Equal(t, created["created_at"], kept["created_at"])
	assert.Equal(t, created["created_by"], kept["created_by"])
	assert.Equal(t, "service_account", kept["updated_by"].(map[string]any)["type"])
	assert.Equal(t, "normal", c.oz.Schedules()[0].Mode)

	bare := c.schedules(200, "PUT", "/"+id, with(`"enabled":true`))
	for _, name := range []string{"agent_uid", "metadata", "later", "agent_config"} {
		assert.NotContains(t, bare, name)
	}
	stored := c.oz.Schedules()[0]
	assert.Equal(t, map[string]any{"name": "nightly", "cron_schedule": "0 3 * * *", "prompt": "Look at repo", "enabled": true}, stored.Fields)
	assert.Nil(t, stored.Config)

	c.schedules(200, "PUT", "/"+id, with(`"enabled":true,"agent_config":{"unknown":{"a":[1]}}`))
	assert.Equal(t, map[string]any{"unknown": map[string]any{"a": []any{json.Number("1")}}}, c.oz.Schedules()[0].Config)
	skill := c.schedules(200, "PUT", "/"+id, `{"name":"n","cron_schedule":"0 3 * * *","enabled":true,"agent_config":{"skill_spec":"o/r:s"}}`)
	assert.Equal(t, "", skill["prompt"])
	assert.Empty(t, c.oz.Violations())
}

// TestFirstSkillIsAnsweredTwice: an item that is sent back unchanged is refused for that.
func TestFirstSkillIsAnsweredTwice(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	item := c.schedules(201, "POST", "", with(`"agent_config":{"skills":["a","b"]}`))
	config := item["agent_config"].(map[string]any)
	assert.Equal(t, map[string]any{"skill_spec": "a", "skills": []any{"a", "b"}}, config)
	assert.Equal(t, map[string]any{"skills": []any{"a", "b"}}, c.oz.Schedules()[0].Config)

	encoded, err := json.Marshal(config)
	require.NoError(t, err)
	path := "/" + item["id"].(string)
	c.schedules(400, "PUT", path, with(`"enabled":true,"agent_config":`+string(encoded)))
	c.schedules(200, "PUT", path, with(`"enabled":true,"agent_config":{"skills":["a","b"]}`))
	assert.Empty(t, c.oz.Violations())
}

func TestPauseResumeDelete(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	id := c.oz.AddSchedule(team, with(`"mode":"plan","agent_config":{"unknown":1}`))
	fields := c.oz.Schedules()[0].Fields
	last := c.schedules(200, "GET", "/"+id, "")
	for _, step := range []struct {
		verb    string
		enabled bool
	}{{"pause", false}, {"pause", false}, {"resume", true}, {"resume", true}} {
		item := c.schedules(200, "POST", "/"+id+"/"+step.verb, "")
		assert.Equal(t, step.enabled, item["enabled"])
		assert.Equal(t, step.enabled, item["history"].(map[string]any)["next_run"] != nil)
		assert.True(t, item.time(t, "updated_at").After(last.time(t, "updated_at")))
		assert.Equal(t, item, c.schedules(200, "GET", "/"+id, ""))
		last = item
	}
	assert.Equal(t, fields, c.oz.Schedules()[0].Fields, "the mode and what is unknown too")

	assert.Equal(t, schedule{"success": true}, c.schedules(200, "DELETE", "/"+id, ""))
	c.schedules(404, "DELETE", "/"+id, "")
	c.schedules(404, "GET", "/"+id, "")
	assert.Empty(t, c.oz.Schedules())
	assert.Equal(t, 1, c.oz.Counts()["DELETE /agent/schedules/{id}"])
	assert.Equal(t, 2, c.oz.Counts()["POST /agent/schedules/{id}/pause"])
}

// TestLastWriterWins: there is no revision; only updated_at shows someone else's edit.
func TestLastWriterWins(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	id := c.oz.AddSchedule(team, with(`"agent_config":{"secrets":[{"name":"S"}]}`))
	before := c.schedules(200, "GET", "/"+id, "")

	c.oz.EditSchedule(id, func(fields map[string]any) {
		delete(fields["agent_config"].(map[string]any), "secrets")
		fields["metadata"] = map[string]string{"k": "v"}
	})
	edited := c.schedules(200, "GET", "/"+id, "")
	assert.True(t, edited.time(t, "updated_at").After(before.time(t, "updated_at")))
	assert.Equal(t, map[string]any{}, edited["agent_config"])
	assert.Equal(t, map[string]any{"k": "v"}, edited["metadata"])
	assert.Equal(t, map[string]any{}, edited["updated_by"], "somebody else")

	c.schedules(200, "PUT", "/"+id, with(`"enabled":true`))
	assert.NotContains(t, c.oz.Schedules()[0].Fields, "metadata")
	assert.Panics(t, func() { c.oz.EditSchedule("nothing", func(map[string]any) {}) })
	assert.Panics(t, func() { c.oz.EditSchedule(id, func(fields map[string]any) { delete(fields, "enabled") }) })
	assert.Panics(t, func() { c.oz.AddSchedule(team, `{"name":"n"}`) })
	assert.Panics(t, func() { c.oz.AddSchedule(team, with(`"scope":{}`)) })
}

func TestServersWithoutSchedules(t *testing.T) {
	t.Parallel()
	type request struct{ method, path, body string }
	for name, tt := range map[string]struct {
		o           warpsim.Options
		read, write string
	}{
		"not in the plan": {warpsim.Options{NoSchedules: true}, "feature_not_available", "feature_not_available"},
		"not permitted":   {warpsim.Options{SchedulesForbidden: true}, "", "not_authorized"},
		"both":            {warpsim.Options{NoSchedules: true, SchedulesForbidden: true}, "feature_not_available", "feature_not_available"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, tt.o)
			path := "/agent/schedules/" + c.oz.AddSchedule(team, nightly)
			before := c.oz.Schedules()
			for _, r := range []request{{"GET", "/agent/schedules", ""}, {"GET", path, ""}} {
				if tt.read == "" {
					assert.Equal(t, 200, c.rest(r.method, r.path, r.body, nil))
				} else {
					assert.Equal(t, 403, c.rest(r.method, r.path, r.body, nil))
					assert.Equal(t, tt.read, c.errorCode(r.method, r.path, r.body))
				}
			}
			for _, r := range []request{
				{"POST", "/agent/schedules", nightly}, {"PUT", path, with(`"enabled":true`)}, {"DELETE", path, ""},
				{"POST", path + "/pause", ""}, {"POST", path + "/resume", ""},
			} {
				assert.Equal(t, 403, c.rest(r.method, r.path, r.body, nil))
				assert.Equal(t, tt.write, c.errorCode(r.method, r.path, r.body))
			}
			assert.Equal(t, before, c.oz.Schedules())
		})
	}
}

func TestOldServerForgetsMetadata(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{NoScheduleMetadata: true})
	item := c.schedules(201, "POST", "", with(`"metadata":{"k":"v"}`))
	assert.NotContains(t, item, "metadata")
	path := "/" + item["id"].(string)
	assert.NotContains(t, c.schedules(200, "PUT", path, with(`"enabled":true,"metadata":{"k":"v"}`)), "metadata")
	assert.NotContains(t, c.schedules(200, "GET", path, ""), "metadata")
	assert.Nil(t, c.oz.Schedules()[0].Metadata)
	c.oz.AddSchedule(team, with(`"metadata":{"k":"v"}`))
	assert.Nil(t, c.oz.Schedules()[1].Metadata)
	assert.Empty(t, c.oz.Violations())
}

// TestLostAnswersOfSchedules: the operation has happened, once.
func TestLostAnswersOfSchedules(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	id := c.oz.AddSchedule(team, nightly)
	lose := func(method, operation, path, body string) {
		c.oz.Script.Add(fault.Fault{Operation: operation, When: fault.After})
		_, err := c.send(method, "/api/v1/agent/schedules"+path, body)
		assert.Error(t, err, operation)
		assert.Equal(t, 1, c.oz.Counts()[operation], operation)
	}
	lose("POST", "POST /agent/schedules", "", nightly)
	assert.Len(t, c.oz.Schedules(), 2)
	lose("GET", "GET /agent/schedules", "", "")
	lose("GET", "GET /agent/schedules/{id}", "/"+id, "")
	lose("PUT", "PUT /agent/schedules/{id}", "/"+id, strings.Replace(with(`"enabled":true`), "Look", "See", 1))
	assert.Equal(t, "See at repo", c.oz.Schedules()[0].Prompt)
	lose("POST", "POST /agent/schedules/{id}/pause", "/"+id+"/pause", "")
	assert.False(t, c.oz.Schedules()[0].Enabled)
	lose("POST", "POST /agent/schedules/{id}/resume", "/"+id+"/resume", "")
	assert.True(t, c.oz.Schedules()[0].Enabled)
	lose("DELETE", "DELETE /agent/schedules/{id}", "/"+id, "")
	assert.Len(t, c.oz.Schedules(), 1)
}

func TestSecretsInSchedulesAreFound(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"name":      strings.Replace(nightly, "nightly", "plain-text", 1),
		"prompt":    strings.Replace(nightly, "Look", "plain-text", 1),
		"metadata":  with(`"metadata":{"k":"plain-text"}`),
		"config":    with(`"agent_config":{"mcp_servers":{"m":{"env":{"T":"plain-text"}}}}`),
		"escaped":   with(`"later":"plain\u002dtext"`),
		"a refusal": `{"prompt":"plain-text"}`,
	} {
		c := start(t, warpsim.Options{})
		c.oz.AddSecret(team, "TOKEN", "plain-text")
		_ = c.rest("POST", "/agent/schedules", body, nil)
		want := []string{"the value of secret TOKEN stands in the clear in a schedule"}
		assert.Equal(t, want, c.oz.Violations(), name)

		c = start(t, warpsim.Options{})
		id := c.oz.AddSchedule(team, nightly)
		_ = c.rest("PUT", "/agent/schedules/"+id, strings.TrimSuffix(body, "}")+`,"enabled":true}`, nil)
		assert.Empty(t, c.oz.Violations())
		c.oz.AddSecret(team, "TOKEN", "plain-text")
		assert.Equal(t, want, c.oz.Violations(), name)
	}
}

// TestTickStartsARun: with the schedule's prompt, metadata and agent, and the secrets of both lists, but without
// personal secrets.
func TestTickStartsARun(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	for _, name := range []string{"LISTED", "ASKED", "OTHER"} {
		c.oz.AddSecret(team, name, "of the team")
		c.oz.AddSecret(personal, name, "of the user")
	}
	c.oz.AddSecret(personal, "MINE", "of the user")
	commit := `git -c user.name=a -c user.email=a@b -C repo commit --quiet --allow-empty -m x`
	uid := c.oz.AddEnvironment(team, environment(`[{"name":"LISTED"},{"name":"MINE"}]`,
		"git init --quiet repo && "+commit, "git -C repo rev-parse HEAD", `echo "$LISTED, $ASKED, $OTHER, $MINE."`))
	item := c.schedules(201, "POST", "", with(`"metadata":{"k":"v"},"agent_config":{"environment_id":"`+uid+`","model_id":"auto","secrets":[{"name":"ASKED"}]}`))
	id := item["id"].(string)

	run := c.oz.WaitForRun(c.oz.Tick(id))

	require.Len(t, run.Steps, 3)
	assert.Equal(t, "of the team, of the team, , .", strings.TrimSpace(run.Steps[2].Output))
	assert.Equal(t, "The commit in repo is "+strings.TrimSpace(run.Steps[1].Output)+".", run.Reply)
	run.Steps, run.Reply, run.Workspace, run.Home = nil, "", "", ""
	assert.Equal(t, warpsim.Run{
		ID: run.ID, State: "SUCCEEDED", EnvironmentID: uid, Title: "nightly", Prompt: "Look at repo", Model: "auto",
		Source: "SCHEDULED_AGENT", ScheduleID: id, Owner: team, Metadata: map[string]string{"k": "v"}, Secrets: []string{"ASKED", "LISTED"},
	}, run)

	c.oz.EditSchedule(id, func(fields map[string]any) { fields["name"] = "renamed" })
	require.Equal(t, 200, c.startRun(uid, ""))
	var listed struct {
		Runs []struct {
			RunID    string `json:"run_id"`
			Source   string
			Metadata map[string]string
			Schedule map[string]string
		}
	}
	require.Equal(t, 200, c.rest("GET", "/agent/runs?schedule_id="+id, "", &listed))
	require.Len(t, listed.Runs, 1)
	assert.Equal(t, run.ID, listed.Runs[0].RunID)
	assert.Equal(t, "SCHEDULED_AGENT", listed.Runs[0].Source)
	assert.Equal(t, map[string]string{"k": "v"}, listed.Runs[0].Metadata)
	assert.Equal(t, map[string]string{"schedule_id": id, "schedule_name": "nightly", "cron_schedule": "0 3 * * *"}, listed.Runs[0].Schedule, "as it was then")
	listed.Runs = nil
	require.Equal(t, 200, c.rest("GET", "/agent/runs", "", &listed))
	assert.Equal(t, []any{"API", map[string]string(nil)}, []any{listed.Runs[0].Source, listed.Runs[0].Schedule})
	assert.NotContains(t, c.oz.Counts(), "GET /agent/runs/{id}")
	assert.Equal(t, 1, c.oz.Counts()["POST /agent/runs"], "a tick is not a request")
	assert.Empty(t, c.oz.Violations())
}

func TestTickThatStartsNoRun(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, environment(""))
	deleted := c.oz.AddEnvironment(warpsim.Owner{Type: "User", UID: "someone"}, environment(""))
	id := c.schedules(201, "POST", "", with(`"agent_config":{"environment_id":"unknown"}`))["id"].(string)
	get := func() schedule { return c.schedules(200, "GET", "/"+id, "") }
	use := func(uid string) {
		c.oz.EditSchedule(id, func(fields map[string]any) { fields["agent_config"] = map[string]any{"environment_id": uid} })
	}

	written := get()["updated_at"]
	assert.Empty(t, c.oz.Tick(id))
	item := get()
	assert.Equal(t, `environment "unknown" not found`, item["last_spawn_error"])
	assert.Equal(t, item["last_spawn_error"], c.oz.Schedules()[0].LastSpawnError)
	assert.Nil(t, item["history"].(map[string]any)["last_ran"])
	assert.NotContains(t, item, "environment")
	assert.Equal(t, written, item["updated_at"], "a tick is not a write")

	use(deleted)
	assert.Empty(t, c.oz.Tick(id), "somebody else's")
	use(uid)
	assert.Contains(t, get(), "environment")
	assert.Equal(t, "SUCCEEDED", c.oz.WaitForRun(c.oz.Tick(id)).State)
	item = get()
	assert.Nil(t, item["last_spawn_error"], "a good tick clears it")
	assert.NotNil(t, item["history"].(map[string]any)["last_ran"])

	c.schedules(200, "POST", "/"+id+"/pause", "")
	assert.Empty(t, c.oz.Tick(id))
	assert.Nil(t, get()["last_spawn_error"])
	c.schedules(200, "POST", "/"+id+"/resume", "")
	c.oz.Trash(uid)
	assert.Empty(t, c.oz.Tick(id))
	assert.NotNil(t, get()["last_spawn_error"])
	assert.NotContains(t, get(), "environment")
	c.schedules(200, "DELETE", "/"+id, "")
	assert.Empty(t, c.oz.Tick(id))
	assert.Len(t, c.oz.Runs(), 1)
	c.oz.Close()
	assert.Empty(t, c.oz.Tick(id))
}

// TestTickOfAPersonalSchedule: its run reads the secrets of its owner's teams, and none of the owner's own.
func TestTickOfAPersonalSchedule(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.oz.AddSecret(team, "SHARED", "of the team")
	c.oz.AddSecret(personal, "SHARED", "of the user")
	c.oz.AddSecret(personal, "MINE", "of the user")
	uid := c.oz.AddEnvironment(team, environment(`[{"name":"SHARED"},{"name":"MINE"}]`, `echo "$SHARED, $MINE."`))
	id := c.oz.AddSchedule(personal, with(`"agent_config":{"environment_id":"`+uid+`"}`))

	run := c.oz.WaitForRun(c.oz.Tick(id))

	assert.Equal(t, []string{"of the team, ./0"}, steps(run))
	assert.Equal(t, personal, run.Owner)

	stranger := warpsim.Owner{Type: "User", UID: "stranger"}
	id = c.oz.AddSchedule(stranger, with(`"agent_config":{"environment_id":"`+c.oz.AddEnvironment(stranger, environment(""))+`"}`))
	assert.Equal(t, "SUCCEEDED", c.oz.WaitForRun(c.oz.Tick(id)).State)
}

// TestTickFollowsTheBehaviours: the queue of runs is for ticks too. Deleting a schedule does not end its run.
func TestTickFollowsTheBehaviours(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, environment(""))
	id := c.oz.AddSchedule(team, with(`"agent_config":{"environment_id":"`+uid+`"}`))
	c.oz.Behave(warpsim.Behaviour{State: "FAILED"}, warpsim.Behaviour{Hold: time.Hour})
	assert.Equal(t, "FAILED", c.oz.WaitForRun(c.oz.Tick(id)).State)
	held := c.oz.Tick(id)
	c.schedules(200, "DELETE", "/"+id, "")
	assert.True(t, c.oz.Runs()[1].Going())
	require.Equal(t, 200, c.rest("POST", "/agent/runs/"+held+"/cancel", "", nil))
	assert.Equal(t, "CANCELLED", c.oz.WaitForRun(held).State)
}

func TestNextRun(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	for _, tt := range []struct {
		cron string
		fits func(time.Time) bool
	}{
		{"* * * * *", func(at time.Time) bool { return at.Sub(now) <= 2*time.Minute }},
		{"*/15 * * * *", func(at time.Time) bool { return at.Minute()%15 == 0 && at.Sub(now) <= 16*time.Minute }},
		{"7 4-5,6 * * *", func(at time.Time) bool { return at.Minute() == 7 && at.Hour() >= 4 && at.Hour() <= 6 }},
		{"0 5/6 * * *", func(at time.Time) bool { return at.Hour()%6 == 5 }},
		{"0 0 29 2 *", func(at time.Time) bool { return at.Month() == 2 && at.Day() == 29 }},
		{"0 0 * * 7", func(at time.Time) bool { return at.Weekday() == time.Sunday && at.Sub(now) < 8*24*time.Hour }},
		{"0 0 13 * 5", func(at time.Time) bool { return at.Sub(now) < 8*24*time.Hour && (at.Day() == 13 || at.Weekday() == 5) }},
		{"0 0 1-7 * *", func(at time.Time) bool { return at.Day() == 1 || at.Sub(now) < 24*time.Hour }},
		{"0 0 31 2 *", nil},
	} {
		c := start(t, warpsim.Options{})
		id := c.oz.AddSchedule(team, strings.Replace(nightly, "0 3 * * *", tt.cron, 1))
		next := c.schedules(200, "GET", "/"+id, "")["history"].(map[string]any)["next_run"]
		if tt.fits == nil {
			assert.Nil(t, next, tt.cron)
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, next.(string))
		require.NoError(t, err)
		assert.True(t, at.After(now) && at.Second() == 0 && tt.fits(at), "%s: %s", tt.cron, at)
	}
}
