package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

var token = sensitive.New("new value")

const sealed = "team key/kY3pQ2mV7bTt0aLw9XcRj5NsHd12/TOKEN/new value"

// planned observes and plans the ordinary job.
func planned(t *testing.T, server *oz) reconcile.Plan {
	t.Helper()
	observed, err := reconcile.Observe(t.Context(), server, desired())
	require.NoError(t, err)
	plan, err := reconcile.Diff(desired(), observed)
	require.NoError(t, err)
	return plan
}

// drifted is an Oz with a secret and an environment that differ from what is
// desired.
func drifted() *oz {
	server := newOz()
	server.secrets = []stored{{warp.Secret{Name: "TOKEN", Owner: team, Type: warp.RawValue, UpdatedAt: server.tick()}, "old value"}}
	server.add(team, `{"name":"ci","setup_commands":[],"unknown":1.50}`)
	return server
}

func TestApplyWritesTheSecretThenTheEnvironment(t *testing.T) {
	t.Parallel()
	fresh := newOz()
	done, err := applier(fresh).Apply(t.Context(), planned(t, fresh), token)
	require.NoError(t, err)
	assert.Equal(t, reconcile.Applied{Secret: reconcile.Create, Environment: reconcile.Create, EnvironmentID: "En00000000000000000001", EnvironmentName: "ci"}, done)
	assert.Equal(t, []string{"create secret", "create environment"}, fresh.changes)
	assert.Equal(t, sealed, fresh.secrets[0].value)

	done, err = applier(fresh).Apply(t.Context(), planned(t, fresh), token)
	require.NoError(t, err)
	assert.Equal(t, reconcile.Applied{Secret: reconcile.Rotate, Environment: reconcile.Keep, EnvironmentID: "En00000000000000000001", EnvironmentName: "ci"}, done)

	old := drifted()
	done, err = applier(old).Apply(t.Context(), planned(t, old), token)
	require.NoError(t, err)
	assert.Equal(t, reconcile.Update, done.Environment)
	assert.Equal(t, []string{"update secret", "update environment"}, old.changes)
	assert.Contains(t, old.environments[0].Model.String(), `"unknown":1.50`)
}

// TestApplyMakesTroubleGood strikes each change in each way that leaves
// something to be made good, and expects one secret and one environment.
func TestApplyMakesTroubleGood(t *testing.T) {
	t.Parallel()
	before, after := strike{before: errLost}, strike{after: errLost}
	meanwhile := func(f func(*oz)) func(*oz) strike {
		return func(o *oz) strike { return strike{meanwhile: func() { f(o) }} }
	}
	always := func(s strike) func(*oz) strike { return func(*oz) strike { return s } }
	edit := meanwhile(func(o *oz) {
		o.environments[0].Model, o.environments[0].Revision = o.environments[0].Model.With("edited", "meanwhile"), o.tick()
	})
	tests := []struct {
		name      string
		server    func() *oz
		operation string
		strikes   []func(*oz) strike
		secret    reconcile.Change
		env       reconcile.Change
	}{
		{"create of the secret lost before", newOz, "create secret", []func(*oz) strike{always(before)}, reconcile.Create, reconcile.Create},
		{"create of the secret lost after", newOz, "create secret", []func(*oz) strike{always(after)}, reconcile.Create, reconcile.Create},
		{"the secret created by someone else", newOz, "create secret", []func(*oz) strike{meanwhile(func(o *oz) {
			o.secrets = append(o.secrets, stored{warp.Secret{Name: "TOKEN", Owner: team, Type: warp.RawValue}, "theirs"})
		})}, reconcile.Rotate, reconcile.Create},
		{"rotation lost before", drifted, "update secret", []func(*oz) strike{always(before), always(before)}, reconcile.Rotate, reconcile.Update},
		{"rotation lost after", drifted, "update secret", []func(*oz) strike{always(after)}, reconcile.Rotate, reconcile.Update},
		{"the secret deleted by someone else", drifted, "update secret", []func(*oz) strike{func(o *oz) strike {
			return strike{before: errLost, meanwhile: func() { o.secrets = nil }}
		}}, reconcile.Create, reconcile.Update},
		{"create of the environment lost before", newOz, "create environment", []func(*oz) strike{always(before), always(before)}, reconcile.Create, reconcile.Create},
		{"create of the environment lost after", newOz, "create environment", []func(*oz) strike{always(after)}, reconcile.Create, reconcile.Create},
		{"an older environment came", newOz, "create environment", []func(*oz) strike{meanwhile(func(o *oz) { o.add(team, `{"name":"ci"}`) })}, reconcile.Create, reconcile.Update},
		{"a foreign environment of the name came", newOz, "create environment", []func(*oz) strike{func(o *oz) strike { return strike{} }}, reconcile.Create, reconcile.Create},
		{"update lost before", drifted, "update environment", []func(*oz) strike{always(before)}, reconcile.Rotate, reconcile.Update},
		{"update lost after", drifted, "update environment", []func(*oz) strike{always(after)}, reconcile.Rotate, reconcile.Update},
		{"an edit at the same time, four times", drifted, "update environment", []func(*oz) strike{edit, edit, edit, edit}, reconcile.Rotate, reconcile.Update},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := tt.server()
			for _, s := range tt.strikes {
				server.strikes[tt.operation] = append(server.strikes[tt.operation], s(server))
			}
			done, err := applier(server).Apply(t.Context(), planned(t, server), token)
			require.NoError(t, err)
			assert.Equal(t, tt.secret, done.Secret)
			assert.Equal(t, tt.env, done.Environment)
			require.Len(t, server.secrets, 1)
			assert.Equal(t, sealed, server.secrets[0].value)
			require.Len(t, server.environments, 1)
			assert.Equal(t, server.environments[0].UID, done.EnvironmentID)
			assert.Equal(t, []string{"git clone it"}, server.environments[0].Model.SetupCommands())
			if tt.name == "an edit at the same time, four times" {
				assert.Contains(t, server.environments[0].Model.String(), `"edited":"meanwhile"`)
			}
			assert.Equal(t, reconcile.Keep, planned(t, server).Environment.Change)
		})
	}
}

func TestApplyKeepsTheOldestOfSeveral(t *testing.T) {
	t.Parallel()
	for _, lose := range []strike{{}, {before: errLost}, {after: errLost}} {
		server := newOz()
		theirs := server.add(others, `{"name":"ci"}`)
		plan := planned(t, server)
		older := server.add(team, `{"name":"ci"}`)
		server.strikes["delete environment"] = []strike{lose}
		done, err := applier(server).Apply(t.Context(), plan, token)
		require.NoError(t, err)
		assert.Equal(t, older, done.EnvironmentID)
		assert.Equal(t, []string{theirs, older}, uids(server), "only our own was deleted")
	}
}

func TestApplyKeepsItsOwnWhenItIsTheOldest(t *testing.T) {
	t.Parallel()
	server := newOz()
	plan := planned(t, server)
	own := "En00000000000000000001"
	server.unlisted = []string{own} // the list lags behind
	writer := &lateTwin{oz: server}
	a := applier(server)
	a.Writer = writer
	done, err := a.Apply(t.Context(), plan, token)
	require.NoError(t, err)
	assert.Equal(t, own, done.EnvironmentID)
	assert.Equal(t, []string{own, "En00000000000000000002"}, uids(server), "the younger one is the other job's to delete")
}

// lateTwin is another job that creates just after us.
type lateTwin struct{ *oz }

func (l *lateTwin) CreateEnvironment(ctx context.Context, of warp.Owner, model warp.Model) (warp.Environment, error) {
	own, err := l.oz.CreateEnvironment(ctx, of, model)
	l.add(of, model.String())
	return own, err
}

func uids(o *oz) []string {
	var uids []string
	for _, e := range o.environments {
		uids = append(uids, e.UID)
	}
	return uids
}

func TestApplyStopsAtWhatCannotBeMadeGood(t *testing.T) {
	t.Parallel()
	refused := &warp.Refusal{Status: 403, Kind: "not_authorized", Message: "no"}
	many := slices.Repeat([]strike{{before: errLost}}, 9)
	tests := []struct {
		name      string
		server    func() *oz
		operation string
		strikes   []strike
		wantErr   string
		want      reconcile.Applied
	}{
		{"the secret is refused", newOz, "create secret", []strike{{before: refused}}, `create secret "TOKEN": 403: not_authorized: no`, reconcile.Applied{}},
		{"the secret never arrives", newOz, "create secret", many, "may have happened", reconcile.Applied{}},
		{"a rotation is refused", drifted, "update secret", []strike{{before: refused}}, `rotate secret "TOKEN"`, reconcile.Applied{EnvironmentID: "En00000000000000000001", EnvironmentName: "ci"}},
		{"the environment is refused", newOz, "create environment", []strike{{before: refused}}, `create environment "ci": 403`, reconcile.Applied{Secret: reconcile.Create}},
		{"the environment never arrives", newOz, "create environment", many, "may have happened", reconcile.Applied{Secret: reconcile.Create}},
		{"the update is refused", drifted, "update environment", []strike{{before: refused}}, "update environment En00000000000000000001", reconcile.Applied{Secret: reconcile.Rotate, EnvironmentID: "En00000000000000000001", EnvironmentName: "ci"}},
		{"the update never arrives", drifted, "update environment", many, "may have happened", reconcile.Applied{Secret: reconcile.Rotate, EnvironmentID: "En00000000000000000001", EnvironmentName: "ci"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := tt.server()
			server.strikes[tt.operation] = slices.Clone(tt.strikes)
			done, err := applier(server).Apply(t.Context(), planned(t, server), token)
			require.ErrorContains(t, err, tt.wantErr)
			assert.Equal(t, tt.want, done)
			assert.LessOrEqual(t, len(server.secrets), 1)
			assert.LessOrEqual(t, len(server.environments), 1)
		})
	}
}

func TestApplyGivesUpOnEndlessEdits(t *testing.T) {
	t.Parallel()
	server := drifted()
	plan := planned(t, server)
	for range 9 {
		server.strikes["update environment"] = append(server.strikes["update environment"], strike{meanwhile: func() { server.environments[0].Revision = server.tick() }})
	}
	_, err := applier(server).Apply(t.Context(), plan, token)
	require.ErrorContains(t, err, "someone else changed it at the same time")

	server = drifted()
	plan = planned(t, server)
	server.strikes["update environment"] = []strike{{meanwhile: func() {
		server.environments[0].Revision, server.environments[0].Trashed = server.tick(), true
	}}}
	_, err = applier(server).Apply(t.Context(), plan, token)
	require.ErrorContains(t, err, "in the trash now")
}

func TestApplySealsBeforeItWrites(t *testing.T) {
	t.Parallel()
	server := newOz()
	_, err := applier(server).Apply(t.Context(), planned(t, server), sensitive.String{})
	require.ErrorContains(t, err, `seal secret "TOKEN"`)
	assert.Empty(t, server.changes)
}

// A job that is told to stop finishes the write under way and begins no other.
func TestApplyStopsWhenToldTo(t *testing.T) {
	t.Parallel()
	stop := errors.New("told to stop")
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		server := newOz()
		ctx, cancel := context.WithCancelCause(t.Context())
		plan := planned(t, server)
		cancel(stop)
		_, err := applier(server).Apply(ctx, plan, token)
		require.ErrorIs(t, err, stop)
		assert.Empty(t, server.changes)
	})
	t.Run("in between", func(t *testing.T) {
		t.Parallel()
		server := newOz()
		ctx, cancel := context.WithCancelCause(t.Context())
		server.strikes["create secret"] = []strike{{meanwhile: func() { cancel(stop) }}}
		done, err := applier(server).Apply(ctx, planned(t, server), token)
		require.ErrorIs(t, err, stop)
		assert.Equal(t, reconcile.Create, done.Secret)
		assert.Equal(t, []string{"create secret"}, server.changes)
	})
	t.Run("a write that does not end has some seconds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			server := newOz()
			ctx, cancel := context.WithCancelCause(t.Context())
			a := applier(server)
			a.Writer = hanging{server}
			plan := planned(t, server)
			time.AfterFunc(time.Minute, func() { cancel(stop) })
			began := time.Now()
			_, err := a.Apply(ctx, plan, token)
			require.Error(t, err)
			assert.Equal(t, time.Minute+5*time.Second, time.Since(began))
		})
	})
}

// hanging answers when the request is given up.
type hanging struct{ *oz }

func (hanging) CreateSecret(ctx context.Context, _ warp.Owner, _, _ string, _ warp.SealedSecret) error {
	<-ctx.Done()
	return &warp.Refusal{Status: 403}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	plan := func(server *oz) reconcile.Plan {
		observed, err := reconcile.ObserveUsers(t.Context(), server, desired(), func([]string) bool { return true })
		require.NoError(t, err)
		plan, err := reconcile.DiffRotation(desired(), observed)
		require.NoError(t, err)
		return plan
	}
	for _, s := range []strike{{}, {before: errLost}, {after: errLost}} {
		server := drifted()
		server.secrets[0].Description = "for ci"
		p := plan(server)
		server.strikes["update secret"] = []strike{s}
		change, err := applier(server).Rotate(t.Context(), p, token, noon)
		require.NoError(t, err)
		assert.Equal(t, reconcile.Rotate, change)
		assert.Equal(t, sealed, server.secrets[0].value)
		assert.Regexp(t, `^for ci; rotated by oz-bitbucket on \d{4}-\d\d-\d\d, expires 2026-11-24$`, server.secrets[0].Description)
		assert.Equal(t, []string{"update secret"}, slices.Compact(server.changes))
	}
	server := drifted()
	p := plan(server)
	server.strikes["update secret"] = []strike{{before: errLost, meanwhile: func() { server.secrets = nil }}}
	_, err := applier(server).Rotate(t.Context(), p, token, noon)
	require.Error(t, err, "it creates none")
	assert.Empty(t, server.secrets)
}
