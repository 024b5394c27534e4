//go:build !race

package test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

func TestTwoHundredRunsLeaveNothingBehind(t *testing.T) { leaveNothingBehind(t, 100) } // not parallel either

// TestABombIsSmallInMemory: an answer that unpacks to a huge one is an error that says so, and
// the program uses little memory.
func TestABombIsSmallInMemory(t *testing.T) {
	t.Parallel()
	for _, place := range places {
		for _, bomb := range place.bombs {
			t.Run(place.operation+": "+bomb, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, plain, warpsim.Options{})
				scheduled := map[string]string{"smoke_test": "false", "schedule_cron": "0 5 * * *", "schedule_prompt": "p"}
				w.must(w.inputs(scheduled))
				before, after, _ := strings.Cut(place.frame, "%s")
				frame := func(text string) []byte {
					return packedMember(func(w io.Writer) { _, _ = io.WriteString(w, text) })
				}
				answer := slices.Concat(frame(before), packedBombs[bomb](), frame(after))
				at := hostile(t, w.oz.URL(), func(a http.ResponseWriter, r *http.Request, op string) bool {
					if op != place.operation && r.Method != place.operation && !(strings.HasPrefix(place.operation, "/") && strings.HasSuffix(op, place.operation)) {
						return false
					}
					a.Header().Set("Content-Encoding", "gzip")
					_, _ = a.Write(answer)
					return true
				})
				inputs := w.inputs(scheduled)
				inputs["warp_server_url"], inputs["smoke_test"] = at, fmt.Sprint(strings.HasPrefix(place.operation, "/"))
				r, memory := w.start(inputs).within(2 * time.Minute)
				t.Logf("%d MB", memory/1e6)
				assert.NotZero(t, memory)
				assert.Less(t, memory, int64(most))
				assert.NotZero(t, r.code, r.log)
				assert.Regexp(t, `too large|too long|not what Oz sends|cannot unmarshal|not a JSON object|has no UID|has no name|transcript`, r.log)
				assert.Less(t, len(r.log), 10_000)
				w.requireClean()
			})
		}
	}
}

// TestALongRefusalIsSmallInMemory: the error in an answer is as long as a list may be.
func TestALongRefusalIsSmallInMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	at := hostile(t, w.oz.URL(), func(a http.ResponseWriter, _ *http.Request, op string) bool {
		if op == "GetCloudEnvironments" {
			repeat(a, `{"errors":[{"message":"`, "x", 30<<20, `"}]}`)
		}
		return op == "GetCloudEnvironments"
	})
	r, memory := w.start(w.inputs(map[string]string{"warp_server_url": at, "smoke_test": "false"})).within(2 * time.Minute)
	t.Logf("%d MB", memory/1e6)
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.log, "list environments: POST /graphql/v2?op=GetCloudEnvironments: xxx")
	assert.Less(t, len(r.log), 10_000)
	assert.Less(t, memory, int64(most))
	w.requireClean()
}

// TestACommandOfBracketsEndsNoJob: somebody who may edit an environment gives it commands that
// are nested too deeply to parse, and as many variables as fit.
func TestACommandOfBracketsEndsNoJob(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"brackets": "$(", "subshells": "((", "calls": "a;", "scripts": "eval ", "variables": "$A "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{})
			w.must(w.inputs(map[string]string{"smoke_test": "false"}))
			w.oz.AddEnvironment(team, `{"name":"theirs","docker_image":"debian:13","github_repos":[],"setup_commands":["`+
				strings.Repeat(text, (900<<10)/len(text))+`$BITBUCKET_API_TOKEN"],"secrets":[{"name":"BITBUCKET_API_TOKEN"}]}`)
			for mode, changes := range map[string]map[string]string{
				"apply":   {"smoke_test": "false"},
				"rotate":  {"smoke_test": "false", "repo_url": ""},
				"destroy": {"dry_run": "true", "environment_name": "theirs", "repo_url": "", "smoke_test": ""},
			} {
				inputs := w.inputs(changes)
				inputs["mode"] = mode
				r, memory := w.start(inputs).within(2 * time.Minute)
				t.Logf("%s: %d, %d MB, %d bytes", mode, r.code, memory/1e6, len(r.log))
				assert.Contains(t, []int{0, 1, 3}, r.code, mode)
				assert.Less(t, memory, int64(most))
			}
			w.requireClean()
		})
	}
}

// TestFourTranscriptsAtOnce: a rotation tests four environments at a time.
func TestFourTranscriptsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	for i := range 4 {
		w.must(w.inputs(map[string]string{"smoke_test": "false", "environment_name": fmt.Sprint("app-", i)}))
	}
	var asked atomic.Int32
	at := hostile(t, w.oz.URL(), func(a http.ResponseWriter, _ *http.Request, op string) bool {
		if !strings.HasSuffix(op, "/conversation") {
			return false
		}
		asked.Add(1)
		text := bufio.NewWriterSize(a, 1<<16)
		repeat(text, `{"steps":[{"messages":[{"role":"assistant","content":[{"type":"text","text":"`+strings.Repeat("0", 40)+`"}]},{"role":"user","content":"`, "x", 60<<20, `"}]}]}`)
		_ = text.Flush()
		return true
	})
	r, memory := w.start(w.inputs(map[string]string{"warp_server_url": at, "mode": "rotate", "repo_url": "", "smoke_test": "all"})).within(2 * time.Minute)
	t.Logf("%d MB", memory/1e6)
	assert.Equal(t, 3, r.code, r.log)
	assert.Contains(t, r.log, "the agent found commit "+strings.Repeat("0", 40))
	assert.GreaterOrEqual(t, asked.Load(), int32(4))
	assert.Less(t, memory, int64(most))
	w.requireClean()
}

// TestTenThousandEnvironments: 2 KB each are not an attack, and the job works.
func TestTenThousandEnvironments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	commands := strings.TrimSuffix(strings.Repeat(`"apt-get install -y `+strings.Repeat("x", 80)+`",`, 18), ",")
	for i := range 10_000 {
		w.oz.AddEnvironment(team, fmt.Sprintf(`{"name":"other-%d","description":"d","docker_image":"debian:13","github_repos":[],"setup_commands":[%s],"secrets":[{"name":"A"},{"name":"B"}]}`, i, commands))
	}
	r, memory := w.start(w.inputs(nil)).within(2 * time.Minute)
	assert.Zero(t, r.code, r.log)
	assert.Equal(t, "passed", r.outputs["smoke_test"])
	t.Logf("%d MB", memory/1e6)
	assert.Less(t, memory, int64(most))
	w.requireClean()
}

// TestTokensWithoutEndAreGivenUp: the list of tokens never ends. The new token is stored, and
// the job ends.
func TestTokensWithoutEndAreGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	inputs := w.minting(map[string]string{"smoke_test": "false"})
	w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.ListAccessTokens, Status: 200, Times: -1,
		Body: `{"values":[` + strings.TrimSuffix(strings.Repeat(`{"id":"1","name":"`+strings.Repeat("x", 800)+`"},`, 1000), ",") + `],"isLastPage":false,"nextPageStart":1000}`})
	r, memory := w.start(inputs).within(time.Minute)
	assert.NotZero(t, r.code)
	assert.Contains(t, r.log, "the list does not move on: after 1000 the next page begins at 1000")
	assert.Less(t, memory, int64(most))
	w.requireClean()
}

// TestLongNamesAreRefused: a name is in every log line about its environment.
func TestLongNamesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
	for range 30 {
		w.oz.AddEnvironment(team, `{"name":"`+strings.Repeat("`", 1e6)+`","description":"d","docker_image":"debian:13","github_repos":[],"secrets":[{"name":"BITBUCKET_API_TOKEN"}],
			"setup_commands":["git clone `+w.cloud.CloneURL()+`","echo $BITBUCKET_API_TOKEN"]}`)
	}
	r, memory := w.start(w.inputs(map[string]string{"mode": "rotate", "repo_url": ""})).within(time.Minute)
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.log, "its name has more than 1024 bytes")
	assert.Less(t, memory, int64(most))
	assert.Less(t, len(r.log), 10_000)
	w.requireClean()
}

// TestEverythingAtItsBound: all lists and environments are as long as allowed, at the same time.
func TestEverythingAtItsBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
	scope := `"scope":{"type":"Team","uid":"` + teamUID + `"}`
	uid := func(i int) string { return fmt.Sprintf("En%020d", i) }
	list := func(a io.Writer, before string, n, size int, item func(i int, filler string) string, after string) {
		filler := strings.Repeat("x", size)
		text := bufio.NewWriterSize(a, 1<<16)
		_, _ = text.WriteString(before)
		for i := range n {
			_, _ = text.WriteString(strings.Repeat(",", min(i, 1)) + item(i, filler))
		}
		_, _ = text.WriteString(after)
		_ = text.Flush()
	}
	var read atomic.Int32
	at := hostile(t, w.oz.URL(), func(a http.ResponseWriter, r *http.Request, op string) bool {
		switch op {
		case "GetCloudEnvironments":
			list(a, `{"data":{"getCloudEnvironments":{"__typename":"GetCloudEnvironmentsOutput","cloudEnvironments":[`, 10_000, 2900, func(i int, filler string) string {
				return `{"uid":"` + uid(i) + `",` + scope + `,"config":{"name":"n","setupCommands":["echo $BITBUCKET_API_TOKEN ` + filler + `"],"secrets":[{"name":"BITBUCKET_API_TOKEN"}]}}`
			}, `]}}}`)
		case "ListManagedSecrets":
			list(a, `{"data":{"managedSecrets":{"__typename":"ManagedSecretsOutput","managedSecrets":[`, 10_000, 600, func(i int, filler string) string {
				return fmt.Sprintf(`{"name":"%s","description":"%s","type":"RAW_VALUE","owner":{"type":"Team","uid":"%s"}}`, [2]string{"BITBUCKET_API_TOKEN", fmt.Sprint("S", i)}[min(i, 1)], filler, teamUID)
			}, `]}}}`)
		case "GET /api/v1/agent/schedules":
			list(a, `{"schedules":[`, 10_000, 1500, func(i int, filler string) string {
				return `{"id":"` + uid(i) + `",` + scope + `,"prompt":"` + filler + `"}`
			}, `]}`)
		case "GetCloudObject", "GetCloudObjects":
			body, _ := io.ReadAll(r.Body)
			asked := regexp.MustCompile(`"(uid|o\d+)":"(En\d{20})"`).FindAllStringSubmatch(string(body), -1)
			read.Add(int32(len(asked)))
			list(a, `{"data":{`, len(asked), 1000<<10, func(i int, filler string) string {
				name := strings.Replace(asked[i][1], "uid", "cloudObject", 1)
				return `"` + name + `":{"__typename":"CloudObjectOutput","object":{"__typename":"GenericStringObject","format":"JsonCloudEnvironment",
				"metadata":{"uid":"` + asked[i][2] + `","revisionTs":"r"},"permissions":{"space":{"type":"Team","uid":"` + teamUID + `"}},"serializedModel":"{\"setup_commands\":[\"` + filler + `\"]}"}}`
			}, `}}`)
		default:
			return false
		}
		return true
	})
	r, memory := w.start(w.inputs(map[string]string{"warp_server_url": at, "smoke_test": "false", "schedule_cron": "0 5 * * *", "schedule_prompt": "p"})).within(2 * time.Minute)
	t.Logf("%d MB", memory/1e6)
	assert.NotZero(t, r.code)
	assert.Contains(t, r.log, "the environments of this job come to more than 48 MiB")
	assert.Less(t, memory, int64(most))
	assert.Greater(t, read.Load(), int32(48))
	assert.Less(t, len(r.log), 10_000)
	w.requireClean()
}

// TestFiveHundredEntries: a job is killed, it is told to stop, answers are lost, and Oz asks it
// to wait. Nothing is made twice or missing, and what belongs to others does not change.
func TestFiveHundredEntries(t *testing.T) {
	t.Parallel()
	const n = 500
	w := newWorld(t, plain, warpsim.Options{MostFields: 20})
	w.oz.AddEnvironment(team, `{ "name": "foreign", "future": [1, {"b":2}],  "setup_commands": ["make"]}`)
	w.oz.AddSecret(team, "FOREIGN", "value of others")
	foreign := w.oz.Environments()
	inputs := w.manifest(unproved(n), map[string]string{"smoke_test": "false", "concurrency": "16"})
	requireForeign := func() {
		t.Helper()
		assert.Equal(t, foreign[0], w.oz.Environments()[0])
		assert.Equal(t, "value of others", w.valueOf("FOREIGN"))
	}

	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		if r, ended := w.stoppedAt(inputs, 120, signal); ended {
			assert.Equal(t, 128+int(signal), r.code, r.log)
			list := r.environments(t)
			assert.Len(t, list, n)
			for _, e := range list {
				assert.True(t, e.Change == "" || e.ID != "", "%+v", e)
				assert.Empty(t, e.Error, "it was not reached, or it is written")
			}
			assert.NotContains(t, r.log, "failed")
			assert.Contains(t, r.log, "environments without a change in the outputs were not reached")
		}
		requireForeign()
	}

	w.oz.Script.Add(fault.Fault{Operation: "CreateGenericStringObject", When: fault.Meanwhile, Skip: 20})
	w.oz.Script.Add(fault.Fault{Operation: "CreateGenericStringObject", When: fault.Before, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}, Times: 2})
	w.oz.Script.Add(fault.Fault{Operation: "CreateGenericStringObject", When: fault.After, Status: http.StatusBadGateway, Times: 3})
	w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", When: fault.After, Times: 2})
	r := w.must(inputs)
	assert.NotContains(t, changesOf(r.environments(t)), "")
	w.requireNoTwins(n + 1)
	requireForeign()

	w.oz.Journal.Reset()
	assert.Equal(t, slices.Repeat([]string{"keep"}, n), changesOf(w.must(inputs, "plan").environments(t)))
	assert.LessOrEqual(t, len(w.oz.Journal.All()), 10)

	before := w.oz.Environments()
	drifted := map[int]bool{7: true, 250: true, 499: true}
	for at := range drifted {
		w.oz.Edit(before[at+1].UID, strings.Replace(before[at+1].Model, "ubuntu:24.04", "ubuntu:20.04", 1))
	}
	w.oz.Journal.Reset()
	w.must(inputs)
	updated := 0
	for i, e := range w.oz.Environments() {
		require.Equal(t, before[i].Model, e.Model)
		if e.RevisionTs != before[i].RevisionTs {
			updated++
		}
	}
	assert.Equal(t, len(drifted), updated)
	assert.Equal(t, len(drifted), w.requests()["UpdateGenericStringObject"])
	assert.Equal(t, 1, w.requests()["GetCloudObjects"], "only environments that differ are read")
	assert.Zero(t, w.requests()["GetCloudObject"])
	requireForeign()

	first, second := w.start(inputs), w.start(inputs)
	for _, j := range []*job{first, second} {
		r := j.wait()
		assert.Equal(t, 0, r.code, r.log)
		assert.Equal(t, "false", r.outputs["changed"])
	}
	w.requireNoTwins(n + 1)
	requireForeign()
	w.requireClean()
}

// TestAFleetThatDidNotChange: the job sends Oz no more requests than the specification allows,
// and proves each repository once.
func TestAFleetThatDidNotChange(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 50, 500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{MostFields: 20})
			w.copies(n)
			inputs := w.manifest(entries(n), map[string]string{"smoke_test": "false"})
			w.must(w.manifest(unproved(n), map[string]string{"smoke_test": "false"}))
			w.oz.Journal.Reset()
			w.bitbucket.Journal.Reset()
			r := w.must(inputs, "plan")
			assert.LessOrEqual(t, len(w.oz.Journal.All()), 10)
			assert.Equal(t, slices.Repeat([]string{"keep"}, n), changesOf(r.environments(t)))
			asked := map[string]int{} // for refs, with the token
			for _, request := range w.bitbucket.Journal.All() {
				if request.Operation == bitbucketsim.UploadPackRefs && request.Header.Get("Authorization") != "" {
					asked[request.URL]++
				}
			}
			assert.Len(t, asked, n)
			for path, times := range asked {
				assert.Equal(t, 1, times, path)
			}
		})
	}
}
