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
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Server is a Bitbucket. A *bitbucket.Refusal is its no. An error that wraps
// bitbucket.ErrNotAsked is nobody's: too many answers of 401 came before.
type Server interface {
	// ListRefs asks a repository for its refs, as git does.
	ListRefs(ctx context.Context, r bitbucket.Repository, s bitbucket.Service, as bitbucket.Login, wanted string) (bitbucket.Refs, error)
	// CheckREST asks for a repository in a way that takes no bad token, even
	// where everybody may read.
	CheckREST(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) (scopes []string, err error)
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

// Check proves the token: first against the primary repository, alone, then
// everything else, so that a token that is no good is presented once. What the
// repositories refuse is one error that names each of them, in order. Wanted is
// the branch or tag of the primary repository, empty for HEAD. What the server was
// not asked because it had answered 401 too often is named too; the questions come
// in the order of what they are worth, so it is those about pushes that are left.
func Check(ctx context.Context, s Server, repositories []bitbucket.Repository, token Token, wanted string, requireWrite bool) (Proof, error) {
	c := check{server: s, repositories: repositories, requireWrite: requireWrite, abreast: mostAbreast}
	primary := repositories[0]
	proof, refs, err := c.askPrimary(ctx, token, wanted)
	if err != nil && !isOfRepository(err) {
		if isOutage(err) && ctx.Err() != nil {
			return proof, fmt.Errorf("prove the token: %w", context.Cause(ctx))
		}
		return proof, explain(primary, proof.Kind, err)
	}
	proof.Head, c.scopes = refs.Commit(wanted), refs.Scopes
	switch {
	case err != nil: // what the others say is asked all the same
	case wanted != "" && proof.Head == "":
		return proof, fmt.Errorf("%s has no branch or tag %q; check the input branch", primary.CloneURL(), wanted)
	case proof.Head == "":
		proof.Warnings = append(proof.Warnings, fmt.Sprintf("%s has no commit on its default branch yet", primary.CloneURL()))
	}
	outage := c.askTheRest(ctx, proof.Kind, err)
	if ctx.Err() != nil {
		return proof, fmt.Errorf("prove the token: %w", context.Cause(ctx))
	}
	if err := c.refusals(proof.Kind); err != nil || outage != nil {
		return proof, cmp.Or(err, outage)
	}
	return c.judge(proof), nil
}

// check is one proof under way.
type check struct {
	server       Server
	repositories []bitbucket.Repository
	requireWrite bool
	abreast      int // most questions with the token under way

	reads  []error // answers to a clone, by repository; the primary's is known
	pushes []error // answers to a push, by repository
	basic  error   // Data Center's answer to the token as Basic

	public bool  // everybody may clone the primary repository
	rest   error // then, the answer of the REST to the token

	scopes  []string // of the token, where git's address tells them
	granted []string // the same, where the REST does
}

// mostAbreast is how many questions with the token are under way: as many as may
// be refused with 401, so more would only wait.
const mostAbreast = 2

// askPrimary asks for the primary repository with the token, and at the same time
// as nobody, for a server may give what is public to everybody and never look at
// the token.
func (c *check) askPrimary(ctx context.Context, token Token, wanted string) (Proof, bitbucket.Refs, error) {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	var nobody sync.WaitGroup
	nobody.Go(func() {
		_, err := c.server.ListRefs(asking, c.repositories[0], bitbucket.UploadPack, bitbucket.Login{}, "")
		c.public = err == nil
	})
	proof, refs, err := c.login(ctx, token, wanted)
	if err != nil {
		stop() // whoever else may read it, the token may not
	}
	nobody.Wait()
	return proof, refs, err
}

// login finds the way in which the primary repository accepts the token. When
// the kind is a guess that is refused with 401, the other kind is tried, and its
// answer counts unless that is 401 too.
func (c *check) login(ctx context.Context, token Token, wanted string) (Proof, bitbucket.Refs, error) {
	primary, kinds := c.repositories[0], []bitbucket.TokenKind{token.Kind}
	if !token.Certain {
		kinds = append(kinds, slices.DeleteFunc(primary.Flavor.TokenKinds(), func(k bitbucket.TokenKind) bool { return k == token.Kind })...)
	}
	var refused error
	var presented []string
	for _, kind := range kinds {
		refs, err := c.server.ListRefs(ctx, primary, bitbucket.UploadPack, kind.Login(), wanted)
		if !isUnauthorized(err) {
			return Proof{Kind: kind}, refs, err
		}
		refused = cmp.Or(refused, err)
		presented = append(presented, kind.Login().String())
		c.abreast = 1 // one more such answer may come; the next questions go one by one, in order
	}
	return Proof{Kind: token.Kind}, bitbucket.Refs{}, fmt.Errorf("%w (presented as %s)", refused, strings.Join(presented, ", then as "))
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
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(c.abreast)
	for _, q := range questions {
		group.Go(func() error {
			*q.answer = q.ask(within)
			if q.needed && isOutage(*q.answer) {
				return *q.answer
			}
			return nil
		})
	}
	return group.Wait() // the error is in its place too
}

// askTheRest asks all that the primary repository's answer left open: first what
// nobody can do without, which is the REST where the primary is public, the other
// clones and whether Basic works, and when these are answered, the pushes. After a
// refusal only the other clones are open, so that all that refuse are named.
func (c *check) askTheRest(ctx context.Context, kind bitbucket.TokenKind, refused error) error {
	primary, as := c.repositories[0], kind.Login()
	c.reads, c.pushes = make([]error, len(c.repositories)), make([]error, len(c.repositories))
	c.reads[0] = refused
	git := func(answer *error, r bitbucket.Repository, service bitbucket.Service, as bitbucket.Login, needed bool) question {
		return question{answer, func(ctx context.Context) error {
			_, err := c.server.ListRefs(ctx, r, service, as, "")
			return err
		}, needed}
	}
	var first, then []question
	if c.public && refused == nil {
		if c.rest = errNoEmail; kind != bitbucket.APIToken {
			first = append(first, question{&c.rest, func(ctx context.Context) (err error) {
				c.granted, err = c.server.CheckREST(ctx, primary, bitbucket.Login{Bearer: true})
				return err
			}, false})
		}
	}
	for i, repository := range c.repositories {
		if i > 0 {
			first = append(first, git(&c.reads[i], repository, bitbucket.UploadPack, as, true))
		}
		then = append(then, git(&c.pushes[i], repository, bitbucket.ReceivePack, as, c.requireWrite))
	}
	if primary.Flavor == bitbucket.DataCenter && refused == nil {
		first = append(first, git(&c.basic, primary, bitbucket.UploadPack, bitbucket.Login{User: kind.User()}, true))
	}
	if err := c.askAll(ctx, first); err != nil || refused != nil {
		return err
	}
	return c.askAll(ctx, then)
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
	text := strings.ToLower(refused.Text)
	return !strings.Contains(text, "captcha") && !strings.Contains(text, "licensed")
}

// isOutage tells an error that says nothing of the token from a refusal.
func isOutage(err error) bool {
	var refused *bitbucket.Refusal
	if errors.As(err, &refused) {
		return refused.Status >= 500 || refused.Status == 429
	}
	return err != nil && !errors.Is(err, bitbucket.ErrNotAsked)
}

// refusals is one error of all that stands against the token, in the order of
// the repositories, or nil.
func (c *check) refusals(kind bitbucket.TokenKind) error {
	var list []error
	var notAsked []string
	add := func(r bitbucket.Repository, answer, explained error) {
		switch {
		case errors.Is(answer, bitbucket.ErrNotAsked):
			notAsked = append(notAsked, r.CloneURL())
		case !errors.Is(answer, context.Canceled): // by an outage elsewhere
			list = append(list, explained)
		}
	}
	if primary := c.repositories[0]; isUnauthorized(c.rest) {
		add(primary, c.rest, explain(primary, kind, fmt.Errorf("everybody may clone it, and the REST refused: %w", c.rest)))
	}
	for i, repository := range c.repositories {
		if read := c.reads[i]; read != nil {
			add(repository, read, explain(repository, kind, read))
		} else if push := c.pushes[i]; push != nil && c.requireWrite {
			add(repository, push, explainPush(repository, kind, push))
		}
	}
	if isOutage(c.basic) {
		primary := c.repositories[0]
		add(primary, c.basic, fmt.Errorf("ask %s whether it takes the token as Basic: %w", primary.CloneURL(), c.basic))
	}
	if len(notAsked) > 0 {
		list = append(list, fmt.Errorf("%w: %s", bitbucket.ErrNotAsked, strings.Join(notAsked, ", ")))
	}
	return errors.Join(list...)
}

// judge turns the answers to a token that is good enough into warnings.
func (c *check) judge(p Proof) Proof {
	switch primary := c.repositories[0].CloneURL(); {
	case c.public && (isKnown(c.rest) || isKnown(c.pushes[0])):
		p.Warnings = append(p.Warnings, primary+" is public: a clone works without the token")
	case c.public:
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s is public: a clone works without the token, so nothing proves that the token is good: %v", primary, c.rest))
	}
	for i, repository := range c.repositories {
		switch push := c.pushes[i]; {
		case push == nil && !c.requireWrite:
			p.Warnings = append(p.Warnings, fmt.Sprintf("the token can push to %s; a token with %s is enough", repository.CloneURL(), readPermission(p.Kind)))
		case isOutage(push):
			p.Warnings = append(p.Warnings, fmt.Sprintf("nobody knows whether the token can push to %s: %v", repository.CloneURL(), push))
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
