package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/mint"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// takeBack is how long revoking a token that was not stored may take when the
// program is told to stop.
const takeBack = 5 * time.Second

// minted is a token of our own making.
type minted struct {
	mint.Minter
	token      reconcile.Token
	record     bitbucket.TokenRecord
	repository bitbucket.Repository // one that it has to clone
	using      string               // ID of the token that manages the others; empty for a password
}

// mint makes the new token, for as little as serves everyone who reads the secret.
func (r run) mint(ctx context.Context, plan reconcile.Plan) (*minted, error) {
	defer r.on.Group("Mint")()
	secret := plan.Secrets[0]
	repositories := credential.Repositories(planned(plan))
	for _, repository := range r.entry.Repositories {
		if !slices.ContainsFunc(repositories, repository.Same) {
			repositories = append(repositories, repository)
		}
	}
	if len(repositories) == 0 {
		return nil, errors.New("there is no repository to make a token for; no environment clones anything with this secret, and repo_url is not given")
	}
	if err := secret.OneServer(repositories); err != nil {
		return nil, err
	}
	manager := bitbucketapi.Credential{Username: r.job.Rotation.Username, Secret: r.job.Rotation.Password}
	if manager.Username == "" {
		manager.Secret = r.entry.Token
	}
	tokens := r.bitbucket.Tokens(repositories[0], manager)
	owner, needsUser, err := mint.OwnerOf(repositories, r.job.Rotation.MintOwner)
	if needsUser {
		if owner.User, err = tokens.FindUser(ctx); err != nil {
			err = fmt.Errorf("look up the owner of the new token: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	permission := bitbucket.RepositoryRead
	if r.entry.RequireWrite {
		permission = bitbucket.RepositoryWrite
	}
	m := &minted{
		Minter:     mint.Minter{Registry: tokens, Owner: owner, Marker: mint.For(secret.Name, secret.Owner.UID), Log: r.log},
		repository: repositories[0], using: bitbucketapi.TokenID(manager.Secret),
	}
	m.record, m.token.Value, err = m.Mint(ctx, mint.Request{
		Permission: permission, Days: r.job.Rotation.ExpiryDays, At: plan.At, Attempt: uuid.NewString()[:8],
	})
	if err != nil {
		return nil, fmt.Errorf("%w\nnothing was written to Oz", err)
	}
	m.token.Expires = m.record.Expires
	r.log.Info(fmt.Sprintf("token %q of %s: created, expires %s", m.record.Name, owner, dayOf(m.record.Expires)))
	return m, nil
}

// settle lets go of the tokens that a minted one replaced once it is stored and
// its smoke test has passed. What was made and is not stored is revoked.
func (r run) settle(ctx context.Context, f report.Facts, m minted) report.Facts {
	stored := len(f.Applied.Secrets) > 0 && f.Applied.Secrets[0].Change != ""
	switch result := f.Verdict.Result; {
	case errors.Is(f.Err, warp.ErrAnswerLost): // it may be what is stored
		return f
	case !stored, f.RolledBack:
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBack)
		defer cancel()
		f.Err = errors.Join(f.Err, m.Revoke(within, m.record))
	case result == smoketest.Passed, result == smoketest.Skipped:
		f.Err = r.letGo(ctx, f, m)
	}
	return f
}

// letGo revokes the tokens that the new one replaced. Another job may do the same
// at the same moment, so a stored token that no smoke test has proved is proved
// once more, and nothing is revoked when the secret was written since: then nobody
// here knows whose token is live. When it was written while this job revoked, the
// error says that nobody knows.
func (r run) letGo(ctx context.Context, f report.Facts, m minted) error {
	defer r.on.Group("Revoke")()
	stamp := f.Applied.Secrets[0].Stamp
	if err := r.works(ctx, f, m); err != nil {
		return fmt.Errorf("the new token was stored, and nobody knows whether it still works; another job may have revoked it; run the rotation again: %w", err)
	}
	if now, err := r.applier().Stamp(ctx, f.Plan.Secrets[0]); err != nil || stamp == "" || now != stamp {
		r.log.Warn("the secret may have been written by another job meanwhile; no token is revoked")
		return nil
	}
	if err := m.RevokeReplaced(ctx, m.record, m.using, r.job.Rotation.RevokeAfter); err != nil {
		return fmt.Errorf("the new token is stored and works, but what it replaced may live on until the next rotation: %w", err)
	}
	if now, err := r.applier().Stamp(ctx, f.Plan.Secrets[0]); err != nil || now != stamp {
		return errors.New("another job may have written the secret while this one revoked what its own token had replaced; nobody knows whether the stored token still works; run the rotation again")
	}
	return nil
}

// works asks whether the stored token is still accepted, unless an agent has just
// cloned with it.
func (r run) works(ctx context.Context, f report.Facts, m minted) error {
	if f.Verdict.Result == smoketest.Passed && !f.Plan.Secrets[0].Hidden {
		return nil
	}
	_, err := r.bitbucket.Client(m.token.Value).ListRefs(ctx, m.repository, bitbucket.UploadPack, bitbucket.HTTPAccessToken.Login(), "")
	return err
}
