package insights

import (
	"context"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// SendThrough is Send with another proxy and another time limit.
func SendThrough(ctx context.Context, proxy string, limit time.Duration, build bitbucket.Build, report bitbucket.Insights) error {
	return sender{proxy, limit}.send(ctx, build, report, "oz-bitbucket/test")
}

// Proxies returns the proxy of a step and that of a pipe.
func Proxies() (step, pipe string) {
	return senderFor(bitbucket.Build{}).proxy, senderFor(bitbucket.Build{Pipe: true}).proxy
}
