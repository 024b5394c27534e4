// Package preflight proves a token against every repository before anything is
// written, with the protocol and the credential that git will use. It reaches
// Bitbucket only through the Server that it is given, and only reads.
package preflight

import (
	"context"
	"fmt"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Server is a Bitbucket. Its refusal is a *bitbucket.Refusal. An error that wraps
// bitbucket.ErrNotAsked means that nothing was sent, because too many answers of 401 came
// before.
type Server interface {
	// Offer asks a repository whether it allows a clone. Refs of the answer returns the
	// refs, which may take another request.
	Offer(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, wanted string) (bitbucket.Offer, error)
	// CheckClone asks whether a repository allows a clone. It does not ask for refs.
	CheckClone(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) error
	// CheckPush asks whether a repository allows a push. A question that is not needed may
	// be left out with ErrNotAsked.
	CheckPush(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, needed bool) error
	// CheckREST asks for a repository in a way that refuses a bad token even where
	// everyone may read.
	CheckREST(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) (scopes []string, err error)
	// ListPermitted asks a Data Center which repositories the token may read, or push
	// to, in their folded form. The server need not answer.
	ListPermitted(ctx context.Context, server bitbucket.Repository, write bool) (map[bitbucket.Repository]bool, error)
	// Accepted is called when the server has accepted the token. It returns how many
	// questions may present the token at the same time from now on.
	Accepted(bitbucket.Flavor) int
}

// Token is what is known of the token to prove.
type Token struct {
	Kind     bitbucket.TokenKind
	Certain  bool // false: Kind is a guess, and another kind of the flavor is tried once
	Accepted bool // the server has accepted it as this kind before
	ReadOnly bool // it was created without permission to push, so that is not asked

	// Also asks for more about the token, after the server has accepted it and answered all
	// that is needed. No check depends on what it finds. Nil asks nothing.
	Also func(context.Context)
}

// Demand is a clone that a token has to make possible.
type Demand struct {
	Repository bitbucket.Repository
	Branch     string              // the branch or tag whose commit is looked up; empty: HEAD
	As         bitbucket.TokenKind // the kind as which the token is presented; empty: the one that the server accepts
	For        string              // the environment that clones, in words; empty: the job itself
	Never      error               // why the token must not be presented for this; nil: it may be
	Reads      bool                // no push is demanded here, even where the job demands pushes
	OnlyAccess bool                // without a Branch: the commit is not looked up
}

// lacks reports whether the branch of the job itself was not found. A missing branch of an
// environment is only a warning.
func (d Demand) lacks(head string) bool { return d.For == "" && d.Branch != "" && head == "" }

func (d Demand) branchMissing() error {
	return fmt.Errorf("%s has no branch or tag %q; check the input branch", d.Repository.CloneURL(), d.Branch)
}

// Check proves the token: first for the first demand alone, then for the others. So a bad
// token is presented once. Each repository is asked once for each branch.
//
// A repository's refusal is in its finding. The error is about the token as a whole or
// about an outage, and names the refusals too, in order. A question that was not asked
// because of too many answers of 401 counts as a refusal. The most important questions are
// asked first, so the questions about pushes are the ones left out. When no push is needed,
// these do not spend the last answer of 401 that the token may draw.
//
// Check asks for a push where one is demanded. Without a demand it asks the first
// repository alone, for a warning. For a token that was accepted before it only asks for
// the clones.
func Check(ctx context.Context, s Server, demands []Demand, token Token, requireWrite bool) (Proof, error) {
	return newCheck(s, demands, token, requireWrite).run(ctx)
}

// CheckEach is Check for demands that are independent of each other. Where the first
// repository refuses, the token is proved for the next one, at most five times. An outage
// at one repository is in its finding. The third outage ends the check.
func CheckEach(ctx context.Context, s Server, demands []Demand, token Token, requireWrite bool) (Proof, error) {
	c := newCheck(s, demands, token, requireWrite)
	c.each = true
	return c.run(ctx)
}
