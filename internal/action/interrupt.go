package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Interrupted is the cause of a context that ended with a signal; its value is
// the signal's number.
type Interrupted int

// Error says that there was a signal.
func (Interrupted) Error() string { return "interrupted" }

// interruption is the error of a job that a signal ended. Its text says what was written
// before, and on further lines what else failed.
type interruption struct {
	written string
	under   error
}

// Error writes "interrupted" in place of Go's "context canceled".
func (i interruption) Error() string {
	text := "interrupted; " + i.written
	if i.under != nil && !saysOnlyStop(i.under) {
		text += "\n" + strings.ReplaceAll(i.under.Error(), context.Canceled.Error(), Interrupted(0).Error())
	}
	return text
}

// Unwrap returns the error of what was under way.
func (i interruption) Unwrap() error { return i.under }

// isStop reports whether an error only says that the job was told to stop. An answer that
// was lost because of that is a failure.
func isStop(err error) bool {
	return (errors.As(err, new(Interrupted)) || errors.Is(err, context.Canceled)) && !errors.Is(err, warp.ErrAnswerLost)
}

// unlessStop returns err, or nil when err only says that the job was told to stop. When an
// answer was lost because of that, the error says that the write's result is not known.
func unlessStop(err error) error {
	switch {
	case isStop(err):
		return nil
	case errors.Is(err, context.Canceled):
		return interruption{"it is not known whether the write that was under way has happened", err}
	}
	return err
}

// saysOnlyStop reports whether an error only says that the job was told to stop, or that an
// answer was lost because of that.
func saysOnlyStop(err error) bool {
	var parts []error
	switch inner := err.(type) {
	case interface{ Unwrap() []error }:
		parts = inner.Unwrap()
	case interface{ Unwrap() error }:
		parts = []error{inner.Unwrap()}
	}
	parts = slices.DeleteFunc(slices.Clone(parts), func(part error) bool { return part == nil })
	if len(parts) == 0 {
		return errors.As(err, new(Interrupted)) || errors.Is(err, context.Canceled) || errors.Is(err, warp.ErrAnswerLost)
	}
	return !slices.ContainsFunc(parts, func(part error) bool { return !saysOnlyStop(part) })
}

// told returns the error of the work with what was written before it. When the job was told
// to stop, what was written comes first.
func (w work) told(ctx context.Context, mode reconcile.Mode) error {
	written := w.Applied.Words(mode)
	if errors.As(context.Cause(ctx), new(Interrupted)) {
		return interruption{written, w.Err}
	}
	return fmt.Errorf("%w\n%s", w.Err, written)
}

// written says what a job has written.
func written(f report.Facts) string {
	switch {
	case f.Plan == nil || f.DryRun:
		return "nothing was written"
	case !f.Many:
		return f.Applied.Words(f.Plan.Mode)
	}
	secrets, environments := 0, 0
	for _, s := range f.Applied.Secrets {
		if s.Change != "" && s.Change != reconcile.Keep {
			secrets++
		}
	}
	for _, e := range f.Applied.Environments {
		if e.Change.IsVisible() {
			environments++
		}
	}
	if secrets+environments == 0 {
		return "nothing was written"
	}
	return plural.Of(secrets, "secret") + " and " + plural.Of(environments, "environment") + " were written; environments without a change in the outputs were not reached"
}
