package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Finding is the result of one demand.
type Finding struct {
	Demand
	Head string // the commit of the branch; empty where there is none
	Err  error  // why the token does not serve the demand; nil: it does
}

// Proof is what the checks learnt. The zero value is no proof.
type Proof struct {
	Kind       bitbucket.TokenKind // that the server accepted
	BearerOnly bool                // Data Center takes this token as Bearer and not as Basic
	Findings   []Finding           // by demand
	Warnings   []string

	served map[bitbucket.Repository]bool // by the proof that this one is a part of; folded
}

// Err joins the errors of the findings, in order; nil when there is none.
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

// Serves reports whether no finding for an environment has an error.
func (p Proof) Serves(environment string) bool {
	return !slices.ContainsFunc(p.Findings, func(f Finding) bool { return f.For == environment && f.Err != nil })
}

// Open are the demands that are not served, neither in this proof nor in the one that it
// is a part of.
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

// Parts splits a proof: its first part has the first sizes[0] demands, the second the next
// sizes[1], and so on.
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
