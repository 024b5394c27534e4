package problem_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
)

func TestNoProblemIsANilError(t *testing.T) {
	t.Parallel()
	var list problem.List
	assert.True(t, list.Err() == nil) // a typed nil would pass assert.NoError's twin in user code
}

func TestAllProblemsInOrder(t *testing.T) {
	t.Parallel()
	var list problem.List
	list.Add("repo_url", "is missing", "give an HTTPS clone URL")
	list.Addf("clone_depth", "give a positive integer", "%q is not a number", "x")
	list.Add("", "nothing works", "")

	err := fmt.Errorf("read the inputs: %w", list.Err())
	assert.EqualError(t, list.Err(), "repo_url: is missing; give an HTTPS clone URL\n"+
		"clone_depth: \"x\" is not a number; give a positive integer\n"+
		"nothing works")
	assert.Equal(t, []problem.Problem{
		{Input: "repo_url", Summary: "is missing", Remedy: "give an HTTPS clone URL"},
		{Input: "clone_depth", Summary: `"x" is not a number`, Remedy: "give a positive integer"},
		{Summary: "nothing works"},
	}, problem.All(err))
	assert.Nil(t, problem.All(errors.New("other")))
}

func TestAProblemInAFileNamesItsPlace(t *testing.T) {
	t.Parallel()
	p := problem.Problem{Input: "scope", Summary: "is not one of team, personal", Place: problem.Place{File: "oz.yml", Line: 12, Column: 5}}
	assert.EqualError(t, p, "oz.yml:12:5: scope: is not one of team, personal")
	p.Remedy, p.Place.Text = "say which", "scope: Team"
	assert.EqualError(t, p, "oz.yml:12:5: scope: is not one of team, personal; say which\n    scope: Team")

	var list problem.List
	list.Append(p, p)
	assert.Equal(t, []problem.Problem{p, p}, problem.All(list.Err()))
}
