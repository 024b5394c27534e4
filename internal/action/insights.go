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

// review sends plan and result to where the host's review of the commit shows them. It comes
// last and takes a few seconds at most. A failure goes to the debug log alone and does not
// change the job's result. A job that was told to stop still does it, within hurried: without
// it the pull request would show an older result.
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
