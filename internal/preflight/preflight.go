// Package preflight proves a token against every repository before anything is
// written, with the protocol and the credential that git will use. It reaches
// Bitbucket only through the Server that it is handed, and only reads.
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

// Server is a Bitbucket. A *bitbucket.Refusal is its no. An error that wraps
// bitbucket.ErrNotAsked is nobody's: too many answers of 401 came before.
type Server interface {
	// ListRefs asks a repository for its refs, as git does.
	ListRefs(ctx context.Context, r bitbucket.Repository, s bitbucket.Service, as bitbucket.Login, wanted string) (bitbucket.Refs, error)
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
}

// Demand is a clone that a token has to make possible.
type Demand struct {
	Repository bitbucket.Repository
	Branch     string              // whose commit is wanted; empty: HEAD's
	As         bitbucket.TokenKind // as which the token is presented; empty: as whatever the server accepts
	For        string              // the environment that clones, in words; empty: the job itself
	Never      error               // why the token must not be presented for this; nil: it may
	Reads      bool                // no push is demanded, whatever others of the job demand
}

// lacks reports whether a commit that was found is none, and the job itself names its
// branch. Of an environment that is only a warning.
func (d Demand) lacks(head string) bool { return d.For == "" && d.Branch != "" && head == "" }

func (d Demand) branchMissing() error {
	return fmt.Errorf("%s has no branch or tag %q; check the input branch", d.Repository.CloneURL(), d.Branch)
}

// Finding is what came of a demand.
type Finding struct {
	Demand
	Head string // the commit of the branch; empty where there is none
	Err  error  // why the token does not serve; nil: it does
}

// Proof is what the checks learnt. The zero value is no proof.
type Proof struct {
	Kind       bitbucket.TokenKind // that the server accepted
	BearerOnly bool                // Data Center takes this token as Bearer and not as Basic
	Findings   []Finding           // by demand
	Warnings   []string

	served map[bitbucket.Repository]bool // by the whole that this is a part of, folded
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

// check is one proof under way.
type check struct {
	server       Server
	demands      []Demand
	token        Token // its kind becomes the one that the server accepts
	requireWrite bool
	each         bool // the demands do not stand or fall together
	underWay     int  // most questions with the token under way
	outages      atomic.Int32

	asked   []Demand        // one for each repository and branch
	places  map[demand]int  // of asked
	offer   bitbucket.Offer // of the primary
	primary int             // of asked: for which the token is proved first
	reads   []answer        // to a clone, by asked
	pushes  []error         // answers to a push, by asked
	basic   error           // Data Center's answer to the token as Basic

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
	}
	c.reads, c.pushes = make([]answer, len(c.asked)), make([]error, len(c.asked))
	return c
}

// admits reports whether the token may be presented for a demand, in the way in
// which it will be.
func (c *check) admits(d Demand) bool {
	return d.Never == nil && (d.As == "" || d.As == c.token.Kind)
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
	c.reads[c.primary], c.scopes, c.offer = answer{"", err, true}, offer.Scopes, offer
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
	needed bool // an outage is an error of the check
}

// askAll asks one question after the other. An outage ends it early, for it says
// nothing of the token.
func (c *check) askAll(ctx context.Context, questions []question) error {
	asking, within := group.WithContext(ctx)
	asking.SetLimit(c.underWay)
	for _, q := range questions {
		asking.Go(func() error {
			*q.answer = q.ask(within)
			if !q.needed || !isOutage(*q.answer) || c.each && c.outages.Add(1) < mostOutages {
				return nil
			}
			return *q.answer
		})
	}
	return asking.Wait() // the error is in its place too
}

// askTheRest asks all that the primary repository's answer left open: first what
// nobody can do without, which is the REST where the primary is public, the other
// clones and whether Basic works, and when these are answered, the pushes. After a
// refusal only the other clones are open, so that all that refuse are named, and where
// the demands do not stand or fall together, the pushes that are demanded.
func (c *check) askTheRest(ctx context.Context, refused error) error {
	primary, as := c.asked[c.primary].Repository, c.token.Kind.Login()
	if c.token.Accepted || refused == nil && !c.public {
		c.underWay = c.server.Accepted(primary.Flavor)
		c.askLists(ctx, primary)
	}
	var first, then []question
	if c.public && refused == nil {
		if c.rest = errNoEmail; c.token.Kind != bitbucket.APIToken {
			first = append(first, question{&c.rest, func(ctx context.Context) (err error) {
				c.granted, err = c.server.CheckREST(ctx, primary, bitbucket.Login{Bearer: true})
				return err
			}, false})
		}
	}
	if c.offer.Refs != nil && refused == nil {
		at, wanted := &c.reads[c.primary], c.asked[c.primary].Branch
		first = append(first, question{&at.err, func(ctx context.Context) error {
			refs, err := c.offer.Refs(ctx)
			at.head = refs.Commit(wanted)
			return err
		}, true})
	}
	for i, d := range c.asked {
		if !c.reads[i].known {
			first = append(first, question{&c.reads[i].err, func(ctx context.Context) error {
				refs, err := c.server.ListRefs(ctx, d.Repository, bitbucket.UploadPack, as, d.Branch)
				c.reads[i].head = refs.Commit(d.Branch)
				return err
			}, true})
		}
		if c.asksPush(i) && !c.permitted[d.Repository.Folded()] {
			then = append(then, question{&c.pushes[i], func(ctx context.Context) error {
				return c.server.CheckPush(ctx, d.Repository, as, c.requireWrite)
			}, c.requireWrite})
		}
	}
	switch {
	case c.token.Accepted, refused != nil && !c.each:
		return c.askAll(ctx, first)
	case refused != nil && !c.requireWrite:
		then = nil // of which there would only be a warning
	case refused == nil && primary.Flavor == bitbucket.DataCenter:
		first = append(first, question{&c.basic, func(ctx context.Context) error {
			return c.server.CheckClone(ctx, primary, bitbucket.Login{User: c.token.Kind.User()})
		}, true})
	}
	if c.underWay > mostUnderWay { // who is asked so much at once locks nobody out
		return c.askAll(ctx, append(first, then...))
	}
	if err := c.askAll(ctx, first); err != nil {
		return err
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

func isUnauthorized(err error) bool {
	var refused *bitbucket.Refusal
	return errors.As(err, &refused) && refused.Status == 401
}

// isKnown reports whether an answer shows that the server knows the token,
// whatever the token may do.
func isKnown(err error) bool {
	var refused *bitbucket.Refusal
	return err == nil || errors.As(err, &refused) && refused.Status == 403 && !refused.NotGit
}

// isOfRepository reports whether a refusal says that the token is known and
// stands against one repository. A locked or unlicensed owner is refused
// everywhere, and asking on could prolong the lock.
func isOfRepository(err error) bool {
	var refused *bitbucket.Refusal
	if !errors.As(err, &refused) || refused.NotGit || refused.Status != 200 && refused.Status != 403 && refused.Status != 404 {
		return false
	}
	return !hasAny(refused, "captcha", "licensed")
}

// isOutage tells an error that says nothing of the token from a refusal.
func isOutage(err error) bool {
	var refused *bitbucket.Refusal
	if errors.As(err, &refused) {
		return refused.Status >= 500 || refused.Status == 429 || isRemoved(refused)
	}
	return err != nil && !errors.Is(err, bitbucket.ErrNotAsked)
}

// IsRefusal reports whether an error is Bitbucket's own no to the token or to the
// repository: no outage, no removed address, and no proxy's page.
func IsRefusal(err error) bool {
	var refused *bitbucket.Refusal
	if errors.As(err, &refused) {
		return !refused.NotGit && !isOutage(err)
	}
	return errors.Is(err, bitbucket.ErrNotAsked)
}

// IsAddressRefused reports whether Bitbucket refuses the IP address of this runner,
// in the error or in any that it joins or wraps.
func IsAddressRefused(err error) bool {
	switch err := err.(type) {
	case *bitbucket.Refusal:
		return IsRefusal(err) && isOfAddress(err)
	case interface{ Unwrap() error }:
		return IsAddressRefused(err.Unwrap())
	case interface{ Unwrap() []error }: // errors.As would stop at the first refusal
		return slices.ContainsFunc(err.Unwrap(), IsAddressRefused)
	}
	return false
}

// against is what stands against the token as a whole, nil when nothing does.
func (c *check) against() error {
	primary := c.asked[c.primary].Repository
	switch {
	case isUnauthorized(c.rest):
		return explain(primary, c.token.Kind, fmt.Errorf("everybody may clone it, and the REST refused: %w", c.rest))
	case errors.Is(c.basic, context.Canceled): // by an outage elsewhere
		return nil
	case isOutage(c.basic):
		return fmt.Errorf("ask %s whether it takes the token as Basic: %w", primary.CloneURL(), c.basic)
	}
	return nil
}

// proof is what is known by now.
func (c *check) proof() Proof {
	p := Proof{Kind: c.token.Kind}
	for _, d := range c.demands {
		p.Findings = append(p.Findings, c.find(d))
	}
	if len(c.asked) > 0 && !c.token.Accepted && c.against() == nil && (p.Err() == nil || c.each && c.reads[c.primary].err == nil) {
		p = c.judge(p)
	}
	for _, f := range p.Findings {
		if f.Err == nil && f.For != "" && f.Branch != "" && f.Head == "" {
			p.Warnings = append(p.Warnings, fmt.Sprintf("environment %s clones the branch or tag %q of %s, which does not exist", f.For, f.Branch, f.Repository.CloneURL()))
		}
	}
	return p
}

// find is the finding of one demand.
func (c *check) find(d Demand) Finding {
	f := Finding{Demand: d}
	switch i := c.places[d.key()]; {
	case d.Never != nil:
		f.Err = inWords(d, d.Never)
	case !c.admits(d):
		f.Err = inWords(d, fmt.Errorf("it clones %s with the user %s of an %s, and the new token is an %s: run apply for this environment with the new token",
			d.Repository, d.As.User(), d.As, c.token.Kind))
	case c.reads[i].err != nil:
		f.Err = c.explained(i, d, c.reads[i].err)
	case d.lacks(c.reads[i].head):
		f.Err = d.branchMissing()
	case c.pushes[i] != nil && c.requireWrite && !d.Reads:
		f.Err = c.explained(i, d, c.pushes[i])
	default:
		f.Head = c.reads[i].head
	}
	return f
}

// explained is what an answer to one demand means.
func (c *check) explained(i int, d Demand, err error) error {
	switch {
	case errors.Is(err, bitbucket.ErrNotAsked), errors.Is(err, context.Canceled): // the latter by an outage elsewhere
		return err
	case c.reads[i].err == nil:
		err = explainPush(d.Repository, c.token.Kind, err)
	default:
		err = explain(d.Repository, c.token.Kind, err)
	}
	return inWords(d, err)
}

// inWords puts the environment that makes a demand before an error.
func inWords(d Demand, err error) error {
	if d.For == "" {
		return err
	}
	return fmt.Errorf("environment %s: %w", d.For, err)
}

// Err joins what the repositories refuse, in order; nil when they refuse nothing.
func (p Proof) Err() error {
	var list []error
	var notAsked []string
	for _, f := range p.Findings {
		switch {
		case errors.Is(f.Err, bitbucket.ErrNotAsked):
			if url := f.Repository.CloneURL(); !slices.Contains(notAsked, url) {
				notAsked = append(notAsked, url)
			}
		case !errors.Is(f.Err, context.Canceled):
			list = append(list, f.Err)
		}
	}
	if len(notAsked) > 0 {
		list = append(list, fmt.Errorf("%w: %s", bitbucket.ErrNotAsked, strings.Join(notAsked, ", ")))
	}
	return errors.Join(list...)
}

// Head is the commit of the first demand, empty when there is none.
func (p Proof) Head() string {
	if len(p.Findings) == 0 {
		return ""
	}
	return p.Findings[0].Head
}

// HeadOf is the commit that was found for a repository's branch, empty when none
// was.
func (p Proof) HeadOf(r bitbucket.Repository, branch string) string {
	for _, f := range p.Findings {
		if f.Repository.Same(r) && f.Branch == branch && f.Head != "" {
			return f.Head
		}
	}
	return ""
}

// Served counts the demands that the token serves.
func (p Proof) Served() int {
	served := 0
	for _, f := range p.Findings {
		if f.Err == nil {
			served++
		}
	}
	return served
}

// Serves reports whether nothing was found against an environment.
func (p Proof) Serves(environment string) bool {
	return !slices.ContainsFunc(p.Findings, func(f Finding) bool { return f.For == environment && f.Err != nil })
}

// Open are the demands that this proof, or the whole that it is a part of, does not
// answer with yes.
func (p Proof) Open(demands []Demand) []Demand {
	served := p.served
	if served == nil {
		served = p.serves()
	}
	return slices.DeleteFunc(slices.Clone(demands), func(d Demand) bool {
		return served[d.Repository.Folded()] && (d.As == "" || d.As == p.Kind)
	})
}

func (p Proof) serves() map[bitbucket.Repository]bool {
	served := map[bitbucket.Repository]bool{}
	for _, f := range p.Findings {
		if f.Err == nil {
			served[f.Repository.Folded()] = true
		}
	}
	return served
}

// Parts are the proofs of the first demands, of those that follow, and so on, by how many
// they are.
func (p Proof) Parts(sizes ...int) []Proof {
	list := make([]Proof, len(sizes))
	p.served = p.serves()
	findings := p.Findings
	for i, size := range sizes {
		list[i] = p
		list[i].Findings, findings = findings[:size:size], findings[size:]
	}
	return list
}

// explainREST is what the REST's answer to the token means.
func (c *check) explainREST() error {
	var refused *bitbucket.Refusal
	if !errors.As(c.rest, &refused) || refused.NotGit {
		return c.rest
	}
	return explained(c.asked[c.primary].Repository, c.token.Kind, readPermission(c.token.Kind), c.rest)
}

// judge turns the answers to a token that is good enough into warnings.
func (c *check) judge(p Proof) Proof {
	primary := c.asked[c.primary].Repository.CloneURL()
	if c.asked[c.primary].Branch == "" && c.reads[c.primary].head == "" {
		p.Warnings = append(p.Warnings, primary+" has no commit on its default branch yet")
	}
	switch {
	case c.public && (isKnown(c.rest) || isKnown(c.pushes[c.primary]) && !c.token.ReadOnly):
		p.Warnings = append(p.Warnings, primary+" is public: a clone works without the token")
	case c.public:
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s is public: a clone works without the token, so nothing proves that the token is good: %v", primary, c.explainREST()))
	}
	for i, d := range c.asked {
		switch push := c.pushes[i]; {
		case !c.asksPush(i):
		case push == nil && !c.requireWrite:
			p.Warnings = append(p.Warnings, fmt.Sprintf("the token can push to %s; a token with %s is enough", d.Repository.CloneURL(), readPermission(p.Kind)))
		case isOutage(push):
			p.Warnings = append(p.Warnings, fmt.Sprintf("nobody knows whether the token can push to %s: %v", d.Repository.CloneURL(), push))
		}
	}
	if surplus := bitbucket.Surplus(slices.Concat(c.scopes, c.granted), c.requireWrite); len(surplus) > 0 {
		slices.Sort(surplus)
		p.Warnings = append(p.Warnings, "the token has scopes that its work here does not need: "+strings.Join(slices.Compact(surplus), ", "))
	}
	if p.BearerOnly = c.basic != nil; p.BearerOnly {
		p.Warnings = append(p.Warnings, fmt.Sprintf("the server takes this token as Bearer only, so git in the image must be 2.46 or newer (as Basic: %v)", c.basic))
	}
	return p
}
