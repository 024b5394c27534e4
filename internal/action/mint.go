package action

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/mint"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// takeBack is how long revoking a token that was not stored may take when the
// program is told to stop.
const takeBack = 5 * time.Second

// mintAndStore makes the new token itself, goes on as any rotation does, and
// lets go of the tokens that it replaced once the smoke test has passed. What it
// makes and does not store, it revokes.
func (r *rotation) mintAndStore(bounded, ctx context.Context) error {
	if len(r.radius.repositories) == 0 {
		return errors.New("there is no repository to make a token for; no environment clones anything with this secret, and repo_url is not given")
	}
	credential := bitbucketapi.Credential{Username: r.config.Rotation.Username, Secret: r.config.Rotation.Password}
	if credential.Username == "" {
		credential.Secret = r.config.Token
	}
	tokens := r.api.Tokens(r.radius.repositories[0], credential)
	owner, err := r.tokenOwner(bounded, tokens)
	if err != nil {
		return err
	}
	minter := mint.Minter{Registry: tokens, Owner: owner, Marker: mint.For(r.config.SecretName, r.plan.Owner.UID), Log: r.log}
	permission := bitbucket.RepositoryRead
	if r.config.RequireWrite {
		permission = bitbucket.RepositoryWrite
	}
	end := r.on.Group("Mint")
	record, token, err := minter.Mint(bounded, mint.Request{
		Permission: permission, Days: r.config.Rotation.ExpiryDays, At: r.plan.At, Attempt: uuid.NewString()[:8],
	})
	if err != nil {
		end()
		return fmt.Errorf("%w\nnothing was written to Oz", err)
	}
	r.on.Mask(r.facts.Outputs(), token)
	r.log.Info(fmt.Sprintf("token %q of %s: created, expires %s", record.Name, owner, dayOf(record.Expires)))
	end()
	r.token, r.expires, r.facts.Expires = token, record.Expires, record.Expires

	err = r.prove(bounded, "the new token", token)
	if err != nil {
		err = fmt.Errorf("%w\nnothing was written to Oz", err)
	} else {
		err = r.store(bounded, token, r.expires)
	}
	switch {
	case errors.Is(err, warp.ErrAnswerLost):
		return err // it may be what is stored
	case err != nil:
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBack)
		defer cancel()
		return errors.Join(err, minter.Revoke(within, record))
	}
	stamp := r.stamp(bounded)
	if err := r.test(ctx); err != nil {
		return err
	}
	switch result := r.facts.Verdict.Result; {
	case result == smoketest.Passed, result == smoketest.Skipped:
		return r.letGo(ctx, minter, record, bitbucketapi.TokenID(credential.Secret), stamp)
	case r.facts.RolledBack:
		return minter.Revoke(ctx, record)
	}
	return nil
}

// stamp is when the secret was last written, empty when nobody can tell.
func (r *rotation) stamp(ctx context.Context) string {
	applier := reconcile.Applier{Reader: r.oz}
	secret, err := applier.FindSecret(ctx, r.plan)
	if err != nil || secret == nil {
		return ""
	}
	return secret.UpdatedAt
}

// letGo revokes the tokens that the new one replaced, unless another job has
// written the secret since: then nobody here knows whose token is live.
func (r *rotation) letGo(ctx context.Context, minter mint.Minter, current bitbucket.TokenRecord, using, stamp string) error {
	defer r.on.Group("Revoke")()
	if stamp == "" || r.stamp(ctx) != stamp {
		r.log.Warn("the secret may have been written by another job meanwhile; no token is revoked")
		return nil
	}
	if err := minter.RevokeReplaced(ctx, current, using, r.config.Rotation.RevokeAfter); err != nil {
		return fmt.Errorf("the new token is stored and works, but what it replaced may live on until the next rotation: %w", err)
	}
	return nil
}

// tokenOwner is whom the token shall belong to: who the inputs name, else the
// narrowest that covers every repository.
func (r *rotation) tokenOwner(ctx context.Context, tokens *bitbucketapi.Tokens) (bitbucket.TokenOwner, error) {
	owner, needsUser, err := mint.OwnerOf(r.radius.repositories, r.config.Rotation.MintOwner)
	if !needsUser {
		return owner, err
	}
	if owner.User, err = tokens.FindUser(ctx); err != nil {
		return owner, fmt.Errorf("look up the owner of the new token: %w", err)
	}
	return owner, nil
}

// dayOf is the day of a moment, "never" for none.
func dayOf(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.UTC().Format(time.DateOnly)
}
