package transport_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// crowd is a network that refuses requests, and notes when each request arrived.
type crowd struct {
	clients transport.Clients
	began   time.Time
	mu      sync.Mutex
	at      map[string][]time.Duration // by host, and by page where there is one
}

// refusal is an answer; none when the status is 0.
type refusal struct {
	status int
	header string // of Retry-After
	code   string
}

// newCrowd starts a crowd. Refuse gives the answer to the n-th request to a host.
func newCrowd(t *testing.T, refuse func(host string, n int) refusal) *crowd {
	c := &crowd{began: time.Now(), at: map[string][]time.Duration{}}
	n := newNetwork(t, func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		page := strings.TrimSuffix(r.Host+r.URL.Path, "/")
		c.at[page] = append(c.at[page], time.Since(c.began))
		answer := refuse(r.Host, len(c.at[page]))
		c.mu.Unlock()
		if answer.header != "" {
			w.Header().Set("Retry-After", answer.header)
		}
		if answer.code != "" {
			w.Header().Set("X-Warp-Error-Code", answer.code)
		}
		if answer.status != 0 {
			w.WriteHeader(answer.status)
		}
		_, _ = io.WriteString(w, "x")
	})
	c.clients, _ = n.clients()
	return c
}

// arrived are the times of the requests to a host, those before from left out.
func (c *crowd) arrived(host string, from time.Duration) []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.at[host]), func(at time.Duration) bool { return at < from })
}

// all sends to a host from many workers and returns the statuses, when all have ended.
func (c *crowd) all(t *testing.T, client *transport.Client, host string, workers int) []int {
	statuses := make([]int, workers)
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			got := send(t.Context(), client, "http://"+host+"/")
			assert.NoError(t, got.err)
			statuses[i] = got.status
		})
	}
	group.Wait()
	return statuses
}

func once(answer refusal) func(string, int) refusal {
	return func(host string, n int) refusal {
		if n == 1 && host == "oz.test" {
			return answer
		}
		return refusal{}
	}
}

// TestAHostThatAsksOneToWaitIsLeftAloneByAll: and then the queue goes one after another.
func TestAHostThatAsksOneToWaitIsLeftAloneByAll(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer refusal
		write  bool
		first  int // its status for who met it
		wait   time.Duration
	}{
		"429":                          {refusal{429, "7", ""}, false, 200, 7 * time.Second},
		"429 to a write":               {refusal{429, "7", ""}, true, 200, 7 * time.Second},
		"503":                          {refusal{503, "7", ""}, false, 200, 7 * time.Second},
		"503 to a write":               {refusal{503, "7", ""}, true, 503, 7 * time.Second},
		"429 until a moment":           {refusal{429, "Sat, 01 Jan 2000 00:00:07 GMT", ""}, false, 200, 7 * time.Second},
		"429 that does not say":        {refusal{429, "", ""}, false, 200, 500 * time.Millisecond},
		"429 for a year":               {refusal{429, "31536000", ""}, false, 429, 30 * time.Second},
		"503 for longer than we count": {refusal{503, strings.Repeat("9", 30), ""}, false, 503, 30 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, once(test.answer))
				client := c.clients.Reads
				if test.write {
					client = c.clients.Writes
				}
				first := make(chan answer, 1)
				go func() { first <- send(t.Context(), client, "http://oz.test/") }()
				synctest.Wait()
				require.Len(t, c.arrived("oz.test", 0), 1)

				statuses := c.all(t, c.clients.Git, "oz.test", 16)

				assert.Equal(t, test.first, (<-first).status)
				assert.Equal(t, slices.Repeat([]int{200}, 16), statuses)
				at := c.arrived("oz.test", 1)
				assert.Equal(t, test.wait, at[0], "nobody comes before, and one at once then")
				for i := range at[1:] {
					assert.GreaterOrEqual(t, at[i+1]-at[i], 20*time.Millisecond, "not all at once")
				}
				assert.Less(t, at[len(at)-1], test.wait+17*200*time.Millisecond)
			})
		})
	}
}

// TestAFurtherRefusalClosesAgain: also for those who wait in the queue.
func TestAFurtherRefusalClosesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, func(_ string, n int) refusal {
			if n == 1 || n == 4 {
				return refusal{429, "7", ""}
			}
			return refusal{}
		})
		assert.Equal(t, 200, send(t.Context(), c.clients.Reads, "http://oz.test/").status) // 1 and 2
		assert.Equal(t, slices.Repeat([]int{200}, 16), c.all(t, c.clients.Reads, "oz.test", 16))
		at := c.arrived("oz.test", 0)
		require.Len(t, at, 19)
		assert.Less(t, at[3], 8*time.Second)
		assert.Equal(t, at[3]+7*time.Second, at[4], "nobody comes before")
		assert.GreaterOrEqual(t, at[5]-at[4], 300*time.Millisecond, "slower than the first time")
	})
}

func TestNobodyWaitsWhomNoHostAsked(t *testing.T) {
	t.Parallel()
	tests := map[string]refusal{
		"of another host":        {429, "7", ""},
		"nothing":                {},
		"no credits for a run":   {429, "7", "OUT_OF_CREDITS"},
		"no room for a run":      {429, "", "AT_CLOUD_AGENT_CAPACITY"},
		"come back at once":      {429, "0", ""},
		"an outage without word": {503, "", ""},
		"another failure":        {502, "7", ""},
		"not there":              {404, "7", ""},
	}
	for name, refuse := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, once(refuse))
				first := make(chan answer, 1)
				go func() { first <- send(t.Context(), c.clients.Writes, "http://oz.test/") }()
				synctest.Wait()
				host := "oz.test"
				if name == "of another host" {
					host = "bitbucket.test"
				}
				assert.Equal(t, slices.Repeat([]int{200}, 16), c.all(t, c.clients.Reads, host, 16))
				assert.Equal(t, time.Duration(0), slices.Max(c.arrived(host, 0)[1:]))
				<-first
			})
		})
	}
}

// TestTheGateGoesAway: a host that has answered well for a while is one like any other.
func TestTheGateGoesAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, once(refusal{429, "7", ""}))
		send(t.Context(), c.clients.Reads, "http://oz.test/")
		c.all(t, c.clients.Reads, "oz.test", 40)
		before := time.Since(c.began)
		assert.Greater(t, before, 7*time.Second+200*time.Millisecond)
		c.all(t, c.clients.Reads, "oz.test", 64)
		assert.Equal(t, before, time.Since(c.began))
	})
}

// TestAHostThatAsksForTooMuchIsWaitedForOnce: what fails after that fails soon, however
// many there are.
func TestAHostThatAsksForTooMuchIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, func(string, int) refusal { return refusal{429, "86400", ""} })
		for range 10 {
			assert.Equal(t, slices.Repeat([]int{429}, 8), c.all(t, c.clients.Reads, "oz.test", 8))
		}
		assert.Len(t, c.arrived("oz.test", 0), 80, "none is tried again")
		assert.Less(t, time.Since(c.began), 2*time.Minute)
	})
}

// TestTheWaitOfARequestIsBounded: whatever the host says to others meanwhile.
func TestTheWaitOfARequestIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, func(string, int) refusal { return refusal{429, "30", ""} })
		go send(t.Context(), c.clients.Reads, "http://oz.test/")
		time.Sleep(time.Second)
		var group sync.WaitGroup
		for i := range 64 {
			group.Go(func() {
				began, page := time.Now(), "/"+strconv.Itoa(i)
				assert.Equal(t, 429, send(t.Context(), c.clients.Reads, "http://oz.test"+page).status)
				assert.LessOrEqual(t, time.Since(began), 5*time.Minute+30*time.Second)
				at := c.arrived("oz.test"+page, 0)
				require.Len(t, at, tries)
				for i, moment := range at {
					assert.LessOrEqual(t, moment, time.Second+time.Duration(i+1)*time.Minute)
				}
			})
		}
		group.Wait()
	})
}

func TestTheWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, once(refusal{429, "20", ""}))
		go send(t.Context(), c.clients.Reads, "http://oz.test/")
		synctest.Wait()

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		got := send(ctx, c.clients.Writes, "http://oz.test/")
		require.ErrorIs(t, got.err, context.Canceled)
		assert.True(t, transport.NeverSent(got.err))
		assert.Equal(t, 3*time.Second, time.Since(c.began))
		assert.Len(t, c.arrived("oz.test", 0), 1)

		ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		assert.Equal(t, 200, send(ctx, c.clients.Writes, "http://oz.test/").status, "who cannot wait does not")
		assert.Equal(t, 3*time.Second, time.Since(c.began))
		time.Sleep(time.Minute)
	})
}
