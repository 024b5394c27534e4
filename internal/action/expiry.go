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

// askLimit bounds the question when a token expires, which nothing depends on.
const askLimit = 10 * time.Second

// expires is when the token ends, as the inputs or Data Center say; zero when
// nobody does. It is asked after everything that is needed: no refusal of its is spent on
// that. Where nothing more can be needed, it was asked beside the proof.
func (r run) expires(ctx context.Context, token reconcile.Token, proof preflight.Proof) time.Time {
	switch {
	case !token.Expires.IsZero() || len(proof.Findings) == 0 || proof.Findings[0].Repository.Flavor != bitbucket.DataCenter:
		return token.Expires
	case r.ends != nil:
		return r.ends()
	}
	return r.record(ctx, token.Value, proof.Findings[0].Repository).Expires
}

// asksWhenItEnds asks a Data Center for the record of a token, which it tells once. It is
// nil where nobody has to be asked.
func (r run) asksWhenItEnds(token sensitive.String, at bitbucket.Repository) func(context.Context) {
	if at.Flavor != bitbucket.DataCenter || !r.entry.TokenExpiresAt.IsZero() || r.job.Rotation.Mint {
		return nil
	}
	return func(ctx context.Context) { _, _ = r.findSelf(ctx, token, at) } // record says what came of it
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

// record is that of a token, as far as its server shows it one.
func (r run) record(ctx context.Context, token sensitive.String, at bitbucket.Repository) bitbucket.TokenRecord {
	record, err := r.findSelf(ctx, token, at)
	if err != nil {
		r.log.Debug(fmt.Sprintf("Bitbucket does not tell when the token expires: %v", err))
	}
	return record
}

// alarm warns when the token ends soon or has ended. With fail_on_expiry that is
// an error, unless the smoke test has already brought a worse one.
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
