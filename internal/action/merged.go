package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// row is an environment of one part in the order of the job.
type row struct {
	place   int
	where   string // in the manifest; empty for an environment of no entry
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
		at, where := p.at(i, planned.UID, planned.Name)
		list[i] = row{place: p.places[at], where: where, planned: planned.From(secret)}
		if i < len(w.Applied.Environments) {
			list[i].stored = w.Applied.Environments[i]
		}
		if i < len(w.Tests) {
			list[i].verdict = w.Tests[i]
		}
		if w.Err != nil && !w.Expiring && planned.Err == nil && list[i].stored.Failure() == nil {
			list[i].planned = list[i].planned.Failed(w.Err)
		}
		list[i] = list[i].unlessStopped()
	}
	return list
}

// unlessStopped takes back what only says that the job was stopped: the environment was not
// reached. An answer that was lost meanwhile is a failure.
func (r row) unlessStopped() row {
	if r.stored.Change != "" {
		return r
	}
	r.stored.Err, r.planned.Err = unlessStop(r.stored.Err), unlessStop(r.planned.Err)
	return r
}

// at is which of the part's entries an environment of its plan belongs to, and where in the
// manifest that is. A rotation is about every environment that reads the secret; those of no
// entry come after the others and are nowhere.
func (p *part) at(environment int, uid, name string) (entry int, where string) {
	last := len(p.named) - 1
	if mode(p.job.Mode) != reconcile.Rotation {
		entry = min(environment, last)
		return entry, p.named[entry].Place
	}
	for i, e := range p.named {
		if id := e.EnvironmentID; id != "" && id == uid || id == "" && e.Name() == name {
			return i, e.Place
		}
	}
	return last, ""
}

// merged are the facts of all parts together, in the order of the entries, and how many
// of these failed.
func merged(f report.Facts, plan reconcile.Plan, parts []*part) (all report.Facts, failed int) {
	f.Places = nil
	var rows []row
	var verdicts []smoketest.Verdict
	for _, p := range parts {
		w := p.work
		secrets, at := p.secrets(), len(plan.Secrets)
		if len(secrets) == 1 { // several parts are about it where each has one entry
			known := func(s reconcile.SecretPlan) bool { return s.Credential == secrets[0].Credential }
			if i := slices.IndexFunc(plan.Secrets, known); i >= 0 {
				at = i
			}
		}
		rows = append(rows, p.rows(at)...)
		if at < len(plan.Secrets) {
			if c := secrets[0].Change; c == reconcile.Delete || plan.Secrets[at].Change == "" {
				plan.Secrets[at].Change = c
			}
			for _, stored := range w.Applied.Secrets { // of the one secret
				if first := &f.Applied.Secrets[at]; stored.Change == reconcile.Delete || stored.Err != nil || first.Change == "" && first.Err == nil {
					*first = stored
				}
			}
			secrets, w.Applied.Secrets = nil, nil
		}
		if w.Plan != nil {
			plan.At, plan.Caller = w.Plan.At, w.Plan.Caller
			plan.Secrets = append(plan.Secrets, secrets...)
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
		f.Places = append(f.Places, r.where)
		if !f.DryRun {
			f.Applied.Environments = append(f.Applied.Environments, r.stored)
		}
		if cmp.Or(r.planned.Err, r.stored.Failure()) != nil {
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

// secrets are those of the plan. One that is not written, because the part has ended, has
// no change.
func (p *part) secrets() []reconcile.SecretPlan {
	if p.work.Plan == nil {
		return nil
	}
	list := slices.Clone(p.work.Plan.Secrets)
	if p.work.Err == nil || p.work.Expiring || len(p.work.Applied.Secrets) > 0 {
		return list
	}
	for i := range list {
		list[i].Change = ""
	}
	return list
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
func (r run) ended(ctx context.Context, f report.Facts, parts []*part) report.Facts {
	stopped := errors.As(context.Cause(ctx), new(Interrupted))
	var expiring []error
	for _, p := range parts {
		p.work.Facts = p.alarm(p.work.Facts)
		switch err := p.work.Err; {
		case p.work.Expiring:
			expiring = append(expiring, err)
		case err != nil && !errors.Is(err, errNoneLeft) && !(stopped && isStop(err)): // which is told once
			p.log.Error(fmt.Sprintf("%s: %v", p.about(), err))
		case p.work.Stored != "":
			p.log.Error(fmt.Sprintf("smoke test %s: %s; %s", p.work.Verdict.Result, p.work.Verdict.Reason, p.work.Stored))
		}
		p.tellEntries()
	}
	f, failed := merged(f, r.noted(parts), parts)
	switch {
	case stopped && failed > 0:
		f.Err = fmt.Errorf("interrupted; %s; %d of %s failed", written(f), failed, plural.Of(len(f.Plan.Environments), "environment"))
	case stopped && slices.ContainsFunc(parts, func(p *part) bool { return isStop(p.work.Err) }):
		f.Err = interruption{written(f), context.Cause(ctx)}
	case failed > 0:
		f.Err = fmt.Errorf("%d of %s failed", failed, plural.Of(len(f.Plan.Environments), "environment"))
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
			err = cmp.Or(err, p.work.Applied.Environments[i].Failure())
		}
		if err = unlessStop(err); err != nil {
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
