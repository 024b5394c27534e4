package action_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/action"
	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
)

func TestGoPrintsNoHeaders(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancelCause(t.Context())
	stop(action.Interrupted(syscall.SIGINT)) // a run then ends before its first request
	for settings, want := range map[string]int{
		"http2debug=1": action.ExitInputs, "http2debug=2": action.ExitInputs, "x=y,http2debug=1,http2debug=0": action.ExitInputs,
		"": 130, "http2debug=0": 130, "http2client=0": 130,
	} {
		code, _, log := run(ctx, []string{
			"REPO_URL=http://127.0.0.1:1/scm/p/api.git", "BITBUCKET_TOKEN=MARKER-token", "WARP_API_KEY=wk-MARKER",
			"WARP_SERVER_URL=http://127.0.0.1:1", "GODEBUG=" + settings,
		}, "plan")
		assert.Equal(t, want, code, settings+log)
		const said = "GODEBUG: holds http2debug, under which Go prints every header, credentials included; take it out\n"
		if want == action.ExitInputs {
			assert.Contains(t, log, said)
		} else {
			assert.NotContains(t, log, "GODEBUG")
		}
	}
}

// panics is a stream that panics on every write.
type panics struct{ value any }

func (p panics) Write([]byte) (int, error) { panic(p.value) }

// broken panics with an error of Go's own.
type broken struct{ io.Writer }

func (broken) Write(p []byte) (int, error) { return int(p[len(p)]), nil }

func TestAPanicShowsNoValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		stdout io.Writer
		want   string
	}{
		{panics{errors.New("the server said MARKER-unknown\n##vso[x]")}, `error: internal error: a panic with a \*errors\.errorString; `},
		{panics{"MARKER"}, `error: internal error: a panic with a string; `},
		{broken{}, `error: internal error: runtime error: index out of range \[\d+\] with length \d+; `},
	} {
		var log bytes.Buffer
		code := action.Main(t.Context(), []string{"plan"}, []string{"BITBUCKET_TOKEN=MARKER-token", "WARP_API_KEY=wk-MARKER"}, tt.stdout, &log)
		assert.Equal(t, action.ExitFailed, code)
		assert.Regexp(t, tt.want+`please report it with this: .*\(surroundings_test\.go:\d+\), .*action\.Main \(action\.go:\d+\), [^\n]*\n$`, log.String())
		assert.NotContains(t, log.String(), "MARKER")
	}
}

// TestAPanicOfAGroupShowsNoValue either, and shows where it began.
func TestAPanicOfAGroupShowsNoValue(t *testing.T) {
	t.Parallel()
	var carried error
	func() {
		defer func() { carried = recover().(error) }()
		g := group.New()
		g.Go(func() error { panic(errors.New("MARKER")) })
		_ = g.Wait()
	}()
	var log bytes.Buffer
	code := action.Main(t.Context(), []string{"plan"}, []string{"BITBUCKET_TOKEN=MARKER-token", "WARP_API_KEY=wk-MARKER"}, panics{carried}, &log)
	assert.Equal(t, action.ExitFailed, code)
	assert.Regexp(t, `error: internal error: a panic with a \*errors\.errorString; please report it with this: .*TestAPanicOfAGroupShowsNoValue`, log.String())
	assert.NotContains(t, log.String(), "MARKER")
}
