package reconcile_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// together applies plans as a job does that has many: everything is written, and then it
// is looked what others did, once.
func together(ctx context.Context, o *counting, plans []reconcile.Plan) []reconcile.Applied {
	applier := o.applier(o)
	done := make([]reconcile.Applied, len(plans))
	for i, plan := range plans {
		done[i] = applier.Write(ctx, plan, []reconcile.Token{{Value: sensitive.New("token")}})
	}
	share := reconcile.Share(ctx, o, reconcile.Provision, nil)
	for i, plan := range plans {
		done[i] = applier.See(ctx, share, plan, done[i])
	}
	return done
}

// TestOneLookForAllThatWasCreated, and the schedule of an environment that has a twin goes
// to the one that stays.
func TestOneLookForAllThatWasCreated(t *testing.T) {
	t.Parallel()
	o := &counting{oz: newOz()}
	var plans []reconcile.Plan
	for _, name := range []string{"a", "b", "c"} {
		plans = append(plans, o.plan(t, desired(daily(), func(d *reconcile.Desired) { d.EnvironmentName, d.SecretName = name, "TOKEN_"+name })))
	}
	var older string
	o.script["CreateEnvironment"] = []step{fine, after(func() {
		older = o.add(acme, parsed(converged).With(warp.KeyName, "b").String())
	})}
	o.environments.Store(0)
	o.lists.Store(0)
	done := together(t.Context(), o, plans)
	var live []string
	for i, plan := range plans {
		require.NoError(t, done[i].Err())
		require.NoError(t, plan.Confirm(done[i]))
		live = append(live, done[i].Environments[0].UID)
		require.Len(t, done[i].Environments[0].Schedules, 1)
		assert.Equal(t, reconcile.Create, done[i].Environments[0].Schedules[0].Change)
	}
	assert.Equal(t, older, live[1])
	assert.Equal(t, reconcile.Update, done[1].Environments[0].Change, "it lacks the secret of its own")
	assert.Len(t, o.deleted, 1)
	assert.Len(t, o.oz.environments, 3)
	for i, schedule := range o.oz.schedules {
		assert.Equal(t, live[i], schedule.EnvironmentID())
	}
	assert.Len(t, o.oz.schedules, 3)
	assert.EqualValues(t, 1, o.environments.Load())
	assert.EqualValues(t, 1, o.lists.Load())
}

// TestToldToStopItStillLooks: of two environments one goes, and nothing else begins.
func TestToldToStopItStillLooks(t *testing.T) {
	t.Parallel()
	o := &counting{oz: newOz()}
	plan := o.plan(t, desired(daily()))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var older string
	o.script["CreateEnvironment"] = []step{after(func() { older = o.add(acme, converged) })}
	applier := o.applier(o)
	done := applier.Write(ctx, plan, []reconcile.Token{{Value: sensitive.New("token")}})
	stop()
	done = applier.See(ctx, reconcile.Share(t.Context(), o, reconcile.Provision, nil), plan, done)
	assert.Equal(t, older, done.Environments[0].UID)
	assert.Len(t, o.oz.environments, 1)
	require.Len(t, done.Environments[0].Schedules, 1)
	assert.Empty(t, done.Environments[0].Schedules[0].Change)
	assert.Empty(t, o.oz.schedules)
}

// TestSlots: no more is written at the same time than there are slots, by all plans.
func TestSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, slots)
}

func slots(t *testing.T) {
	o := newOz()
	var wanted []reconcile.Desired
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		wanted = append(wanted, desired(func(d *reconcile.Desired) { d.EnvironmentName = name }))
	}
	world, err := reconcile.Observe(t.Context(), o, reconcile.Provision, wanted)
	require.NoError(t, err)
	plan := reconcile.Diff(reconcile.Provision, wanted, world)
	applier := o.applier(o)
	applier.Slots = make(reconcile.Slots, 2)
	under, most := 0, 0
	for range wanted {
		o.script["CreateEnvironment"] = append(o.script["CreateEnvironment"], func(_ context.Context, effect func() error) error {
			o.meanwhile(func() { under++; most = max(most, under) })
			defer o.meanwhile(func() { under-- })
			time.Sleep(time.Second)
			return effect()
		})
	}
	done := applier.Apply(t.Context(), plan, []reconcile.Token{{Value: sensitive.New("token")}})
	require.NoError(t, done.Err())
	assert.Equal(t, 2, most)
	assert.Len(t, o.environments, 8)
}
