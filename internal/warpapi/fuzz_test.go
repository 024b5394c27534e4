package warpapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// told are the results of a call that go into paths, outputs and mutations.
type told struct {
	objects []string // UIDs of environments, schedules and teams
	plain   []string // IDs of objects that are not documented
	owners  []warp.Owner
	runs    []warp.Run
	caller  *warp.Caller
	ranges  []string
}

func (t *told) environment(e warp.Environment, err error) error {
	if err == nil {
		t.objects, t.owners = append(t.objects, e.UID), append(t.owners, e.Owner)
	}
	return err
}

func (t *told) schedules(err error, list ...warp.Schedule) error {
	for _, s := range list {
		if err == nil {
			t.objects, t.owners = append(t.objects, s.ID), append(t.owners, s.Owner)
		}
	}
	return err
}

func (t *told) seen(list []warp.Run, err error) error {
	t.runs = append(t.runs, list...)
	return err
}

// subject holds the objects that the calls are about.
type subject struct{ environment, schedule, run string }

// calls are all calls of the client, in an order that a correct server accepts.
var calls = []func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error{
	func(ctx context.Context, c *warpapi.Client, _ *subject, t *told) error {
		caller, err := c.GetCaller(ctx)
		if err == nil {
			t.caller = &caller
		}
		return err
	},
	func(ctx context.Context, c *warpapi.Client, _ *subject, _ *told) error {
		_, err := c.GetUploadKeys(ctx)
		return err
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error {
		e, err := c.CreateEnvironment(ctx, team, warp.NewModel("x"))
		if err == nil && about.environment == "" {
			about.environment = e.UID
		}
		return t.environment(e, err)
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error {
		return t.environment(c.GetEnvironment(ctx, about.environment))
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error {
		newer, err := c.UpdateEnvironment(ctx, about.environment, "stale", warp.NewModel("y"))
		if newer != nil {
			err = t.environment(*newer, err)
		}
		return err
	},
	func(ctx context.Context, c *warpapi.Client, _ *subject, t *told) error {
		list, err := c.ListEnvironments(ctx)
		for _, e := range list {
			t.objects, t.owners = append(t.objects, e.UID), append(t.owners, e.Owner)
		}
		return err
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, _ *told) error {
		_, err := c.ListIntegrations(ctx, about.environment)
		return err
	},
	func(ctx context.Context, c *warpapi.Client, _ *subject, t *told) error {
		list, err := c.ListConnected(ctx)
		for _, i := range list {
			t.plain = append(t.plain, i.EnvironmentID)
		}
		return err
	},
	func(ctx context.Context, c *warpapi.Client, _ *subject, t *told) error {
		list, err := c.ListFactories(ctx, team)
		for _, f := range list {
			t.plain = append(t.plain, f.UID, f.EnvironmentID)
		}
		return err
	},
	func(ctx context.Context, c *warpapi.Client, _ *subject, t *told) (err error) {
		t.ranges, err = c.ListEgress(ctx)
		return err
	},
	func(ctx context.Context, c *warpapi.Client, _ *subject, _ *told) error {
		_, err := c.CreateSecret(ctx, team, "TOKEN", "d", warp.SealedSecret{})
		return err
	},
	func(ctx context.Context, c *warpapi.Client, _ *subject, _ *told) error {
		_, err := c.UpdateSecret(ctx, team, "TOKEN", "d", warp.SealedSecret{})
		return err
	},
	func(ctx context.Context, c *warpapi.Client, _ *subject, t *told) error {
		list, err := c.ListSecrets(ctx)
		for _, s := range list {
			t.owners = append(t.owners, s.Owner)
		}
		return err
	},
	func(ctx context.Context, c *warpapi.Client, _ *subject, _ *told) error {
		return c.DeleteSecret(ctx, team, "TOKEN")
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error {
		model := warp.NewModel("s").With("cron_schedule", "0 5 * * *").With("prompt", "p").With("environment_id", about.environment).With("enabled", true)
		s, err := c.CreateSchedule(ctx, team, model)
		if err == nil && about.schedule == "" {
			about.schedule = s.ID
		}
		return t.schedules(err, s)
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error {
		s, err := c.GetSchedule(ctx, team, about.schedule)
		return t.schedules(err, s)
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error {
		s, err := c.ReplaceSchedule(ctx, team, about.schedule, warp.NewModel("s").With("cron_schedule", "0 6 * * *").With("prompt", "p"))
		return t.schedules(err, s)
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error {
		s, err := c.EnableSchedule(ctx, team, about.schedule, false)
		return t.schedules(err, s)
	},
	func(ctx context.Context, c *warpapi.Client, _ *subject, t *told) error {
		list, err := c.ListSchedules(ctx, team)
		return t.schedules(err, list...)
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, _ *told) error {
		return c.DeleteSchedule(ctx, team, about.schedule)
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error {
		run, err := c.StartRun(ctx, warp.RunRequest{Title: "t", Prompt: "p", EnvironmentID: about.environment, Team: true, Metadata: map[string]string{"k": "v"}})
		if err == nil {
			t.runs = append(t.runs, run)
			if about.run == "" {
				about.run = run.ID
			}
		}
		return err
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error {
		run, err := c.GetRun(ctx, about.run)
		return t.seen([]warp.Run{run}, err)
	},
	func(ctx context.Context, c *warpapi.Client, _ *subject, t *told) error {
		return t.seen(c.FindRuns(ctx, "k", "v"))
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error {
		return t.seen(c.ListRuns(ctx, about.environment, time.Unix(0, 0)))
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, t *told) error {
		return t.seen(c.ListGoing(ctx, team, about.environment))
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, _ *told) error {
		_, err := c.GetReply(ctx, about.run)
		return err
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, _ *told) error {
		return c.CancelRun(ctx, about.run)
	},
	func(ctx context.Context, c *warpapi.Client, about *subject, _ *told) error {
		return c.DeleteEnvironment(ctx, about.environment)
	},
}

// FuzzAnswers makes Oz answer each call with arbitrary bytes below the status line: the
// client never panics, the call ends, its results have the form that the API documents,
// and no error holds the key. The seeds are what the simulator answers.
func FuzzAnswers(f *testing.F) {
	about := new(subject)
	seeds := record(f, about)
	for i, seed := range seeds {
		f.Add(uint8(i), uint16(seed.status), "Content-Type: application/json\r\n", seed.body)
		f.Add(uint8(i), uint16(seed.status), "Content-Encoding: gzip\r\nX-Warp-Error-Code: x\r\n", seed.body)
		for _, old := range []string{about.environment, about.run, about.schedule, teamUID, userUID} {
			f.Add(uint8(i), uint16(200), "", bytes.ReplaceAll(seed.body, []byte(old), []byte("../x y"+old)))
		}
	}
	f.Add(uint8(8), uint16(200), "", []byte(`{"factories":[{"uid":"f","name":"n","default_environment":"e","agent_defaults":{"secrets":["A",{"name":"B"}]}}],"page_info":{"has_next_page":true,"next_cursor":"x"}}`))
	f.Add(uint8(9), uint16(200), "", []byte(`{"cidrs":["10.0.0.0/8","::/0"]}`))
	f.Add(uint8(25), uint16(200), "", []byte(`{"steps":[{"messages":[{"role":"assistant","content":[{"type":"text","text":"x"}]}],"steps":[{}]}]}`))
	f.Add(uint8(21), uint16(200), "", []byte(`{"state":"SUCCEEDED","session_link":"http://127.0.0.1:1/session/x","request_usage":{"total_tokens":1e300}}`))
	f.Add(uint8(0), uint16(101), "Upgrade: websocket\r\nConnection: Upgrade\r\n", []byte("x"))
	f.Add(uint8(0), uint16(302), "Location: https://evil.test/\r\n", []byte{})
	f.Add(uint8(3), uint16(429), "Retry-After: 99999999999999999999\r\n", []byte("["))
	f.Add(uint8(5), uint16(200), "X: y\r\n", bytes.Repeat([]byte("["), 100_000))

	type answer struct {
		status  uint16
		headers string
		body    []byte
	}
	var next atomic.Pointer[answer]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, wire, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer connection.Close()
		a := next.Load()
		_, _ = fmt.Fprintf(wire, "HTTP/1.1 %03d Said\r\n%sConnection: close\r\n\r\n%s", a.status, a.headers, a.body)
		_ = wire.Flush()
	}))
	f.Cleanup(server.Close)
	client := clientOf(f, server.URL)
	f.Fuzz(func(t *testing.T, call uint8, status uint16, headers string, body []byte) {
		next.Store(&answer{status % 1000, headers, body})
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond) // less than the first wait before another try
		defer stop()
		var got told
		asked := *about
		err := calls[int(call)%len(calls)](ctx, client, &asked, &got)
		if err != nil {
			assert.NotContains(t, err.Error(), apiKey[3:])
			return
		}
		for _, uid := range got.objects {
			assert.Regexp(t, `^[A-Za-z0-9]{22}$`, uid)
		}
		for _, id := range got.plain {
			assert.Regexp(t, `^[A-Za-z0-9_-]{0,64}$`, id)
		}
		for _, owner := range got.owners {
			assert.Regexp(t, `^([A-Za-z0-9]{22}|(serviceAccount:)?[A-Za-z0-9_-]{1,128})?$`, owner.UID)
			assert.Regexp(t, `^[A-Za-z0-9_-]{0,64}$`, owner.Type)
		}
		for _, run := range got.runs {
			assert.Regexp(t, `^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?$`, run.ID)
			assert.Regexp(t, `^[A-Z_]{0,64}$`, run.State)
			if run.SessionLink != "" {
				at, err := url.Parse(run.SessionLink)
				require.NoError(t, err)
				host := at.Hostname()
				address, _ := netip.ParseAddr(host)
				assert.True(t, strings.EqualFold(host, "localhost") || address.IsLoopback(), run.SessionLink)
				assert.Regexp(t, `^[!-~]+$`, run.SessionLink)
			}
		}
		for _, block := range got.ranges {
			_, err := netip.ParsePrefix(block)
			require.NoError(t, err)
		}
		if got.caller != nil {
			assert.Regexp(t, `^(serviceAccount:)?[A-Za-z0-9_-]{1,128}$`, got.caller.UID)
			for _, team := range got.caller.Teams {
				assert.Regexp(t, `^[A-Za-z0-9]{22}$`, team.UID)
			}
		}
	})
}

// clientOf is a client without a log.
func clientOf(f *testing.F, root string) *warpapi.Client {
	f.Helper()
	at, err := url.Parse(root)
	require.NoError(f, err)
	clients, err := transport.New(transport.Options{UserAgent: "test", Log: slog.New(slog.DiscardHandler)})
	require.NoError(f, err)
	return warpapi.New(at, sensitive.New(apiKey), clients, "1.2.3", slog.New(slog.DiscardHandler))
}

type recorded struct {
	status int
	body   []byte
}

// record makes every call of the simulator, and returns its answers.
func record(f *testing.F, about *subject) []recorded {
	f.Helper()
	oz := warpsim.Start(warpsim.Options{})
	defer oz.Close()
	oz.AddKey(apiKey, warpsim.Principal{UID: userUID, Teams: simTeams})
	to, err := url.Parse(oz.URL())
	require.NoError(f, err)
	var last recorded
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(answer *http.Response) error {
		body, err := io.ReadAll(answer.Body)
		last = recorded{answer.StatusCode, body}
		answer.Body = io.NopCloser(bytes.NewReader(body))
		return err
	}
	server := httptest.NewServer(proxy)
	defer server.Close()
	client := clientOf(f, server.URL)
	answers := make([]recorded, len(calls))
	good := 0
	for i, call := range calls {
		if err := call(f.Context(), client, about, new(told)); err == nil {
			good++
		} else {
			f.Logf("%d: %v", i, err)
		}
		answers[i] = last
	}
	require.Greater(f, good, len(calls)*2/3, "the seeds are answers of success")
	// Every process that fuzzes has its own simulator: the IDs are made the same.
	same := strings.NewReplacer(about.environment, otherUID, about.schedule, scheduleUID, about.run, runUUID)
	for i := range answers {
		answers[i].body = []byte(same.Replace(string(answers[i].body)))
	}
	*about = subject{otherUID, scheduleUID, runUUID}
	return answers
}
