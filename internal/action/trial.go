package action

import (
	"context"

	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

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
			if stored.Change != "" { // else the environment was not reached
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
	forAll(trials, testsAbreast, func(t trial) {
		defer step()
		log := r.log.With("environment", t.work.Plan.Environments[t.at].Name)
		t.work.Tests[t.at] = t.testOne(ctx, t.work, t.at, log)
	})
}

// due returns the indexes of the environments of a part to test. Where entries ask for tests
// of changed environments only, these are the created and updated ones. If none is, the first
// is tested, because the secret was written.
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
