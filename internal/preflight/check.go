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
	each         bool // the demands do not stand or fall together
	underWay     int  // most questions with the token under way
	outages      atomic.Int32

	asked   []Demand          // one for each repository and branch
	places  map[demand]int    // of asked
	offers  []bitbucket.Offer // by asked
	primary int               // of asked: for which the token is proved first
	reads   []answer          // to a clone, by asked
	pushes  []error           // answers to a push, by asked
	basic   error             // Data Center's answer to the token as Basic

	permitted map[bitbucket.Repository]bool // to push to, as far as a list tells

	public bool  // everybody may clone the primary repository
	rest   error // then, the answer of the REST to the token

	scopes  []string // of the token, where git's address tells them
	granted []string // the same, where the REST does
}

// answer is what a repository says to a clone.
type answer struct {
	head  string
	err   error
	known bool // it was asked
}

// demand is what one question answers.
type demand struct {
	folded bitbucket.Repository
	branch string
}

func (d Demand) key() demand { return demand{d.Repository.Folded(), d.Branch} }

func newCheck(s Server, demands []Demand, token Token, requireWrite bool) *check {
	c := &check{server: s, demands: demands, token: token, requireWrite: requireWrite, underWay: mostUnderWay, places: map[demand]int{}}
	for _, d := range demands {
		if d.Never == nil && !c.token.Certain && d.As != "" {
			c.token.Kind, c.token.Certain = d.As, true // as environments present it
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

// admits reports whether the token may be presented for a demand, in the way in
// which it will be.
func (c *check) admits(d Demand) bool {
	return d.Never == nil && (d.As == "" || d.As == c.token.Kind)
}

// run asks everything, in the order that Check describes.
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

// goesOn reports whether what the primary repository has answered is its own matter, so
// that the token may be proved for the next one: it is no refusal of the token, no locked
// owner, and not the third outage.
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
	// mostUnderWay is how many questions with the token are under way before the server
	// has taken it: as many as may be refused with 401, so more would only wait.
	mostUnderWay = 2
	// mostTried is for how many repositories, one after the other, a token is proved
	// first.
	mostTried = 5
	// mostOutages is how many repositories may fail to answer until it is the server
	// that is taken to be out of order.
	mostOutages = 3
	// fewest is how many clones have to be open for Data Center's lists to be asked: they
	// are two requests at least.
	fewest = 4
)

// asksPush reports whether a push is asked for.
func (c *check) asksPush(at int) bool {
	return !c.token.ReadOnly && (at == c.primary || c.requireWrite && !c.asked[at].Reads)
}

// askPrimary asks for the primary repository with the token, and at the same time
// as nobody, for a server may give what is public to everybody and never look at
// the token. Done says that the error ends the check; else it is a refusal of this
// repository.
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
		stop() // whoever else may read it, the token may not
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

// login finds the way in which the primary repository accepts the token. When
// the kind is a guess that is refused with 401, the other kind is tried, and its
// answer counts unless that is 401 too.
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
		c.underWay = 1 // one more such answer may come; the next questions go one by one, in order
	}
	return bitbucket.Offer{}, fmt.Errorf("%w (presented as %s)", refused, strings.Join(presented, ", then as "))
}

// question is one that presents the token, and the place of its answer.
type question struct {
	answer *error
	ask    func(context.Context) error
	more   func(context.Context) error // of what the answer has allowed; nil: there is no more
	needed bool                        // an outage is an error of the check
}

// askAll asks so many questions at a time, and begins each after those before it, so that
// it is the last ones that are left when no more may be refused. Beside them as many ask
// for more of what was just allowed. An outage ends it early, for it says nothing of the
// token.
func (c *check) askAll(ctx context.Context, questions []question) error {
	asking, within := group.WithContext(ctx)
	asks, mores := make(chan struct{}, c.underWay), make(chan struct{}, c.underWay)
	held := func(place chan struct{}, ask func(context.Context) error) error {
		defer func() { <-place }()
		return ask(within)
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
	return asking.Wait() // the error is in its place too
}

// clone asks one of the demands for a clone, and then for its refs where they are wanted.
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

// refs asks for the refs that one of the demands was offered.
func (c *check) refs(at int) func(context.Context) error {
	return func(ctx context.Context) error {
		refs, err := c.offers[at].Refs(ctx)
		c.reads[at].head = refs.Commit(c.asked[at].Branch)
		return err
	}
}

// askTheRest asks all that the primary repository's answer left open: first what
// nobody can do without, which is the REST where the primary is public, the other
// clones and whether Basic works, and when these are answered, the pushes, unless they are
// demanded, and what Token.Also asks. After a refusal only the other clones are open, so
// that all that refuse are named, and where the demands do not stand or fall together, the
// pushes that are demanded.
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
		then = nil // of which there would only be a warning
	case refused == nil && primary.Flavor == bitbucket.DataCenter:
		first = append(first, question{answer: &c.basic, needed: true, ask: func(ctx context.Context) error {
			return c.server.CheckClone(ctx, primary, bitbucket.Login{User: c.token.Kind.User()})
		}})
	}
	// Who is asked so much at once locks nobody out. Pushes that are demanded come in their
	// turn. One that is not must leave an attempt, so nothing may be open that can spend one.
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

// askLists asks Data Center, which locks accounts and is asked about few repositories at a
// time, for lists of what the token may do. What is in them need not be asked one by one,
// but for a branch, of which they say nothing. Nothing depends on an answer.
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
