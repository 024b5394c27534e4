package insights_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/insights"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/insightsim"
)

var (
	hash   = strings.Repeat("1a", 20)
	build  = bitbucket.Build{Workspace: "acme", Slug: "sample", Commit: hash, Number: "42"}
	commit = "acme/sample/" + hash
)

const soon = 10 * time.Second // enough for what ends by itself

// reportOf returns a report with lists of annotations, which have the given lengths.
func reportOf(title string, annotations ...int) bitbucket.Insights {
	r := bitbucket.Insights{ID: "oz-bitbucket-plan-1", Report: fmt.Appendf(nil, `{"title":%q,"details":"d","report_type":"TEST","result":"PASSED"}`, title)}
	next := 0
	for _, n := range annotations {
		var list []string
		for range n {
			next++
			list = append(list, fmt.Sprintf(`{"external_id":"a%04d","annotation_type":"BUG","summary":"s"}`, next))
		}
		r.Annotations = append(r.Annotations, []byte("["+strings.Join(list, ",")+"]"))
	}
	return r
}

func start(t *testing.T) *insightsim.Server {
	t.Helper()
	s, err := insightsim.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(s.Close)
	s.AddCommit(commit)
	return s
}

// TestAReportTakesThePlaceOfTheLastOne: with its annotations.
func TestAReportTakesThePlaceOfTheLastOne(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, annotations := range [][]int{{100, 100, 30}, {2}, nil, {2}} {
		require.NoError(t, insights.SendThrough(t.Context(), s.URL(), soon, build, reportOf("one", annotations...)))
		want := 0
		for _, n := range annotations {
			want += n
		}
		held := s.Reports(commit)
		require.Len(t, held, 1)
		assert.Equal(t, "oz-bitbucket-plan-1", held[0].ID)
		assert.Equal(t, "one", held[0].Title)
		assert.Len(t, held[0].Annotations, want)
	}
	assert.Empty(t, s.Violations())
	for _, request := range s.Journal.All() {
		assert.Equal(t, "oz-bitbucket/test", request.Header.Get("User-Agent"))
	}
}

// TestTheProxyIsOneOfTwo: the job's proxy settings are for other requests.
func TestTheProxyIsOneOfTwo(t *testing.T) {
	step, pipe := insights.Proxies()
	assert.Equal(t, []string{"http://localhost:29418", "http://host.docker.internal:29418"}, []string{step, pipe})

	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request went to another proxy") }))
	defer elsewhere.Close()
	s := start(t)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, elsewhere.URL)
	}
	t.Setenv("NO_PROXY", "*")
	require.NoError(t, insights.SendThrough(t.Context(), s.URL(), soon, build, reportOf("one")))
	assert.Len(t, s.Reports(commit), 1)
}

// TestNothingIsTriedAgain: and no request follows a refused one.
func TestNothingIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{insightsim.Put, insightsim.Post} {
		for _, status := range []int{0, 400, 401, 404, 429, 500, 503} {
			s := start(t)
			s.Script.Add(fault.Fault{Operation: operation, Status: status, Header: http.Header{"Retry-After": {"1"}}, Times: -1})
			err := insights.SendThrough(t.Context(), s.URL(), soon, build, reportOf("one", 1, 1))
			require.Error(t, err)
			if status > 0 {
				assert.Contains(t, err.Error(), fmt.Sprintf("the answer is %d", status))
			}
			asked := 0
			for _, request := range s.Journal.All() {
				if request.Operation == operation {
					asked++
				}
			}
			assert.Equal(t, 1, asked, "%s %d", operation, status)
		}
	}
}

// TestAReportThatCannotBeDeletedIsReplaced: all but its annotations.
func TestAReportThatCannotBeDeletedIsReplaced(t *testing.T) {
	t.Parallel()
	for _, status := range []int{403, 404, 405, 500} {
		s := start(t)
		require.NoError(t, insights.SendThrough(t.Context(), s.URL(), soon, build, reportOf("one")))
		s.Script.Add(fault.Fault{Operation: insightsim.Delete, Status: status})
		require.NoError(t, insights.SendThrough(t.Context(), s.URL(), soon, build, reportOf("two")))
		assert.Equal(t, "two", s.Reports(commit)[0].Title)
	}
}

func TestWithoutAProxyThereIsNoReport(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := "http://" + listener.Addr().String()
	require.NoError(t, listener.Close())
	err = insights.SendThrough(t.Context(), address, time.Hour, build, reportOf("one"))
	require.ErrorContains(t, err, "through the proxy "+address)

	err = insights.SendThrough(t.Context(), "http://nobody.invalid:29418", time.Hour, build, reportOf("one"))
	require.Error(t, err)
}

// TestAHostileProxy: Send does not follow a redirect, read a huge answer, or wait for a
// silent or a very slow proxy.
func TestAHostileProxy(t *testing.T) {
	t.Parallel()
	lured := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(lured.Close)
	sent := make(chan int64, 1)
	tests := map[string]struct {
		answer http.HandlerFunc
		limit  time.Duration
		want   string
	}{
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, lured.URL, http.StatusTemporaryRedirect)
		}, soon, "the answer is 307"},
		"silence": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 50 * time.Millisecond, "it took longer than 50ms"},
		"drip": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("."))
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(time.Millisecond):
				}
			}
		}, 50 * time.Millisecond, "it took longer than 50ms"},
		"huge": {func(w http.ResponseWriter, _ *http.Request) {
			n, _ := io.Copy(w, io.LimitReader(endless{}, 1<<30))
			select {
			case sent <- n:
			default:
			}
		}, soon, ""},
		"header":           {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, soon, "header"},
		"another protocol": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusSwitchingProtocols) }, soon, "101"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the client is gone
				tt.answer(w, r)
			}))
			t.Cleanup(proxy.Close)
			err := insights.SendThrough(t.Context(), proxy.URL, tt.limit, build, reportOf("one", 1))
			if tt.want == "" {
				require.NoError(t, err)
				assert.Less(t, <-sent, int64(64<<20), "of a gibibyte")
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
