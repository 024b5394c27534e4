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
	share := reconcile.Share(t.Context(), c)
	ended, end := context.WithCancel(t.Context())
	end()
	reads := group.New()
	for i := range 8 {
		reader, ctx := share(), t.Context()
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
	share := reconcile.Share(t.Context(), c)
	first, second := share(), share()
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
