package action

import (
	"context"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// ahead is the proof of a rotation's token as far as it can be made before there is a plan.
// It decides nothing. The proof of the plan finds its answers, and asks what it did not.
type ahead struct {
	run
	token  sensitive.String
	server *preflight.Once
}

// dial connects to the server to which a rotation will send the token, where Oz has to say
// first which of its repositories to ask about.
func (r run) dial() {
	asksLate := r.job.Mode == config.Rotate && len(own(r.entry)) == 0
	if server := r.entry.Server(); server != "" && asksLate && r.provable(r.entry.Token) {
		r.bitbucket.Dial(server)
	}
}

// goAhead is nil where there is no token to prove yet.
func (r run) goAhead(token sensitive.String) *ahead {
	if r.job.Mode != config.Rotate || r.job.Rotation.Mint || !r.provable(token) {
		return nil
	}
	return &ahead{r, token, preflight.NewOnce(r.bitbucket.Client(token))}
}

// prove begins with the inputs' first repository, unless environments have to tell as what
// the token is presented. It goes on with what the plan would be if nothing but the lists
// were known, where that plan might be carried out. When whole knows the rest of Oz, and
// that was all there was to prove, it asks when the token ends. A nil ahead does nothing.
func (a *ahead) prove(ctx context.Context, lists <-chan reconcile.World, whole func(context.Context) (reconcile.World, bool)) {
	if a == nil {
		return
	}
	if named := own(a.entry); len(named) > 0 {
		if as := a.kindOf(a.token, named[0].Repository.Flavor); as.Certain {
			a.server.Begin(ctx, named[0], as)
		}
	}
	world, found := <-lists
	if !found {
		return
	}
	wanted := a.wanted(world.AsListed(reconcile.Rotation, a.desired(preflight.Proof{})))
	if len(wanted) == 0 {
		return
	}
	inOrder := a.server.Lead(wanted)
	also := a.asksWhenAll(a.token, inOrder[0].Repository, whole, func(world reconcile.World) bool {
		return slices.EqualFunc(a.wanted(world), wanted, isSame)
	})
	_, _ = a.check(ctx, a.server, a.token, inOrder, also)
}

// wanted is what a rotation in this world would prove; nothing where it would not get there.
func (a *ahead) wanted(world reconcile.World) []preflight.Demand {
	plan := reconcile.Diff(reconcile.Rotation, a.desired(preflight.Proof{}), world)
	if plan.Err() != nil || a.refuseStrangers(plan) != nil {
		return nil
	}
	wanted, _ := a.demanded(plan, a.token)
	return wanted
}

// isSame reports whether two demands ask for the same.
func isSame(a, b preflight.Demand) bool {
	return a.Repository == b.Repository && a.Branch == b.Branch && a.As == b.As && (a.Never == nil) == (b.Never == nil)
}
