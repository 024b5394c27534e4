package bitbucket_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

func TestRepository(t *testing.T) {
	t.Parallel()
	insecure := onServer("127.0.0.1:7990", "/dev/stash", "~jane", "App")
	insecure.Scheme = "http"

	tests := []struct {
		name                                      string
		in                                        bitbucket.Repository
		url, origin, text, directory, environment string
	}{
		{
			"Cloud", onCloud("acme", "app"),
			"https://bitbucket.org/acme/app.git", "https://bitbucket.org", "acme/app", "app", "acme-app",
		},
		{
			"Data Center", onServer("git.example.com:8443", "", "PROJ", "app"),
			"https://git.example.com:8443/scm/PROJ/app.git", "https://git.example.com:8443", "PROJ/app", "app", "PROJ-app",
		},
		{
			"personal, in a context, over http", insecure,
			"http://127.0.0.1:7990/dev/stash/scm/~jane/App.git", "http://127.0.0.1:7990", "~jane/App", "App", "jane-app",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.url, tt.in.CloneURL())
			assert.Equal(t, tt.origin, tt.in.Origin())
			assert.Equal(t, tt.text, tt.in.String())
			assert.Equal(t, tt.directory, tt.in.Directory())
			assert.Equal(t, tt.environment, tt.in.EnvironmentName())
		})
	}
}

func TestSame(t *testing.T) {
	t.Parallel()
	server := onServer("git.example.com", "", "PROJ", "app")
	insecure := server
	insecure.Scheme = "http"

	tests := []struct {
		name string
		a, b bitbucket.Repository
		want bool
	}{
		{"itself", server, server, true},
		{"another case", server, onServer("git.example.com", "", "proj", "App"), true},
		{"another scheme", server, insecure, true},
		{"another host", server, onServer("example.com", "", "PROJ", "app"), false},
		{"another port", server, onServer("git.example.com:8443", "", "PROJ", "app"), false},
		{"another context", server, onServer("git.example.com", "/bitbucket", "PROJ", "app"), false},
		{"another project", server, onServer("git.example.com", "", "OTHER", "app"), false},
		{"another slug", server, onServer("git.example.com", "", "PROJ", "api"), false},
		{"another case on Cloud", onCloud("acme", "app"), onCloud("Acme", "APP"), true},
		{"another flavor", onCloud("acme", "app"), onServer("bitbucket.org", "", "acme", "app"), false},
		{"no repository", server, bitbucket.Repository{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, tt.a.Same(tt.b))
			assert.Equal(t, tt.want, tt.b.Same(tt.a))
		})
	}
}

func TestOneRepositoryHasOneDefaultName(t *testing.T) {
	t.Parallel()
	for _, spellings := range [][]string{
		{"https://git.example.com/scm/prj/app", "https://git.example.com/scm/PRJ/app.git", "https://git.example.com/scm/Prj/App"},
		{"https://git.example.com/scm/~jane/app", "https://git.example.com/scm/%7EJane/app"},
		{"https://bitbucket.org/acme/app", "https://bitbucket.org/Acme/App.git"},
	} {
		first, err := bitbucket.Parse(spellings[0], "")
		require.NoError(t, err)
		for _, spelling := range spellings[1:] {
			other, err := bitbucket.Parse(spelling, "")
			require.NoError(t, err)
			assert.True(t, first.Same(other), spelling)
			assert.Equal(t, first.EnvironmentName(), other.EnvironmentName(), spelling)
		}
	}
}

func TestSecretNameOfARepository(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://bitbucket.org/acme/web.app":        "BITBUCKET_TOKEN_ACME_WEB_APP",
		"https://git.example.com/scm/prj/my-app":    "BITBUCKET_TOKEN_PRJ_MY_APP",
		"https://git.example.com/scm/~jane.doe/app": "BITBUCKET_TOKEN_JANE_DOE_APP",
	} {
		r, err := bitbucket.Parse(url, "")
		require.NoError(t, err)
		assert.Equal(t, want, r.SecretName("BITBUCKET_TOKEN"))
	}
}
