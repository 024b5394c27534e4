package test

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// The names of requests about schedules in Script and Journal.
const (
	listSchedules  = "GET /agent/schedules"
	getSchedule    = "GET /agent/schedules/{id}"
	createSchedule = "POST /agent/schedules"
	putSchedule    = "PUT /agent/schedules/{id}"
	deleteSchedule = "DELETE /agent/schedules/{id}"
	pauseSchedule  = "POST /agent/schedules/{id}/pause"
	resumeSchedule = "POST /agent/schedules/{id}/resume"
)

// scheduled returns the inputs of a job with an agent that works every night, without a smoke
// test, with changes.
func (w *world) scheduled(changes map[string]string) map[string]string {
	inputs := w.inputs(map[string]string{"smoke_test": "false", "schedule_cron": "0 3 * * *", "schedule_prompt": "Fix what broke."})
	maps.Copy(inputs, changes)
	return inputs
}

// onlySchedule returns the only schedule. The test fails when there is not exactly one.
func (w *world) onlySchedule() warpsim.Schedule {
	w.t.Helper()
	schedules := w.oz.Schedules()
	require.Len(w.t, schedules, 1)
	return schedules[0]
}

// asked returns the operations of the requests to Oz for which a condition holds.
func (w *world) asked(is func(operation string) bool) []string {
	var found []string
	for _, request := range w.oz.Journal.All() {
		if is(request.Operation) {
			found = append(found, request.Operation)
		}
	}
	return found
}

// scheduleWrites returns the writes of schedules so far, also refused ones.
func (w *world) scheduleWrites() []string {
	return w.asked(func(operation string) bool {
		return strings.Contains(operation, " /agent/schedules") && !strings.HasPrefix(operation, http.MethodGet)
	})
}

// keepsSchedule runs the same job again. It must change nothing and send no write of a schedule.
func (w *world) keepsSchedule(inputs map[string]string) {
	w.t.Helper()
	environment, schedules, written := w.onlyEnvironment(), w.oz.Schedules(), w.scheduleWrites()
	r := w.must(inputs)
	assert.Equal(w.t, []string{"keep", "rotate", "false"}, []string{r.outputs["environment_change"], r.outputs["secret_change"], r.outputs["changed"]}, r.log)
	assert.Contains(w.t, r.log, "("+r.outputs["schedule_id"]+"): keep (nothing differs)\n")
	assert.True(w.t, slices.ContainsFunc(schedules, func(s warpsim.Schedule) bool { return s.ID == r.outputs["schedule_id"] }))
	assert.Equal(w.t, environment, w.onlyEnvironment())
	assert.Equal(w.t, schedules, w.oz.Schedules())
	assert.Equal(w.t, written, w.scheduleWrites())
	assert.Len(w.t, w.oz.Secrets(), 1)
}

// inSchedule edits a schedule and its agent's configuration as someone else would.
func (w *world) inSchedule(id string, edit func(fields, config map[string]any)) {
	w.oz.EditSchedule(id, func(fields map[string]any) { edit(fields, fields["agent_config"].(map[string]any)) })
}

// editEnvironment edits the only environment as someone else would.
func (w *world) editEnvironment(edit func(model map[string]any)) {
	w.t.Helper()
	environment := w.onlyEnvironment()
	m := model(w.t, environment)
	edit(m)
	text, err := json.Marshal(m)
	require.NoError(w.t, err)
	w.oz.Edit(environment.UID, string(text))
}

// foreign returns a schedule of this name, as the API's JSON.
func foreign(name, environment, more string) string {
	return `{"name":"` + name + `","cron_schedule":"0 9 * * 1","prompt":"Theirs.","agent_config":{"environment_id":"` + environment + `"}` + more + `}`
}

// marks returns the metadata that identifies a schedule of ours.
func marks(environment string) map[string]string {
	return map[string]string{"managed_by": "oz-bitbucket", "oz-bitbucket.environment": environment}
}

func TestScheduleIsCreatedAndKept(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.scheduled(nil)
		for range 2 {
			r := w.must(inputs, "plan")
			assert.Contains(t, r.log, `schedule "acme-sample": create`)
			assert.Contains(t, r.log, "    + Fix what broke.\n")
			at := regexp.MustCompile(`every day at 03:00 UTC \(0 3 \* \* \*\), next on (.+) UTC`).FindStringSubmatch(r.log)
			require.NotNil(t, at, r.log)
			var times []time.Time
			for _, text := range regexp.MustCompile(`\w{3} \d{4}-\d\d-\d\d \d\d:\d\d`).FindAllString(at[1], -1) {
				next, err := time.Parse("Mon 2006-01-02 15:04", text)
				require.NoError(t, err)
				times = append(times, next)
			}
			require.Len(t, times, 3)
			assert.Equal(t, []time.Time{times[0], times[0].AddDate(0, 0, 1), times[0].AddDate(0, 0, 2)}, times)
			assert.Equal(t, []string{"true", ""}, []string{r.outputs["changed"], r.outputs["schedule_id"]})
		}
		w.requireNothingWritten()
		assert.Empty(t, w.oz.Schedules())
		assert.Empty(t, w.scheduleWrites())

		r := w.must(inputs)
		environment, stored := w.onlyEnvironment().UID, w.onlySchedule()
		assert.Equal(t, []string{stored.ID, "true"}, []string{r.outputs["schedule_id"], r.outputs["changed"]})
		config := map[string]any{"environment_id": environment, "secrets": []any{map[string]any{"name": "BITBUCKET_API_TOKEN"}}}
		assert.Equal(t, warpsim.Schedule{
			ID: stored.ID, Owner: team, Name: "acme-sample", Cron: "0 3 * * *", Prompt: "Fix what broke.", Enabled: true, Mode: "normal",
			Metadata: marks(environment), Config: config,
			Fields: map[string]any{
				"name": "acme-sample", "cron_schedule": "0 3 * * *", "prompt": "Fix what broke.", "enabled": true, "agent_config": config,
				"metadata": map[string]any{"managed_by": "oz-bitbucket", "oz-bitbucket.environment": environment},
			},
		}, stored)
		if w.dialect == github {
			assert.Contains(t, r.summary, stored.ID)
			assert.Contains(t, r.summary, "every day at 03:00 UTC")
		}
		w.keepsSchedule(inputs)
		w.keepsSchedule(w.scheduled(map[string]string{"schedule_cron": " 0   3 * * * "}))
		inputs["detailed_exitcode"] = "true"
		assert.Equal(t, 0, w.run(inputs, "plan").code)
		inputs["schedule_prompt"] = "Something else."
		assert.Equal(t, 4, w.run(inputs, "plan").code, "a schedule alone is a change too")
	})
}

// TestScheduleDriftIsRepaired: field by field. What others have stored stays, except the mode
// of a PUT, which no answer of the API holds.
func TestScheduleDriftIsRepaired(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		drift func(fields, config map[string]any)
		write string
		says  []string
	}{
		{"the name", func(fields, _ map[string]any) { fields["name"] = "theirs" }, putSchedule, []string{"    - theirs\n    + acme-sample\n"}},
		{"the cron", func(fields, _ map[string]any) { fields["cron_schedule"] = "0 4 * * *" }, putSchedule, []string{"    - 0 4 * * *\n    + 0 3 * * *\n"}},
		{"the prompt", func(fields, _ map[string]any) { fields["prompt"] = "Theirs." }, putSchedule, []string{"    - Theirs.\n    + Fix what broke.\n"}},
		{"a pause", func(fields, _ map[string]any) { fields["enabled"] = false }, resumeSchedule, []string{"    - false\n    + true\n"}},
		{"the environment", func(_, config map[string]any) { config["environment_id"] = "En00000000000000000009" }, putSchedule, []string{"    - En00000000000000000009\n"}},
		{"no environment", func(_, config map[string]any) { delete(config, "environment_id") }, putSchedule, []string{"  environment_id\n    + "}},
		{"the secrets", func(_, config map[string]any) { config["secrets"] = []any{} }, putSchedule, []string{"  secrets\n    + BITBUCKET_API_TOKEN\n"}},
		{"no secrets", func(_, config map[string]any) { delete(config, "secrets") }, putSchedule, []string{"  secrets\n    + BITBUCKET_API_TOKEN\n"}},
		{"several", func(fields, config map[string]any) {
			fields["enabled"], fields["cron_schedule"] = false, "* * * * *"
			delete(config, "secrets")
		}, putSchedule, []string{"    - * * * * *\n", "    - false\n", "    + BITBUCKET_API_TOKEN\n"}},
	}
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.scheduled(nil)
		w.must(inputs)
		id := w.onlySchedule().ID
		for _, tt := range tests {
			w.inSchedule(id, func(fields, config map[string]any) {
				fields["mode"], fields["agent_uid"] = "plan", "robot"
				fields["from_the_future"] = map[string]any{"a": []any{json.Number("1.50"), json.Number("12345678901234567890"), "<&>"}}
				fields["metadata"].(map[string]any)["theirs"] = "yes"
				config["model_id"], config["later"] = "auto", []any{nil, "x"}
				config["skill_spec"] = "acme/skills:fix"
			})
			want := w.onlySchedule()
			if tt.write == putSchedule {
				want.Mode = "normal"
				delete(want.Fields, "mode")
			}
			w.inSchedule(id, tt.drift)
			before := len(w.scheduleWrites())

			r := w.must(inputs)
			assert.Equal(t, []string{id, "true", "keep"}, []string{r.outputs["schedule_id"], r.outputs["changed"], r.outputs["environment_change"]}, tt.name)
			assert.Contains(t, r.log, "("+id+"): update (differs in ", tt.name)
			for _, words := range tt.says {
				assert.Contains(t, r.log, words, tt.name)
			}
			if tt.name != "several" { // their order has no meaning
				stored := w.onlySchedule()
				want.Config["secrets"], stored.Config["secrets"] = nil, nil
				assert.Equal(t, want, stored, tt.name)
			}
			assert.Equal(t, []any{json.Number("1.50"), json.Number("12345678901234567890"), "<&>"}, w.onlySchedule().Fields["from_the_future"].(map[string]any)["a"])
			assert.Equal(t, []string{tt.write}, w.scheduleWrites()[before:], tt.name)
			w.keepsSchedule(inputs)
		}
	})
}

// TestScheduleWithSkills: an answer holds the first of them twice, and no request may hold both.
func TestScheduleWithSkills(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.scheduled(nil)
		w.must(inputs)
		skills := []any{"acme/skills:fix", "acme/skills:more"}
		w.inSchedule(w.onlySchedule().ID, func(_, config map[string]any) { config["skills"] = skills })
		inputs["schedule_prompt"] = "Something else."
		w.must(inputs)
		stored := w.onlySchedule()
		assert.Equal(t, []any{"Something else.", skills, nil}, []any{stored.Prompt, stored.Config["skills"], stored.Config["skill_spec"]})
		w.keepsSchedule(inputs)
	})
}

// TestScheduleWithFurtherSecrets: the agent gets those of the environment, and keeps all others
// that it names.
func TestScheduleWithFurtherSecrets(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.must(w.scheduled(nil))
		w.inSchedule(w.onlySchedule().ID, func(_, config map[string]any) {
			config["secrets"] = []any{map[string]any{"name": "THEIRS", "later": true}}
		})
		inputs := w.scheduled(map[string]string{"environment_secrets": "NPM_TOKEN"})
		w.must(inputs)
		assert.Equal(t, []any{
			map[string]any{"name": "THEIRS", "later": true}, map[string]any{"name": "BITBUCKET_API_TOKEN"}, map[string]any{"name": "NPM_TOKEN"},
		}, w.onlySchedule().Config["secrets"])
		w.keepsSchedule(inputs)
	})
}

func TestScheduleIsPausedAndResumed(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		on, off := w.scheduled(nil), w.scheduled(map[string]string{"schedule_enabled": "false"})
		r := w.must(off)
		id := w.onlySchedule().ID
		assert.Contains(t, r.log, "every day at 03:00 UTC (0 3 * * *), paused\n")
		assert.Equal(t, []string{createSchedule}, w.scheduleWrites(), "it was never live")
		assert.Empty(t, w.oz.Tick(id))
		w.keepsSchedule(off)
		w.oz.EditSchedule(id, func(fields map[string]any) { fields["mode"] = "plan" })
		for _, to := range []struct {
			inputs  map[string]string
			enabled bool
			write   string
		}{{on, true, resumeSchedule}, {off, false, pauseSchedule}, {on, true, resumeSchedule}} {
			before := len(w.scheduleWrites())
			r = w.must(to.inputs)
			assert.Equal(t, "true", r.outputs["changed"])
			assert.Equal(t, []string{to.write}, w.scheduleWrites()[before:])
			stored := w.onlySchedule()
			assert.Equal(t, []any{id, to.enabled, "plan"}, []any{stored.ID, stored.Enabled, stored.Mode})
			w.keepsSchedule(to.inputs)
		}
	})
}

func TestScheduleIsRenamed(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.must(w.scheduled(nil))
		id := w.onlySchedule().ID
		for _, name := range []string{"nightly", "weekly <&>", "acme-sample"} {
			inputs := w.scheduled(map[string]string{"schedule_name": name})
			r := w.must(inputs)
			assert.Equal(t, []string{id, name}, []string{r.outputs["schedule_id"], w.onlySchedule().Name}, "found by its mark")
			assert.NotContains(t, r.log, "uses it")
			w.keepsSchedule(inputs)
		}
	})
}

// TestScheduleOfAnOldServer: without marks it is found by its name.
func TestScheduleOfAnOldServer(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{NoScheduleMetadata: true}, func(t *testing.T, w *world) {
		inputs := w.scheduled(map[string]string{"schedule_name": "nightly"})
		w.must(inputs)
		id := w.onlySchedule().ID
		assert.Empty(t, w.onlySchedule().Metadata)
		w.keepsSchedule(inputs)
		inputs["schedule_prompt"] = "Something else."
		assert.Equal(t, id, w.must(inputs).outputs["schedule_id"])
		assert.Equal(t, []string{id, "Something else."}, []string{w.onlySchedule().ID, w.onlySchedule().Prompt})
		w.keepsSchedule(inputs)
	})
}

// TestScheduleOfAPersonIsAdopted: only when it has the name, the owner and the environment.
// From then on it has our mark.
func TestScheduleOfAPersonIsAdopted(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.must(w.inputs(map[string]string{"smoke_test": "false"}))
		environment := w.onlyEnvironment().UID
		adopted := w.oz.AddSchedule(team, foreign("acme-sample", environment, `,"metadata":{"theirs":"yes"},"agent_uid":"robot"`))
		w.oz.AddSchedule(team, foreign("acme-sample", "En00000000000000000009", ""))
		w.oz.AddSchedule(team, foreign("another", environment, ""))
		w.oz.AddSchedule(warpsim.Owner{Type: "User", UID: userUID}, foreign("acme-sample", environment, ""))
		others := w.oz.Schedules()[1:]

		inputs := w.scheduled(nil)
		r := w.must(inputs)
		assert.Equal(t, adopted, r.outputs["schedule_id"])
		for _, line := range []string{"    - Theirs.\n", "    - 0 9 * * 1\n", "schedule \"another\" (" + others[1].ID + ") uses it", others[2].ID + ") uses it"} {
			assert.Contains(t, r.log, line)
		}
		assert.NotContains(t, r.log, others[0].ID)
		stored := w.oz.Schedules()[0]
		want := marks(environment)
		want["theirs"] = "yes"
		assert.Equal(t, []any{adopted, "Fix what broke.", "robot", want}, []any{stored.ID, stored.Prompt, stored.AgentUID, stored.Metadata})
		w.keepsSchedule(inputs)
		inputs["schedule_name"] = "renamed"
		assert.Equal(t, adopted, w.must(inputs).outputs["schedule_id"])
		w.keepsSchedule(inputs)
		assert.Equal(t, others, w.oz.Schedules()[1:])
	})
}

func TestScheduleTwinsAreAnError(t *testing.T) {
	t.Parallel()
	for _, marked := range []bool{false, true} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			w.must(w.inputs(map[string]string{"smoke_test": "false"}))
			environment, more := w.onlyEnvironment().UID, ""
			if marked { // with any name
				more = `,"metadata":{"managed_by":"oz-bitbucket","oz-bitbucket.environment":"` + environment + `"}`
			}
			names := map[bool]string{true: "another", false: "acme-sample"}
			first := w.oz.AddSchedule(team, foreign("acme-sample", environment, more))
			second := w.oz.AddSchedule(team, foreign(names[marked], environment, more))
			before, counts := w.oz.Schedules(), w.oz.Counts()
			for range 2 {
				r := w.run(w.scheduled(nil))
				assert.Equal(t, 1, r.code)
				assert.Contains(t, r.log, first)
				assert.Contains(t, r.log, second)
				assert.Contains(t, r.log, "delete all but one in Oz")
				assert.Contains(t, r.log, "nothing was written")
				assert.Equal(t, before, w.oz.Schedules())
				assert.Empty(t, w.scheduleWrites())
				assert.Equal(t, counts["UpdateManagedSecret"], w.oz.Counts()["UpdateManagedSecret"])
			}
			w.must(w.inputs(map[string]string{"smoke_test": "false"}))
		})
	}
}

// together runs a job three times at once, and expects the same schedule from all.
func (w *world) together(inputs map[string]string) {
	w.t.Helper()
	var jobs []*job
	for range 3 {
		jobs = append(jobs, w.start(inputs))
	}
	var ended []result
	for _, job := range jobs {
		ended = append(ended, job.wait())
	}
	for _, r := range ended {
		assert.Equal(w.t, 0, r.code, r.log)
		assert.Equal(w.t, w.onlySchedule().ID, r.outputs["schedule_id"], r.log)
	}
	w.keepsSchedule(inputs)
}

// TestScheduleJobsThatStartTogetherLeaveOne: the first jobs create everything, the second only
// the schedule. No such request takes effect before all have arrived.
func TestScheduleJobsThatStartTogetherLeaveOne(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{Latency: 50 * time.Millisecond}, func(t *testing.T, w *world) { w.together(w.scheduled(nil)) })
	for _, options := range []warpsim.Options{{}, {NoScheduleMetadata: true}} {
		inBoth(t, options, func(t *testing.T, w *world) {
			w.must(w.inputs(map[string]string{"smoke_test": "false"}))
			var all sync.WaitGroup
			all.Add(3)
			w.oz.Script.Add(fault.Fault{Operation: createSchedule, When: fault.Meanwhile, Times: 3, Do: func() { all.Done(); all.Wait() }})
			w.together(w.scheduled(nil))
			assert.Equal(t, []int{3, 2}, []int{w.oz.Counts()[createSchedule], w.oz.Counts()[deleteSchedule]})
		})
	}
}

func TestScheduleThatIsYoungerGoesThoughAnswersAreLost(t *testing.T) {
	t.Parallel()
	for _, when := range []fault.When{fault.Before, fault.After} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			w.must(w.inputs(map[string]string{"smoke_test": "false"}))
			older := make(chan string, 1)
			w.oz.Script.Add(fault.Fault{Operation: createSchedule, When: fault.Meanwhile, Do: func() {
				environment := w.oz.Environments()[0].UID
				older <- w.oz.AddSchedule(team, foreign("acme-sample", environment, `,"metadata":{"managed_by":"oz-bitbucket"}`))
			}})
			w.oz.Script.Add(fault.Fault{Operation: deleteSchedule, When: when})
			inputs := w.scheduled(nil)
			r := w.must(inputs)
			assert.Equal(t, <-older, r.outputs["schedule_id"])
			assert.Contains(t, r.log, "which this job has just created")
			assert.Equal(t, "Fix what broke.", w.onlySchedule().Prompt)
			w.keepsSchedule(inputs)
		})
	}
}

// TestScheduleSurvivesLostAnswers loses each answer, before and after the effect, and
// expects one schedule in the desired state.
func TestScheduleSurvivesLostAnswers(t *testing.T) {
	t.Parallel()
	now := http.Header{"Retry-After": {"0"}}
	reads := []fault.Fault{{When: fault.Before}, {When: fault.After}, {When: fault.Before, Status: 503, Header: now}, {When: fault.After, Status: 503, Header: now}}
	writes := append(slices.Clone(reads), fault.Fault{When: fault.After, Status: 200, Body: "{}"}, fault.Fault{When: fault.Before, Status: 429, Header: now})
	on, off := map[string]string(nil), map[string]string{"schedule_enabled": "false"}
	other := map[string]string{"schedule_prompt": "Something else."}
	tests := []struct {
		operation string
		skip      int
		before    map[string]string // nil: there is no schedule
		after     map[string]string
		strikes   []fault.Fault
	}{
		{createSchedule, 0, nil, other, writes},
		{createSchedule, 0, nil, off, writes},
		{putSchedule, 0, off, map[string]string{"schedule_enabled": "false", "schedule_prompt": "Something else."}, writes},
		{pauseSchedule, 0, other, map[string]string{"schedule_enabled": "false", "schedule_prompt": "Something else."}, writes},
		{resumeSchedule, 0, off, on, writes},
		{listSchedules, 0, off, other, reads},
		{listSchedules, 1, nil, other, reads},
		{getSchedule, 0, off, other, reads},
	}
	for _, tt := range tests {
		t.Run(tt.operation, func(t *testing.T) {
			t.Parallel()
			inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
				for _, strike := range tt.strikes {
					for _, s := range w.oz.Schedules() { // of the fault before
						w.oz.EditSchedule(s.ID, func(fields map[string]any) { delete(fields, "metadata"); fields["name"] = "left" })
					}
					left := len(w.oz.Schedules())
					if tt.before != nil {
						w.must(w.scheduled(tt.before))
					} else {
						w.must(w.inputs(map[string]string{"smoke_test": "false"}))
					}
					strike.Operation, strike.Skip = tt.operation, tt.skip
					w.oz.Script.Add(strike)
					inputs := w.scheduled(tt.after)
					r := w.must(inputs)
					_, due := w.oz.Script.Next(tt.operation)
					assert.False(t, due, "the fault did not happen")
					schedules := w.oz.Schedules()
					require.Len(t, schedules, left+1, r.log)
					stored := schedules[left]
					assert.Equal(t, []any{stored.ID, "true"}, []any{r.outputs["schedule_id"], r.outputs["changed"]}, r.log)
					assert.Equal(t, []any{inputs["schedule_prompt"], inputs["schedule_enabled"] != "false"}, []any{stored.Prompt, stored.Enabled})
					w.keepsSchedule(inputs)
				}
			})
		})
	}
}

func TestScheduleOutageSaysWhatWasWritten(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.scheduled(nil)
		for _, operation := range []string{createSchedule, putSchedule, pauseSchedule} {
			if operation == putSchedule {
				inputs["schedule_prompt"] = "Something else."
			}
			if operation == pauseSchedule {
				inputs["schedule_enabled"] = "false"
			}
			w.oz.Script.Add(fault.Fault{Operation: operation, Status: 500, Times: -1})
			r := w.run(inputs)
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, "the secret and environment "+w.onlyEnvironment().UID+" are written, but it is not known whether its schedule is; run again to converge")
			assert.LessOrEqual(t, len(w.oz.Schedules()), 1)
			w.oz.Script.Clear()
			r = w.must(inputs)
			assert.Equal(t, []string{w.onlySchedule().ID, "true"}, []string{r.outputs["schedule_id"], r.outputs["changed"]})
			w.keepsSchedule(inputs)
		}
	})
}

// TestScheduleThatSomeoneElseWritesMeanwhile: it is merged again. Their fields stay, ours are set.
func TestScheduleThatSomeoneElseWritesMeanwhile(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.scheduled(nil)
		w.must(inputs)
		id := w.onlySchedule().ID
		meanwhile := func(operation string, edit func(fields, config map[string]any)) {
			w.oz.Script.Add(fault.Fault{Operation: operation, When: fault.Meanwhile, Do: func() { w.inSchedule(id, edit) }})
		}
		meanwhile(getSchedule, func(fields, config map[string]any) {
			fields["prompt"], fields["theirs"], config["model_id"] = "Theirs.", json.Number("7"), "auto"
			fields["metadata"].(map[string]any)["theirs"] = "yes"
		})
		inputs["schedule_prompt"] = "Something else."
		r := w.must(inputs)
		assert.Contains(t, r.log, "was changed since it was read; merging again")
		stored := w.onlySchedule()
		assert.Equal(t, []any{id, "Something else.", json.Number("7"), "auto", "yes"},
			[]any{stored.ID, stored.Prompt, stored.Fields["theirs"], stored.Config["model_id"], stored.Metadata["theirs"]})
		w.keepsSchedule(inputs)

		meanwhile(pauseSchedule, func(fields, _ map[string]any) { fields["prompt"] = "Theirs." })
		inputs["schedule_enabled"] = "false"
		w.must(inputs)
		assert.Equal(t, []any{"Something else.", false}, []any{w.onlySchedule().Prompt, w.onlySchedule().Enabled})
		w.keepsSchedule(inputs)

		before := len(w.scheduleWrites())
		meanwhile(getSchedule, func(fields, _ map[string]any) { fields["prompt"] = "Both." })
		inputs["schedule_prompt"] = "Both."
		r = w.must(inputs)
		assert.Equal(t, "false", r.outputs["changed"])
		assert.Len(t, w.scheduleWrites(), before, "nothing was left to do")
		w.keepsSchedule(inputs)
	})
}

// TestScheduleThatSomeoneElseDeletesMeanwhile: it exists again after the next run at the latest.
func TestScheduleThatSomeoneElseDeletesMeanwhile(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.scheduled(nil)
		w.must(inputs)
		id := w.onlySchedule().ID
		w.oz.Script.Add(fault.Fault{Operation: getSchedule, When: fault.Meanwhile, Do: func() {
			request, err := http.NewRequest(http.MethodDelete, w.oz.URL()+"/api/v1/agent/schedules/"+id, nil)
			if assert.NoError(t, err) {
				request.Header.Set("Authorization", "Bearer "+serviceKey)
				answer, err := http.DefaultClient.Do(request)
				if assert.NoError(t, err) {
					_ = answer.Body.Close()
				}
			}
		}})
		inputs["schedule_prompt"] = "Something else."
		r := w.must(inputs)
		assert.Contains(t, r.log, "schedule \"acme-sample\" ("+id+") is gone: ")
		assert.Equal(t, []string{w.onlySchedule().ID, "true"}, []string{r.outputs["schedule_id"], r.outputs["changed"]})
		assert.NotEqual(t, id, w.onlySchedule().ID)
		w.keepsSchedule(inputs)
	})
}

func TestScheduleInputsThatAreWrongSendNoRequest(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for _, tt := range []struct {
			changes map[string]string
			says    string
		}{
			{map[string]string{"scope": "personal"}, "schedule_cron: cannot be used with scope: personal"},
			{map[string]string{"schedule_cron": "0 0 30 2 *"}, "schedule_cron: "},
			{map[string]string{"schedule_cron": "0 25 * * *"}, "schedule_cron: "},
			{map[string]string{"schedule_cron": "@daily"}, "0 0 * * *"},
			{map[string]string{"schedule_cron": ""}, "schedule_prompt: does nothing without schedule_cron"},
			{map[string]string{"schedule_prompt": ""}, "schedule_prompt: is missing"},
			{map[string]string{"schedule_cron": "", "schedule_prompt": "", "schedule_name": "x"}, "schedule_name: does nothing"},
			{map[string]string{"schedule_cron": "", "schedule_prompt": "", "schedule_enabled": "false"}, "schedule_enabled: does nothing"},
			{map[string]string{"schedule_enabled": "maybe"}, "schedule_enabled: "},
			{map[string]string{"schedule_prompt": "Use " + cloudToken}, "schedule_prompt: "},
		} {
			for _, mode := range []string{"apply", "plan"} {
				r := w.run(w.scheduled(tt.changes), mode)
				assert.Equal(t, 2, r.code, r.log)
				assert.Contains(t, r.log, tt.says)
				assert.Empty(t, r.outputs["schedule_id"])
			}
		}
		assert.Empty(t, w.oz.Journal.All())
		assert.Empty(t, w.bitbucket.Journal.All())
	})
}

// TestScheduleWithoutPermission: Oz refuses the write, after those of the secret and the
// environment.
func TestScheduleWithoutPermission(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{SchedulesForbidden: true}, func(t *testing.T, w *world) {
		for _, change := range []string{"create", "keep"} {
			r := w.run(w.scheduled(nil))
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, "warp_api_key may not manage schedules of this team: use an agent key of the team, or the key of a member who may")
			assert.Contains(t, r.log, "the secret and environment "+w.onlyEnvironment().UID+" are written, but its schedule is not\n")
			assert.Equal(t, []string{change, ""}, []string{r.outputs["environment_change"], r.outputs["schedule_id"]})
			w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
			assert.Empty(t, w.oz.Schedules())
		}
		assert.Len(t, w.scheduleWrites(), 2, "a refusal is not tried again")

		id := w.oz.AddSchedule(team, foreign("acme-sample", w.onlyEnvironment().UID, ""))
		before := w.oz.Schedules()
		for range 2 {
			r := w.run(w.scheduled(nil))
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, "update schedule \"acme-sample\" ("+id+")")
			assert.Contains(t, r.log, "warp_api_key may not manage schedules of this team")
			assert.Equal(t, before, w.oz.Schedules())
		}
		w.keeps(w.inputs(map[string]string{"smoke_test": "false"}))
	})
}

// TestScheduleThatThePlanOfTheTeamDoesNotInclude: it is refused before anything is written. A job
// without a schedule is not affected.
func TestScheduleThatThePlanOfTheTeamDoesNotInclude(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{NoSchedules: true}, func(t *testing.T, w *world) {
		for range 2 {
			r := w.run(w.scheduled(nil))
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, "feature_not_available")
			assert.Contains(t, r.log, "the team's Warp plan does not include scheduled agents: change the plan, or leave schedule_cron out")
			assert.Contains(t, r.log, "nothing was written")
			w.requireNothingWritten()
		}
		w.must(w.inputs(map[string]string{"smoke_test": "false"}))
		w.keeps(w.inputs(map[string]string{"smoke_test": "false"}))
		r := w.must(w.inputs(map[string]string{"smoke_test": "false"}))
		assert.Contains(t, r.log, "note: not everything that starts agents could be read for environment")
		assert.Empty(t, w.scheduleWrites())
	})
}

func TestScheduleOfEachMinuteWarnsOfItsCost(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		const warning = "each run costs credits"
		inputs := w.scheduled(map[string]string{"schedule_cron": "* * * * *"})
		assert.Contains(t, w.must(inputs, "plan").log, warning)
		for range 2 {
			assert.Contains(t, w.must(inputs).log, warning)
		}
		assert.Equal(t, "* * * * *", w.onlySchedule().Cron)
		assert.NotContains(t, w.must(w.scheduled(nil)).log, warning)
	})
}

func TestScheduleThatIsNotAskedForStays(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.must(w.scheduled(nil))
		w.inSchedule(w.onlySchedule().ID, func(fields, config map[string]any) {
			fields["prompt"], fields["enabled"] = "Theirs.", false
			delete(config, "secrets")
		})
		before, written := w.oz.Schedules(), w.scheduleWrites()
		for _, changes := range []map[string]string{nil, {"docker_image": "ubuntu:24.04"}, {"docker_image": "ubuntu:24.04"}} {
			inputs := w.inputs(changes)
			inputs["smoke_test"] = "false"
			r := w.must(inputs)
			assert.Empty(t, r.outputs["schedule_id"])
			assert.Equal(t, before, w.oz.Schedules())
		}
		w.must(w.rotation(map[string]string{"smoke_test": "false"}))
		assert.Equal(t, before, w.oz.Schedules())
		assert.Equal(t, written, w.scheduleWrites())
	})
}

func TestScheduleGoesWithItsEnvironment(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.must(w.scheduled(map[string]string{"schedule_name": "nightly"}))
		id := w.onlySchedule().ID
		inputs := w.inputs(map[string]string{"mode": "destroy", "bitbucket_token": ""})
		r := w.must(inputs)
		assert.Contains(t, r.log, "schedule \"nightly\" ("+id+"): delete")
		assert.Equal(t, "delete", r.outputs["environment_change"])
		assert.Empty(t, w.oz.Schedules())
		assert.Empty(t, w.oz.Environments())
		written := w.scheduleWrites()
		r = w.must(inputs)
		assert.Equal(t, []string{"keep", "false"}, []string{r.outputs["environment_change"], r.outputs["changed"]})
		assert.Equal(t, written, w.scheduleWrites())
	})
}

// ticked returns the run that a schedule started, after its end.
func (w *world) ticked(id string) warpsim.Run {
	w.t.Helper()
	run := w.oz.Tick(id)
	require.NotEmpty(w.t, run)
	return w.oz.WaitForRun(run)
}

// requireTicked checks that a run of the schedule finds the code.
func (w *world) requireTicked(id string) {
	w.t.Helper()
	run := w.ticked(id)
	assert.Equal(w.t, []any{"SUCCEEDED", "SCHEDULED_AGENT", id, team}, []any{run.State, run.Source, run.ScheduleID, run.Owner})
	assert.Equal(w.t, []string{"BITBUCKET_API_TOKEN"}, run.Secrets)
	require.Len(w.t, run.Steps, 4)
	for _, step := range run.Steps {
		assert.Zero(w.t, step.Code, step.Output)
	}
}

func TestTickFindsTheCode(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.scheduled(map[string]string{"setup_commands": "test -f README.md"})
		for range 2 {
			w.must(inputs)
			w.requireTicked(w.onlySchedule().ID)
			assert.Equal(t, "Fix what broke.", w.lastRun().Prompt)
		}
	})
}

// TestTickWithoutTheSecretDoesNotFindTheCode: the plan and mode test reported it before.
func TestTickWithoutTheSecretDoesNotFindTheCode(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		const warning = `runs cannot clone in environment "acme-sample" (`
		inputs := w.scheduled(map[string]string{"setup_commands": "test -f README.md"})
		w.must(inputs)
		id, environment := w.onlySchedule().ID, w.onlyEnvironment().UID
		w.editEnvironment(func(model map[string]any) { model["secrets"] = []any{} })
		w.inSchedule(id, func(_, config map[string]any) { config["secrets"] = []any{} })
		test := w.inputs(map[string]string{"mode": "test"})
		for range 2 {
			r := w.must(inputs, "plan")
			assert.Contains(t, r.log, warning+environment+"): its setup commands clone with secret \"BITBUCKET_API_TOKEN\", which is not in its list of secrets")
			assert.Contains(t, r.log, "    + BITBUCKET_API_TOKEN\n")

			run := w.ticked(id)
			assert.Equal(t, []any{"FAILED", 0}, []any{run.State, len(run.Secrets)})
			require.NotEmpty(t, run.Steps)
			assert.NotZero(t, run.Steps[len(run.Steps)-1].Code)
			assert.Contains(t, run.Steps[len(run.Steps)-1].Command, "git clone")

			r = w.run(test)
			assert.Equal(t, 3, r.code, r.log)
			assert.Contains(t, r.log, warning)
			assert.Contains(t, r.log, "run apply, which adds it again")
			assert.Empty(t, w.onlySchedule().Config["secrets"], "a test writes nothing")
		}
		r := w.must(inputs)
		assert.Equal(t, []string{"update", id}, []string{r.outputs["environment_change"], r.outputs["schedule_id"]})
		r = w.must(test)
		assert.NotContains(t, r.log, "runs cannot clone")
		assert.Equal(t, "passed", r.outputs["smoke_test"])
		w.requireTicked(id)
		w.keepsSchedule(inputs)
	})
}

// TestConnectedAgentsAreInThePlan: one request reads the integrations of all environments.
func TestConnectedAgentsAreInThePlan(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"smoke_test": "false"})
		w.must(inputs)
		environment := w.onlyEnvironment().UID
		w.oz.AddIntegration(environment, "slack")
		theirs := w.oz.AddSchedule(team, foreign("theirs", environment, ""))
		elsewhere := w.oz.AddSchedule(team, foreign("elsewhere", "En00000000000000000009", ""))
		for range 2 {
			before := w.oz.Counts()
			r := w.must(inputs)
			assert.Contains(t, r.log, "integration slack uses it")
			assert.Contains(t, r.log, "schedule \"theirs\" ("+theirs+") uses it")
			assert.NotContains(t, r.log, elsewhere)
			assert.Equal(t, []string{"keep", "false"}, []string{r.outputs["environment_change"], r.outputs["changed"]})
			assert.Equal(t, 1, w.oz.Counts()["SimpleIntegrations"]-before["SimpleIntegrations"])
			assert.Zero(t, w.oz.Counts()["GetIntegrationsUsingEnvironment"])
			if w.dialect == github {
				assert.Contains(t, r.summary, "integration slack uses it")
				assert.Contains(t, r.summary, theirs)
				assert.Contains(t, r.summary, "https://oz.warp.dev/integrations")
			}
		}
		assert.Len(t, w.oz.Schedules(), 2)
		assert.Empty(t, w.scheduleWrites())
	})
}

// TestConnectedIntegrationsThatAreUnknownDisturbNobody: the job tries the other request, and
// when that fails too the log says so.
func TestConnectedIntegrationsThatAreUnknownDisturbNobody(t *testing.T) {
	t.Parallel()
	refused := fault.Fault{Operation: "SimpleIntegrations", Status: 403, Body: `{"error":"not for you"}`, Times: -1}
	down := fault.Fault{Operation: "SimpleIntegrations", Status: 503, Header: http.Header{"Retry-After": {"0"}}, Times: -1}
	for name, tt := range map[string]struct {
		options warpsim.Options
		faults  []fault.Fault
		says    string
	}{
		"a message": {warpsim.Options{IntegrationsMessage: "Integrations are away."}, nil, "Integrations are away."},
		"refused":   {warpsim.Options{}, []fault.Fault{refused}, "not for you"},
		"down":      {warpsim.Options{}, []fault.Fault{down}, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inEither(t, tt.options, func(t *testing.T, w *world) {
				for _, f := range tt.faults {
					w.oz.Script.Add(f)
				}
				inputs := w.inputs(map[string]string{"smoke_test": "false"})
				w.must(inputs)
				w.oz.AddIntegration(w.onlyEnvironment().UID, "slack")
				r := w.must(inputs)
				assert.Contains(t, r.log, "integration slack uses it")
				w.keeps(inputs)

				w.oz.Script.Add(fault.Fault{Operation: "GetIntegrationsUsingEnvironment", Status: 403, Times: -1})
				for range 2 {
					r = w.must(inputs)
					assert.Contains(t, r.log, "note: not everything that starts agents could be read for environment \"acme-sample\" ("+w.onlyEnvironment().UID+"): list ")
					assert.Contains(t, r.log, tt.says)
					assert.NotContains(t, r.log, "uses it")
					assert.Equal(t, "keep", r.outputs["environment_change"])
				}
			})
		})
	}
}

const (
	hosted      = "192.0.2.0/24, 2001:db8::/32"
	hostingPage = "https://docs.warp.dev/platform/warp-hosting"
)

// roads are servers that return the addresses of agents, and one that does not, each with the
// expected text.
func roads(t *testing.T, scenario func(t *testing.T, w *world, from string)) {
	for from, options := range map[string]warpsim.Options{
		hosted: {EgressRanges: strings.Split(hosted, ", ")}, "the addresses that " + hostingPage + " lists": {},
	} {
		inBoth(t, options, func(t *testing.T, w *world) { scenario(t, w, from) })
	}
}

// TestRoadToADataCenterIsInThePlan: an agent has another address than this runner.
func TestRoadToADataCenterIsInThePlan(t *testing.T) {
	t.Parallel()
	roads(t, func(t *testing.T, w *world, from string) {
		inputs := w.inputs(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken, "smoke_test": "false"})
		for range 2 {
			r := w.must(inputs, "plan")
			assert.Contains(t, r.log, "note: agents that Warp hosts reach http://127.0.0.1:")
			assert.Contains(t, r.log, " from "+from+"; a firewall in front of it must let them in")
			if w.dialect == github {
				assert.Contains(t, r.summary, "agents that Warp hosts reach")
			}
		}
		w.must(inputs)
		w.keeps(inputs)
		assert.NotContains(t, w.must(w.inputs(nil), "plan").log, "agents that Warp hosts", "Cloud has no firewall of the user's")
	})
}

func TestRoadIsInARefusalOfTheAddress(t *testing.T) {
	t.Parallel()
	roads(t, func(t *testing.T, w *world, from string) {
		w.bitbucket.Script.Add(fault.Fault{
			Operation: bitbucketsim.UploadPackRefs, Status: 403, Body: "To access this repository, an admin must whitelist your IP.", Times: -1,
		})
		for range 2 {
			log := w.refuses(w.inputs(nil))
			assert.Contains(t, log, "whitelist your IP")
			assert.Contains(t, log, "agents that Warp hosts reach Bitbucket from "+from+"; the allow-list must hold these as well")
		}
		w.bitbucket.Script.Clear()
		w.must(w.inputs(map[string]string{"smoke_test": "false"}))
		w.bitbucket.AddToken(bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken, State: bitbucketsim.IPBlocked})
		for range 2 {
			r := w.run(w.inputs(nil))
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, from)
		}
		w.bitbucket.AddToken(bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken, State: bitbucketsim.Expired})
		assert.NotContains(t, w.run(w.inputs(nil)).log, from)
	})
}

func TestRoadIsInTheVerdictOfACloneThatFailed(t *testing.T) {
	t.Parallel()
	roads(t, func(t *testing.T, w *world, from string) {
		w.must(w.inputs(map[string]string{"smoke_test": "false", "setup_commands": "true"}))
		failed := func(command string) result {
			w.oz.Behave(warpsim.Behaviour{State: "FAILED", ErrorCode: "environment_setup_failed", Message: "Failed to run setup command: " + command + ". Check it."})
			r := w.run(w.inputs(nil))
			assert.Equal(t, 3, r.code, r.log)
			return r
		}
		commands := model(t, w.onlyEnvironment())["setup_commands"].([]any)
		require.Contains(t, commands[2], "git clone")
		for range 2 {
			_, reason, found := strings.Cut(failed(commands[2].(string)).log, "smoke test failed: ")
			require.True(t, found)
			assert.Contains(t, reason, "; if it could not connect, let in agents that Warp hosts: they come from "+from)
		}
		for _, other := range []any{commands[0], commands[3]} {
			assert.NotContains(t, failed(other.(string)).log, from)
		}
		assert.Equal(t, "passed", w.must(w.inputs(nil)).outputs["smoke_test"])
	})
}

// TestScheduleOfAnEnvironmentThatIsGone: somebody has deleted the environment, and the schedule
// moves to the next one.
func TestScheduleOfAnEnvironmentThatIsGone(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.scheduled(nil)
		w.must(inputs)
		id, old := w.onlySchedule().ID, w.onlyEnvironment().UID
		w.oz.Trash(old)
		assert.Contains(t, w.run(inputs, "plan").log, `schedule "acme-sample" (`+id+`): update`)
		r := w.must(inputs)
		assert.Equal(t, []string{"create", id}, []string{r.outputs["environment_change"], r.outputs["schedule_id"]})
		assert.Equal(t, r.outputs["environment_id"], w.onlySchedule().Config["environment_id"])
		assert.NotEqual(t, old, r.outputs["environment_id"])
		schedules := w.oz.Schedules()
		assert.Equal(t, "false", w.must(inputs).outputs["changed"])
		assert.Equal(t, schedules, w.oz.Schedules())
	})
}
