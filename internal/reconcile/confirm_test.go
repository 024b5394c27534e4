package reconcile_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// TestConfirm applies a plan while somebody else does something, right after our
// secret was stored.
func TestConfirm(t *testing.T) {
	t.Parallel()
	overwrite := func(o *oz) {
		_, _ = o.UpdateSecret(context.Background(), acme, "TOKEN", "", warp.NewSealedSecret("theirs"))
	}
	for name, tt := range map[string]struct {
		there     string // model of the environment, empty: none
		secret    bool
		before    func(*oz)
		meanwhile func(*oz)
		raced     string // words of the error; empty: none
	}{
		"nothing":                            {},
		"another environment":                {meanwhile: func(o *oz) { o.add(acme, `{"name":"another"}`) }},
		"one that reads the secret":          {meanwhile: func(o *oz) { o.add(acme, clones("web")) }, raced: `environment "web" (En00000000000000000001) has begun to read secret "TOKEN"`},
		"one of another owner":               {meanwhile: func(o *oz) { o.add(other, clones("web")) }},
		"a twin, which its maker deletes":    {meanwhile: func(o *oz) { o.add(acme, converged) }},
		"a reader that was there":            {secret: true, before: func(o *oz) { o.add(acme, clones("web")) }},
		"a reader of a secret that was not":  {before: func(o *oz) { o.add(acme, clones("web")) }},
		"the secret, before ours was to see": {meanwhile: overwrite, raced: `secret "TOKEN" was written again`},
		"the secret, and ours was to see":    {there: converged, secret: true, meanwhile: overwrite},
		"the secret, before ours read it":    {there: `{"name":"acme-api","secrets":[]}`, secret: true, meanwhile: overwrite, raced: `secret "TOKEN" was written again`},
		"the secret, and it is gone":         {secret: true, meanwhile: func(o *oz) { o.meanwhile(func() { o.secrets = nil }) }, raced: `secret "TOKEN" was written again`},
		"a reader in the trash that was there": {secret: true, before: func(o *oz) {
			o.edit(o.add(acme, clones("web")), func(e *warp.Environment) { e.Trashed = true })
		}},
		"a personal one, whose runs read a personal secret": {secret: true, before: func(o *oz) {
			o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: jane, Type: warp.RawValue}, "mine"})
			o.add(jane, clones("mine"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOz()
			if tt.secret {
				o = withSecret()
			}
			if tt.there != "" {
				o.add(acme, tt.there)
			}
			if tt.before != nil {
				tt.before(o)
			}
			plan := o.plan(t, desired())
			if tt.meanwhile != nil {
				then := []step{func(_ context.Context, effect func() error) error {
					defer func() { tt.meanwhile(o) }()
					return effect()
				}}
				o.script["CreateSecret"], o.script["UpdateSecret"] = then, then
				if tt.secret {
					o.script["CreateSecret"] = nil
				} else {
					o.script["UpdateSecret"] = nil
				}
			}
			done := o.applier(o).Apply(t.Context(), plan, []reconcile.Token{{Value: sensitive.New("token")}})
			require.NoError(t, done.Err())
			err := plan.Confirm(done)
			if tt.raced == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, reconcile.ErrRaced)
			assert.ErrorContains(t, err, tt.raced)
		})
	}
}

func TestConfirmNeedsToKnowWhoElseIsThere(t *testing.T) {
	t.Parallel()
	o := withSecret()
	o.add(acme, converged)
	plan := o.plan(t, desired())
	o.script["ListEnvironments"] = []step{func(context.Context, func() error) error { return errors.New("connection refused") }}
	done := o.applier(o).Apply(t.Context(), plan, []reconcile.Token{{Value: sensitive.New("token")}})
	require.NoError(t, done.Err())
	require.EqualError(t, plan.Confirm(done), "check what others changed meanwhile: list environments: connection refused")
}

func TestAfter(t *testing.T) {
	t.Parallel()
	of := func(secret, environment reconcile.Change, uid string) reconcile.Applied {
		return reconcile.Applied{
			Secrets:      []reconcile.StoredSecret{{Change: secret, Stamp: "2"}},
			Environments: []reconcile.StoredEnvironment{{Change: environment, UID: uid}},
		}
	}
	const c, r, k, u = reconcile.Create, reconcile.Rotate, reconcile.Keep, reconcile.Update
	for name, tt := range map[string]struct{ first, then, want reconcile.Applied }{
		"what was created is created":       {of(c, c, "a"), of(r, k, "a"), of(c, c, "a")},
		"what was updated is updated":       {of(r, u, "a"), of(r, k, "a"), of(r, u, "a")},
		"what was created and then updated": {of(c, c, "a"), of(r, u, "a"), of(c, c, "a")},
		"another one is not ours":           {of(c, c, "a"), of(r, k, "b"), of(c, k, "b")},
		"what failed the first time":        {of("", "", ""), of(r, k, "a"), of(r, k, "a")},
		"what failed the second time":       {of(c, c, "a"), of("", "", ""), of(c, c, "a")},
		"the environment failed":            {of(c, c, "a"), of(r, "", "a"), of(c, c, "a")},
		"another one failed":                {of(c, c, "a"), of(r, "", "b"), of(c, "", "b")},
		"there was no first time":           {reconcile.Applied{}, of(r, k, "a"), of(r, k, "a")},
	} {
		assert.Equal(t, tt.want, tt.then.After(tt.first), name)
	}

	failed := of("", k, "a")
	failed.Secrets[0].Stamp = ""
	failed.Environments = append(failed.Environments, failed.Environments[0])
	failed = failed.After(of(r, k, "a"))
	assert.Equal(t, of(r, k, "a").Secrets, failed.Secrets, "a rotation that found one more environment")
	assert.Len(t, failed.Environments, 2)
}

func TestWordsOfWhatWasWritten(t *testing.T) {
	t.Parallel()
	lost := errors.Join(warp.ErrAnswerLost)
	secret := func(change reconcile.Change, err error) []reconcile.StoredSecret {
		return []reconcile.StoredSecret{{Change: change, Err: err}}
	}
	one := []reconcile.StoredEnvironment{{}}
	for want, tt := range map[string]struct {
		mode reconcile.Mode
		done reconcile.Applied
	}{
		"nothing was written": {reconcile.Provision, reconcile.Applied{}},
		"nothing is known to be written; run again to converge":                                        {reconcile.Provision, reconcile.Applied{Secrets: secret("", lost), Environments: one}},
		"the secret is written, but it is not known whether the environment is; run again to converge": {reconcile.Provision, reconcile.Applied{Secrets: secret(reconcile.Create, nil), Environments: one}},
		"the secret is written, and environment a too; run again to converge": {reconcile.Provision, reconcile.Applied{
			Secrets: secret(reconcile.Create, nil), Environments: []reconcile.StoredEnvironment{{Change: reconcile.Keep, UID: "a"}},
		}},
		"the new value is stored":       {reconcile.Rotation, reconcile.Applied{Secrets: secret(reconcile.Rotate, nil)}},
		"the stored value is unchanged": {reconcile.Rotation, reconcile.Applied{Secrets: secret("", errors.New("403"))}},
		"it is not known which value is stored now; both work at Bitbucket; run again to converge": {reconcile.Rotation, reconcile.Applied{Secrets: secret("", lost)}},
	} {
		assert.Equal(t, want, tt.done.Words(tt.mode))
	}
}
