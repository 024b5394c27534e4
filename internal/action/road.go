package action

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
)

// hostingPage lists the addresses of runs that Warp hosts, for servers that do not tell
// them.
const hostingPage = "https://docs.warp.dev/platform/warp-hosting"

// roadOf returns a function that says from which addresses agents reach Bitbucket, ready to
// paste into a list. It asks Oz once. Self-hosted workers have their own.
func roadOf(ctx context.Context, oz *warpapi.Client) func() string {
	return sync.OnceValue(func() string {
		ranges, err := oz.ListEgress(ctx)
		if err != nil || len(ranges) == 0 {
			return "the addresses that " + hostingPage + " lists"
		}
		return strings.Join(ranges, ", ")
	})
}

// roadNote is what the plan of an environment on a server of one's own says.
func (r run) roadNote(ctx context.Context) string {
	return fmt.Sprintf("agents that Warp hosts reach %s from %s; a firewall in front of it must let them in", r.entry.Primary().Origin(), r.road())
}

// addressRemedy says whom an allow-list has to hold beside this runner, when Bitbucket
// refused its address; else it is empty.
func (r run) addressRemedy(ctx context.Context, err error) string {
	if !preflight.IsAddressRefused(err) {
		return ""
	}
	return "agents that Warp hosts reach Bitbucket from " + r.road() + "; the allow-list must hold these as well"
}

// addressWarnings say the same where a refused address is no more than a warning.
func (r run) addressWarnings(ctx context.Context, proof preflight.Proof, err error) []string {
	if err != nil || !preflight.IsAddressRefused(proof.Err()) {
		return nil
	}
	return []string{r.addressRemedy(ctx, proof.Err())}
}

// withRoad is a verdict that says from where the agent tried, when its clone failed: it
// may not have been let in.
func (r run) withRoad(ctx context.Context, v smoketest.Verdict) smoketest.Verdict {
	if v.Clone {
		v.Reason += "; if it could not connect, let in " + r.road() + ", from where agents that Warp hosts come"
	}
	return v
}
