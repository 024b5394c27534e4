// Package preflight proves a token against every repository before anything is
// written, with the protocol and the credential that git will use. It reaches
// Bitbucket only through the Lister that it is handed, and only reads.
package preflight

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Lister asks a repository for its refs. A *bitbucket.Refusal is its no.
type Lister interface {
	ListRefs(ctx context.Context, r bitbucket.Repository, s bitbucket.Service, as bitbucket.Login, wanted string) (bitbucket.Refs, error)
}

// Token is what is known of the token to prove.
type Token struct {
	Kind    bitbucket.TokenKind
	Certain bool // false: Kind is a guess, and another kind of the flavor is tried once
}

// Proof is what the checks learnt.
type Proof struct {
	Kind       bitbucket.TokenKind // that the server accepted
	BearerOnly bool                // Data Center takes this token as Bearer and not as Basic
	Head       string              // commit of the wanted ref of the primary repository; empty when it is empty
	Warnings   []string
}

// Check proves the token: first against the primary repository, alone, because
// servers count failed logins, then everything else at once. Wanted is the
// branch or tag of the primary repository, empty for HEAD. It presents a token
// that is refused at most twice.
func Check(ctx context.Context, l Lister, repositories []bitbucket.Repository, token Token, wanted string, requireWrite bool) (Proof, error) {
	primary := repositories[0]
	proof, refs, err := login(ctx, l, primary, token, wanted)
	if err != nil {
		return proof, explain(primary, proof.Kind, err)
	}
	proof.Head = refs.Commit(wanted)
	switch {
	case wanted != "" && proof.Head == "":
		return proof, fmt.Errorf("%s has no branch or tag %q; check the input branch", primary.CloneURL(), wanted)
	case proof.Head == "":
		proof.Warnings = append(proof.Warnings, fmt.Sprintf("%s has no commit yet", primary.CloneURL()))
	}

	as := logins(proof.Kind)[0]
	group, within := errgroup.WithContext(ctx)
	writable := make([]error, len(repositories))
	for i, repository := range repositories {
		if i > 0 {
			group.Go(func() error {
				_, err := l.ListRefs(within, repository, bitbucket.UploadPack, as, "")
				return explain(repository, proof.Kind, err)
			})
		}
		group.Go(func() error {
			_, writable[i] = l.ListRefs(within, repository, bitbucket.ReceivePack, as, "")
			var refused *bitbucket.Refusal
			if writable[i] != nil && !errors.As(writable[i], &refused) {
				return fmt.Errorf("ask %s whether the token may push: %w", repository.CloneURL(), writable[i])
			}
			return nil
		})
	}
	if primary.Flavor == bitbucket.DataCenter {
		group.Go(func() error {
			_, err := l.ListRefs(within, primary, bitbucket.UploadPack, bitbucket.Login{User: proof.Kind.User()}, "")
			var refused *bitbucket.Refusal
			proof.BearerOnly = errors.As(err, &refused)
			if err != nil && !proof.BearerOnly {
				return fmt.Errorf("ask %s whether it takes the token as Basic: %w", primary.CloneURL(), err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return proof, err
	}
	return proof.judge(repositories, writable, requireWrite)
}

// login finds the way in which the primary repository accepts the token.
func login(ctx context.Context, l Lister, r bitbucket.Repository, token Token, wanted string) (Proof, bitbucket.Refs, error) {
	refs, err := l.ListRefs(ctx, r, bitbucket.UploadPack, logins(token.Kind)[0], wanted)
	var refused *bitbucket.Refusal
	if token.Certain || !errors.As(err, &refused) || refused.Status != 401 {
		return Proof{Kind: token.Kind}, refs, err
	}
	for _, other := range r.Flavor.TokenKinds() {
		if other != token.Kind {
			if refs, again := l.ListRefs(ctx, r, bitbucket.UploadPack, logins(other)[0], wanted); again == nil {
				return Proof{Kind: other}, refs, nil
			}
			break
		}
	}
	return Proof{Kind: token.Kind}, refs, err
}

// logins are the ways to present a token of a kind, best first.
func logins(k bitbucket.TokenKind) []bitbucket.Login {
	if k == bitbucket.HTTPAccessToken {
		return []bitbucket.Login{{Bearer: true}, {User: k.User()}}
	}
	return []bitbucket.Login{{User: k.User()}}
}

// judge turns what the token may do into warnings or an error.
func (p Proof) judge(repositories []bitbucket.Repository, writable []error, requireWrite bool) (Proof, error) {
	for i, repository := range repositories {
		switch {
		case requireWrite && writable[i] != nil:
			return p, fmt.Errorf("the token cannot push to %s, and require_write asks for it: %w; create one with %s", repository.CloneURL(), writable[i], writePermission(p.Kind))
		case !requireWrite && writable[i] == nil:
			p.Warnings = append(p.Warnings, fmt.Sprintf("the token can push to %s; a token with %s is enough", repository.CloneURL(), readPermission(p.Kind)))
		}
	}
	if p.BearerOnly {
		p.Warnings = append(p.Warnings, "the server takes this token as Bearer only, so git in the image must be 2.46 or newer")
	}
	return p, nil
}

// readPermission names what a token needs to clone.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/api-token-permissions/
func readPermission(k bitbucket.TokenKind) string {
	switch k {
	case bitbucket.APIToken:
		return "the scope read:repository:bitbucket"
	case bitbucket.AccessToken:
		return "the scope repository (Repositories: Read)"
	}
	return "the permission Repository read"
}

func writePermission(k bitbucket.TokenKind) string {
	switch k {
	case bitbucket.APIToken:
		return "the scopes read:repository:bitbucket and write:repository:bitbucket"
	case bitbucket.AccessToken:
		return "the scope repository:write (Repositories: Write)"
	}
	return "the permission Repository write"
}
