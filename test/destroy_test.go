package test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
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

// The writes of a removal, in its order.
const (
	pauses         = "POST /agent/schedules/{id}/pause"
	deletesPaused  = "DELETE /agent/schedules/{id}"
	deletesObject  = "DeleteObject"
	deletesSecret  = "DeleteManagedSecret"
	readsSecrets   = "ListManagedSecrets"
	readsSchedules = "GET /agent/schedules"
	readsRuns      = "GET /agent/runs"
)

var removals = []string{pauses, deletesPaused, deletesObject, deletesSecret}

var (
	mine = warpsim.Owner{Type: "User", UID: userUID}
	now  = http.Header{"Retry-After": {"0"}} // no wait before the next attempt
)

// apply makes the ordinary environment, without a smoke test, and returns it.
func (w *world) apply(changes map[string]string) warpsim.Environment {
	w.t.Helper()
	inputs := w.inputs(map[string]string{"smoke_test": "false"})
	maps.Copy(inputs, changes)
	w.must(inputs)
	return w.onlyEnvironment()
}

// nightly makes the ordinary environment with a schedule of ours.
func (w *world) nightly() (warpsim.Environment, warpsim.Schedule) {
	w.t.Helper()
	environment := w.apply(map[string]string{"schedule_cron": "0 3 * * *", "schedule_prompt": "Tidy up."})
	require.Len(w.t, w.oz.Schedules(), 1)
	return environment, w.oz.Schedules()[0]
}

// removal returns the inputs of a job that destroys it, without a token, with changes.
func (w *world) removal(changes map[string]string) map[string]string {
	inputs := w.inputs(map[string]string{"mode": "destroy", "bitbucket_token": ""})
	maps.Copy(inputs, changes)
	return inputs
}

// whole returns the inputs of a removal with the secret.
func (w *world) whole() map[string]string {
	return w.removal(map[string]string{"delete_secret": "true"})
}

// with returns the inputs with one more.
func with(inputs map[string]string, name, value string) map[string]string {
	inputs = maps.Clone(inputs)
	inputs[name] = value
	return inputs
}

// state returns everything that a job may write in Oz.
type state struct {
	environments []warpsim.Environment
	schedules    []warpsim.Schedule
	secrets      []warpsim.Secret
	runs         int
	writes       map[string]int
}

func (w *world) state() state {
	return state{w.oz.Environments(), w.oz.Schedules(), w.oz.Secrets(), len(w.oz.Runs()), w.writes()}
}

// writes counts what was written in Oz.
func (w *world) writes() map[string]int {
	counts := w.oz.Counts()
	maps.DeleteFunc(counts, func(operation string, _ int) bool {
		verb, _, rest := strings.Cut(operation, " ")
		return rest && verb == "GET" || !rest && !slices.ContainsFunc([]string{"Create", "Update", "Delete"}, func(verb string) bool { return strings.HasPrefix(operation, verb) })
	})
	return counts
}

// attempts returns the writing operations that Oz got since the n-th request, also those that
// failed.
func (w *world) attempts(n int) []string {
	list := []string{}
	for _, request := range w.oz.Journal.All()[n:] {
		isQuery := strings.HasPrefix(request.URL, "/graphql/") && !strings.Contains(string(request.Body), "mutation ")
		if request.Method != http.MethodGet && !isQuery {
			list = append(list, request.Operation)
		}
	}
	return list
}

// leavesAlone runs a job that must write nothing in Oz, and not even try to.
func (w *world) leavesAlone(code int, inputs map[string]string) result {
	w.t.Helper()
	before, asked := w.state(), len(w.oz.Journal.All())
	r := w.run(inputs)
	require.Equal(w.t, code, r.code, r.log)
	assert.Equal(w.t, before, w.state())
	assert.Empty(w.t, w.attempts(asked))
	return r
}

// refusesTwice runs a destroy twice that must fail before its first write, and looks for words
// in its log.
func (w *world) refusesTwice(inputs map[string]string, words ...string) {
	w.t.Helper()
	for range 2 {
		r := w.leavesAlone(1, inputs)
		assert.Contains(w.t, r.log, "nothing was written")
		assert.Empty(w.t, r.outputs["environment_change"])
		assert.Empty(w.t, r.outputs["changed"])
		for _, word := range words {
			assert.Contains(w.t, r.log, word)
		}
	}
}

// isGone runs a destroy of something that is already deleted.
func (w *world) isGone(inputs map[string]string) {
	w.t.Helper()
	r := w.leavesAlone(0, inputs)
	assert.Equal(w.t, "keep", r.outputs["environment_change"])
	assert.Equal(w.t, "keep", r.outputs["secret_change"])
	assert.Equal(w.t, "false", r.outputs["changed"])
}

// destroys runs a job that deletes the ordinary environment and its schedules.
func (w *world) destroys(inputs map[string]string) result {
	w.t.Helper()
	asked := len(w.oz.Journal.All())
	r := w.must(inputs)
	assert.Equal(w.t, "delete", r.outputs["environment_change"], r.log)
	assert.Equal(w.t, "true", r.outputs["changed"])
	assert.Subset(w.t, removals, w.attempts(asked), "no trash, and nothing else")
	return r
}

// nothingLeft checks that a removal of everything is complete.
func (w *world) nothingLeft() {
	w.t.Helper()
	assert.Empty(w.t, w.oz.Environments())
	assert.Empty(w.t, w.oz.Schedules())
	assert.Empty(w.t, w.oz.Secrets())
}

// ask sends Oz a request from somebody else.
func (w *world) ask(method, path, body string) {
	w.t.Helper()
	request, err := http.NewRequest(method, w.oz.URL()+"/api/v1"+path, strings.NewReader(body))
	require.NoError(w.t, err)
	request.Header.Set("Authorization", "Bearer "+apiKey)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, answer.StatusCode, "%s", content)
}

// begins starts a run of somebody else in an environment.
func (w *world) begins(environment string, behaviour warpsim.Behaviour) warpsim.Run {
	w.t.Helper()
	w.oz.Behave(behaviour)
	w.ask(http.MethodPost, "/agent/runs", fmt.Sprintf(`{"prompt":"Work.","team":true,"config":{"environment_id":%q}}`, environment))
	return w.lastRun()
}

// ends cancels the run that was started last.
func (w *world) ends() {
	w.t.Helper()
	w.ask(http.MethodPost, "/agent/runs/"+w.lastRun().ID+"/cancel", "")
}

// scheduleOf returns a schedule of somebody else, as JSON.
func scheduleOf(name, environment string, secrets ...string) string {
	refs := make([]string, len(secrets))
	for i, secret := range secrets {
		refs[i] = fmt.Sprintf(`{"name":%q}`, secret)
	}
	return fmt.Sprintf(`{"name":%q,"cron_schedule":"0 1 * * *","prompt":"Work.","agent_config":{"environment_id":%q,"secrets":[%s]}}`, name, environment, strings.Join(refs, ","))
}

func TestDestroy(t *testing.T) {
	t.Parallel()
	for name, named := range map[string]func(environment string) map[string]string{
		"the repository": func(string) map[string]string { return nil },
		"the name": func(string) map[string]string {
			return map[string]string{"repo_url": "", "environment_name": "acme-sample"}
		},
		"the ID": func(id string) map[string]string { return map[string]string{"repo_url": "", "environment_id": id} },
		"a token, which it does not use": func(string) map[string]string {
			return map[string]string{"bitbucket_token": "ATATT3MARKER-revoked"}
		},
	} {
		t.Run("by "+name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				environment, schedule := w.nightly()
				inputs := w.removal(named(environment.UID))
				before, asked := w.writes(), len(w.bitbucket.Journal.All())
				r := w.destroys(inputs)
				assert.Equal(t, environment.UID, r.outputs["environment_id"])
				assert.Equal(t, "acme-sample", r.outputs["environment_name"])
				assert.Equal(t, "BITBUCKET_API_TOKEN", r.outputs["secret_name"])
				assert.Equal(t, "keep", r.outputs["secret_change"])
				assert.Equal(t, `[{"id":"`+environment.UID+`","name":"acme-sample","change":"delete","verdict":"skipped","error":""}]`, r.outputs["environments"])
				assert.Empty(t, r.outputs["schedule_id"])
				for _, line := range []string{`environment "acme-sample" (` + environment.UID + "): delete", `schedule "acme-sample" (` + schedule.ID + "): delete"} {
					assert.Contains(t, r.log, line, "the plan is shown")
				}
				if w.dialect == github {
					assert.Contains(t, r.summary, "### oz-bitbucket: secret unchanged, environment deleted, schedule deleted\n")
				}
				assert.Empty(t, w.oz.Environments())
				assert.Empty(t, w.oz.Schedules())
				w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
				after := w.writes()
				for _, operation := range removals[:3] {
					assert.Equal(t, 1, after[operation], operation)
					delete(after, operation)
				}
				assert.Equal(t, before, after, "it deletes, and writes nothing else")

				again := w.leavesAlone(0, inputs)
				assert.Equal(t, "keep", again.outputs["environment_change"])
				assert.Equal(t, "false", again.outputs["changed"])
				assert.Len(t, w.bitbucket.Journal.All(), asked, "Bitbucket is not asked")
				assert.NotContains(t, again.log, "::error")
			})
		})
	}
}

func TestDestroyTakesTheSecretWhereItIsAskedTo(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.nightly()
		r := w.destroys(w.whole())
		assert.Equal(t, "delete", r.outputs["secret_change"])
		assert.Contains(t, r.log, `secret "BITBUCKET_API_TOKEN": delete`)
		w.nothingLeft()
		w.isGone(w.whole())

		w.nightly()
		assert.Equal(t, "keep", w.destroys(w.removal(nil)).outputs["secret_change"])
		late := w.must(w.whole())
		assert.Equal(t, "keep", late.outputs["environment_change"])
		assert.Equal(t, "delete", late.outputs["secret_change"], "nothing uses the secret any more")
		assert.Equal(t, "true", late.outputs["changed"])
		w.nothingLeft()
		w.isGone(w.whole())
	})
}

// TestDestroyFindsTheSecret: the one with which the environment clones, and no other.
func TestDestroyFindsTheSecret(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.AddSecret(team, "NPM_TOKEN", "a secret of somebody else's")
		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", "another secret of somebody else's")
		environment := w.apply(map[string]string{"secret_name": "MY_TOKEN", "environment_secrets": "NPM_TOKEN"})
		inputs := w.removal(map[string]string{"repo_url": "", "environment_id": environment.UID, "delete_secret": "true"})
		r := w.destroys(inputs)
		assert.Equal(t, "MY_TOKEN", r.outputs["secret_name"])
		assert.Equal(t, "delete", r.outputs["secret_change"])
		var names []string
		for _, secret := range w.oz.Secrets() {
			names = append(names, secret.Name)
		}
		assert.Equal(t, []string{"NPM_TOKEN", "BITBUCKET_API_TOKEN"}, names)
		again := w.leavesAlone(0, inputs)
		assert.Equal(t, "false", again.outputs["changed"])
		assert.Contains(t, again.log, "neither the inputs nor an environment name a secret")
	})
}

// TestDestroyKnowsItsOwnWhereTheListLostTheSecret: our commands name the secret.
func TestDestroyKnowsItsOwnWhereTheListLostTheSecret(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string]map[string]string{"the repository": nil, "the name": {"repo_url": "", "environment_name": "acme-sample"}} {
		t.Run("by "+name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				environment := w.apply(nil)
				m := model(t, environment)
				delete(m, "secrets")
				edited, err := json.Marshal(m)
				require.NoError(t, err)
				w.oz.Edit(environment.UID, string(edited))
				inputs := w.whole()
				maps.Copy(inputs, changes)
				assert.Equal(t, "delete", w.destroys(inputs).outputs["secret_change"])
				w.nothingLeft()
				assert.Equal(t, "false", w.leavesAlone(0, inputs).outputs["changed"])
			})
		})
	}
}

func TestDestroyInAPipelineIsAboutItsRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe, warpsim.Options{})
	w.nightly()
	inputs := with(w.whole(), "repo_url", "")
	w.destroys(inputs)
	w.nothingLeft()
	w.isGone(inputs)
	w.requireClean()
}

func TestDestroyOfNothing(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{ListTrashed: true}, func(t *testing.T, w *world) {
		trashed := w.oz.AddEnvironment(team, `{"name":"acme-sample","setup_commands":["git clone https://x:$BITBUCKET_API_TOKEN@bitbucket.org/acme/sample.git"]}`)
		w.oz.Trash(trashed)
		w.oz.AddEnvironment(team, `{"name":"another"}`)
		w.oz.AddSchedule(team, scheduleOf("acme-sample", trashed))
		for _, inputs := range []map[string]string{
			w.removal(nil),
			w.removal(map[string]string{"force": "true"}),
			w.removal(map[string]string{"repo_url": "", "environment_name": "nobody"}),
			w.removal(map[string]string{"repo_url": "", "environment_id": "En00000000000000000000"}),
		} {
			for range 2 {
				r := w.leavesAlone(0, inputs)
				assert.Equal(t, "keep", r.outputs["environment_change"])
				assert.Equal(t, "false", r.outputs["changed"])
				assert.Contains(t, r.log, "does not exist")
			}
		}
		w.isGone(w.whole())
	})
}

// clones returns an environment of this name that clones with the secret.
func clones(name string) string {
	return fmt.Sprintf(`{"name":%q,"setup_commands":["git clone https://x:$BITBUCKET_API_TOKEN@bitbucket.org/acme/sample.git"],"secrets":[{"name":"BITBUCKET_API_TOKEN"}]}`, name)
}

func TestDestroyRefusesWhatIsInUse(t *testing.T) {
	t.Parallel()
	const factory = "Fa00000000000000000009"
	for name, use := range map[string]func(w *world, environment string) (words []string){
		"an integration": func(w *world, environment string) []string {
			w.oz.AddIntegration(environment, "slack")
			return []string{"the integration slack"}
		},
		"an integration that only the question about this environment tells": func(w *world, environment string) []string {
			w.oz.AddIntegration(environment, "jira")
			return []string{"the integration jira"}
		},
		"a foreign schedule": func(w *world, environment string) []string {
			id := w.oz.AddSchedule(team, scheduleOf("theirs", environment))
			return []string{`the schedule "theirs" (` + id + ")"}
		},
		"a foreign schedule that has the name of ours": func(w *world, environment string) []string {
			id := w.oz.AddSchedule(team, scheduleOf("acme-sample", environment))
			return []string{`the schedule "acme-sample" (` + id + ")"}
		},
		"a personal schedule": func(w *world, environment string) []string {
			id := w.oz.AddSchedule(mine, scheduleOf("mine", environment))
			return []string{`the schedule "mine" (` + id + ")"}
		},
		"a factory, on the second page": func(w *world, environment string) []string {
			w.oz.AddFactory("Fa00000000000000000001", "one", "")
			w.oz.AddFactory("Fa00000000000000000002", "two", "")
			w.oz.AddFactory(factory, "works", environment)
			return []string{`the factory "works" (` + factory + ")"}
		},
		"a queued run": func(w *world, environment string) []string {
			run := w.begins(environment, warpsim.Behaviour{Queued: true})
			return []string{"the run " + run.ID}
		},
		"a run that waits for somebody": func(w *world, environment string) []string {
			run := w.begins(environment, warpsim.Behaviour{State: "BLOCKED"})
			assert.Equal(w.t, "BLOCKED", w.oz.WaitForRun(run.ID).State)
			return []string{"the run " + run.ID}
		},
		"all at once": func(w *world, environment string) []string {
			w.oz.AddIntegration(environment, "linear")
			w.oz.AddSchedule(team, scheduleOf("theirs", environment))
			return []string{"the integration linear", `the schedule "theirs"`}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
				environment, _ := w.nightly()
				words := use(w, environment.UID)
				w.refusesTwice(w.whole(), append(words, "set force: true")...)

				theirs := len(w.oz.Schedules()) - 1
				r := w.destroys(with(w.whole(), "force", "true"))
				assert.Contains(t, r.log, "is deleted although it is used by")
				for _, word := range words {
					assert.Contains(t, r.log, word)
				}
				assert.Empty(t, w.oz.Environments())
				assert.Len(t, w.oz.Schedules(), theirs, "no schedule of others is deleted")
				w.isGone(with(w.whole(), "force", "true"))
				if runs := w.oz.Runs(); len(runs) > 0 && runs[len(runs)-1].Going() {
					w.ends()
				}
			})
		})
	}
}

func TestDestroyRefusesWhatMayBeSomebodyElses(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		plainOne := w.oz.AddEnvironment(team, `{"name":"acme-sample","setup_commands":["npm ci"]}`)
		w.refusesTwice(w.removal(nil), plainOne, "does not clone with a secret", "force: true")
		w.destroys(w.removal(map[string]string{"force": "true"}))
		w.isGone(w.removal(map[string]string{"force": "true"}))

		byID := w.oz.AddEnvironment(team, `{"name":"acme-sample","setup_commands":["npm ci"]}`)
		named := w.removal(map[string]string{"environment_id": byID})
		w.destroys(named)
		w.isGone(named)
	})
}

func TestDestroyNeverGuesses(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		theirs := w.oz.AddEnvironment(mine, clones("acme-sample"))
		byID := w.removal(map[string]string{"environment_id": theirs})
		w.refusesTwice(byID, theirs, "belongs to another owner")
		w.refusesTwice(with(byID, "force", "true"), theirs, "belongs to another owner")
		w.isGone(w.removal(nil))

		first, second := w.oz.AddEnvironment(team, clones("acme-sample")), w.oz.AddEnvironment(team, clones("acme-sample"))
		w.refusesTwice(w.removal(nil), first, second)
		w.refusesTwice(w.removal(map[string]string{"force": "true"}), first, second)
		w.refusesTwice(w.removal(map[string]string{"environment_id": first, "environment_name": "other"}), first, "other")

		for _, uid := range []string{first, second} {
			inputs := w.removal(map[string]string{"environment_id": uid})
			w.destroys(inputs)
			w.isGone(inputs)
		}
		assert.Equal(t, theirs, w.onlyEnvironment().UID)
	})
}

func TestDestroyStopsWhereItCannotLook(t *testing.T) {
	t.Parallel()
	const no = `{"error":"no"}`
	refused := func(operation string, status int) fault.Fault {
		return fault.Fault{Operation: operation, Status: status, Header: now, Body: no, Times: -1}
	}
	for name, tt := range map[string]struct {
		options warpsim.Options
		faults  []fault.Fault
		says    string
	}{
		"integrations":         {warpsim.Options{IntegrationsMessage: "ask later"}, []fault.Fault{refused("GetIntegrationsUsingEnvironment", 403)}, "list the integrations"},
		"schedules":            {warpsim.Options{NoSchedules: true}, nil, "list schedules"},
		"runs":                 {warpsim.Options{}, []fault.Fault{refused(readsRuns, 503)}, "list the runs"},
		"factories":            {warpsim.Options{}, []fault.Fault{refused("GET /factory", 503)}, "list factories"},
		"nothing can be asked": {warpsim.Options{}, []fault.Fault{refused(readsRuns, 403), refused(readsSchedules, 403), refused("SimpleIntegrations", 403), refused("GetIntegrationsUsingEnvironment", 403)}, "list the integrations"},
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, tt.options, func(t *testing.T, w *world) {
				w.apply(nil)
				for _, f := range tt.faults {
					w.oz.Script.Add(f)
				}
				w.refusesTwice(w.removal(nil), "could not be read", tt.says, "force: true")
				forced := w.removal(map[string]string{"force": "true"})
				r := w.destroys(forced)
				assert.Contains(t, r.log, "is deleted although not everything that uses it could be read")
				assert.Contains(t, r.log, tt.says)
				w.isGone(forced)
			})
		})
	}
}

// TestDestroyGoesOnWithWhatItCanAsk: most of Warp's plans have no factories, and one of two
// ways to ask for integrations is enough.
func TestDestroyGoesOnWithWhatItCanAsk(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options warpsim.Options
		status  int
	}{
		"factories are forbidden":           {warpsim.Options{}, 403},
		"too old for factories":             {warpsim.Options{NoFactories: true}, 0},
		"only integrations of environments": {warpsim.Options{IntegrationsMessage: "ask later"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, tt.options, func(t *testing.T, w *world) {
				w.nightly()
				if tt.status != 0 {
					w.oz.Script.Add(fault.Fault{Operation: "GET /factory", Status: tt.status, Body: `{"error":"no"}`, Times: -1})
				}
				w.destroys(w.removal(nil))
				w.isGone(w.removal(nil))
			})
		})
	}
}

// TestDestroyStopsWhatBeginsMeanwhile: between the plan and the delete.
func TestDestroyStopsWhatBeginsMeanwhile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		begins func(w *world, environment string, schedule string) (word string)
		ends   func(w *world)
	}{
		"an integration": {
			func(w *world, environment, _ string) string {
				w.oz.AddIntegration(environment, "slack")
				return "the integration slack"
			},
			func(w *world) { w.oz.RemoveIntegration("slack") },
		},
		"a foreign schedule": {
			func(w *world, environment, _ string) string {
				return "(" + w.oz.AddSchedule(team, scheduleOf("theirs", environment)) + ")"
			},
			func(w *world) {
				w.ask(http.MethodDelete, "/agent/schedules/"+w.oz.Schedules()[1].ID, "")
			},
		},
		"the run of our own schedule": {
			func(w *world, _, schedule string) string {
				w.oz.Behave(warpsim.Behaviour{Queued: true})
				return "the run " + w.oz.Tick(schedule)
			},
			(*world).ends,
		},
		"the run of somebody else": {
			func(w *world, environment, _ string) string {
				return "the run " + w.begins(environment, warpsim.Behaviour{Queued: true}).ID
			},
			(*world).ends,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
				environment, schedule := w.nightly()
				words := make(chan string, 1)
				w.oz.Script.Add(fault.Fault{Operation: pauses, When: fault.Meanwhile, Do: func() { words <- tt.begins(w, environment.UID, schedule.ID) }})
				var word string
				for try := range 2 {
					r := w.run(w.whole())
					require.Equal(t, 1, r.code, r.log)
					if try == 0 {
						word = <-words
						assert.Contains(t, r.log, "since the plan was made")
						assert.Contains(t, r.log, `paused and not deleted: schedule "acme-sample" (`+schedule.ID+")")
					}
					assert.Contains(t, r.log, word)
					assert.Empty(t, r.outputs["environment_change"])
					assert.Equal(t, environment, w.onlyEnvironment())
					assert.False(t, w.oz.Schedules()[0].Enabled)
					w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
				}
				assert.Equal(t, 1, w.oz.Counts()[pauses])
				tt.ends(w)
				w.destroys(w.whole())
				w.nothingLeft()
				w.isGone(w.whole())
			})
		})
	}
}

// TestDestroyLooksOnceMore: when it cannot, it says what it has paused.
func TestDestroyLooksOnceMore(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		environment, schedule := w.nightly()
		w.oz.Script.Add(fault.Fault{Operation: readsRuns, Skip: 1, Status: 503, Header: now, Body: "not now", Times: -1})
		r := w.run(w.whole())
		assert.Equal(t, 1, r.code, r.log)
		assert.Contains(t, r.log, "list the runs in environment "+environment.UID)
		assert.Contains(t, r.log, `paused and not deleted: schedule "acme-sample" (`+schedule.ID+")")
		assert.Equal(t, environment, w.onlyEnvironment())
		w.oz.Script.Clear()
		w.destroys(w.whole())
		w.nothingLeft()
		w.isGone(w.whole())
	})
}

// marked returns a schedule as this program makes it, as JSON.
func marked(environment string) string {
	return fmt.Sprintf(`{"name":"acme-sample","cron_schedule":"0 5 * * *","prompt":"Work.","agent_config":{"environment_id":%q},"metadata":{"managed_by":"oz-bitbucket","oz-bitbucket.environment":%q}}`, environment, environment)
}

// TestDestroyTakesEachScheduleOfOurs: there should be one, but another job may have made more
// meanwhile, and without their environment they could not be found.
func TestDestroyTakesEachScheduleOfOurs(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]bool{"before": false, "meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				environment, _ := w.nightly()
				if another := marked(environment.UID); meanwhile {
					w.oz.Script.Add(fault.Fault{Operation: pauses, When: fault.Meanwhile, Do: func() { w.oz.AddSchedule(team, another) }})
				} else {
					w.oz.AddSchedule(team, another)
				}
				first := w.run(w.whole())
				if !meanwhile {
					assert.Equal(t, 0, first.code, first.log)
				}
				if first.code != 0 { // it may refuse, and the next one continues
					w.must(w.whole())
				}
				w.nothingLeft()
				w.isGone(w.whole())
			})
		})
	}
}

// TestTwoDestroysAtTheSameTime: what the other one has deleted is not an error.
func TestTwoDestroysAtTheSameTime(t *testing.T) {
	t.Parallel()
	for _, operation := range removals {
		t.Run(operation, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				w.nightly()
				done := make(chan result, 1)
				w.oz.Script.Add(fault.Fault{Operation: operation, When: fault.Meanwhile, Do: func() { done <- w.run(w.whole()) }})
				first := w.run(w.whole())
				second := <-done
				assert.Equal(t, 0, second.code, second.log)
				assert.Equal(t, 0, first.code, first.log)
				w.nothingLeft()
				w.isGone(w.whole())
			})
		})
	}
}

// TestDestroyKeepsASecretThatOthersRead: the environment goes, and a warning names them.
func TestDestroyKeepsASecretThatOthersRead(t *testing.T) {
	t.Parallel()
	const secret = "BITBUCKET_API_TOKEN"
	for name, read := range map[string]func(w *world) (word string){
		"an environment that lists it": func(w *world) string {
			return w.oz.AddEnvironment(team, `{"name":"web","secrets":[{"name":"BITBUCKET_API_TOKEN"}]}`)
		},
		"an environment whose command reads it": func(w *world) string {
			return w.oz.AddEnvironment(team, `{"name":"web","setup_commands":["curl -u x:${BITBUCKET_API_TOKEN} https://api.bitbucket.org"]}`)
		},
		"a personal environment": func(w *world) string {
			return w.oz.AddEnvironment(mine, clones("acme-sample"))
		},
		"a schedule elsewhere": func(w *world) string {
			return w.oz.AddSchedule(team, scheduleOf("theirs", w.oz.AddEnvironment(team, `{"name":"web"}`), "OTHER", secret))
		},
		"a schedule's server": func(w *world) string {
			return w.oz.AddSchedule(team, `{"name":"theirs","cron_schedule":"0 1 * * *","prompt":"Work.","agent_config":{"mcp_servers":{"bitbucket":{"command":"mcp","env":{"TOKEN":"$BITBUCKET_API_TOKEN"}}}}}`)
		},
		"an integration": func(w *world) string {
			w.oz.AddIntegration(w.oz.AddEnvironment(team, `{"name":"web"}`), "slack")
			w.oz.AddIntegrationSecret("slack", secret)
			return "integration slack"
		},
		"a factory": func(w *world) string {
			w.oz.AddFactory("Fa00000000000000000009", "works", "", secret)
			return "Fa00000000000000000009"
		},
	} {
		t.Run(name, func(t *testing.T) {
			inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
				environment, _ := w.nightly()
				word := read(w)
				before := w.oz.Environments()
				r := w.destroys(w.whole())
				assert.Equal(t, "keep", r.outputs["secret_change"])
				assert.Contains(t, r.log, `secret "BITBUCKET_API_TOKEN" is kept, because something else uses it: `)
				assert.Contains(t, r.log, word)
				w.requireSecret(team, secret, cloudToken)
				assert.Equal(t, slices.DeleteFunc(before, func(e warpsim.Environment) bool { return e.UID == environment.UID }), w.oz.Environments())

				again := w.leavesAlone(0, w.whole())
				assert.Equal(t, "keep", again.outputs["secret_change"])
				assert.Equal(t, "false", again.outputs["changed"])
				assert.Contains(t, again.log, word, "the second run says so too")
				assert.Equal(t, "keep", w.must(with(w.whole(), "force", "true")).outputs["secret_change"], "force is about the environment")
			})
		})
	}
}

// TestDestroyComparesOwners: not only names.
func TestDestroyComparesOwners(t *testing.T) {
	t.Parallel()
	const secret = "BITBUCKET_API_TOKEN"
	other := warpsim.Owner{Type: "Team", UID: "Tm0000000000000000000B"}
	for name, tt := range map[string]struct {
		prepare func(w *world)
		changes map[string]string
		gone    warpsim.Owner
		left    []warpsim.Owner
	}{
		"a personal secret hides the team's from a personal environment": {
			prepare: func(w *world) {
				w.oz.AddSecret(mine, secret, "a value of jane's own")
				w.oz.AddEnvironment(mine, clones("acme-sample"))
			},
			gone: team, left: []warpsim.Owner{mine},
		},
		"the personal one of both": {
			prepare: func(w *world) {
				w.oz.AddSecret(mine, secret, "a value of jane's own")
				w.oz.AddEnvironment(mine, clones("acme-sample"))
			},
			changes: map[string]string{"scope": "personal"},
			gone:    mine, left: []warpsim.Owner{team},
		},
		"another team": {
			prepare: func(w *world) {
				w.oz.AddKey(apiKey, warpsim.Principal{UID: userUID, Teams: []warpsim.Team{{UID: other.UID, Name: "Other"}}})
				w.oz.AddSecret(other, secret, "a value of the other team's")
				id := w.oz.AddEnvironment(other, clones("acme-sample"))
				w.oz.AddSchedule(other, scheduleOf("acme-sample", id, secret))
			},
			changes: map[string]string{"team": "Acme"},
			gone:    team, left: []warpsim.Owner{other},
		},
		"what is in the trash": {
			prepare: func(w *world) { w.oz.Trash(w.oz.AddEnvironment(team, clones("web"))) },
			gone:    team,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, warpsim.Options{ListTrashed: true}, func(t *testing.T, w *world) {
				w.nightly()
				tt.prepare(w)
				inputs := w.whole()
				maps.Copy(inputs, tt.changes)
				r := w.destroys(inputs)
				assert.Equal(t, "delete", r.outputs["secret_change"], r.log)
				var left []warpsim.Owner
				for _, secret := range w.oz.Secrets() {
					left = append(left, secret.Owner)
				}
				assert.Equal(t, tt.left, left)
				for _, environment := range w.oz.Environments() {
					assert.True(t, environment.Trashed || environment.Owner != tt.gone)
				}
				w.isGone(inputs)
			})
		})
	}
}

func TestDestroyTakesNoPersonalSecretInPlaceOfTheTeams(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.AddEnvironment(team, clones("acme-sample"))
		w.oz.AddSecret(mine, "BITBUCKET_API_TOKEN", "a value of jane's own")
		assert.Equal(t, "keep", w.destroys(w.whole()).outputs["secret_change"])
		w.isGone(w.whole())
		w.requireSecret(mine, "BITBUCKET_API_TOKEN", "a value of jane's own")
	})
}

// TestDestroyKeepsASecretThatIsReadMeanwhile: something begins to read it between the
// plan and the delete.
func TestDestroyKeepsASecretThatIsReadMeanwhile(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(w *world) (word string){
		"by an environment": func(w *world) string { return w.oz.AddEnvironment(team, clones("web")) },
		"by a schedule": func(w *world) string {
			return w.oz.AddSchedule(team, scheduleOf("theirs", "", "BITBUCKET_API_TOKEN"))
		},
		"by an integration": func(w *world) string {
			w.oz.AddIntegration("", "slack")
			w.oz.AddIntegrationSecret("slack", "BITBUCKET_API_TOKEN")
			return "integration slack"
		},
		"by a factory": func(w *world) string {
			w.oz.AddFactory("Fa00000000000000000009", "works", "", "BITBUCKET_API_TOKEN")
			return "Fa00000000000000000009"
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				w.nightly()
				words := make(chan string, 1)
				w.oz.Script.Add(fault.Fault{Operation: deletesObject, When: fault.Meanwhile, Do: func() { words <- read(w) }})
				r := w.destroys(w.whole())
				word := <-words
				assert.Equal(t, "keep", r.outputs["secret_change"])
				assert.Contains(t, r.log, "since the plan was made")
				assert.Contains(t, r.log, word)
				w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
				assert.Contains(t, w.leavesAlone(0, w.whole()).log, word)
			})
		})
	}
}

// TestDestroyOfASecretAsksForItsReaders: when they cannot be read, the secret stays.
func TestDestroyOfASecretAsksForItsReaders(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options warpsim.Options
		read    func(w *world)
	}{
		"integrations": {warpsim.Options{IntegrationsMessage: "ask later"}, func(w *world) {
			w.oz.AddIntegration("", "slack")
			w.oz.AddIntegrationSecret("slack", "BITBUCKET_API_TOKEN")
		}},
		"schedules": {warpsim.Options{NoSchedules: true}, func(w *world) {
			w.oz.AddSchedule(team, scheduleOf("theirs", "", "BITBUCKET_API_TOKEN"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, tt.options, func(t *testing.T, w *world) {
				w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
				tt.read(w)
				for range 2 {
					r := w.run(w.whole())
					assert.Contains(t, r.log, name)
					w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
				}
			})
		})
	}
}

// TestAForcedDestroyKeepsASecretWhoseReadersNobodyKnows: force is for the environment only.
func TestAForcedDestroyKeepsASecretWhoseReadersNobodyKnows(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{NoSchedules: true}, func(t *testing.T, w *world) {
		w.apply(nil)
		forced := with(w.whole(), "force", "true")
		for _, change := range []string{"delete", "keep"} {
			r := w.must(forced)
			assert.Equal(t, []string{change, "keep"}, []string{r.outputs["environment_change"], r.outputs["secret_change"]})
			assert.Contains(t, r.log, `secret "BITBUCKET_API_TOKEN" is kept, because not everything that uses it could be read: list schedules`)
			assert.Empty(t, w.oz.Environments())
			w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		}
	})
}

// TestDestroyLeavesASecretThatTheProgramHasNotWritten: the first run finds the secret's name in
// the environment. Later runs have no environment, and the default name is somebody else's.
func TestDestroyLeavesASecretThatTheProgramHasNotWritten(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", "of somebody else")
		w.must(w.inputs(map[string]string{"secret_name": "MY_TOKEN", "smoke_test": "false"}))
		assert.Equal(t, "MY_TOKEN", w.must(w.whole()).outputs["secret_name"])
		for range 2 {
			r := w.must(w.whole())
			assert.Equal(t, "keep", r.outputs["secret_change"])
			assert.Contains(t, r.log, "this program has not written it; to delete it, set secret_name")
			w.requireSecret(team, "BITBUCKET_API_TOKEN", "of somebody else")
		}
	})
}

// TestDestroyRefusesAnEnvironmentThatClonesAnotherRepository: another than the inputs name.
func TestDestroyRefusesAnEnvironmentThatClonesAnotherRepository(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.AddSecret(team, "SOMEBODYS", "x")
		w.oz.AddEnvironment(team, `{"name":"acme-sample","setup_commands":["git clone https://x:$SOMEBODYS@bitbucket.org/other/thing.git"],"secrets":[{"name":"SOMEBODYS"}]}`)
		w.refusesTwice(w.whole(), "does not clone "+w.cloud.CloneURL()+", so it may belong to someone else", "set environment_id")
	})
}

// TestDestroyRefusesAScheduleOfAPerson that has the environment's name, unless the inputs
// name it.
func TestDestroyRefusesAScheduleOfAPerson(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		environment := w.apply(nil)
		id := w.oz.AddSchedule(team, scheduleOf("acme-sample", environment.UID))
		w.refusesTwice(w.whole(), `is used by the schedule "acme-sample" (`+id+`)`, "set schedule_name")
		w.destroys(with(w.whole(), "schedule_name", "acme-sample"))
		w.nothingLeft()
	})
}

// TestDestroyTakesTheScheduleOfAnEnvironmentThatIsGone: somebody deleted the environment.
func TestDestroyTakesTheScheduleOfAnEnvironmentThatIsGone(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		environment, _ := w.nightly()
		w.oz.Trash(environment.UID)
		w.must(w.whole())
		assert.Empty(t, w.oz.Schedules())
		assert.Empty(t, w.oz.Secrets())
		assert.Equal(t, "false", w.must(w.whole()).outputs["changed"])
	})
}

func TestDestroyRefusesASecretOfAnotherType(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.nightly()
		w.oz.Script.Add(fault.Fault{Operation: readsSecrets, Status: 200, Times: 2, Body: `{"data":{"managedSecrets":{"__typename":"ManagedSecretsOutput","managedSecrets":[` +
			`{"name":"BITBUCKET_API_TOKEN","type":"ANTHROPIC_API_KEY","updatedAt":"2026-01-01T00:00:00Z","owner":{"type":"Team","uid":"` + teamUID + `"}}]}}}`})
		w.refusesTwice(w.whole(), "ANTHROPIC_API_KEY")
		w.destroys(w.whole())
		w.nothingLeft()
	})
}

func TestDestroyTakesItsScheduleByNameWhereThereAreNoMarks(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{NoScheduleMetadata: true}, func(t *testing.T, w *world) {
		w.apply(map[string]string{"schedule_cron": "0 3 * * *", "schedule_prompt": "Tidy up.", "schedule_name": "nightly"})
		w.refusesTwice(w.removal(nil), `the schedule "nightly"`)
		inputs := w.removal(map[string]string{"schedule_name": "nightly", "delete_secret": "true"})
		w.destroys(inputs)
		w.nothingLeft()
		w.isGone(inputs)
	})
}

func TestDestroySurvivesLostAnswers(t *testing.T) {
	t.Parallel()
	for _, operation := range removals {
		for name, strike := range map[string]fault.Fault{
			"cut before": {When: fault.Before}, "503 before": {When: fault.Before, Status: 503},
			"cut after": {When: fault.After}, "503 after": {When: fault.After, Status: 503},
		} {
			t.Run(operation+"/"+name, func(t *testing.T) {
				inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
					w.nightly()
					lost := strike
					lost.Operation = operation
					w.oz.Script.Add(lost)
					r := w.destroys(w.whole())
					assert.Equal(t, "delete", r.outputs["secret_change"])
					w.nothingLeft()
					for _, operation := range removals {
						assert.Equal(t, 1, min(w.oz.Counts()[operation], 1), operation)
					}
					w.isGone(w.whole())
				})
			})
		}
	}
}

// TestDestroyThatIsRefusedSaysHowFarItGot: the next run continues from there.
func TestDestroyThatIsRefusedSaysHowFarItGot(t *testing.T) {
	t.Parallel()
	schedule, environment := `schedule "acme-sample" (%[1]s)`, `environment "acme-sample" (%[2]s)`
	refusals := map[string]fault.Fault{
		"403":                        {Status: 403, Body: `{"error":"not for you"}`},
		"for ever without an answer": {Status: 503, Body: "not for you", Times: -1},
	}
	for operation, tt := range map[string]struct {
		says   string
		change string // of the environment
	}{
		pauses:        {"pause " + schedule, ""},
		deletesPaused: {"paused and not deleted: " + schedule, ""},
		deletesObject: {"deleted: " + schedule, ""},
		deletesSecret: {"deleted: " + schedule + ", " + environment, "delete"},
	} {
		for name, refusal := range refusals {
			t.Run(operation+"/"+name, func(t *testing.T) {
				inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
					e, s := w.nightly()
					refused := refusal
					refused.Operation = operation
					w.oz.Script.Add(refused)
					r := w.run(w.whole())
					assert.Equal(t, 1, r.code, r.log)
					says := strings.ReplaceAll(strings.ReplaceAll(tt.says, "%[1]s", s.ID), "%[2]s", e.UID)
					assert.Contains(t, r.log, says)
					assert.Contains(t, r.log, "not for you")
					assert.Equal(t, tt.change, r.outputs["environment_change"])
					assert.Empty(t, r.outputs["secret_change"])
					w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
					w.oz.Script.Clear()
					w.must(w.whole())
					w.nothingLeft()
					w.isGone(w.whole())
				})
			})
		}
	}
}

// TestDestroySurvivesAKillAtEachStep, just before and just after its effect.
func TestDestroySurvivesAKillAtEachStep(t *testing.T) {
	t.Parallel()
	for _, operation := range removals {
		for name, when := range map[string]fault.When{"before": fault.Before, "after": fault.After} {
			t.Run(operation+"/"+name, func(t *testing.T) {
				inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
					w.nightly()
					w.kill(&w.oz.Script, operation, when, w.whole())
					w.must(w.whole())
					w.nothingLeft()
					w.isGone(w.whole())
				})
			})
		}
	}
}

// terminate runs a job and sends it SIGTERM at an operation.
func (w *world) terminate(at fault.Fault, inputs map[string]string) result {
	w.t.Helper()
	j := &job{w: w}
	j.command, j.directory = w.command(inputs)
	j.command.Stdout, j.command.Stderr = &j.stdout, &j.stderr
	started := make(chan struct{})
	at.Do = func() {
		<-started
		_ = j.command.Process.Signal(syscall.SIGTERM)
		time.Sleep(pauseForTheTest / 10) // until the signal has been received
	}
	w.oz.Script.Add(at)
	require.NoError(w.t, j.command.Start())
	close(started)
	return j.wait()
}

func TestDestroySurvivesASignalAtEachStep(t *testing.T) {
	t.Parallel()
	for i, operation := range removals {
		for name, at := range map[string]fault.Fault{
			"before": {When: fault.Before}, "answered": {When: fault.Meanwhile}, "after": {When: fault.After},
		} {
			t.Run(operation+"/"+name, func(t *testing.T) {
				inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
					w.nightly()
					signalled := at
					signalled.Operation = operation
					r := w.terminate(signalled, w.whole())
					assert.Equal(t, 143, r.code, r.log)
					for _, later := range removals[i+1:] {
						assert.Zero(t, w.oz.Counts()[later], "nothing new begins")
					}
					w.must(w.whole())
					w.nothingLeft()
					w.isGone(w.whole())
				})
			})
		}
	}
}

func TestDryRunOfADestroy(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		environment, schedule := w.nightly()
		inputs := with(w.whole(), "dry_run", "true")
		asked := len(w.bitbucket.Journal.All())
		for range 2 {
			r := w.leavesAlone(0, inputs)
			assert.Equal(t, "delete", r.outputs["environment_change"])
			assert.Equal(t, "delete", r.outputs["secret_change"])
			assert.Equal(t, "true", r.outputs["changed"])
			assert.Equal(t, environment.UID, r.outputs["environment_id"])
			for _, line := range []string{`secret "BITBUCKET_API_TOKEN": delete`, `(` + environment.UID + "): delete", "(" + schedule.ID + "): delete"} {
				assert.Contains(t, r.log, line)
			}
			w.leavesAlone(4, with(inputs, "detailed_exitcode", "true"))
		}
		w.oz.AddIntegration(environment.UID, "slack")
		assert.Contains(t, w.leavesAlone(1, inputs).log, "slack", "a dry run is refused like the run itself")
		w.oz.RemoveIntegration("slack")
		w.destroys(w.whole())
		w.isGone(inputs)
		w.isGone(with(inputs, "detailed_exitcode", "true"))
		assert.Len(t, w.bitbucket.Journal.All(), asked)
	})
}

func TestDryRunOfARotation(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.apply(nil)
		for _, detailed := range []string{"false", "true"} {
			r := w.leavesAlone(0, w.rotation(map[string]string{"dry_run": "true", "detailed_exitcode": detailed}))
			assert.Equal(t, "rotate", r.outputs["secret_change"])
			assert.Equal(t, "false", r.outputs["changed"])
			assert.Contains(t, r.log, `secret "BITBUCKET_API_TOKEN": rotate`)
			assert.Contains(t, r.log, "the new token serves 1 of 1 clone\n", "it is proved")
		}
		w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, State: bitbucketsim.Revoked})
		inputs := w.inputs(map[string]string{"mode": "rotate", "repo_url": "", "bitbucket_token": nextToken, "dry_run": "true"})
		w.leavesAlone(1, inputs)
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
	})
}

func TestDryRunMintsNothing(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.minting(map[string]string{"dry_run": "true", "detailed_exitcode": "true"})
		asked := len(w.bitbucket.Journal.All())
		for range 2 {
			r := w.leavesAlone(0, inputs)
			assert.Equal(t, "rotate", r.outputs["secret_change"])
			assert.Contains(t, r.log, `secret "BITBUCKET_TOKEN": rotate`)
			assert.Contains(t, r.log, "a dry run makes no token")
		}
		w.requireNoneMinted(0)
		for _, request := range w.bitbucket.Journal.All()[asked:] {
			assert.Equal(t, http.MethodGet, request.Method)
		}
	})
}

func TestDryRunOfAnApplyIsAPlan(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"dry_run": "true", "bitbucket_token": ""})
		for range 2 {
			r := w.leavesAlone(0, inputs)
			assert.Equal(t, "create", r.outputs["environment_change"])
			w.leavesAlone(4, with(inputs, "detailed_exitcode", "true"))
		}
		w.apply(nil)
		w.leavesAlone(0, with(inputs, "detailed_exitcode", "true"))
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
	})
}

// TestInputsOfTestAndDestroyThatAreWrong: the job sends no request.
func TestInputsOfTestAndDestroyThatAreWrong(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for input, changes := range map[string][]map[string]string{
			"delete_secret":    {{"mode": "apply"}, {"mode": "plan"}, {"mode": "rotate"}, {"mode": "test"}},
			"force":            {{"mode": "apply"}, {"mode": "plan"}, {"mode": "rotate"}, {"mode": "test"}},
			"environment_name": {{"mode": "destroy", "repo_url": ""}, {"mode": "test", "repo_url": ""}, {"mode": "destroy", "repo_url": "", "force": "true"}},
			"dry_run":          {{"mode": "test", "dry_run": "true"}},
		} {
			for _, change := range changes {
				inputs := w.inputs(change)
				if input == "delete_secret" || input == "force" {
					inputs[input] = "true"
				}
				r := w.run(inputs)
				assert.Equal(t, 2, r.code, "%v: %s", change, r.log)
				assert.Contains(t, r.log, input+":")
			}
		}
		assert.Empty(t, w.oz.Journal.All())
		assert.Empty(t, w.bitbucket.Journal.All())
	})
}
