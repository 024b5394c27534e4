package bitbucket_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

func TestParsePlace(t *testing.T) {
	t.Parallel()
	cloud := bitbucket.Place{Home: bitbucket.Repository{Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: "acme"}}
	api := cloud
	api.Project = "API"
	server := func(host, context, owner string) bitbucket.Place {
		return bitbucket.Place{Home: bitbucket.Repository{Flavor: bitbucket.DataCenter, Scheme: "https", Host: host, Context: context, Owner: owner}}
	}
	for url, want := range map[string]bitbucket.Place{
		"https://bitbucket.org/acme":                                cloud,
		" https://jane@bitbucket.org/Acme/ ":                        cloud,
		"http://bitbucket.org/acme":                                 cloud,
		"https://bitbucket.org/acme/workspace/overview/":            cloud,
		"https://bitbucket.org/acme/workspace/repositories/?sort=x": cloud,
		"https://bitbucket.org/acme/workspace/projects/API":         api,
		"https://git.example.com/projects/PRJ":                      server("git.example.com", "", "PRJ"),
		"https://git.example.com:443/projects/PRJ/settings#x":       server("git.example.com", "", "PRJ"),
		"https://git.example.com:7990/bitbucket/projects/PRJ/":      server("git.example.com:7990", "/bitbucket", "PRJ"),
		"https://git.example.com/users/jane/repos":                  server("git.example.com", "", "~jane"),
		"https://git.example.com/projects/~jane":                    server("git.example.com", "", "~jane"),
	} {
		place, err := bitbucket.ParsePlace(url, "")
		require.NoError(t, err, url)
		assert.Equal(t, want, place, url)
	}
	for url, want := range map[string]string{
		"https://bitbucket.org/":                               "not the page of a workspace or project",
		"https://bitbucket.org/acme/app":                       "one repository",
		"https://bitbucket.org/acme/app.git":                   "one repository",
		"https://bitbucket.org/a%20b":                          "characters",
		"https://bitbucket.org/acme/workspace/projects/%2e%2e": "characters",
		"https://git.example.com/projects/PRJ/repos/app":       "one repository",
		"https://git.example.com/scm/PRJ/app.git":              "one repository",
		"https://git.example.com/projects":                     "not the page of a workspace or project",
		"https://git.example.com/dashboard":                    "not the page of a workspace or project",
		"https://git.example.com/../projects/PRJ":              "characters",
		"git@bitbucket.org:acme":                               "does not start with https://",
		"acme":                                                 "does not start with https://",
		"https://jane:secret@bitbucket.org/acme":               "password or token",
		"https:///projects/PRJ":                                "host",
	} {
		_, err := bitbucket.ParsePlace(url, "")
		require.Error(t, err, url)
		assert.Contains(t, err.Error(), want, url)
		assert.NotContains(t, err.Error(), "secret@", url)
	}
	_, err := bitbucket.ParsePlace("https://git.example.com/projects/PRJ", bitbucket.Cloud)
	assert.Error(t, err)
	_, err = bitbucket.ParsePlace("https://bitbucket.org/acme", bitbucket.DataCenter)
	assert.Error(t, err)
}

func TestARepositoryOfAPlaceHasAnOrdinaryName(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"https://bitbucket.org/acme", "https://git.example.com/bitbucket/projects/PRJ"} {
		place, err := bitbucket.ParsePlace(url, "")
		require.NoError(t, err)
		r, ok := place.Named("app")
		assert.True(t, ok)
		assert.Equal(t, "app", r.Slug)
		for _, slug := range []string{"", "..", "a/b", "a b", "a\nb", "app?x"} {
			_, ok := place.Named(slug)
			assert.False(t, ok, slug)
		}
	}
}
