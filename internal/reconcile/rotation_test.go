package reconcile_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// twoCommands is how these tests tell commands that use the secret.
func twoCommands(commands []string) bool { return len(commands) == 2 }

func TestObserveUsers(t *testing.T) {
	t.Parallel()
	o := newOz()
	listed := o.add(acme, `{"name":"listed","secrets":[{"name":"TOKEN"}]}`)
	reads := o.add(acme, `{"name":"reads","setup_commands":["x","use it"]}`)
	personal := o.add(jane, `{"name":"mine","secrets":[{"name":"TOKEN"}]}`)
	o.add(other, `{"name":"theirs","secrets":[{"name":"TOKEN"}]}`)
	o.add(acme, `{"name":"unrelated","secrets":[{"name":"TOKENS"}],"setup_commands":["x"]}`)
	o.edit(o.add(acme, `{"name":"trashed","secrets":[{"name":"TOKEN"}]}`), func(e *warp.Environment) { e.Trashed = true })
	users := func(d reconcile.Desired) []string {
		observed, err := reconcile.ObserveUsers(t.Context(), o, d, twoCommands)
		require.NoError(t, err)
		var uids []string
		for _, e := range observed.Environments {
			uids = append(uids, e.UID)
		}
		return uids
	}
	assert.Equal(t, []string{listed, reads, personal}, users(desired()))
	assert.Equal(t, []string{personal}, users(desired(func(d *reconcile.Desired) { d.Scope = warp.UserOwner })))
	o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: jane}, "mine"})
	assert.Equal(t, []string{listed, reads}, users(desired()), "a personal secret hides the team's")

	o.script["GetEnvironment"] = []step{refused}
	_, err := reconcile.ObserveUsers(t.Context(), o, desired(), twoCommands)
	require.ErrorContains(t, err, "get environment En")
}

func TestDiffRotation(t *testing.T) {
	t.Parallel()
	_, err := reconcile.DiffRotation(desired(), reconcile.Observed{Owner: acme, UploadKey: "k"})
	require.ErrorContains(t, err, "rotation creates none")
	_, err = reconcile.DiffRotation(desired(), reconcile.Observed{Owner: acme})
	require.ErrorContains(t, err, "no upload key")

	secret := &warp.Secret{Name: "TOKEN", Type: warp.RawValue, Description: "for ci; rotated by oz-bitbucket on 2026-01-02, expires 2026-12-31"}
	plan, err := reconcile.DiffRotation(desired(), reconcile.Observed{Owner: acme, UploadKey: "k", Secret: secret})
	require.NoError(t, err)
	assert.Equal(t, reconcile.Rotate, plan.Secret.Change)
	assert.Equal(t, time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC), plan.Secret.Was.Expires)
	assert.Equal(t, []string{`no environment uses secret "TOKEN"`}, plan.Warnings)
	assert.False(t, plan.Changes(), "a rotation alone is no change")
}

func TestRotate(t *testing.T) {
	t.Parallel()
	rotate := func(o *oz) (reconcile.Change, error) {
		observed, err := reconcile.ObserveUsers(t.Context(), o, desired(), twoCommands)
		require.NoError(t, err)
		plan, err := reconcile.DiffRotation(desired(), observed)
		require.NoError(t, err)
		seal := func(warp.UploadKey, string, string, sensitive.String) (warp.SealedSecret, error) {
			return warp.NewSealedSecret("new"), nil
		}
		applier := reconcile.Applier{Reader: o, Writer: o, Seal: seal, Log: slog.New(slog.DiscardHandler)}
		return applier.Rotate(t.Context(), plan, sensitive.New("token"), time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
	}
	stored := func() *oz {
		o := newOz()
		o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: acme, Type: warp.RawValue, UpdatedAt: "0", Description: "for ci"}, "old"})
		return o
	}
	for _, trouble := range []step{fine, lostBefore, lostAfter} {
		o := stored()
		o.script["UpdateSecret"] = []step{trouble}
		change, err := rotate(o)
		require.NoError(t, err)
		assert.Equal(t, reconcile.Rotate, change)
		assert.Equal(t, "new", o.secret(acme, "TOKEN").value)
		assert.Regexp(t, `^for ci; rotated by oz-bitbucket on \d{4}-\d\d-\d\d, expires 2026-11-24$`, o.secret(acme, "TOKEN").Description)
	}
	o := stored()
	o.script["UpdateSecret"] = []step{after(func() { o.secrets = o.secrets[:2] })}
	_, err := rotate(o)
	require.Error(t, err)
	assert.Nil(t, o.secret(acme, "TOKEN"), "it creates none")
}
