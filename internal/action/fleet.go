package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/grace"
	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// part is the run over some of a job's entries, and where it stands.
type part struct {
	run
	named  []config.Entry // its entries as the file has them
	places []int          // of these among the job's
	work   work

	applied reconcile.Applied // before it was seen what others did
}

// fleet runs the pipeline over many entries. What one of them gets wrong ends neither the
// others nor their outputs. An apply plans and proves everything before anything is
// written; entries that share a secret go through it together, for the secret is written
// once. A rotation goes from secret to secret. A test and a removal go from entry to
// entry.
func (r run) fleet(ctx context.Context, f report.Facts) report.Facts {
	r.share = reconcile.Share(ctx, r.oz, mode(r.job.Mode), r.desired(preflight.Proof{}))
	parts := r.parts(ctx, f)
	switch mode(r.job.Mode) {
	case reconcile.Provision:
		r.provision(ctx, parts)
	case reconcile.Verification:
		r.each("Smoke test", parts, testsAbreast, func(p *part) { p.work = p.whole(ctx) })
	default:
		r.each(phases[mode(r.job.Mode)], parts, 1, func(p *part) { p.work = p.whole(ctx) })
	}
	return r.ended(f, parts)
}

// parts divides the entries: by their secret in an apply and a rotation, else one by one.
// The owner of a secret is asked of Oz, for a team has a name and a UID.
func (r run) parts(ctx context.Context, f report.Facts) []*part {
	caller, unknown := r.share.New().GetCaller(ctx) // whose error each plan meets again
	type key struct {
		owner  warp.Owner
		team   string
		secret string
		only   int
	}
	var list []*part
	known := map[key]*part{}
	for i, entry := range r.entries {
		k := key{secret: entry.SecretName}
		owner, err := desired(r.job, entry, preflight.Proof{}).Owner(caller)
		switch k.owner = owner; {
		case mode(r.job.Mode) == reconcile.Verification, mode(r.job.Mode) == reconcile.Removal:
			k.only = i
		case err != nil || unknown != nil:
			k.owner.Type, k.team = entry.Scope, entry.Team
		}
		p := known[k]
		if p == nil {
			p = &part{run: r}
			p.reader, p.on = r.share.New(), ungrouped{r.on}
			known[k] = p
			list = append(list, p)
		}
		p.named, p.places = append(p.named, entry), append(p.places, i)
	}
	for _, p := range list {
		p.prepare(f)
	}
	return list
}

// prepare makes a part ready to run. The entries of a rotation become one.
func (p *part) prepare(f report.Facts) {
	p.entries, p.entry = p.named, p.named[0]
	switch mode(p.job.Mode) {
	case reconcile.Rotation:
		p.entry, p.reads = together(p.named)
		p.entries = []config.Entry{p.entry}
		p.reader, p.log = p.oz, p.log.With("secret", p.entry.SecretName)
	case reconcile.Removal:
		p.reader, p.log = p.oz, p.log.With("environment", p.name()) // what goes before changes what is there
	case reconcile.Verification:
		p.log = p.log.With("environment", p.name())
	}
	p.work = work{Facts: f, token: reconcile.Token{Value: p.entry.Token, Expires: p.entry.TokenExpiresAt}}
	p.work.SecretName, p.work.EnvironmentID, p.work.EnvironmentName, p.work.Expires =
		p.entry.SecretName, p.entry.EnvironmentID, p.entry.EnvironmentName, p.entry.TokenExpiresAt
}

// together is one entry about what any of several clones, with the care that any of them
// wants, and the repositories that none of them pushes to.
func together(entries []config.Entry) (all config.Entry, reads []bitbucket.Repository) {
	all = entries[0]
	all.EnvironmentID, all.EnvironmentName = "", ""
	var pushed []bitbucket.Repository
	for _, e := range entries[1:] {
		all.Repositories = slices.Concat(all.Repositories, e.Repositories)
		all.VerifyToken = all.VerifyToken || e.VerifyToken
		all.RequireWrite = all.RequireWrite || e.RequireWrite
		all.AllowHTTP = all.AllowHTTP || e.AllowHTTP
		all.SmokeTest = all.SmokeTest || e.SmokeTest
		if e.OnSharedSecret != config.Warn {
			all.OnSharedSecret = e.OnSharedSecret
		}
	}
	for _, e := range entries {
		if e.RequireWrite {
			pushed = append(pushed, e.Repositories...)
		}
	}
	for _, r := range all.Repositories {
		if !slices.ContainsFunc(pushed, r.Same) {
			reads = append(reads, r)
		}
	}
	return all, reads
}

// name is the environment that a part's first entry names.
func (p *part) name() string {
	if p.entry.EnvironmentName == "" {
		return p.entry.EnvironmentID
	}
	return p.entry.EnvironmentName
}

// whole runs one part by itself. Told to stop, it begins nothing.
func (p *part) whole(ctx context.Context) work {
	if ctx.Err() != nil {
		p.work.Err = context.Cause(ctx)
		return p.work
	}
	return work{Facts: p.all(ctx, p.work.Facts)}
}

// provision plans and proves every part, shows the plan as a whole, and then writes and
// tests. A part whose plan is overtaken meanwhile plans again by itself.
func (r run) provision(ctx context.Context, parts []*part) {
	end := r.on.Group("Check")
	r.look(ctx, parts)
	r.each("Check", parts, r.job.Concurrency, func(p *part) {
		bounded, cancel := p.bounded(ctx)
		defer cancel()
		if p.work = p.plan(bounded, p.work); p.work.Err == nil {
			p.work = p.prove(bounded, p.work)
		}
	})
	for _, p := range parts {
		if p.work.Err == nil && p.ends != nil { // after every proof
			p.work.token.Expires = p.expires(ctx, p.work.token, p.work.proof)
			p.work.Expires = p.work.token.Expires
		}
		if p.work.Plan != nil {
			p.work = p.learn(p.work)
		}
	}
	end()
	refuseTwice(parts)
	acquaint(parts)
	r.showAll(parts)
	if r.job.DryRun {
		return
	}
	r.writeAll(ctx, parts)
	r.testAll(ctx, parts)
}

// writeAll applies the plans of all parts. Each writes by itself; what others did
// meanwhile is looked at once for all of them, and a part that was overtaken plans again.
func (r run) writeAll(ctx context.Context, parts []*part) {
	defer r.on.Group("Apply")()
	var due []*part
	for _, p := range parts {
		switch {
		case p.work.Err != nil:
		case p.work.Plan.AllFailed():
			p.work.Err = errNoneLeft
		default:
			due = append(due, p)
		}
	}
	bounded, cancel := r.bounded(ctx)
	defer cancel()
	r.each("Apply", due, r.job.Concurrency, func(p *part) {
		p.work.shown = true
		p.applied = p.applier().Write(bounded, *p.work.Plan, []reconcile.Token{p.work.token})
	})
	stopping, stop := grace.After(ctx, takeBack)
	defer stop()
	share := reconcile.Share(stopping, r.oz, reconcile.Provision, nil)
	forAll(due, r.job.Concurrency, func(p *part) {
		done := p.applier().See(bounded, share, *p.work.Plan, p.applied)
		if p.work = p.confirm(p.work, done); errors.Is(p.work.Err, reconcile.ErrRaced) {
			p.reader = p.oz
			p.work = p.converge(ctx, p.work)
		}
	})
}

// look reads and proves, at the same time, what the parts have in common. Its time grows
// with the file; what each part does by itself has a limit of its own.
func (r run) look(ctx context.Context, parts []*part) {
	looking := group.New()
	looking.Go(func() error { r.share.Load(); return nil })
	looking.Go(func() error { r.proveTokens(ctx, parts); return nil })
	_ = looking.Wait() // each part is told what went wrong
}

// refuseTwice puts against entries that they are about one environment, which Oz alone
// can tell: one gives its ID and another one its name. Each would undo the other's work.
func refuseTwice(parts []*part) {
	entries, twice := map[string]int{}, map[string]bool{}
	for _, p := range parts {
		if p.work.Plan == nil {
			continue
		}
		for _, e := range p.work.Plan.Environments {
			entries[e.UID]++
			twice[e.UID] = e.UID != "" && entries[e.UID] > 1
		}
	}
	for _, p := range parts {
		p.twice = twice
		if p.work.Plan != nil {
			p.work.Err = cmp.Or(p.work.Err, p.refuseTwice(p.work.Plan))
		}
	}
}

// refuseTwice does so for one plan. It is an error where such an environment reads the
// secret: nobody has asked whether the token serves it as it stays.
func (r run) refuseTwice(plan *reconcile.Plan) error {
	var list []error
	for i := range plan.Environments {
		e := &plan.Environments[i]
		if !r.twice[e.UID] {
			continue
		}
		err := fmt.Errorf("environment %s is that of another entry too; give each environment one entry", e.User)
		if r.alone() || e.Err == nil && plan.SecretOf(*e).IsReadBy(e.UID) {
			list = append(list, err)
		}
		*e = e.Failed(err)
	}
	return errors.Join(list...)
}

// acquaint tells parts which environments of others will list their secret, so that the
// job is not taken for somebody else. One that clones with it has to be proved.
func acquaint(parts []*part) {
	lists := map[string][]reconcile.EnvironmentPlan{}
	for _, p := range parts {
		if p.work.Plan == nil {
			continue
		}
		for _, e := range p.work.Plan.Environments {
			for _, name := range e.Secrets {
				if name != p.entry.SecretName {
					lists[name] = append(lists[name], e)
				}
			}
		}
	}
	for _, p := range parts {
		for _, e := range lists[p.entry.SecretName] {
			usage := setup.UsageOf(e.Commands, p.entry.SecretName)
			if len(usage.Uses)+len(usage.Opaque)+len(usage.Elsewhere) == 0 {
				p.listing = append(p.listing, e.User)
			}
		}
		if p.work.Plan != nil {
			p.work.Plan.Listing = p.listing
		}
	}
}

// showAll prints the plan of all parts, and what stands against an entry.
func (r run) showAll(parts []*part) {
	defer r.on.Group("Plan")()
	all, _ := merged(report.Facts{}, r.noted(parts), parts)
	r.print(*all.Plan, report.FleetText(*all.Plan))
}

// trial is an environment to test.
type trial struct {
	*part
	at int // in the part's plan
}

// testAll runs the smoke tests of parts that were applied, no more than the inputs allow.
func (r run) testAll(ctx context.Context, parts []*part) {
	var trials []trial
	for _, p := range parts {
		if p.work.Plan == nil {
			continue
		}
		p.work.Tests = make([]smoketest.Verdict, len(p.work.Plan.Environments))
		for i, stored := range p.work.Applied.Environments {
			if stored.Change != "" { // else nobody got as far as a test
				p.work.Tests[i].Result = smoketest.Skipped
			}
		}
		for _, at := range p.due() {
			trials = append(trials, trial{p, at})
		}
	}
	r.try(ctx, trials[:r.admitted(len(trials))])
	for _, p := range parts {
		if len(p.work.Tests) > 0 {
			p.work.Verdict = smoketest.Worst(p.work.Tests)
		}
	}
}

// try runs the smoke tests.
func (r run) try(ctx context.Context, trials []trial) {
	if len(trials) == 0 {
		return
	}
	defer r.on.Group("Smoke test")()
	step, done := r.on.Progress("Smoke test", len(trials))
	defer done()
	testing := group.New()
	testing.SetLimit(testsAbreast)
	for _, t := range trials {
		testing.Go(func() error {
			defer step()
			log := r.log.With("environment", t.work.Plan.Environments[t.at].Name)
			t.work.Tests[t.at] = t.testOne(ctx, t.work, t.at, log)
			return nil
		})
	}
	_ = testing.Wait() // a verdict is no error
}

// due are the environments of a part to test. Of entries that want a test of what has
// changed, they are those that were created or updated, or where there is none of these
// the first, for the secret was written.
func (p *part) due() []int {
	if len(p.work.Applied.Environments) == 0 {
		return nil
	}
	var list, kept []int
	for _, i := range p.chosen(*p.work.Plan, p.work.proof) {
		entry, stored := p.entries[i], p.work.Applied.Environments[i]
		switch {
		case stored.Err != nil, stored.Change == "", !entry.SmokeTest:
		case stored.Change.IsVisible(), !entry.SmokeTestChanged:
			list = append(list, i)
		default:
			kept = append(kept, i)
		}
	}
	if len(list) == 0 {
		return kept[:min(1, len(kept))]
	}
	return list
}

// row is an environment of one part in the order of the job.
type row struct {
	place   int
	planned reconcile.EnvironmentPlan
	stored  reconcile.StoredEnvironment
	verdict smoketest.Verdict
}

// rows are the environments of a part. What ended the part stands against each that
// nothing else stands against.
func (p *part) rows(secret int) []row {
	w := p.work
	if w.Plan == nil || mode(p.job.Mode) == reconcile.Rotation && len(w.Plan.Secrets) == 0 {
		w.Plan = &reconcile.Plan{}
		for _, entry := range p.named {
			w.Plan.Environments = append(w.Plan.Environments, reconcile.Unplanned(entry.EnvironmentID, entry.Name(), w.Err))
		}
	}
	list := make([]row, len(w.Plan.Environments))
	for i, planned := range w.Plan.Environments {
		list[i] = row{place: p.places[p.at(i, planned.UID, planned.Name)], planned: planned.From(secret)}
		if i < len(w.Applied.Environments) {
			list[i].stored = w.Applied.Environments[i]
		}
		if i < len(w.Tests) {
			list[i].verdict = w.Tests[i]
		}
		if w.Err != nil && !w.Expiring && planned.Err == nil && list[i].stored.Err == nil {
			list[i].planned = list[i].planned.Failed(w.Err)
		}
	}
	return list
}

// at is which of the part's entries an environment of its plan belongs to. A rotation is
// about every environment that reads the secret; those of no entry come after the others.
func (p *part) at(environment int, uid, name string) int {
	if mode(p.job.Mode) != reconcile.Rotation {
		return min(environment, len(p.named)-1)
	}
	for i, e := range p.named {
		if id := e.EnvironmentID; id != "" && id == uid || id == "" && e.Name() == name {
			return i
		}
	}
	return len(p.named) - 1
}

// merged are the facts of all parts together, in the order of the entries, and how many
// of these failed.
func merged(f report.Facts, plan reconcile.Plan, parts []*part) (all report.Facts, failed int) {
	var rows []row
	var verdicts []smoketest.Verdict
	for _, p := range parts {
		w := p.work
		rows = append(rows, p.rows(len(plan.Secrets))...)
		if w.Plan != nil {
			plan.At, plan.Caller = w.Plan.At, w.Plan.Caller
			plan.Secrets = append(plan.Secrets, w.Plan.Secrets...)
			plan.Warnings = appendNew(plan.Warnings, w.Plan.Warnings)
			plan.Notes = appendNew(plan.Notes, w.Plan.Notes)
		}
		f.Applied.Secrets = append(f.Applied.Secrets, w.Applied.Secrets...)
		if missing := len(plan.Secrets) - len(f.Applied.Secrets); missing > 0 && !f.DryRun { // of a part that was not applied
			f.Applied.Secrets = append(f.Applied.Secrets, make([]reconcile.StoredSecret, missing)...)
		}
		f.RolledBack = f.RolledBack || w.RolledBack
	}
	slices.SortStableFunc(rows, func(a, b row) int { return a.place - b.place })
	for _, r := range rows {
		plan.Environments = append(plan.Environments, r.planned)
		if !f.DryRun {
			f.Applied.Environments = append(f.Applied.Environments, r.stored)
		}
		if cmp.Or(r.planned.Err, r.stored.Err) != nil {
			failed++
		}
		f.Tests = append(f.Tests, r.verdict)
		if v := r.verdict; v.Result != "" {
			if v.Reason != "" {
				v.Reason = fmt.Sprintf("environment %q: %s", r.planned.Name, v.Reason)
			}
			verdicts = append(verdicts, v)
		}
	}
	if len(verdicts) > 0 {
		f.Verdict = smoketest.Worst(verdicts)
	}
	f.Plan, f.Many = &plan, true
	return f, failed
}

// appendNew appends what is not there yet.
func appendNew(list, more []string) []string {
	for _, text := range more {
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// ended are the facts of a fleet at its end, with one error for all that failed. Each of
// them is told.
func (r run) ended(f report.Facts, parts []*part) report.Facts {
	var expiring []error
	for _, p := range parts {
		p.work.Facts = p.alarm(p.work.Facts)
		switch err := p.work.Err; {
		case p.work.Expiring:
			expiring = append(expiring, err)
		case err != nil && !errors.Is(err, errNoneLeft) && !errors.As(err, new(Interrupted)): // which is told once
			p.log.Error(fmt.Sprintf("%s: %v", p.about(), err))
		case p.work.Stored != "":
			p.log.Error(fmt.Sprintf("smoke test %s: %s; %s", p.work.Verdict.Result, p.work.Verdict.Reason, p.work.Stored))
		}
		p.tellEntries()
	}
	f, failed := merged(f, r.noted(parts), parts)
	switch {
	case failed > 0:
		f.Err = fmt.Errorf("%d of %d environments failed", failed, len(f.Plan.Environments))
	case len(expiring) > 0 && (f.Verdict.Result == "" || f.Verdict.Result.IsGood()):
		f.Err, f.Expiring = errors.Join(expiring...), true
		return f
	}
	for _, err := range expiring { // beside what is worse
		r.log.Warn(err.Error())
	}
	return f
}

// tellEntries logs what stands against single entries.
func (p *part) tellEntries() {
	if p.work.Plan == nil || len(p.entries) == 1 && p.work.Err != nil {
		return // which is the same
	}
	for i, e := range p.work.Plan.Environments {
		err := e.Err
		if i < len(p.work.Applied.Environments) {
			err = cmp.Or(err, p.work.Applied.Environments[i].Err)
		}
		if err != nil {
			p.log.Error(fmt.Sprintf("environment %s: %v", e.User, err))
		}
	}
}

// mostNamed bounds how many environments a note names.
const mostNamed = 20

// noted is a plan of nothing with a note on what the file leaves out.
func (r run) noted(parts []*part) reconcile.Plan {
	plan := reconcile.Plan{Mode: mode(r.job.Mode)}
	if plan.Mode != reconcile.Provision {
		return plan
	}
	type called struct {
		scope warp.OwnerType
		name  string
	}
	elsewhere, ids := map[called]bool{}, map[string]bool{} // in the file, and not in this job
	for _, e := range r.job.Others {
		if ids[e.EnvironmentID] = true; e.EnvironmentID == "" {
			elsewhere[called{e.Scope, e.Name()}] = true
		}
	}
	var plans []reconcile.Plan
	for _, p := range parts {
		if p.work.Plan != nil {
			plans = append(plans, *p.work.Plan)
		}
	}
	var names []string
	for _, user := range r.share.Unmanaged(plans) {
		if !ids[user.UID] && !elsewhere[called{user.Owner.Type, user.Name}] {
			plan.Unmanaged = append(plan.Unmanaged, user)
			names = append(names, user.String())
		}
	}
	if n := len(names); n > mostNamed {
		names = append(names[:mostNamed], fmt.Sprintf("%d more", n-mostNamed))
	}
	if len(names) > 0 {
		plan.Notes = []string{"environments that the file leaves out, and that stay as they are: " + strings.Join(names, ", ")}
	}
	return plan
}

// about names what a part is about in messages.
func (p *part) about() string {
	if len(p.entries) == 1 {
		return fmt.Sprintf("environment %q", p.name())
	}
	return fmt.Sprintf("secret %q, which %d entries share", p.entry.SecretName, len(p.entries))
}

// ungrouped is a platform on which parts that run at the same time print no groups.
type ungrouped struct{ platform.Platform }

// Group begins nothing.
func (ungrouped) Group(string) func() { return func() {} }
