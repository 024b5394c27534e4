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

	"golang.org/x/sync/errgroup"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Server is a Bitbucket. A *bitbucket.Refusal is its no.
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
// the branch or tag of the primary repository, empty for HEAD. Whatever happens,
// the server answers 401 at most twice (see mostFailures); what could not be
// asked for that reason is named too.
func Check(ctx context.Context, s Server, repositories []bitbucket.Repository, token Token, wanted string, requireWrite bool) (Proof, error) {
	c := check{server: s, repositories: repositories, chances: newChances(), requireWrite: requireWrite}
	primary := repositories[0]
	proof, refs, err := c.login(ctx, token, wanted)
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
	chances      *chances
	requireWrite bool

	reads  []error // answers to a clone, by repository; the primary's is known
	pushes []error // answers to a push, by repository
	basic  error   // Data Center's answer to the token as Basic

	public bool  // everybody may clone the primary repository
	rest   error // then, the answer of the REST to the token

	scopes  []string // of the token, where git's address tells them
	granted []string // the same, where the REST does
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
		if err := c.chances.take(ctx); err != nil {
			return Proof{Kind: kind}, bitbucket.Refs{}, err
		}
		refs, err := c.server.ListRefs(ctx, primary, bitbucket.UploadPack, kind.Login(), wanted)
		c.chances.settle(err)
		if !isUnauthorized(err) {
			return Proof{Kind: kind}, refs, err
		}
		refused = cmp.Or(refused, err)
		presented = append(presented, kind.Login().String())
	}
	return Proof{Kind: token.Kind}, bitbucket.Refs{}, fmt.Errorf("%w (presented as %s)", refused, strings.Join(presented, ", then as "))
}

// askTheRest asks all that the primary repository's answer left open, the
// necessary first: where chances run out, it is questions about pushes that are
// left. After a refusal only the other clones are open, so that all that refuse
// are named. An outage ends it early, for it says nothing of the token.
func (c *check) askTheRest(ctx context.Context, kind bitbucket.TokenKind, refused error) error {
	primary, as := c.repositories[0], kind.Login()
	c.reads, c.pushes = make([]error, len(c.repositories)), make([]error, len(c.repositories))
	c.reads[0] = refused
	group, within := errgroup.WithContext(ctx)
	ask := func(answer *error, r bitbucket.Repository, service bitbucket.Service, as bitbucket.Login, needed bool) {
		if *answer = c.chances.take(within); *answer != nil { // not in the goroutine: chances go in order
			return
		}
		group.Go(func() error {
			_, err := c.server.ListRefs(within, r, service, as, "")
			c.chances.settle(err)
			*answer = err
			if needed && isOutage(err) {
				return err
			}
			return nil
		})
	}
	if refused == nil {
		c.askWhoeverReads(within, group, kind)
	}
	for i, repository := range c.repositories {
		if i > 0 {
			ask(&c.reads[i], repository, bitbucket.UploadPack, as, true)
		}
	}
	if refused != nil {
		return group.Wait()
	}
	if primary.Flavor == bitbucket.DataCenter {
		ask(&c.basic, primary, bitbucket.UploadPack, bitbucket.Login{User: kind.User()}, true)
	}
	for i, repository := range c.repositories {
		ask(&c.pushes[i], repository, bitbucket.ReceivePack, as, c.requireWrite)
	}
	return group.Wait() // the error is in its place too
}

// errNoEmail stands for the REST's answer to an API token.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/
var errNoEmail = errors.New("the REST takes an API token only beside its owner's e-mail address")

// askWhoeverReads asks whether the primary repository is public. A server may
// give what is public to everybody and never look at the token; then the REST
// has to tell. Its chance is set aside before anything else can spend it.
func (c *check) askWhoeverReads(ctx context.Context, group *errgroup.Group, kind bitbucket.TokenKind) {
	if c.chances.take(ctx) != nil {
		return
	}
	group.Go(func() error {
		primary := c.repositories[0]
		_, err := c.server.ListRefs(ctx, primary, bitbucket.UploadPack, bitbucket.Login{}, "")
		if c.public = err == nil; !c.public {
			c.chances.settle(nil)
			return nil
		}
		if c.rest = errNoEmail; kind != bitbucket.APIToken {
			c.granted, c.rest = c.server.CheckREST(ctx, primary, bitbucket.Login{Bearer: true})
		}
		c.chances.settle(c.rest)
		return nil
	})
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
	return err != nil && !errors.Is(err, errNotAsked)
}

// refusals is one error of all that stands against the token, in the order of
// the repositories, or nil.
func (c *check) refusals(kind bitbucket.TokenKind) error {
	var list []error
	var notAsked []string
	add := func(r bitbucket.Repository, answer, explained error) {
		switch {
		case errors.Is(answer, errNotAsked):
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
		list = append(list, fmt.Errorf("%w: %s", errNotAsked, strings.Join(notAsked, ", ")))
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
