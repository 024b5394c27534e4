package test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

func errorsOf(list []entry) []string { return column(list, func(e entry) string { return e.Error }) }
func verdictsOf(list []entry) []string {
	return column(list, func(e entry) string { return e.Verdict })
}

// valueOf returns the value of a secret of the team; "" when there is none.
func (w *world) valueOf(name string) string {
	for _, secret := range w.oz.Secrets() {
		if secret.Owner == team && secret.Name == name {
			return secret.Value
		}
	}
	return ""
}

// requireNoTwins checks that there are n environments and no two of one name.
func (w *world) requireNoTwins(n int) {
	w.t.Helper()
	names := map[string]bool{}
	for _, e := range w.oz.Environments() {
		names[e.Owner.UID+" "+model(w.t, e)["name"].(string)] = true
	}
	assert.Len(w.t, names, n)
	assert.Len(w.t, w.oz.Environments(), n)
}

// TestChangedOfAFleetWhoseFirstSecretFailed: the others' changes still count.
func TestChangedOfAFleetWhoseFirstSecretFailed(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.oz.Script.Add(fault.Fault{Operation: "CreateManagedSecret", Status: 400, Body: "{}"})
		inputs := w.manifest(threeEntries, map[string]string{"smoke_test": "false", "concurrency": "1"})
		r := w.run(inputs)
		assert.Equal(t, 1, r.code, r.log)
		assert.Equal(t, []string{"", "", "create"}, changesOf(r.environments(t)))
		assert.Equal(t, "true", r.outputs["changed"])
		r = w.must(inputs)
		assert.Equal(t, []string{"create", "create", "keep"}, changesOf(r.environments(t)))
		assert.Equal(t, "true", r.outputs["changed"])
		assert.Equal(t, "false", w.must(inputs).outputs["changed"])
	})
}

// TestAFailedEntryWhoseEnvironmentReadsTheSecretIsProvedToo: the entry fails for a reason of
// its own, and its environment stays as it is. The new token must serve that environment.
func TestAFailedEntryWhoseEnvironmentReadsTheSecretIsProvedToo(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false"}))
		id := ""
		for _, e := range w.oz.Environments() {
			if model(t, e)["name"] == "acme-api" {
				id = e.UID
			}
		}
		w.oz.AddEnvironment(team, `{"name":"taken"}`)
		w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, Repositories: []string{"acme/web", "acme/shop"}})
		for _, repository := range []string{"api", "shop"} { // what it clones, and what the entry asks for
			renamed := fmt.Sprintf(`
environments:
  - repo_url: https://bitbucket.org/acme/web.git
  - repo_url: https://bitbucket.org/acme/%s.git
    environment_id: %s
    environment_name: taken
`, repository, id)
			r := w.run(w.manifest(renamed, map[string]string{"bitbucket_token": nextToken, "smoke_test": "false"}))
			assert.Equal(t, 1, r.code, r.log)
			assert.True(t, w.valueOf("BITBUCKET_API_TOKEN") == cloudToken, "the token that does not serve a live environment was stored: %s", r.log)
		}
	})
}

// TestTwoEntriesThatAreOneEnvironmentAtOz: one entry gives its ID, the other its name.
func TestTwoEntriesThatAreOneEnvironmentAtOz(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"BITBUCKET_API_TOKEN", "OTHER_TOKEN"} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			w.repositories("web", "api", "more")
			id := w.oz.AddEnvironment(team, `{"name":"acme-web"}`)
			text := fmt.Sprintf(`
environments:
  - repo_url: https://bitbucket.org/acme/web.git
  - repo_url: https://bitbucket.org/acme/more.git
    secret_name: MORE_TOKEN
  - repo_url: https://bitbucket.org/acme/api.git
    environment_id: %s
    secret_name: %s
`, id, secret)
			r := w.run(w.manifest(text, map[string]string{"smoke_test": "false"}))
			assert.Equal(t, 1, r.code, r.log)
			list := r.environments(t)
			require.Len(t, list, 3)
			assert.Equal(t, []string{"", "create", ""}, changesOf(list))
			for _, e := range []entry{list[0], list[2]} {
				assert.Contains(t, e.Error, "another entry")
				assert.Equal(t, id, e.ID)
			}
			w.requireNoTwins(2)
		})
	}
}

// TestARotationOfAFleetProvesWhatAnyEntryWants: entries that share a secret may ask for
// different things.
func TestARotationOfAFleetProvesWhatAnyEntryWants(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"verify_token: false", "on_shared_secret: warn"} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			w.repositories("web", "api")
			text := `
environments:
  - repo_url: https://bitbucket.org/acme/web.git
    ` + key + `
  - repo_url: https://bitbucket.org/acme/api.git
`
			w.must(w.manifest(text, map[string]string{"smoke_test": "false"}))
			w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, Repositories: []string{"acme/web"}})
			r := w.run(w.manifest(text, map[string]string{"mode": "rotate", "bitbucket_token": nextToken, "smoke_test": "false"}))
			assert.Equal(t, 1, r.code, r.log)
			assert.True(t, w.valueOf("BITBUCKET_API_TOKEN") == cloudToken, "a token was stored that does not serve: %s", r.log)
		})
	}
}

func TestARotationOfAFleetWhereOneEntryPushes(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.repositories("web", "api")
		text := `
environments:
  - repo_url: https://bitbucket.org/acme/web.git
  - repo_url: https://bitbucket.org/acme/api.git
    require_write: true
`
		r := w.run(w.manifest(text, map[string]string{"smoke_test": "false"}))
		assert.Equal(t, 1, r.code, r.log)
		list := r.environments(t)
		assert.Equal(t, []string{"create", ""}, changesOf(list))
		assert.Contains(t, list[1].Error, "acme/api")
		w.bitbucket.AddToken(bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken, Write: true})
		w.must(w.manifest(text, map[string]string{"smoke_test": "false"}))
		w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken})
		r = w.run(w.manifest(text, map[string]string{"mode": "rotate", "bitbucket_token": nextToken, "smoke_test": "false"}))
		assert.Equal(t, 1, r.code, r.log)
		assert.True(t, w.valueOf("BITBUCKET_API_TOKEN") == cloudToken, "a token that cannot push was stored")
	})
}

// TestARotationOfAFleetListsInTheOrderOfTheFile.
func TestARotationOfAFleetListsInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		text := `
environments:
  - repo_url: https://bitbucket.org/acme/web.git
  - repo_url: https://bitbucket.org/acme/shop.git
    secret_name: SHOP_TOKEN
    bitbucket_token_variable: SHOP_BITBUCKET_TOKEN
  - repo_url: https://bitbucket.org/acme/api.git
`
		for range 2 {
			w.must(w.manifest(text, map[string]string{"smoke_test": "false"}))
			r := w.must(w.manifest(text, map[string]string{"mode": "rotate", "smoke_test": "false"}))
			assert.Equal(t, []string{"acme-web", "acme-shop", "acme-api"}, namesOf(r.environments(t)))
			assert.Equal(t, []string{"keep", "keep", "keep"}, changesOf(r.environments(t)))
			assert.Equal(t, "false", r.outputs["changed"])
		}
	})
}

// TestABadTokenIsPresentedTwiceAtMost: in the whole job, with any entries and secrets.
func TestABadTokenIsPresentedTwiceAtMost(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"apply", "plan", "rotate", "test"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
				fleet(w)
				text := strings.Replace(threeEntries, "    setup_commands: [test -f README.md]", "    secret_name: API_TOKEN", 1)
				w.must(w.manifest(text, map[string]string{"smoke_test": "false"}))
				w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, State: bitbucketsim.Revoked})
				w.bitbucket.Journal.Reset()
				r := w.run(w.manifest(text, map[string]string{"mode": mode, "bitbucket_token": nextToken}))
				assert.Equal(t, 1, r.code, r.log)
				list := r.environments(t)
				require.Len(t, list, 3, r.log)
				assert.NotEmpty(t, list[0].Error)
				assert.NotEmpty(t, list[1].Error)
				assert.Empty(t, list[2].Error)
				presented := 0
				for _, request := range w.bitbucket.Journal.All() {
					if user, given, ok := (&http.Request{Header: request.Header}).BasicAuth(); ok && user != "" && given == nextToken || request.Header.Get("Authorization") == "Bearer "+nextToken {
						presented++
					}
				}
				assert.LessOrEqual(t, presented, 2)
				assert.Positive(t, presented)
				assert.True(t, w.valueOf("API_TOKEN") == cloudToken && w.valueOf("BITBUCKET_API_TOKEN") == cloudToken)
			})
		})
	}
}

// TestAFleetWhoseAnswersAreLost: every kind of write, one after another.
func TestAFleetWhoseAnswersAreLost(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"CreateManagedSecret", "CreateGenericStringObject", "UpdateManagedSecret", "UpdateGenericStringObject"} {
		for _, status := range []int{0, 502} {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				fleet(w)
				inputs := w.manifest(threeEntries, map[string]string{"smoke_test": "false"})
				if strings.HasPrefix(operation, "Update") {
					w.must(inputs)
					inputs = w.manifest(strings.Replace(threeEntries, "24.04", "22.04", 1), map[string]string{"smoke_test": "false"})
				}
				w.oz.Script.Add(fault.Fault{Operation: operation, When: fault.After, Status: status, Times: 2})
				r := w.run(inputs)
				if r.code != 0 {
					assert.Equal(t, 1, r.code, r.log)
					r = w.must(inputs)
				}
				w.requireNoTwins(3)
				assert.True(t, w.valueOf("BITBUCKET_API_TOKEN") == cloudToken && w.valueOf("SHOP_TOKEN") == accessToken)
				assert.Equal(t, "false", w.must(inputs).outputs["changed"])
			})
		}
	}
}

// TestTwoJobsOverOneManifestMakeEachEnvironmentOnce.
func TestTwoJobsOverOneManifestMakeEachEnvironmentOnce(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		text := w.many(8)
		inputs := w.manifest(text, map[string]string{"smoke_test": "false"})
		var results []result
		first, second := w.start(inputs), w.start(inputs)
		for _, j := range []*job{first, second} {
			results = append(results, j.wait())
		}
		for _, r := range results {
			assert.Equal(t, 0, r.code, r.log)
		}
		w.requireNoTwins(8)
		assert.Equal(t, "false", w.must(inputs).outputs["changed"])
		w.requireNoTwins(8)
	})
}

// stoppedAt runs a job that gets a signal after so many creates of environments. ended is
// false when the signal killed it.
func (w *world) stoppedAt(inputs map[string]string, creates int, signal syscall.Signal) (r result, ended bool) {
	w.t.Helper()
	reached, release := make(chan bool), make(chan bool)
	w.oz.Script.Add(fault.Fault{Operation: "CreateGenericStringObject", When: fault.Meanwhile, Skip: creates, Do: func() {
		close(reached)
		<-release
	}})
	j := w.start(inputs)
	<-reached
	require.NoError(w.t, j.command.Process.Signal(signal))
	if signal == syscall.SIGKILL {
		_ = j.command.Wait()
		close(release)
		return result{}, false
	}
	close(release)
	return j.wait(), true
}

// TestAFleetThatIsStoppedIsTakenUpAgain: it is stopped in the middle of the environments, and
// the next job does the rest.
func TestAFleetThatIsStoppedIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			inputs := w.manifest(w.many(10), map[string]string{"concurrency": "2", "smoke_test": "changed", "smoke_test_max": "1"})
			if r, ended := w.stoppedAt(inputs, 4, signal); ended {
				assert.Contains(t, []int{0, 128 + int(signal)}, r.code, r.log)
				for _, e := range r.environments(t) {
					assert.Equal(t, e.Change == "", e.ID == "", "%+v", e)
				}
				assert.Len(t, r.environments(t), 10)
			}
			r := w.must(inputs)
			w.requireNoTwins(10)
			assert.Len(t, r.environments(t), 10)
			assert.Equal(t, "false", w.must(inputs).outputs["changed"])
		})
	}
}

func TestAManifestOfOneEntryIsThatEntryAlone(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		text := "environments:\n  - repo_url: " + w.cloud.CloneURL() + "\n"
		w.must(w.inputs(nil))
		alone, listed := w.must(w.inputs(nil)), w.must(w.manifest(text, nil))
		for name, value := range alone.outputs {
			if name != "run_id" && name != "session_link" {
				assert.Equal(t, value, listed.outputs[name], name)
			}
		}
		assert.NotEmpty(t, listed.outputs["run_id"])
		w.requireNoTwins(1)
	})
}

// TestShardsTogetherAreTheWhole: and no secret is written twice.
func TestShardsTogetherAreTheWhole(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		text := w.many(8)
		lines := strings.Split(strings.TrimSpace(text), "\n")
		for i := range lines[1:] {
			lines[i+1] += fmt.Sprintf("\n    secret_name: TOKEN_%d", i/2)
		}
		text = strings.Join(lines, "\n") + "\n"
		total := 0
		for _, shard := range []string{"1/2", "2/2"} {
			r := w.must(w.manifest(text, map[string]string{"smoke_test": "false", "shard": shard}))
			total += len(r.environments(t))
		}
		assert.Equal(t, 8, total)
		w.requireNoTwins(8)
		assert.Equal(t, 4, w.oz.Counts()["CreateManagedSecret"])
		assert.Zero(t, w.oz.Counts()["UpdateManagedSecret"])
		assert.Equal(t, "false", w.must(w.manifest(text, map[string]string{"smoke_test": "false"})).outputs["changed"])
	})
}

// TestOneExpiringTokenOfSeveral.
func TestOneExpiringTokenOfSeveral(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		text := threeEntries + "    token_expires_at: 2020-01-01\n"
		r := w.must(w.manifest(text, map[string]string{"smoke_test": "false"}))
		assert.Equal(t, 1, strings.Count(r.log, `the token in secret "SHOP_TOKEN" expired`), r.log)
		r = w.run(w.manifest(text, map[string]string{"smoke_test": "false", "fail_on_expiry": "true"}))
		assert.Equal(t, 1, r.code, r.log)
		assert.Contains(t, r.log, `the token in secret "SHOP_TOKEN" expired`)
		assert.Equal(t, []string{"keep", "keep", "keep"}, changesOf(r.environments(t)))
		assert.Equal(t, []string{"", "", ""}, errorsOf(r.environments(t)))

		broken := strings.Replace(text, "acme/api.git", "acme/gone.git", 1)
		r = w.run(w.manifest(broken, map[string]string{"smoke_test": "false", "fail_on_expiry": "true"}))
		assert.Equal(t, 1, r.code, r.log)
		assert.Contains(t, r.log, `the token in secret "SHOP_TOKEN" expired`, "in addition to the failure")

		w.oz.Behave(warpsim.Behaviour{State: "FAILED"})
		r = w.run(w.manifest(strings.Replace(text, "setup_commands: [test -f README.md]", "smoke_test: false", 1), map[string]string{"fail_on_expiry": "true"}))
		assert.Contains(t, verdictsOf(r.environments(t)), "failed", r.log)
		assert.Equal(t, 3, r.code, "the smoke test has brought a worse one")
		assert.Contains(t, r.log, `the token in secret "SHOP_TOKEN" expired`)
	})
}

// TestAJobStartsNoMoreAgentsThanItMay: in every mode.
func TestAJobStartsNoMoreAgentsThanItMay(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"apply", "rotate", "test"} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			fleet(w)
			if mode != "apply" {
				w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false"}))
			}
			r := w.must(w.manifest(threeEntries, map[string]string{"mode": mode, "smoke_test_max": "1"}))
			assert.Len(t, w.oz.Runs(), 1)
			assert.Contains(t, r.log, "smoke_test_max is 1")
			skipped := 0
			for _, verdict := range verdictsOf(r.environments(t)) {
				if verdict == "skipped" {
					skipped++
				}
			}
			assert.Equal(t, 2, skipped, r.outputs["environments"])
		})
	}
}

// TestAMixedFleet has both flavors, a team by its name and its UID, a personal secret, twin
// environments, and a secret that an environment outside the file reads.
func TestAMixedFleet(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.environ = append(w.environ, "DC_TOKEN="+dcToken)
		w.repositories("outside")
		for range 2 {
			w.oz.AddEnvironment(team, `{"name":"twin"}`)
		}
		w.oz.AddSecret(team, "TAKEN", "somebody's")
		w.oz.AddEnvironment(team, `{"name":"outside","setup_commands":["git clone https://x-bitbucket-api-token-auth:$TAKEN@bitbucket.org/acme/hidden.git"],"secrets":[{"name":"TAKEN"}]}`)
		text := fmt.Sprintf(`
environments:
  - repo_url: https://bitbucket.org/acme/web.git
    team: Acme
    schedule_cron: "0 3 * * *"
    schedule_prompt: Look after it.
  - repo_url: https://bitbucket.org/acme/api.git
    team: %s
  - repo_url: https://bitbucket.org/acme/web.git
    scope: personal
  - repo_url: %s
    bitbucket_token_variable: DC_TOKEN
  - repo_url: https://bitbucket.org/acme/shop.git
    environment_name: twin
    secret_name: TWIN_TOKEN
  - repo_url: https://bitbucket.org/acme/shop.git
    environment_name: taken
    secret_name: TAKEN
`, teamUID, w.dc.CloneURL())
		inputs := w.manifest(text, map[string]string{"smoke_test": "false"})
		w.oz.Script.Add(fault.Fault{Operation: "CreateGenericStringObject", Status: 429, Header: http.Header{"Retry-After": {"0"}}, Times: 2})
		r := w.run(inputs)
		assert.Equal(t, 1, r.code, r.log)
		list := r.environments(t)
		assert.Equal(t, []string{"acme-web", "acme-api", "acme-web", "PRJ-sample", "twin", "taken"}, namesOf(list))
		assert.Equal(t, []string{"create", "create", "create", "create", "", ""}, changesOf(list), r.outputs["environments"])
		assert.Contains(t, list[4].Error, "2 environments are named")
		assert.Contains(t, list[5].Error, "acme/hidden")
		assert.True(t, w.valueOf("TAKEN") == "somebody's")
		assert.Equal(t, 3, w.oz.Counts()["CreateManagedSecret"], "of the team, personal, and Data Center")
		r = w.run(inputs)
		assert.Equal(t, []string{"keep", "keep", "keep", "keep", "", ""}, changesOf(r.environments(t)))
		assert.Equal(t, "false", r.outputs["changed"])
	})
}

// TestARotationOfAFleetWhoseSecretIsNotThere: the outputs still name the entries.
func TestARotationOfAFleetWhoseSecretIsNotThere(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false", "environment_name": "shop"}))
		r := w.run(w.manifest(threeEntries, map[string]string{"mode": "rotate", "smoke_test": "false"}))
		assert.Equal(t, 1, r.code, r.log)
		list := r.environments(t)
		assert.Equal(t, []string{"acme-web", "acme-api", "shop"}, namesOf(list))
		assert.Equal(t, []string{"", "", "keep"}, changesOf(list))
		assert.Contains(t, list[1].Error, "does not exist for this owner")
		assert.Contains(t, r.log, "2 of 3 environments failed")
	})
}

// TestAFleetMintsATokenForEachSecret: on Data Center.
func TestAFleetMintsATokenForEachSecret(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.bitbucket.AddUser("jane", password)
		more := w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PRJ", Slug: "more"})
		text := fmt.Sprintf("environments:\n  - repo_url: %s\n  - repo_url: %s\n    secret_name: MORE_TOKEN\n", w.dc.CloneURL(), more.CloneURL())
		w.must(w.manifest(text, map[string]string{"bitbucket_token": dcToken, "smoke_test": "false"}))
		for range 2 {
			inputs := w.manifest(text, map[string]string{"mode": "rotate", "mint": "true", "bitbucket_username": "jane", "bitbucket_password": password, "revoke_after": "0"})
			delete(inputs, "bitbucket_token")
			r := w.must(inputs)
			assert.Equal(t, []string{"passed", "passed"}, verdictsOf(r.environments(t)), r.log)
			one, two := w.valueOf("BITBUCKET_TOKEN"), w.valueOf("MORE_TOKEN")
			assert.True(t, one != two && one != dcToken && two != dcToken)
		}
	})
}

// TestTheSecretOfAFleetGoesWithItsLastEnvironment: a secret goes with the last environment that reads it.
func TestTheSecretOfAFleetGoesWithItsLastEnvironment(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false"}))
		destroy := map[string]string{"mode": "destroy", "delete_secret": "true", "environment_name": "acme-web\nshop"}
		r := w.must(w.manifest(threeEntries, destroy))
		assert.Equal(t, []string{"delete", "delete"}, changesOf(r.environments(t)))
		assert.Equal(t, "true", r.outputs["changed"])
		assert.True(t, w.valueOf("BITBUCKET_API_TOKEN") == cloudToken, "acme-api reads it")
		assert.Empty(t, w.valueOf("SHOP_TOKEN"))
		w.requireNoTwins(1)
		r = w.must(w.manifest(threeEntries, destroy))
		assert.Equal(t, []string{"keep", "keep"}, changesOf(r.environments(t)))
		assert.Equal(t, "false", r.outputs["changed"])

		w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false"}))
		w.oz.Script.Add(fault.Fault{Operation: "DeleteObject", When: fault.Before, Status: 400, Body: "{}"})
		destroy["environment_name"] = ""
		r = w.run(w.manifest(threeEntries, destroy))
		assert.Equal(t, 1, r.code, r.log)
		assert.Equal(t, []string{"", "delete", "delete"}, changesOf(r.environments(t)))
		assert.True(t, w.valueOf("BITBUCKET_API_TOKEN") == cloudToken, "acme-web reads it")
		w.must(w.manifest(threeEntries, destroy))
		assert.Empty(t, w.oz.Environments())
		assert.Empty(t, w.oz.Secrets())
	})
}

// TestARollBackTouchesNoOtherSecret: the second secret's environment cannot clone with the
// new token, though the token's proof passed.
func TestARollBackTouchesNoOtherSecret(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		text := strings.Replace(threeEntries, "    setup_commands: [test -f README.md]", "    secret_name: API_TOKEN", 1)
		w.must(w.manifest(text, map[string]string{"smoke_test": "false", "environment_name": "acme-web\nacme-api"}))
		w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken})
		w.oz.Behave(warpsim.Behaviour{}, warpsim.Behaviour{State: "FAILED", ErrorCode: "environment_setup_failed"}, warpsim.Behaviour{})
		r := w.run(w.manifest(text, map[string]string{"mode": "rotate", "bitbucket_token": nextToken, "previous_token": cloudToken, "environment_name": "acme-web\nacme-api"}))
		assert.Equal(t, 3, r.code, r.log)
		assert.True(t, w.valueOf("BITBUCKET_API_TOKEN") == nextToken, "its smoke test passed")
		assert.True(t, w.valueOf("API_TOKEN") == cloudToken, "it is rolled back: %s", r.log)
		assert.Equal(t, []string{"acme-web", "acme-api"}, namesOf(r.environments(t)))
		assert.Equal(t, "passed", r.environments(t)[0].Verdict)
		assert.NotEqual(t, "passed", r.environments(t)[1].Verdict)
		assert.Contains(t, r.log, "previous value is stored again")
	})
}

// TestEntriesThatRenameAndThatNameABranch: one environment is named by its ID and renamed, one
// has a branch that does not exist, and one has further secrets.
func TestEntriesThatRenameAndThatNameABranch(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.repositories("web", "api", "shop")
		id := w.oz.AddEnvironment(team, `{"name":"old"}`)
		text := fmt.Sprintf(`
environments:
  - repo_url: https://bitbucket.org/acme/web.git
    environment_id: %s
    environment_name: new
    schedule_cron: "0 3 * * *"
    schedule_prompt: Look after it.
  - repo_url: https://bitbucket.org/acme/api.git
    branch: nowhere
  - repo_url: https://bitbucket.org/acme/shop.git
    smoke_test: true
`, id)
		for i, want := range [][]string{{"update", "", "create"}, {"keep", "", "keep"}} {
			r := w.run(w.manifest(text, nil))
			assert.Equal(t, 1, r.code, r.log)
			list := r.environments(t)
			assert.Equal(t, want, changesOf(list), "%d", i)
			assert.Equal(t, []string{"new", "acme-api", "shop"}, []string{list[0].Name, list[1].Name, strings.TrimPrefix(list[2].Name, "acme-")})
			assert.Contains(t, list[1].Error, `no branch or tag "nowhere"`)
			assert.Equal(t, "passed", list[2].Verdict)
			assert.Len(t, w.oz.Schedules(), 1)
			w.requireNoTwins(2)
		}
	})
}

// TestARotationOfAFleetThatIsStopped: each secret stays usable, and no other one is begun.
func TestARotationOfAFleetThatIsStopped(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false"}))
		w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken})
		inputs := w.manifest(threeEntries, map[string]string{"mode": "rotate", "bitbucket_token": nextToken, "smoke_test": "false"})
		before := w.oz.Counts()["UpdateManagedSecret"]
		reached, release := make(chan bool), make(chan bool)
		w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", When: fault.Meanwhile, Do: func() {
			close(reached)
			<-release
		}})
		j := w.start(inputs)
		<-reached
		require.NoError(t, j.command.Process.Signal(syscall.SIGTERM))
		close(release)
		r := j.wait()
		assert.Equal(t, 143, r.code, r.log)
		assert.Equal(t, 1, w.oz.Counts()["UpdateManagedSecret"]-before)
		assert.True(t, w.valueOf("BITBUCKET_API_TOKEN") == nextToken)
		list := r.environments(t)
		assert.Equal(t, []string{"acme-web", "acme-api", "shop"}, namesOf(list), r.outputs["environments"])
		assert.Equal(t, "", list[2].Change)
		w.must(inputs)
		assert.Equal(t, 3, w.oz.Counts()["UpdateManagedSecret"]-before)
	})
}

// TestOnSharedSecretInAMix: it is a warning only where every entry of the secret asks for one.
func TestOnSharedSecretInAMix(t *testing.T) {
	t.Parallel()
	for _, second := range []string{"warn", "fail"} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			w.repositories("web", "api", "outside")
			outside := w.inputs(map[string]string{"repo_url": "https://bitbucket.org/acme/outside.git", "smoke_test": "false"})
			w.must(outside)
			w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, Repositories: []string{"acme/web", "acme/api"}})
			text := `
environments:
  - repo_url: https://bitbucket.org/acme/web.git
    on_shared_secret: warn
  - repo_url: https://bitbucket.org/acme/api.git
    on_shared_secret: ` + second + "\n"
			inputs := w.manifest(text, map[string]string{"smoke_test": "false", "bitbucket_token": nextToken})
			for range 2 {
				r := w.run(inputs)
				assert.Contains(t, r.log, "acme/outside")
				if second == "warn" {
					assert.Equal(t, 0, r.code, r.log)
					assert.True(t, w.valueOf("BITBUCKET_API_TOKEN") == nextToken)
					continue
				}
				assert.Equal(t, 1, r.code, r.log)
				assert.Equal(t, []string{"", ""}, changesOf(r.environments(t)))
				assert.True(t, w.valueOf("BITBUCKET_API_TOKEN") == cloudToken)
				w.requireNoTwins(1)
			}
		})
	}
}

// TestATestOfAFleetWithoutOneEnvironment: the job reports it and tests the others.
func TestATestOfAFleetWithoutOneEnvironment(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false", "environment_name": "acme-web\nshop"}))
		r := w.run(w.manifest(threeEntries, map[string]string{"mode": "test"}))
		assert.Equal(t, 1, r.code, r.log)
		list := r.environments(t)
		assert.Equal(t, []string{"acme-web", "acme-api", "shop"}, namesOf(list))
		assert.Equal(t, []string{"passed", "", "passed"}, verdictsOf(list))
		assert.Contains(t, list[1].Error, "acme-api")
		w.oz.Behave(warpsim.Behaviour{State: "FAILED"})
		r = w.run(w.manifest(threeEntries, map[string]string{"mode": "test", "environment_name": "acme-web\nshop"}))
		assert.Equal(t, 3, r.code, r.log)
		assert.Equal(t, "failed", r.outputs["smoke_test"])
	})
}

// TestEntriesThatReadTheSecretOfAnother: the environments that begin to read the second secret
// are the job's own, and the job must not take them for somebody else's.
func TestEntriesThatReadTheSecretOfAnother(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{Latency: 20 * time.Millisecond}, func(t *testing.T, w *world) {
		fleet(w)
		text := strings.Replace(w.many(40), "environments:", `
defaults:
  environment_secrets: [SHOP_TOKEN]
environments:
  - repo_url: https://bitbucket.org/acme/shop.git
    secret_name: SHOP_TOKEN
    bitbucket_token_variable: SHOP_BITBUCKET_TOKEN`, 1)
		inputs := w.manifest(text, map[string]string{"smoke_test": "false", "concurrency": "2"})
		r := w.must(inputs)
		assert.NotContains(t, r.log, "planning again")
		assert.Equal(t, 2, w.oz.Counts()["CreateManagedSecret"]+w.oz.Counts()["UpdateManagedSecret"], "each secret is written once")
		w.requireNoTwins(41)
		assert.Equal(t, "false", w.must(inputs).outputs["changed"])
	})
}

// TestAScheduleOfAFleetThatFails: its entry fails, and the others go on.
func TestAScheduleOfAFleetThatFails(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.repositories("one", "two")
		inputs := w.manifest(`
environments:
  - repo_url: https://bitbucket.org/acme/one.git
  - repo_url: https://bitbucket.org/acme/two.git
    schedule_cron: 0 5 * * *
    schedule_prompt: Look.
`, map[string]string{"smoke_test": "false"})
		w.oz.Script.Add(fault.Fault{Operation: "POST /agent/schedules", Status: http.StatusBadRequest, Body: "{}"})
		r := w.run(inputs)
		assert.Equal(t, 1, r.code, r.log)
		list := r.environments(t)
		assert.Equal(t, []string{"create", "create"}, changesOf(list))
		assert.Empty(t, list[0].Error)
		assert.Contains(t, list[1].Error, "schedule")
		assert.Contains(t, r.log, "1 of 2 environments failed")
		assert.Empty(t, w.oz.Schedules())
		w.must(inputs)
		assert.Len(t, w.oz.Schedules(), 1)
	})
}

// TestWhatIsNotWrittenIsNotPlanned: with a refused token the plan rotates no secret.
func TestWhatIsNotWrittenIsNotPlanned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	fleet(w)
	w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false"}))
	w.bitbucket.AddToken(bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, State: bitbucketsim.Revoked})
	r := w.run(w.manifest(threeEntries, nil), "plan")
	assert.Equal(t, 1, r.code, r.log)
	assert.Contains(t, r.log, `secret "BITBUCKET_API_TOKEN": rotate`)
	assert.NotContains(t, r.log, `secret "SHOP_TOKEN": rotate`)
	assert.Contains(t, r.log, "2 unchanged, 1 failed, 1 secret to rotate")
}

// TestWhatAnEntryWantsOfATokenThatOthersGiveToo: entries give the same token, each for a
// secret of its own. A secret is not written when the token cannot do what its entry requires.
func TestWhatAnEntryWantsOfATokenThatOthersGiveToo(t *testing.T) {
	t.Parallel()
	for key, message := range map[string]string{"require_write: true": "push", "branch: nowhere": "no branch or tag"} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			w.repositories("one", "two")
			r := w.run(w.manifest(`
environments:
  - repo_url: https://bitbucket.org/acme/one.git
    secret_name: ONE
  - repo_url: https://bitbucket.org/acme/two.git
    secret_name: TWO
    `+key+"\n", map[string]string{"smoke_test": "false"}))
			assert.Equal(t, 1, r.code, r.log)
			list := r.environments(t)
			assert.Equal(t, []string{"create", ""}, changesOf(list))
			assert.Contains(t, list[1].Error, message)
			assert.Empty(t, list[0].Error)
			assert.Len(t, w.oz.Environments(), 1)
			assert.Equal(t, 1, w.oz.Counts()["CreateManagedSecret"])
		})
	}
}

// TestALostScheduleOfAFleetIsMadeOnce: the job looks for it among the current schedules.
func TestALostScheduleOfAFleetIsMadeOnce(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.repositories("one", "two")
		var text strings.Builder
		text.WriteString("environments:\n")
		for _, slug := range []string{"one", "two"} {
			fmt.Fprintf(&text, "  - repo_url: https://bitbucket.org/acme/%s.git\n    schedule_cron: 0 5 * * *\n    schedule_prompt: Look.\n", slug)
		}
		w.oz.Script.Add(fault.Fault{Operation: "POST /agent/schedules", When: fault.After, Status: http.StatusBadGateway, Times: 2})
		inputs := w.manifest(text.String(), map[string]string{"smoke_test": "false", "concurrency": "1"})
		w.must(inputs)
		assert.Len(t, w.oz.Schedules(), 2)
		assert.Equal(t, "false", w.must(inputs).outputs["changed"])
	})
}
