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
	where   string // in the manifest; empty for an environment without an entry
	planned reconcile.EnvironmentPlan
	stored  reconcile.StoredEnvironment
	verdict smoketest.Verdict
}

// rows returns the environments of a part. An environment without an error of its own gets
// the error that ended the part.
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

// unlessStopped removes errors that only say that the job was stopped: the environment was
// not reached. An answer that was lost meanwhile stays an error.
func (r row) unlessStopped() row {
	if r.stored.Change != "" {
		return r
	}
	r.stored.Err, r.planned.Err = unlessStop(r.stored.Err), unlessStop(r.planned.Err)
	return r
}

// at returns the index of the entry that an environment of the part's plan belongs to, and
// the entry's position in the manifest. A rotation covers every environment that reads the
// secret; those without an entry come last and have no position.
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

// merged returns the facts of all parts together, in the order of the entries, and how many
// environments failed.
func merged(f report.Facts, plan reconcile.Plan, parts []*part) (all report.Facts, failed int) {
	f.Places = nil
	var rows []row
	var verdicts []smoketest.Verdict
	for _, p := range parts {
		w := p.work
		secrets, at := p.secrets(), len(plan.Secrets)
		if len(secrets) == 1 { // several parts may have it where each part has one entry
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
			for _, stored := range w.Applied.Secrets { // at most one
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

// secrets returns those of the plan. One that is not written, because the part has ended,
// has no change.
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

// appendNew appends to list the texts that it does not have yet.
func appendNew(list, more []string) []string {
	for _, text := range more {
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// ended returns the facts of a fleet at its end, with one error that counts the failures. It
// logs each failure.
func (r run) ended(ctx context.Context, f report.Facts, parts []*part) report.Facts {
	stopped := errors.As(context.Cause(ctx), new(Interrupted))
	var expiring []error
	for _, p := range parts {
		p.work.Facts = p.alarm(p.work.Facts)
		switch err := p.work.Err; {
		case p.work.Expiring:
			expiring = append(expiring, err)
		case err != nil && !errors.Is(err, errNoneLeft) && !(stopped && isStop(err)): // these are logged once, not for each part
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
	for _, err := range expiring { // the job's error is a worse one
		r.log.Warn(err.Error())
	}
	return f
}

// tellEntries logs the errors of single entries.
func (p *part) tellEntries() {
	if p.work.Plan == nil || len(p.entries) == 1 && p.work.Err != nil {
		return // ended has logged the same error
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

// noted returns an empty plan with a note that names the environments that are not in the file.
func (r run) noted(parts []*part) reconcile.Plan {
	plan := reconcile.Plan{Mode: mode(r.job.Mode)}
	if plan.Mode != reconcile.Provision {
		return plan
	}
	type called struct {
		scope warp.OwnerType
		name  string
	}
	elsewhere, ids := map[called]bool{}, map[string]bool{} // entries of the file that this job leaves to others
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
		plan.Notes = []string{"environments that are not in the file and stay as they are: " + strings.Join(names, ", ")}
	}
	return plan
}
