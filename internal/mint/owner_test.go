package mint_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/mint"
)

func TestOwnerOf(t *testing.T) {
	t.Parallel()
	app, upper := bitbucket.Repository{Owner: "PRJ", Slug: "app"}, bitbucket.Repository{Owner: "prj", Slug: "App"}
	lib, other := bitbucket.Repository{Owner: "prj", Slug: "lib"}, bitbucket.Repository{Owner: "OTHER", Slug: "app"}
	repository, project := bitbucket.TokenOwner{Project: "PRJ", Slug: "app"}, bitbucket.TokenOwner{Project: "PRJ"}
	const severalRepositories = "mint_owner is repository, but the secret serves several repositories; use project or user"
	const severalProjects = "mint_owner is project, but the secret serves repositories of several projects; use user"
	type want struct {
		owner bitbucket.TokenOwner
		user  bool
		err   string
	}
	tests := map[string]struct {
		repositories []bitbucket.Repository
		kinds        map[string]want
	}{
		"one repository": {[]bitbucket.Repository{app}, map[string]want{
			"auto": {owner: repository}, "repository": {owner: repository}, "project": {owner: project}, "user": {user: true},
		}},
		"the same one by another name": {[]bitbucket.Repository{app, upper}, map[string]want{
			"auto": {owner: repository}, "repository": {owner: repository}, "project": {owner: project}, "user": {user: true},
		}},
		"one project": {[]bitbucket.Repository{app, lib}, map[string]want{
			"auto": {owner: project}, "repository": {err: severalRepositories}, "project": {owner: project}, "user": {user: true},
		}},
		"several projects": {[]bitbucket.Repository{app, lib, other}, map[string]want{
			"auto": {user: true}, "repository": {err: severalRepositories}, "project": {err: severalProjects}, "user": {user: true},
		}},
		"of the same name in several projects": {[]bitbucket.Repository{app, other}, map[string]want{
			"auto": {user: true}, "repository": {err: severalRepositories}, "project": {err: severalProjects}, "user": {user: true},
		}},
	}
	for name, tt := range tests {
		for kind, want := range tt.kinds {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				owner, user, err := mint.OwnerOf(tt.repositories, kind)
				assert.Equal(t, want.owner, owner)
				assert.Equal(t, want.user, user)
				if want.err == "" {
					assert.NoError(t, err)
				} else {
					assert.EqualError(t, err, want.err)
				}
			})
		}
	}
}
