package test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// late is the model of an environment that appears while a job is under way.
func late(url, secret string) string {
	return fmt.Sprintf(`{"name":"late","setup_commands":["git clone -c \"http.extraHeader=Authorization: Bearer $%s\" %s"]}`, secret, url)
}

// TestWhatWasWrittenStaysWritten: an environment appears, so the job plans again, and then Oz
// refuses a request that it accepted before.
func TestWhatWasWrittenStaysWritten(t *testing.T) {
	t.Parallel()
	refuse := func(w *world, operation, url, secret string) {
		w.oz.Script.Add(fault.Fault{Operation: operation, When: fault.Meanwhile, Do: func() { w.oz.AddEnvironment(team, late(url, secret)) }})
		w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", Status: 403, Body: `{"error":"no"}`, Times: -1})
	}
	t.Run("a token that was made", func(t *testing.T) {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			inputs := w.minting(map[string]string{"smoke_test": "false"})
			w.must(inputs)
			refuse(w, "UpdateManagedSecret", w.dc.CloneURL(), "BITBUCKET_TOKEN")
			r := w.run(inputs)
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, "planning again")
			assert.True(t, w.alive(), "it is stored, so it is not revoked")
		})
	})
	t.Run("a rotation", func(t *testing.T) {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			repositories := w.environments(1)
			refuse(w, "UpdateManagedSecret", repositories[0].CloneURL(), "BITBUCKET_API_TOKEN")
			r := w.run(w.rotation(nil))
			assert.Equal(t, 1, r.code)
			assert.True(t, w.stored() == nextToken)
			assert.Contains(t, r.log, "the new value is stored")
			assert.Equal(t, "rotate", r.outputs["secret_change"])
		})
	})
	t.Run("a creation", func(t *testing.T) {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			refuse(w, "CreateManagedSecret", w.cloud.CloneURL(), "BITBUCKET_API_TOKEN")
			r := w.run(w.inputs(nil))
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, "the secret is written, and environment "+r.outputs["environment_id"]+" too")
			assert.Equal(t, []string{"create", "create"}, []string{r.outputs["secret_change"], r.outputs["environment_change"]})
			w.oz.Script.Clear()
			assert.Equal(t, "keep", w.must(w.inputs(nil)).outputs["environment_change"])
		})
	})
}

// TestEveryErrorSaysWhatWasWritten: whatever the error's origin.
func TestEveryErrorSaysWhatWasWritten(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		refused := fault.Fault{Operation: "GetUser", Status: 403, Body: `{"error":"no"}`}
		w.oz.Script.Add(refused)
		r := w.run(w.inputs(nil))
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "nothing was written")
		w.oz.Script.Add(fault.Fault{Operation: "CreateManagedSecret", When: fault.Meanwhile, Do: func() {
			w.oz.AddEnvironment(team, late(w.cloud.CloneURL(), "BITBUCKET_API_TOKEN"))
			w.oz.Script.Add(refused)
		}})
		r = w.run(w.inputs(nil))
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "the secret is written")
		assert.NotContains(t, r.log, "nothing was written")
	})
}

// TestAnEnvironmentThatBeginsToReadTheSecret: another job overwrites the secret before it can
// see this, as with an environment that was just created.
func TestAnEnvironmentThatBeginsToReadTheSecret(t *testing.T) {
	t.Parallel()
	for there, operation := range map[bool]string{false: "CreateGenericStringObject", true: "UpdateGenericStringObject"} {
		t.Run(operation, func(t *testing.T) {
			w := newWorld(t, plain, warpsim.Options{})
			web, api := w.neighbours(bitbucketsim.Cloud, map[string]string{"smoke_test": "false"})
			w.bitbucket.AddToken(bitbucketsim.Token{Value: web.token, Kind: bitbucketsim.AccessToken}) // serves both
			w.must(api.inputs)
			if there {
				w.oz.AddEnvironment(team, `{"name":"acme-web","docker_image":"warpdotdev/dev-base:latest","setup_commands":["make"],"secrets":[]}`)
			}
			w.oz.Script.Add(fault.Fault{Operation: operation, When: fault.Meanwhile, Do: func() { w.must(api.inputs) }})
			r := w.must(web.inputs)
			assert.Contains(t, r.log, "was written again")
			assert.True(t, w.stored() == web.token, "the token that serves both")
			w.requireClean()
		})
	}
}

// TestWarningsOfASecondPlanStandOnce: the first plan's warnings are not shown.
func TestWarningsOfASecondPlanStandOnce(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		web, api := w.neighbours(bitbucketsim.Cloud, map[string]string{"smoke_test": "false", "verify_token": "false", "token_kind": "access_token"})
		w.must(web.inputs)
		w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", When: fault.Meanwhile, Do: func() {
			w.oz.AddEnvironment(team, `{"name":"late","setup_commands":["echo $BITBUCKET_API_TOKEN"]}`)
		}})
		r := w.must(api.inputs)
		const warning = "nothing proves that the token serves the other"
		second := r.log[strings.LastIndex(r.log, "planning again"):]
		assert.Equal(t, 1, strings.Count(second, warning))
		if w.dialect == github {
			assert.Equal(t, 1, strings.Count(r.summary, warning))
		}
	})
}

// TestWarningsAboutATokenThatWasMadeAreInTheSummary: also when the plan was shown before the
// token was made.
func TestWarningsAboutATokenThatWasMadeAreInTheSummary(t *testing.T) {
	t.Parallel()
	w := newWorld(t, github, warpsim.Options{})
	r := w.must(w.minting(map[string]string{"smoke_test": "false", "verify_token": "false"}))
	const warning = "nothing proves the new token before it is stored"
	assert.Contains(t, r.log, warning)
	assert.Contains(t, r.summary, warning)
}

// TestAPlanThatFailedIsNotShown: there are two environments of the name, or no
// secret to rotate.
func TestAPlanThatFailedIsNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, github, warpsim.Options{})
	w.oz.AddEnvironment(team, `{"name":"acme-sample"}`)
	w.oz.AddEnvironment(team, `{"name":"acme-sample"}`)
	for _, inputs := range []map[string]string{w.inputs(nil), w.rotation(nil)} {
		r := w.run(inputs)
		assert.Equal(t, 1, r.code)
		assert.NotContains(t, r.summary, "environment \"acme-sample\": ")
		assert.NotContains(t, r.summary, "|  |  |  |")
		assert.NotContains(t, r.outputs["environments"], `"id":"","name":""`)
	}
	assert.NotContains(t, w.run(w.rotation(nil)).summary, "What was planned")
}

// TestTheTokenServesAllOfItsOwnEnvironment: commands that stay clone another
// repository with the same secret.
func TestTheTokenServesAllOfItsOwnEnvironment(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		web, api := w.neighbours(bitbucketsim.Cloud, nil)
		w.bitbucket.AddToken(bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken})
		both := maps.Clone(web.inputs)
		both["repo_url"] += "\n" + api.repository.CloneURL()
		both["bitbucket_token"] = accessToken
		w.must(both)
		for range 2 {
			r := w.run(web.inputs)
			assert.Equal(t, 1, r.code, r.log)
			assert.Contains(t, r.log, "prove the token against "+api.repository.CloneURL())
			assert.True(t, w.stored() == accessToken)
		}
		web.inputs["setup_commands"] = "true"
		assert.Equal(t, "passed", w.must(web.inputs).outputs["smoke_test"], "commands that will be removed need no access")
	})
}

// TestAPersonalSecretTakesThePlaceOfATeams: in the caller's own environments, so the token
// must serve them.
func TestAPersonalSecretTakesThePlaceOfATeams(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		web, api := w.neighbours(bitbucketsim.Cloud, map[string]string{"smoke_test": "false"})
		w.must(web.inputs)
		w.oz.AddEnvironment(warpsim.Owner{Type: "User", UID: userUID}, `{"name":"mine","docker_image":"warpdotdev/dev-base:latest","setup_commands":["git clone https://x-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/web.git"],"secrets":[{"name":"BITBUCKET_API_TOKEN"}]}`)
		api.inputs["scope"] = "personal"
		r := w.run(api.inputs)
		assert.Equal(t, 1, r.code, r.log)
		assert.Regexp(t, `environment "mine" \(\w{22}\): prove the token`, r.log)
		assert.Len(t, w.oz.Secrets(), 1)
		api.inputs["on_shared_secret"] = "warn"
		assert.Contains(t, w.must(api.inputs).log, `environment "mine"`)
	})
}

// TestACommandThatNamesNoUserOfOurs: it presents the token in another way. That is not an error.
func TestACommandThatNamesNoUserOfOurs(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		web, api := w.neighbours(bitbucketsim.Cloud, map[string]string{"smoke_test": "false"})
		w.bitbucket.AddToken(bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken})
		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", "another value")
		w.oz.AddEnvironment(team, late(web.repository.CloneURL(), "BITBUCKET_API_TOKEN"))
		assert.Equal(t, 1, w.run(api.inputs).code, "its own token does not serve")
		api.inputs["bitbucket_token"] = accessToken
		w.must(api.inputs)
	})
}

// TestARotationThatReachesNobodyKnowsTheCommit: that of the repository that it proved.
func TestARotationThatReachesNobodyKnowsTheCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
	r := w.must(w.rotation(map[string]string{"repo_url": w.cloud.CloneURL()}))
	assert.Equal(t, w.cloud.Head(), r.outputs["head_commit"])
}

func TestTheBranchOfTheInputsIsCompared(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		dev := w.cloud.Branch("dev")
		r := w.must(w.inputs(map[string]string{"branch": "dev"}))
		assert.Equal(t, dev, r.outputs["head_commit"])
		assert.Contains(t, r.log, "the agent found commit "+dev)
		assert.NotEqual(t, w.cloud.Head(), dev)
	})
}

// TestQuestionsOfNoImportanceLeaveOneAnswer: Bitbucket has refused to say whether the token may
// push. The branch moves during the test, and Bitbucket can still be asked for it. This runs
// before the parallel tests, because its time is real.
func TestQuestionsOfNoImportanceLeaveOneAnswer(t *testing.T) {
	for _, mode := range []string{"apply", "rotate"} {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, plain, warpsim.Options{})
			inputs := w.inputs(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken, "smoke_test": "false"})
			if mode == "rotate" {
				w.must(inputs)
				inputs["mode"], inputs["previous_token"], inputs["trusted_hosts"] = mode, dcToken, w.bitbucket.DataCenterOrigin()
				delete(inputs, "repo_url")
			}
			token := w.bitbucket.AddAccessToken("projects/PRJ", "by hand", "REPO_READ", 50)
			inputs["smoke_test"], inputs["bitbucket_token"] = "true", token.Value
			w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.ReceivePackRefs, Status: 401, Body: "You are not permitted", Times: -1})
			w.oz.Behave(warpsim.Behaviour{StartAfter: pauseForTheTest})
			job := w.start(inputs)
			w.awaitRequest("POST /agent/runs")
			after := w.dc.Commit("Pushed before the clone")
			r := job.wait()
			assert.Equal(t, 0, r.code, r.log)
			assert.Contains(t, r.log, "the agent found commit "+after+", which was pushed during the test")
			assert.NotEqual(t, "true", r.outputs["rolled_back"])
		})
	}
}

// TestTheExpiryIsThatOfTheStoredToken, not of one that was revoked.
func TestTheExpiryIsThatOfTheStoredToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	inputs := w.minting(map[string]string{"smoke_test": "false"})
	w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", Status: 403, Body: `{"error":"no"}`})
	r := w.run(inputs)
	assert.Equal(t, 1, r.code)
	assert.Empty(t, r.outputs["token_expires_at"])
	w.requireNoneMinted(1)
}

// TestARollBackTellsWhatLivesOn: the run's verdict is still about the smoke test.
func TestARollBackTellsWhatLivesOn(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.minting(nil)
		w.must(inputs)
		inputs["previous_token"] = w.requireMinted().Value
		w.oz.Behave(warpsim.Behaviour{State: "FAILED", ErrorCode: "environment_setup_failed", Message: "Environment setup failed"})
		w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.DeleteAccessToken, Status: 403, Body: `{"errors":[{"message":"no"}]}`})
		r := w.run(inputs)
		assert.Equal(t, 3, r.code, r.log)
		assert.Equal(t, "true", r.outputs["rolled_back"])
		assert.Contains(t, r.log, "the previous value is stored again, but the new token may still be valid: revoke token")
		if w.dialect == github {
			assert.Contains(t, r.summary, "the previous value is stored again, but the new token may still be valid")
		}
	})
}

// TestMintRevokesNothingWhereOzTellsNoTime: neither the answer nor the list has the time of the
// last write. Two empty times do not count as equal.
func TestMintRevokesNothingWhereOzTellsNoTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	inputs := w.minting(map[string]string{"smoke_test": "false"})
	w.must(inputs)
	before := len(w.bitbucket.DeletedAccessTokens())
	w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", When: fault.After, Status: 200,
		Body: `{"data":{"updateManagedSecret":{"__typename":"UpdateManagedSecretOutput","managedSecret":{"updatedAt":""}}}}`})
	w.oz.Script.Add(fault.Fault{Operation: "ListManagedSecrets", Status: 200, Skip: 1, Times: -1,
		Body: `{"data":{"managedSecrets":{"__typename":"ManagedSecretsOutput","managedSecrets":[]}}}`})
	r := w.must(inputs)
	assert.Contains(t, r.log, "no token is revoked")
	assert.Len(t, w.bitbucket.DeletedAccessTokens(), before)
}

// TestAPersonalSecretProvesNothingOfAMintedToken: the agent clones with the personal secret, and
// the minted token has ended meanwhile.
func TestAPersonalSecretProvesNothingOfAMintedToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	inputs := w.minting(nil)
	w.must(inputs)
	before := len(w.bitbucket.DeletedAccessTokens())
	w.oz.AddSecret(warpsim.Owner{Type: "User", UID: userUID}, "BITBUCKET_TOKEN", dcToken)
	w.oz.Script.Add(fault.Fault{Operation: "POST /agent/runs", When: fault.Meanwhile, Do: func() { w.bitbucket.Elapse(400 * 24 * time.Hour) }})
	r := w.run(inputs)
	assert.Equal(t, "passed", r.outputs["smoke_test"], r.log)
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.log, "it is not known whether it still works")
	assert.Len(t, w.bitbucket.DeletedAccessTokens(), before)
}
