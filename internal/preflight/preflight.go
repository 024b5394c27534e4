// Package preflight proves a token against every repository before anything is
// written, with the protocol and the credential that git will use. It reaches
// Bitbucket only through the Server that it is handed, and only reads.
package preflight

import (
	"context"
	"fmt"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Server is a Bitbucket. A *bitbucket.Refusal is its no. An error that wraps
// bitbucket.ErrNotAsked is nobody's: too many answers of 401 came before.
type Server interface {
	// Offer asks a repository whether a clone would be let in. The answer tells the refs,
	// perhaps by another question.
	Offer(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, wanted string) (bitbucket.Offer, error)
	// CheckClone asks whether a clone would be let in, and for no ref.
	CheckClone(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) error
	// CheckPush asks whether a push would be taken. What is not needed may not be
	// asked.
	CheckPush(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, needed bool) error
	// CheckREST asks for a repository in a way that takes no bad token, even
	// where everybody may read.
	CheckREST(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) (scopes []string, err error)
	// ListPermitted asks a Data Center which repositories the token may read, or push
	// to, in their folded form. It need not be answered.
	ListPermitted(ctx context.Context, server bitbucket.Repository, write bool) (map[bitbucket.Repository]bool, error)
	// Accepted is told that the server has taken the token, and returns how many
	// questions that present it may be under way from now on.
	Accepted(bitbucket.Flavor) int
}

// Token is what is known of the token to prove.
type Token struct {
	Kind     bitbucket.TokenKind
	Certain  bool // false: Kind is a guess, and another kind of the flavor is tried once
	Accepted bool // the server has taken it as this kind before
	ReadOnly bool // it was made so; whether it can push need not be asked

	// Also asks for more that concerns the token, once the server has taken it and answered
	// all that is needed; nil: nothing. Nothing depends on what it finds.
	Also func(context.Context)
}

// Demand is a clone that a token has to make possible.
type Demand struct {
	Repository bitbucket.Repository
	Branch     string              // whose commit is wanted; empty: HEAD's
	As         bitbucket.TokenKind // as which the token is presented; empty: as whatever the server accepts
	For        string              // the environment that clones, in words; empty: the job itself
	Never      error               // why the token must not be presented for this; nil: it may
	Reads      bool                // no push is demanded, whatever others of the job demand
	OnlyAccess bool                // without a Branch: that a clone is let in is enough, and its commit is not looked up
}

// lacks reports whether a commit that was found is none, and the job itself names its
// branch. Of an environment that is only a warning.
func (d Demand) lacks(head string) bool { return d.For == "" && d.Branch != "" && head == "" }

func (d Demand) branchMissing() error {
	return fmt.Errorf("%s has no branch or tag %q; check the input branch", d.Repository.CloneURL(), d.Branch)
}

// Check proves the token: first for the first demand, alone, then for everything
// else, so that a token that is no good is presented once. Each repository is
// asked once for each branch. What a repository refuses is in its findings; the
// error is what stands against the token as a whole, or an outage, and then names
// the refusals too, in order. What the server was not asked because it had
// answered 401 too often is a refusal; the questions come in the order of what they
// are worth, so it is those about pushes that are left; when no push is needed,
// they do not spend the last answer of 401 that the token may draw.
//
// Pushes are asked for where one is demanded, and else for the first repository alone,
// for a warning. Of a token that was accepted before, only the clones are asked for.
func Check(ctx context.Context, s Server, demands []Demand, token Token, requireWrite bool) (Proof, error) {
	return newCheck(s, demands, token, requireWrite).run(ctx)
}

// CheckEach is Check for demands that do not stand or fall together. Where the first
// repository refuses, the token is proved for the next, up to a few. An outage at one
// repository is in its finding; the third ends the check.
func CheckEach(ctx context.Context, s Server, demands []Demand, token Token, requireWrite bool) (Proof, error) {
	c := newCheck(s, demands, token, requireWrite)
	c.each = true
	return c.run(ctx)
}
