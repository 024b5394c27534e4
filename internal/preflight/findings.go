package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

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

// isOfRepository reports whether a server that knows the token has refused one
// repository. A locked or unlicensed owner is refused everywhere, and further
// requests could prolong the lock.
func isOfRepository(err error) bool {
	var refused *bitbucket.Refusal
	if !errors.As(err, &refused) || refused.NotGit || refused.Status != 200 && refused.Status != 403 && refused.Status != 404 {
		return false
	}
	return !hasAny(refused, "captcha", "licensed")
}

// isOutage reports whether an error says nothing about the token.
func isOutage(err error) bool {
	var refused *bitbucket.Refusal
	if errors.As(err, &refused) {
		return refused.Status >= 500 || refused.Status == 429 || isRemoved(refused)
	}
	return err != nil && !errors.Is(err, bitbucket.ErrNotAsked)
}

// IsRefusal reports whether Bitbucket itself has refused the token or the repository.
// An outage, a removed address and a proxy's page are not refusals.
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

// against is why the token as a whole is not good enough, nil when it is.
func (c *check) against() error {
	primary := c.asked[c.primary].Repository
	switch {
	case isUnauthorized(c.rest):
		return explain(primary, c.token.Kind, fmt.Errorf("the repository is public, but the REST API refused the token: %w", c.rest))
	case errors.Is(c.basic, context.Canceled): // because of an outage elsewhere
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
		f.Err = inWords(d, fmt.Errorf("it clones %s with the user %s, which is for an %s, but the new token is an %s; run apply for this environment with the new token",
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
	case errors.Is(err, bitbucket.ErrNotAsked), errors.Is(err, context.Canceled): // the latter because of an outage elsewhere
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

// explainREST is what the REST API's answer to the token means.
func (c *check) explainREST() error {
	var refused *bitbucket.Refusal
	if !errors.As(c.rest, &refused) || refused.NotGit {
		return c.rest
	}
	return explained(c.asked[c.primary].Repository, c.token.Kind, readPermission(c.token.Kind), c.rest)
}

// judge adds the warnings about a token that is good enough.
func (c *check) judge(p Proof) Proof {
	primary := c.asked[c.primary].Repository.CloneURL()
	if c.asked[c.primary].Branch == "" && c.reads[c.primary].head == "" {
		p.Warnings = append(p.Warnings, primary+" has no commit on its default branch yet")
	}
	switch {
	case c.public && (isKnown(c.rest) || isKnown(c.pushes[c.primary]) && !c.token.ReadOnly):
		p.Warnings = append(p.Warnings, primary+" is public: a clone works without the token")
	case c.public:
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s is public: a clone works without the token, so this does not prove that the token is good: %v", primary, c.explainREST()))
	}
	for i, d := range c.asked {
		switch push := c.pushes[i]; {
		case !c.asksPush(i):
		case push == nil && !c.requireWrite:
			p.Warnings = append(p.Warnings, fmt.Sprintf("the token can push to %s; a token with %s is enough", d.Repository.CloneURL(), readPermission(p.Kind)))
		case isOutage(push):
			p.Warnings = append(p.Warnings, fmt.Sprintf("it is not known whether the token can push to %s: %v", d.Repository.CloneURL(), push))
		}
	}
	if surplus := bitbucket.Surplus(slices.Concat(c.scopes, c.granted), c.requireWrite); len(surplus) > 0 {
		slices.Sort(surplus)
		p.Warnings = append(p.Warnings, "the token has scopes that it does not need here: "+strings.Join(slices.Compact(surplus), ", "))
	}
	if p.BearerOnly = c.basic != nil; p.BearerOnly {
		p.Warnings = append(p.Warnings, fmt.Sprintf("the server takes this token as Bearer only, so git in the image must be 2.46 or newer (as Basic: %v)", c.basic))
	}
	return p
}
