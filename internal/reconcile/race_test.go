package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// The environment that before leaves room for, and the one after it.
const (
	fourth = "En00000000000000000004"
	fifth  = "En00000000000000000005"
)

// race runs apply on an empty Oz, with what arrange does to it after the plan. It does so
// twice: once it looks what others did as soon as it has written, and once later, as where
// many plans are applied together. What comes of it is the same.
func race(t *testing.T, arrange func(*oz)) (*oz, map[string]string, applied, error) {
	t.Helper()
	run := func(later bool) (*oz, map[string]string, applied, error) {
		o := before("old", "")
		o.later = later
		plan, strangers := o.plan(t, desired()), o.strangers()
		arrange(o)
		done, err := o.apply(t.Context(), plan)
		return o, strangers, done, err
	}
	later, _, doneLater, errLater := run(true)
	o, strangers, done, err := run(false)
	assert.Equal(t, done, doneLater)
	assert.Equal(t, err == nil, errLater == nil, "%v and %v", err, errLater)
	assert.Equal(t, o.deleted, later.deleted)
	assert.Equal(t, o.environments, later.environments)
	return o, strangers, done, err
}

func TestAnOlderTwinStays(t *testing.T) {
	t.Parallel()
	for name, model := range map[string]string{"converged": converged, "drifted": drifted} {
		for _, listed := range []bool{true, false} {
			o, strangers, done, err := race(t, func(o *oz) {
				if !listed {
					o.hidden = []string{fifth} // ours
				}
				o.script["CreateEnvironment"] = []step{after(func() { o.add(acme, model) })}
			})
			require.NoError(t, err)
			o.requireOne(t, strangers, done, err)
			assert.Equal(t, []string{fifth}, o.deleted, "what it had just created")
			assert.Equal(t, fourth, done.EnvironmentID)
			want := map[string]reconcile.Change{"converged": reconcile.Keep, "drifted": reconcile.Update}[name]
			assert.Equal(t, want, done.Environment, name)
		}
	}
}

func TestAYoungerTwinIsLeftToItsMaker(t *testing.T) {
	t.Parallel()
	for _, listed := range []bool{true, false} {
		o, _, done, err := race(t, func(o *oz) {
			o.script["CreateEnvironment"] = []step{func(_ context.Context, effect func() error) error {
				defer o.add(acme, converged)
				return effect()
			}}
			if !listed {
				o.hidden = []string{fourth} // ours
			}
		})
		require.NoError(t, err)
		assert.Equal(t, reconcile.Create, done.Environment)
		assert.Equal(t, fourth, done.EnvironmentID)
		assert.Empty(t, o.deleted)
		assert.Equal(t, []string{fourth, fifth}, o.live(acme, "acme-api"))
	}
}

// TestTwinsOfOneMomentAgree: both jobs must choose the same one to stay, in
// whatever order the list has them.
func TestTwinsOfOneMomentAgree(t *testing.T) {
	t.Parallel()
	for _, reversed := range []bool{false, true} {
		o, strangers, done, err := race(t, func(o *oz) {
			o.script["CreateEnvironment"] = []step{func(_ context.Context, effect func() error) error {
				o.add(acme, converged)
				o.meanwhile(func() { o.seconds-- }) // ours gets the same time
				err := effect()
				if reversed {
					o.meanwhile(func() { slices.Reverse(o.environments) })
				}
				return err
			}}
		})
		require.NoError(t, err)
		o.requireOne(t, strangers, done, err)
		assert.Equal(t, fourth, done.EnvironmentID)
	}
}

// TestTwinsThatAreNone: other owners, other names and the trash do not count.
func TestTwinsThatAreNone(t *testing.T) {
	t.Parallel()
	o, strangers, done, err := race(t, func(o *oz) {
		o.script["CreateEnvironment"] = []step{after(func() {
			o.add(other, converged)
			o.add(acme, `{"name":"acme-api2"}`)
			o.edit(o.add(acme, converged), func(e *warp.Environment) { e.Trashed = true })
		})}
	})
	require.NoError(t, err)
	o.requireOne(t, strangers, done, err)
	assert.Equal(t, reconcile.Create, done.Environment)
	assert.Empty(t, o.deleted)
}

// TestATwinThatGoesWhileWeLook: its maker deletes it between our list and our
// look at it.
func TestATwinThatGoesWhileWeLook(t *testing.T) {
	t.Parallel()
	o, strangers, done, err := race(t, func(o *oz) {
		var twin string
		o.script["CreateEnvironment"] = []step{func(_ context.Context, effect func() error) error {
			defer func() { twin = o.add(acme, converged) }()
			return effect()
		}}
		o.script["GetEnvironment"] = []step{after(func() {
			o.meanwhile(func() {
				o.environments = slices.DeleteFunc(o.environments, func(e warp.Environment) bool { return e.UID == twin })
			})
		})}
	})
	require.NoError(t, err)
	o.requireOne(t, strangers, done, err)
	assert.Equal(t, reconcile.Create, done.Environment)
}

func TestEveryTwinOfSeveralJobsButOneGoes(t *testing.T) {
	t.Parallel()
	o, strangers, done, err := race(t, func(o *oz) {
		o.script["CreateEnvironment"] = []step{func(_ context.Context, effect func() error) error {
			o.add(acme, converged)
			o.script["CreateEnvironment"] = nil
			defer func() {
				// A third job, which sees all, has deleted its own already.
				third := o.add(acme, converged)
				o.meanwhile(func() {
					o.environments = slices.DeleteFunc(o.environments, func(e warp.Environment) bool { return e.UID == third })
				})
			}()
			return effect()
		}}
	})
	require.NoError(t, err)
	o.requireOne(t, strangers, done, err)
	assert.Equal(t, []string{fifth}, o.deleted)
}

func TestALookAfterACreateThatFails(t *testing.T) {
	t.Parallel()
	for look, wantErr := range map[string]string{
		"ListEnvironments": "list environments: connection refused",
		"GetEnvironment":   "get environment En00000000000000000003: connection refused", // which turns out to be in the trash
	} {
		_, _, done, err := race(t, func(o *oz) {
			o.script["CreateEnvironment"] = []step{func(_ context.Context, effect func() error) error {
				defer o.add(acme, converged)
				return effect()
			}}
			// Twice: the list is read for Confirm, too.
			o.script[look] = slices.Repeat([]step{func(context.Context, func() error) error { return errors.New("connection refused") }}, 2)
		})
		require.EqualError(t, err, wantErr)
		assert.Equal(t, applied{Secret: reconcile.Rotate, Environment: reconcile.Create, EnvironmentID: fourth, EnvironmentName: "acme-api"}, done,
			"its own is known to be written")
	}
}

func TestLostDeletes(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]step{
		"before":             {lostBefore},
		"after":              {lostAfter},
		"before, then after": {lostBefore, lostAfter},
		"four times":         {lostBefore, lostBefore, lostBefore, lostBefore},
	} {
		o, strangers, done, err := race(t, func(o *oz) {
			o.script["CreateEnvironment"] = []step{after(func() { o.add(acme, converged) })}
			o.script["DeleteEnvironment"] = steps
		})
		require.NoError(t, err, name)
		o.requireOne(t, strangers, done, err)
		assert.Equal(t, fourth, done.EnvironmentID)
	}
	for name, steps := range map[string][]step{"refused": {refused}, "always lost": slices.Repeat([]step{lostBefore}, 5)} {
		o, _, done, err := race(t, func(o *oz) {
			o.script["CreateEnvironment"] = []step{after(func() { o.add(acme, converged) })}
			o.script["DeleteEnvironment"] = steps
			if name == "refused" {
				o.hidden = []string{fifth} // no proof that it is gone
			}
		})
		require.ErrorContains(t, err, "delete environment "+fifth+": ", name)
		require.ErrorContains(t, err, "environment "+fourth+" of the same name is older and stays")
		assert.Equal(t, applied{Secret: reconcile.Rotate, Environment: reconcile.Create, EnvironmentID: fifth, EnvironmentName: "acme-api"}, done)
		assert.Empty(t, o.script["DeleteEnvironment"])
	}
}

// TestALostCreateAndATwin: which of the two is ours is unknown, so neither is
// deleted and both are named.
func TestALostCreateAndATwin(t *testing.T) {
	t.Parallel()
	o, _, done, err := race(t, func(o *oz) {
		o.script["CreateEnvironment"] = []step{func(ctx context.Context, effect func() error) error {
			o.add(acme, converged)
			return lostAfter(ctx, effect)
		}}
	})
	require.EqualError(t, err, `2 environments are named "acme-api": `+fourth+", "+fifth+"; set environment_id to the one to manage, or delete the others")
	assert.Equal(t, applied{Secret: reconcile.Rotate}, done)
	assert.Empty(t, o.deleted)
}

// TestALateCreate takes effect after we looked for it in vain.
func TestALateCreate(t *testing.T) {
	t.Parallel()
	o, strangers, done, err := race(t, func(o *oz) {
		late := func() {
			e := o.add(acme, converged)
			o.created = append(o.created, e)
		}
		o.script["CreateEnvironment"] = []step{lostBefore, after(late)}
	})
	require.NoError(t, err)
	o.requireOne(t, strangers, done, err)
	assert.Equal(t, []string{fifth}, o.deleted)
	assert.Equal(t, fourth, done.EnvironmentID)
}

func TestACreateThatIsRefusedBecauseOfATwin(t *testing.T) {
	t.Parallel()
	o, strangers, done, err := race(t, func(o *oz) {
		o.script["CreateEnvironment"] = []step{func(context.Context, func() error) error {
			o.add(acme, drifted)
			return no("limit reached")
		}}
	})
	require.NoError(t, err)
	o.requireOne(t, strangers, done, err)
	assert.Equal(t, reconcile.Update, done.Environment, "someone else created it")
	assert.Equal(t, fourth, done.EnvironmentID)
}

func TestRejectedRevisions(t *testing.T) {
	t.Parallel()
	var touches int
	touch := func(o *oz) step {
		return after(func() {
			touches++
			o.edit(fourth, func(e *warp.Environment) { e.Model = e.Model.With("touched", touches) })
		})
	}
	for n := 1; n <= 4; n++ {
		o := before("old", drifted)
		plan, strangers := o.plan(t, desired()), o.strangers()
		o.script["UpdateEnvironment"] = slices.Repeat([]step{touch(o)}, n)
		done, err := o.apply(t.Context(), plan)
		require.NoError(t, err)
		o.requireOne(t, strangers, done, err)
		assert.Equal(t, reconcile.Update, done.Environment)
		merged := o.environments[o.index(fourth)].Model
		assert.JSONEq(t, string(warp.Model{}.With("n", touches).Raw("n")), string(merged.Raw("touched")), "theirs survives")
	}
	o := before("old", drifted)
	plan, strangers := o.plan(t, desired()), o.strangers()
	o.script["UpdateEnvironment"] = slices.Repeat([]step{touch(o)}, 10)
	done, err := o.apply(t.Context(), plan)
	require.EqualError(t, err, "update environment "+fourth+": someone else changed it at the same time")
	assert.Equal(t, applied{Secret: reconcile.Rotate, EnvironmentID: fourth, EnvironmentName: "acme-api"}, done)
	o.requireOne(t, strangers, done, err)
	assert.Len(t, o.script["UpdateEnvironment"], 5, "five tries")
}

// TestSomeoneElseWasFaster: another job brought it to the desired state.
func TestSomeoneElseWasFaster(t *testing.T) {
	t.Parallel()
	theirs := func(o *oz) func() {
		return func() { o.edit(fourth, func(e *warp.Environment) { e.Model = parsed(converged) }) }
	}
	o := before("old", drifted)
	plan, strangers := o.plan(t, desired()), o.strangers()
	o.script["UpdateEnvironment"] = []step{after(theirs(o))}
	done, err := o.apply(t.Context(), plan)
	require.NoError(t, err)
	o.requireOne(t, strangers, done, err)
	assert.Equal(t, reconcile.Keep, done.Environment, "this process has not written it")
	assert.Equal(t, 1, count(o.begun, "UpdateEnvironment"))
}

func TestTrashedMeanwhile(t *testing.T) {
	t.Parallel()
	trash := func(o *oz) { o.edit(fourth, func(e *warp.Environment) { e.Trashed = true }) }
	for name, meanwhile := range map[string]func(*oz) step{
		"rejected": func(o *oz) step { return after(func() { trash(o) }) },
		"lost": func(o *oz) step {
			return func(context.Context, func() error) error { trash(o); return warp.ErrAnswerLost }
		},
	} {
		o := before("old", drifted)
		plan := o.plan(t, desired())
		o.script["UpdateEnvironment"] = []step{meanwhile(o)}
		done, err := o.apply(t.Context(), plan)
		require.ErrorContains(t, err, "it is in the trash now", name)
		assert.Equal(t, applied{Secret: reconcile.Rotate, EnvironmentID: fourth, EnvironmentName: "acme-api"}, done)
		assert.Equal(t, 1, count(o.begun, "UpdateEnvironment"))
	}
}

// unreadable is a Writer whose rejections cannot be read: the newer object comes
// back empty beside an error.
type unreadable struct {
	*oz
	err error
}

func (u unreadable) UpdateEnvironment(ctx context.Context, uid, revision string, model warp.Model) (*warp.Environment, error) {
	newer, err := u.oz.UpdateEnvironment(ctx, uid, revision, model)
	if newer != nil {
		return &warp.Environment{}, u.err
	}
	return newer, err
}

func TestAnUnreadableRejectionIsNotMergedOnto(t *testing.T) {
	t.Parallel()
	touched := func(o *oz) []step {
		return []step{after(func() { o.edit(fourth, func(*warp.Environment) {}) })}
	}
	o := before("old", drifted)
	plan := o.plan(t, desired())
	o.script["UpdateEnvironment"] = touched(o)
	done, err := o.applyWith(t.Context(), plan, unreadable{o, errors.New("not valid JSON")})
	require.EqualError(t, err, "update environment "+fourth+": not valid JSON")
	assert.Empty(t, done.Environment)
	assert.Equal(t, drifted, o.environments[o.index(fourth)].Model.String())
	assert.Equal(t, 1, count(o.begun, "UpdateEnvironment"))

	o = before("old", drifted)
	plan, strangers := o.plan(t, desired()), o.strangers()
	o.script["UpdateEnvironment"] = touched(o)
	done, err = o.applyWith(t.Context(), plan, unreadable{o, warp.ErrAnswerLost})
	require.NoError(t, err, "it looks for itself")
	o.requireOne(t, strangers, done, err)
	assert.Contains(t, o.environments[o.index(fourth)].Model.String(), "from_the_future")
}
