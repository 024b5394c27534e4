//go:build !race

package cron_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/cron"
)

// randomly makes a hundred checks with each of twenty sources of a stream.
func randomly(t *testing.T, stream uint64, check func(t *testing.T, random *rand.Rand)) {
	t.Helper()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, stream))
			for range 100 {
				check(t, random)
			}
		})
	}
}

// Times, and the distance between them, are the same as when each minute is tried.
func TestNextIsWhatTheFieldsSay(t *testing.T) {
	t.Parallel()
	randomly(t, 1, func(t *testing.T, random *rand.Rand) {
		text := randomText(random)
		after := date("2026-01-01").Add(time.Duration(random.Int64N(int64(80 * 365 * 24 * time.Hour))))
		want := judgeText(text).next(after, 40)
		schedule, err := cron.Parse(text)
		if len(want) == 0 {
			require.ErrorContains(t, err, "names no date that ever comes", text)
			return
		}
		require.NoError(t, err, text)
		require.Equal(t, want[:min(len(want), 5)], schedule.Next(after, min(len(want), 5)), "%s after %s", text, after)
		require.Equal(t, want, schedule.Next(after, len(want)), "%s after %s", text, after)
		for i := range len(want) - 1 {
			if !schedule.MoreThanHourly() {
				require.GreaterOrEqual(t, want[i+1].Sub(want[i]), time.Hour, text)
			}
		}
	})
}

// The words alone are enough to know every day and every minute.
func TestWordsAreWhatTheFieldsSay(t *testing.T) {
	t.Parallel()
	randomly(t, 2, func(t *testing.T, random *rand.Rand) {
		text := randomText(random)
		schedule, err := cron.Parse(text)
		if err != nil {
			require.ErrorContains(t, err, "names no date that ever comes", text)
			return
		}
		requireSame(t, judgeText(text), judgeWords(t, schedule.Words()), text+": "+schedule.Words())
	})
}
