package transport_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// tries is how often a request is sent at most.
const tries = 5

func TestWhatIsTriedAgain(t *testing.T) {
	t.Parallel()
	status := func(code int, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "no")
		}
	}
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	tornOff := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "the beginning of")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	const code = "X-Warp-Error-Code"
	tests := []struct {
		name          string
		handle        http.HandlerFunc
		refused       bool // every connection is
		reads, writes int  // how often each is sent
		says          string
	}{
		{name: "connection refused", refused: true, reads: tries, writes: tries, says: "connection refused"},
		{name: "connection cut before an answer", handle: cut, reads: tries, writes: 1, says: "EOF"},
		{name: "answer cut off in the middle", handle: tornOff, reads: tries, writes: 1, says: "read the answer: unexpected EOF"},
		{name: "200", handle: status(200), reads: 1, writes: 1},
		{name: "301 to elsewhere", handle: status(301, "Location", "https://elsewhere.test/"), reads: 1, writes: 1},
		{name: "307 to elsewhere", handle: status(307, "Location", "https://elsewhere.test/"), reads: 1, writes: 1},
		{name: "400", handle: status(400), reads: 1, writes: 1},
		{name: "401", handle: status(401), reads: 1, writes: 1},
		{name: "403", handle: status(403), reads: 1, writes: 1},
		{name: "404", handle: status(404), reads: 1, writes: 1},
		{name: "408", handle: status(408), reads: tries, writes: 1},
		{name: "409", handle: status(409), reads: 1, writes: 1},
		{name: "429", handle: status(429), reads: tries, writes: tries},
		{name: "429 with Retry-After", handle: status(429, "Retry-After", "1"), reads: tries, writes: tries},
		{name: "429 with a code that nobody knows", handle: status(429, code, "BUSY"), reads: tries, writes: tries},
		{name: "429 without credits", handle: status(429, code, "OUT_OF_CREDITS"), reads: 1, writes: 1},
		{name: "429 at capacity", handle: status(429, code, "AT_CLOUD_AGENT_CAPACITY"), reads: tries, writes: 1},
		{name: "500", handle: status(500), reads: tries, writes: 1},
		{name: "501", handle: status(501), reads: 1, writes: 1},
		{name: "502", handle: status(502), reads: tries, writes: 1},
		{name: "503", handle: status(503), reads: tries, writes: 1},
		{name: "503 with Retry-After", handle: status(503, "Retry-After", "1"), reads: tries, writes: 1},
		{name: "504", handle: status(504), reads: tries, writes: 1},
	}
	for _, test := range tests {
		for kind, want := range map[string]int{"read": test.reads, "write": test.writes} {
			t.Run(kind+": "+test.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var arrived atomic.Int32
					n := newNetwork(t, func(w http.ResponseWriter, r *http.Request) {
						arrived.Add(1)
						body, _ := io.ReadAll(r.Body)
						assert.JSONEq(t, `{"n":1}`, string(body), "each time the whole body")
						test.handle(w, r)
					})
					if test.refused {
						n.refusals.Store(1000)
					}
					clients, log := n.clients()
					client := clients.Reads
					if kind == "write" {
						client = clients.Writes
					}

					got := send(t.Context(), client, "http://oz.test/path")

					if test.refused {
						assert.EqualValues(t, want, n.dials.Load())
					} else {
						assert.EqualValues(t, want, arrived.Load())
					}
					assert.Len(t, log.lines(), want-1, "every further try is logged")
					if test.says == "" {
						require.NoError(t, got.err)
						assert.Contains(t, test.name, strconv.Itoa(got.status), "the last answer is the answer")
						assert.Equal(t, "no", got.body)
						return
					}
					require.ErrorContains(t, got.err, "POST http://oz.test/path: ")
					require.ErrorContains(t, got.err, test.says)
					assert.Equal(t, test.refused, transport.NeverSent(got.err))
				})
			})
		}
	}
}

func TestFurtherTrySucceeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var arrived atomic.Int32
		n := newNetwork(t, func(w http.ResponseWriter, r *http.Request) {
			if arrived.Add(1) == 1 {
				w.WriteHeader(503)
				return
			}
			_, _ = io.WriteString(w, r.UserAgent())
		})
		n.refusals.Store(1)
		clients, log := n.clients()

		got := send(t.Context(), clients.Reads, "http://user:hidden@oz.test/path")

		assert.Equal(t, answer{200, "test", nil}, got)
		require.Len(t, log.lines(), 2)
		assert.Contains(t, log.lines()[0], `msg="trying again: POST http://user:xxxxx@oz.test/path: dial tcp: connection refused"`)
		assert.Contains(t, log.lines()[1], `msg="trying again: POST http://user:xxxxx@oz.test/path: 503 Service Unavailable"`)
	})
}

func TestHowLongItWaits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		status         int
		retryAfter     string
		shortest, most time.Duration // of all waits together
	}{
		{"doubles from half a second, less up to a quarter", 503, "", 5625 * time.Millisecond, 7500 * time.Millisecond},
		{"waits as long as it is told", 429, "3", 12 * time.Second, 12 * time.Second},
		{"does not wait when told not to", 429, "0", 0, 0},
		{"waits until the moment that it is told", 503, "Sat, 01 Jan 2000 00:00:04 GMT", 4 * time.Second, 5 * time.Second},
		{"waits half a minute each time", 429, "30", 2 * time.Minute, 2 * time.Minute},
		{"waits half a minute until the moment that it is told", 429, "Sat, 01 Jan 2000 00:00:30 GMT", 30 * time.Second, 31 * time.Second},
		{"waits as long as any answer says", 502, "3", 12 * time.Second, 12 * time.Second},
		{"takes no advice from before", 503, "Fri, 31 Dec 1999 00:00:00 GMT", 0, 0},
		{"doubles where the advice cannot be read", 503, "soon", 5625 * time.Millisecond, 7500 * time.Millisecond},
		{"doubles where the advice is negative", 503, "-1", 5625 * time.Millisecond, 7500 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, func(w http.ResponseWriter, _ *http.Request) {
					if test.retryAfter != "" {
						w.Header().Set("Retry-After", test.retryAfter)
					}
					w.WriteHeader(test.status)
				})
				clients, _ := n.clients()
				began := time.Now()

				got := send(t.Context(), clients.Reads, "http://oz.test/")

				assert.Equal(t, answer{status: test.status}, got)
				assert.GreaterOrEqual(t, time.Since(began), test.shortest)
				assert.LessOrEqual(t, time.Since(began), test.most)
			})
		})
	}
}

// TestAskedToWaitLongIsTheLastWord: whether to wait that long is for the caller
// to decide.
func TestAskedToWaitLongIsTheLastWord(t *testing.T) {
	t.Parallel()
	const forever = (1<<63 - 1) / time.Second * time.Second
	for retryAfter, want := range map[string]time.Duration{
		"31":                               31 * time.Second,
		"86400":                            24 * time.Hour,
		"9300000000":                       forever, // more nanoseconds than a Duration holds
		"18446744073709551616":             forever, // more than 64 bits hold
		strings.Repeat("9", 300):           forever,
		"Sat, 01 Jan 2000 00:00:31 GMT":    31 * time.Second,
		"Sat, 01 Jan 2000 01:00:00 GMT":    time.Hour,
		"Saturday, 01-Jan-00 01:00:00 GMT": time.Hour,
		"Fri, 31 Dec 9999 23:59:59 GMT":    forever,
	} {
		for _, status := range []int{408, 429, 500, 502, 503, 504} {
			for _, cut := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d %s %t", status, retryAfter, cut), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						var arrived atomic.Int32
						n := newNetwork(t, func(w http.ResponseWriter, _ *http.Request) {
							arrived.Add(1)
							w.Header().Set("Retry-After", retryAfter)
							if cut {
								w.Header().Set("Content-Length", "100")
							}
							w.WriteHeader(status)
							_, _ = io.WriteString(w, "no")
						})
						clients, log := n.clients()
						began := time.Now()
						for i, client := range []*transport.Client{clients.Reads, clients.Writes} {
							got := send(t.Context(), client, fmt.Sprintf("http://oz%d.test/", i))

							if cut {
								require.ErrorContains(t, got.err, "read the answer: unexpected EOF")
							} else {
								assert.Equal(t, answer{status, "no", nil}, got)
							}
							assert.EqualValues(t, i+1, arrived.Load())
						}
						assert.Zero(t, time.Since(began))
						assert.Empty(t, log.lines())
						asked, ok := transport.RetryAfter(&http.Response{Header: http.Header{"Retry-After": {retryAfter}}})
						assert.True(t, ok)
						assert.Equal(t, want, asked)
					})
				})
			}
		}
	}
}

// silent answers nothing until the client has gone away.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.ReadAll(r.Body)
	<-r.Context().Done()
}

func TestEachTryTakesHalfAMinuteAtMost(t *testing.T) {
	t.Parallel()
	endless := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		for tick := time.Tick(time.Second); r.Context().Err() == nil; {
			_, _ = io.WriteString(w, "and ")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-tick:
			case <-r.Context().Done():
			}
		}
	}
	for name, handle := range map[string]http.HandlerFunc{"silent": silent, "endless": endless} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				clients, log := newNetwork(t, handle).clients()
				began := time.Now()

				got := send(t.Context(), clients.Writes, "http://oz.test/")

				require.ErrorIs(t, got.err, context.DeadlineExceeded)
				assert.Equal(t, 30*time.Second, time.Since(began))
				assert.False(t, transport.NeverSent(got.err))
				assert.Empty(t, log.lines())

				began = time.Now()
				got = send(t.Context(), clients.Reads, "http://oz.test/")
				require.ErrorIs(t, got.err, context.DeadlineExceeded)
				assert.LessOrEqual(t, time.Since(began), tries*30*time.Second+7500*time.Millisecond)
				assert.Len(t, log.lines(), tries-1)
			})
		})
	}
}

func TestCancelledRequestEndsAtOnce(t *testing.T) {
	t.Parallel()
	busy := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(429)
	}
	for name, handle := range map[string]http.HandlerFunc{"while it waits for the answer": silent, "while it waits to try again": busy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				clients, log := newNetwork(t, handle).clients()
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				began := time.Now()

				got := send(ctx, clients.Reads, "http://oz.test/path")

				require.ErrorIs(t, got.err, context.DeadlineExceeded)
				require.ErrorContains(t, got.err, "POST http://oz.test/path: ")
				assert.Equal(t, 7*time.Second, time.Since(began))
				assert.Empty(t, log.lines())

				cancel()
				got = send(ctx, clients.Writes, "http://oz.test/path")
				require.Error(t, got.err)
				assert.True(t, transport.NeverSent(got.err), "cancelled before it began")
			})
		})
	}
}

func TestLongAnswerIsAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		beginning := strings.Repeat("x", 300<<10)
		var told atomic.Bool
		n := newNetwork(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, beginning)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			told.Store(true)
		})
		clients, _ := n.clients()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://oz.test/", nil)
		require.NoError(t, err)

		response, err := clients.Reads.Do(request)
		require.NoError(t, err)
		body := make([]byte, len(beginning))
		_, err = io.ReadFull(response.Body, body)
		require.NoError(t, err)
		assert.Equal(t, beginning, string(body))

		require.NoError(t, response.Body.Close())
		synctest.Wait()
		assert.True(t, told.Load(), "closing the body ends the request")
	})
}

func TestAShortAnswerTakesLittleMemory(t *testing.T) { // not parallel: it counts what the process takes
	for _, told := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, func(w http.ResponseWriter, _ *http.Request) {
				if !told {
					_ = http.NewResponseController(w).Flush()
				}
				_, _ = io.WriteString(w, strings.Repeat("x", 400))
			})
			clients, _ := n.clients()
			const times = 50
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range times {
				require.NoError(t, send(t.Context(), clients.Reads, "http://oz.test/").err)
			}
			runtime.ReadMemStats(&after)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(times*64<<10))
		})
	}
}

// secure starts a TLS server for example.com and 127.0.0.1 that counts its
// connections, and returns its certificate.
func secure(t *testing.T) (server *httptest.Server, connections *atomic.Int32, certificate []byte) {
	t.Helper()
	connections = new(atomic.Int32)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+" "+r.Header.Get("Authorization"))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, connections, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	clients, err := transport.New(transport.Options{})
	require.NoError(t, err)
	for kind, client := range map[string]*transport.Client{"read": clients.Reads, "write": clients.Writes} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			server, connections, _ := secure(t)

			got := send(t.Context(), client, server.URL)

			require.ErrorContains(t, got.err, "set ca_certificate")
			assert.EqualValues(t, 1, connections.Load(), "a second look would be the same")
			assert.True(t, transport.NeverSent(got.err))
			assert.NotContains(t, got.err.Error(), credential)
		})
	}
}

func TestCertificateOfTheInputsIsTrusted(t *testing.T) {
	t.Parallel()
	server, _, certificate := secure(t)
	clients, err := transport.New(transport.Options{CACertificates: append([]byte("a comment\n"), certificate...)})
	require.NoError(t, err)

	got := send(t.Context(), clients.Reads, server.URL)

	require.NoError(t, got.err)
	assert.Equal(t, server.Listener.Addr().String()+" Bearer "+credential, got.body)
}

func TestNewRefusesCertificatesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		_, err := transport.New(transport.Options{CACertificates: []byte(text)})
		assert.EqualError(t, err, "read CA certificates: no PEM certificate found")
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(other.URL, status))
		defer server.Close()
		clients, err := transport.New(transport.Options{})
		require.NoError(t, err)
		for _, client := range []*transport.Client{clients.Reads, clients.Writes} {
			got := send(t.Context(), client, server.URL)
			require.NoError(t, got.err)
			assert.Equal(t, status, got.status)
		}
	}
	assert.Zero(t, elsewhere.Load())
}
