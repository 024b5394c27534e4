package smoketest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// leaves is how much time GitHub leaves between its two signals.
const leaves = 7500 * time.Millisecond

func TestTheTestEndsBeforeTheSecondSignal(t *testing.T) {
	t.Parallel()
	hang := func(methods ...string) map[string]bool {
		hangs := map[string]bool{}
		for _, method := range methods {
			hangs[method] = true
		}
		return hangs
	}
	conflict, lost := refusal(409, "conflict"), fmt.Errorf("%w: EOF", warp.ErrAnswerLost)
	for name, tt := range map[string]struct {
		oz     oz
		signal time.Duration
		runs   int
		reason string
		goes   bool // the run goes on, because it could not be cancelled
	}{
		"before the start":               {oz{}, -1, 0, "no run was started", false},
		"while the start is answered":    {oz{answer: 2 * time.Second}, time.Second, 1, "the run is cancelled", false},
		"the answer never comes":         {oz{answer: time.Hour}, time.Second, 1, "the run is cancelled", false},
		"nor the filter":                 {oz{answer: time.Hour, hangs: hang("FindRuns")}, time.Second, 1, "the run is cancelled", false},
		"the filter is refused":          {oz{answer: time.Hour, noFilter: true}, time.Second, 1, "the run is cancelled", false},
		"seen late":                      {oz{answer: time.Hour, unseen: 4 * time.Second}, time.Second, 1, "the run is cancelled", false},
		"seen late, prepared for long":   {oz{answer: time.Hour, unseen: 4 * time.Second, cancels: []error{conflict, conflict}}, time.Second, 1, "the run is cancelled", false},
		"nothing answers any more":       {oz{answer: time.Hour, hangs: hang("FindRuns", "ListRuns")}, time.Second, 1, `was not found; look in Oz for "Smoke test of acme-sample (attempt-1)" and cancel it`, true},
		"while the run is looked for":    {oz{start: func() error { return lost }, unseen: 20 * time.Second}, 18 * time.Second, 1, "the run is cancelled", false},
		"looked for, in a long question": {oz{start: func() error { return lost }, unseen: 23 * time.Second, hangs: hang("FindRuns")}, 21 * time.Second, 1, "the run is cancelled", false},
		"while it runs":                  {oz{}, 30 * time.Second, 1, "the run is cancelled", false},
		"while it is prepared":           {oz{cancels: []error{conflict, conflict, conflict, conflict}}, 30 * time.Second, 1, "the run is cancelled", false},
		"while it is prepared for ever":  {oz{cancels: []error{conflict, conflict, conflict, conflict, conflict, conflict, conflict, conflict, conflict}}, 30 * time.Second, 1, "run run-1 could not be cancelled and may go on", true},
		"the cancel is lost":             {oz{cancels: []error{lost, errors.New("503")}}, 30 * time.Second, 1, "the run is cancelled", false},
		"the cancel never answers":       {oz{hangs: hang("CancelRun")}, 30 * time.Second, 1, "run run-1 could not be cancelled and may go on", true},
		"the poll never answers":         {oz{hangs: hang("GetRun")}, 30 * time.Second, 1, "Oz has accepted the cancel of run run-1", false},
		"it stops slowly":                {oz{obeys: 5 * time.Second}, 30 * time.Second, 1, "the run is cancelled", false},
		"it stops too slowly":            {oz{obeys: time.Minute, lasts: time.Hour}, 30 * time.Second, 1, "may go on for a moment", true},
		"it ends meanwhile":              {oz{lasts: 31 * time.Second, cancels: []error{conflict, conflict}}, 30 * time.Second, 1, "the run had ended by itself (SUCCEEDED)", false},
		"while its transcript is read":   {oz{hangs: hang("GetReply")}, 90 * time.Second, 1, "the run had succeeded", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := trial{Test: smoketest.Test{Commit: before}, signal: tt.signal}
			tr.in(t, &tt.oz)
			assert.Equal(t, smoketest.Cancelled, tr.verdict.Result)
			assert.False(t, tr.verdict.Suspect)
			assert.Contains(t, tr.verdict.Reason, "told to stop")
			assert.Contains(t, tr.verdict.Reason, tt.reason)
			assert.Less(t, tr.after, leaves)
			assert.Len(t, tt.oz.runs, tt.runs, "never a second run")
			assert.Equal(t, tt.goes, len(tr.going) > 0)
		})
	}
}

// again is one answer, several times.
func again(err error, times int) []error {
	return slices.Repeat([]error{err}, times)
}

func TestEveryAnswerToACancelIsUnderstood(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cancels []error
		state   warp.RunState
		reason  string
		orders  int
		goes    bool
	}{
		"taken":                    {nil, "", "the run is cancelled", 1, false},
		"prepared for 20 s":        {again(refusal(409, "conflict"), 20), warp.Pending, "the run is cancelled", 21, false},
		"it cannot be cancelled":   {again(refusal(422, "operation_not_supported"), 1), "", "could not be cancelled and may go on", 1, true},
		"not allowed":              {again(refusal(403, "not_authorized"), 1), "", "could not be cancelled and may go on", 1, true},
		"too new to be known":      {again(refusal(404, "resource_not_found"), 2), "", "the run is cancelled", 3, false},
		"not over, whatever it is": {again(refusal(400, "invalid_request"), 2), "", "the run is cancelled", 3, false},
		"an outage":                {again(errLost, 10), "", "the run is cancelled", 11, false},
		"a limit":                  {again(refusal(429, ""), 3), "", "the run is cancelled", 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &oz{lasts: time.Hour, state: tt.state, cancels: tt.cancels}
			tr := trial{Test: smoketest.Test{Commit: before, Timeout: 5 * time.Minute}}
			tr.in(t, o)
			assert.Equal(t, smoketest.TimedOut, tr.verdict.Result)
			assert.False(t, tr.verdict.Suspect)
			assert.Contains(t, tr.verdict.Reason, tt.reason)
			assert.Equal(t, tt.orders, o.orders)
			assert.Equal(t, tt.goes, len(tr.going) > 0)
			assert.LessOrEqual(t, tr.took, 5*time.Minute+30*time.Second)
		})
	}
}

// TestARunThatNobodyWillContinueIsCancelled: the reason names the outcome.
func TestARunThatNobodyWillContinueIsCancelled(t *testing.T) {
	t.Parallel()
	const stays = "run run-1 could not be cancelled and may go on; cancel it in Oz"
	for state, means := range map[warp.RunState]string{
		warp.Blocked: "the agent waits for a human",
		"PAUSED":     `the run is in the state "PAUSED", which this version of the program does not know`,
	} {
		for name, tt := range map[string]struct {
			cancels []error
			obeys   time.Duration
			came    string
			orders  int // 0: as many as its time allows
			usage   warp.Usage
		}{
			"at once":               {nil, 0, "the run is cancelled", 1, cancelledUsage},
			"slowly":                {nil, 20 * time.Second, "the run is cancelled", 1, cancelledUsage},
			"too slowly":            {nil, time.Hour, "Oz has accepted the cancel of run run-1, which may go on for a moment", 1, usage},
			"not yet":               {again(refusal(409, "conflict"), 20), 0, "the run is cancelled", 21, cancelledUsage},
			"never":                 {again(refusal(409, "conflict"), 99), 0, stays, 0, usage},
			"in an outage":          {again(refusal(503, ""), 10), 0, "the run is cancelled", 11, cancelledUsage},
			"with lost answers":     {again(errLost, 10), 0, "the run is cancelled", 11, cancelledUsage},
			"not allowed":           {again(refusal(403, "not_authorized"), 99), 0, stays, 1, usage},
			"over, says the server": {again(refusal(400, "invalid_request"), 99), 0, "the run has stopped", 1, usage},
		} {
			t.Run(string(state)+" "+name, func(t *testing.T) {
				t.Parallel()
				o := &oz{ends: []warp.Run{{State: state, Message: "May I?"}}, cancels: tt.cancels, obeys: tt.obeys}
				tr := trial{Test: smoketest.Test{Commit: before}}
				tr.in(t, o)
				assert.Equal(t, smoketest.Failed, tr.verdict.Result)
				assert.False(t, tr.verdict.Suspect)
				assert.True(t, strings.HasPrefix(tr.verdict.Reason, means), tr.verdict.Reason)
				assert.True(t, strings.HasSuffix(tr.verdict.Reason, "; "+tt.came), tr.verdict.Reason)
				assert.Contains(t, tr.log, "Oz says: May I?")
				if tt.orders == 0 {
					assert.Greater(t, o.orders, 20)
				} else {
					assert.Equal(t, tt.orders, o.orders)
				}
				assert.LessOrEqual(t, tr.took, 2*time.Minute)
				assert.Equal(t, tt.usage == usage, len(tr.going) > 0)
				assert.Equal(t, state, tr.verdict.Run.State, "the state that was judged")
				assert.Equal(t, tt.usage, tr.verdict.Run.Usage)
			})
		}
	}
}

func TestASignalHurriesACancelThatTakesItsTime(t *testing.T) {
	t.Parallel()
	o := &oz{lasts: time.Hour, obeys: time.Hour}
	tr := trial{Test: smoketest.Test{Commit: before, Timeout: time.Minute}, signal: 70 * time.Second}
	tr.in(t, o)
	assert.Equal(t, smoketest.TimedOut, tr.verdict.Result)
	assert.Less(t, tr.after, leaves)
}

func TestALostStartIsFoundAndNeverRepeated(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		oz   oz
		want smoketest.Result
	}{
		"by its metadata":                 {oz{}, smoketest.Passed},
		"in the environment":              {oz{noFilter: true}, smoketest.Passed},
		"after a while":                   {oz{unseen: 15 * time.Second}, smoketest.Passed},
		"when the filter does not answer": {oz{hangs: map[string]bool{"FindRuns": true}}, smoketest.Passed},
		"or not, which fails":             {oz{unseen: time.Hour, lasts: time.Second}, smoketest.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			starts := 0
			tt.oz.start = func() error { starts++; return errLost }
			tr := trial{Test: smoketest.Test{Commit: before}}
			tr.in(t, &tt.oz)
			assert.Equal(t, tt.want, tr.verdict.Result)
			assert.Len(t, tt.oz.runs, 1)
			if tt.want == smoketest.Passed {
				assert.Equal(t, "run-1", tr.verdict.Run.ID)
				return
			}
			assert.False(t, tr.verdict.Suspect)
			assert.Contains(t, tr.verdict.Reason, `it is unknown whether the run was started`)
			assert.Contains(t, tr.verdict.Reason, `look in Oz for "Smoke test of acme-sample (attempt-1)"`)
			assert.LessOrEqual(t, tr.took, 35*time.Second)
		})
	}
}
