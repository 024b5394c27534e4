package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
)

// check is one proof under way.
type check struct {
	server       Server
	demands      []Demand
	token        Token // its kind becomes the one that the server accepts
	requireWrite bool
	each         bool // one refused demand does not end the check
	underWay     int  // how many questions may present the token at the same time
	outages      atomic.Int32

	asked   []Demand          // one for each repository and branch
	places  map[demand]int    // indexes into asked
	offers  []bitbucket.Offer // one for each of asked
	primary int               // index into asked: the token is proved for this one first
	reads   []answer          // answers to a clone, one for each of asked
	pushes  []error           // answers to a push, one for each of asked
	basic   error             // Data Center's answer to the token as Basic

	permitted map[bitbucket.Repository]bool // repositories that a list of the server shows as writable

	public bool  // everyone may clone the primary repository
	rest   error // the REST's answer to the token, asked where public is true

	scopes  []string // the token's, as git's address reports them
	granted []string // the token's, as the REST reports them
}

// answer is a repository's answer to a clone.
type answer struct {
	head  string
	err   error
	known bool // there is an answer
}

// demand identifies the question that answers a Demand.
type demand struct {
	folded bitbucket.Repository
	branch string
}

func (d Demand) key() demand { return demand{d.Repository.Folded(), d.Branch} }

func newCheck(s Server, demands []Demand, token Token, requireWrite bool) *check {
	c := &check{server: s, demands: demands, token: token, requireWrite: requireWrite, underWay: mostUnderWay, places: map[demand]int{}}
	for _, d := range demands {
		if d.Never == nil && !c.token.Certain && d.As != "" {
			c.token.Kind, c.token.Certain = d.As, true // environments present it so
		}
	}
	for _, d := range demands {
		if !c.admits(d) {
			continue
		}
		at, known := c.places[d.key()]
		if !known {
			at = len(c.asked)
			c.places[d.key()], c.asked = at, append(c.asked, d)
		}
		c.asked[at].Reads = c.asked[at].Reads && d.Reads
		c.asked[at].OnlyAccess = c.asked[at].OnlyAccess && d.OnlyAccess
	}
	c.offers, c.reads, c.pushes = make([]bitbucket.Offer, len(c.asked)), make([]answer, len(c.asked)), make([]error, len(c.asked))
	return c
}

// admits reports whether the token may be presented for a demand as the kind that it has.
func (c *check) admits(d Demand) bool {
	return d.Never == nil && (d.As == "" || d.As == c.token.Kind)
}

// run asks all questions, in the order that Check describes.
func (c *check) run(ctx context.Context) (Proof, error) {
	if len(c.asked) == 0 {
		return c.proof(), nil
	}
	var refused error
	if !c.token.Accepted {
		var done bool
		refused, done = c.askPrimary(ctx)
		for tried := 1; refused != nil && c.goesOn(ctx) && tried < min(mostTried, len(c.asked)); tried++ {
			c.primary = tried
			refused, done = c.askPrimary(ctx)
		}
		if done {
			return c.proof(), refused
		}
	}
	outage := c.askTheRest(ctx, refused)
	if ctx.Err() != nil {
		return c.proof(), fmt.Errorf("prove the token: %w", context.Cause(ctx))
	}
	if against := c.against(); against != nil || outage != nil {
		return c.proof(), cmp.Or(errors.Join(against, c.proof().Err()), outage)
	}
	return c.proof(), nil
}

// goesOn reports whether the answer of the primary repository concerns that repository
// alone, so that the token may be proved for the next one. A refusal of the token, a locked
// owner and the third outage end the check.
func (c *check) goesOn(ctx context.Context) bool {
	err := c.reads[c.primary].err
	var refused *bitbucket.Refusal
	switch {
	case !c.each, ctx.Err() != nil, isUnauthorized(err), errors.Is(err, bitbucket.ErrNotAsked):
		return false
	case errors.As(err, &refused) && hasAny(refused, "captcha", "licensed"):
		return false
	case isOutage(err):
		return c.outages.Add(1) < mostOutages
	}
	return true
}

const (
	// mostUnderWay is how many questions may present the token at the same time before the
	// server has accepted it. It is the number of answers of 401 that the token may draw.
	mostUnderWay = 2
	// mostTried is how many repositories are asked first, one after another, until one of
	// them accepts the token.
	mostTried = 5
	// mostOutages is how many repositories may fail to answer. After that many, the server
	// counts as out of order.
	mostOutages = 3
	// fewest is the number of open clones from which Data Center's lists are asked. The
	// lists take at least two requests.
	fewest = 4
)

// asksPush reports whether to ask for a push.
func (c *check) asksPush(at int) bool {
	return !c.token.ReadOnly && (at == c.primary || c.requireWrite && !c.asked[at].Reads)
}

// askPrimary asks for the primary repository with the token, and at the same time without
// a credential: a server may serve a public repository without looking at the token. If
// done is true, the error ends the check. Otherwise an error is a refusal of this
// repository alone.
func (c *check) askPrimary(ctx context.Context) (err error, done bool) {
	primary := c.asked[c.primary]
	asking, stop := context.WithCancel(ctx)
	defer stop()
	nobody := group.New()
	nobody.Go(func() error {
		c.public = c.server.CheckClone(asking, primary.Repository, bitbucket.Login{}) == nil
		return nil
	})
	offer, err := c.login(ctx)
	if err != nil {
		stop() // it no longer matters whether the repository is public
	}
	_ = nobody.Wait()
	c.reads[c.primary], c.scopes, c.offers[c.primary] = answer{"", err, true}, offer.Scopes, offer
	switch {
	case err != nil && isOfRepository(err):
		return err, false
	case isOutage(err) && ctx.Err() != nil:
		return fmt.Errorf("prove the token: %w", context.Cause(ctx)), true
	case err != nil:
		return inWords(primary, explain(primary.Repository, c.token.Kind, err)), true
	}
	return nil, false
}

// login finds the kind of token as which the primary repository accepts the token. When
// the kind is a guess and is refused with 401, the other kind is tried. The second answer
// counts unless it is 401 too.
func (c *check) login(ctx context.Context) (bitbucket.Offer, error) {
	primary, kinds := c.asked[c.primary], []bitbucket.TokenKind{c.token.Kind}
	if !c.token.Certain {
		kinds = append(kinds, slices.DeleteFunc(primary.Repository.Flavor.TokenKinds(), func(k bitbucket.TokenKind) bool { return k == c.token.Kind })...)
	}
	var refused error
	var presented []string
	for _, kind := range kinds {
		offer, err := c.server.Offer(ctx, primary.Repository, kind.Login(), primary.Branch)
		if !isUnauthorized(err) {
			c.token.Kind = kind
			return offer, err
		}
		refused = cmp.Or(refused, err)
		presented = append(presented, kind.Login().String())
		c.underWay = 1 // one more 401 is allowed, so the next questions go one by one, in order
	}
	return bitbucket.Offer{}, fmt.Errorf("%w (presented as %s)", refused, strings.Join(presented, ", then as "))
}

// question presents the token. It has a place for its answer.
type question struct {
	answer *error
	ask    func(context.Context) error
	more   func(context.Context) error // asks further after a good answer; nil: nothing more is asked
	needed bool                        // an outage is an error of the check
}

// askAll asks up to underWay questions at the same time, in their order: when no further
// answer of 401 is allowed, the last questions are the ones that are not asked. As many
// more may ask further about what was just allowed. An outage of a needed question ends it
// early, because it says nothing about the token.
func (c *check) askAll(ctx context.Context, questions []question) error {
	asking, within := group.WithContext(ctx)
	asks, mores := make(chan struct{}, c.underWay), make(chan struct{}, c.underWay)
	var refused atomic.Int32
	held := func(places chan struct{}, ask func(context.Context) error) error {
		err := ask(within)
		if !isUnauthorized(err) || int(refused.Add(1)) >= cap(places) {
			<-places
		} // otherwise one question fewer may be under way, so that the next attempt is for the next question
		return err
	}
	for _, q := range questions {
		if q.ask != nil {
			asks <- struct{}{}
		}
		asking.Go(func() error {
			if q.ask != nil {
				*q.answer = held(asks, q.ask)
			}
			if q.more != nil && *q.answer == nil {
				mores <- struct{}{}
				*q.answer = held(mores, q.more)
			}
			if !q.needed || !isOutage(*q.answer) || c.each && c.outages.Add(1) < mostOutages {
				return nil
			}
			return *q.answer
		})
	}
	err := asking.Wait() // which is also in its question's place
	c.underWay = max(1, c.underWay-int(refused.Load()))
	return err
}

// clone asks whether a demand's clone is allowed, and then for its refs where these are
// wanted.
func (c *check) clone(at int) question {
	d := c.asked[at]
	q := question{answer: &c.reads[at].err, needed: true, ask: func(ctx context.Context) (err error) {
		c.offers[at], err = c.server.Offer(ctx, d.Repository, c.token.Kind.Login(), d.Branch)
		return err
	}}
	if !d.OnlyAccess || d.Branch != "" {
		q.more = c.refs(at)
	}
	return q
}

// refs asks for the refs that a demand's repository has offered.
func (c *check) refs(at int) func(context.Context) error {
	return func(ctx context.Context) error {
		refs, err := c.offers[at].Refs(ctx)
		c.reads[at].head = refs.Commit(c.asked[at].Branch)
		return err
	}
}

// askTheRest asks what the primary repository's answer left open. The needed questions come
// first: the REST where the primary repository is public, the other clones, whether Basic
// works, and the pushes that are demanded. The optional ones follow when these are
// answered: a push that is not demanded, and Token.Also. After a refusal it asks only for
// the other clones, so that the error names every repository that refuses; with each, it
// also asks for the pushes that are demanded.
func (c *check) askTheRest(ctx context.Context, refused error) error {
	primary, as := c.asked[c.primary].Repository, c.token.Kind.Login()
	if c.token.Accepted || refused == nil && !c.public {
		c.underWay = c.server.Accepted(primary.Flavor)
		c.askLists(ctx, primary)
	}
	var first, then []question
	if c.public && refused == nil {
		if c.rest = errNoEmail; c.token.Kind != bitbucket.APIToken {
			first = append(first, question{answer: &c.rest, ask: func(ctx context.Context) (err error) {
				c.granted, err = c.server.CheckREST(ctx, primary, bitbucket.Login{Bearer: true})
				return err
			}})
		}
	}
	if c.offers[c.primary].Refs != nil && refused == nil {
		first = append(first, question{answer: &c.reads[c.primary].err, needed: true, more: c.refs(c.primary)})
	}
	for i, d := range c.asked {
		if !c.reads[i].known {
			first = append(first, c.clone(i))
		}
		if c.asksPush(i) && !c.permitted[d.Repository.Folded()] {
			then = append(then, question{answer: &c.pushes[i], needed: c.requireWrite, ask: func(ctx context.Context) error {
				return c.server.CheckPush(ctx, d.Repository, as, c.requireWrite)
			}})
		}
	}
	switch {
	case c.token.Accepted, refused != nil && !c.each:
		return c.askAll(ctx, first)
	case refused != nil && !c.requireWrite:
		then = nil // they would only lead to a warning
	case refused == nil && primary.Flavor == bitbucket.DataCenter:
		first = append(first, question{answer: &c.basic, needed: true, ask: func(ctx context.Context) error {
			return c.server.CheckClone(ctx, primary, bitbucket.Login{User: c.token.Kind.User()})
		}})
	}
	// A server that may be asked so much at once does not lock accounts. Pushes that are
	// demanded come in their turn. One that is not demanded must leave an attempt, so it
	// waits until no other question can spend one.
	if c.underWay > mostUnderWay || c.requireWrite {
		first, then = append(first, then...), nil
	}
	if err := c.askAll(ctx, first); err != nil {
		return err
	}
	if c.token.Also != nil && !c.public && c.against() == nil && c.proof().Err() == nil {
		then = append(then, question{answer: new(error), ask: func(ctx context.Context) error {
			c.token.Also(ctx)
			return nil
		}})
	}
	return c.askAll(ctx, then)
}

// askLists asks a Data Center for lists of what the token may do, because there few
// questions may present the token at the same time. A repository in a list need not be
// asked about, except for a branch, which the lists do not show. No check depends on an
// answer.
func (c *check) askLists(ctx context.Context, primary bitbucket.Repository) {
	var open []int
	pushes := false
	for i, d := range c.asked {
		if !c.reads[i].known && d.Branch == "" {
			open = append(open, i)
			pushes = pushes || i != c.primary && c.asksPush(i)
		}
	}
	if primary.Flavor != bitbucket.DataCenter || len(open) < fewest {
		return
	}
	readable, err := c.server.ListPermitted(ctx, primary, false)
	if err != nil {
		return
	}
	for _, i := range open {
		c.reads[i].known = readable[c.asked[i].Repository.Folded()]
	}
	if pushes {
		c.permitted, _ = c.server.ListPermitted(ctx, primary, true)
	}
}

// errNoEmail stands for the REST's answer to an API token.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/
var errNoEmail = errors.New("the REST takes an API token only beside its owner's e-mail address")
