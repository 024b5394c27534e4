package reconcile_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

const uid = "En00000000000000000001"

// situation is an Oz and what is wanted of it.
type situation struct {
	name    string
	arrange func(*oz)
	desired reconcile.Desired
	want    environmentPlan // without what is not exported
	warn    []string
	wantErr string
}

func byID(d *reconcile.Desired)   { d.EnvironmentID, d.EnvironmentName = uid, "" }
func rename(d *reconcile.Desired) { d.EnvironmentID, d.EnvironmentName = uid, "renamed" }

func environment(owner warp.Owner, model string) func(*oz) {
	return func(o *oz) { o.add(owner, model) }
}

func keep(name string) environmentPlan {
	return environmentPlan{ID: uid, Name: name, Change: reconcile.Keep}
}

func update(name string, fields ...reconcile.Field) environmentPlan {
	return environmentPlan{ID: uid, Name: name, Change: reconcile.Update, Fields: fields}
}

func create(fields ...reconcile.Field) environmentPlan {
	fields = append([]reconcile.Field{{"name", nil, []string{"acme-api"}}}, fields...)
	return environmentPlan{Name: "acme-api", Change: reconcile.Create, Fields: fields}
}

func situations() []situation {
	plain := create(
		reconcile.Field{"docker_image", nil, []string{"warpdotdev/dev-base:latest"}},
		reconcile.Field{"setup_commands", nil, []string{"clone"}},
		reconcile.Field{"secrets", nil, []string{"TOKEN"}},
	)
	model := func(key string, value any) string { return parsed(converged).With(key, value).String() }
	integrated := func(model string) func(*oz) {
		return func(o *oz) { o.integrations[o.add(acme, model)] = []string{"slack", "linear"} }
	}
	return []situation{
		{name: "absent", desired: desired(), want: plain},
		{name: "absent, with everything", desired: desired(func(d *reconcile.Desired) {
			d.Description, d.DockerImage, d.Secrets = "two\nlines", "ubuntu:24.04", []string{"NPM_TOKEN", "TOKEN"}
		}), want: create(
			reconcile.Field{"description", nil, []string{"two", "lines"}},
			reconcile.Field{"docker_image", nil, []string{"ubuntu:24.04"}},
			reconcile.Field{"setup_commands", nil, []string{"clone"}},
			reconcile.Field{"secrets", nil, []string{"TOKEN", "NPM_TOKEN"}},
		)},
		{name: "of another team", arrange: environment(other, converged), desired: desired(), want: plain},
		{name: "of a user", arrange: environment(jane, converged), desired: desired(), want: plain},
		{name: "of another name", arrange: environment(acme, `{"name":"acme-api2"}`), desired: desired(), want: plain},
		{name: "in the trash", arrange: func(o *oz) {
			o.edit(o.add(acme, converged), func(e *warp.Environment) { e.Trashed = true })
		}, desired: desired(), want: plain},
		{name: "the same", arrange: environment(acme, converged), desired: desired(), want: keep("acme-api")},
		{name: "the same, and one in the trash", arrange: func(o *oz) {
			o.add(acme, converged)
			o.edit(o.add(acme, converged), func(e *warp.Environment) { e.Trashed = true })
		}, desired: desired(), want: keep("acme-api")},
		{name: "what is not asked for stays", arrange: environment(acme, model("description", "old")), desired: desired(), want: keep("acme-api")},
		{
			name: "another description", arrange: environment(acme, model("description", "old")),
			desired: desired(func(d *reconcile.Desired) { d.Description = "new" }),
			want:    update("acme-api", reconcile.Field{"description", []string{"old"}, []string{"new"}}),
		},
		{
			name: "another image", arrange: environment(acme, model("docker_image", "ubuntu:22.04")),
			desired: desired(func(d *reconcile.Desired) { d.DockerImage = "ubuntu:24.04" }),
			want:    update("acme-api", reconcile.Field{"docker_image", []string{"ubuntu:22.04"}, []string{"ubuntu:24.04"}}),
		},
		{name: "an image that was chosen by hand", arrange: environment(acme, model("docker_image", "ubuntu:22.04")), desired: desired(), want: keep("acme-api")},
		{
			name: "no image", arrange: environment(acme, model("docker_image", nil)), desired: desired(),
			want: update("acme-api", reconcile.Field{"docker_image", nil, []string{"warpdotdev/dev-base:latest"}}),
		},
		{
			name: "other commands", arrange: environment(acme, model("setup_commands", []string{"make"})), desired: desired(),
			want: update("acme-api", reconcile.Field{"setup_commands", []string{"make"}, []string{"clone", "make"}}),
		},
		{
			name: "another secret", arrange: environment(acme, model("secrets", []map[string]string{{"name": "NPM_TOKEN"}})), desired: desired(),
			want: update("acme-api", reconcile.Field{"secrets", []string{"NPM_TOKEN"}, []string{"NPM_TOKEN", "TOKEN"}}),
		},
		{
			name: "no list of secrets", arrange: environment(acme, model("secrets", nil)), desired: desired(),
			want: update("acme-api", reconcile.Field{"secrets", nil, []string{"TOKEN"}}),
			warn: []string{"the environment had no list of secrets; from now on its runs see only the listed ones: TOKEN"},
		},
		{
			name: "an empty list of secrets", arrange: environment(acme, model("secrets", []string{})), desired: desired(),
			want: update("acme-api", reconcile.Field{"secrets", nil, []string{"TOKEN"}}),
		},
		{
			name: "a secret that does not exist", arrange: environment(acme, converged),
			desired: desired(func(d *reconcile.Desired) { d.Secrets = []string{"NONE", "NPM_TOKEN"} }),
			want:    update("acme-api", reconcile.Field{"secrets", []string{"TOKEN"}, []string{"TOKEN", "NONE", "NPM_TOKEN"}}),
			warn:    []string{`secret "NONE" of environment_secrets does not exist for this owner; runs will not have it`},
		},
		{
			name: "a command that reads an unlisted secret", arrange: environment(acme, model("setup_commands", []string{"clone", "a $NPM_TOKEN $TOKEN $HOME", "b $NPM_TOKEN"})),
			desired: desired(), want: keep("acme-api"),
			warn: []string{"a setup command reads $NPM_TOKEN, and this owner has a secret of that name, but runs in this environment will not see it; if they need it, name it in environment_secrets"},
		},
		{
			name: "one that reads a listed secret", arrange: environment(acme, model("setup_commands", []string{"clone", "a $NPM_TOKEN"})),
			desired: desired(func(d *reconcile.Desired) { d.Secrets = []string{"NPM_TOKEN"} }),
			want:    update("acme-api", reconcile.Field{"secrets", []string{"TOKEN"}, []string{"TOKEN", "NPM_TOKEN"}}),
		},
		{
			name: "integrations of a change", arrange: integrated(model("docker_image", nil)), desired: desired(),
			want: environmentPlan{
				ID: uid, Name: "acme-api", Change: reconcile.Update, Integrations: []string{"slack", "linear"},
				Fields: []reconcile.Field{{"docker_image", nil, []string{"warpdotdev/dev-base:latest"}}},
			},
			warn: []string{"the environment is used by integrations: slack, linear"},
		},
		{
			name: "integrations of no change", arrange: integrated(converged), desired: desired(),
			want: environmentPlan{ID: uid, Name: "acme-api", Change: reconcile.Keep, Integrations: []string{"slack", "linear"}},
		},
		{name: "two of one name", arrange: func(o *oz) { o.add(acme, converged); o.add(acme, converged) }, desired: desired(),
			wantErr: `2 environments are named "acme-api": En00000000000000000001, En00000000000000000002; set environment_id to the one to manage, or delete the others`},
		{name: "by ID, the name stays", arrange: environment(acme, model("name", "any")), desired: desired(byID), want: keep("any")},
		{name: "by ID, one of two of a name", arrange: func(o *oz) { o.add(acme, converged); o.add(acme, converged) }, desired: desired(func(d *reconcile.Desired) { d.EnvironmentID = uid }), want: keep("acme-api")},
		{
			name: "by ID, renamed", arrange: environment(acme, converged), desired: desired(rename),
			want: update("renamed", reconcile.Field{"name", []string{"acme-api"}, []string{"renamed"}}),
		},
		{
			name: "by ID, renamed to a name in the trash", arrange: func(o *oz) {
				o.add(acme, converged)
				o.edit(o.add(acme, model("name", "renamed")), func(e *warp.Environment) { e.Trashed = true })
			}, desired: desired(rename),
			want: update("renamed", reconcile.Field{"name", []string{"acme-api"}, []string{"renamed"}}),
		},
		{
			name: "by ID, renamed to another owner's name", arrange: func(o *oz) { o.add(acme, converged); o.add(other, model("name", "renamed")) }, desired: desired(rename),
			want: update("renamed", reconcile.Field{"name", []string{"acme-api"}, []string{"renamed"}}),
		},
		{name: "by ID, renamed to a name that is taken", arrange: func(o *oz) { o.add(acme, converged); o.add(acme, model("name", "renamed")) }, desired: desired(rename),
			wantErr: `environment En00000000000000000001 cannot be renamed to "renamed": En00000000000000000002 has that name already`},
		{name: "by ID, of another owner", arrange: environment(other, converged), desired: desired(byID),
			wantErr: "environment En00000000000000000001 belongs to another owner (team Tm0000000000000000000B) than the one that scope and team name (team Tm0000000000000000000A)"},
		{name: "by ID, of a user", arrange: environment(jane, converged), desired: desired(byID),
			wantErr: "environment En00000000000000000001 belongs to another owner (user jane) than the one that scope and team name (team Tm0000000000000000000A)"},
		{name: "by ID, in the trash", arrange: func(o *oz) {
			o.edit(o.add(acme, converged), func(e *warp.Environment) { e.Trashed = true })
		}, desired: desired(byID), wantErr: "environment En00000000000000000001 is in the trash; restore it, or leave environment_id out"},
	}
}

// stored are the states in which the secret can be.
var stored = []struct {
	name    string
	secret  *storedSecret
	want    secretPlan
	wantErr string
}{
	{"no secret", nil, secretPlan{Name: "TOKEN", Change: reconcile.Create}, ""},
	{"a secret", &storedSecret{warp.Secret{Name: "TOKEN", Owner: acme, Type: warp.RawValue, UpdatedAt: "7"}, "old"}, secretPlan{Name: "TOKEN", Change: reconcile.Rotate}, ""},
	{"a secret of another type", &storedSecret{warp.Secret{Name: "TOKEN", Owner: acme, Type: "DOTENVX", UpdatedAt: "7"}, "old"}, secretPlan{},
		`secret "TOKEN" exists with the type DOTENVX, which cannot hold a token; choose another secret_name`},
}

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, s := range situations() {
		for _, secret := range stored {
			t.Run(s.name+", "+secret.name, func(t *testing.T) {
				t.Parallel()
				o := newOz()
				if s.arrange != nil {
					s.arrange(o)
				}
				if secret.secret != nil {
					o.secrets = append(o.secrets, *secret.secret)
				}
				all := []reconcile.Desired{s.desired}
				world, err := reconcile.Observe(t.Context(), o, reconcile.Provision, all)
				require.NoError(t, err)
				plan := reconcile.Diff(reconcile.Provision, all, world)
				err = plan.Err()
				switch {
				case secret.wantErr != "":
					require.EqualError(t, err, secret.wantErr)
					return
				case s.wantErr != "":
					require.EqualError(t, err, s.wantErr)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, secret.want, secretPlan{plan.Secrets[0].Name, plan.Secrets[0].Change})
				assert.Equal(t, s.warn, plan.Warnings)
				assert.Equal(t, s.want, exported(plan.Environments[0]))
				assert.Equal(t, acme, plan.Secrets[0].Owner)
				assert.Equal(t, secret.want.Change == reconcile.Create || s.want.Change != reconcile.Keep, plan.Changes())

				requireAppliedPlanKeeps(t, o, s.desired, plan)
			})
		}
	}
}

// secretPlan and environmentPlan are what these tests look at of a plan.
type secretPlan struct {
	Name   string
	Change reconcile.Change
}

type environmentPlan struct {
	ID, Name     string
	Change       reconcile.Change
	Fields       []reconcile.Field
	Integrations []string
}

func exported(p reconcile.EnvironmentPlan) environmentPlan {
	return environmentPlan{ID: p.UID, Name: p.Name, Change: p.Change, Fields: p.Fields, Integrations: p.Integrations}
}

// requireAppliedPlanKeeps applies a plan and checks that there is nothing left
// to do but to rotate.
func requireAppliedPlanKeeps(t *testing.T, o *oz, d reconcile.Desired, plan reconcile.Plan) {
	t.Helper()
	done, err := o.apply(t.Context(), plan)
	require.NoError(t, err)
	assert.Equal(t, plan.Secrets[0].Change, done.Secret)
	assert.Equal(t, plan.Environments[0].Change, done.Environment)
	assert.Equal(t, plan.Environments[0].Name, done.EnvironmentName)
	if plan.Environments[0].UID != "" {
		assert.Equal(t, plan.Environments[0].UID, done.EnvironmentID)
	}
	assert.Equal(t, ours, o.secret(acme, "TOKEN").value)

	again := o.plan(t, d)
	assert.Equal(t, reconcile.Rotate, again.Secrets[0].Change)
	assert.Equal(t, environmentPlan{
		ID: done.EnvironmentID, Name: done.EnvironmentName, Change: reconcile.Keep, Integrations: plan.Environments[0].Integrations,
	}, exported(again.Environments[0]))
	assert.False(t, again.Changes())
	writes := len(o.begun)
	_, err = o.apply(t.Context(), again)
	require.NoError(t, err)
	assert.Equal(t, []string{"UpdateSecret"}, o.begun[writes:])
}

func TestAnUpdateLeavesForeignKeysAlone(t *testing.T) {
	t.Parallel()
	o := newOz()
	o.add(acme, drifted)
	_, err := o.apply(t.Context(), o.plan(t, desired()))
	require.NoError(t, err)
	assert.Equal(t, `{"name":"acme-api","from_the_future":[1.50],"docker_image":"ubuntu:22.04","setup_commands":["clone","make"],"secrets":[{"name":"OTHER","x":1},{"name":"TOKEN"}]}`,
		o.environments[0].Model.String())
}

func TestNewEnvironment(t *testing.T) {
	t.Parallel()
	o := newOz()
	_, err := o.apply(t.Context(), o.plan(t, desired(func(d *reconcile.Desired) { d.SetupCommands = func([]string) []string { return nil } })))
	require.NoError(t, err)
	assert.Equal(t, `{"name":"acme-api","github_repos":[],"docker_image":"warpdotdev/dev-base:latest","setup_commands":[],"secrets":[{"name":"TOKEN"}]}`,
		o.environments[0].Model.String())
}

func TestWithoutAnUploadKeyThereIsNoPlan(t *testing.T) {
	t.Parallel()
	for scope, want := range map[warp.OwnerType]string{warp.TeamOwner: "team Tm0000000000000000000A", warp.UserOwner: "user jane"} {
		o := newOz()
		o.keys = warp.UploadKeys{}
		d := desired(func(d *reconcile.Desired) { d.Scope = scope })
		all := []reconcile.Desired{d}
		world, err := reconcile.Observe(t.Context(), o, reconcile.Provision, all)
		require.NoError(t, err)
		assert.EqualError(t, reconcile.Diff(reconcile.Provision, all, world).Err(), "there is no upload key for the owner of the secret ("+want+"); open the secrets page of Warp once as that owner, or ask Warp's support")
	}
}
