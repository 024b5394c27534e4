package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/oz-bitbucket/oz-bitbucket/internal/grace"
	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

// provision plans and proves every part, shows the whole plan, and then writes and tests.
// When someone else writes meanwhile, the parts that this affects plan again.
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
		if p.work.Err == nil && p.ends != nil { // the request comes after every proof
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

// writeAll applies the plans of all parts. Each writes by itself. Then one shared read shows
// what others wrote meanwhile, and a part that this affects plans again.
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

// look reads Oz and proves the tokens, at the same time, for all parts together.
func (r run) look(ctx context.Context, parts []*part) {
	looking := group.New()
	looking.Go(func() error { r.share.Load(); return nil })
	looking.Go(func() error { r.proveTokens(ctx, parts); return nil })
	_ = looking.Wait() // the errors reach each part
}

// refuseTwice gives an error to entries that mean the same environment: one gives its ID and
// another its name, and only Oz knows both. Each would undo the other's work.
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

// refuseTwice does so for one plan. It returns an error where such an environment reads the
// secret: whether the token serves that environment unchanged was not checked.
func (r run) refuseTwice(plan *reconcile.Plan) error {
	var list []error
	for i := range plan.Environments {
		e := &plan.Environments[i]
		if !r.twice[e.UID] {
			continue
		}
		err := fmt.Errorf("another entry means environment %s too; give each environment one entry", e.User)
		if r.alone() || e.Err == nil && plan.SecretOf(*e).IsReadBy(e.UID) {
			list = append(list, err)
		}
		*e = e.Failed(err)
	}
	return errors.Join(list...)
}

// acquaint gives each part the environments of other parts that will list its secret, so
// that the part does not take this job's writes for somebody else's. Environments that clone
// with the secret are left out, because they need a proof.
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

// showAll prints the plan of all parts, with the errors of entries.
func (r run) showAll(parts []*part) {
	defer r.on.Group("Plan")()
	all, _ := merged(report.Facts{}, r.noted(parts), parts)
	r.print(*all.Plan, report.FleetText(*all.Plan))
}
