package setup_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

// TestWhatMergeMadeIsFound: Found undoes Merge.
func TestWhatMergeMadeIsFound(t *testing.T) {
	t.Parallel()
	user := []string{"make", "a; b", "cat <<E\nx\nE"}
	for _, auth := range []setup.Auth{setup.Helper, setup.URL} {
		for _, url := range []string{"https://bitbucket.org/acme/", "https://git.example.com:7990/ctx/scm/PRJ/"} {
			for _, branch := range []string{"", "it's"} {
				app, lib := repository(t, url+"app.git"), repository(t, url+"lib.git")
				kind := app.Flavor.TokenKinds()[len(app.Flavor.TokenKinds())-1]
				made := []setup.Clone{
					{Repository: app, Secret: "TOKEN", Kind: kind, Auth: auth, Branch: branch, Depth: 3, Guess: true},
					{Repository: lib, Secret: "TOKEN", Kind: kind, Auth: auth, Depth: 3, Guess: true},
				}
				commands := setup.Merge(nil, made, user, true)
				clones, own, known, err := setup.Found(commands, []string{"NPM_TOKEN", "TOKEN"})
				require.NoError(t, err)
				assert.Equal(t, made, clones, strings.Join(commands, "\n"))
				assert.Equal(t, user, own)
				assert.True(t, known)
				assert.Equal(t, commands, setup.Merge(commands, clones, own, known))
			}
		}
	}
}

func TestFound(t *testing.T) {
	t.Parallel()
	const app = "git clone https://x-token-auth:$A@bitbucket.org/acme/app.git"
	for name, tt := range map[string]struct {
		commands []string
		listed   []string
		want     string // secret and slugs
		known    bool
		err      error
	}{
		"nothing":              {nil, nil, "", false, setup.ErrNoClone},
		"another host":         {[]string{"git clone https://github.com/acme/app.git"}, nil, "", false, setup.ErrNoClone},
		"without a secret":     {[]string{"git clone https://bitbucket.org/acme/app.git"}, nil, "", false, setup.ErrNoSecret},
		"a part":               {[]string{app + " && make"}, nil, "", false, setup.ErrPartial},
		"one":                  {[]string{app}, nil, "A app", true, nil},
		"of two, a listed one": {[]string{"git clone https://$USER:$A@bitbucket.org/acme/app.git"}, []string{"A"}, "A app", true, nil},
		"of two, the first":    {[]string{"git clone https://${USER}:$A@bitbucket.org/acme/app.git"}, nil, "USER app", true, nil},
		"other commands":       {[]string{"apt-get update", app, "cd ./app && make"}, nil, "A app", false, nil},
		"another secret":       {[]string{app, strings.NewReplacer("$A", "$B", "app", "lib").Replace(app)}, nil, "A app", false, nil},
		"another depth":        {[]string{app, strings.Replace(strings.Replace(app, "app", "lib", 1), "clone", "clone --depth 1", 1)}, nil, "A app", false, nil},
		"another branch":       {[]string{app, strings.Replace(strings.Replace(app, "app", "lib", 1), "clone", "clone -b x", 1)}, nil, "A app", false, nil},
		"twice":                {[]string{app, app}, nil, "A app", true, nil},
		"a public one first":   {[]string{"git clone https://bitbucket.org/acme/public.git", app}, nil, "A app", false, nil},
	} {
		clones, _, known, err := setup.Found(tt.commands, tt.listed)
		assert.Equal(t, tt.err, err, name)
		assert.Equal(t, tt.known, known, name)
		var text []string
		for _, c := range clones {
			text = append(text, c.Secret, c.Repository.Slug)
		}
		assert.Equal(t, tt.want, strings.Join(slices.Compact(text), " "), name)
		assert.False(t, slices.ContainsFunc(clones, func(c setup.Clone) bool { return c.Repository.Flavor != bitbucket.Cloud }), name)
	}
}
