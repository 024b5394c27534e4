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
// nobody does. It is asked after every proof: its refusals are spent on nothing
// that is needed.
func (r run) expires(ctx context.Context, token reconcile.Token, proof preflight.Proof) time.Time {
	switch {
	case !token.Expires.IsZero() || len(proof.Findings) == 0 || proof.Findings[0].Repository.Flavor != bitbucket.DataCenter:
		return token.Expires
	case r.ends != nil:
		return r.ends()
	}
	return r.record(ctx, token.Value, proof.Findings[0].Repository).Expires
}

// record is that of a token, as far as its server shows it one.
func (r run) record(ctx context.Context, token sensitive.String, at bitbucket.Repository) bitbucket.TokenRecord {
	asking, stop := context.WithTimeout(ctx, askLimit)
	defer stop()
	record, err := r.bitbucket.Client(token).FindSelf(asking, at)
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
