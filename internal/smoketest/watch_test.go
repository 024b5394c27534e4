package smoketest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

func TestPollsAreBoundedAndProgressIsSteady(t *testing.T) {
	t.Parallel()
	o := &oz{lasts: time.Hour}
	tr := trial{Test: smoketest.Test{Commit: before}}
	tr.in(t, o)
	assert.Equal(t, smoketest.TimedOut, tr.verdict.Result)
	assert.Equal(t, 20*time.Minute, tr.took)
	assert.Empty(t, tr.going, "it is cancelled")
	assert.Equal(t, warp.Cancelled, tr.verdict.Run.State)
	assert.Contains(t, tr.verdict.Reason, "not over within 20m0s; the run is cancelled")

	perMinute := make([]int, 21)
	for _, at := range o.polls {
		perMinute[int(at/time.Minute)]++
	}
	assert.Equal(t, []int{14, 7, 4}, perMinute[:3])
	for minute, polls := range perMinute[3:20] {
		assert.LessOrEqual(t, polls, 4, "minute %d", minute+3)
	}
	for i, at := range o.polls[1:] { // an end just after one poll is noticed with the next
		assert.LessOrEqual(t, at-o.polls[i], max(5*time.Second, min(at/10, 15*time.Second)))
	}
	assert.GreaterOrEqual(t, tr.lines("INPROGRESS after"), 15)
	assert.LessOrEqual(t, tr.lines("INPROGRESS after"), 20)
}

func TestAQueueIsSaidInWords(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*oz{
		"by the start":        {lasts: time.Hour, state: warp.Queued, capacity: true},
		"only by the polling": {lasts: time.Hour, state: warp.Queued},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := trial{Test: smoketest.Test{Commit: before, Timeout: 5 * time.Minute}}
			tr.in(t, o)
			assert.Equal(t, o.capacity, tr.lines("the team's limit of concurrent cloud agents is reached") > 0)
			assert.GreaterOrEqual(t, tr.lines("waiting for a free cloud agent; the run begins when another one ends"), 3)
			assert.Equal(t, smoketest.TimedOut, tr.verdict.Result)
			assert.Contains(t, tr.verdict.Reason, "it was queued: free one of the team's cloud agents, or raise smoke_test_timeout")
			assert.Empty(t, tr.going)
		})
	}
}

func TestAnOutageLastsAsLongAsTheTimeoutAllows(t *testing.T) {
	t.Parallel()
	down := func(from, to time.Duration) func(time.Duration) error {
		return func(at time.Duration) error {
			if at >= from && at < to {
				return errors.New("503 Service Unavailable: " + other)
			}
			return nil
		}
	}
	t.Run("ten minutes", func(t *testing.T) {
		t.Parallel()
		o := &oz{poll: down(10*time.Second, 10*time.Minute)}
		tr := trial{Test: smoketest.Test{Commit: before}}
		tr.in(t, o)
		assert.Equal(t, smoketest.Passed, tr.verdict.Result)
		assert.Less(t, len(o.polls), 60)
		assert.GreaterOrEqual(t, tr.lines("asking again"), 8, "at least every minute")
		assert.LessOrEqual(t, tr.lines("asking again"), 11)
	})
	t.Run("to the end", func(t *testing.T) {
		t.Parallel()
		o := &oz{lasts: time.Hour, poll: down(0, time.Hour)}
		tr := trial{Test: smoketest.Test{Commit: before}}
		tr.in(t, o)
		assert.Equal(t, smoketest.TimedOut, tr.verdict.Result)
		assert.Contains(t, tr.verdict.Reason, "Oz did not answer at the end")
		assert.NotContains(t, tr.verdict.Reason, other, "an answer's words stay out of the summary")
		assert.Empty(t, tr.going)
	})
}

func TestAConsideredNoEndsTheWatch(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err   error
		times int // polls that get the failure
		want  smoketest.Result
		polls int // at least, before the cancel
	}{
		"the key was revoked":          {refusal(401, "authentication_required"), 99, smoketest.Failed, 1},
		"no run of this ID, too early": {refusal(404, "resource_not_found"), 4, smoketest.Passed, 5},
		"no run of this ID":            {refusal(404, "resource_not_found"), 99, smoketest.Failed, 5},
		"too many requests":            {refusal(429, ""), 30, smoketest.Passed, 31},
		"a limit that does not pass":   {refusal(429, "OUT_OF_CREDITS"), 99, smoketest.Failed, 1},
		"an unreadable answer":         {errors.New("the answer is not what Oz sends"), 30, smoketest.Passed, 31},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			struck := 0
			o := &oz{poll: func(time.Duration) error {
				if struck++; struck <= tt.times {
					return tt.err
				}
				return nil
			}}
			tr := trial{Test: smoketest.Test{Commit: before}}
			tr.in(t, o)
			assert.Equal(t, tt.want, tr.verdict.Result)
			assert.GreaterOrEqual(t, len(o.polls), tt.polls)
			if tt.want == smoketest.Failed {
				assert.Contains(t, tr.verdict.Reason, "could not be watched")
				assert.False(t, tr.verdict.Suspect)
				assert.Positive(t, o.orders, "it is cancelled")
				assert.Less(t, tr.took, time.Minute)
			}
		})
	}
}
