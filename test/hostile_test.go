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
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
