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
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// takeBack is the time, after the program was told to stop, in which it may revoke a token
// that was not stored: less than the 7.5 s that GitHub leaves.
const takeBack = 7 * time.Second

// minted is a token that this program made.
type minted struct {
	mint.Minter
	record     bitbucket.TokenRecord
	repository bitbucket.Repository // one that the token must be able to clone
	using      string               // ID of the token that manages the others; empty for a password
	before     time.Time            // when the stored token ends; zero: unknown
}

// mint makes the new token where the inputs ask for it, with the least access that serves
// every environment that reads the secret. It shows the plan first.
func (r run) mint(ctx context.Context, w work) work {
	if !r.job.Rotation.Mint || w.made != nil || w.DryRun {
		return w
	}
	w = r.show(w)
	defer r.on.Group("Mint")()
	w, w.Err = r.makeToken(ctx, w)
	return w
}

// makeToken makes the token and adds it to the work.
func (r run) makeToken(ctx context.Context, w work) (work, error) {
	secret := w.Plan.Secrets[0]
	repositories := slices.Concat(credential.Repositories(w.Plan.Users()), r.entry.Repositories)
	if len(repositories) == 0 {
		return w, errors.New("no repository to make a token for: no environment clones with this secret, and repo_url is not given")
	}
	if err := secret.OneServer(repositories); err != nil {
		return w, err
	}
	manager := bitbucketapi.Credential{Username: r.job.Rotation.Username, Secret: r.job.Rotation.Password}
	if manager.Username == "" {
		manager.Secret = r.entry.Token
	}
	tokens := r.bitbucket.Tokens(repositories[0], manager)
	tokens.Hide = func(token sensitive.String) { r.on.Mask(w.Outputs(), token) }
	owner, needsUser, err := mint.OwnerOf(repositories, r.job.Rotation.MintOwner)
	if needsUser {
		if owner.User, err = tokens.FindUser(ctx); err != nil {
			err = fmt.Errorf("look up the owner of the new token: %w", err)
		}
	}
	if err != nil {
		return w, err
	}
	permission := bitbucket.RepositoryRead
	if r.entry.RequireWrite {
		permission = bitbucket.RepositoryWrite
	}
	made := minted{
		Minter:     mint.Minter{Registry: tokens, Owner: owner, Marker: mint.For(secret.Name, secret.Owner.UID), Log: r.log},
		repository: repositories[0], using: bitbucketapi.TokenID(manager.Secret), before: secret.Was.Expires,
	}
	made.record, w.token.Value, err = made.Mint(ctx, mint.Request{
		Permission: permission, Days: r.job.Rotation.ExpiryDays, At: w.Plan.At, Attempt: uuid.NewString()[:8],
	})
	if err != nil {
		return w, err
	}
	w.made, w.token.Expires, w.Expires = &made, made.record.Expires, made.record.Expires
	return w, nil
}

// settle revokes the tokens that a minted one replaced, once the new one is stored and its
// smoke test has passed. A minted token that is not stored is revoked itself; stopping
// bounds that.
func (r run) settle(ctx, stopping context.Context, w work) work {
	if w.made == nil {
		return w
	}
	stored := len(w.Applied.Secrets) > 0 && w.Applied.Secrets[0].Change != ""
	switch {
	case errors.Is(w.Err, warp.ErrAnswerLost): // the new token may be stored
	case !stored:
		w.Expires = w.made.before
		w.Err = errors.Join(w.Err, w.made.Revoke(stopping, w.made.record))
	case w.RolledBack:
		if err := w.made.Revoke(stopping, w.made.record); err != nil {
			w.Stored += fmt.Sprintf(", but the new token may still be valid: %v", err)
		}
	case w.Err == nil && w.Verdict.Result.IsGood():
		w.Err = r.letGo(ctx, w)
	}
	return w
}

// letGo revokes the tokens that the new one replaced. Another job may do the same at the
// same moment. So a stored token that no smoke test has proved is proved once more, and
// nothing is revoked when the secret was written since: then it is not known whose token is
// in use. When it was written while this job revoked, the error says so.
func (r run) letGo(ctx context.Context, w work) error {
	defer r.on.Group("Revoke")()
	secret, stamp := w.Plan.Secrets[0], w.Applied.Secrets[0].Stamp
	if err := r.works(ctx, w); err != nil {
		return fmt.Errorf("the new token was stored, and it is not known whether it still works; another job may have revoked it; run the rotation again: %w", err)
	}
	switch now, err := r.applier().Stamp(ctx, secret); {
	case err != nil:
		r.log.Warn(fmt.Sprintf("it is not known whether another job has written the secret meanwhile, so no token is revoked: %v", err))
		return nil
	case stamp == "" || now != stamp:
		r.log.Warn("the secret may have been written by another job meanwhile; no token is revoked")
		return nil
	}
	if err := w.made.RevokeReplaced(ctx, w.made.record, w.made.using, r.job.Rotation.RevokeAfter); err != nil {
		return fmt.Errorf("the new token is stored and works, but the tokens that it replaced may stay valid until the next rotation: %w", err)
	}
	now, err := r.applier().Stamp(ctx, secret)
	if err == nil && now != stamp {
		err = errors.New("its last write is another one, or it is gone")
	}
	if err != nil {
		return fmt.Errorf("another job may have written the secret while this one revoked the tokens that its own had replaced; it is not known whether the stored token still works; run the rotation again: %w", err)
	}
	return nil
}

// works checks that Bitbucket still accepts the stored token, unless an agent has just
// cloned with it.
func (r run) works(ctx context.Context, w work) error {
	if w.Verdict.Result == smoketest.Passed && !w.Plan.Secrets[0].Hidden {
		return nil
	}
	return r.bitbucket.Client(w.token.Value).CheckClone(ctx, w.made.repository, bitbucket.HTTPAccessToken.Login())
}
