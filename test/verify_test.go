package test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// verification returns the inputs of a smoke test alone, with changes.
func (w *world) verification(changes map[string]string) map[string]string {
	inputs := w.inputs(map[string]string{"mode": "test"})
	maps.Copy(inputs, changes)
	return inputs
}

// tests runs a smoke test alone, twice. It must start one run each time and write nothing.
func (w *world) tests(code int, inputs map[string]string) result {
	w.t.Helper()
	var r result
	for range 2 {
		before := w.state()
		before.runs++
		before.writes["POST /agent/runs"]++
		r = w.run(inputs)
		assert.Equal(w.t, code, r.code, r.log)
		assert.Equal(w.t, before, w.state(), "a test writes nothing")
		assert.Equal(w.t, "keep", r.outputs["environment_change"])
		assert.Equal(w.t, "keep", r.outputs["secret_change"])
		assert.Equal(w.t, "false", r.outputs["changed"])
		assert.Equal(w.t, map[int]string{0: "passed", 3: "failed"}[code], r.outputs["smoke_test"], r.log)
		assert.Equal(w.t, w.lastRun().ID, r.outputs["run_id"])
	}
	return r
}

// startsNothing runs a smoke test alone that must end before its run, twice.
func (w *world) startsNothing(inputs map[string]string, words ...string) {
	w.t.Helper()
	for range 2 {
		r := w.leavesAlone(1, inputs)
		assert.Empty(w.t, r.outputs["run_id"])
		for _, word := range append(words, "nothing was written") {
			assert.Contains(w.t, r.log, word)
		}
	}
}

// proved returns the requests to Bitbucket that the program itself has sent since the n-th.
func (w *world) proved(n int) []fault.Request {
	return slices.DeleteFunc(w.bitbucket.Journal.All()[n:], func(r fault.Request) bool { return !strings.Contains(r.Header.Get("User-Agent"), "oz-bitbucket/") })
}

const noCommit = "there is no commit to compare with"

func TestVerification(t *testing.T) {
	t.Parallel()
	for name, named := range map[string]func(environment string) map[string]string{
		"the repository": func(string) map[string]string { return nil },
		"the name": func(string) map[string]string {
			return map[string]string{"repo_url": "", "environment_name": "acme-sample"}
		},
		"the ID": func(id string) map[string]string { return map[string]string{"repo_url": "", "environment_id": id} },
	} {
		t.Run("by "+name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				environment, _ := w.nightly()
				w.oz.AddIntegration(environment.UID, "slack")
				inputs := w.verification(named(environment.UID))
				r := w.tests(0, inputs)
				assert.Equal(t, environment.UID, r.outputs["environment_id"])
				assert.Equal(t, "acme-sample", r.outputs["environment_name"])
				assert.Equal(t, "BITBUCKET_API_TOKEN", r.outputs["secret_name"])
				assert.Equal(t, w.cloud.Head(), r.outputs["head_commit"])
				assert.Equal(t, `[{"id":"`+environment.UID+`","name":"acme-sample","change":"keep","verdict":"passed","error":""}]`, r.outputs["environments"])
				assert.Contains(t, r.log, "the agent found commit "+w.cloud.Head())
				assert.Contains(t, r.log, `environment "acme-sample" (`+environment.UID+"): test")

				if inputs["repo_url"] == "" {
					return
				}
				asked := len(w.bitbucket.Journal.All())
				r = w.tests(0, with(inputs, "bitbucket_token", ""))
				assert.Contains(t, r.log, noCommit)
				assert.Empty(t, r.outputs["head_commit"])
				assert.Empty(t, w.proved(asked), "only the agent's git sends requests")
			})
		})
	}
}

// TestVerificationFindsTheSecret: the one with which the environment clones.
func TestVerificationFindsTheSecret(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		environment := w.apply(map[string]string{"secret_name": "MY_TOKEN"})
		for _, changes := range []map[string]string{nil, {"repo_url": "", "environment_name": "acme-sample"}, {"repo_url": "", "environment_id": environment.UID}} {
			r := w.tests(0, w.verification(changes))
			assert.Equal(t, "MY_TOKEN", r.outputs["secret_name"])
			assert.Equal(t, []string{"MY_TOKEN"}, w.lastRun().Secrets)
			assert.Contains(t, r.log, "the agent found commit "+w.cloud.Head())
		}
	})
}

// TestVerificationTestsWhatIsThere: not what the inputs would change.
func TestVerificationTestsWhatIsThere(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.apply(map[string]string{"setup_commands": "test -f README.md"})
		r := w.tests(0, w.verification(map[string]string{"docker_image": "ubuntu:24.04", "setup_commands": "false", "description": "new", "clone_auth": "url"}))
		assert.Contains(t, r.log, "the agent found commit")
		assert.Len(t, w.lastRun().Steps, 4)
	})
}

func TestVerificationOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{ListTrashed: true}, func(t *testing.T, w *world) {
		trashed := w.oz.AddEnvironment(team, clones("acme-sample"))
		w.oz.Trash(trashed)
		theirs := w.oz.AddEnvironment(mine, clones("acme-sample"))
		w.startsNothing(w.verification(nil), "acme-sample", "does not exist")
		w.startsNothing(w.verification(map[string]string{"repo_url": "", "environment_name": "nobody"}), "nobody", "does not exist")
		w.startsNothing(w.verification(map[string]string{"environment_id": "En00000000000000000000"}), "En00000000000000000000")
		w.startsNothing(w.verification(map[string]string{"environment_id": trashed}), trashed, "in the trash")
		w.startsNothing(w.verification(map[string]string{"environment_id": theirs}), theirs, "another owner")

		first, second := w.oz.AddEnvironment(team, clones("acme-sample")), w.oz.AddEnvironment(team, clones("acme-sample"))
		w.startsNothing(w.verification(nil), first, second)
		assert.Empty(t, w.oz.Runs())
	})
}

func TestVerificationThatFails(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		environment := w.apply(nil)
		lies := warpsim.Behaviour{Reply: func(string) string { return wrongCommit }}
		w.oz.Behave(lies, lies)
		r := w.tests(3, w.verification(nil))
		assert.Contains(t, r.log, "found commit "+wrongCommit+", but Bitbucket serves "+w.cloud.Head())

		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", "ATATT3MARKER-revoked") // a good token in the inputs does not hide it
		r = w.tests(3, w.verification(nil))
		assert.Contains(t, r.log, "the clone failed")
		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", "ATATT3MARKER-revoked-too")
		assert.Contains(t, w.tests(3, w.verification(map[string]string{"bitbucket_token": ""})).log, "the clone failed")

		w.apply(nil)
		assert.Equal(t, environment.UID, w.tests(0, w.verification(nil)).outputs["environment_id"])
	})
}

func TestVerificationRefusesATokenBeforeTheRun(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.apply(nil)
		for dead, changes := range map[string]map[string]string{
			"ATATT3MARKER-dead": nil, "ATATT3MARKER-dead-too": {"repo_url": "", "environment_name": "acme-sample"},
		} {
			w.bitbucket.AddToken(bitbucketsim.Token{Value: dead, Kind: bitbucketsim.APIToken, State: bitbucketsim.Revoked})
			inputs := with(w.verification(changes), "bitbucket_token", dead)
			w.startsNothing(inputs, "bitbucket.org/acme/sample")
		}
		w.bitbucket.AddToken(bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, Repositories: []string{"acme/other"}})
		w.startsNothing(w.verification(map[string]string{"bitbucket_token": accessToken}), "prove the token against https://bitbucket.org/acme/sample.git")
		w.startsNothing(w.verification(map[string]string{"bitbucket_token": dcToken, "repo_url": "", "environment_name": "acme-sample"}), "cannot work with https://bitbucket.org")
		assert.Empty(t, w.oz.Runs())
		w.tests(0, w.verification(nil))
	})
}

// TestVerificationNamesOnlyWhatTheEnvironmentLists: as other runs do.
func TestVerificationNamesOnlyWhatTheEnvironmentLists(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]any{"no list": nil, "others": []any{map[string]any{"name": "NPM_TOKEN"}}} {
		for _, by := range []string{"the repository", "the ID"} {
			t.Run(name+", by "+by, func(t *testing.T) {
				inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
					environment := w.apply(nil)
					m := model(t, environment)
					m["secrets"] = list
					edited, err := json.Marshal(m)
					require.NoError(t, err)
					w.oz.Edit(environment.UID, string(edited))
					inputs := w.verification(nil)
					if by == "the ID" {
						inputs = w.verification(map[string]string{"repo_url": "", "environment_id": environment.UID})
					}
					r := w.tests(3, inputs)
					assert.Contains(t, r.log, "runs cannot clone in environment")
					assert.Contains(t, r.log, "run apply")
					assert.NotContains(t, w.lastRun().Secrets, "BITBUCKET_API_TOKEN")

					assert.Contains(t, w.must(w.inputs(map[string]string{"smoke_test": "false"})).log, "BITBUCKET_API_TOKEN")
					assert.NotContains(t, w.tests(0, inputs).log, "runs cannot clone")
				})
			})
		}
	}
}

// TestVerificationSendsATokenOnlyWhereTheInputsSay: setup commands do not decide which servers
// are trusted.
func TestVerificationSendsATokenOnlyWhereTheInputsSay(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		environment := w.apply(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken})
		for name, changes := range map[string]map[string]string{
			"by name": {"environment_name": "PRJ-sample", "repo_url": ""}, "by ID": {"environment_id": environment.UID, "repo_url": ""},
			"of another server": {"environment_id": environment.UID, "repo_url": "https://git.example.com/scm/PRJ/sample.git"},
		} {
			asked := len(w.bitbucket.Journal.All())
			r := w.tests(0, with(w.verification(changes), "bitbucket_token", dcToken))
			assert.Contains(t, r.log, "bitbucket_token is not sent there", name)
			assert.Contains(t, r.log, noCommit)
			assert.Empty(t, r.outputs["head_commit"])
			assert.Empty(t, w.proved(asked), "only the agent's git has the token")
		}
		asked := len(w.bitbucket.Journal.All())
		r := w.tests(0, w.verification(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken}))
		assert.Contains(t, r.log, "the agent found commit "+w.dc.Head())
		assert.Equal(t, w.dc.Head(), r.outputs["head_commit"])
		assert.True(t, slices.ContainsFunc(w.proved(asked), func(r fault.Request) bool { return r.Header.Get("Authorization") != "" }))
	})
}

func TestVerificationSurvivesALostStart(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.apply(nil)
		for _, lost := range []fault.Fault{{When: fault.After}, {When: fault.After, Status: 502}} {
			lost.Operation = "POST /agent/runs"
			w.oz.Script.Add(lost)
			w.tests(0, w.verification(nil))
		}
	})
}

// TestVerificationShowsATokenOfDataCenterToNobodyElse: the inputs say where a token belongs.
func TestVerificationShowsATokenOfDataCenterToNobodyElse(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		environment := w.apply(nil) // it clones from Cloud
		const opaque = "plainDataCenterToken123"
		for _, inputs := range []map[string]string{
			{"repo_url": w.dc.CloneURL(), "environment_id": environment.UID, "bitbucket_token": opaque},
			{"repo_url": "", "flavor": "datacenter", "environment_id": environment.UID, "bitbucket_token": opaque},
		} {
			before := len(w.bitbucket.Journal.All())
			r := w.tests(0, w.verification(inputs))
			assert.Contains(t, r.log, "bitbucket_token is not sent there")
			assert.Empty(t, w.proved(before))
		}
	})
}
