package action

import (
	"context"
	"fmt"

	"github.com/oz-bitbucket/oz-bitbucket/internal/insights"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// review puts plan and result where the host's review of the commit shows them. The job hangs
// on it in no way: it comes last, takes seconds at most, and what fails is left out. A job
// that was told to stop does it too, for the pull request would show an older result.
func review(ctx context.Context, on platform.Platform, facts report.Facts) {
	build, page, there := on.Insights(facts)
	if !there {
		return
	}
	if err := insights.Send(context.WithoutCancel(ctx), build, page, "oz-bitbucket/"+Version()); err != nil {
		on.Log().Debug(fmt.Sprintf("there is no report on the commit: %v", err))
	}
}
