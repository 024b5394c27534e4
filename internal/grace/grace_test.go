package grace_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/grace"
)

type key struct{}

func TestAfter(t *testing.T) {
	t.Parallel()
	const grant, never = 3 * time.Second, time.Duration(0)
	tests := map[string]struct {
		stopped   time.Duration // when ctx ends; negative: before the call
		cancelled time.Duration // when the work is done
		want      time.Duration
	}{
		"as long as nobody stops it":       {never, never, never},
		"a while after the stop":           {time.Minute, never, time.Minute + grant},
		"a while from now after a stop":    {-time.Minute, never, grant},
		"no longer than the work":          {never, time.Second, time.Second},
		"nor than the work after the stop": {time.Minute, time.Minute + time.Second, time.Minute + time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
				defer stop()
				switch {
				case tt.stopped < 0:
					stop()
				case tt.stopped > 0:
					time.AfterFunc(tt.stopped, stop)
				}
				longer, cancel := grace.After(ctx, grant)
				defer cancel()
				if tt.cancelled > 0 {
					time.AfterFunc(tt.cancelled, cancel)
				}
				assert.Equal(t, "kept", longer.Value(key{}))

				began := time.Now()
				select {
				case <-longer.Done():
					assert.Equal(t, tt.want, time.Since(began))
				case <-time.After(time.Hour):
					assert.Zero(t, tt.want, "it did not end")
				}
			})
		})
	}
}
