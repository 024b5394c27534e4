package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// TestLostAnswersOfASchedule loses the answers of the first two tries, in every combination.
func TestLostAnswersOfASchedule(t *testing.T) {
	t.Parallel()
	ways := map[string]step{"ok": fine, "lost before": lostBefore, "lost after": lostAfter}
	for name, test := range map[string]struct {
		stored string
		want   reconcile.Change
	}{
		"create":  {"", reconcile.Create},
		"replace": {with(request(uid), "prompt", "old"), reconcile.Update},
		"enable":  {with(request(uid), "enabled", false), reconcile.Update},
	} {
		for first := range ways {
			for second := range ways {
				t.Run(strings.Join([]string{name, first, second}, ", "), func(t *testing.T) {
					t.Parallel()
					o := scheduled()
					if test.stored != "" {
						o.schedule(acme, test.stored)
					}
					plan := o.plan(t, desired(daily()))
					for _, method := range []string{"CreateSchedule", "ReplaceSchedule", "EnableSchedule"} {
						o.script[method] = []step{ways[first], ways[second]}
					}
					done, err := o.store(t, plan)
					require.NoError(t, err)
					require.Len(t, o.schedules, 1)
					assert.Equal(t, reconcile.StoredSchedule{ID: o.schedules[0].ID, Name: "acme-api", Change: test.want}, done)
					assert.JSONEq(t, request(uid), o.requests()[0])
					if first == "lost after" {
						assert.Len(t, o.scheduleWrites(), 1, "it looks before it writes again")
					}
				})
			}
		}
	}
}

func TestTroubleWithTheWriteOfASchedule(t *testing.T) {
	t.Parallel()
	refuse := func(status int, kind string) step {
		return func(context.Context, func() error) error {
			return &warp.Refusal{Status: status, Kind: kind, Message: "no"}
		}
	}
	broken := func(context.Context, func() error) error { return errors.New("connection refused") }
	const forbidden = "; warp_api_key may not manage schedules of this team: use an agent key of the team, or the key of a member who may"
	for _, test := range []struct {
		name, stored, method string
		steps                []step
		look                 map[string][]step
		wantErr              string // with ID for the schedule's
		lost                 bool
		writes               int
	}{
		{name: "create, always lost", method: "CreateSchedule", steps: slices.Repeat([]step{lostBefore}, 9),
			wantErr: `create schedule "acme-api": EOF: the answer was lost, so the request may have taken effect`, lost: true, writes: 5},
		{name: "create, forbidden", method: "CreateSchedule", steps: []step{refuse(403, "not_authorized")},
			wantErr: `create schedule "acme-api": 403: not_authorized: no` + forbidden, writes: 1},
		{name: "create, not in the plan", method: "CreateSchedule", steps: []step{refuse(403, "feature_not_available")},
			wantErr: `create schedule "acme-api": 403: feature_not_available: no; the team's Warp plan does not include scheduled agents: change the plan, or leave schedule_cron out`, writes: 1},
		{name: "create, refused", method: "CreateSchedule", steps: []step{refuse(400, "invalid_request")}, wantErr: `create schedule "acme-api": 400: invalid_request: no`, writes: 1},
		{name: "create, broken", method: "CreateSchedule", steps: []step{broken}, wantErr: `create schedule "acme-api": connection refused`, writes: 1},
		{name: "create, lost, then refused", method: "CreateSchedule", steps: []step{lostBefore, refuse(400, "x")},
			wantErr: `create schedule "acme-api": 400: x: no; an earlier try had no answer: the answer was lost, so the request may have taken effect`, lost: true, writes: 2},
		{name: "create, lost, no look", method: "CreateSchedule", steps: []step{lostBefore}, look: map[string][]step{"ListSchedules": {broken}}, lost: true, writes: 1,
			wantErr: `create schedule "acme-api": EOF: the answer was lost, so the request may have taken effect; looking for it afterwards: list schedules: connection refused`},
		{name: "replace, always lost", stored: with(request(uid), "prompt", "old"), method: "ReplaceSchedule", steps: slices.Repeat([]step{lostBefore}, 9),
			wantErr: `update schedule "acme-api" (ID): EOF: the answer was lost, so the request may have taken effect`, lost: true, writes: 5},
		{name: "replace, forbidden", stored: with(request(uid), "prompt", "old"), method: "ReplaceSchedule", steps: []step{refuse(403, "not_authorized")},
			wantErr: `update schedule "acme-api" (ID): 403: not_authorized: no` + forbidden, writes: 1},
		{name: "replace, lost, then refused", stored: with(request(uid), "prompt", "old"), method: "ReplaceSchedule", steps: []step{lostBefore, refuse(409, "")},
			wantErr: `update schedule "acme-api" (ID): 409: no; an earlier try had no answer: the answer was lost, so the request may have taken effect`, lost: true, writes: 2},
		{name: "replace, lost, no look", stored: with(request(uid), "prompt", "old"), method: "ReplaceSchedule", steps: []step{lostAfter}, look: map[string][]step{"GetSchedule": {fine, broken}}, lost: true, writes: 1,
			wantErr: `get schedule "acme-api" (ID): connection refused; an earlier try had no answer: the answer was lost, so the request may have taken effect`},
		{name: "replace, no first look", stored: with(request(uid), "prompt", "old"), method: "ReplaceSchedule", look: map[string][]step{"GetSchedule": {broken}},
			wantErr: `get schedule "acme-api" (ID): connection refused`},
		{name: "enable, always lost", stored: with(request(uid), "enabled", false), method: "EnableSchedule", steps: slices.Repeat([]step{lostBefore}, 9),
			wantErr: `update schedule "acme-api" (ID): EOF: the answer was lost, so the request may have taken effect`, lost: true, writes: 5},
		{name: "enable, forbidden", stored: with(request(uid), "enabled", false), method: "EnableSchedule", steps: []step{refuse(403, "")},
			wantErr: `update schedule "acme-api" (ID): 403: no` + forbidden, writes: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := scheduled()
			var id string
			if test.stored != "" {
				id = o.schedule(acme, test.stored)
			}
			plan := o.plan(t, desired(daily()))
			o.script[test.method] = test.steps
			for method, steps := range test.look {
				o.script[method] = steps
			}
			done, err := o.store(t, plan)
			require.EqualError(t, err, strings.ReplaceAll(test.wantErr, "ID", id))
			assert.Equal(t, test.lost, errors.Is(err, warp.ErrAnswerLost))
			done.Err = nil
			assert.Equal(t, reconcile.StoredSchedule{ID: id, Name: "acme-api"}, done)
			assert.Equal(t, slices.Repeat([]string{test.method}, test.writes), append([]string{}, o.scheduleWrites()...))
			assert.LessOrEqual(t, len(o.schedules), 1)
		})
	}
}

// TestAScheduleThatIsGone was deleted since the plan was made.
func TestAScheduleThatIsGone(t *testing.T) {
	t.Parallel()
	o := scheduled(with(request(uid), "prompt", "old"))
	plan := o.plan(t, desired(daily()))
	o.schedules = nil
	_, err := o.store(t, plan)
	require.ErrorIs(t, err, reconcile.ErrRaced, "a plan that is made anew creates one")
	require.ErrorContains(t, err, "is gone")
	assert.Empty(t, o.scheduleWrites())
}

// TestAScheduleIsMergedOntoWhatIsThere: the API has no revision, so it looks before each write.
func TestAScheduleIsMergedOntoWhatIsThere(t *testing.T) {
	t.Parallel()
	o := scheduled(with(request(uid), "prompt", "old"))
	id := o.schedules[0].ID
	plan := o.plan(t, desired(daily()))
	o.edited(id, "agent_uid", "Ag1")
	done, err := o.store(t, plan)
	require.NoError(t, err)
	assert.Equal(t, reconcile.Update, done.Change)
	assert.JSONEq(t, with(request(uid), "agent_uid", "Ag1"), o.requests()[0], "theirs survives")
	assert.Len(t, o.scheduleWrites(), 1)

	o = scheduled(with(request(uid), "prompt", "old"))
	plan = o.plan(t, desired(daily()))
	o.edited(id, "prompt", "look")
	done, err = o.store(t, plan)
	require.NoError(t, err)
	assert.Equal(t, reconcile.Keep, done.Change, "someone else was faster")
	assert.Empty(t, o.scheduleWrites())

	// What else has changed by then decides how it is written.
	o = scheduled(with(with(request(uid), "prompt", "old"), "enabled", false))
	plan = o.plan(t, desired(daily()))
	o.edited(id, "prompt", "look")
	_, err = o.store(t, plan)
	require.NoError(t, err)
	assert.Equal(t, []string{"EnableSchedule"}, o.scheduleWrites())
}

// TestSomeoneElseWritesAtTheSameTime, or the server takes something else: what the answer shows to be different is
// written again, and given up after five tries.
func TestSomeoneElseWritesAtTheSameTime(t *testing.T) {
	t.Parallel()
	for n := range 8 {
		o := scheduled(with(request(uid), "prompt", "old"))
		id := o.schedules[0].ID
		plan := o.plan(t, desired(daily()))
		never := neverTakes{o, id, n}
		done, err := o.storeWith(t, plan, &never)
		writes := count(o.begun, "ReplaceSchedule")
		if n < 5 {
			require.NoError(t, err, n)
			assert.Equal(t, reconcile.Update, done.Change)
			assert.Equal(t, n+1, writes)
			assert.JSONEq(t, request(uid), o.requests()[0])
			continue
		}
		require.EqualError(t, err, `update schedule "acme-api" (`+id+`): Oz does not store what it is sent (prompt), or someone else keeps changing it`)
		require.NotErrorIs(t, err, warp.ErrAnswerLost)
		assert.Empty(t, done.Change)
		assert.Equal(t, 5, writes, "five tries")
	}
}

// TestAnAnswerThatShowsOursIsTheEnd: what someone else writes afterwards is not fought over.
func TestAnAnswerThatShowsOursIsTheEnd(t *testing.T) {
	t.Parallel()
	for method, stored := range map[string]string{"ReplaceSchedule": with(request(uid), "prompt", "old"), "EnableSchedule": with(request(uid), "enabled", false)} {
		o := scheduled(stored)
		plan := o.plan(t, desired(daily()))
		o.script[method] = []step{func(_ context.Context, effect func() error) error {
			err := effect()
			o.edited(o.schedules[0].ID, "prompt", "theirs")
			return err
		}}
		done, err := o.store(t, plan)
		require.NoError(t, err)
		assert.Equal(t, reconcile.Update, done.Change)
		assert.Equal(t, []string{method}, o.scheduleWrites())
		assert.Equal(t, "theirs", o.schedules[0].Prompt(), "the next run sees it")
	}
}

// TestAnAnswerThatLags behind what was written is looked at once more, and what is there counts.
func TestAnAnswerThatLags(t *testing.T) {
	t.Parallel()
	o := scheduled(with(request(uid), "prompt", "old"))
	done, err := o.storeWith(t, o.plan(t, desired(daily())), lags{o, o.schedules[0]})
	require.NoError(t, err)
	assert.Equal(t, reconcile.Update, done.Change)
	assert.Equal(t, []string{"ReplaceSchedule"}, o.scheduleWrites())
	assert.JSONEq(t, request(uid), o.requests()[0])
}

// lags answers a write with what was there before it.
type lags struct {
	*oz
	before warp.Schedule
}

func (l lags) ReplaceSchedule(ctx context.Context, of warp.Owner, id string, model warp.Model) (warp.Schedule, error) {
	_, err := l.oz.ReplaceSchedule(ctx, of, id, model)
	return l.before, err
}

// TestALostCreateIsSettledOn: what turns up is taken for ours, and brought to the desired state.
func TestALostCreateIsSettledOn(t *testing.T) {
	t.Parallel()
	o := scheduled()
	plan := o.plan(t, desired(daily()))
	o.script["CreateSchedule"] = []step{func(ctx context.Context, effect func() error) error {
		err := lostAfter(ctx, effect)
		o.edited(o.schedules[0].ID, "prompt", "theirs")
		return err
	}}
	done, err := o.store(t, plan)
	require.NoError(t, err)
	assert.Equal(t, reconcile.StoredSchedule{ID: o.schedules[0].ID, Name: "acme-api", Change: reconcile.Create}, done)
	assert.Equal(t, []string{"CreateSchedule", "ReplaceSchedule"}, o.scheduleWrites())
	o.requireKept(t, desired(daily()))
}

// neverTakes is a server that stores another prompt so many times.
type neverTakes struct {
	*oz
	id   string
	left int
}

func (n *neverTakes) ReplaceSchedule(ctx context.Context, of warp.Owner, id string, model warp.Model) (warp.Schedule, error) {
	if n.left > 0 {
		n.left--
		model = model.With("prompt", "theirs")
	}
	return n.oz.ReplaceSchedule(ctx, of, id, model)
}

func (o *oz) storeWith(t *testing.T, plan reconcile.Plan, w reconcile.Writer) (reconcile.StoredSchedule, error) {
	t.Helper()
	done := o.applier(w).Apply(t.Context(), plan, []reconcile.Token{{}})
	return done.Environments[0].Schedules[0], done.Err()
}

// TestSchedulesThatWereCreatedAtTheSameTime: of several the oldest stays, and whoever made another deletes it.
func TestSchedulesThatWereCreatedAtTheSameTime(t *testing.T) {
	t.Parallel()
	older := func(o *oz, item string) step { return after(func() { o.schedule(acme, item) }) }
	younger := func(o *oz, item string) step {
		return func(_ context.Context, effect func() error) error {
			defer o.schedule(acme, item)
			return effect()
		}
	}
	unlisted := func(o *oz, at func() int) step { // the list does not show it yet
		return func(_ context.Context, effect func() error) error {
			o.mu.Lock()
			i := at()
			hidden := o.schedules[i]
			o.schedules = slices.Delete(slices.Clone(o.schedules), i, i+1)
			o.mu.Unlock()
			defer o.meanwhile(func() { o.schedules = slices.Insert(o.schedules, i, hidden) })
			return effect()
		}
	}
	own := func(at int) func() int { return func() int { return at } }
	for name, test := range map[string]struct {
		create func(*oz) step
		list   func(*oz) step
		want   reconcile.Change
		stays  int // how many
		writes []string
	}{
		"an older one": {
			create: func(o *oz) step { return older(o, request(uid)) }, want: reconcile.Keep, stays: 1, writes: []string{"CreateSchedule", "DeleteSchedule"},
		},
		"an older one, which needs a change": {
			create: func(o *oz) step { return older(o, with(request(uid), "prompt", "theirs")) }, want: reconcile.Update, stays: 1,
			writes: []string{"CreateSchedule", "DeleteSchedule", "ReplaceSchedule"},
		},
		"a younger one": {
			create: func(o *oz) step { return younger(o, request(uid)) }, want: reconcile.Create, stays: 2, writes: []string{"CreateSchedule"},
		},
		"one of another environment": {
			create: func(o *oz) step {
				return older(o, with(configured(request(uid), `{"environment_id":"En9"}`), "metadata", map[string]string{"managed_by": "oz-bitbucket", "oz-bitbucket.environment": "En9"}))
			}, want: reconcile.Create, stays: 2, writes: []string{"CreateSchedule"},
		},
		"one of another owner": {
			create: func(o *oz) step { return after(func() { o.schedule(other, request(uid)) }) }, want: reconcile.Create, stays: 2, writes: []string{"CreateSchedule"},
		},
		"none, and the list does not show ours yet": {
			create: func(*oz) step { return fine }, list: func(o *oz) step { return unlisted(o, own(0)) },
			want: reconcile.Create, stays: 1, writes: []string{"CreateSchedule"},
		},
		"a younger one, and the list does not show ours yet": {
			create: func(o *oz) step { return younger(o, request(uid)) }, list: func(o *oz) step { return unlisted(o, own(0)) },
			want: reconcile.Create, stays: 2, writes: []string{"CreateSchedule"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := scheduled()
			plan := o.plan(t, desired(daily()))
			o.script["CreateSchedule"] = []step{test.create(o)}
			if test.list != nil {
				o.script["ListSchedules"] = []step{test.list(o)}
			}
			done, err := o.store(t, plan)
			require.NoError(t, err)
			assert.Equal(t, test.want, done.Change)
			assert.Equal(t, test.writes, o.scheduleWrites())
			require.Len(t, o.schedules, test.stays)
			if test.stays == 1 {
				assert.Equal(t, o.schedules[0].ID, done.ID)
				o.requireKept(t, desired(daily()))
			}
		})
	}
}

// TestSchedulesOfOneMomentAgree: both jobs must choose the same one to stay.
func TestSchedulesOfOneMomentAgree(t *testing.T) {
	t.Parallel()
	for _, reversed := range []bool{false, true} {
		o := scheduled()
		plan := o.plan(t, desired(daily()))
		var theirs string
		o.script["CreateSchedule"] = []step{func(_ context.Context, effect func() error) error {
			theirs = o.schedule(acme, request(uid))
			err := effect()
			o.meanwhile(func() {
				o.schedules[1].Model = o.schedules[1].With("created_at", o.schedules[0].CreatedAt())
				if reversed {
					slices.Reverse(o.schedules)
				}
			})
			return err
		}}
		done, err := o.store(t, plan)
		require.NoError(t, err)
		assert.Equal(t, theirs, done.ID)
		assert.Len(t, o.schedules, 1)
	}
}

// TestTroubleAfterACreate of a schedule: its own is known to be written.
func TestTroubleAfterACreate(t *testing.T) {
	t.Parallel()
	broken := func(context.Context, func() error) error { return errors.New("connection refused") }
	o := scheduled()
	plan := o.plan(t, desired(daily()))
	o.script["ListSchedules"] = []step{broken}
	done, err := o.store(t, plan)
	id := o.schedules[0].ID
	require.EqualError(t, err, `look for duplicates of schedule "acme-api" (`+id+`): list schedules: connection refused`)
	assert.Equal(t, []any{id, reconcile.Create}, []any{done.ID, done.Change})

	for name, steps := range map[string][]step{"refused": {refused}, "always lost": slices.Repeat([]step{lostBefore}, 9)} {
		o := scheduled()
		plan := o.plan(t, desired(daily()))
		var theirs string
		o.script["CreateSchedule"] = []step{after(func() { theirs = o.schedule(acme, request(uid)) })}
		o.script["DeleteSchedule"] = steps
		done, err := o.store(t, plan)
		require.ErrorContains(t, err, `delete schedule "acme-api" (`+o.schedules[1].ID+`): `, name)
		require.ErrorContains(t, err, `; schedule "acme-api" (`+theirs+`) is older and stays`, name)
		assert.Equal(t, name == "always lost", errors.Is(err, warp.ErrAnswerLost))
		assert.Equal(t, []any{o.schedules[1].ID, reconcile.Create}, []any{done.ID, done.Change}, name)
		assert.LessOrEqual(t, count(o.begun, "DeleteSchedule"), 5)
	}

	for name, steps := range map[string][]step{"before": {lostBefore}, "after": {lostAfter}, "before, then after": {lostBefore, lostAfter}, "gone": {after(func() {})}} {
		o := scheduled()
		plan := o.plan(t, desired(daily()))
		o.script["CreateSchedule"] = []step{after(func() { o.schedule(acme, request(uid)) })}
		o.script["DeleteSchedule"] = steps
		if name == "gone" {
			o.script["DeleteSchedule"] = []step{after(func() { o.meanwhile(func() { o.schedules = o.schedules[:1] }) })}
		}
		done, err := o.store(t, plan)
		require.NoError(t, err, name)
		require.Len(t, o.schedules, 1, name)
		assert.Equal(t, []any{o.schedules[0].ID, reconcile.Keep}, []any{done.ID, done.Change}, name)
	}
}

// TestALostCreateOfAScheduleAndATwin: which of the two is ours is unknown, so neither is deleted.
func TestALostCreateOfAScheduleAndATwin(t *testing.T) {
	t.Parallel()
	o := scheduled()
	plan := o.plan(t, desired(daily()))
	o.script["CreateSchedule"] = []step{func(ctx context.Context, effect func() error) error {
		o.schedule(acme, request(uid))
		return lostAfter(ctx, effect)
	}}
	done, err := o.store(t, plan)
	require.ErrorContains(t, err, `environment "acme-api" has 2 schedules that may be this program's: `)
	assert.Empty(t, done.Change)
	assert.Len(t, o.schedules, 2)
	assert.Equal(t, []string{"CreateSchedule"}, o.scheduleWrites())
}

func TestWithoutItsEnvironmentAScheduleIsNotWritten(t *testing.T) {
	t.Parallel()
	o := withSecret()
	plan := o.plan(t, desired(daily()))
	o.script["CreateEnvironment"] = []step{refused}
	done, err := o.store(t, plan)
	require.ErrorContains(t, err, "create environment")
	assert.Equal(t, reconcile.StoredSchedule{Name: "acme-api"}, done)
	assert.Empty(t, o.scheduleWrites())

	o = scheduled(with(request(uid), "prompt", "old"))
	plan = o.plan(t, desired(daily()))
	o.script["UpdateSecret"] = []step{refused}
	applied := o.applier(o).Apply(t.Context(), plan, []reconcile.Token{{}})
	require.Error(t, applied.Err())
	assert.Empty(t, o.scheduleWrites())
	assert.Equal(t, "nothing was written", applied.Words(reconcile.Provision))
}

// TestToldToStopBeforeASchedule keeps what was written.
func TestToldToStopBeforeASchedule(t *testing.T) {
	t.Parallel()
	for name, stored := range map[string]string{"create": "", "update": with(request(uid), "prompt", "old")} {
		o := scheduled()
		if stored != "" {
			o.schedule(acme, stored)
		}
		plan := o.plan(t, desired(daily()))
		ctx, cancel := context.WithCancelCause(t.Context())
		o.script["GetSchedule"] = []step{func(_ context.Context, effect func() error) error { defer cancel(errStopped); return effect() }}
		if stored == "" {
			o.script["UpdateSecret"] = []step{func(_ context.Context, effect func() error) error { defer cancel(errStopped); return effect() }}
		}
		done := o.applier(o).Apply(ctx, plan, []reconcile.Token{{}})
		require.ErrorIs(t, done.Err(), errStopped, name)
		assert.Empty(t, o.scheduleWrites(), name)
		assert.Empty(t, done.Environments[0].Schedules[0].Change, name)
	}
}

// TestWordsOfAFailure say what was and what was not written.
func TestWordsOfAFailure(t *testing.T) {
	t.Parallel()
	lost := fmt.Errorf("x: %w", warp.ErrAnswerLost)
	secret := func(change reconcile.Change, err error) []reconcile.StoredSecret {
		return []reconcile.StoredSecret{{Change: change, Err: err}}
	}
	environment := func(e reconcile.StoredEnvironment) []reconcile.StoredEnvironment {
		e.UID, e.Name = uid, "acme-api"
		return []reconcile.StoredEnvironment{e}
	}
	one := func(change reconcile.Change, paused bool) []reconcile.StoredSchedule {
		return []reconcile.StoredSchedule{{ID: "Sc1", Name: "daily", Change: change, Paused: paused}}
	}
	for _, test := range []struct {
		mode reconcile.Mode
		in   reconcile.Applied
		want string
	}{
		{reconcile.Provision, reconcile.Applied{}, "nothing was written"},
		{reconcile.Verification, reconcile.Applied{Secrets: secret(reconcile.Keep, nil)}, "nothing was written"},
		{reconcile.Removal, reconcile.Applied{}, "nothing was written"},
		{reconcile.Rotation, reconcile.Applied{Secrets: secret(reconcile.Rotate, nil)}, "the new value is stored"},
		{reconcile.Rotation, reconcile.Applied{Secrets: secret("", lost)}, "it is not known which value is stored now; both work at Bitbucket; run again to converge"},
		{reconcile.Rotation, reconcile.Applied{Secrets: secret("", errors.New("no"))}, "the stored value is unchanged"},
		{reconcile.Provision, reconcile.Applied{Secrets: secret("", nil), Environments: environment(reconcile.StoredEnvironment{})}, "nothing was written"},
		{reconcile.Provision, reconcile.Applied{Secrets: secret(reconcile.Create, nil), Environments: environment(reconcile.StoredEnvironment{})},
			"the secret is written, but it is not known whether the environment is; run again to converge"},
		{reconcile.Provision, reconcile.Applied{Secrets: secret(reconcile.Create, nil), Environments: environment(reconcile.StoredEnvironment{Change: reconcile.Keep, Schedules: one("", false)})},
			"the secret and environment " + uid + " are written, but its schedule is not"},
		{reconcile.Provision, reconcile.Applied{Secrets: secret(reconcile.Create, nil), Environments: environment(reconcile.StoredEnvironment{Change: reconcile.Keep, Schedules: []reconcile.StoredSchedule{{Err: lost}}})},
			"the secret and environment " + uid + " are written, but it is not known whether its schedule is; run again to converge"},
		{reconcile.Provision, reconcile.Applied{Secrets: secret(reconcile.Create, nil), Environments: environment(reconcile.StoredEnvironment{Change: reconcile.Keep, Schedules: one(reconcile.Create, false)})},
			"the secret is written, and environment " + uid + " too; run again to converge"},
		{reconcile.Removal, reconcile.Applied{Environments: environment(reconcile.StoredEnvironment{})}, "nothing is known to be deleted"},
		{reconcile.Removal, reconcile.Applied{Environments: environment(reconcile.StoredEnvironment{Schedules: one("", false)})}, "nothing is known to be deleted"},
		{reconcile.Removal, reconcile.Applied{Environments: environment(reconcile.StoredEnvironment{Schedules: one("", true)})},
			`paused and not deleted: schedule "daily" (Sc1); run again to continue`},
		{reconcile.Removal, reconcile.Applied{Environments: environment(reconcile.StoredEnvironment{Schedules: one(reconcile.Delete, false)})},
			`deleted: schedule "daily" (Sc1); run again to continue`},
		{reconcile.Removal, reconcile.Applied{Environments: environment(reconcile.StoredEnvironment{Change: reconcile.Delete, Schedules: append(one(reconcile.Delete, false), one("", true)...)})},
			`deleted: schedule "daily" (Sc1), environment "acme-api" (` + uid + `); paused and not deleted: schedule "daily" (Sc1); run again to continue`},
	} {
		assert.Equal(t, test.want, test.in.Words(test.mode))
	}
}

// TestAfterTwoPlans: what the first one made of a schedule is not forgotten.
func TestAfterTwoPlans(t *testing.T) {
	t.Parallel()
	one := func(id string, change reconcile.Change) []reconcile.StoredSchedule {
		return []reconcile.StoredSchedule{{ID: id, Name: "name of " + id, Change: change}}
	}
	for name, test := range map[string]struct{ first, now, want []reconcile.StoredSchedule }{
		"none":                    {nil, nil, nil},
		"only the first":          {one("Sc1", reconcile.Create), nil, one("Sc1", reconcile.Create)},
		"only the second":         {nil, one("Sc1", reconcile.Update), one("Sc1", reconcile.Update)},
		"created, then kept":      {one("Sc1", reconcile.Create), one("Sc1", reconcile.Keep), one("Sc1", reconcile.Create)},
		"created, then updated":   {one("Sc1", reconcile.Create), one("Sc1", reconcile.Update), one("Sc1", reconcile.Create)},
		"updated, then kept":      {one("Sc1", reconcile.Update), one("Sc1", reconcile.Keep), one("Sc1", reconcile.Update)},
		"kept, then updated":      {one("Sc1", reconcile.Keep), one("Sc1", reconcile.Update), one("Sc1", reconcile.Update)},
		"updated, then failed":    {one("Sc1", reconcile.Update), one("Sc1", ""), one("Sc1", reconcile.Update)},
		"failed, then kept":       {one("", ""), one("Sc1", reconcile.Keep), one("Sc1", reconcile.Keep)},
		"created, then unknown":   {one("Sc1", reconcile.Create), one("", ""), one("Sc1", reconcile.Create)},
		"failed, then failed too": {one("Sc1", ""), one("Sc1", ""), one("Sc1", "")},
	} {
		done := func(schedules []reconcile.StoredSchedule) reconcile.Applied {
			return reconcile.Applied{Environments: []reconcile.StoredEnvironment{{UID: uid, Schedules: slices.Clone(schedules)}}}
		}
		assert.Equal(t, test.want, done(test.now).After(done(test.first)).Environments[0].Schedules, name)
	}
}
