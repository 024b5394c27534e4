// Package grace gives work that is under way a while longer than the job has. It
// waits, and touches nothing.
package grace

import (
	"context"
	"time"
)

// After returns a context with the values of ctx that ends d after ctx does. When
// ctx is over already, it ends d from now. The caller calls cancel when the work
// is done.
func After(ctx context.Context, d time.Duration) (longer context.Context, cancel context.CancelFunc) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, end)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); end() }
}
