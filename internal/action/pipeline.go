package action

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/seal"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
)

// run is one run of the pipeline with valid inputs.
type run struct {
	job       config.Job
	entry     config.Entry // its only one
	on        platform.Platform
	log       *slog.Logger
	oz        *warpapi.Client
	bitbucket *bitbucketapi.API
}

// all is the whole of the program in order, in every mode:
//
//	observe -> plan -> prove -> show -> write -> test -> settle
//
// A mode is a way to make a plan. A secret's value cannot be read back, and there
// is no second slot: safety comes from the order. Prove the token for everyone who
// reads the secret, overwrite once, prove it again through Oz, and only then let
// go of what it replaced. Each step may be run again after a kill at any point.
//
// It fills the facts as far as it gets.
func (r run) all(ctx context.Context, f report.Facts) report.Facts {
	bounded, cancel := context.WithTimeoutCause(ctx, wholeTimeout, fmt.Errorf("it took longer than %s", wholeTimeout))
	defer cancel()
	token := reconcile.Token{Value: r.entry.Token, Expires: r.entry.TokenExpiresAt}
	var made *minted
	for try := 1; ; try++ {
		world, proof, err := r.look(bounded)
		f.Head = proof.Head()
		if f.Err = err; err != nil {
			break
		}
		plan := reconcile.Diff(mode(r.job.Mode), []reconcile.Desired{desired(r.entry, proof)}, world)
		f.Plan = &plan
		if f.Err = plan.Err(); f.Err != nil {
			break
		}
		if r.job.Rotation.Mint && made == nil {
			r.show(plan)
			if made, f.Err = r.mint(bounded, plan); f.Err != nil {
				return f
			}
			token = made.token
			r.on.Mask(f.Outputs(), token.Value)
		}
		f = r.carryOut(ctx, bounded, f, token, proof)
		if try == tries || !errors.Is(f.Err, reconcile.ErrRaced) {
			break
		}
		r.log.Info(fmt.Sprintf("planning again: %v", f.Err))
	}
	if made != nil {
		return r.settle(ctx, f, *made)
	}
	return f
}

// tries bounds how often a plan is made anew because someone else was at work at
// the same time.
const tries = 3

// look observes Oz and proves the token for what the inputs name, at the same
// time.
func (r run) look(ctx context.Context) (world reconcile.World, proof preflight.Proof, err error) {
	defer r.on.Group("Check")()
	reads, within := errgroup.WithContext(ctx)
	if r.job.Mode != config.Rotate && r.provable(r.entry.Token) {
		reads.Go(func() (err error) {
			proof, err = r.proveOwn(within)
			return err
		})
	}
	reads.Go(func() (err error) {
		wanted := []reconcile.Desired{desired(r.entry, preflight.Proof{})}
		world, err = reconcile.Observe(within, r.oz, mode(r.job.Mode), wanted)
		return err
	})
	err = reads.Wait()
	return world, proof, err
}

// carryOut proves the token for everyone who reads the secret, writes the plan
// and tests it.
func (r run) carryOut(ctx, bounded context.Context, f report.Facts, token reconcile.Token, own preflight.Proof) report.Facts {
	plan := f.Plan
	proof, err := r.prove(bounded, plan, token.Value, own)
	f.Head = r.head(*plan, proof)
	if err == nil {
		err = r.refusePrompt(*plan, proof)
	}
	if err != nil {
		f.Err = fmt.Errorf("%w\n%s", err, written(*plan, f.Applied))
		return f
	}
	token.Expires = r.expires(bounded, token, proof)
	f.Expires = token.Expires
	if r.job.Rotation.Mint {
		r.warn(proof.Warnings)
	} else {
		plan.Warnings = append(append(r.entry.Warnings, proof.Warnings...), plan.Warnings...)
		r.show(*plan)
	}
	if f.DryRun {
		if f.Expires.IsZero() {
			f.Expires = plan.Secrets[0].Was.Expires
		}
		return f
	}
	f.Applied = r.apply(bounded, *plan, token).After(f.Applied)
	if err := f.Applied.Err(); err != nil {
		f.Err = fmt.Errorf("%w\n%s", err, written(*plan, f.Applied))
		return f
	}
	if err := r.applier().Confirm(bounded, *plan, f.Applied); err != nil {
		f.Err = fmt.Errorf("%w\n%s", err, written(*plan, f.Applied))
		return f
	}
	f.Tests, f.Verdict = r.test(ctx, *plan, f.Applied, token.Value, proof)
	if plan.Mode == reconcile.Rotation {
		f = r.rollBack(ctx, f, proof)
	}
	return f
}

// head is the commit of what the first environment's agents work in, as Bitbucket
// serves it.
func (r run) head(plan reconcile.Plan, proof preflight.Proof) string {
	for _, e := range plan.Environments {
		use, _ := e.Primary(r.entry.Repositories...)
		return proof.HeadOf(use.Repository, use.Branch)
	}
	return ""
}

// show prints the plan.
func (r run) show(plan reconcile.Plan) {
	defer r.on.Group("Plan")()
	for _, line := range report.PlanText(plan) {
		r.log.Info(line)
	}
	r.warn(plan.Warnings)
}

func (r run) warn(warnings []string) {
	for _, warning := range warnings {
		r.log.Warn(warning)
	}
}

// apply writes what the plan says.
func (r run) apply(ctx context.Context, plan reconcile.Plan, token reconcile.Token) reconcile.Applied {
	defer r.on.Group("Apply")()
	return r.applier().Apply(ctx, plan, []reconcile.Token{token})
}

func (r run) applier() reconcile.Applier {
	return reconcile.Applier{Reader: r.oz, Writer: r.oz, Seal: seal.RawValue, Log: r.log}
}

// written says what was and what was not written before a failure.
func written(plan reconcile.Plan, done reconcile.Applied) string {
	if len(done.Secrets) == 0 {
		return "nothing was written"
	}
	stored, lost := done.Secrets[0].Change != "", errors.Is(done.Err(), warp.ErrAnswerLost)
	switch {
	case plan.Mode == reconcile.Rotation && stored:
		return "the new value is stored"
	case plan.Mode == reconcile.Rotation && lost:
		return "nobody knows which value is stored now; both work at Bitbucket; run again to converge"
	case plan.Mode == reconcile.Rotation:
		return "the value that was stored is stored still"
	case !stored:
		return "nothing is known to be written; run again to converge"
	case done.Environments[0].Change == "":
		return "the secret is written, the environment is not known to be; run again to converge"
	}
	return fmt.Sprintf("the secret is written, and environment %s too; run again to converge", done.Environments[0].UID)
}

// rollBack writes the previous value back when the token can be why a smoke test
// did not pass, and tests that. Without one the new value stays, and the facts say
// so.
func (r run) rollBack(ctx context.Context, f report.Facts, proof preflight.Proof) report.Facts {
	previous := reconcile.Token{Value: r.job.Rotation.PreviousToken}
	switch result := f.Verdict.Result; {
	case result == smoketest.Passed, result == smoketest.Skipped:
		return f
	case !f.Verdict.Suspect:
		f.Stored = "the new value is stored"
		return f
	case previous.Value.IsEmpty():
		f.Stored = "the new value is stored; without previous_token there is nothing to write back"
		return f
	}
	r.log.Warn("writing the previous value back: " + f.Verdict.Reason)
	bounded, cancel := context.WithTimeout(ctx, wholeTimeout)
	defer cancel()
	end := r.on.Group("Roll back")
	stored := r.applier().Store(bounded, *f.Plan, f.Plan.Secrets[0], previous)
	end()
	if stored.Err != nil {
		f.Stored = "the new value is stored, unless the answer to writing the previous one back was lost"
		r.log.Error(stored.Err.Error())
		return f
	}
	f.RolledBack, f.Expires = true, previous.Expires
	f.Stored = "the previous value is stored again"
	if _, again := r.test(ctx, *f.Plan, f.Applied, previous.Value, proof); again.Result != smoketest.Passed {
		f.Stored += fmt.Sprintf(", and its smoke test did not pass either (%s: %s)", again.Result, again.Reason)
	}
	return f
}
