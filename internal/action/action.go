// Package action is the pipeline: the only room that knows the order of things.
// Values pass one way, from inputs to an exit code.
package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/seal"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
)

// Exit codes.
const (
	ExitOK        = 0 // converged, and the smoke test passed or was switched off; or a plan was shown
	ExitFailed    = 1 // Bitbucket or Oz refused or failed
	ExitInputs    = 2 // the inputs are wrong, and nothing was touched
	ExitSmokeTest = 3 // applied, but the smoke test did not pass
	ExitChanges   = 4 // a plan with detailed_exitcode would change something
	exitSignal    = 128
)

// wholeTimeout bounds everything but the smoke test.
const wholeTimeout = 5 * time.Minute

// Interrupted is the cause of a context that ended with a signal; its value is
// the signal's number.
type Interrupted int

// Error names the signal.
func (i Interrupted) Error() string { return fmt.Sprintf("interrupted by signal %d", int(i)) }

// Main runs the program: read, observe, plan, apply, smoke test, report. It
// returns the exit code. The first of args is the mode, --help or --version.
// When ctx ends with an Interrupted, what is under way is finished or taken back,
// and the outputs say how far it got.
func Main(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		return flag(args[0], stdout, stderr)
	}
	on := platform.Detect(environ, stdout, stderr)
	log := on.Log()
	c, err := read(on, log, args)
	facts := report.Facts{
		DryRun:          c.Mode == config.Plan,
		SecretName:      c.SecretName,
		EnvironmentName: c.EnvironmentName,
		Err:             err,
	}
	on.Mask(facts.Outputs(), c.Secrets()...)
	if err == nil {
		r := run{config: c, on: on, log: log, facts: &facts, environ: environ}
		if facts.Err = r.all(ctx); facts.Err == nil {
			facts.Err = r.expiry()
		}
	}
	facts.ExitCode = exitCode(ctx, c, facts)
	tell(log, facts)
	if err := on.Emit(facts, c.OutputFile); err != nil {
		log.Error(err.Error())
		return max(facts.ExitCode, ExitFailed)
	}
	return facts.ExitCode
}

// read gathers the inputs and validates them.
func read(on platform.Platform, log *slog.Logger, args []string) (config.Config, error) {
	var names []string
	for _, input := range config.Inputs() {
		names = append(names, input.Name)
	}
	inputs := on.Inputs(names, strings.Join(args[:min(1, len(args))], ""))
	log.Debug(fmt.Sprintf("oz-bitbucket %s, given %s", Version(), strings.Join(slices.Sorted(maps.Keys(inputs)), ", ")))
	c, err := config.Parse(inputs, on.ReadFile)
	if len(args) > 1 {
		var list problem.List
		list.Addf("", "the only argument is the mode; everything else is an environment variable", "%d arguments are too many", len(args))
		for _, found := range problem.All(err) {
			list.Add(found.Input, found.Summary, found.Remedy)
		}
		err = list.Err()
	}
	return c, err
}

// run is one run of the pipeline with valid inputs.
type run struct {
	config config.Config
	on     platform.Platform
	log    *slog.Logger
	facts  *report.Facts

	environ []string // for the proxy variables
	api     *bitbucketapi.API
}

// all is the whole of the program in order. What it gets to know goes into
// facts as it goes.
func (r run) all(ctx context.Context) error {
	clients, err := transport.New(transport.Options{CACertificates: r.config.CACertificate, UserAgent: "oz-bitbucket/" + Version(), Log: r.log, Environ: r.environ})
	if err != nil {
		return err
	}
	r.api = bitbucketapi.New(clients)
	oz := warpapi.New(r.config.WarpServerURL, r.config.WarpAPIKey, clients, Version())
	if r.config.Mode == config.Rotate {
		return r.rotate(ctx, oz)
	}
	bitbucket := r.api.Client(r.config.Token)

	bounded, cancel := context.WithTimeoutCause(ctx, wholeTimeout, fmt.Errorf("it took longer than %s", wholeTimeout))
	defer cancel()
	plan, proof, err := r.plan(bounded, oz, bitbucket)
	if err != nil || r.config.Mode == config.Plan {
		return err
	}
	if err := r.apply(bounded, oz, plan); err != nil {
		return err
	}
	return r.smokeTest(ctx, oz.For(plan.Owner), bitbucket, plan, proof)
}

// plan reads what there is and shows what would change.
func (r run) plan(ctx context.Context, oz *warpapi.Client, bitbucket *bitbucketapi.Client) (reconcile.Plan, preflight.Proof, error) {
	proof, observed, err := r.look(ctx, oz, bitbucket)
	if err != nil {
		return reconcile.Plan{}, proof, err
	}
	if r.config.SmokeTest && smoketest.Names(r.config.SmokeTestPrompt, proof.Head) {
		return reconcile.Plan{}, proof, fmt.Errorf("smoke_test_prompt names %s, the commit that the agent has to find by itself; take it out", proof.Head)
	}
	want := desired(r.config, proof)
	want.Expires = r.facts.Expires
	plan, err := reconcile.Diff(want, observed)
	if err != nil {
		return plan, proof, err
	}
	plan.Warnings = slices.Concat(r.config.Warnings, proof.Warnings, plan.Warnings)
	r.facts.Plan, r.facts.Now = &plan, plan.At
	if r.facts.DryRun && r.facts.Expires.IsZero() {
		r.facts.Expires = plan.Secret.Was.Expires
	}

	defer r.on.Group("Plan")()
	for _, line := range report.PlanText(plan) {
		r.log.Info(line)
	}
	for _, warning := range plan.Warnings {
		r.log.Warn(warning)
	}
	return plan, proof, nil
}

// look proves the token and observes Oz at the same time.
func (r run) look(ctx context.Context, oz *warpapi.Client, bitbucket *bitbucketapi.Client) (preflight.Proof, reconcile.Observed, error) {
	defer r.on.Group("Check")()
	var (
		proof    = preflight.Proof{Kind: r.config.TokenKind}
		observed reconcile.Observed
	)
	r.facts.Expires = r.config.TokenExpiresAt
	reads, within := errgroup.WithContext(ctx)
	if r.config.VerifyToken && !r.config.Token.IsEmpty() {
		reads.Go(func() (err error) {
			token := preflight.Token{Kind: r.config.TokenKind, Certain: r.config.KindCertain}
			proof, err = preflight.Check(within, bitbucket, r.config.Repositories, token, r.config.Branch, r.config.RequireWrite)
			if err == nil {
				r.facts.Expires = r.reportedExpiry(within, r.config.Primary())
			}
			return err
		})
	}
	reads.Go(func() (err error) {
		observed, err = reconcile.Observe(within, oz, desired(r.config, preflight.Proof{}))
		return err
	})
	if err := reads.Wait(); err != nil {
		return proof, observed, err
	}
	r.facts.Head = proof.Head
	if proof.Head != "" {
		r.log.Info(fmt.Sprintf("the token can clone %s, which is at %s", r.config.Primary().CloneURL(), proof.Head))
	}
	return proof, observed, nil
}

// apply writes what the plan says.
func (r run) apply(ctx context.Context, oz *warpapi.Client, plan reconcile.Plan) (err error) {
	defer r.on.Group("Apply")()
	applier := reconcile.Applier{Reader: oz, Writer: oz, Seal: seal.RawValue, Log: r.log}
	r.facts.Applied, err = applier.Apply(ctx, plan, r.config.Token)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, written(r.facts.Applied))
	}
	return nil
}

// written says what was and what was not written before a failure.
func written(a reconcile.Applied) string {
	switch {
	case a.Secret == "":
		return "nothing is known to be written; run again to converge"
	case a.Environment == "":
		return "the secret is written, the environment is not known to be; run again to converge"
	}
	return fmt.Sprintf("the secret is written, and environment %s too; run again to converge", a.EnvironmentID)
}

// smokeTest runs an agent in the environment. A test that does not pass is in
// the facts, not an error.
func (r run) smokeTest(ctx context.Context, oz *warpapi.Client, api *bitbucketapi.Client, plan reconcile.Plan, proof preflight.Proof) error {
	if !r.config.SmokeTest {
		r.facts.Verdict = smoketest.Verdict{Result: smoketest.Skipped}
		return nil
	}
	defer r.on.Group("Smoke test")()
	primary := r.config.Primary()
	test := smoketest.Test{
		EnvironmentID:   r.facts.Applied.EnvironmentID,
		EnvironmentName: r.facts.Applied.EnvironmentName,
		Team:            plan.Owner.Type == warp.TeamOwner,
		Secrets:         secretNames(r.config),
		Directory:       primary.Directory(),
		Prompt:          r.config.SmokeTestPrompt,
		Model:           r.config.SmokeTestModel,
		Commands:        commands(desired(r.config, proof).SetupCommands(nil), r.config.SecretName),
		Commit:          proof.Head,
		Timeout:         r.config.SmokeTestTimeout,
		Attempt:         uuid.NewString(),
	}
	if proof.Head != "" { // else nothing was proved, or there is no commit
		test.Now = func(ctx context.Context) (string, error) {
			as := bitbucket.Login{User: proof.Kind.User(), Bearer: proof.Kind == bitbucket.HTTPAccessToken}
			refs, err := api.ListRefs(ctx, primary, bitbucket.UploadPack, as, r.config.Branch)
			return refs.Commit(r.config.Branch), err
		}
	}
	r.facts.Verdict = test.Run(ctx, oz, r.log)
	return nil
}

// commands are setup commands with what the smoke test has to know of them.
func commands(texts []string, secret string) []smoketest.Command {
	var list []smoketest.Command
	for _, text := range texts {
		list = append(list, smoketest.Command{Text: text, Token: setup.Reads(text, secret), Clone: len(setup.Uses(text, secret)) > 0})
	}
	return list
}

// exitCode is what the facts come to.
func exitCode(ctx context.Context, c config.Config, f report.Facts) int {
	var signal Interrupted
	switch {
	case problem.All(f.Err) != nil:
		return ExitInputs
	case errors.As(context.Cause(ctx), &signal):
		return exitSignal + int(signal)
	case f.Err != nil:
		return ExitFailed
	case f.DryRun && c.DetailedExitcode && f.Plan.Changes():
		return ExitChanges
	case f.DryRun, f.Verdict.Result == smoketest.Passed, f.Verdict.Result == smoketest.Skipped:
		return ExitOK
	}
	return ExitSmokeTest
}

// tell ends the log with what came of it: one error, or one for each mistake in
// the inputs.
func tell(log *slog.Logger, f report.Facts) {
	problems := problem.All(f.Err)
	for _, p := range problems {
		log.Error(p.Error())
	}
	switch {
	case f.Err != nil && problems == nil:
		log.Error(f.Err.Error())
	case f.Stored != "":
		log.Error(fmt.Sprintf("smoke test %s: %s; %s", f.Verdict.Result, f.Verdict.Reason, f.Stored))
	case f.Verdict.Reason != "" && f.ExitCode == ExitOK:
		log.Info(fmt.Sprintf("smoke test %s: %s", f.Verdict.Result, f.Verdict.Reason))
	case f.Verdict.Reason != "":
		log.Error(fmt.Sprintf("smoke test %s: %s", f.Verdict.Result, f.Verdict.Reason))
	}
	if usage := f.Usage(); usage != "" {
		log.Info(usage)
	}
}
