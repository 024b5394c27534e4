package credential_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

var secret = credential.Credential{Owner: warp.Owner{Type: warp.TeamOwner, UID: "Tm0000000000000000000A"}, Name: "TOKEN"}

func repository(t *testing.T, url string) bitbucket.Repository {
	t.Helper()
	r, err := bitbucket.Parse(url, "")
	require.NoError(t, err)
	return r
}

// user is an environment that runs commands.
func user(name string, commands ...string) credential.User {
	return credential.User{UID: "uid-" + name, Name: name, Usage: setup.UsageOf(commands, "TOKEN")}
}

func clone(url string) string { return "git clone https://x-token-auth:$TOKEN@" + url }

func TestNarrow(t *testing.T) {
	t.Parallel()
	app, web := user("app", clone("bitbucket.org/acme/app")), user("web", clone("bitbucket.org/acme/web"), clone("bitbucket.org/acme/app"))
	opaque := user("opaque", "printenv TOKEN")
	users := []credential.User{app, web, opaque}
	for name, tt := range map[string]struct {
		narrow credential.Narrow
		in     []credential.User
	}{
		"nothing":           {credential.Narrow{}, users},
		"an ID":             {credential.Narrow{UID: "uid-web"}, []credential.User{web}},
		"a name":            {credential.Narrow{Name: "opaque"}, []credential.User{opaque}},
		"both, that agree":  {credential.Narrow{UID: "uid-web", Name: "web"}, []credential.User{web}},
		"both, that do not": {credential.Narrow{UID: "uid-web", Name: "app"}, nil},
		"a repository":      {credential.Narrow{Repositories: []bitbucket.Repository{repository(t, "https://bitbucket.org/ACME/App")}}, []credential.User{app, web}},
		"one and a name":    {credential.Narrow{Name: "web", Repositories: []bitbucket.Repository{repository(t, "https://bitbucket.org/acme/app")}}, []credential.User{web}},
		"nobody's":          {credential.Narrow{Repositories: []bitbucket.Repository{repository(t, "https://bitbucket.org/acme/none")}}, nil},
	} {
		in, out := tt.narrow.Split(users)
		assert.Equal(t, tt.in, in, name)
		assert.Len(t, out, len(users)-len(tt.in), name)
	}
}

func TestPrimary(t *testing.T) {
	t.Parallel()
	u := user("web", clone("bitbucket.org/acme/shared"), clone("bitbucket.org/acme/web"))
	use, ok := u.Primary()
	assert.True(t, ok)
	assert.Equal(t, "acme/shared", use.Repository.String())
	use, ok = u.Primary(repository(t, "https://bitbucket.org/acme/none"), repository(t, "https://bitbucket.org/acme/web"))
	assert.True(t, ok)
	assert.Equal(t, "acme/web", use.Repository.String())
	_, ok = user("opaque", "printenv TOKEN").Primary()
	assert.False(t, ok)
}

func TestOneServer(t *testing.T) {
	t.Parallel()
	users := []credential.User{user("a", clone("bitbucket.org/acme/app"), clone("bitbucket.org/Acme/APP")), user("b", clone("bitbucket.org/acme/web"))}
	repositories := credential.Repositories(users)
	assert.Len(t, repositories, 2, "each once")
	require.NoError(t, secret.OneServer(repositories))
	require.NoError(t, secret.OneServer(nil))
	repositories = credential.Repositories(append(users, user("c", clone("git.example.com/scm/PRJ/app"))))
	require.EqualError(t, secret.OneServer(repositories), `secret "TOKEN" is used for several servers, https://bitbucket.org and https://git.example.com, but a token is for one server: give each server a secret of its own`)
}

// TestNeeds: the token of one server is not shown to another.
func TestNeeds(t *testing.T) {
	t.Parallel()
	home := repository(t, "https://git.example.com/scm/PRJ/app")
	users := []credential.User{
		user("near", clone("git.example.com/scm/PRJ/web")),
		user("far", clone("bitbucket.org/acme/app"), clone("evil.example.com/scm/PRJ/app")),
		user("other port", clone("git.example.com:8443/scm/PRJ/app")),
	}
	var asked, refused []string
	for _, need := range secret.Needs(users, home, true) {
		if need.Never == nil {
			asked = append(asked, need.Use.Repository.CloneURL())
			continue
		}
		assert.ErrorContains(t, need.Never, "a token is for one server")
		refused = append(refused, need.User.Name)
	}
	assert.Equal(t, []string{"https://git.example.com/scm/PRJ/web.git"}, asked)
	assert.Equal(t, []string{"far", "far", "other port"}, refused)

	clear := repository(t, "http://git.example.com/scm/PRJ/app")
	users = []credential.User{user("clear", "git clone http://x:$TOKEN@git.example.com/scm/PRJ/web")}
	assert.ErrorContains(t, secret.Needs(users, clear, false)[0].Never, "in clear text")
	assert.NoError(t, secret.Needs(users, clear, true)[0].Never)
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	assert.Empty(t, user("app", clone("bitbucket.org/acme/app"), "make").Warnings("TOKEN"))
	assert.Equal(t, []string{`environment "none" (uid-none) uses secret "TOKEN", but this program recognises no clone command that uses it`}, user("none", "make").Warnings("TOKEN"))
	assert.Equal(t, []string{`environment "odd" (uid-odd) uses secret "TOKEN" in a command that this program cannot follow; so it is not proved that the token works there`},
		user("odd", clone("bitbucket.org/acme/app"), "printenv TOKEN | base64").Warnings("TOKEN"))
}

func TestWayOut(t *testing.T) {
	t.Parallel()
	assert.Contains(t, secret.WayOut(repository(t, "https://bitbucket.org/acme/web")), "such as secret_name: TOKEN_ACME_WEB, or a token")
	assert.NotContains(t, secret.WayOut(bitbucket.Repository{}), "secret_name")
}
