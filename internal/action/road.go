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

// hostingPage lists the addresses of runs that Warp hosts. Messages name it where the server
// does not return the addresses.
const hostingPage = "https://docs.warp.dev/platform/warp-hosting"

// roadOf returns a function that returns the addresses that agents reach Bitbucket from,
// ready to paste into a list. It asks Oz once. Self-hosted workers have other addresses.
func roadOf(ctx context.Context, oz *warpapi.Client) func() string {
	return sync.OnceValue(func() string {
		ranges, err := oz.ListEgress(ctx)
		if err != nil || len(ranges) == 0 {
			return "the addresses that " + hostingPage + " lists"
		}
		return strings.Join(ranges, ", ")
	})
}

// roadNote returns the note in the plan of an environment on a self-managed server.
func (r run) roadNote(ctx context.Context) string {
	return fmt.Sprintf("agents that Warp hosts reach %s from %s; a firewall in front of it must let them in", r.entry.Primary().Origin(), r.road())
}

// addressRemedy returns which addresses an allow-list must hold in addition to this runner's,
// when Bitbucket refused the runner's address; else "".
func (r run) addressRemedy(ctx context.Context, err error) string {
	if !preflight.IsAddressRefused(err) {
		return ""
	}
	return "agents that Warp hosts reach Bitbucket from " + r.road() + "; the allow-list must hold these as well"
}

// addressWarnings returns the same where a refused address is only a warning.
func (r run) addressWarnings(ctx context.Context, proof preflight.Proof, err error) []string {
	if err != nil || !preflight.IsAddressRefused(proof.Err()) {
		return nil
	}
	return []string{r.addressRemedy(ctx, proof.Err())}
}

// withRoad adds to a verdict, when the clone failed, the addresses that agents come from: a
// firewall may have refused the agent.
func (r run) withRoad(ctx context.Context, v smoketest.Verdict) smoketest.Verdict {
	if v.Clone {
		v.Reason += "; if it could not connect, let in agents that Warp hosts: they come from " + r.road()
	}
	return v
}
