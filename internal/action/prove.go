package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// provable reports whether there is a token and an entry wants it proved.
func (r run) provable(token sensitive.String) bool {
	return !token.IsEmpty() && r.any(func(e config.Entry) bool { return e.VerifyToken })
}

// lenient reports whether a token is stored even when it does not serve everyone.
func (r run) lenient() bool {
	return !r.any(func(e config.Entry) bool { return e.OnSharedSecret != config.Warn })
}

// inClear reports whether the token may be sent in clear text.
func (r run) inClear() bool { return r.any(func(e config.Entry) bool { return e.AllowHTTP }) }

// proveOwn proves the token for the repositories of the entries. When the server has
// accepted it, also is called. With one entry, a repository that refuses the token is an
// error. With several, judge decides.
func (r run) proveOwn(ctx context.Context, also func(context.Context)) (preflight.Proof, error) {
	if r.proved != nil {
		proof, err := r.proved()
		if err == nil && r.alone() {
			err = proof.Err()
		}
		return proof, err
	}
	token := preflight.Token{Kind: r.entry.TokenKind, Certain: r.entry.KindCertain, Also: also}
	var server preflight.Server = r.bitbucket.Client(r.entry.Token)
	if r.step != nil {
		server = counted{server, r.step}
	}
	check, requireWrite := preflight.CheckEach, r.any(func(e config.Entry) bool { return e.RequireWrite })
	if r.alone() {
		check = preflight.Check
	}
	proof, err := check(ctx, server, r.own(), token, requireWrite)
	if err == nil && r.alone() {
		err = proof.Err()
	}
	switch {
	case err != nil:
	case len(proof.Findings) > 1:
		r.log.Info(fmt.Sprintf("the token serves %d of %s", proof.Served(), plural.Of(len(proof.Findings), "repository")))
	case proof.Head() != "":
		r.log.Info(fmt.Sprintf("the token can clone %s, which is at %s", r.entry.Primary().CloneURL(), proof.Head()))
	}
	return proof, err
}

// proveTokens proves the tokens of an apply, each once for all entries that give it.
func (r run) proveTokens(whole context.Context, parts []*part) {
	ctx, cancel := r.bounded(whole)
	defer cancel()
	type giving struct {
		run
		parts []*part
	}
	var tokens []*giving
	for _, p := range parts {
		if !p.provable(p.entry.Token) {
			continue
		}
		at := slices.IndexFunc(tokens, func(g *giving) bool {
			return g.entry.Token.Same(p.entry.Token) && g.entry.TokenKind == p.entry.TokenKind && g.entry.KindCertain == p.entry.KindCertain &&
				g.entry.Primary().Origin() == p.entry.Primary().Origin()
		})
		if at < 0 {
			at = len(tokens)
			tokens = append(tokens, &giving{run: r})
			tokens[at].entries, tokens[at].entry = nil, p.entry
		}
		tokens[at].entries = append(tokens[at].entries, p.entries...)
		tokens[at].parts = append(tokens[at].parts, p)
	}
	clones := 0
	for _, g := range tokens {
		clones += len(g.own())
	}
	step, end := r.on.Progress("Prove", clones)
	defer end()
	forAll(tokens, r.job.Concurrency, func(g *giving) {
		one, rest := entrywise(step, len(g.own()))
		defer rest()
		g.step = one
		proof, err := g.proveOwn(ctx, nil) // when the token ends is asked after every proof
		sizes := make([]int, len(g.parts))
		for i, p := range g.parts {
			sizes[i] = len(p.own())
		}
		if err != nil {
			proof, sizes = preflight.Proof{Kind: proof.Kind, Warnings: proof.Warnings}, make([]int, len(g.parts))
		}
		ends := sync.OnceValue(func() time.Time { return g.record(whole, g.entry.Token, g.entry.Primary()).Expires })
		for i, own := range proof.Parts(sizes...) {
			g.parts[i].proved, g.parts[i].ends = func() (preflight.Proof, error) { return own, err }, ends
		}
	})
}

// own returns the demands of all entries, in their order.
func (r run) own() []preflight.Demand {
	var list []preflight.Demand
	for _, entry := range r.entries {
		if entry.VerifyToken {
			list = append(list, own(entry)...)
		}
	}
	return list
}

// judge makes each of several entries fail whose own repositories refuse the token. It
// returns an error when one of these has an environment that already reads the secret: its
// runs would get a token that does not serve them.
func (r run) judge(plan *reconcile.Plan, proof preflight.Proof) error {
	var list []error
	findings := proof.Findings
	for i, entry := range r.entries {
		e := &plan.Environments[i]
		if entry.VerifyToken && len(findings) > 0 { // otherwise nothing was asked
			own := preflight.Proof{Findings: findings[:len(entry.Repositories)]}
			findings = findings[len(entry.Repositories):]
			refused := own.Err()
			if refused != nil && entry.OnSharedSecret != config.Warn && e.Err == nil && plan.SecretOf(*e).IsReadBy(e.UID) {
				list = append(list, fmt.Errorf("environment %s reads secret %q, and the token does not serve it: %w", e.User, entry.SecretName, refused))
			}
			*e = e.Failed(refused)
		}
	}
	if len(list) == 0 && plan.AllFailed() {
		return errNoneLeft
	}
	return errors.Join(list...)
}

// errNoneLeft ends the work on entries that have all failed, each for its own reasons.
var errNoneLeft = errors.New("all entries of the secret have failed")

// own returns the demands of one entry.
func own(e config.Entry) []preflight.Demand {
	demands := make([]preflight.Demand, len(e.Repositories))
	for i, repository := range e.Repositories {
		demands[i] = preflight.Demand{Repository: repository, Reads: !e.RequireWrite, OnlyAccess: i > 0}
	}
	if len(demands) > 0 {
		demands[0].Branch = e.Branch
	}
	return demands
}

// prove proves the token for the environments that read the plan's secret and that the
// proof of the inputs' own repositories does not cover. In a rotation these are the
// environments of the plan, otherwise all. A verification only looks up the commit that the
// agent has to find; its token need not be the stored one. A removal needs no token.
func (r run) prove(ctx context.Context, w work) work {
	var err error
	switch w.Plan.Mode {
	case reconcile.Removal:
		return w
	case reconcile.Verification:
		w.proof, err = r.proveTested(ctx, *w.Plan)
	case reconcile.Rotation:
		w.proof, err = r.proveRotation(ctx, *w.Plan, w)
	default:
		w.proof, err = r.proveReaders(ctx, *w.Plan, w.proof)
	}
	w.Head = r.head(*w.Plan, w.proof)
	if err == nil {
		err = r.refusePrompt(*w.Plan, w.proof)
	}
	if w.Err = err; err != nil || w.Plan.Mode == reconcile.Verification { // whose token need not be the stored one
		return w
	}
	if r.ends == nil {
		w.token.Expires = r.expires(ctx, w.token, w.proof)
	}
	w.Expires = w.token.Expires
	return w
}

// head is the commit that Bitbucket serves of the repository in which agents of the first
// environment work.
func (r run) head(plan reconcile.Plan, proof preflight.Proof) string {
	for _, user := range plan.Users() {
		use, _ := user.Primary(r.entry.Repositories...)
		return proof.HeadOf(use.Repository, use.Branch)
	}
	return proof.Head()
}

// proveTested looks up the commit that Bitbucket serves of the repository that an
// environment under test clones. The token is sent only to servers that the inputs name or
// the flavor implies, whatever the setup commands say.
func (r run) proveTested(ctx context.Context, plan reconcile.Plan) (preflight.Proof, error) {
	if !r.provable(r.entry.Token) {
		r.log.Info("bitbucket_token is not given, or verify_token is false, so there is no commit to compare with: the test is whether the run succeeds")
		return preflight.Proof{}, nil
	}
	use, clones := plan.Users()[0].Primary(r.entry.Repositories...)
	home := use.Repository
	if foreign := bitbucket.ForeignKind(home.Flavor, r.entry.Token.HasPrefix); clones && foreign != "" {
		return preflight.Proof{}, fmt.Errorf("bitbucket_token is %s, which cannot work with %s", foreign, home.Origin())
	}
	switch {
	case !clones:
		return preflight.Proof{Warnings: []string{"the environment clones nothing that this program recognises, so there is no commit to compare with"}}, nil
	case !r.entry.Trusts(home):
		return preflight.Proof{Warnings: []string{fmt.Sprintf("the environment clones %s, which the inputs do not name, so bitbucket_token is not sent there and there is no commit to compare with; set repo_url or trusted_hosts", home.CloneURL())}}, nil
	case home.InClear() && !r.inClear():
		return preflight.Proof{Warnings: []string{fmt.Sprintf("the environment clones %s, which would send the token in clear text, so there is no commit to compare with; set allow_http: true to send it", home.CloneURL())}}, nil
	}
	as := r.kindOf(r.entry.Token, home.Flavor)
	as.ReadOnly = true
	defer r.on.Group("Prove")()
	proof, err := preflight.Check(ctx, r.bitbucket.Client(r.entry.Token), []preflight.Demand{{Repository: home, Branch: use.Branch}}, as, false)
	if err == nil {
		err = proof.Err()
	}
	return proof, err
}

// proveReaders proves the entry's token for every environment that reads the secret: the
// planned ones, where they clone more than the inputs' repositories, and those outside of
// the plan. It returns the known proof with further warnings.
func (r run) proveReaders(ctx context.Context, plan reconcile.Plan, known preflight.Proof) (preflight.Proof, error) {
	secret := plan.Secrets[0]
	for _, user := range secret.Others {
		known.Warnings = append(known.Warnings, user.Warnings(secret.Name)...)
	}
	readers := slices.Concat(plan.Standing(), secret.Others)
	strangers := r.strangers(readers, secret.Name)
	if len(strangers) > 0 && !r.lenient() {
		return known, errors.Join(strangers...)
	}
	for _, err := range strangers {
		known.Warnings = append(known.Warnings, err.Error())
	}
	open := known.Open(r.needs(plan))
	switch {
	case !r.provable(r.entry.Token) && len(secret.Others) > 0:
		known.Warnings = append(known.Warnings, fmt.Sprintf("nothing proves that the token serves the other environments that read secret %q", secret.Name))
		return known, nil
	case !r.provable(r.entry.Token), len(open) == 0:
		return known, nil
	}
	defer r.on.Group("Prove")()
	accepted := preflight.Token{Kind: known.Kind, Certain: true, Accepted: true}
	proof, err := preflight.Check(ctx, r.bitbucket.Client(r.entry.Token), open, accepted, false)
	if err != nil {
		return known, err
	}
	warnings, err := proof.Admit("the token", secret.Credential, r.entry.Primary(), r.lenient())
	known.Warnings = slices.Concat(known.Warnings, proof.Warnings, warnings, r.addressWarnings(ctx, proof, err))
	return known, err
}

// needs are the demands of all environments that read the secret after an apply.
func (r run) needs(plan reconcile.Plan) []preflight.Demand {
	secret := plan.Secrets[0]
	planned := preflight.Demands(secret.Needs(plan.Standing(), r.entry.Primary(), r.inClear()))
	others := preflight.Demands(secret.Needs(secret.Others, r.entry.Primary(), r.inClear()))
	for i := range others {
		others[i].OnlyAccess = true
	}
	return append(planned, others...)
}

// refuseStrangers fails when an environment of a rotation clones with the secret from a
// server that the inputs do not trust. Nothing has been sent there by then.
func (r run) refuseStrangers(plan reconcile.Plan) error {
	repositories := credential.Repositories(plan.Users())
	isStranger := func(at bitbucket.Repository) bool { return !r.entry.TrustsOrigin(at.Origin()) }
	if err := plan.Secrets[0].OneServer(repositories); err != nil && !slices.ContainsFunc(repositories, isStranger) {
		return err // no input can allow that
	}
	var list []error
	for _, user := range plan.Users() {
		for _, use := range user.Usage.Uses {
			if r.entry.Trusts(use.Repository) {
				continue
			}
			remedy := nameIt
			if use.Repository.Flavor == bitbucket.Cloud || r.entry.TrustsOrigin(use.Repository.Origin()) {
				remedy = fmt.Sprintf("set flavor: %s if they may", use.Repository.Flavor)
			}
			list = append(list, stranger(user, use.Repository.CloneURL(), plan.Secrets[0].Name, use.Repository.Origin(), remedy))
		}
	}
	return errors.Join(append(list, r.strangers(plan.Users(), plan.Secrets[0].Name)...)...)
}

// strangers returns an error for each server to which git would present the secret in an
// environment although the inputs do not trust it. They are servers from which the
// environment clones something other than a repository of Bitbucket.
func (r run) strangers(users []credential.User, secret string) []error {
	var list []error
	for _, user := range users {
		for _, origin := range user.Usage.Elsewhere {
			if !r.entry.TrustsOrigin(origin) {
				list = append(list, stranger(user, "from "+origin, secret, origin, nameIt))
			}
		}
	}
	return list
}

const nameIt = "name it in trusted_hosts or repo_url if they may"

func stranger(user credential.User, what, secret, origin, remedy string) error {
	return fmt.Errorf("environment %s clones %s with secret %q, and the inputs do not say that credentials may be sent to %s; %s, and else take that command out of the environment",
		user, what, secret, origin, remedy)
}

// proveRotation proves the new token, and previous_token if it is given, for every
// environment of the rotation and for the inputs' repositories.
func (r run) proveRotation(ctx context.Context, plan reconcile.Plan, w work) (preflight.Proof, error) {
	secret, token := plan.Secrets[0].Credential, w.token.Value
	if w.DryRun && r.job.Rotation.Mint {
		return preflight.Proof{Warnings: []string{"a dry run makes no token, so nothing is proved"}}, nil
	}
	wanted, err := r.demanded(plan, token)
	switch {
	case err != nil:
		return preflight.Proof{}, err
	case len(wanted) == 0:
		return preflight.Proof{Warnings: []string{"nothing proves the new token before it is stored"}}, nil
	}
	var server preflight.Server = r.bitbucket.Client(token)
	if w.ahead != nil {
		server, wanted = w.ahead.server, w.ahead.server.Lead(wanted)
	}
	defer r.on.Group("Prove")()
	proof, err := r.proveOne(ctx, server, secret, "the new token", token, wanted)
	if previous := r.job.Rotation.PreviousToken; err == nil && !previous.IsEmpty() {
		_, err = r.proveOne(ctx, r.bitbucket.Client(previous), secret, "previous_token", previous, wanted)
	}
	return proof, err
}

// demanded returns what a rotation's token has to serve: the clones of the plan's
// environments, and the inputs' repositories. Without a demand nothing is proved. It fails
// when the token must not be presented at all.
func (r run) demanded(plan reconcile.Plan, token sensitive.String) ([]preflight.Demand, error) {
	secret := plan.Secrets[0].Credential
	repositories := slices.Concat(credential.Repositories(plan.Users()), r.entry.Repositories)
	if err := secret.OneServer(repositories); err != nil {
		return nil, err
	}
	if len(repositories) == 0 || !r.provable(token) {
		return nil, nil
	}
	home := repositories[0]
	if foreign := bitbucket.ForeignKind(home.Flavor, token.HasPrefix); foreign != "" {
		return nil, fmt.Errorf("bitbucket_token is %s, which cannot work with %s", foreign, home.Origin())
	}
	needs := secret.Needs(plan.Users(), home, r.inClear())
	wanted := preflight.Demands(needs)
	for i := range wanted {
		wanted[i].OnlyAccess = needs[i].User.UID != needs[0].User.UID && !r.testsMore()
	}
	for _, demand := range own(r.entry) {
		if !slices.ContainsFunc(wanted, func(d preflight.Demand) bool { return d.Repository.Same(demand.Repository) }) {
			wanted = append(wanted, demand)
		}
	}
	for i := range wanted {
		wanted[i].Reads = wanted[i].Reads || slices.ContainsFunc(r.reads, wanted[i].Repository.Same)
	}
	return wanted, nil
}

// testsMore reports whether a rotation may test other environments than the first one that
// clones.
func (r run) testsMore() bool { return r.entry.SmokeTest && (r.entry.SmokeTestAll || r.lenient()) }

// check proves a token of a rotation with a server. Also is Token.Also.
func (r run) check(ctx context.Context, server preflight.Server, token sensitive.String, wanted []preflight.Demand, also func(context.Context)) (preflight.Proof, error) {
	as := r.kindOf(token, wanted[0].Repository.Flavor)
	as.Also = also
	as.ReadOnly = r.job.Rotation.Mint && !r.entry.RequireWrite
	return preflight.Check(ctx, server, wanted, as, r.entry.RequireWrite)
}

// proveOne proves one token of a rotation.
func (r run) proveOne(ctx context.Context, server preflight.Server, secret credential.Credential, what string, token sensitive.String, wanted []preflight.Demand) (preflight.Proof, error) {
	var also func(context.Context)
	if !token.Same(r.job.Rotation.PreviousToken) { // this proof is the last one of the token, so nothing that is needed follows
		also = r.asksWhenItEnds(token, wanted[0].Repository)
	}
	proof, err := r.check(ctx, server, token, wanted, also)
	if err != nil {
		return proof, fmt.Errorf("%s does not serve every environment: %w", what, err)
	}
	lenient := r.lenient() && proof.Served() > 0
	warnings, err := proof.Admit(what, secret, bitbucket.Repository{}, lenient)
	if err != nil {
		return proof, err
	}
	proof.Warnings = slices.Concat(proof.Warnings, warnings, r.addressWarnings(ctx, proof, err))
	r.log.Info(fmt.Sprintf("%s serves %d of %s", what, proof.Served(), plural.Of(len(proof.Findings), "clone")))
	return proof, nil
}

// kindOf is the kind as which a token is presented: the inputs' token_kind, or what its
// prefix suggests.
func (r run) kindOf(token sensitive.String, flavor bitbucket.Flavor) (as preflight.Token) {
	if r.entry.KindCertain {
		return preflight.Token{Kind: r.entry.TokenKind, Certain: true}
	}
	as.Kind, as.Certain = bitbucket.KindOf(flavor, token.HasPrefix)
	return as
}

// refusePrompt fails when smoke_test_prompt names the commit that an agent has to find.
// With several entries, only those fail whose prompt does.
func (r run) refusePrompt(plan reconcile.Plan, proof preflight.Proof) error {
	var list []error
	for i, user := range plan.Users() {
		entry := r.entryOf(plan, i)
		use, _ := user.Primary(entry.Repositories...)
		if commit := proof.HeadOf(use.Repository, use.Branch); entry.SmokeTest && smoketest.Names(entry.SmokeTestPrompt, commit) {
			err := fmt.Errorf("smoke_test_prompt names %s, the commit that the agent must find by itself; remove it", commit)
			if e := &plan.Environments[i]; !r.alone() {
				isRead := e.Err == nil && plan.SecretOf(*e).IsReadBy(e.UID)
				if *e = e.Failed(err); !isRead { // an environment that stays as it is and reads the secret was not proved
					continue
				}
			}
			list = append(list, err)
		}
	}
	return errors.Join(list...)
}
