package mint

import (
	"errors"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// OwnerOf is the owner of a token for the repositories; there must be at least one.
// Kind is "repository", "project", "user", or "auto" for the narrowest owner that
// covers all repositories. For a user the owner is empty and needsUser is true: the
// server knows the user. Data Center ignores case in the names of projects and
// repositories.
func OwnerOf(repositories []bitbucket.Repository, kind string) (owner bitbucket.TokenOwner, needsUser bool, err error) {
	first := repositories[0]
	oneProject, oneRepository := true, true
	for _, r := range repositories {
		oneProject = oneProject && strings.EqualFold(r.Owner, first.Owner)
		oneRepository = oneRepository && oneProject && strings.EqualFold(r.Slug, first.Slug)
	}
	switch auto := kind == "auto"; {
	case auto && oneRepository, kind == "repository" && oneRepository:
		return bitbucket.TokenOwner{Project: first.Owner, Slug: first.Slug}, false, nil
	case auto && oneProject, kind == "project" && oneProject:
		return bitbucket.TokenOwner{Project: first.Owner}, false, nil
	case kind == "repository":
		return bitbucket.TokenOwner{}, false, errors.New("mint_owner is repository, but the secret serves several repositories; use project or user")
	case kind == "project":
		return bitbucket.TokenOwner{}, false, errors.New("mint_owner is project, but the secret serves repositories of several projects; use user")
	}
	return bitbucket.TokenOwner{}, true, nil
}
