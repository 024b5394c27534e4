package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// before is an Oz in which the secret is there or not, and the environment is
// absent, in need of an update, or as it should be.
func before(secret, model string) *oz {
	o := newOz()
	o.add(other, converged)
	o.add(acme, `{"name":"another"}`)
	o.edit(o.add(acme, converged), func(e *warp.Environment) { e.Trashed = true })
	if secret != "" {
		o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: acme, Type: warp.RawValue, UpdatedAt: "0"}, secret})
	}
	if model != "" {
		o.add(acme, model)
	}
	return o
}

// TestLostAnswers loses the answers of the first two calls of each mutation,
// before or after they took effect, in every combination.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	ways := map[string]step{"ok": fine, "lost before": lostBefore, "lost after": lostAfter}
	for name, start := range map[string]struct{ secret, model string }{
		"nothing there":    {"", ""},
		"secret there":     {"old", ""},
		"both there":       {"old", drifted},
		"environment only": {"", drifted},
		"nothing to do":    {"old", converged},
	} {
		for first := range ways {
			for second := range ways {
				t.Run(strings.Join([]string{name, first, second}, ", "), func(t *testing.T) {
					t.Parallel()
					o := before(start.secret, start.model)
					plan, strangers := o.plan(t, desired()), o.strangers()
					for _, method := range []string{"CreateSecret", "UpdateSecret", "CreateEnvironment", "UpdateEnvironment"} {
						o.script[method] = []step{ways[first], ways[second]}
					}
					done, err := o.apply(t.Context(), plan)
					require.NoError(t, err)
					o.requireOne(t, strangers, done, err)
					assert.Equal(t, plan.Secrets[0].Change, done.Secret)
					assert.Equal(t, plan.Environments[0].Change, done.Environment)
				})
			}
		}
	}
}

// TestAnswersThatAreAlwaysLost end in an error that says so, never in two.
func TestAnswersThatAreAlwaysLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, secret, model string
		want                  applied
		wantErr               string
	}{
		{"CreateSecret", "", "", applied{}, `create secret "TOKEN": EOF: the answer was lost`},
		{"UpdateSecret", "old", "", applied{}, `rotate secret "TOKEN": EOF: the answer was lost`},
		{"CreateEnvironment", "old", "", applied{Secret: reconcile.Rotate}, `create environment "acme-api": EOF: the answer was lost`},
		{"UpdateEnvironment", "", drifted, applied{Secret: reconcile.Create, EnvironmentID: "En00000000000000000004", EnvironmentName: "acme-api"}, `update environment En00000000000000000004: EOF: the answer was lost`},
	} {
		t.Run(test.method, func(t *testing.T) {
			t.Parallel()
			o := before(test.secret, test.model)
			plan, strangers := o.plan(t, desired()), o.strangers()
			o.script[test.method] = slices.Repeat([]step{lostBefore}, 10)
			done, err := o.apply(t.Context(), plan)
			require.ErrorContains(t, err, test.wantErr)
			require.ErrorIs(t, err, warp.ErrAnswerLost)
			assert.Equal(t, test.want, done)
			o.requireOne(t, strangers, done, err)
			assert.Len(t, o.script[test.method], 5, "five tries")
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, secret, model string
		want                  applied
		wantErr               string
	}{
		{"CreateSecret", "", "", applied{}, `create secret "TOKEN": `},
		{"UpdateSecret", "old", drifted, applied{EnvironmentID: "En00000000000000000004", EnvironmentName: "acme-api"}, `rotate secret "TOKEN": `},
		{"CreateEnvironment", "", "", applied{Secret: reconcile.Create}, `create environment "acme-api": `},
		{"UpdateEnvironment", "old", drifted, applied{Secret: reconcile.Rotate, EnvironmentID: "En00000000000000000004", EnvironmentName: "acme-api"}, "update environment En00000000000000000004: "},
	} {
		for status, refuse := range map[string]step{
			"not today":         refused,
			"403: not_for_you":  func(context.Context, func() error) error { return &warp.Refusal{Status: 403, Message: "not_for_you"} },
			"connection broken": func(context.Context, func() error) error { return errors.New("connection broken") },
		} {
			t.Run(test.method+", "+status, func(t *testing.T) {
				t.Parallel()
				o := before(test.secret, test.model)
				plan, strangers := o.plan(t, desired()), o.strangers()
				o.script[test.method] = []step{refuse}
				done, err := o.apply(t.Context(), plan)
				require.ErrorContains(t, err, test.wantErr)
				require.ErrorContains(t, err, status)
				assert.Equal(t, test.want, done)
				o.requireOne(t, strangers, done, err)
				assert.Equal(t, test.method, o.begun[len(o.begun)-1], "nothing is tried after a refusal")
				assert.Equal(t, 1, count(o.begun, test.method))
			})
		}
	}
}

func count(list []string, wanted string) int {
	n := 0
	for _, s := range list {
		if s == wanted {
			n++
		}
	}
	return n
}

// TestALookThatFails: what came of a write stays unknown, and is not written
// again.
func TestALookThatFails(t *testing.T) {
	t.Parallel()
	broken := func(context.Context, func() error) error { return errors.New("connection refused") }
	for _, test := range []struct{ method, look, secret, model, wantErr string }{
		{"CreateSecret", "ListSecrets", "", "", "looking for it afterwards: connection refused"},
		{"UpdateSecret", "ListSecrets", "old", "", "looking for it afterwards: connection refused"},
		{"CreateEnvironment", "ListEnvironments", "", "", "looking for it afterwards: list environments: connection refused"},
		{"UpdateEnvironment", "GetEnvironment", "", drifted, "looking at it afterwards: connection refused"},
	} {
		o := before(test.secret, test.model)
		plan, strangers := o.plan(t, desired()), o.strangers()
		o.script[test.method], o.script[test.look] = []step{lostAfter}, []step{broken, broken} // one for Confirm
		done, err := o.apply(t.Context(), plan)
		require.ErrorContains(t, err, test.wantErr)
		o.requireOne(t, strangers, done, err)
		assert.Equal(t, 1, count(o.begun, test.method), test.method)
	}
}

func TestASecretThatIsNotSealedIsNotSent(t *testing.T) {
	t.Parallel()
	o := before("", "")
	plan := o.plan(t, desired())
	seal := func(warp.UploadKey, string, string, sensitive.String) (warp.SealedSecret, error) {
		return warp.SealedSecret{}, errors.New("bad key")
	}
	done := reconcile.Applier{Reader: o, Writer: o, Seal: seal}.Apply(t.Context(), plan, []reconcile.Token{{Value: sensitive.New("token")}})
	require.EqualError(t, done.Err(), `seal secret "TOKEN": bad key`)
	assert.Empty(t, done.Environments[0].Change)
	assert.Empty(t, o.begun)
}

func TestSecretRaces(t *testing.T) {
	t.Parallel()
	made := func(o *oz, kind warp.SecretType) func() {
		return func() {
			o.meanwhile(func() {
				o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: "TOKEN", Owner: acme, Type: kind, UpdatedAt: "9"}, "theirs"})
			})
		}
	}
	gone := func(o *oz) func() {
		return func() {
			o.secrets = slices.DeleteFunc(o.secrets, func(s storedSecret) bool { return s.Name == "TOKEN" && s.Owner == acme })
		}
	}
	t.Run("one that was created meanwhile is not overwritten before it is known who reads it", func(t *testing.T) {
		t.Parallel()
		o := before("", "")
		plan := o.plan(t, desired())
		o.script["CreateSecret"] = []step{after(made(o, warp.RawValue))}
		done, err := o.apply(t.Context(), plan)
		require.ErrorIs(t, err, reconcile.ErrRaced)
		assert.Equal(t, applied{}, done)
		assert.Equal(t, "theirs", o.secret(acme, "TOKEN").value)
		assert.Equal(t, []string{"CreateSecret"}, o.begun)
	})
	t.Run("one of another type is left alone", func(t *testing.T) {
		t.Parallel()
		o := before("", "")
		plan := o.plan(t, desired())
		o.script["CreateSecret"] = []step{after(made(o, "DOTENVX"))}
		done, err := o.apply(t.Context(), plan)
		require.ErrorContains(t, err, "someone else has created it with the type DOTENVX, which cannot hold a token")
		assert.Equal(t, applied{}, done)
		assert.Equal(t, "theirs", o.secret(acme, "TOKEN").value)
	})
	t.Run("one that was deleted meanwhile is an error", func(t *testing.T) {
		t.Parallel()
		o := before("old", "")
		plan := o.plan(t, desired())
		o.script["UpdateSecret"] = []step{after(gone(o))}
		done, err := o.apply(t.Context(), plan)
		require.ErrorContains(t, err, `rotate secret "TOKEN": `)
		assert.Equal(t, applied{}, done)
		assert.Equal(t, []string{"UpdateSecret"}, o.begun)
	})
	t.Run("one that was deleted while an answer was lost is created", func(t *testing.T) {
		t.Parallel()
		o := before("old", "")
		plan, strangers := o.plan(t, desired()), o.strangers()
		o.script["UpdateSecret"] = []step{func(context.Context, func() error) error { gone(o)(); return warp.ErrAnswerLost }}
		done, err := o.apply(t.Context(), plan)
		require.NoError(t, err)
		assert.Equal(t, reconcile.Create, done.Secret)
		o.requireOne(t, strangers, done, err)
	})
	t.Run("a rotation whose answer was lost is made once more", func(t *testing.T) {
		t.Parallel()
		o := before("old", converged)
		plan, strangers := o.plan(t, desired()), o.strangers()
		o.script["UpdateSecret"] = []step{lostAfter}
		done, err := o.apply(t.Context(), plan)
		require.NoError(t, err)
		o.requireOne(t, strangers, done, err)
		assert.Equal(t, []string{"UpdateSecret", "UpdateSecret"}, o.begun, "nobody could tell whose value the first one left")
	})
	t.Run("theirs is not taken for ours after a lost answer", func(t *testing.T) {
		t.Parallel()
		o := before("", "")
		plan, strangers := o.plan(t, desired()), o.strangers()
		o.script["CreateSecret"] = []step{func(context.Context, func() error) error { made(o, warp.RawValue)(); return warp.ErrAnswerLost }}
		done, err := o.apply(t.Context(), plan)
		require.NoError(t, err)
		o.requireOne(t, strangers, done, err)
	})
}

// errStopped is what a job's cancellation looks like.
var errStopped = errors.New("interrupted by signal 15")

func TestToldToStopBeforeItBeginsNothing(t *testing.T) {
	t.Parallel()
	o := before("", "")
	plan := o.plan(t, desired())
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStopped)
	done, err := o.apply(ctx, plan)
	require.ErrorIs(t, err, errStopped)
	assert.Equal(t, applied{}, done)
	assert.Empty(t, o.begun)
}

// TestToldToStop stops during each write. A write gets five seconds to finish;
// after it nothing else begins.
func TestToldToStop(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		during, secret, model string
		want                  applied // when the write finishes
		unfinished            applied // when it does not
	}{
		{"CreateSecret", "", "", applied{Secret: reconcile.Create}, applied{}},
		{"UpdateSecret", "old", "", applied{Secret: reconcile.Rotate}, applied{}},
		{
			"CreateEnvironment", "old", "",
			applied{Secret: reconcile.Rotate, Environment: reconcile.Create, EnvironmentID: "En00000000000000000004", EnvironmentName: "acme-api"},
			applied{Secret: reconcile.Rotate},
		},
		{
			"UpdateEnvironment", "old", drifted,
			applied{Secret: reconcile.Rotate, Environment: reconcile.Update, EnvironmentID: "En00000000000000000004", EnvironmentName: "acme-api"},
			applied{Secret: reconcile.Rotate, EnvironmentID: "En00000000000000000004", EnvironmentName: "acme-api"},
		},
	} {
		for _, takes := range []time.Duration{0, 4999 * time.Millisecond, 5001 * time.Millisecond, time.Hour} {
			t.Run(fmt.Sprintf("%s, which takes %s more", test.during, takes), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					o := before(test.secret, test.model)
					plan, strangers := o.plan(t, desired()), o.strangers()
					ctx, cancel := context.WithCancelCause(t.Context())
					o.script[test.during] = []step{func(under context.Context, effect func() error) error {
						cancel(errStopped)
						select {
						case <-under.Done():
							return fmt.Errorf("%w: %w", warp.ErrAnswerLost, under.Err())
						case <-time.After(takes):
							return effect()
						}
					}}
					start := time.Now()
					done, err := o.apply(ctx, plan)
					assert.Equal(t, min(takes, 5*time.Second), time.Since(start))
					want := test.want
					if takes > 5*time.Second {
						want = test.unfinished
					}
					assert.Equal(t, want, done)
					if test.during != "UpdateEnvironment" || takes > 5*time.Second {
						require.Error(t, err, "it did not get to the end")
					}
					o.requireOne(t, strangers, done, err)
					assert.Equal(t, test.during, o.begun[len(o.begun)-1], "no other write began")
					assert.Equal(t, 1, count(o.begun, test.during))
				})
			})
		}
	}
}

// TestToldToStopBetweenWrites keeps what was written.
func TestToldToStopBetweenWrites(t *testing.T) {
	t.Parallel()
	o := before("", drifted)
	plan, strangers := o.plan(t, desired()), o.strangers()
	ctx, cancel := context.WithCancelCause(t.Context())
	o.script["CreateSecret"] = []step{func(_ context.Context, effect func() error) error { defer cancel(errStopped); return effect() }}
	done, err := o.apply(ctx, plan)
	require.ErrorIs(t, err, errStopped)
	assert.Equal(t, applied{Secret: reconcile.Create, EnvironmentID: "En00000000000000000004", EnvironmentName: "acme-api"}, done)
	o.requireOne(t, strangers, done, err)
	assert.Equal(t, []string{"CreateSecret"}, o.begun)
}

// TestALostAnswerStaysLost: what is refused, or not sent, after a lost answer may
// have happened all the same.
func TestALostAnswerStaysLost(t *testing.T) {
	t.Parallel()
	forbidden := func(context.Context, func() error) error { return &warp.Refusal{Status: 403, Message: "no"} }
	for _, test := range []struct{ method, secret, model string }{
		{"CreateSecret", "", ""}, {"UpdateSecret", "old", ""}, {"CreateEnvironment", "old", ""}, {"UpdateEnvironment", "old", drifted},
	} {
		for _, first := range []step{lostBefore, lostAfter} {
			for name, second := range map[string]step{"refused": refused, "forbidden": forbidden} {
				o := before(test.secret, test.model)
				plan := o.plan(t, desired())
				o.script[test.method] = []step{first, second}
				if test.method == "CreateSecret" { // which is an update once it is there
					o.script["UpdateSecret"] = []step{second}
				}
				_, err := o.apply(t.Context(), plan)
				if err != nil {
					assert.ErrorIs(t, err, warp.ErrAnswerLost, "%s, then %s", test.method, name)
				} else {
					assert.Contains(t, test.method, "Environment", "what is found after a lost create is settled on")
				}
			}
		}
		o := before(test.secret, test.model)
		plan := o.plan(t, desired())
		ctx, cancel := context.WithCancelCause(t.Context())
		o.script[test.method] = []step{func(context.Context, func() error) error {
			cancel(errStopped)
			return warp.ErrAnswerLost
		}}
		_, err := o.apply(ctx, plan)
		require.ErrorIs(t, err, warp.ErrAnswerLost, "%s, then told to stop", test.method)
	}
}

// TestAnUnknownShapeIsNeverOverwritten: what this program cannot read it cannot
// keep.
func TestAnUnknownShapeIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]any{"setup_commands": "make", "secrets": []string{"TOKEN"}, "description": []string{"x"}, "docker_image": 7} {
		odd := parsed(converged).With(key, value).String()
		o := newOz()
		uid := o.add(acme, odd)
		all := []reconcile.Desired{desired()}
		world, err := reconcile.Observe(t.Context(), o, reconcile.Provision, all)
		require.NoError(t, err)
		plan := reconcile.Diff(reconcile.Provision, all, world)
		require.ErrorContains(t, plan.Err(), `environment "acme-api" (`+uid+`): `+key)

		for name, race := range map[string]func(*oz){
			"by someone else's edit": func(o *oz) {
				o.add(acme, drifted)
				o.script["UpdateEnvironment"] = []step{after(func() { o.meanwhile(func() { o.write(0, parsed(odd)) }) })}
			},
			"by someone else's create": func(o *oz) {
				o.script["CreateEnvironment"] = []step{func(context.Context, func() error) error { o.add(acme, odd); return warp.ErrAnswerLost }}
			},
		} {
			o := newOz()
			race(o)
			done, err := o.apply(t.Context(), o.plan(t, desired()))
			require.ErrorContains(t, err, key, name)
			assert.Empty(t, done.Environment, name)
			assert.Equal(t, odd, o.environments[0].Model.String(), name)
		}
	}
}
