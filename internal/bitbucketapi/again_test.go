package bitbucketapi_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// TestPlacesBesideTheAttempts: an a is a question that takes an attempt, an m one for more of
// what was just allowed, T trusts. A digit is the answer of 401 to one of the questions,
// counted from 0, and a good answer with a comma after it.
func TestPlacesBesideTheAttempts(t *testing.T) {
	t.Parallel()
	for steps, want := range map[string]struct {
		more, attempts int  // of one of the two kinds that may begin at the end
		none           bool // for the token was refused too often
	}{
		"":         {2, 2, false},
		"T":        {4, 2, false},
		"TT":       {4, 2, false},
		"Ta":       {3, 1, false},
		"Taa":      {2, 0, false},
		"Tm":       {3, 2, false},
		"Tmm":      {2, 2, false},
		"Tmmm":     {1, 1, false},
		"Tm0,":     {4, 2, false},
		"Tmmm2,":   {2, 2, false},
		"Ta0":      {1, 1, false},
		"Ta0T":     {1, 1, false},
		"Tm0":      {1, 1, false},
		"Tm0m1":    {0, 0, true},
		"Tma0":     {0, 0, false},
		"Tma1":     {1, 1, false},
		"Tma10,":   {1, 1, false},
		"Tam1":     {0, 0, false},
		"Tam10,":   {1, 1, false},
		"Taam2":    {0, 0, false},
		"Taam20,":  {0, 0, false},
		"Taam20,1": {0, 0, true},
		"Taam201":  {0, 0, true},
		"Taamm23":  {0, 0, true},
		"a0":       {1, 1, false},
		"a0T":      {1, 1, false},
		"a0m1":     {0, 0, true},
	} {
		t.Run(steps, func(t *testing.T) {
			t.Parallel()
			for _, more := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					attempts := bitbucketapi.NewAttempts()
					take := func(more bool) (func(bool), error) {
						ctx, stop := context.WithTimeout(t.Context(), time.Minute)
						defer stop()
						if more {
							return attempts.TakeAgain(ctx)
						}
						return func(unauthorized bool) { attempts.Settle(false, unauthorized) }, attempts.Take(ctx, false)
					}
					var settle []func(bool)
					for i, step := range steps {
						switch {
						case step == 'T':
							attempts.Trust()
						case step == 'a', step == 'm':
							settled, err := take(step == 'm')
							require.NoError(t, err)
							settle = append(settle, settled)
						case step != ',':
							settle[step-'0'](i+1 == len(steps) || steps[i+1] != ',')
						}
					}
					under, failed := 0, error(nil)
					for ; failed == nil; under++ {
						_, failed = take(more)
					}
					if want.none {
						require.ErrorIs(t, failed, bitbucket.ErrNotAsked)
					} else {
						require.ErrorIs(t, failed, context.DeadlineExceeded)
					}
					assert.Equal(t, map[bool]int{true: want.more, false: want.attempts}[more], under-1)
				})
			}
		})
	}
}

// TestNoMoreThanFourAreUnderWay at a Data Center that has taken the token, of which two are
// first questions; when it is revoked then, nothing more is asked.
func TestNoMoreThanFourAreUnderWay(t *testing.T) {
	t.Parallel()
	const advertisement = "001e# service=git-upload-pack\n0000000eversion 2\n000cls-refs\n0000"
	var mu sync.Mutex
	underWay, most := map[string]int{}, map[string]int{}
	refused, revoked, asked := 0, false, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		for _, kind := range []string{r.Method, ""} {
			underWay[kind]++
			most[kind] = max(most[kind], underWay[kind])
		}
		asked++
		mu.Unlock()
		time.Sleep(5 * time.Millisecond) // so that others come meanwhile
		mu.Lock()
		defer mu.Unlock()
		for _, kind := range []string{r.Method, ""} {
			underWay[kind]--
		}
		switch {
		case revoked:
			refused++
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = io.WriteString(w, advertisement)
		default:
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			_, _ = io.WriteString(w, "0000")
		}
	}))
	t.Cleanup(server.Close)
	api, r := apiAt(t, server.URL)
	client := api.Client(sensitive.New(token))
	assert.Equal(t, 2, client.Accepted(bitbucket.DataCenter))
	var asking sync.WaitGroup
	all := func() {
		for range 40 {
			asking.Go(func() { _, _ = client.ListRefs(t.Context(), r, bitbucket.UploadPack, bearer, "") })
		}
	}
	all()
	asking.Wait()
	assert.Equal(t, 80, asked)
	assert.LessOrEqual(t, most[http.MethodGet], 2)
	assert.LessOrEqual(t, most[""], 4)
	all()
	mu.Lock()
	revoked = true
	mu.Unlock()
	asking.Wait()
	assert.LessOrEqual(t, refused, 4, "those that were under way")
	before := asked
	_, err := client.ListRefs(t.Context(), r, bitbucket.UploadPack, bearer, "")
	require.ErrorIs(t, err, bitbucket.ErrNotAsked)
	assert.Equal(t, before, asked)
}

// TestFindSelfAsksForNoMoreThanItMust, and over the connection that git has used.
func TestFindSelfAsksForNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		names string // "/scm" or "/rest": whose answers name the user
		knows string // the path of the owner whose record is shown
		asked []string
	}{
		"git names the user":    {"/scm", "/users/jane", []string{"/users/jane/123"}},
		"the REST names it":     {"/rest", "/users/jane", []string{"/users", "/users/jane/123"}},
		"nobody names it":       {"-", "/projects/PRJ/repos/sample", []string{"/users", "/projects/PRJ/repos/sample/123"}},
		"it is the project's":   {"/scm", "/projects/PRJ", []string{"/users/jane/123", "/projects/PRJ/repos/sample/123", "/projects/PRJ/123"}},
		"nobody shows it":       {"/scm", "-", []string{"/users/jane/123", "/projects/PRJ/repos/sample/123", "/projects/PRJ/123"}},
		"nobody knows who asks": {"-", "-", []string{"/users", "/projects/PRJ/repos/sample/123", "/projects/PRJ/123"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var asked []string
			var connections atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, tt.names) {
					w.Header().Set("X-AUSERNAME", "Jane")
				}
				mu.Lock()
				defer mu.Unlock()
				switch path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/rest/access-tokens/latest"), "/rest/api/latest"); {
				case strings.HasPrefix(path, "/scm"):
					w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
					_, _ = io.WriteString(w, "001e# service=git-upload-pack\n00000000")
				case path == "/users":
					asked = append(asked, path)
				case path == tt.knows+"/123":
					asked = append(asked, path)
					_, _ = io.WriteString(w, `{"id":"123","createdDate":1000,"expiryDays":1}`)
				default:
					asked = append(asked, path)
					http.Error(w, "no", http.StatusNotFound)
				}
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			server.Start()
			t.Cleanup(server.Close)
			api, r := apiAt(t, server.URL)
			id := sensitive.New("BBDC-MTIzOg==") // 123:
			require.NoError(t, api.Client(id).CheckClone(t.Context(), r, bearer))
			over, stop := context.WithCancel(t.Context())
			stop()
			_, err := api.Client(id).FindSelf(over, r)
			require.ErrorIs(t, err, context.Canceled)
			assert.Empty(t, asked)
			for range 2 {
				record, err := api.Client(id).FindSelf(t.Context(), r)
				if tt.knows == "-" {
					require.ErrorContains(t, err, "404")
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, time.Unix(1, 0).UTC().Add(24*time.Hour), record.Expires)
			}
			assert.Equal(t, tt.asked, asked)
			assert.EqualValues(t, 1, connections.Load(), "git's")
		})
	}
}
