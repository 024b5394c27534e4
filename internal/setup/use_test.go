package setup_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

func TestUsesFindsWhatWeWrite(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"https://bitbucket.org/acme/app.git", "https://git.example.com:8443/ctx/scm/~jane/app.git"} {
		r, err := bitbucket.Parse(url, "")
		require.NoError(t, err)
		for _, kind := range r.Flavor.TokenKinds() {
			for _, auth := range []setup.Auth{setup.Helper, setup.URL} {
				for _, branch := range []string{"", "main", "it's"} {
					c := setup.Clone{Repository: r, Secret: "MY_TOKEN", Kind: kind, Auth: auth, Branch: branch, Depth: 1}
					assert.Equal(t, []setup.Use{{Repository: r, Kind: kind, Branch: branch}}, setup.Uses(c.Command(), "MY_TOKEN"), c.Command())
					assert.Empty(t, setup.Uses(c.Command(), "OTHER"))
					assert.True(t, setup.Reads(c.Command(), "MY_TOKEN"))
					assert.False(t, setup.Reads(c.Command(), "OTHER"))
				}
			}
		}
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	cloud := bitbucket.Repository{Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: "acme", Slug: "app"}
	tests := []struct {
		name, command string
		want          []setup.Use
	}{
		{"after another command", "cd x && git clone -b dev https://x-token-auth:$T@bitbucket.org/acme/app.git y", []setup.Use{{cloud, bitbucket.AccessToken, "dev"}}},
		{"inside a script", `bash -c 'git clone "https://jane:${T}@bitbucket.org/acme/app"'`, []setup.Use{{cloud, bitbucket.APIToken, ""}}},
		{"with another secret", "git clone https://x-token-auth:$OTHER@bitbucket.org/acme/app.git && echo $T", nil},
		{"of another forge", "git clone https://x-access-token:$T@github.com/acme/app.git", nil},
		{"over SSH", "git clone git@bitbucket.org:acme/app.git", nil},
		{"no clone", "echo $T", nil},
		{"in single quotes", "echo 'git clone https://x:$T@bitbucket.org/acme/app.git'", nil},
		{"broken", "git clone 'https://x:$T@bitbucket.org/acme/app.git", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, setup.Uses(tt.command, "T"))
		})
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]bool{
		`curl -H "Authorization: Bearer $T" x`: true, "sh -c 'echo ${T:-x}'": true, "echo '$T'": false, "echo $TT": false, "echo \\$T": false, "echo '": false,
	} {
		assert.Equal(t, want, setup.Reads(command, "T"), command)
	}
}
