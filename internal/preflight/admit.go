package preflight

import (
	"fmt"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
)

// Demands are what environments need of a token.
func Demands(needs []credential.Need) []Demand {
	list := make([]Demand, len(needs))
	for i, need := range needs {
		list[i] = Demand{
			Repository: need.Use.Repository, Branch: need.Use.Branch, As: need.Use.Kind,
			For: need.User.String(), Never: need.Never,
		}
	}
	return list
}

// Admit decides about a token that does not serve everyone who reads a secret. It
// is an error that says what to do, own being the repository that the job is about.
// Lenient makes it a warning for each that is not served; what the job itself
// demands stays an error. What names the token: "the new token".
func (p Proof) Admit(what string, secret credential.Credential, own bitbucket.Repository, lenient bool) (warnings []string, err error) {
	refused := p.Err()
	isOwn := func(f Finding) bool { return f.Err != nil && f.For == "" }
	if refused != nil && (!lenient || slices.ContainsFunc(p.Findings, isOwn)) {
		return nil, fmt.Errorf("%s does not serve every environment that reads secret %q:\n%w\n%s", what, secret.Name, refused, secret.WayOut(own))
	}
	for _, f := range p.Findings {
		if f.Err != nil {
			warnings = append(warnings, fmt.Sprintf("%s does not serve everyone who reads secret %q: %v", what, secret.Name, f.Err))
		}
	}
	return warnings, nil
}
