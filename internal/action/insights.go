package action

import (
	"context"
	"fmt"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/grace"
	"github.com/oz-bitbucket/oz-bitbucket/internal/insights"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// hurried bounds the report of a job that was told to stop.
const hurried = 2 * time.Second

// review puts plan and result where the host's review of the commit shows them. The job hangs
// on it in no way: it comes last, takes seconds at most, and what fails is left out. A job
// that was told to stop hurries, and does it all the same: the pull request would go on to
// show an older result.
func review(ctx context.Context, on platform.Platform, facts report.Facts) {
	build, page, there := on.Insights(facts)
	if !there {
		return
	}
	within, stop := grace.After(ctx, hurried)
	defer stop()
	if err := insights.Send(within, build, page, "oz-bitbucket/"+Version()); err != nil {
		on.Log().Debug(fmt.Sprintf("there is no report on the commit: %v", err))
	}
}
