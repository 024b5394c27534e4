// Package grace gives work that is under way more time after the job is told to stop.
// It waits and has no other effects.
package grace

import (
	"context"
	"time"
)

// After returns a context with the values of ctx that ends d after ctx ends. When ctx
// has already ended, it ends d from now. The caller calls cancel when the work is done.
func After(ctx context.Context, d time.Duration) (longer context.Context, cancel context.CancelFunc) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, end)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); end() }
}
