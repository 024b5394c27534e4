// Package action is the pipeline. Only this package knows the order of the stages.
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
	"sync/atomic"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
)

// Exit codes.
const (
	ExitOK        = 0 // applied, and the smoke test passed or was switched off; or a plan was shown
	ExitFailed    = 1 // Bitbucket or Oz refused or failed
	ExitInputs    = 2 // the inputs are wrong, and nothing was touched
	ExitSmokeTest = 3 // applied, but the smoke test did not pass
	ExitChanges   = 4 // a plan with detailed_exitcode would change something
	exitSignal    = 128
)

const (
	// wholeTimeout bounds everything but the smoke test of one entry.
	wholeTimeout = 5 * time.Minute
	// entryTimeout is what each further entry of the same secret adds.
	entryTimeout = 20 * time.Second
)

// ozHost is where Oz is unless an input says otherwise.
const ozHost = "app.warp.dev"

// Main runs the program: read, observe, plan, apply, smoke test, report. It returns
// the exit code. The first of args is the mode, a question (help, version or schema),
// or import. When the cause of ctx's end is an Interrupted, Main finishes or takes back
// what is under way, and the outputs say how far the job got.
func Main(ctx context.Context, args, environ []string, stdout, stderr io.Writer) (code int) {
	if len(args) > 0 && isQuestion(args[0]) {
		return flag(args[0], stdout, stderr)
	}
	if len(args) > 0 && args[0] == importCommand {
		return importManifest(ctx, args, environ, stdout, stderr)
	}
	on := platform.Detect(environ, stdout, stderr)
	on.Mask(nil, transport.ProxyPasswords(environ)...)
	log := on.Log()
	defer told(log, &code)
	platform.Capture(log)
	job, err := read(on, log, args, environ)
	var entry config.Entry // empty when the inputs could not be read, and where there are many
	if len(job.Entries) == 1 {
		entry = job.Entries[0]
	}
	facts := report.Facts{
		Mode:            string(job.Mode),
		Manifest:        job.Manifest,
		DryRun:          job.DryRun,
		SecretName:      entry.SecretName,
		EnvironmentID:   entry.EnvironmentID,
		EnvironmentName: entry.EnvironmentName,
		Expires:         entry.TokenExpiresAt,
		Now:             on.Began(),
		Err:             err,
	}
	if job.Mode != config.Rotate { // a rotation also covers environments without an entry
		facts.Places = []string{entry.Place}
	}
	on.Mask(facts.Outputs(), job.Secrets()...)
	if err != nil {
		for _, entry := range job.Entries {
			warn(log, entry.Warnings) // one of them may explain the error
		}
	} else {
		facts = start(ctx, job, on, environ, facts)
	}
	facts.ExitCode = exitCode(ctx, job, facts)
	tell(log, facts)
	if err := on.WriteReport(facts, job.ReportFile); err != nil {
		log.Error(err.Error())
		facts.ExitCode = max(facts.ExitCode, ExitFailed)
	}
	if err := on.Emit(facts, job.OutputFile); err != nil {
		log.Error(err.Error())
		facts.ExitCode = max(facts.ExitCode, ExitFailed)
	}
	review(ctx, on, facts)
	return facts.ExitCode
}

// read gathers the inputs and validates them.
func read(on platform.Platform, log *slog.Logger, args, environ []string) (config.Job, error) {
	var names []string
	for _, input := range config.Inputs() {
		names = append(names, input.Name)
	}
	inputs := on.Inputs(names, strings.Join(args[:min(1, len(args))], ""))
	log.Debug(fmt.Sprintf("oz-bitbucket %s, given %s", Version(), strings.Join(slices.Sorted(maps.Keys(inputs)), ", ")))
	job, err := config.Parse(inputs, on.ReadFile, on.Variable)
	mistyped(on, names, &job)
	var list problem.List
	surroundings(args, environ, &list)
	if list.Err() == nil {
		return job, err
	}
	list.Append(problem.All(err)...)
	return job, list.Err()
}

// mistyped adds to a job the warnings about variables that are nearly an input's name, and
// about inputs that are not read.
func mistyped(on platform.Platform, names []string, job *config.Job) {
	var strays []config.Stray
	for _, stray := range on.Strays(names) {
		if !slices.Contains(job.Variables, stray.Name) {
			strays = append(strays, config.Stray(stray))
		}
	}
	warnings, pasted := config.Mistyped(strays)
	job.Pasted = append(job.Pasted, pasted...)
	ignored, beside := on.Ignored(names)
	ignored = slices.DeleteFunc(ignored, func(name string) bool { return slices.Contains(job.Variables, name) })
	if len(ignored) > 0 {
		warnings = append(warnings, fmt.Sprintf("set and ignored: %s; because %s is set, inputs are read in that spelling only: use one spelling for all of them", strings.Join(ignored, ", "), beside))
	}
	if len(job.Entries) > 0 { // once for the whole job
		job.Entries[0].Warnings = append(warnings, job.Entries[0].Warnings...)
	}
}

// start makes the clients of Oz and Bitbucket and runs the pipeline.
func start(ctx context.Context, job config.Job, on platform.Platform, environ []string, f report.Facts) report.Facts {
	clients, err := transport.New(transport.Options{
		CACertificates: job.CACertificate, UserAgent: "oz-bitbucket/" + Version(), Log: on.Log(), Environ: environ, Multiplexed: ozHost,
	})
	if f.Err = err; err != nil {
		return f
	}
	defer clients.Close()
	if len(job.Entries) == 0 {
		on.Log().Info("this part of the manifest is empty, so there is nothing to do; entries whose secrets have the same name are in the same part")
		f.Plan, f.Many, f.Verdict.Result = &reconcile.Plan{Mode: mode(job.Mode)}, true, smoketest.Skipped
		return f
	}
	oz := warpapi.New(job.WarpServerURL, job.WarpAPIKey, clients, Version(), on.Log())
	r := run{
		job: job, entries: job.Entries, entry: job.Entries[0], on: on, log: on.Log(),
		oz: oz, reader: oz, bitbucket: bitbucketapi.New(clients), started: new(atomic.Int64), road: roadOf(ctx, oz),
		slots: make(reconcile.Slots, job.Concurrency),
	}
	if !r.alone() {
		return r.fleet(ctx, f)
	}
	r.dial()
	return r.alarm(r.all(ctx, f))
}

// exitCode returns the exit code that the facts lead to.
func exitCode(ctx context.Context, job config.Job, f report.Facts) int {
	var signal Interrupted
	switch {
	case problem.All(f.Err) != nil:
		return ExitInputs
	case errors.As(context.Cause(ctx), &signal):
		return exitSignal + int(signal)
	case f.Err != nil:
		return ExitFailed
	case f.DryRun && job.DetailedExitcode && (f.Plan.Changes() || f.FactoryChanged == "true"):
		return ExitChanges
	case f.DryRun, f.Verdict.Result.IsGood():
		return ExitOK
	}
	return ExitSmokeTest
}

// tell ends the log with the result: one error, or one for each mistake in the inputs.
// The last lines say what the reader can do now.
func tell(log *slog.Logger, f report.Facts) {
	if usage := f.Usage(); usage != "" {
		log.Info(usage)
	}
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
	if f.IsInterrupted() && f.Err == nil { // in the smoke test, or at the very end
		log.Error(interruption{written(f), nil}.Error())
	}
	for _, line := range f.Closing() {
		log.Info(line)
	}
}
