package reconcile_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// full is an Oz with all that a removal may delete: the secret, the environment, two schedules of ours.
func full() *oz {
	o := removable()
	o.add(other, clones("acme-api"))
	o.add(acme, `{"name":"another"}`)
	o.schedule(acme, request(uid))
	o.schedule(acme, with(with(request(uid), "name", "paused"), "enabled", false))
	o.schedule(acme, foreignSchedule("x", "En9", ""))
	o.schedule(other, foreignSchedule("acme-api", "En9", ""))
	return o
}

// inOrder are the writes of a removal of it.
var inOrder = []string{"EnableSchedule", "DeleteSchedule", "DeleteSchedule", "DeleteEnvironment", "DeleteSecret"}

// theirs is what a removal leaves alone.
func (o *oz) theirs() map[string]string {
	found := o.strangers()
	for _, s := range o.schedules {
		if s.EnvironmentID() != uid {
			found[s.ID] = s.Model.String()
		}
	}
	maps.DeleteFunc(found, func(id, _ string) bool { return id == uid })
	return found
}

// requireRemoved checks that all of it is gone and nothing else.
func (o *oz) requireRemoved(t *testing.T, theirs map[string]string) {
	t.Helper()
	assert.Equal(t, theirs, o.theirs(), "strangers")
	assert.Empty(t, o.live(acme, "acme-api"))
	assert.Nil(t, o.secret(acme, "TOKEN"))
	for _, s := range o.schedules {
		assert.NotEqual(t, uid, s.EnvironmentID())
	}
}

func (o *oz) remove(t *testing.T, changes ...func(*reconcile.Desired)) reconcile.Applied {
	t.Helper()
	return o.applier(o).Apply(t.Context(), o.planFor(t, reconcile.Removal, desired(append(changes, withSecretToo)...)), nil)
}

func TestARemoval(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*reconcile.Desired){"by name": func(*reconcile.Desired) {}, "by ID": byID, "forced": force} {
		o := full()
		theirs := o.theirs()
		one, two := o.schedules[0].ID, o.schedules[1].ID
		plan := o.planFor(t, reconcile.Removal, desired(change, withSecretToo))
		done := o.applier(o).Apply(t.Context(), plan, nil)
		require.NoError(t, done.Err(), name)
		require.NoError(t, plan.Confirm(done), name)
		assert.Equal(t, inOrder, o.begun, name)
		assert.Equal(t, reconcile.Applied{
			Secrets: []reconcile.StoredSecret{{Change: reconcile.Delete}},
			Environments: []reconcile.StoredEnvironment{{Change: reconcile.Delete, UID: uid, Name: "acme-api", Schedules: []reconcile.StoredSchedule{
				{ID: one, Name: "acme-api", Change: reconcile.Delete}, {ID: two, Name: "paused", Change: reconcile.Delete},
			}}},
		}, done, name)
		o.requireRemoved(t, theirs)

		o.begun = nil
		done = o.remove(t, change)
		require.NoError(t, done.Err(), name)
		assert.Empty(t, o.begun, "a second run finds nothing")
		assert.Equal(t, reconcile.Keep, done.Environments[0].Change, name)
		assert.Equal(t, reconcile.Keep, done.Secrets[0].Change, name)
	}
}

func TestLostAnswersOfARemoval(t *testing.T) {
	t.Parallel()
	ways := map[string]step{"ok": fine, "lost before": lostBefore, "lost after": lostAfter}
	for first := range ways {
		for second := range ways {
			t.Run(first+", "+second, func(t *testing.T) {
				t.Parallel()
				o := full()
				theirs := o.theirs()
				for _, method := range inOrder {
					o.script[method] = []step{ways[first], ways[second]}
				}
				done := o.remove(t)
				require.NoError(t, done.Err())
				o.requireRemoved(t, theirs)
				if first == "lost after" && second != "lost before" { // that one is of the second schedule
					assert.Equal(t, inOrder, o.begun, "it looks before it writes again")
				}
				assert.Equal(t, []reconcile.Change{reconcile.Delete, reconcile.Delete}, []reconcile.Change{done.Environments[0].Change, done.Secrets[0].Change})
			})
		}
	}
}

// TestSomeoneElseRemovesAtTheSameTime: what is gone is gone.
func TestSomeoneElseRemovesAtTheSameTime(t *testing.T) {
	t.Parallel()
	for _, way := range []func(o *oz, deed func()) step{
		func(o *oz, deed func()) step { return after(func() { o.meanwhile(deed) }) },
		func(o *oz, deed func()) step {
			return func(context.Context, func() error) error { o.meanwhile(deed); return warp.ErrAnswerLost }
		},
	} {
		for method, deed := range map[string]func(*oz){
			"EnableSchedule": func(o *oz) { o.schedules = slices.Clone(o.schedules[1:]) },
			"DeleteSchedule": func(o *oz) { o.schedules = slices.Clone(o.schedules[2:]) },
			"DeleteEnvironment": func(o *oz) {
				o.environments = slices.DeleteFunc(slices.Clone(o.environments), func(e warp.Environment) bool { return e.UID == uid })
			},
			"DeleteSecret": func(o *oz) { o.secrets = o.secrets[:2] },
		} {
			o := full()
			theirs := o.theirs()
			o.script[method] = []step{way(o, func() { deed(o) })}
			done := o.remove(t)
			require.NoError(t, done.Err(), method)
			o.requireRemoved(t, theirs)
			assert.Equal(t, inOrder, o.begun, method)
		}
	}
}

// TestARemovalThatFails ends there, says what it has done, and a second run goes on.
func TestARemovalThatFails(t *testing.T) {
	t.Parallel()
	const (
		schedules = `schedule "acme-api" (Sc00000000000000000004)`
		paused    = `schedule "paused" (Sc00000000000000000005)`
		again     = "; run again to continue"
	)
	for _, test := range []struct {
		method  string
		skip    int
		wantErr string
		words   string
		writes  int
	}{
		{"EnableSchedule", 0, "pause " + schedules + ": ", "nothing is known to be deleted", 1},
		{"DeleteSchedule", 0, "delete " + schedules + ": ", "paused and not deleted: " + schedules + again, 2},
		{"DeleteSchedule", 1, "delete " + paused + ": ", "deleted: " + schedules + again, 3},
		{"DeleteEnvironment", 0, "delete environment " + uid + ": ", "deleted: " + schedules + ", " + paused + again, 4},
		{"DeleteSecret", 0, `delete secret "TOKEN": `, "deleted: " + schedules + ", " + paused + `, environment "acme-api" (` + uid + ")" + again, 5},
	} {
		for name, trouble := range map[string]struct {
			steps []step
			lost  bool
			tries int
		}{
			"refused":             {steps: []step{refused}, tries: 1},
			"broken":              {steps: refuses(errors.New("connection refused"))[:1], tries: 1},
			"always lost":         {steps: slices.Repeat([]step{lostBefore}, 5), lost: true, tries: 5},
			"lost, then refused":  {steps: []step{lostBefore, refused}, lost: true, tries: 2},
			"forbidden":           {steps: refuses(&warp.Refusal{Status: 403, Message: "no"})[:1], tries: 1},
			"lost, and forbidden": {steps: []step{lostBefore, refuses(&warp.Refusal{Status: 403, Message: "no"})[0]}, lost: true, tries: 2},
		} {
			t.Run(test.method+", "+name, func(t *testing.T) {
				t.Parallel()
				o := full()
				theirs := o.theirs()
				plan := o.planFor(t, reconcile.Removal, desired(withSecretToo))
				o.script[test.method] = append(slices.Repeat([]step{fine}, test.skip), trouble.steps...)
				done := o.applier(o).Apply(t.Context(), plan, nil)
				require.ErrorContains(t, done.Err(), test.wantErr)
				assert.Equal(t, trouble.lost, errors.Is(done.Err(), warp.ErrAnswerLost), done.Err())
				assert.Equal(t, test.words, done.Words(reconcile.Removal))
				assert.Len(t, o.begun, test.writes-1+trouble.tries)
				assert.Equal(t, test.method, o.begun[len(o.begun)-1], "nothing else begins")
				assert.Empty(t, done.Secrets[0].Change)
				assert.Equal(t, test.method == "DeleteSecret", done.Environments[0].Change == reconcile.Delete)
				assert.Empty(t, o.script[test.method])

				done = o.remove(t)
				require.NoError(t, done.Err(), "a second run goes on")
				o.requireRemoved(t, theirs)
			})
		}
	}
}

// TestALostDeleteIsNoDelete as long as nobody can look.
func TestALostDeleteIsNoDelete(t *testing.T) {
	t.Parallel()
	broken := slices.Repeat(refuses(errors.New("connection refused")), 5)
	for method, look := range map[string]string{
		"EnableSchedule": "GetSchedule", "DeleteSchedule": "GetSchedule", "DeleteEnvironment": "ListEnvironments", "DeleteSecret": "ListSecrets",
	} {
		o := full()
		plan := o.planFor(t, reconcile.Removal, desired(withSecretToo))
		o.script[method], o.script[look] = slices.Repeat([]step{lostBefore}, 5), broken
		done := o.applier(o).Apply(t.Context(), plan, nil)
		require.ErrorIs(t, done.Err(), warp.ErrAnswerLost, method)
		assert.Equal(t, method, o.begun[len(o.begun)-1])
		assert.Empty(t, o.script[method], "five tries")
	}
}

func TestARemovalThatIsToldToStop(t *testing.T) {
	t.Parallel()
	for i, method := range []string{"EnableSchedule", "DeleteSchedule", "DeleteEnvironment"} {
		o := full()
		theirs := o.theirs()
		plan := o.planFor(t, reconcile.Removal, desired(withSecretToo))
		ctx, cancel := context.WithCancelCause(t.Context())
		o.script[method] = []step{func(_ context.Context, effect func() error) error { defer cancel(errStopped); return effect() }}
		done := o.applier(o).Apply(ctx, plan, nil)
		require.Error(t, done.Err(), method)
		assert.Equal(t, method, o.begun[len(o.begun)-1])
		assert.NotContains(t, o.begun, "DeleteSecret")
		require.NoError(t, o.remove(t).Err(), i)
		o.requireRemoved(t, theirs)
	}
}

// TestWhatBeginsToUseAnEnvironment after the plan was made keeps it, unless the removal is forced.
func TestWhatBeginsToUseAnEnvironment(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection refused")
	for name, test := range map[string]struct {
		deed    func(*oz)
		wantErr string // with SC for the schedule's ID
	}{
		"an integration":       {func(o *oz) { o.integrations[uid] = []string{"slack"} }, "is used by the integration slack since the plan was made; remove these uses first, or set force: true"},
		"a schedule":           {func(o *oz) { o.schedule(acme, foreignSchedule("new", uid, "")) }, `is used by the schedule "new" (SC) since the plan was made`},
		"a schedule of a user": {func(o *oz) { o.schedule(jane, foreignSchedule("new", uid, "")) }, `is used by the schedule "new" (SC) since the plan was made`},
		"a factory":            {func(o *oz) { o.factories = []warp.Factory{{UID: "Fa1", Name: "f", EnvironmentID: uid}} }, `is used by the factory "f" (Fa1) since the plan was made`},
		"a run":                {func(o *oz) { o.going[uid] = []warp.Run{{ID: "run-1"}} }, "is used by the run run-1, which has not ended since the plan was made"},
		"no integrations":      {func(o *oz) { o.script["ListIntegrations"] = refuses(broken) }, "list the integrations of environment " + uid + ": connection refused"},
		"no factories":         {func(o *oz) { o.script["ListFactories"] = refuses(broken) }, "list factories: connection refused"},
		"no schedules":         {func(o *oz) { o.script["ListSchedules"] = refuses(broken) }, "list schedules: connection refused"},
		"no runs":              {func(o *oz) { o.script["ListGoing"] = refuses(broken) }, "list the runs in environment " + uid + ": connection refused"},
		"a schedule that another job has just made for it": {func(o *oz) { o.schedule(acme, request(uid)) }, `is used by the schedule "acme-api" (SC) since the plan was made`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := full()
			plan := o.planFor(t, reconcile.Removal, desired(withSecretToo))
			there := len(o.schedules)
			test.deed(o)
			want := test.wantErr
			if len(o.schedules) > there {
				want = strings.ReplaceAll(want, "SC", o.schedules[there].ID)
			}
			done := o.applier(o).Apply(t.Context(), plan, nil)
			require.ErrorContains(t, done.Err(), want)
			require.ErrorContains(t, done.Err(), "environment "+whole)
			assert.Equal(t, []string{"EnableSchedule"}, o.begun, "ours is paused meanwhile")
			assert.Equal(t, "paused and not deleted: schedule "+plan.Environments[0].Schedules[0].String()+"; run again to continue", done.Words(reconcile.Removal))
			assert.Equal(t, []string{uid}, o.live(acme, "acme-api"))

			if len(o.script) > 0 {
				return
			}
			o = full()
			plan = o.planFor(t, reconcile.Removal, desired(force))
			test.deed(o)
			done = o.applier(o).Apply(t.Context(), plan, nil)
			require.NoError(t, done.Err())
			assert.Empty(t, o.live(acme, "acme-api"))
		})
	}
}

// TestAScheduleThatWasPointedElsewhere is ours by its mark, and not in the environment.
func TestAScheduleThatWasPointedElsewhere(t *testing.T) {
	t.Parallel()
	o := removable()
	id := o.schedule(acme, configured(request(uid), `{"environment_id":"En9"}`))
	plan := o.planFor(t, reconcile.Removal, desired())
	assert.Empty(t, plan.Environments[0].Schedules)
	require.NoError(t, o.applier(o).Apply(t.Context(), plan, nil).Err())
	assert.Empty(t, o.live(acme, "acme-api"))
	require.Len(t, o.schedules, 1)
	assert.Equal(t, []any{id, true}, []any{o.schedules[0].ID, o.schedules[0].Enabled()})
}

// TestWhatBeginsToReadASecret after the plan was made keeps it.
func TestWhatBeginsToReadASecret(t *testing.T) {
	t.Parallel()
	const reads = `,"secrets":[{"name":"TOKEN"}]`
	for name, test := range map[string]struct {
		deed func(*oz)
		want reconcile.Change
	}{
		"nothing":           {func(*oz) {}, reconcile.Delete},
		"an environment":    {func(o *oz) { o.add(acme, clones("web")) }, reconcile.Keep},
		"one of the caller": {func(o *oz) { o.add(jane, clones("web")) }, reconcile.Keep},
		"one that listed nothing": {func(o *oz) {
			o.edit("En00000000000000000003", func(e *warp.Environment) { e.Model = e.Model.WithSecret("TOKEN") })
		}, reconcile.Keep},
		"one of another team":          {func(o *oz) { o.add(other, clones("web")) }, reconcile.Delete},
		"one of another secret":        {func(o *oz) { o.add(acme, strings.ReplaceAll(clones("web"), "TOKEN", "OTHER")) }, reconcile.Delete},
		"a schedule":                   {func(o *oz) { o.schedule(acme, foreignSchedule("new", "En9", reads)) }, reconcile.Keep},
		"a schedule of another team":   {func(o *oz) { o.schedule(other, foreignSchedule("new", "En9", reads)) }, reconcile.Delete},
		"a schedule of another secret": {func(o *oz) { o.schedule(acme, foreignSchedule("new", "En9", "")) }, reconcile.Delete},
		"nothing, and the list lags":   {func(o *oz) { o.script["ListEnvironments"] = []step{lagging(o)} }, reconcile.Delete},
	} {
		for _, forced := range []bool{false, true} {
			o := full()
			plan := o.planFor(t, reconcile.Removal, desired(withSecretToo, func(d *reconcile.Desired) { d.Force = forced }))
			require.Equal(t, reconcile.Delete, plan.Secrets[0].Change)
			test.deed(o)
			done := o.applier(o).Apply(t.Context(), plan, nil)
			require.NoError(t, done.Err(), name)
			assert.Equal(t, test.want, done.Secrets[0].Change, name)
			assert.Equal(t, test.want == reconcile.Delete, o.secret(acme, "TOKEN") == nil, name)
			assert.Equal(t, reconcile.Delete, done.Environments[0].Change, name)
		}
	}
}

// lagging is a list of environments that still shows the one that is gone.
func lagging(o *oz) step {
	old := o.environments[o.index(uid)]
	return func(_ context.Context, effect func() error) error {
		o.meanwhile(func() { o.environments = append(o.environments, old) })
		defer o.meanwhile(func() { o.environments = o.environments[:len(o.environments)-1] })
		return effect()
	}
}

// TestALookForReadersThatFails keeps the secret, forced as well: to force is about the
// environment.
func TestALookForReadersThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection refused")
	for method, wantErr := range map[string]string{
		"ListEnvironments": "list environments: connection refused",
		"ListSchedules":    "list schedules: connection refused",
		"ListConnected":    "list integrations: connection refused",
		"ListFactories":    "list factories: connection refused",
	} {
		for _, forced := range []bool{false, true} {
			o := full()
			plan := o.planFor(t, reconcile.Removal, desired(withSecretToo, func(d *reconcile.Desired) { d.Force = forced }))
			steps := refuses(broken)
			if looksBefore := method == "ListSchedules" || method == "ListFactories"; looksBefore && !forced {
				steps = append([]step{fine}, steps...)
			}
			o.script[method] = steps
			done := o.applier(o).Apply(t.Context(), plan, nil)
			assert.Equal(t, reconcile.Delete, done.Environments[0].Change, method)
			require.ErrorContains(t, done.Err(), `check again what uses secret "TOKEN": `)
			require.ErrorContains(t, done.Err(), wantErr)
			assert.Empty(t, done.Secrets[0].Change)
			assert.NotNil(t, o.secret(acme, "TOKEN"))
		}
	}
}
