package action

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// testsAbreast bounds how many smoke tests run at the same time.
const testsAbreast = 4

// test runs the smoke tests of a plan that was applied, and returns a verdict for
// each environment and the worst of them. A test that does not pass is not an error.
func (r run) test(ctx context.Context, w work) ([]smoketest.Verdict, smoketest.Verdict) {
	plan := *w.Plan
	verdicts := make([]smoketest.Verdict, len(plan.Environments))
	for i := range verdicts {
		verdicts[i].Result = smoketest.Skipped
	}
	chosen := r.chosen(plan, w.proof)
	if r.entry.SmokeTest && !w.RolledBack { // a value that was written back is always tested
		chosen = chosen[:r.admitted(len(chosen))]
	}
	if !r.entry.SmokeTest || len(chosen) == 0 {
		return verdicts, smoketest.Verdict{Result: smoketest.Skipped}
	}
	defer r.on.Group("Smoke test")()
	forAll(chosen, testsAbreast, func(i int) {
		log := r.log
		if plan.Mode == reconcile.Rotation {
			log = log.With("environment", plan.Environments[i].Name)
		}
		verdicts[i] = r.testOne(ctx, w, i, log)
	})
	return verdicts, smoketest.Worst(verdicts)
}

// testOne runs the smoke test of one environment of the plan.
func (r run) testOne(ctx context.Context, w work, at int, log *slog.Logger) smoketest.Verdict {
	e := w.Plan.Environments[at]
	verdict := r.testOf(w, at, w.Applied.Environments[at]).Run(ctx, r.oz.For(e.Owner), log)
	return r.withRoad(ctx, r.withAuthority(e, verdict))
}

// admitted returns how many of due environments may be tested: all parts of a job together
// start no more agents than the inputs allow.
func (r run) admitted(due int) int {
	before := int(r.started.Add(int64(due))) - due
	left := min(due, max(0, r.job.SmokeTestMax-before))
	if left < due {
		r.log.Warn(fmt.Sprintf("smoke_test_max is %d, so %d of %s are skipped", r.job.SmokeTestMax, due-left, plural.Of(due, "smoke test")))
	}
	return left
}

// chosen returns the indexes of the environments to test. They clone something with the
// token, and the token serves them. A rotation tests the first or each of them, a
// verification all.
func (r run) chosen(plan reconcile.Plan, proof preflight.Proof) []int {
	var list []int
	for i, e := range plan.Environments {
		_, clones := e.Primary(r.entryOf(plan, i).Repositories...)
		clones = clones && proof.Serves(e.User.String())
		if plan.Mode != reconcile.Removal && clones || plan.Mode == reconcile.Verification {
			list = append(list, i)
		}
	}
	if plan.Mode == reconcile.Rotation && !r.entry.SmokeTestAll {
		list = list[:min(1, len(list))]
	}
	return list
}

// testOf returns the smoke test of one environment, made from its planned model.
func (r run) testOf(w work, at int, stored reconcile.StoredEnvironment) smoketest.Test {
	e, entry := w.Plan.Environments[at], r.entryOf(*w.Plan, at)
	secret := w.Plan.SecretOf(e)
	use, clones := e.Primary(entry.Repositories...)
	as := cmp.Or(use.Kind, w.proof.Kind, entry.TokenKind)
	ask := entry.VerifyToken || w.Plan.Mode == reconcile.Rotation
	if w.Plan.Mode == reconcile.Verification { // the given token need not be the stored one
		as, ask = w.proof.Kind, len(w.proof.Findings) > 0
	}
	if !clones {
		use.Directory = "."
	}
	test := smoketest.Test{
		EnvironmentID:   stored.UID,
		EnvironmentName: stored.Name,
		Team:            e.Owner.Type == warp.TeamOwner,
		Secrets:         e.Secrets,
		Directory:       use.Directory,
		Commands:        commands(e.Commands, secret.Name, w.Plan.Mode == reconcile.Provision && entry.SetupCommandsGiven),
		Prompt:          entry.SmokeTestPrompt,
		Model:           entry.SmokeTestModel,
		Commit:          w.proof.HeadOf(use.Repository, use.Branch),
		Timeout:         r.job.SmokeTestTimeout,
		Attempt:         uuid.NewString(),
	}
	if secret.Hidden {
		test.Shadow = secret.Name
	}
	if ask {
		test.Now = func(ctx context.Context) (string, error) {
			refs, err := r.bitbucket.Client(w.token.Value).ListRefs(ctx, use.Repository, bitbucket.UploadPack, as.Login(), use.Branch)
			if preflight.IsRefusal(err) {
				err = fmt.Errorf("%s: %w: %w", use.Repository.CloneURL(), smoketest.ErrRefused, err)
			}
			return refs.Commit(use.Branch), err
		}
	}
	return test
}

// commands returns setup commands with how each uses the token. given reports whether the
// inputs hold the user's commands.
func commands(texts []string, secret string, given bool) []smoketest.Command {
	usage, words := setup.UsageOf(texts, secret), setup.Words(texts)
	list := make([]smoketest.Command, len(texts))
	for i, text := range texts {
		clones := slices.ContainsFunc(usage.Uses, func(use setup.Use) bool { return use.Command == text })
		list[i] = smoketest.Command{
			Text:   text,
			Token:  clones || slices.Contains(usage.Opaque, text),
			Clone:  clones,
			Before: !clones && words[i] != text && !strings.HasPrefix(words[i], "clone "), // with another secret
			Kept:   !clones && words[i] == text && !given,
		}
	}
	return list
}
