package action

import (
	"context"
	"fmt"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// part is the run over some of a job's entries, with its progress.
type part struct {
	run
	named  []config.Entry // its entries as the file has them
	places []int          // indexes of named in the job's entries
	work   work

	applied reconcile.Applied // before the check for what others wrote meanwhile
}

// fleet runs the pipeline over many entries. When one of them fails, the others and their
// outputs go on. An apply plans and proves everything before it writes anything; entries
// that share a secret are one part, because the secret is written once. A rotation goes
// from secret to secret. A test and a removal go from entry to entry.
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
	return r.ended(ctx, f, parts)
}

// parts divides the entries: by their secret in an apply and a rotation, else one by one.
// Only Oz knows a secret's owner, because inputs may name a team by its name or its UID.
func (r run) parts(ctx context.Context, f report.Facts) []*part {
	caller, unknown := r.share.New().GetCaller(ctx) // each plan reports this error
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
		p.entries, p.wide = []config.Entry{p.entry}, len(p.named)
		p.reader, p.log = p.oz, p.log.With("secret", p.entry.SecretName)
	case reconcile.Removal:
		p.reader, p.log = p.oz, p.log.With("environment", p.name()) // earlier removals change what exists
	case reconcile.Verification:
		p.log = p.log.With("environment", p.name())
	}
	for _, e := range p.named { // they share a secret, so any of them may give the token's expiry
		if p.entry.TokenExpiresAt.IsZero() {
			p.entry.TokenExpiresAt = e.TokenExpiresAt
		}
	}
	p.work = work{Facts: f, token: reconcile.Token{Value: p.entry.Token, Expires: p.entry.TokenExpiresAt}}
	p.work.SecretName, p.work.EnvironmentID, p.work.EnvironmentName, p.work.Expires =
		p.entry.SecretName, p.entry.EnvironmentID, p.entry.EnvironmentName, p.entry.TokenExpiresAt
}

// together makes one entry of several. It has the repositories of all of them and every
// check that one of them asks for. reads are the repositories that none of them pushes to.
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
		all.SmokeTestAll = all.SmokeTestAll || e.SmokeTestAll
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

// name is the name of the environment of a part's first entry, or its ID.
func (p *part) name() string {
	if p.entry.EnvironmentName == "" {
		return p.entry.EnvironmentID
	}
	return p.entry.EnvironmentName
}

// whole runs one part by itself. It does nothing when the job was told to stop.
func (p *part) whole(ctx context.Context) work {
	if ctx.Err() != nil {
		p.work.Err = context.Cause(ctx)
		return p.work
	}
	return work{Facts: p.all(ctx, p.work.Facts)}
}

// about names a part in messages, by its environment or its secret.
func (p *part) about() string {
	if len(p.entries) == 1 {
		return fmt.Sprintf("environment %q", p.name())
	}
	return fmt.Sprintf("secret %q, which %s share", p.entry.SecretName, plural.Of(len(p.entries), "entry"))
}

// ungrouped is a platform without groups in its log, for parts that run at the same time.
type ungrouped struct{ platform.Platform }

// Group does nothing.
func (ungrouped) Group(string) func() { return func() {} }
