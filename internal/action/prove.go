package action

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// provable reports whether there is a token and the inputs want it proved.
func (r run) provable(token sensitive.String) bool { return r.entry.VerifyToken && !token.IsEmpty() }

// proveOwn proves the token for the repositories of the entry. Each of them must
// take it.
func (r run) proveOwn(ctx context.Context) (preflight.Proof, error) {
	token := preflight.Token{Kind: r.entry.TokenKind, Certain: r.entry.KindCertain}
	proof, err := preflight.Check(ctx, r.bitbucket.Client(r.entry.Token), own(r.entry), token, r.entry.RequireWrite)
	if err == nil {
		err = proof.Err()
	}
	if err == nil && proof.Head() != "" {
		r.log.Info(fmt.Sprintf("the token can clone %s, which is at %s", r.entry.Primary().CloneURL(), proof.Head()))
	}
	return proof, err
}

// own are the demands of the inputs.
func own(e config.Entry) []preflight.Demand {
	demands := make([]preflight.Demand, len(e.Repositories))
	for i, repository := range e.Repositories {
		demands[i] = preflight.Demand{Repository: repository}
	}
	if len(demands) > 0 {
		demands[0].Branch = e.Branch
	}
	return demands
}

// prove proves the token for those who read the plan's secret and whom the proof
// of the inputs' own repositories does not cover: in a rotation the environments
// that it is about, else everyone outside of the plan. It returns what is known of
// the token then, and adds warnings to the plan.
func (r run) prove(ctx context.Context, plan *reconcile.Plan, token sensitive.String, known preflight.Proof) (preflight.Proof, error) {
	if plan.Mode == reconcile.Rotation {
		return r.proveRotation(ctx, plan, token)
	}
	secret := plan.Secrets[0]
	if len(secret.Others) == 0 {
		return known, nil
	}
	for _, user := range secret.Others {
		plan.Warnings = append(plan.Warnings, user.Warnings(secret.Name)...)
	}
	needs := secret.Needs(secret.Others, r.entry.Primary(), r.entry.AllowHTTP)
	if !r.provable(token) {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("nothing proves that the token serves the other environments that read secret %q", secret.Name))
		return known, nil
	}
	defer r.on.Group("Prove")()
	accepted := preflight.Token{Kind: known.Kind, Certain: true, Accepted: true}
	proof, err := preflight.Check(ctx, r.bitbucket.Client(token), known.Open(demands(needs)), accepted, false)
	if err == nil {
		err = r.admit(plan, "the token", proof)
	}
	return known, err
}

// demands are what environments need of a token.
func demands(needs []credential.Need) []preflight.Demand {
	list := make([]preflight.Demand, len(needs))
	for i, need := range needs {
		list[i] = preflight.Demand{
			Repository: need.Use.Repository, Branch: need.Use.Branch, As: need.Use.Kind,
			For: need.User.String(), Never: need.Never,
		}
	}
	return list
}

// proveRotation proves the new token, and the previous one if there is one, for
// every environment that the rotation is about and for the inputs' repositories.
func (r run) proveRotation(ctx context.Context, plan *reconcile.Plan, token sensitive.String) (preflight.Proof, error) {
	secret, users := plan.Secrets[0], planned(*plan)
	repositories := slices.Concat(credential.Repositories(users), r.entry.Repositories)
	if err := secret.OneServer(repositories); err != nil {
		return preflight.Proof{}, err
	}
	if len(repositories) == 0 || !r.provable(token) {
		plan.Warnings = append(plan.Warnings, "nothing proves the new token before it is stored")
		return preflight.Proof{}, nil
	}
	home := repositories[0]
	if foreign := bitbucket.ForeignKind(home.Flavor, token.HasPrefix); foreign != "" {
		return preflight.Proof{}, fmt.Errorf("bitbucket_token is %s, which cannot work with %s", foreign, home.Origin())
	}
	wanted := demands(secret.Needs(users, home, r.entry.AllowHTTP))
	for _, demand := range own(r.entry) {
		if !slices.ContainsFunc(wanted, func(d preflight.Demand) bool { return d.Repository.Same(demand.Repository) }) {
			wanted = append(wanted, demand)
		}
	}
	defer r.on.Group("Prove")()
	proof, err := r.proveEach(ctx, plan, "the new token", token, wanted)
	if previous := r.job.Rotation.PreviousToken; err == nil && !previous.IsEmpty() {
		_, err = r.proveEach(ctx, plan, "previous_token", previous, wanted)
	}
	return proof, err
}

func (r run) proveEach(ctx context.Context, plan *reconcile.Plan, what string, token sensitive.String, wanted []preflight.Demand) (preflight.Proof, error) {
	var as preflight.Token
	as.Kind, as.Certain = bitbucket.KindOf(wanted[0].Repository.Flavor, token.HasPrefix)
	if r.entry.KindCertain {
		as.Kind, as.Certain = r.entry.TokenKind, true
	}
	as.ReadOnly = r.job.Rotation.Mint && !r.entry.RequireWrite
	proof, err := preflight.Check(ctx, r.bitbucket.Client(token), wanted, as, r.entry.RequireWrite)
	if err != nil {
		return proof, fmt.Errorf("%s does not serve every environment: %w", what, err)
	}
	if err := r.admit(plan, what, proof); err != nil {
		return proof, err
	}
	r.log.Info(fmt.Sprintf("%s can clone %d of %d repositories", what, proof.Served(), len(proof.Findings)))
	return proof, nil
}

// planned are the environments of the plan.
func planned(plan reconcile.Plan) []credential.User {
	users := make([]credential.User, len(plan.Environments))
	for i, e := range plan.Environments {
		users[i] = e.User
	}
	return users
}

// admit decides about a token that does not serve everyone who reads the secret:
// an error, or with on_shared_secret: warn a warning, unless it serves nobody or
// fails the inputs' own repositories.
func (r run) admit(plan *reconcile.Plan, what string, proof preflight.Proof) error {
	refused := proof.Err()
	if refused == nil {
		return nil
	}
	secret := plan.Secrets[0].Credential
	isOwn := func(f preflight.Finding) bool { return f.Err != nil && f.For == "" }
	served := plan.Mode == reconcile.Provision || proof.Served() > 0
	if r.entry.OnSharedSecret == config.Warn && served && !slices.ContainsFunc(proof.Findings, isOwn) {
		for _, finding := range proof.Findings {
			if finding.Err != nil {
				plan.Warnings = append(plan.Warnings, fmt.Sprintf("%s does not serve everyone who reads secret %q: %v", what, secret.Name, finding.Err))
			}
		}
		return nil
	}
	var home bitbucket.Repository
	if plan.Mode == reconcile.Provision {
		home = r.entry.Primary()
	}
	return fmt.Errorf("%s does not serve every environment that reads secret %q:\n%w\n%s", what, secret.Name, refused, secret.WayOut(home))
}

// refusePrompt fails when the inputs tell an agent the commit that it has to find.
func (r run) refusePrompt(plan reconcile.Plan, proof preflight.Proof) error {
	if !r.entry.SmokeTest {
		return nil
	}
	var list []error
	for _, user := range planned(plan) {
		use, ok := user.Primary(r.entry.Repositories...)
		if commit := proof.HeadOf(use.Repository, use.Branch); ok && smoketest.Names(r.entry.SmokeTestPrompt, commit) {
			list = append(list, fmt.Errorf("smoke_test_prompt names %s, the commit that the agent has to find by itself; take it out", commit))
		}
	}
	return errors.Join(list...)
}
