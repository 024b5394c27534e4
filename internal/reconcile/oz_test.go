package reconcile_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Who is who.
var (
	acme  = warp.Owner{Type: warp.TeamOwner, UID: "Tm0000000000000000000A"}
	other = warp.Owner{Type: warp.TeamOwner, UID: "Tm0000000000000000000B"}
	jane  = warp.Owner{Type: warp.UserOwner, UID: "jane"}
)

// oz is an Oz in memory. It is Reader and Writer, and does what a script says
// about single calls.
type oz struct {
	mu           sync.Mutex
	caller       warp.Caller
	keys         warp.UploadKeys
	secrets      []storedSecret
	environments []warp.Environment
	changed      map[string]string // by UID: LastUpdated
	hidden       []string          // UIDs that the list does not show yet
	integrations map[string][]string
	schedules    []warp.Schedule
	factories    []warp.Factory
	connected    []warp.Integration    // beside integrations, with their secrets
	going        map[string][]warp.Run // by environment
	created      []string              // UIDs
	deleted      []string
	seconds      int
	script       map[string][]step // by method, one step a call
	begun        []string          // methods that write
	later        bool              // apply looks later what others did
}

type storedSecret struct {
	warp.Secret
	value string
}

// step is what happens to one call. Effect is the call itself.
type step func(ctx context.Context, effect func() error) error

// The ways in which a call goes wrong.
var (
	lostBefore step = func(context.Context, func() error) error { return fmt.Errorf("EOF: %w", warp.ErrAnswerLost) }
	lostAfter  step = func(_ context.Context, effect func() error) error {
		_ = effect()
		return fmt.Errorf("502: %w", warp.ErrAnswerLost)
	}
	refused step = func(context.Context, func() error) error { return no("not today") }
	fine    step = func(_ context.Context, effect func() error) error { return effect() }
)

// after is a call before which something else happens.
func after(meanwhile func()) step {
	return func(_ context.Context, effect func() error) error {
		meanwhile()
		return effect()
	}
}

func no(message string) error {
	return fmt.Errorf("POST /graphql/v2: %w", &warp.Refusal{Status: 200, Kind: "InvalidInputError", Message: message})
}

func newOz() *oz {
	return &oz{
		caller: warp.Caller{UID: "jane", Teams: []warp.Team{{UID: acme.UID, Name: "Acme"}}},
		keys:   warp.UploadKeys{User: "key of jane", Teams: map[string]warp.UploadKey{acme.UID: "key of acme"}},
		secrets: []storedSecret{
			{warp.Secret{Name: "TOKEN", Owner: other, Type: warp.RawValue, UpdatedAt: "0"}, "of others"},
			{warp.Secret{Name: "NPM_TOKEN", Owner: acme, Type: warp.RawValue, UpdatedAt: "0"}, "npm"},
		},
		changed:      make(map[string]string),
		integrations: make(map[string][]string),
		script:       make(map[string][]step),
	}
}

// add puts an environment there, as someone else's deed.
func (o *oz) add(owner warp.Owner, model string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.insert(owner, parsed(model)).UID
}

func (o *oz) insert(owner warp.Owner, model warp.Model) warp.Environment {
	e := warp.Environment{UID: fmt.Sprintf("En%020d", len(o.changed)+1), Owner: owner, Model: model, Revision: o.tick()}
	o.changed[e.UID] = e.Revision
	o.environments = append(o.environments, e)
	return e
}

func (o *oz) tick() string {
	o.seconds++
	return time.Unix(int64(o.seconds), 0).UTC().Format(time.RFC3339Nano)
}

func parsed(model string) warp.Model {
	m, err := warp.ParseModel(model)
	if err != nil {
		panic(err)
	}
	return m
}

// do takes the next step of a method's script, or just makes the call.
func (o *oz) do(ctx context.Context, method string, write bool, effect func() error) error {
	o.mu.Lock()
	if write {
		o.begun = append(o.begun, method)
	}
	next := fine
	if steps := o.script[method]; len(steps) > 0 {
		next, o.script[method] = steps[0], steps[1:]
	}
	o.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return next(ctx, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		return effect()
	})
}

func (o *oz) GetCaller(ctx context.Context) (caller warp.Caller, err error) {
	err = o.do(ctx, "GetCaller", false, func() error { caller = o.caller; return nil })
	return caller, err
}

func (o *oz) GetUploadKeys(ctx context.Context) (keys warp.UploadKeys, err error) {
	err = o.do(ctx, "GetUploadKeys", false, func() error { keys = o.keys; return nil })
	return keys, err
}

func (o *oz) ListSecrets(ctx context.Context) (list []warp.Secret, err error) {
	err = o.do(ctx, "ListSecrets", false, func() error {
		for _, s := range o.secrets {
			list = append(list, s.Secret)
		}
		return nil
	})
	return list, err
}

func (o *oz) ListEnvironments(ctx context.Context) (list []warp.EnvironmentListing, err error) {
	err = o.do(ctx, "ListEnvironments", false, func() error {
		for _, e := range o.environments {
			if !slices.Contains(o.hidden, e.UID) {
				secrets, _ := e.Model.Secrets()
				list = append(list, warp.EnvironmentListing{
					UID: e.UID, Name: e.Model.Name(), Owner: e.Owner, LastUpdated: o.changed[e.UID],
					Description: e.Model.Description(), DockerImage: e.Model.DockerImage(), SetupCommands: e.Model.SetupCommands(), Secrets: secrets,
				})
			}
		}
		return nil
	})
	return list, err
}

func (o *oz) GetEnvironment(ctx context.Context, uid string) (e warp.Environment, err error) {
	err = o.do(ctx, "GetEnvironment", false, func() error {
		at := o.index(uid)
		if at < 0 {
			return no("not found")
		}
		e = o.environments[at]
		return nil
	})
	return e, err
}

func (o *oz) GetEnvironments(ctx context.Context, uids []string) []warp.Answer {
	answers := make([]warp.Answer, len(uids))
	for i, uid := range uids {
		answers[i].Environment, answers[i].Err = o.GetEnvironment(ctx, uid)
	}
	return answers
}

func (o *oz) ListIntegrations(ctx context.Context, uid string) (names []string, err error) {
	err = o.do(ctx, "ListIntegrations", false, func() error { names = o.integrations[uid]; return nil })
	return names, err
}

func (o *oz) CreateSecret(ctx context.Context, of warp.Owner, name, description string, value warp.SealedSecret) (stamp string, err error) {
	err = o.do(ctx, "CreateSecret", true, func() error {
		if o.secret(of, name) != nil {
			return no("a secret of this name exists")
		}
		stamp = o.tick()
		o.secrets = append(o.secrets, storedSecret{warp.Secret{Name: name, Owner: of, Type: warp.RawValue, UpdatedAt: stamp, Description: description}, value.Ciphertext()})
		return nil
	})
	return stamp, err
}

func (o *oz) UpdateSecret(ctx context.Context, of warp.Owner, name, description string, value warp.SealedSecret) (stamp string, err error) {
	err = o.do(ctx, "UpdateSecret", true, func() error {
		s := o.secret(of, name)
		if s == nil {
			return no("no such secret")
		}
		stamp = o.tick()
		s.value, s.UpdatedAt, s.Description = value.Ciphertext(), stamp, description
		return nil
	})
	return stamp, err
}

func (o *oz) CreateEnvironment(ctx context.Context, of warp.Owner, model warp.Model) (e warp.Environment, err error) {
	err = o.do(ctx, "CreateEnvironment", true, func() error {
		e = o.insert(of, model)
		o.created = append(o.created, e.UID)
		return nil
	})
	if err != nil {
		return warp.Environment{}, err
	}
	return e, nil
}

func (o *oz) UpdateEnvironment(ctx context.Context, uid, revision string, model warp.Model) (newer *warp.Environment, err error) {
	err = o.do(ctx, "UpdateEnvironment", true, func() error {
		at := o.index(uid)
		if at < 0 {
			return no("not found")
		}
		if e := o.environments[at]; e.Revision != revision {
			newer = &e
			return nil
		}
		o.write(at, model)
		return nil
	})
	return newer, err
}

func (o *oz) DeleteEnvironment(ctx context.Context, uid string) error {
	return o.do(ctx, "DeleteEnvironment", true, func() error {
		at := o.index(uid)
		if at < 0 {
			return no("not found")
		}
		o.environments = slices.Delete(o.environments, at, at+1)
		o.deleted = append(o.deleted, uid)
		return nil
	})
}

func (o *oz) write(at int, model warp.Model) {
	e := &o.environments[at]
	e.Model, e.Revision = model, o.tick()
	o.changed[e.UID] = e.Revision
}

// meanwhile does something behind the client's back.
func (o *oz) meanwhile(deed func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	deed()
}

// edit changes an environment, as someone else's deed.
func (o *oz) edit(uid string, change func(*warp.Environment)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.index(uid)
	e := o.environments[at]
	change(&e)
	o.environments[at].Trashed = e.Trashed
	o.write(at, e.Model)
}

func (o *oz) index(uid string) int {
	return slices.IndexFunc(o.environments, func(e warp.Environment) bool { return e.UID == uid })
}

func (o *oz) secret(of warp.Owner, name string) *storedSecret {
	for i := range o.secrets {
		if o.secrets[i].Name == name && o.secrets[i].Owner == of {
			return &o.secrets[i]
		}
	}
	return nil
}

// live are the UIDs of the live environments of an owner's name.
func (o *oz) live(owner warp.Owner, name string) []string {
	var uids []string
	for _, e := range o.environments {
		if e.Owner == owner && e.Model.Name() == name && !e.Trashed {
			uids = append(uids, e.UID)
		}
	}
	return uids
}

// The desired state of these tests. A command reads what begins with "$".
func desired(changes ...func(*reconcile.Desired)) reconcile.Desired {
	d := reconcile.Desired{
		Scope:           warp.TeamOwner,
		SecretName:      "TOKEN",
		EnvironmentName: "acme-api",
		SetupCommands: func(existing []string) []string {
			if slices.Contains(existing, "clone") {
				return existing
			}
			return append([]string{"clone"}, existing...)
		},
		Variables: func(command string) []string {
			var names []string
			for word := range strings.FieldsSeq(command) {
				if name, ok := strings.CutPrefix(word, "$"); ok {
					names = append(names, name)
				}
			}
			return names
		},
	}
	for _, change := range changes {
		change(&d)
	}
	return d
}

// converged is the model of an environment that needs no change.
const converged = `{"name":"acme-api","docker_image":"warpdotdev/dev-base:latest","setup_commands":["clone"],"secrets":[{"name":"TOKEN"}]}`

// drifted is one that does, with a key that nobody knows.
const drifted = `{"name":"acme-api","from_the_future":[1.50],"docker_image":"ubuntu:22.04","setup_commands":["make"],"secrets":[{"name":"OTHER","x":1}]}`

// observe and diff, which must work.
func (o *oz) plan(t *testing.T, d reconcile.Desired) reconcile.Plan {
	t.Helper()
	return o.planFor(t, reconcile.Provision, d)
}

func (o *oz) planFor(t *testing.T, mode reconcile.Mode, d reconcile.Desired) reconcile.Plan {
	t.Helper()
	world, err := reconcile.Observe(t.Context(), o, mode, []reconcile.Desired{d})
	require.NoError(t, err)
	plan := reconcile.Diff(mode, []reconcile.Desired{d}, world)
	require.NoError(t, plan.Err())
	return plan
}

// applied is what came of a plan with one secret and one environment.
type applied struct {
	Secret          reconcile.Change
	Environment     reconcile.Change
	EnvironmentID   string
	EnvironmentName string
}

// apply carries out a plan.
func (o *oz) apply(ctx context.Context, plan reconcile.Plan) (applied, error) {
	return o.applyWith(ctx, plan, o)
}

func (o *oz) applyWith(ctx context.Context, plan reconcile.Plan, w reconcile.Writer) (applied, error) {
	applier, tokens := o.applier(w), []reconcile.Token{{Value: sensitive.New("token")}}
	done := reconcile.Applied{}
	if o.later {
		done = applier.See(ctx, reconcile.Share(ctx, o, plan.Mode, nil), plan, applier.Write(ctx, plan, tokens))
	} else {
		done = applier.Apply(ctx, plan, tokens)
	}
	e := done.Environments[0]
	return applied{done.Secrets[0].Change, e.Change, e.UID, e.Name}, done.Err()
}

func (o *oz) applier(w reconcile.Writer) reconcile.Applier {
	seal := func(key warp.UploadKey, caller, name string, value sensitive.String) (warp.SealedSecret, error) {
		return warp.NewSealedSecret(strings.Join([]string{"sealed", string(key), caller, name, value.Reveal()}, "/")), nil
	}
	return reconcile.Applier{Reader: o, Writer: w, Seal: seal, Log: slog.New(slog.DiscardHandler)}
}

// ours is the value that apply stores.
const ours = "sealed/key of acme/jane/TOKEN/token"

// strangers are what this process has neither made nor was asked to manage.
func (o *oz) strangers() map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := make(map[string]string)
	for _, s := range o.secrets {
		if s.Name != "TOKEN" || s.Owner != acme {
			found[s.Name+s.Owner.UID] = s.value + s.UpdatedAt
		}
	}
	for _, e := range o.environments {
		if e.Model.Name() != "acme-api" || e.Owner != acme || e.Trashed {
			found[e.UID] = fmt.Sprint(e.Model, e.Revision, e.Trashed)
		}
	}
	return found
}

// requireOne checks what must hold whatever went wrong on the way: at most one
// secret and one environment, one of each after success, nobody else's things
// touched, nothing deleted but what this process has made, and Applied true.
func (o *oz) requireOne(t *testing.T, before map[string]string, done applied, err error) {
	t.Helper()
	now := o.strangers()
	maps.DeleteFunc(now, func(name, _ string) bool { _, known := before[name]; return !known })
	assert.Equal(t, before, now, "strangers")
	for _, uid := range o.deleted {
		assert.Contains(t, o.created, uid, "deleted what it had not created")
	}
	live := o.live(acme, "acme-api")
	assert.LessOrEqual(t, len(live), 1)
	if done.Secret != "" {
		require.NotNil(t, o.secret(acme, "TOKEN"))
		assert.Equal(t, ours, o.secret(acme, "TOKEN").value)
	}
	if done.Environment != "" {
		assert.Equal(t, []string{done.EnvironmentID}, live)
		assert.Equal(t, "acme-api", done.EnvironmentName)
	}
	if err != nil {
		return
	}
	assert.NotEmpty(t, done.Secret)
	assert.NotEmpty(t, done.Environment)
	again := o.plan(t, desired())
	assert.Equal(t, reconcile.Rotate, again.Secrets[0].Change)
	assert.Equal(t, reconcile.Keep, again.Environments[0].Change, "%v", again.Environments[0].Fields)
	assert.Equal(t, done.EnvironmentID, again.Environments[0].UID)
}
