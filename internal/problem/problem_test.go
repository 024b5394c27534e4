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
		{"repo_url", "is missing", "give an HTTPS clone URL"},
		{"clone_depth", `"x" is not a number`, "give a positive integer"},
		{"", "nothing works", ""},
	}, problem.All(err))
	assert.Nil(t, problem.All(errors.New("other")))
}
