package warp_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// schedule is a schedule whose item is text.
func schedule(t *testing.T, text string) warp.Schedule {
	t.Helper()
	model, err := warp.ParseModel(text)
	require.NoError(t, err)
	return warp.Schedule{Model: model, ID: "Sc1"}
}

func TestRequestOfASchedule(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ in, want string }{
		"an empty object": {`{}`, `{}`},
		"what the server alone writes is left out": {
			`{"id":"Sc1","name":"n","created_at":"a","updated_at":"b","environment":{"name":"e"},"history":{"next_run":null},"prompt":"p",` +
				`"last_spawn_error":null,"scope":{"type":"Team"},"created_by":{},"updated_by":{},"enabled":true}`,
			`{"name":"n","prompt":"p","enabled":true}`,
		},
		"every other byte stays": {
			"{ \"id\": \"Sc1\",\n  \"from_the_future\" : [1.50e3, 12345678901234567890] ,\n  \"mode\":\"plan\",  \"agent_uid\": null, \"prompt\":\"a\\u0026b\\r\\n\" }",
			"{ \n  \"from_the_future\" : [1.50e3, 12345678901234567890] ,\n  \"mode\":\"plan\",  \"agent_uid\": null, \"prompt\":\"a\\u0026b\\r\\n\" }",
		},
		"a key below the top stays": {`{"x":{"id":1,"scope":2},"metadata":{"environment":"E"}}`, `{"x":{"id":1,"scope":2},"metadata":{"environment":"E"}}`},
		"one that stands twice":     {`{"id":1,"name":"n","id":2}`, `{"name":"n"}`},
		"the configuration keeps its keys and numbers, and loses spaces": {
			`{"agent_config": {"environment_id":"E", "idle_timeout_minutes":5.0,"x":[ 1 ]} ,"name":"n"}`,
			`{"agent_config": {"environment_id":"E","idle_timeout_minutes":5.0,"x":[1]} ,"name":"n"}`,
		},
		"skill_spec goes beside skills": {
			`{"agent_config":{"skill_spec":"a","skills":["a","b"],"model_id":"m"}}`, `{"agent_config":{"skills":["a","b"],"model_id":"m"}}`,
		},
		"which an empty list is not": {`{"agent_config":{"skills":[],"skill_spec":"a"}}`, `{"agent_config":{"skill_spec":"a"}}`},
		"nor null":                   {`{"agent_config":{"skills":null,"skill_spec":"a"}}`, `{"agent_config":{"skill_spec":"a"}}`},
		"skill_spec alone stays":     {`{"agent_config":{"skill_spec":"a"}}`, `{"agent_config":{"skill_spec":"a"}}`},
		"a skill_spec at the top":    {`{"skills":[1],"skill_spec":"a"}`, `{"skills":[1],"skill_spec":"a"}`},
		"no configuration":           {`{"name":"n"}`, `{"name":"n"}`},
		"a null configuration":       {`{"agent_config":null,"name":"n"}`, `{"agent_config":{},"name":"n"}`},
		"only what is to be dropped": {`{"id":"Sc1"}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := schedule(t, test.in)
			got := s.Request().String()
			assert.Equal(t, test.want, got)
			_, err := warp.ParseModel(got)
			require.NoError(t, err)
			assert.Equal(t, test.in, s.Model.String(), "what was read stays as it is")
			assert.Equal(t, got, warp.Schedule{Model: s.Request()}.Request().String(), "nothing is left to drop")
		})
	}
	assert.Equal(t, `{}`, warp.Schedule{}.Request().String())
}

func TestAScheduleReadsItsKeys(t *testing.T) {
	t.Parallel()
	s := schedule(t, `{"id":"other","name":"n \"x\"","cron_schedule":"0 4 * * 1","prompt":"p","enabled":true,"created_at":"a","updated_at":"b",
		"agent_config":{"environment_id":"E","secrets":[{"name":"A"}]},"metadata":{"k":"v"}}`)
	names, listed := s.Config().Secrets()
	assert.Equal(t, []any{`"n \"x\"" (Sc1)`, "0 4 * * 1", "p", true, "a", "b", "E", []string{"A"}, true, map[string]string{"k": "v"}},
		[]any{s.String(), s.Cron(), s.Prompt(), s.Enabled(), s.CreatedAt(), s.UpdatedAt(), s.EnvironmentID(), names, listed, s.Metadata()})
	none := warp.Schedule{}
	assert.Equal(t, []any{`"" ()`, "", "", false, "", "", "", "{}"},
		[]any{none.String(), none.Cron(), none.Prompt(), none.Enabled(), none.CreatedAt(), none.UpdatedAt(), none.EnvironmentID(), none.Config().String()})
	assert.Empty(t, none.Metadata())
	assert.Equal(t, `"f" (Fa1)`, warp.Factory{UID: "Fa1", Name: "f"}.String())
}

// TestOddShapesOfASchedule: a value that cannot be read counts as missing, and Check
// reports it.
func TestOddShapesOfASchedule(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`null`, `[]`, `"x"`, `7`, `true`} {
		assert.Equal(t, "{}", schedule(t, `{"agent_config":`+value+`}`).Config().String(), value)
		assert.Empty(t, schedule(t, `{"agent_config":`+value+`}`).EnvironmentID(), value)
		assert.Empty(t, schedule(t, `{"metadata":`+value+`}`).Metadata(), value)
	}
	assert.Empty(t, schedule(t, `{"agent_config":{"environment_id":7}}`).EnvironmentID())
	assert.Empty(t, schedule(t, `{"agent_config":{"environment_id":null}}`).EnvironmentID())
	for text, want := range map[string]bool{`true`: true, `false`: false, `null`: false, `"true"`: false, `1`: false} {
		assert.Equal(t, want, schedule(t, `{"enabled":`+text+`}`).Enabled(), text)
	}
}

func TestCheckOfASchedule(t *testing.T) {
	t.Parallel()
	const (
		metadata = "metadata is not an object of texts"
		config   = "agent_config is not an object"
		secrets  = "secrets of agent_config is not a list of objects with a name"
		enabled  = "enabled is neither true nor false"
	)
	for text, want := range map[string]string{
		`{"enabled":true}`:  "",
		`{"enabled":false}`: "",
		`{"enabled":true,"name":null,"cron_schedule":null,"prompt":null,"metadata":null,"agent_config":null}`:                               "",
		`{"enabled": true ,"agent_config":{},"metadata":{}}`:                                                                                "",
		`{"enabled":true,"agent_config":{"secrets":null}}`:                                                                                  "",
		`{"enabled":true,"agent_config":{"secrets":[]}}`:                                                                                    "",
		`{"enabled":true,"name":"n","metadata":{"a":"b"},"agent_config":{"secrets":[{"name":"A","x":1}],"from_the_future":[]},"future":{}}`: "",

		`{"enabled":true,"name":1}`:                "name is not a text",
		`{"enabled":true,"cron_schedule":["* *"]}`: "cron_schedule is not a text",
		`{"enabled":true,"prompt":{"text":"p"}}`:   "prompt is not a text",

		`{}`:                 enabled,
		`{"enabled":null}`:   enabled,
		`{"enabled":"true"}`: enabled,
		`{"enabled":1}`:      enabled,

		`{"enabled":true,"metadata":[]}`:                               metadata,
		`{"enabled":true,"metadata":"x"}`:                              metadata,
		`{"enabled":true,"metadata":{"a":1}}`:                          metadata,
		`{"enabled":true,"metadata":{"a":{"b":"c"}}}`:                  metadata,
		`{"enabled":true,"agent_config":[]}`:                           config,
		`{"enabled":true,"agent_config":"E"}`:                          config,
		`{"enabled":true,"agent_config":{"secrets":{}}}`:               secrets,
		`{"enabled":true,"agent_config":{"secrets":"A"}}`:              secrets,
		`{"enabled":true,"agent_config":{"secrets":["A"]}}`:            secrets,
		`{"enabled":true,"agent_config":{"secrets":[{"name":""}]}}`:    secrets,
		`{"enabled":true,"agent_config":{"secrets":[{"name":"A"},7]}}`: secrets,
	} {
		if err := schedule(t, text).Check(); want == "" {
			assert.NoError(t, err, text)
		} else {
			assert.EqualError(t, err, want, text)
		}
	}
}

func FuzzWithoutDropsOneKeyOnly(f *testing.F) {
	f.Add(`{"name":"a","x":[1,{"name":2}],"y":1.0}`, "name", "y")
	f.Add("{ \"a\" : 1\n , \"b\": {} , \"a\":2 }", "a", "b")
	f.Add(`{"a":1 ,"b":2 ,"c":3 }`, "b", "a")
	f.Add(` {"":null}`, "", "")
	f.Fuzz(func(t *testing.T, text, key, other string) {
		model, err := warp.ParseModel(text)
		if err != nil {
			t.Skip("not an object")
		}
		var before, after map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(text), &before))
		without := model.Without(key)
		require.NoError(t, json.Unmarshal([]byte(without.String()), &after), without.String())
		delete(before, key)
		assert.Equal(t, before, after)
		assert.LessOrEqual(t, len(without.String()), len(text))
		assert.Equal(t, without, without.Without(key))
		require.True(t, json.Valid([]byte(without.Without(other).String())), "again")
		assert.Equal(t, model.String(), text, "the receiver stays")
	})
}
