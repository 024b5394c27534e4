package test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// keeps runs the same job again. It must rotate the secret and keep the environment, and
// there must be one of each.
func (w *world) keeps(inputs map[string]string) {
	w.t.Helper()
	before := w.onlyEnvironment()
	again := w.run(inputs)
	require.Equal(w.t, 0, again.code, again.log)
	assert.Equal(w.t, "keep", again.outputs["environment_change"])
	assert.Equal(w.t, "rotate", again.outputs["secret_change"])
	assert.Equal(w.t, "false", again.outputs["changed"])
	assert.Equal(w.t, before, w.onlyEnvironment())
	assert.Len(w.t, w.oz.Secrets(), 1)
}

func TestFresh(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"setup_commands": "# comments are skipped\n\ntest -f README.md\necho \"in $PWD\"", "description": "a < b && c"})
		first := w.run(inputs)
		require.Equal(t, 0, first.code, first.log)
		environment, runs := w.onlyEnvironment(), w.oz.Runs()
		require.Len(t, runs, 1)
		assert.Equal(t, map[string]string{
			"environment_id": environment.UID, "environment_name": "acme-sample", "environment_change": "create",
			"secret_name": "BITBUCKET_API_TOKEN", "secret_change": "create", "changed": "true",
			"smoke_test": "passed", "run_id": runs[0].ID, "run_state": "SUCCEEDED",
			"session_link": first.outputs["session_link"], "schedule_id": "", "head_commit": w.cloud.Head(),
			"token_expires_at": "", "token_expires_in_days": "", "rolled_back": "", "factory_changed": "",
			"environments": `[{"id":"` + environment.UID + `","name":"acme-sample","change":"create","verdict":"passed","error":""}]`,
		}, first.outputs)
		assert.Contains(t, first.outputs["session_link"], w.oz.URL()+"/session/")
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		assert.Equal(t, team, environment.Owner)
		m := model(t, environment)
		assert.Equal(t, "warpdotdev/dev-base:latest", m["docker_image"])
		assert.Equal(t, "a < b && c", m["description"])
		assert.Equal(t, []any{map[string]any{"name": "BITBUCKET_API_TOKEN"}}, m["secrets"])
		assert.Equal(t, []any{"cd ./sample && test -f README.md", `cd ./sample && echo "in $PWD"`}, m["setup_commands"].([]any)[3:])
		w.keeps(inputs)
	})
}

func TestDataCenter(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken})
		first := w.run(inputs)
		require.Equal(t, 0, first.code, first.log)
		assert.Equal(t, "PRJ-sample", first.outputs["environment_name"])
		assert.Equal(t, w.dc.Head(), first.outputs["head_commit"])
		w.requireSecret(team, "BITBUCKET_TOKEN", dcToken)
		w.keeps(inputs)
	})
}

func TestDocumentedCommandsToTheByte(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	for repository, want := range map[*bitbucketsim.Repository]string{
		w.cloud: `git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/sample.git`,
		w.dc:    `git clone -c "http.extraHeader=Authorization: Bearer $BITBUCKET_TOKEN" ` + w.dc.CloneURL(),
	} {
		w.environ = []string{"DEBUG=true"}
		token := cloudToken
		if repository == w.dc {
			token = dcToken
		}
		r := w.run(w.inputs(map[string]string{"repo_url": repository.CloneURL(), "bitbucket_token": token, "clone_auth": "url"}), "plan")
		require.Equal(t, 0, r.code, r.log)
		assert.Contains(t, r.log, "\n    + clone "+repository.CloneURL()+" with the secret ")
		assert.Contains(t, r.log, "\ndebug:   "+want+"\n")
	}
	w.requireClean()
}

func TestPlanWritesNothing(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"mode": "plan"})
		for range 2 {
			r := w.run(inputs)
			require.Equal(t, 0, r.code, r.log)
			assert.Equal(t, "create", r.outputs["environment_change"])
			assert.Equal(t, "true", r.outputs["changed"])
			assert.Empty(t, r.outputs["environment_id"])
		}
		inputs["detailed_exitcode"] = "true"
		assert.Equal(t, 4, w.run(inputs).code)
		assert.Empty(t, w.oz.Secrets())
		assert.Empty(t, w.oz.Environments())
		assert.Empty(t, w.oz.Runs())

		delete(inputs, "mode")
		require.Equal(t, 0, w.run(inputs).code)
		inputs["mode"] = "plan"
		assert.Equal(t, 0, w.run(inputs).code, "a rotation alone is no change")
	})
}

// TestUserCommandsRunInsideTheRepository: the whole of each command, in one session.
func TestUserCommandsRunInsideTheRepository(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"setup_commands": strings.Join([]string{
			"sleep 0.1 & test -f README.md",
			"false || test -f README.md; test -f README.md",
			"cat README.md | grep -q . # the file",
			"export GREETING=hello && greet() { test \"$GREETING\" = \"$1\"; }",
			"mkdir sub && cd sub",
			"greet hello && cat >out <<E\n  $GREETING\nE",
			"grep -x '  hello' out && test ! -e ../out",
		}, "\n")})
		r := w.run(inputs)
		require.Equal(t, 0, r.code, r.log)
		commands := model(t, w.onlyEnvironment())["setup_commands"].([]any)
		require.Len(t, commands, 10)
		assert.Equal(t, "cd ./sample && eval 'sleep 0.1 & test -f README.md'", commands[3])
		assert.Equal(t, "cd ./sample && mkdir sub && cd sub", commands[7])
		w.keeps(inputs)
	})
}

// TestTheLoginGoesWithTheHelper: the documented commands have no login. After a change back
// to the helper there is one.
func TestTheLoginGoesWithTheHelper(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for _, auth := range []string{"helper", "url", "helper"} {
			inputs := w.inputs(map[string]string{"clone_auth": auth, "smoke_test": "false"})
			r := w.run(inputs)
			require.Equal(t, 0, r.code, r.log)
			commands := model(t, w.onlyEnvironment())["setup_commands"].([]any)
			if auth == "url" {
				assert.Equal(t, []any{"git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/sample.git"}, commands)
			} else {
				assert.Len(t, commands, 3)
			}
			w.keeps(inputs)
		}
	})
}

// TestAPlanIsInWords: a plan describes generated commands, and the debug log shows them.
func TestAPlanIsInWords(t *testing.T) {
	t.Parallel()
	for on, debug := range map[dialect]string{plain: "DEBUG=true", github: "RUNNER_DEBUG=1"} {
		w := newWorld(t, on, warpsim.Options{})
		const words = "clone https://bitbucket.org/acme/sample.git with the secret BITBUCKET_API_TOKEN into sample"
		r := w.run(w.inputs(map[string]string{"mode": "plan"}))
		assert.Contains(t, r.log, "    + "+words)
		assert.NotContains(t, r.log, "git config")

		w.environ = append(w.environ, debug)
		r = w.run(w.inputs(map[string]string{"mode": "plan"}))
		assert.Contains(t, r.log, "    + "+words)
		assert.Contains(t, r.log, "git config --global --replace-all credential.https://bitbucket.org/.helper")
	}
}

func TestDriftIsMendedFieldByField(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		const foreign = `"failure_session_retention_minutes" : 10, "from_the_future": {"a": [1.50, "<&>"]}`
		uid := w.oz.AddEnvironment(team, `{"name":"acme-sample", `+foreign+`,"docker_image":"ubuntu:22.04","description":"old","setup_commands":["echo before",`+
			`"git clone https://x-token-auth:$OTHER@bitbucket.org/acme/sample.git","cd sample && echo after"],"secrets":[{"name":"NPM_TOKEN"}]}`)
		w.oz.AddIntegration(uid, "slack")
		inputs := w.inputs(map[string]string{"docker_image": "ubuntu:24.04", "description": "new"})
		r := w.run(inputs)
		require.Equal(t, 0, r.code, r.log)
		assert.Equal(t, uid, r.outputs["environment_id"])
		assert.Equal(t, "update", r.outputs["environment_change"])
		for _, line := range []string{"- ubuntu:22.04", "+ ubuntu:24.04", "- old", "+ new", "- clone https://bitbucket.org/acme/sample.git with the secret OTHER into sample (clone_auth: url, access_token)", "slack"} {
			assert.Contains(t, r.log, line)
		}
		environment := w.onlyEnvironment()
		assert.Contains(t, environment.Model, foreign)
		m := model(t, environment)
		commands := m["setup_commands"].([]any)
		assert.Len(t, commands, 5)
		assert.Equal(t, []any{"echo before", "cd sample && echo after"}, []any{commands[0], commands[4]})
		assert.Equal(t, []any{map[string]any{"name": "NPM_TOKEN"}, map[string]any{"name": "BITBUCKET_API_TOKEN"}}, m["secrets"])
		w.keeps(inputs)
	})
}

func TestPersonal(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		mine := warpsim.Owner{Type: "User", UID: userUID}
		inputs := w.inputs(map[string]string{"scope": "personal"})
		r := w.run(inputs)
		require.Equal(t, 0, r.code, r.log)
		w.requireSecret(mine, "BITBUCKET_API_TOKEN", cloudToken)
		assert.Equal(t, mine, w.onlyEnvironment().Owner)
		w.keeps(inputs)

		r = w.run(w.inputs(map[string]string{"scope": "personal", "warp_api_key": serviceKey}))
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "service account")
	})
}

func TestServiceAccountsSealForThemselves(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"warp_api_key": serviceKey})
		r := w.run(inputs)
		require.Equal(t, 0, r.code, r.log)
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		w.keeps(inputs)
	})
}

func TestSeveralTeams(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		other := warpsim.Team{UID: "Tm0000000000000000000B", Name: "Other"}
		w.oz.AddKey(apiKey, warpsim.Principal{UID: userUID, Teams: []warpsim.Team{other}})
		r := w.run(w.inputs(nil))
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, other.UID)
		assert.Empty(t, w.oz.Secrets())

		inputs := w.inputs(map[string]string{"team": "Other"})
		r = w.run(inputs)
		require.Equal(t, 0, r.code, r.log)
		w.requireSecret(warpsim.Owner{Type: "Team", UID: other.UID}, "BITBUCKET_API_TOKEN", cloudToken)
		w.keeps(inputs)
	})
}

func TestAdoptionByIDWithARename(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		uid := w.oz.AddEnvironment(team, `{"name":"by hand","setup_commands":[]}`)
		inputs := w.inputs(map[string]string{"environment_id": uid, "environment_name": "renamed"})
		r := w.run(inputs)
		require.Equal(t, 0, r.code, r.log)
		assert.Equal(t, "renamed", r.outputs["environment_name"])
		assert.Equal(t, "renamed", model(t, w.onlyEnvironment())["name"])
		assert.Contains(t, r.log, "had no list of secrets")
		w.keeps(inputs)

		r = w.run(w.inputs(map[string]string{"environment_id": "En0000000000000unknown"}))
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "En0000000000000unknown")
	})
}

func TestTwoOfOneNameAreAnError(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{ListTrashed: true}, func(t *testing.T, w *world) {
		first := w.oz.AddEnvironment(team, `{"name":"acme-sample"}`)
		second := w.oz.AddEnvironment(team, `{"name":"acme-sample"}`)
		for range 2 {
			r := w.run(w.inputs(nil))
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, first)
			assert.Contains(t, r.log, second)
			assert.Empty(t, w.oz.Secrets())
		}
		w.oz.Trash(second)
		r := w.run(w.inputs(nil))
		require.Equal(t, 0, r.code, r.log)
		assert.Equal(t, first, r.outputs["environment_id"], "trashed objects are not candidates")
	})
}

// TestEveryMutationSurvivesBothFaults loses the answer of each mutation, once
// before it happened and once after, and expects one secret and one environment.
func TestEveryMutationSurvivesBothFaults(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"CreateManagedSecret", "CreateGenericStringObject", "UpdateManagedSecret", "UpdateGenericStringObject"} {
		for _, strike := range []fault.Fault{
			{When: fault.Before}, {When: fault.After}, {When: fault.Before, Status: 502}, {When: fault.After, Status: 502},
			{When: fault.Before, Status: 429, Header: http.Header{"Retry-After": {"0"}}},
		} {
			name := operation + "/" + map[fault.When]string{fault.Before: "before", fault.After: "after"}[strike.When] + "/" + http.StatusText(strike.Status)
			t.Run(name, func(t *testing.T) {
				inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
					inputs := w.inputs(map[string]string{"smoke_test": "false"})
					if strings.HasPrefix(operation, "Update") {
						require.Equal(t, 0, w.run(inputs).code)
						inputs["docker_image"] = "ubuntu:24.04"
					}
					lost := strike
					lost.Operation = operation
					w.oz.Script.Add(lost)
					r := w.run(inputs)
					require.Equal(t, 0, r.code, r.log)
					w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
					assert.Equal(t, w.onlyEnvironment().UID, r.outputs["environment_id"])
					w.keeps(inputs)
				})
			})
		}
	}
}

func TestRejectedRevisionsAreMergedAgain(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.AddEnvironment(team, `{"name":"acme-sample"}`)
		w.oz.RejectUpdates(3)
		inputs := w.inputs(map[string]string{"smoke_test": "false"})
		r := w.run(inputs)
		require.Equal(t, 0, r.code, r.log)
		assert.Contains(t, w.onlyEnvironment().Model, "edited_meanwhile")
		w.keeps(inputs)

		w.oz.RejectUpdates(100)
		inputs["docker_image"] = "ubuntu:24.04"
		r = w.run(inputs)
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "someone else changed it")
		assert.Contains(t, r.log, "the secret is written")
		assert.Equal(t, "rotate", r.outputs["secret_change"])
		w.oz.RejectUpdates(0)
	})
}

func TestBadKeyWritesNothing(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for range 2 {
			r := w.run(w.inputs(map[string]string{"warp_api_key": "wk-MARKER-unknown"}))
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, "warp_api_key")
		}
		w.requireNothingWritten()
	})
}

func TestReadsSurvivePassingFailures(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		now := http.Header{"Retry-After": {"0"}}
		for _, operation := range []string{"GetUser", "ListManagedSecrets", "GetCloudEnvironments", "GET /agent/runs/{id}"} {
			w.oz.Script.Add(fault.Fault{Operation: operation, Status: 503, Header: now})
			w.oz.Script.Add(fault.Fault{Operation: operation})
		}
		w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.UploadPackRefs, Status: 429, Header: now})
		r := w.run(w.inputs(nil))
		require.Equal(t, 0, r.code, r.log)
		assert.Contains(t, r.log, "trying again: POST")
		w.keeps(w.inputs(nil))
	})
}

func TestAnOutageIsAnErrorThatSaysWhatWasWritten(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.Script.Add(fault.Fault{Operation: "CreateGenericStringObject", Status: 500, Times: -1})
		w.oz.Script.Add(fault.Fault{Operation: "GetCloudEnvironments", Status: 500, Header: http.Header{"Retry-After": {"0"}}, Skip: 1, Times: -1})
		r := w.run(w.inputs(nil))
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "the secret is written, but it is not known whether the environment is")
		assert.Equal(t, "create", r.outputs["secret_change"])
		assert.Empty(t, r.outputs["environment_change"])
		w.oz.Script.Clear()
		r = w.run(w.inputs(nil))
		require.Equal(t, 0, r.code, r.log)
		assert.Equal(t, "rotate", r.outputs["secret_change"])
		w.keeps(w.inputs(nil))
	})
}

func TestBadInputsSendNoRequest(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		r := w.run(w.inputs(map[string]string{"clone_depth": "x", "scope": "everyone", "smoke_test": "maybe", "setup_commands": "echo " + cloudToken}))
		assert.Equal(t, 2, r.code)
		for _, input := range []string{"clone_depth", "scope", "smoke_test", "setup_commands"} {
			assert.Contains(t, r.log, input+":")
		}
		assert.Equal(t, "acme-sample", r.outputs["environment_name"])
		assert.Equal(t, 2, w.run(w.inputs(nil), "destory").code)
		assert.Empty(t, w.oz.Journal.All())
		assert.Empty(t, w.bitbucket.Journal.All())
	})
}

func TestOutputFile(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		path := filepath.Join(t.TempDir(), "outputs.env")
		r := w.run(w.inputs(map[string]string{"output_file": path, "smoke_test": "false"}))
		require.Equal(t, 0, r.code, r.log)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Contains(t, string(content), "environment_id="+w.onlyEnvironment().UID+"\n")
		assert.Contains(t, string(content), "smoke_test=skipped\n")
	})
}
