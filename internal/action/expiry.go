package action

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// askLimit bounds the question when a token expires, which nothing depends on.
const askLimit = 10 * time.Second

// reportedExpiry is when the token ends, as the inputs or Data Center say; zero
// when nobody does. The token must have been accepted before.
func (r run) reportedExpiry(ctx context.Context, repository bitbucket.Repository) time.Time {
	if known := r.config.TokenExpiresAt; !known.IsZero() || repository.Flavor != bitbucket.DataCenter {
		return known
	}
	asking, stop := context.WithTimeout(ctx, askLimit)
	defer stop()
	record, err := r.api.Client(r.config.Token).FindSelf(asking, repository)
	if err != nil {
		r.log.Debug(fmt.Sprintf("Bitbucket does not tell when the token expires: %v", err))
	}
	return record.Expires
}

// expiry warns when the token ends soon or has ended. With fail_on_expiry that
// is an error, unless the smoke test has already brought a worse one.
func (r run) expiry() error {
	text := expiryText(*r.facts)
	left := r.facts.Expires.Sub(r.facts.Now)
	if text == "" || left > r.config.ExpiryWarning {
		return nil
	}
	result := r.facts.Verdict.Result
	if r.config.FailOnExpiry && (result == "" || result == smoketest.Passed || result == smoketest.Skipped) {
		return errors.New(text)
	}
	r.log.Warn(text)
	return nil
}

// expiryText says when the token ends, empty when nobody knows.
func expiryText(f report.Facts) string {
	days, known := f.DaysLeft()
	switch {
	case !known:
		return ""
	case days < 0:
		return fmt.Sprintf("the token in secret %q expired on %s; rotate it", f.SecretName, dayOf(f.Expires))
	}
	return fmt.Sprintf("the token in secret %q expires in %d days, on %s; rotate it before", f.SecretName, days, dayOf(f.Expires))
}
