package reconcile_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// counting counts what is read.
type counting struct {
	*oz
	lists, environments, schedules atomic.Int32
}

func (c *counting) ListSecrets(ctx context.Context) ([]warp.Secret, error) {
	c.lists.Add(1)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return c.oz.ListSecrets(ctx)
}

func (c *counting) ListEnvironments(ctx context.Context) ([]warp.EnvironmentListing, error) {
	c.environments.Add(1)
	return c.oz.ListEnvironments(ctx)
}

func (c *counting) ListSchedules(ctx context.Context, of warp.Owner) ([]warp.Schedule, error) {
	c.schedules.Add(1)
	return c.oz.ListSchedules(ctx, of)
}

// TestPlansShareTheirLists: each list is read once, also by plans that are made at the same
// time, and one that ends early takes it from nobody.
func TestPlansShareTheirLists(t *testing.T) {
	t.Parallel()
	c := &counting{oz: newOz()}
	share := reconcile.Share(t.Context(), c, reconcile.Provision, nil)
	ended, end := context.WithCancel(t.Context())
	end()
	reads := group.New()
	for i := range 8 {
		reader, ctx := share.New(), t.Context()
		if i%2 == 0 {
			ctx = ended
		}
		reads.Go(func() error {
			_, err := reader.ListSecrets(ctx)
			_, again := reader.ListEnvironments(ctx)
			_, of := reader.ListSchedules(ctx, acme)
			_, ofOthers := reader.ListSchedules(ctx, other)
			return errors.Join(err, again, of, ofOthers)
		})
	}
	require.NoError(t, reads.Wait())
	assert.EqualValues(t, 1, c.lists.Load())
	assert.EqualValues(t, 1, c.environments.Load())
	assert.EqualValues(t, 2, c.schedules.Load(), "each owner's")
}

// TestAPlanThatLooksAgainIsToldWhatHasChanged, as when two jobs have created one
// environment at the same time.
func TestAPlanThatLooksAgainIsToldWhatHasChanged(t *testing.T) {
	t.Parallel()
	c := &counting{oz: newOz()}
	share := reconcile.Share(t.Context(), c, reconcile.Provision, nil)
	first, second := share.New(), share.New()
	list, err := first.ListEnvironments(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list)
	c.add(acme, `{"name":"acme-api"}`)
	list, err = first.ListEnvironments(t.Context())
	require.NoError(t, err)
	assert.Len(t, list, 1)
	list, err = second.ListEnvironments(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list, "it has not looked yet")
}

// reads is an Oz that notes which environments are read whole, and in how many requests.
type reads struct {
	*oz
	requests int
	uids     []string
}

func (r *reads) GetEnvironments(ctx context.Context, uids []string) []warp.Answer {
	r.requests++
	r.uids = append(r.uids, uids...)
	return r.oz.GetEnvironments(ctx, uids)
}

// TestWhatTheListTellsIsNotRead: an environment that stays as the list shows it costs no
// request, and the plans say the same as plans that read everything.
func TestWhatTheListTellsIsNotRead(t *testing.T) {
	t.Parallel()
	named := func(name string, changes ...func(*reconcile.Desired)) reconcile.Desired {
		return desired(append(changes, func(d *reconcile.Desired) { d.EnvironmentName = name })...)
	}
	model := func(name string, without ...string) string {
		m, err := warp.ParseModel(converged)
		require.NoError(t, err)
		for _, key := range without {
			m = m.Without(key)
		}
		return m.With(warp.KeyName, name).String()
	}
	tests := []struct {
		name    string
		models  []string
		desired []reconcile.Desired
		read    []int // of the models
	}{
		{"unchanged", []string{model("a"), model("b")}, []reconcile.Desired{named("a"), named("b")}, nil},
		{"one has drifted", []string{model("a"), model("b")}, []reconcile.Desired{named("a"), named("b", func(d *reconcile.Desired) { d.DockerImage = "other" })}, []int{1}},
		{"the list does not tell whether the image is pinned", []string{model("a", warp.KeyDockerImage), model("b")}, []reconcile.Desired{named("a"), named("b")}, []int{0}},
		{"nor whether there is a list of secrets", []string{model("a", warp.KeySecrets), model("b")}, []reconcile.Desired{named("a"), named("b")}, []int{0}},
		{"nor whether there are commands", []string{model("a", warp.KeySetupCommands), model("b")}, []reconcile.Desired{named("a"), named("b")}, []int{0}},
		{"two of one name", []string{model("a"), model("a"), model("b")}, []reconcile.Desired{named("a"), named("b")}, []int{0, 1}},
		{"new", []string{model("a")}, []reconcile.Desired{named("a"), named("b")}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := &reads{oz: newOz()}
			var uids, want []string
			for _, m := range test.models {
				uids = append(uids, r.add(acme, m))
			}
			for _, at := range test.read {
				want = append(want, uids[at])
			}
			share := reconcile.Share(t.Context(), r, reconcile.Provision, test.desired)
			for _, d := range test.desired {
				if test.name == "two of one name" && d.EnvironmentName == "a" {
					continue // which waits for the other to go
				}
				world, err := reconcile.Observe(t.Context(), share.New(), reconcile.Provision, []reconcile.Desired{d})
				require.NoError(t, err)
				got := reconcile.Diff(reconcile.Provision, []reconcile.Desired{d}, world)
				want := r.diff(t, reconcile.Provision, d)
				assert.Equal(t, want.Environments[0].Change, got.Environments[0].Change)
				assert.Equal(t, want.Environments[0].Fields, got.Environments[0].Fields)
				assert.Equal(t, want.Warnings, got.Warnings)
				assert.Equal(t, want.Changes(), got.Changes())
			}
			assert.Equal(t, want, r.uids)
			assert.LessOrEqual(t, r.requests, 1)
		})
	}
}

// TestAnEnvironmentThatIsNamedByItsIDIsRead, for a list may hold what is in the trash.
func TestAnEnvironmentThatIsNamedByItsIDIsRead(t *testing.T) {
	t.Parallel()
	r := &reads{oz: newOz()}
	uid := r.add(acme, converged)
	wanted := []reconcile.Desired{desired(), desired(func(d *reconcile.Desired) { d.EnvironmentID = uid })}
	share := reconcile.Share(t.Context(), r, reconcile.Provision, wanted)
	_, err := reconcile.Observe(t.Context(), share.New(), reconcile.Provision, wanted)
	require.NoError(t, err)
	assert.Equal(t, []string{uid}, r.uids)
}
