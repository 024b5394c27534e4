package test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// hostile starts a server in front of an honest one. The honest server answers the requests for
// which handle returns false.
func hostile(t *testing.T, honest string, handle func(w http.ResponseWriter, r *http.Request, operation string) (taken bool)) string {
	t.Helper()
	to, err := url.Parse(honest)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // the other side may hang up
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operation := r.URL.Query().Get("op")
		if operation == "" {
			operation = r.Method + " " + r.URL.Path
		}
		if !handle(w, r, operation) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// switchProtocols answers 101 and holds the connection until the other side hangs up.
func switchProtocols(w http.ResponseWriter) {
	conn, wire, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = wire.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_ = wire.Flush()
	_, _ = io.Copy(io.Discard, wire)
	_ = conn.Close()
}

// TestNobodyIsLedOutOfHTTP: an answer of 101 is an error at once.
func TestNobodyIsLedOutOfHTTP(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"GetUser", "CreateGenericStringObject"} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{})
			at := hostile(t, w.oz.URL(), func(a http.ResponseWriter, _ *http.Request, op string) bool {
				if op == operation {
					switchProtocols(a)
				}
				return op == operation
			})
			r, _ := w.start(w.inputs(map[string]string{"warp_server_url": at})).within(20 * time.Second)
			assert.NotZero(t, r.code, r.log)
			assert.Contains(t, r.log, "the server answers 101 Switching Protocols, which the request did not ask for")
			w.requireClean()
		})
	}
}

// within waits for the end of a job, and kills one that takes longer; wait then reports it. It
// returns the most memory that the job was seen to have, in bytes. The system's number for a
// process that has ended is of no use: it begins with the memory of this process, which
// forked it.
func (j *job) within(d time.Duration) (r result, memory int64) {
	j.w.t.Helper()
	kill := time.AfterFunc(d, func() { _ = j.command.Process.Kill() })
	defer kill.Stop()
	ended, seen := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			most = max(most, highWater(j.command.Process.Pid))
			select {
			case <-ended:
				seen <- most
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	r = j.wait()
	close(ended)
	return r, <-seen
}

// highWater returns the most memory that a running process has had, in bytes.
func highWater(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int64
	_, _ = fmt.Sscan(line, &kilobytes)
	return kilobytes << 10
}

// TestAWatchThatIsLedOutOfHTTPEnds: a job that is told to stop still cancels its run, also when
// every answer about the run is a 101.
func TestAWatchThatIsLedOutOfHTTPEnds(t *testing.T) {
	w := newWorld(t, plain, warpsim.Options{})
	w.oz.Behave(warpsim.Behaviour{Hold: time.Hour})
	var polled atomic.Int32
	at := hostile(t, w.oz.URL(), func(a http.ResponseWriter, _ *http.Request, op string) bool {
		if !strings.HasPrefix(op, "GET /api/v1/agent/runs/") {
			return false
		}
		polled.Add(1)
		switchProtocols(a)
		return true
	})
	j := w.start(w.inputs(map[string]string{"warp_server_url": at}))
	w.await(func() bool { return polled.Load() >= 2 })
	r := j.stop(syscall.SIGTERM)
	assert.Contains(t, r.log, "the server answers 101 Switching Protocols, which the request did not ask for")
	assert.NotZero(t, r.code)
	require.Len(t, w.oz.Runs(), 1)
	assert.False(t, w.oz.Runs()[0].Going(), r.log)
	w.requireClean()
}

// most is the memory that the program may use for any answer.
const most = 200e6

// bombs are texts that gzip packs into a few kilobytes. %s is the place of one in an answer.
var bombs = map[string]func(w io.Writer){
	"objects":      func(w io.Writer) { repeat(w, "[", "{},", 40<<20, "{}]") },
	"nulls":        func(w io.Writer) { repeat(w, "[", "null,", 60<<20, "null]") },
	"20,000 nulls": func(w io.Writer) { repeat(w, "[", "null,", 5*19_990, "null]") },
	"numbers":      func(w io.Writer) { repeat(w, "[", "0,", 30<<20, "0]") },
	"lists":        func(w io.Writer) { repeat(w, "[", "[],", 30<<20, "[]]") },
	"depth":        func(w io.Writer) { repeat(w, "", "[", 30<<20, "") },
	"text":         func(w io.Writer) { repeat(w, `["`, "x", 300<<20, `"]`) },
	"members":      func(w io.Writer) { _, _ = w.Write(members()) },
	// As much as the program accepts.
	"250,000 nulls":  func(w io.Writer) { repeat(w, "[", "null,", 5*249_990, "null]") },
	"30 MiB of text": func(w io.Writer) { repeat(w, `["`, "x", 30<<20, `"]`) },
	"15 MiB of text": func(w io.Writer) { repeat(w, `["`, "x", 15<<20, `"]`) },
	"60 MiB of text": func(w io.Writer) { repeat(w, `["`, "x", 60<<20, `"]`) },
}

// members is an object with three million members. It is made once, because that is slow.
var members = sync.OnceValue(func() []byte {
	text := []byte(`[{"a":0`)
	for i := range 3 << 20 {
		text = strconv.AppendInt(append(text, `,"`...), int64(i), 10)
		text = append(text, `":0`...)
	}
	return append(text, "}]"...)
})

// packedBombs are the bombs under gzip, each packed once: packing takes longer than sending, and on a
// busy machine the program would not wait for it.
var packedBombs = func() map[string]func() []byte {
	packed := map[string]func() []byte{}
	for name, write := range bombs {
		packed[name] = sync.OnceValue(func() []byte { return packedMember(write) })
	}
	return packed
}()

// packedMember is one member of a gzip file, which may have several.
//
// Source: RFC 1952, 2.2
func packedMember(write func(io.Writer)) []byte {
	var packed bytes.Buffer
	member, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	text := bufio.NewWriterSize(member, 1<<16)
	write(text)
	_, _ = text.Flush(), member.Close()
	return packed.Bytes()
}

func repeat(w io.Writer, before, text string, bytes int, after string) {
	_, _ = io.WriteString(w, before)
	block := strings.Repeat(text, 1<<12)
	for ; bytes > 0; bytes -= len(block) {
		if bytes < len(block) {
			block = strings.Repeat(text, bytes/len(text))
			bytes = len(block)
			if bytes == 0 {
				break
			}
		}
		_, _ = io.WriteString(w, block)
	}
	_, _ = io.WriteString(w, after)
}

// places are the places in answers that can hold a list, and what is put there.
var places = []struct {
	operation, frame string
	bombs            []string
}{
	{"GetUser", `{"data":{"user":{"__typename":"UserOutput","user":{"profile":{"uid":"u"},"workspaces":%s}}}}`, []string{"objects"}},
	{"GetManagedSecretConfig", `{"data":{"user":{"__typename":"UserOutput","user":{"workspaces":%s}}}}`, []string{"objects"}},
	{"ListManagedSecrets", `{"data":{"managedSecrets":{"__typename":"ManagedSecretsOutput","managedSecrets":%s}}}`, []string{"objects", "20,000 nulls"}},
	{"GetCloudEnvironments", `{"data":{"getCloudEnvironments":{"__typename":"GetCloudEnvironmentsOutput","cloudEnvironments":%s}}}`,
		[]string{"objects", "nulls", "numbers", "lists", "depth", "text", "members", "250,000 nulls", "30 MiB of text"}},
	{"GET /api/v1/agent/schedules", `{"schedules":%s}`, []string{"objects", "members", "15 MiB of text"}},
	{"/conversation", `{"steps":%s}`, []string{"nulls", "60 MiB of text"}},
	{"GET", `%s`, []string{"objects", "text", "depth", "15 MiB of text"}},
}

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

// TestAForeignSessionIsNoOutput: a link to another host than Oz is left out.
func TestAForeignSessionIsNoOutput(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.Behave(warpsim.Behaviour{Session: "https://app.warp.dev.evil.test/session/1"})
		r := w.must(w.inputs(nil))
		assert.Empty(t, r.outputs["session_link"])
		assert.NotContains(t, r.log+r.summary, "evil.test")
	})
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
