package action

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// askLimit bounds the request for a token's expiry. No later step depends on the answer.
const askLimit = 10 * time.Second

// expires returns when the token ends, from the inputs or from Data Center; zero when
// unknown. Data Center is asked after every request that the job needs, because the
// bounded number of refusals is kept for those. Where no such request can follow, it was
// asked together with the proof.
func (r run) expires(ctx context.Context, token reconcile.Token, proof preflight.Proof) time.Time {
	switch {
	case !token.Expires.IsZero() || len(proof.Findings) == 0 || proof.Findings[0].Repository.Flavor != bitbucket.DataCenter:
		return token.Expires
	case r.ends != nil:
		return r.ends()
	}
	return r.record(ctx, token.Value, proof.Findings[0].Repository).Expires
}

// asksWhenItEnds returns a function that asks a Data Center for a token's record, or nil
// where that is not needed.
func (r run) asksWhenItEnds(token sensitive.String, at bitbucket.Repository) func(context.Context) {
	if at.Flavor != bitbucket.DataCenter || !r.entry.TokenExpiresAt.IsZero() || r.job.Rotation.Mint {
		return nil
	}
	return func(ctx context.Context) { _, _ = r.findSelf(ctx, token, at) } // record reads and logs the same answer
}

// asksWhenAll is asksWhenItEnds for a proof that began before all of Oz was known. Whole
// waits for that; isAll then reports whether nothing is left to prove.
func (r run) asksWhenAll(token sensitive.String, at bitbucket.Repository, whole func(context.Context) (reconcile.World, bool), isAll func(reconcile.World) bool) func(context.Context) {
	ask := r.asksWhenItEnds(token, at)
	if ask == nil {
		return nil
	}
	return func(ctx context.Context) {
		if world, known := whole(ctx); known && isAll(world) {
			ask(ctx)
		}
	}
}

func (r run) findSelf(ctx context.Context, token sensitive.String, at bitbucket.Repository) (bitbucket.TokenRecord, error) {
	asking, stop := context.WithTimeout(ctx, askLimit)
	defer stop()
	return r.bitbucket.Client(token).FindSelf(asking, at)
}

// record returns the record of a token; empty when its server does not show it.
func (r run) record(ctx context.Context, token sensitive.String, at bitbucket.Repository) bitbucket.TokenRecord {
	record, err := r.findSelf(ctx, token, at)
	if err != nil {
		r.log.Debug(fmt.Sprintf("Bitbucket did not report when the token expires: %v", err))
	}
	return record
}

// alarm warns when the token ends soon or has ended. With fail_on_expiry that is
// an error, unless the smoke test has failed: that is worse.
func (r run) alarm(f report.Facts) report.Facts {
	text := f.Expiry()
	if text == "" || f.Err != nil || r.job.Mode == config.Destroy || f.Expires.Sub(f.Now) > r.job.ExpiryWarning {
		return f
	}
	result := f.Verdict.Result
	if r.job.FailOnExpiry && (result == "" || result.IsGood()) {
		f.Err, f.Expiring = errors.New(text), true
		return f
	}
	r.log.Warn(text)
	return f
}
