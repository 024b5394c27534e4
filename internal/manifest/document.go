package manifest

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
)

// Document parses a YAML text of one document, within the bounds of a manifest. Lines
// must end in line feeds. The error quotes nothing of the text.
func Document(text string) (ast.Node, error) {
	r := reader{told: map[problem.Problem]bool{}}
	document, _ := r.parse(text)
	switch {
	case len(r.problems) > 0 && r.problems[0].Input == environmentsKey, document == nil && len(r.problems) == 0:
		return nil, errors.New("the file is empty")
	case len(r.problems) > 0:
		found := r.problems[0]
		return nil, fmt.Errorf("line %d: %s", found.Place.Line, found.Summary)
	}
	return document, nil
}
