package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/seal"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
)

// rotation is one run of mode rotate. A secret's value cannot be read back, and
// there is no second slot: safety comes from the order. Prove the new token,
// overwrite once, prove again through Oz, and only then let go of the old one.
// Each step may be run again after a kill at any point.
type rotation struct {
	run
	oz      *warpapi.Client
	plan    reconcile.Plan
	radius  radius
	token   sensitive.String // the new one
	expires time.Time        // of the new one; zero: unknown
}

func (r run) rotate(ctx context.Context, oz *warpapi.Client) error {
	rotation := rotation{run: r, oz: oz, token: r.config.Token, expires: r.config.TokenExpiresAt}
	bounded, cancel := context.WithTimeoutCause(ctx, wholeTimeout, fmt.Errorf("it took longer than %s", wholeTimeout))
	defer cancel()
	if err := rotation.look(bounded); err != nil {
		return err
	}
	if r.config.Rotation.Mint {
		return rotation.mintAndStore(bounded, ctx)
	}
	if err := rotation.prove(bounded, "the new token", rotation.token); err != nil {
		return fmt.Errorf("%w\nnothing was written", err)
	}
	if len(rotation.radius.repositories) > 0 && r.config.VerifyToken {
		rotation.expires = r.reportedExpiry(bounded, rotation.radius.repositories[0])
		r.facts.Expires = rotation.expires
	}
	if err := rotation.store(bounded, rotation.token, rotation.expires); err != nil {
		return err
	}
	return rotation.test(ctx)
}

// look reads what there is and shows the plan.
func (r *rotation) look(ctx context.Context) error {
	end := r.on.Group("Check")
	d := reconcile.Desired{Scope: r.config.Scope, Team: r.config.Team, SecretName: r.config.SecretName}
	observed, err := reconcile.ObserveUsers(ctx, r.oz, d, func(commands []string) bool {
		return slices.ContainsFunc(commands, func(command string) bool { return setup.Reads(command, d.SecretName) })
	})
	end()
	if err != nil {
		return err
	}
	if r.plan, err = reconcile.DiffRotation(d, observed); err != nil {
		return err
	}
	if r.radius, err = reach(r.config, r.plan.Users); err != nil {
		return err
	}
	r.plan.Warnings = append(r.plan.Warnings, r.radius.warnings...)
	r.facts.Environments = []report.Environment{}
	for _, t := range r.radius.targets {
		r.facts.Environments = append(r.facts.Environments, report.Environment{ID: t.UID, Name: t.Model.Name(), Verdict: smoketest.Skipped})
	}
	r.facts.Plan, r.facts.Now, r.facts.Expires = &r.plan, r.plan.At, r.expires

	defer r.on.Group("Plan")()
	for _, line := range report.PlanText(r.plan) {
		r.log.Info(line)
	}
	for _, repository := range r.radius.repositories {
		r.log.Info("the token has to clone " + repository.CloneURL())
	}
	for _, warning := range r.plan.Warnings {
		r.log.Warn(warning)
	}
	return nil
}

// prove proves a token, and the previous one if there is one, against every
// repository of the radius.
func (r *rotation) prove(ctx context.Context, what string, token sensitive.String) error {
	defer r.on.Group("Prove")()
	if len(r.radius.repositories) == 0 || !r.config.VerifyToken {
		r.log.Warn("nothing proves " + what + " before it is stored")
		return nil
	}
	if err := r.proveOne(ctx, what, token); err != nil {
		return err
	}
	if previous := r.config.Rotation.PreviousToken; !previous.IsEmpty() {
		return r.proveOne(ctx, "previous_token", previous)
	}
	return nil
}

func (r *rotation) proveOne(ctx context.Context, what string, token sensitive.String) error {
	as := preflight.Token{Kind: r.radius.kind, Certain: true}
	proof, err := preflight.Check(ctx, r.api.Client(token), r.radius.repositories, as, "", r.config.RequireWrite)
	if err != nil {
		return fmt.Errorf("%s does not serve every environment: %w", what, err)
	}
	r.facts.Head = proof.Head
	r.log.Info(fmt.Sprintf("%s can clone %d repositories", what, len(r.radius.repositories)))
	for _, warning := range proof.Warnings {
		r.log.Warn(warning)
	}
	return nil
}

// store overwrites the secret's value.
func (r *rotation) store(ctx context.Context, token sensitive.String, expires time.Time) error {
	defer r.on.Group("Apply")()
	applier := reconcile.Applier{Reader: r.oz, Writer: r.oz, Seal: seal.RawValue, Log: r.log}
	change, err := applier.Rotate(ctx, r.plan, token, expires)
	r.facts.Applied.Secret = change
	switch {
	case err != nil && errors.Is(err, warp.ErrAnswerLost):
		return fmt.Errorf("%w\nnobody knows which value is stored now; both work at Bitbucket; run again to converge", err)
	case err != nil:
		return fmt.Errorf("%w\nthe value that was stored is stored still", err)
	}
	return nil
}

// abreast bounds how many smoke tests run at the same time.
const abreast = 4

// test runs the smoke tests and, when the token may be why one did not pass,
// writes the previous value back.
func (r *rotation) test(ctx context.Context) error {
	r.facts.Verdict = r.smokeTests(ctx, r.token)
	switch result := r.facts.Verdict.Result; {
	case result == smoketest.Passed, result == smoketest.Skipped:
		return nil
	case r.facts.Verdict.Suspect:
		return r.rollBack(ctx)
	}
	r.facts.Stored = "the new value is stored"
	return nil
}

// rollBack writes the previous value back and proves it again. Without one the
// new value stays, and the message says so.
func (r *rotation) rollBack(ctx context.Context) error {
	previous := r.config.Rotation.PreviousToken
	if previous.IsEmpty() {
		r.facts.Stored = "the new value is stored; without previous_token there is nothing to write back"
		return nil
	}
	r.log.Warn("writing the previous value back: " + r.facts.Verdict.Reason)
	bounded, cancel := context.WithTimeout(ctx, wholeTimeout)
	defer cancel()
	if err := r.store(bounded, previous, time.Time{}); err != nil {
		r.facts.Stored = "the new value is stored, unless the answer to writing the previous one back was lost"
		r.log.Error(err.Error())
		return nil
	}
	r.facts.RolledBack, r.facts.Expires = true, time.Time{}
	r.facts.Stored = "the previous value is stored again"
	if again := r.smokeTests(ctx, previous); again.Result != smoketest.Passed {
		r.facts.Stored += fmt.Sprintf(", and its smoke test did not pass either (%s: %s)", again.Result, again.Reason)
	}
	return nil
}

// smokeTests tests the first environment or each of them, and returns the worst
// verdict.
func (r *rotation) smokeTests(ctx context.Context, token sensitive.String) smoketest.Verdict {
	targets := slices.DeleteFunc(slices.Clone(r.radius.targets), func(t target) bool { return len(t.uses) == 0 })
	if !r.config.SmokeTestAll {
		targets = targets[:min(1, len(targets))]
	}
	if !r.config.SmokeTest || len(targets) == 0 {
		return smoketest.Verdict{Result: smoketest.Skipped}
	}
	defer r.on.Group("Smoke test")()
	verdicts := make([]smoketest.Verdict, len(targets))
	var group errgroup.Group
	group.SetLimit(abreast)
	for i, t := range targets {
		group.Go(func() error {
			verdicts[i] = r.testOne(ctx, t, token)
			return nil
		})
	}
	_ = group.Wait() // a verdict is no error
	for i, t := range targets {
		at := slices.IndexFunc(r.facts.Environments, func(e report.Environment) bool { return e.ID == t.UID })
		r.facts.Environments[at].Verdict = verdicts[i].Result
	}
	return smoketest.Worst(verdicts)
}

func (r *rotation) testOne(ctx context.Context, t target, token sensitive.String) smoketest.Verdict {
	primary := t.uses[0]
	api := r.api.Client(token)
	as := bitbucket.Login{User: r.radius.kind.User(), Bearer: r.radius.kind == bitbucket.HTTPAccessToken}
	now := func(ctx context.Context) (string, error) {
		refs, err := api.ListRefs(ctx, primary.Repository, bitbucket.UploadPack, as, primary.Branch)
		return refs.Commit(primary.Branch), err
	}
	commit, err := now(ctx)
	if err != nil && !errors.Is(err, bitbucket.ErrNotAsked) { // without a commit the run's own state decides
		return smoketest.Verdict{Result: smoketest.Failed, Reason: fmt.Sprintf("look up the commit of %s: %v", primary.Repository.CloneURL(), err)}
	}
	listed, _ := t.Model.Secrets()
	if !slices.Contains(listed, r.config.SecretName) {
		listed = append(slices.Clip(listed), r.config.SecretName)
	}
	test := smoketest.Test{
		EnvironmentID: t.UID, EnvironmentName: t.Model.Name(),
		Team:      t.Owner.Type == warp.TeamOwner,
		Secrets:   listed,
		Directory: primary.Repository.Directory(),
		Prompt:    r.config.SmokeTestPrompt, Model: r.config.SmokeTestModel,
		Commands: commands(t.Model.SetupCommands(), r.config.SecretName),
		Commit:   commit, Now: now,
		Timeout: r.config.SmokeTestTimeout, Attempt: uuid.NewString(),
	}
	return test.Run(ctx, r.oz.For(t.Owner), r.log.With("environment", t.Model.Name()))
}
