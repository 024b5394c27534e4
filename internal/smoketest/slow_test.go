package smoketest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// TestAVerdictThatTakesItsTimeNamesTheRun: the outputs run_id and run_state are of this
// run, and empty when no run is known.
func TestAVerdictThatTakesItsTimeNamesTheRun(t *testing.T) {
	t.Parallel()
	const session = "https://oz.example.test/session/run-1"
	for name, tt := range map[string]struct {
		oz     oz
		want   smoketest.Result
		reason string
		id     string
		state  warp.RunState
		link   string
		took   time.Duration // at most
		orders int           // to cancel
	}{
		"queued to the end": {oz{lasts: time.Hour, state: warp.Queued, capacity: true}, smoketest.TimedOut,
			"the run is cancelled; it was queued: free one of the team's cloud agents",
			"run-1", warp.Cancelled, session, 62 * time.Second, 1},
		"without a transcript": {oz{lasts: time.Second, reply: func(int) (string, error) { return "", refusal(404, "resource_not_found") }}, smoketest.Failed,
			"the run succeeded, but its transcript cannot be read: Oz has none",
			"run-1", warp.Succeeded, session, 20 * time.Second, 0},
		"not found after its start": {oz{unseen: time.Hour, lasts: time.Second, start: func() error { return errLost }}, smoketest.Failed,
			"it is unknown whether the run was started",
			"", "", "", 35 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := trial{Test: smoketest.Test{Commit: before, Timeout: time.Minute}}
			tr.in(t, &tt.oz)
			assert.Equal(t, tt.want, tr.verdict.Result)
			assert.Contains(t, tr.verdict.Reason, tt.reason)
			assert.Equal(t, []string{tt.id, string(tt.state), tt.link},
				[]string{tr.verdict.Run.ID, string(tr.verdict.Run.State), tr.verdict.Run.SessionLink})
			assert.LessOrEqual(t, tr.took, tt.took)
			assert.Len(t, tt.oz.asked, 1, "never a second start")
			assert.Equal(t, tt.orders, tt.oz.orders)
			assert.Empty(t, tr.going)
		})
	}
}
