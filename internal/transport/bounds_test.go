package transport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// TestNobodyLeavesHTTP: net/http hands the connection of a 101 over as a body that
// no time limit ends.
func TestNobodyLeavesHTTP(t *testing.T) {
	t.Parallel()
	for kind, upgrade := range map[string]string{"with an upgrade": "Connection: Upgrade\r\nUpgrade: websocket\r\n", "without": ""} {
		for _, write := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, ", write: ", write), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var arrived atomic.Int32
					n := newNetwork(t, func(w http.ResponseWriter, _ *http.Request) {
						arrived.Add(1)
						conn, wire, err := http.NewResponseController(w).Hijack()
						if !assert.NoError(t, err) {
							return
						}
						_, _ = wire.WriteString("HTTP/1.1 101 Switching Protocols\r\n" + upgrade + "\r\n")
						_ = wire.Flush()
						_, _ = io.Copy(io.Discard, wire) // until we hang up
						_ = conn.Close()
					})
					clients, _ := n.clients()
					client := clients.Reads
					if write {
						client = clients.Writes
					}
					began := time.Now()
					got := send(t.Context(), client, "http://oz.test/path")
					require.EqualError(t, got.err, "POST http://oz.test/path: the server answers 101 Switching Protocols, which the request did not ask for")
					assert.False(t, transport.NeverSent(got.err))
					assert.Zero(t, time.Since(began))
					assert.EqualValues(t, 1, arrived.Load())
				})
			})
		}
	}
}

// TestADripEndsWithItsAttempt: a byte a second, in the header, in the part of the
// body that Do waits for, and after it.
func TestADripEndsWithItsAttempt(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"the beginning": 0, "the rest": 300 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = w.Write(bytes.Repeat([]byte("x"), before))
					for r.Context().Err() == nil {
						_, _ = io.WriteString(w, "x")
						_ = http.NewResponseController(w).Flush()
						select {
						case <-time.After(time.Second):
						case <-r.Context().Done():
						}
					}
				})
				clients, _ := n.clients()
				began := time.Now()
				got := send(t.Context(), clients.Writes, "http://oz.test/")
				require.ErrorIs(t, got.err, context.DeadlineExceeded)
				assert.Equal(t, 30*time.Second, time.Since(began))

				ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
				defer stop()
				began = time.Now()
				got = send(ctx, clients.Reads, "http://oz.test/")
				require.ErrorIs(t, got.err, context.DeadlineExceeded)
				assert.Equal(t, 3*time.Second, time.Since(began), "the context's end is the body's")
			})
		})
	}
}

func TestAnEndlessHeaderIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 300<<10))
		})
		clients, _ := n.clients()
		require.ErrorContains(t, send(t.Context(), clients.Writes, "http://oz.test/").err, "server response headers exceeded 262144 bytes")
	})
}

func TestBound(t *testing.T) {
	t.Parallel()
	bound := transport.Bound{Bytes: 64 << 10, Elements: 3, Members: 4}
	tests := map[string]string{ // what is said; nothing when it is within
		``:                                       "",
		`[]`:                                     "",
		`[1,2,3]`:                                "",
		`[ "a,[{\"" , [ ] , {} ]`:                "",
		`[[1],2]`:                                "",
		`{"a":[],"b":{},"c":{"d":"\\"}}`:         "",
		`[1,2,3,4]`:                              "its lists hold more than 3 elements",
		`[[],[[]],[]]`:                           "its lists hold more than 3 elements",
		`[{},{},{},{}]`:                          "its lists hold more than 3 elements",
		`{"a":[null,null],"b":[null,null]}`:      "its lists hold more than 3 elements",
		`{"a":1,"b":2,"c":3,"d":4,"e":5}`:        "its objects hold more than 4 members",
		`[{"a":1,"b":2},{"a":{"a":{"a":1}}}]`:    "its objects hold more than 4 members",
		`"` + strings.Repeat(`\"`, 32<<10) + `"`: "the answer is too large: more than 64 KiB",
		strings.Repeat("[", 20_000):              "its lists hold more than 3 elements",
		`{"a":"` + strings.Repeat(",", 1000) + `"`: "",
	}
	for text, says := range tests {
		content, err := bound.Read(strings.NewReader(text))
		if says == "" {
			require.NoError(t, err, text)
			assert.Equal(t, text, string(content))
			continue
		}
		require.ErrorIs(t, err, transport.ErrTooLarge, "%.80s", text)
		require.ErrorContains(t, err, says)
		assert.Nil(t, content)
	}
}

// FuzzBound compares the count with the tokens of encoding/json.
func FuzzBound(f *testing.F) {
	f.Add(`{"a":[1,{"b":[]},"\\\"],"],"c":{}}`)
	f.Add(`[[[]],{"":{"":[null]}}]`)
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return
		}
		elements, members := census(t, text)
		exactly := transport.Bound{Bytes: 1 << 20, Elements: elements, Members: members}
		_, err := exactly.Read(strings.NewReader(text))
		require.NoError(t, err)
		fewer := exactly
		if fewer.Elements--; elements > 0 {
			_, err = fewer.Read(strings.NewReader(text))
			require.ErrorIs(t, err, transport.ErrTooLarge)
		}
		fewer = exactly
		if fewer.Members--; members > 0 {
			_, err = fewer.Read(strings.NewReader(text))
			require.ErrorIs(t, err, transport.ErrTooLarge)
		}
	})
}

// census counts what there is of valid JSON.
func census(t *testing.T, text string) (elements, members int) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var open []json.Delim
	var inside []int // tokens, by depth
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return elements, members
		}
		require.NoError(t, err)
		delim, _ := token.(json.Delim)
		if delim == ']' || delim == '}' {
			last := len(open) - 1
			if delim == ']' {
				elements += inside[last]
			} else {
				members += inside[last] / 2 // a key and its value
			}
			open, inside = open[:last], inside[:last]
			continue
		}
		if last := len(open) - 1; last >= 0 {
			inside[last]++
		}
		if delim != 0 {
			open, inside = append(open, delim), append(inside, 0)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	var fits, endless, crowded, long transport.Pages
	for page := range 100 {
		require.NoError(t, fits.Add(100, 100<<10, page == 99))
	}
	for range 99 {
		require.NoError(t, endless.Add(0, 0, false))
	}
	require.EqualError(t, endless.Add(0, 0, false), "the answer is too large: the list has more than 100 pages")
	require.EqualError(t, crowded.Add(10_001, 0, true), "the answer is too large: the list holds more than 10000 elements")
	require.NoError(t, long.Add(0, 16<<20, false))
	require.EqualError(t, long.Add(0, 1, true), "the answer is too large: the list is longer than 16 MiB")
}
