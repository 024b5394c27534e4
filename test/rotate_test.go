package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

const nextToken = "ATATT3MARKER-cloud-next-77aa=5E6F7A8B"

// rotation returns the inputs of a rotation to nextToken, with changes.
func (w *world) rotation(changes map[string]string) map[string]string {
	w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken})
	inputs := w.inputs(map[string]string{"mode": "rotate", "bitbucket_token": nextToken})
	delete(inputs, "repo_url")
	for name, value := range changes {
		inputs[name] = value
	}
	return inputs
}

func TestRotate(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.must(w.inputs(map[string]string{"smoke_test": "false"}))
		before := w.onlyEnvironment()
		inputs := w.rotation(map[string]string{"token_expires_at": "2099-01-31"})
		for range 2 {
			r := w.must(inputs)
			assert.Equal(t, "rotate", r.outputs["secret_change"])
			assert.Equal(t, "false", r.outputs["changed"])
			assert.Equal(t, "passed", r.outputs["smoke_test"])
			assert.Equal(t, "false", r.outputs["rolled_back"])
			assert.Equal(t, "2099-01-31T00:00:00Z", r.outputs["token_expires_at"])
			assert.JSONEq(t, `[{"id":"`+before.UID+`","name":"acme-sample","change":"keep","verdict":"passed","error":""}]`, r.outputs["environments"])
			w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
			assert.Equal(t, before, w.onlyEnvironment(), "a rotation touches no environment")
		}
		require.Len(t, w.oz.Secrets(), 1)
		assert.Regexp(t, `^rotated by oz-bitbucket on \d{4}-\d\d-\d\d, expires 2099-01-31$`, w.oz.Secrets()[0].Description)
	})
}

// environments adds environments of the team that clone repositories of their
// own with the secret, and returns the repositories.
func (w *world) environments(n int) []*bitbucketsim.Repository {
	w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
	var repositories []*bitbucketsim.Repository
	for i := range n {
		slug := fmt.Sprintf("app-%d", i)
		repositories = append(repositories, w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: slug}))
		w.oz.AddEnvironment(team, fmt.Sprintf(`{"name":%q,"setup_commands":["git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/%s.git && cd %s && git remote set-url origin https://bitbucket.org/acme/%s.git"],"secrets":[{"name":"BITBUCKET_API_TOKEN"}]}`, slug, slug, slug, slug))
	}
	return repositories
}

func TestRotateOneSecretOfManyEnvironments(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{ListTrashed: true}, func(t *testing.T, w *world) {
		w.environments(10)
		w.oz.Trash(w.oz.AddEnvironment(team, `{"name":"trashed","setup_commands":["git clone https://x:$BITBUCKET_API_TOKEN@bitbucket.org/acme/gone.git"]}`))
		w.oz.AddEnvironment(team, `{"name":"other","setup_commands":["echo $OTHER"],"secrets":[{"name":"OTHER"}]}`)
		before := w.oz.Environments()
		for range 2 {
			r := w.must(w.rotation(map[string]string{"smoke_test": "all"}))
			assert.Equal(t, 10, strings.Count(r.outputs["environments"], `"verdict":"passed"`))
			w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
			assert.NotContains(t, r.log, "trashed")
			assert.NotContains(t, r.log, `"other"`)
		}
		assert.Equal(t, 2, w.oz.Counts()["UpdateManagedSecret"])
		assert.Len(t, w.oz.Runs(), 20)
		assert.Equal(t, before, w.oz.Environments())
	})
}

func TestRotateRefusesATokenThatServesNineOfTen(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		repositories := w.environments(10)
		inputs := w.rotation(nil)
		var nine []string
		for _, r := range repositories[:9] {
			nine = append(nine, r.Owner+"/"+r.Slug)
		}
		w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, Repositories: nine})
		for range 2 {
			r := w.run(inputs)
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, "acme/app-9")
			assert.Contains(t, r.log, "nothing was written")
			w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		}
		assert.Empty(t, w.oz.Runs())
	})
}

func TestRotateRollsBack(t *testing.T) {
	t.Parallel()
	broken := warpsim.Behaviour{State: "FAILED", ErrorCode: "environment_setup_failed", Message: "Environment setup failed"}
	credits := warpsim.Behaviour{State: "FAILED", ErrorCode: "insufficient_credits", Message: "no credits"}
	tests := []struct {
		name      string
		behaviour []warpsim.Behaviour
		previous  string
		stored    string
		back      string
		says      string
	}{
		{"and the previous value works", []warpsim.Behaviour{broken}, cloudToken, cloudToken, "true", "the previous value is stored again"},
		{"and that fails too", []warpsim.Behaviour{broken, broken}, cloudToken, cloudToken, "true", "did not pass either"},
		{"not without a previous value", []warpsim.Behaviour{broken}, "", nextToken, "false", "the new value is stored"},
		{"not when the token is not the cause", []warpsim.Behaviour{credits}, cloudToken, nextToken, "false", "credits"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				w.environments(2)
				w.oz.Behave(tt.behaviour...)
				r := w.run(w.rotation(map[string]string{"previous_token": tt.previous}))
				assert.Equal(t, 3, r.code, r.log)
				assert.Equal(t, "failed", r.outputs["smoke_test"])
				assert.Equal(t, tt.back, r.outputs["rolled_back"])
				assert.Contains(t, r.log, tt.says)
				w.requireSecret(team, "BITBUCKET_API_TOKEN", tt.stored)
				assert.Equal(t, "passed", w.must(w.rotation(nil)).outputs["smoke_test"], "the next rotation succeeds")
			})
		})
	}
}

func TestRotateRefusesAPreviousTokenThatIsExpired(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.environments(1)
		w.bitbucket.AddToken(bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken, State: bitbucketsim.Expired})
		r := w.run(w.rotation(map[string]string{"previous_token": cloudToken}))
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "previous_token does not serve")
		assert.Contains(t, r.log, "nothing was written")
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
	})
}

func TestRotateNarrows(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string]map[string]string{
		"by name": {"environment_name": "app-1"}, "by repository": {"repo_url": "https://bitbucket.org/acme/app-1"},
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				w.environments(3)
				for range 2 {
					r := w.must(w.rotation(changes))
					assert.Contains(t, r.outputs["environments"], `"name":"app-1","change":"keep","verdict":"passed"`)
					assert.NotContains(t, r.outputs["environments"], "app-0")
					assert.Contains(t, r.log, "get the new value unchecked")
				}
				w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
			})
		})
	}
}

func TestRotateRefuses(t *testing.T) {
	t.Parallel()
	clone := func(url string) string { return fmt.Sprintf(`{"name":"e","setup_commands":["git clone %s"]}`, url) }
	tests := []struct {
		name        string
		environment string
		changes     map[string]string
		says        string
	}{
		{"a secret that does not exist", "", map[string]string{"secret_name": "NO_SUCH_SECRET"}, "a rotation does not create it"},
		{"an environment that does not use it", "", map[string]string{"environment_name": "nobody"}, "does not use secret"},
		{"several servers", clone("https://x:$BITBUCKET_API_TOKEN@git.example.com/scm/PRJ/app.git"), map[string]string{"trusted_hosts": "https://git.example.com"}, "several servers"},
		{"another kind of token than the commands present", clone("https://x-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/app-0.git"), nil, "run apply for this environment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				w.environments(1)
				if tt.environment != "" {
					w.oz.AddEnvironment(team, tt.environment)
				}
				for range 2 {
					r := w.run(w.rotation(tt.changes))
					assert.Equal(t, 1, r.code)
					assert.Contains(t, r.log, tt.says)
				}
				w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
				assert.Empty(t, w.oz.Runs())
			})
		})
	}
}

func TestRotateWarnsWhenNobodyUsesTheSecret(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.environments(0)
		for range 2 {
			r := w.must(w.rotation(nil))
			assert.Contains(t, r.log, "no environment uses secret")
			assert.Equal(t, "skipped", r.outputs["smoke_test"])
			assert.Equal(t, "[]", r.outputs["environments"])
		}
		w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
	})
}

func TestRotationSurvivesLostAnswers(t *testing.T) {
	t.Parallel()
	for _, when := range []fault.When{fault.Before, fault.After} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			w.environments(1)
			w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", When: when})
			for range 2 {
				w.must(w.rotation(nil))
				w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
			}
		})
	}
}

func TestExpiryIsAnAlarm(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		soon := time.Now().AddDate(0, 0, 10).UTC().Format(time.DateOnly)
		r := w.must(w.inputs(map[string]string{"smoke_test": "false", "token_expires_at": soon}))
		assert.Contains(t, r.log, "expires in 9 days")
		plan := w.inputs(map[string]string{"mode": "plan"})
		for range 2 {
			r = w.must(plan)
			assert.Contains(t, r.log, "expires "+soon, "the plan shows the secret's age")
			assert.Equal(t, "9", r.outputs["token_expires_in_days"])
			assert.Equal(t, soon+"T00:00:00Z", r.outputs["token_expires_at"])
		}
		plan["fail_on_expiry"] = "true"
		assert.Equal(t, 1, w.run(plan).code)
		plan["expiry_warning"] = "3"
		assert.NotContains(t, w.must(plan).log, "rotate it before")
	})
}

// TestRotationSurvivesAKillAtEachStep kills the job just before and just after
// each of its requests took effect, and runs it again.
func TestRotationSurvivesAKillAtEachStep(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"ListManagedSecrets", "UpdateManagedSecret", "POST /agent/runs", "GET /agent/runs/{id}"} {
		for _, when := range []fault.When{fault.Before, fault.After} {
			t.Run(fmt.Sprintf("%s/%d", operation, when), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, plain, warpsim.Options{})
				w.environments(1)
				w.kill(&w.oz.Script, operation, when, w.rotation(nil))
				w.must(w.rotation(nil))
				w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
			})
		}
	}
}

// kill runs a job and ends it with SIGKILL at an operation.
func (w *world) kill(script *fault.Script, operation string, when fault.When, inputs map[string]string) {
	w.t.Helper()
	command, _ := w.command(inputs)
	started := make(chan struct{})
	script.Add(fault.Fault{Operation: operation, When: when, Do: func() {
		<-started
		_ = command.Process.Kill()
	}})
	require.NoError(w.t, command.Start())
	close(started)
	require.Error(w.t, command.Wait())
	require.Equal(w.t, -1, command.ProcessState.ExitCode(), "the job did not come to %s", operation)
}

func TestDataCenterTellsWhenATokenExpires(t *testing.T) {
	t.Parallel()
	for _, owner := range []string{"users/jane", "projects/PRJ", "projects/PRJ/repos/sample"} {
		t.Run(owner, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				token := w.bitbucket.AddAccessToken(owner, "by hand", "REPO_READ", 5)
				inputs := w.inputs(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": token.Value, "smoke_test": "false"})
				for range 2 {
					r := w.must(inputs)
					assert.Equal(t, "4", r.outputs["token_expires_in_days"])
					assert.Contains(t, r.log, "expires in 4 days")
				}
				inputs["mode"], inputs["fail_on_expiry"] = "plan", "true"
				assert.Equal(t, 1, w.run(inputs).code)
			})
		})
	}
}

func TestRollBackThatIsRefusedSaysWhatIsStored(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.environments(1)
		w.oz.Behave(warpsim.Behaviour{State: "FAILED", ErrorCode: "environment_setup_failed", Message: "Environment setup failed"})
		w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", Skip: 1, Status: 403, Body: `{"error":"no"}`})
		r := w.run(w.rotation(map[string]string{"previous_token": cloudToken}))
		assert.Equal(t, 3, r.code, r.log)
		assert.Equal(t, "false", r.outputs["rolled_back"])
		assert.Contains(t, r.log, "the new value is stored")
		w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
		w.must(w.rotation(nil))
	})
}

// TestPushesThatAreRefusedLeaveOneAnswer: a token may get two answers of 401, and one of them
// must be left. The commit that the smoke test compares with is known from the proof.
func TestPushesThatAreRefusedLeaveOneAnswer(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.environments(3)
		w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.ReceivePackRefs, Status: 401, Body: "no", Times: -1})
		r := w.must(w.rotation(nil))
		assert.Equal(t, "passed", r.outputs["smoke_test"])
		assert.Contains(t, r.log, "the agent found commit")
		w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
		refused := 0
		for _, request := range w.bitbucket.Journal.All() {
			if request.Operation == bitbucketsim.ReceivePackRefs {
				refused++
			}
		}
		assert.Equal(t, 1, refused)
	})
}

// TestAnEmptyRepositoryBlamesNoToken: also when a request about pushes was refused.
func TestAnEmptyRepositoryBlamesNoToken(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		for _, slug := range []string{"empty-a", "empty-b"} {
			w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: slug, Empty: true})
			w.oz.AddEnvironment(team, fmt.Sprintf(`{"name":%q,"setup_commands":["git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/%s.git && git -C %s remote set-url origin https://bitbucket.org/acme/x.git"]}`, slug, slug, slug))
		}
		w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.ReceivePackRefs, Status: 401, Body: "no", Times: -1})
		r := w.must(w.rotation(map[string]string{"previous_token": cloudToken}))
		assert.Equal(t, "passed", r.outputs["smoke_test"])
		assert.Contains(t, r.log, "there was no commit to compare with")
		w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
	})
}

// TestRotationInAPipelineIsNotNarrowedToItsRepository: the default of repo_url
// is for the other modes.
func TestRotationInAPipelineIsNotNarrowedToItsRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	w.environments(3)
	w.environ = []string{"BITBUCKET_BUILD_NUMBER=42", "BITBUCKET_WORKSPACE=acme", "BITBUCKET_REPO_SLUG=app-1"}
	for range 2 {
		r := w.must(w.rotation(map[string]string{"smoke_test": "all"}))
		assert.Equal(t, 3, strings.Count(r.outputs["environments"], `"verdict":"passed"`), r.log)
	}
	w.requireClean()
}

// TestRotateRollsBackWhereTheLookUpIsRefused: there was no proof, and Bitbucket refuses the new
// token when the smoke test looks up the commit.
func TestRotateRollsBackWhereTheLookUpIsRefused(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.environments(3)
		inputs := w.rotation(map[string]string{"verify_token": "false", "previous_token": cloudToken, "smoke_test": "all"})
		w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, State: bitbucketsim.Revoked})
		r := w.run(inputs)
		assert.Equal(t, 3, r.code, r.log)
		assert.Equal(t, "true", r.outputs["rolled_back"])
		assert.Contains(t, r.log, "look up the commit")
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		assert.LessOrEqual(t, w.bitbucket.FailedLogins(nextToken), 2, "in total, for any number of environments")
	})
}

// TestRotateRefusesWhatApplyRefuses: before anything is written.
func TestRotateRefusesWhatApplyRefuses(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		repositories := w.environments(2)
		r := w.run(w.rotation(map[string]string{"smoke_test_prompt": "Say " + repositories[0].Head()}))
		assert.Equal(t, 1, r.code, r.log)
		assert.Contains(t, r.log, "smoke_test_prompt names "+repositories[0].Head())
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		assert.Empty(t, w.oz.Runs())

		inputs := w.rotation(nil)
		w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, Write: true})
		r = w.must(inputs)
		assert.Contains(t, r.log, "the token can push to "+repositories[0].CloneURL())
		if w.dialect == github {
			assert.Contains(t, r.summary, "the token can push to")
		}
	})
}

// TestARollBackForgetsWhenTheNewTokenEnds: the previous token is stored again.
func TestARollBackForgetsWhenTheNewTokenEnds(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.environments(1)
		w.oz.Behave(warpsim.Behaviour{State: "FAILED", ErrorCode: "environment_setup_failed", Message: "Environment setup failed"})
		r := w.run(w.rotation(map[string]string{"previous_token": cloudToken, "token_expires_at": "2099-01-31"}))
		assert.Equal(t, 3, r.code, r.log)
		assert.Equal(t, "true", r.outputs["rolled_back"])
		assert.Empty(t, r.outputs["token_expires_at"])
		assert.Empty(t, r.outputs["token_expires_in_days"])
		assert.NotContains(t, w.oz.Secrets()[0].Description, "expires")
	})
}

// TestTheRunOfARotationNamesTheSecret: an environment without a list gives a run
// nothing by itself.
func TestTheRunOfARotationNamesTheSecret(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		w.oz.AddEnvironment(team, `{"name":"bare","setup_commands":["git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/sample.git && git -C sample remote set-url origin https://bitbucket.org/acme/sample.git"]}`)
		assert.Equal(t, "passed", w.must(w.rotation(nil)).outputs["smoke_test"])
		assert.Equal(t, []string{"BITBUCKET_API_TOKEN"}, w.lastRun().Secrets)
	})
}

// TestARotationFollowsALogin: after a hand-written login git presents the secret to every
// repository of the server, and no clone command names it.
func TestARotationFollowsALogin(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		login := `git config --global credential.https://bitbucket.org.helper '!f() { echo username=x-bitbucket-api-token-auth; echo \"password=$BITBUCKET_API_TOKEN\"; }; f'`
		w.oz.AddEnvironment(team, `{"name":"good","setup_commands":["`+login+`","git clone https://bitbucket.org/acme/sample.git"],"secrets":[{"name":"BITBUCKET_API_TOKEN"}]}`)
		r := w.must(w.rotation(nil))
		assert.Equal(t, "passed", r.outputs["smoke_test"])
		assert.NotContains(t, r.log, "warning")

		w.oz.AddEnvironment(team, `{"name":"lost","setup_commands":["`+login+`","cd x && git clone https://bitbucket.org/acme/gone.git"],"secrets":[{"name":"BITBUCKET_API_TOKEN"}]}`)
		r = w.run(w.rotation(map[string]string{"bitbucket_token": cloudToken}))
		assert.Equal(t, 1, r.code, r.log)
		assert.Regexp(t, `"lost" .*acme/gone`, r.log)
		w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
	})
}

// TestTheCommitOfARotationIsThatOfTheClonedBranch: in the directory that the command names.
func TestTheCommitOfARotationIsThatOfTheClonedBranch(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		dev := w.cloud.Branch("dev")
		require.NotEqual(t, w.cloud.Head(), dev)
		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		w.oz.AddEnvironment(team, `{"name":"dev","setup_commands":["git clone --branch dev https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/sample.git elsewhere && git -C elsewhere remote set-url origin https://bitbucket.org/acme/sample.git"],"secrets":[{"name":"BITBUCKET_API_TOKEN"}]}`)
		r := w.must(w.rotation(nil))
		assert.Equal(t, dev, r.outputs["head_commit"])
		assert.Contains(t, r.log, "the agent found commit "+dev)
		assert.Contains(t, w.lastRun().Prompt, `"elsewhere"`)
	})
}

// TestACommandOfTheUsersOwnBlamesNoToken: a good token stays.
func TestACommandOfTheUsersOwnBlamesNoToken(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.must(w.inputs(map[string]string{"smoke_test": "false", "setup_commands": "false"}))
		r := w.run(w.rotation(map[string]string{"previous_token": cloudToken}))
		assert.Equal(t, 3, r.code, r.log)
		assert.Equal(t, "false", r.outputs["rolled_back"])
		assert.Contains(t, r.log, "a setup command failed")
		w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
	})
}

// TestAPersonalSecretHidesTheTeams: in the caller's own runs, and so in the smoke test. Then a
// failure does not make the token suspect.
func TestAPersonalSecretHidesTheTeams(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		const warning = `your personal secret "BITBUCKET_API_TOKEN" hides the team's`
		const blamed = `your personal secret "BITBUCKET_API_TOKEN"`
		w.oz.AddSecret(warpsim.Owner{Type: "User", UID: userUID}, "BITBUCKET_API_TOKEN", "a stale value of jane's")
		for _, inputs := range []map[string]string{w.inputs(nil), w.rotation(map[string]string{"previous_token": cloudToken})} {
			r := w.run(inputs)
			assert.Equal(t, 3, r.code, r.log)
			plan, verdict, found := strings.Cut(r.log, "smoke test failed: ")
			require.True(t, found, r.log)
			assert.Contains(t, plan, warning)
			assert.Contains(t, verdict, blamed)
			assert.NotContains(t, verdict, "check that the image has git")
			assert.NotEqual(t, "true", r.outputs["rolled_back"])
		}
		for _, secret := range w.oz.Secrets() {
			if secret.Owner == team {
				assert.True(t, secret.Value == nextToken, "the good token stays")
			}
		}
		inputs := w.rotation(nil)
		inputs["warp_api_key"] = serviceKey
		r := w.must(inputs)
		assert.NotContains(t, r.log, warning, "a service account has no personal secrets")
	})
}

// TestARotationIsSharedToo: on_shared_secret applies to a rotation.
func TestARotationIsSharedToo(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.environments(3)
		serve := func(slugs ...string) map[string]string {
			inputs := w.rotation(map[string]string{"on_shared_secret": "warn", "smoke_test": "all"})
			w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, Repositories: slugs})
			return inputs
		}
		r := w.run(serve("acme/none"))
		assert.Equal(t, 1, r.code, "a token that serves nobody")
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		r = w.must(serve("acme/app-1", "acme/app-2"))
		assert.Regexp(t, `the new token does not serve everyone who reads secret "BITBUCKET_API_TOKEN": environment "app-0"`, r.log)
		assert.Equal(t, 2, strings.Count(r.outputs["environments"], `"verdict":"passed"`))
		assert.Contains(t, r.outputs["environments"], `"name":"app-0","change":"keep","verdict":"skipped"`)
		w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
	})
}

// TestDaysLeftOfATokenThatIsRefused: they are counted from now.
func TestDaysLeftOfATokenThatIsRefused(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		soon := time.Now().UTC().AddDate(0, 0, 10).Format(time.DateOnly)
		w.bitbucket.AddToken(bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken, State: bitbucketsim.Expired})
		r := w.run(w.inputs(map[string]string{"token_expires_at": soon}))
		assert.Equal(t, 1, r.code)
		assert.Equal(t, "9", r.outputs["token_expires_in_days"])
	})
}
