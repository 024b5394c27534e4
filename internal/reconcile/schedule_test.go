package reconcile_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// daily adds the scheduled agent of these tests to the desired state.
func daily(changes ...func(*reconcile.DesiredSchedule)) func(*reconcile.Desired) {
	return func(d *reconcile.Desired) {
		d.Schedule = &reconcile.DesiredSchedule{Cron: "0 4 * * *", Prompt: "look", Enabled: true}
		for _, change := range changes {
			change(d.Schedule)
		}
	}
}

// request is what is sent of a schedule that is as these tests want it, for an environment.
func request(environment string) string {
	return `{"name":"acme-api","cron_schedule":"0 4 * * *","prompt":"look","enabled":true,` +
		`"agent_config":{"environment_id":"` + environment + `","secrets":[{"name":"TOKEN"}]},` +
		`"metadata":{"managed_by":"oz-bitbucket","oz-bitbucket.environment":"` + environment + `"}}`
}

// with is a request with one key changed.
func with(text, key string, value any) string { return parsed(text).With(key, value).String() }

// configured is a request whose configuration is another.
func configured(text, config string) string {
	return parsed(text).With(warp.KeyConfig, parsedRaw(config)).String()
}

func parsedRaw(text string) any { return parsed(`{"x":` + text + `}`).Raw("x") }

// scheduled is an Oz in which the environment needs no change, and has these schedules.
func scheduled(items ...string) *oz {
	o := withSecret()
	o.add(acme, converged)
	for _, item := range items {
		o.schedule(acme, item)
	}
	o.begun = nil
	return o
}

// requests are the schedules as a request would hold them.
func (o *oz) requests() []string {
	var found []string
	for _, s := range o.schedules {
		found = append(found, s.Request().String())
	}
	return found
}

// store applies a plan, and returns what came of its schedule.
func (o *oz) store(t *testing.T, plan reconcile.Plan) (reconcile.StoredSchedule, error) {
	t.Helper()
	done := o.applier(o).Apply(t.Context(), plan, []reconcile.Token{{}})
	require.Len(t, done.Environments, 1)
	require.Len(t, done.Environments[0].Schedules, 1)
	return done.Environments[0].Schedules[0], done.Err()
}

// scheduleWrites are the writes of schedules that were begun.
func (o *oz) scheduleWrites() []string {
	var found []string
	for _, method := range o.begun {
		if strings.HasSuffix(method, "Schedule") {
			found = append(found, method)
		}
	}
	return found
}

// schedulePlan is what these tests look at of the plan of a schedule.
type schedulePlan struct {
	ID, Name, Cron string
	Enabled        bool
	Change         reconcile.Change
	Fields         []reconcile.Field
}

func exportedSchedules(p reconcile.EnvironmentPlan) []schedulePlan {
	var found []schedulePlan
	for _, s := range p.Schedules {
		found = append(found, schedulePlan{s.ID, s.Name, s.Cron, s.Enabled, s.Change, s.Fields})
	}
	return found
}

func TestWithoutADesiredScheduleNoneIsTouched(t *testing.T) {
	t.Parallel()
	o := scheduled(with(request(uid), "prompt", "drifted"))
	before := slices.Clone(o.schedules)
	plan := o.plan(t, desired())
	assert.Empty(t, plan.Environments[0].Schedules)
	done := o.applier(o).Apply(t.Context(), plan, []reconcile.Token{{}})
	require.NoError(t, done.Err())
	assert.Empty(t, done.Environments[0].Schedules)
	assert.Equal(t, before, o.schedules)
	assert.Empty(t, o.scheduleWrites())
}

func TestANewSchedule(t *testing.T) {
	t.Parallel()
	const ofNew, ofOld = "En00000000000000000001", uid
	for name, test := range map[string]struct {
		model   string
		desired reconcile.Desired
		want    string
		env     []string // lines of the environment in the plan
	}{
		"of a new environment":         {"", desired(daily()), request(ofNew), nil},
		"of one that is there":         {converged, desired(daily()), request(ofOld), []string{uid}},
		"of one that is to be changed": {drifted, desired(daily()), request(ofOld), []string{uid}},
		"paused, of another name, with more secrets": {
			converged, desired(daily(func(s *reconcile.DesiredSchedule) { s.Name, s.Enabled = "mine", false }), func(d *reconcile.Desired) { d.Secrets = []string{"NPM_TOKEN", "TOKEN"} }),
			with(with(configured(request(ofOld), `{"environment_id":"`+ofOld+`","secrets":[{"name":"TOKEN"},{"name":"NPM_TOKEN"}]}`), "name", "mine"), "enabled", false),
			[]string{uid},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := withSecret()
			if test.model != "" {
				o.add(acme, test.model)
			}
			plan := o.plan(t, test.desired)
			require.Len(t, plan.Environments[0].Schedules, 1)
			want := parsed(test.want)
			schedule := warp.Schedule{Model: want}
			secrets, _ := schedule.Config().Secrets()
			fields := []reconcile.Field{
				{Name: "name", New: []string{schedule.Name()}}, {Name: "cron_schedule", New: []string{"0 4 * * *"}}, {Name: "prompt", New: []string{"look"}},
				{Name: "enabled", New: []string{fmt.Sprint(schedule.Enabled())}},
			}
			if test.env != nil {
				fields = append(fields, reconcile.Field{Name: "environment_id", New: test.env})
			}
			fields = append(fields, reconcile.Field{Name: "secrets", New: secrets})
			assert.Equal(t, []schedulePlan{{Name: schedule.Name(), Cron: "0 4 * * *", Enabled: schedule.Enabled(), Change: reconcile.Create, Fields: fields}},
				exportedSchedules(plan.Environments[0]))
			assert.Equal(t, fmt.Sprintf("%q", schedule.Name()), plan.Environments[0].Schedules[0].String())
			assert.True(t, plan.Changes())

			done, err := o.store(t, plan)
			require.NoError(t, err)
			assert.Equal(t, reconcile.StoredSchedule{ID: o.schedules[0].ID, Name: schedule.Name(), Change: reconcile.Create}, done)
			assert.Equal(t, []string{test.want}, o.requests())
			assert.Equal(t, acme, o.schedules[0].Owner)
			o.requireKept(t, test.desired)
		})
	}
}

// requireKept checks that a second run finds nothing to do but to rotate.
func (o *oz) requireKept(t *testing.T, d reconcile.Desired) {
	t.Helper()
	stored := o.requests()
	again := o.plan(t, d)
	require.Len(t, again.Environments[0].Schedules, 1)
	assert.Equal(t, reconcile.Keep, again.Environments[0].Schedules[0].Change)
	assert.Empty(t, again.Environments[0].Schedules[0].Fields)
	assert.False(t, again.Changes())
	o.begun = nil
	done, err := o.store(t, again)
	require.NoError(t, err)
	assert.Equal(t, reconcile.Keep, done.Change)
	assert.NotEmpty(t, done.ID)
	assert.Equal(t, []string{"UpdateSecret"}, o.begun)
	assert.Equal(t, stored, o.requests())
}

// TestDriftOfASchedule: each field is planned by itself, and everything else that was read is sent again.
func TestDriftOfASchedule(t *testing.T) {
	t.Parallel()
	config := func(text string) string { return configured(request(uid), text) }
	const secrets = `"secrets":[{"name":"TOKEN"}]`
	for name, test := range map[string]struct {
		stored string
		fields []reconcile.Field
		want   string // the request; empty: as it should be
		write  string // empty: ReplaceSchedule
	}{
		"the same":                     {stored: request(uid), write: "none"},
		"a cron with other spaces":     {stored: with(request(uid), "cron_schedule", " 0  4 * *\t* "), want: with(request(uid), "cron_schedule", " 0  4 * *\t* "), write: "none"},
		"marks that only the name has": {stored: with(request(uid), "metadata", nil), want: with(request(uid), "metadata", nil), write: "none"},
		"the name":                     {stored: with(request(uid), "name", "old"), fields: []reconcile.Field{{"name", []string{"old"}, []string{"acme-api"}}}},
		"the cron":                     {stored: with(request(uid), "cron_schedule", "5 4 * * *"), fields: []reconcile.Field{{"cron_schedule", []string{"5 4 * * *"}, []string{"0 4 * * *"}}}},
		"the prompt":                   {stored: with(request(uid), "prompt", "a\nb"), fields: []reconcile.Field{{"prompt", []string{"a", "b"}, []string{"look"}}}},
		"no prompt":                    {stored: with(request(uid), "prompt", nil), fields: []reconcile.Field{{"prompt", nil, []string{"look"}}}},
		"paused":                       {stored: with(request(uid), "enabled", false), fields: []reconcile.Field{{"enabled", []string{"false"}, []string{"true"}}}, write: "EnableSchedule"},
		"paused, of another prompt": {
			stored: with(with(request(uid), "enabled", false), "prompt", "old"),
			fields: []reconcile.Field{{"prompt", []string{"old"}, []string{"look"}}, {"enabled", []string{"false"}, []string{"true"}}},
		},
		"paused, with another secret": { // which a resume would not write
			stored: with(config(`{"environment_id":"`+uid+`","secrets":[]}`), "enabled", false),
			fields: []reconcile.Field{{"enabled", []string{"false"}, []string{"true"}}, {"secrets", nil, []string{"TOKEN"}}},
		},
		"another environment": {
			stored: config(`{"environment_id":"En9",` + secrets + `}`),
			fields: []reconcile.Field{{"environment_id", []string{"En9"}, []string{uid}}},
		},
		"no environment": {
			stored: config(`{` + secrets + `}`), want: config(`{` + secrets + `,"environment_id":"` + uid + `"}`),
			fields: []reconcile.Field{{"environment_id", nil, []string{uid}}},
		},
		"no configuration": {
			stored: config(`null`),
			fields: []reconcile.Field{{"environment_id", nil, []string{uid}}, {"secrets", nil, []string{"TOKEN"}}},
		},
		"no list of secrets": {stored: config(`{"environment_id":"` + uid + `"}`), fields: []reconcile.Field{{"secrets", nil, []string{"TOKEN"}}}},
		"another secret": {
			stored: config(`{"environment_id":"` + uid + `","secrets":[{"name":"OTHER","x":1}]}`),
			want:   config(`{"environment_id":"` + uid + `","secrets":[{"name":"OTHER","x":1},{"name":"TOKEN"}]}`),
			fields: []reconcile.Field{{"secrets", []string{"OTHER"}, []string{"OTHER", "TOKEN"}}},
		},
		"one secret more is left": {
			stored: config(`{"environment_id":"` + uid + `","secrets":[{"name":"OTHER"},{"name":"TOKEN"}]}`),
			want:   config(`{"environment_id":"` + uid + `","secrets":[{"name":"OTHER"},{"name":"TOKEN"}]}`), write: "none",
		},
		"what nobody knows stays": {
			stored: with(with(with(config(`{"environment_id":"`+uid+`","skills":["a"],"skill_spec":"a","model_id":"m","idle_timeout_minutes":5.0,`+secrets+`}`),
				"from_the_future", parsedRaw(`[1.50e3]`)), "agent_uid", "Ag1"), "prompt", "old"),
			want: with(with(config(`{"environment_id":"`+uid+`","skills":["a"],"model_id":"m","idle_timeout_minutes":5.0,`+secrets+`}`),
				"from_the_future", parsedRaw(`[1.50e3]`)), "agent_uid", "Ag1"),
			fields: []reconcile.Field{{"prompt", []string{"old"}, []string{"look"}}},
		},
		"foreign marks stay": {
			stored: with(with(request(uid), "metadata", map[string]string{"managed_by": "oz-bitbucket", "oz-bitbucket.environment": uid, "their": "own"}), "prompt", "old"),
			want:   with(request(uid), "metadata", map[string]string{"managed_by": "oz-bitbucket", "oz-bitbucket.environment": uid, "their": "own"}),
			fields: []reconcile.Field{{"prompt", []string{"old"}, []string{"look"}}},
		},
		"one that is not marked is marked with a write": {
			stored: with(with(request(uid), "prompt", "old"), "metadata", map[string]string{"managed_by": "somebody"}),
			fields: []reconcile.Field{{"prompt", []string{"old"}, []string{"look"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := cmp.Or(test.want, request(uid))
			o := scheduled(test.stored)
			id := o.schedules[0].ID
			plan := o.plan(t, desired(daily()))
			change := reconcile.Update
			if test.write == "none" {
				change = reconcile.Keep
			}
			assert.Equal(t, []schedulePlan{{ID: id, Name: "acme-api", Cron: "0 4 * * *", Enabled: true, Change: change, Fields: test.fields}}, exportedSchedules(plan.Environments[0]))
			assert.Equal(t, change == reconcile.Update, plan.Changes())
			assert.Equal(t, `"acme-api" (`+id+`)`, plan.Environments[0].Schedules[0].String())

			done, err := o.store(t, plan)
			require.NoError(t, err)
			assert.Equal(t, reconcile.StoredSchedule{ID: id, Name: "acme-api", Change: change}, done)
			require.Len(t, o.schedules, 1)
			assert.JSONEq(t, want, o.requests()[0])
			assert.Equal(t, parsed(want).Raw("from_the_future"), o.schedules[0].Raw("from_the_future"), "to the letter")
			switch test.write {
			case "none":
				assert.Empty(t, o.scheduleWrites())
			default:
				assert.Equal(t, []string{cmp.Or(test.write, "ReplaceSchedule")}, o.scheduleWrites())
			}
			o.requireKept(t, desired(daily()))
		})
	}
}

// TestWhichSchedulesAreOurs: the marked ones, and without marks those of the name.
func TestWhichSchedulesAreOurs(t *testing.T) {
	t.Parallel()
	unmarked := with(request(uid), "metadata", nil)
	named := func(name string) string { return with(unmarked, "name", name) }
	moved := func(text string) string {
		return configured(text, `{"environment_id":"En9","secrets":[{"name":"TOKEN"}]}`)
	}
	old := with(request(uid), "metadata", map[string]string{"managed_by": "oz-bitbucket"}) // without the environment
	type in struct {
		owner warp.Owner
		item  string
	}
	for name, test := range map[string]struct {
		there   []in
		ours    int // the place of ours, from 1; 0: it is created
		foreign []int
		wantErr string // with ID1 and ID2 for those
	}{
		"marked":                  {there: []in{{acme, request(uid)}}, ours: 1},
		"marked, of another name": {there: []in{{acme, with(request(uid), "name", "old")}}, ours: 1},
		"marked, and moved to another environment": {there: []in{{acme, moved(request(uid))}}, ours: 1},
		"marked, without the environment":          {there: []in{{acme, old}}, ours: 1},
		"marked without an environment, and moved": {there: []in{{acme, moved(old)}}},
		"marked by somebody else": {
			there: []in{{acme, with(named("old"), "metadata", map[string]string{"managed_by": "x", "oz-bitbucket.environment": uid})}}, foreign: []int{1},
		},
		"marked for another environment": {there: []in{{acme, with(with(moved(request(uid)), "name", "x"), "metadata", map[string]string{"managed_by": "oz-bitbucket", "oz-bitbucket.environment": "En9"})}}},
		"marked for another environment, moved here": {
			there: []in{{acme, with(with(request(uid), "name", "x"), "metadata", map[string]string{"managed_by": "oz-bitbucket", "oz-bitbucket.environment": "En9"})}}, foreign: []int{1},
		},
		"by the name": {there: []in{{acme, unmarked}}, ours: 1},
		"by the name, which others have in other environments": {there: []in{{acme, moved(unmarked)}}},
		"by the name, beside others":                           {there: []in{{acme, named("b")}, {acme, unmarked}, {acme, named("a")}}, ours: 2, foreign: []int{1, 3}},
		"marked, beside one of the name":                       {there: []in{{acme, unmarked}, {acme, with(request(uid), "name", "x")}}, ours: 2, foreign: []int{1}},
		"of another team":                                      {there: []in{{other, request(uid)}}, foreign: []int{1}},
		"of a user":                                            {there: []in{{jane, request(uid)}}, foreign: []int{1}},
		"of another team, elsewhere":                           {there: []in{{other, moved(request(uid))}}},
		"of an owner that the server does not tell":            {there: []in{{warp.Owner{}, request(uid)}}, ours: 1},
		"by the name, of another team":                         {there: []in{{other, unmarked}, {acme, unmarked}}, ours: 2, foreign: []int{1}},
		"without an environment":                               {there: []in{{acme, configured(unmarked, `{}`)}}},
		"two marked ones": {
			there:   []in{{acme, request(uid)}, {acme, with(request(uid), "name", "b")}},
			wantErr: `environment "acme-api" has 2 schedules that may be this program's: "acme-api" (ID1), "b" (ID2); delete all but one in Oz`,
		},
		"two of the name": {
			there:   []in{{acme, unmarked}, {acme, unmarked}},
			wantErr: `environment "acme-api" has 2 schedules that may be this program's: "acme-api" (ID1), "acme-api" (ID2); delete all but one in Oz`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := scheduled()
			for _, s := range test.there {
				o.schedule(s.owner, s.item)
			}
			before := slices.Clone(o.schedules)
			plan := o.diff(t, reconcile.Provision, desired(daily()))
			if test.wantErr != "" {
				require.EqualError(t, plan.Err(), strings.NewReplacer("ID1", before[0].ID, "ID2", before[1].ID).Replace(test.wantErr))
				assert.Empty(t, plan.Environments[0].Schedules)
				return
			}
			require.NoError(t, plan.Err())
			var foreign []string
			for _, at := range test.foreign {
				foreign = append(foreign, before[at-1].String())
			}
			assert.Equal(t, foreign, plan.Environments[0].Foreign)
			done, err := o.store(t, plan)
			require.NoError(t, err)
			for i, s := range before {
				if i+1 == test.ours {
					assert.Equal(t, s.ID, plan.Environments[0].Schedules[0].ID)
					assert.Equal(t, s.ID, done.ID)
				} else {
					assert.Equal(t, s, o.schedules[i], "somebody else's")
				}
			}
			assert.Equal(t, test.ours == 0, done.Change == reconcile.Create)
			o.requireKept(t, desired(daily()))
		})
	}
}

// TestAScheduleWithoutAnEnvironmentIsNotThatOfANewOne, whatever its name and marks.
func TestAScheduleWithoutAnEnvironmentIsNotThatOfANewOne(t *testing.T) {
	t.Parallel()
	o := withSecret()
	left := o.schedule(acme, configured(with(request(uid), "metadata", map[string]string{"managed_by": "oz-bitbucket"}), `{}`))
	before := o.schedules[0]
	done, err := o.store(t, o.plan(t, desired(daily())))
	require.NoError(t, err)
	assert.Equal(t, reconcile.Create, done.Change)
	assert.NotEqual(t, left, done.ID)
	assert.Equal(t, before, o.schedules[0])
}

// TestAScheduleOfAnUnknownShapeIsLeftAlone: in the plan and when it turns up later.
func TestAScheduleOfAnUnknownShapeIsLeftAlone(t *testing.T) {
	t.Parallel()
	odd := configured(with(request(uid), "prompt", "old"), `{"environment_id":"`+uid+`","secrets":["TOKEN"]}`)
	o := scheduled(odd)
	id := o.schedules[0].ID
	want := `schedule "acme-api" (` + id + `): secrets of agent_config is not a list of objects with a name, so it is not changed; fix it in Oz, or look for a newer version of this program`
	plan := o.diff(t, reconcile.Provision, desired(daily()))
	require.EqualError(t, plan.Err(), want)
	assert.Empty(t, plan.Environments[0].Schedules)

	o = scheduled(with(request(uid), "prompt", "old"))
	plan = o.plan(t, desired(daily()))
	o.edited(id, warp.KeyConfig, parsedRaw(`{"environment_id":"`+uid+`","secrets":["TOKEN"]}`))
	done, err := o.store(t, plan)
	require.EqualError(t, err, want)
	assert.Equal(t, id, done.ID)
	assert.Empty(t, done.Change)
	assert.Empty(t, o.scheduleWrites())
}

func TestWithoutTheListOfSchedules(t *testing.T) {
	t.Parallel()
	broken := func(context.Context, func() error) error {
		return &warp.Refusal{Status: 403, Kind: "feature_not_available", Message: "no"}
	}
	o := scheduled()
	o.script["ListSchedules"] = []step{broken}
	plan := o.diff(t, reconcile.Provision, desired(daily()))
	require.EqualError(t, plan.Err(), `environment "acme-api" (`+uid+`): its schedule cannot be planned: list schedules: 403: feature_not_available: no; the team's Warp plan does not include scheduled agents: change the plan, or leave schedule_cron out`)

	o.script["ListSchedules"] = []step{broken}
	plan = o.diff(t, reconcile.Provision, desired())
	require.NoError(t, plan.Err())
	assert.Equal(t, []string{`not everything that starts agents could be read for environment "acme-api" (` + uid + `): list schedules: 403: feature_not_available: no`}, plan.Notes)
	assert.Empty(t, plan.Warnings)
}

// TestMarksThatDoNotFit are left out: the API takes 20 keys.
func TestMarksThatDoNotFit(t *testing.T) {
	t.Parallel()
	for foreign, marked := range map[int]bool{0: true, 18: true, 19: false, 20: false} {
		metadata := make(map[string]string)
		for i := range foreign {
			metadata[fmt.Sprintf("key-%d", i)] = "x"
		}
		o := scheduled(with(with(request(uid), "metadata", metadata), "prompt", "another"))
		stored, err := o.store(t, o.diff(t, reconcile.Provision, desired(daily())))
		require.NoError(t, err)
		assert.Equal(t, reconcile.Update, stored.Change)
		now := o.schedules[0].Metadata()
		assert.Equal(t, marked, now["managed_by"] == "oz-bitbucket", foreign)
		delete(now, "managed_by")
		delete(now, "oz-bitbucket.environment")
		assert.Equal(t, metadata, now)
	}
}

// TestASchedulesEnvironmentThatIsGone: the schedule goes on with the next one of its name,
// or goes.
func TestASchedulesEnvironmentThatIsGone(t *testing.T) {
	t.Parallel()
	old := with(request("En9"), "metadata", map[string]string{"managed_by": "oz-bitbucket", "oz-bitbucket.environment": "En9"})
	for name, test := range map[string]struct {
		there   []string
		model   string // of the environment; empty: there is none yet
		want    reconcile.Change
		wantErr string
	}{
		"with an environment":        {there: []string{old}, model: converged, want: reconcile.Update},
		"with a new environment":     {there: []string{old}, want: reconcile.Update},
		"of another name":            {there: []string{with(old, "name", "x")}, want: reconcile.Create},
		"not ours":                   {there: []string{with(old, "metadata", map[string]string{})}, want: reconcile.Create},
		"two of them":                {there: []string{old, old}, wantErr: `environment "acme-api" has 2 schedules that may be this program's: `},
		"beside that of environment": {there: []string{old, request(uid)}, model: converged, want: reconcile.Keep},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := withSecret()
			if test.model != "" {
				o.add(acme, test.model)
			}
			for _, item := range test.there {
				o.schedule(acme, item)
			}
			plan := o.diff(t, reconcile.Provision, desired(daily()))
			if test.wantErr != "" {
				require.ErrorContains(t, plan.Err(), test.wantErr)
				return
			}
			require.NoError(t, plan.Err())
			before := len(o.schedules)
			stored, err := o.store(t, plan)
			require.NoError(t, err)
			assert.Equal(t, test.want, stored.Change)
			assert.Equal(t, test.want == reconcile.Create, len(o.schedules) == before+1)
			assert.Contains(t, o.requests(), request(o.live(acme, "acme-api")[0]))
			again, err := o.store(t, o.diff(t, reconcile.Provision, desired(daily())))
			require.NoError(t, err)
			assert.Equal(t, []any{reconcile.Keep, stored.ID}, []any{again.Change, again.ID})
		})
	}

	o := withSecret()
	o.schedule(acme, old)
	o.schedule(acme, with(old, "name", "x"))
	plan := o.planFor(t, reconcile.Removal, desired())
	require.NoError(t, o.applier(o).Apply(t.Context(), plan, nil).Err())
	require.Len(t, o.schedules, 1)
	assert.Equal(t, "x", o.schedules[0].Name(), "one of another name is nobody's business")
}
