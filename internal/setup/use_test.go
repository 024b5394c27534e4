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
					assert.Equal(t, []setup.Use{{Repository: r, Kind: kind, Branch: branch, Directory: "app"}}, setup.Uses(c.Command(), "MY_TOKEN"), c.Command())
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
		{"after another command", "cd x && git clone -b dev https://x-token-auth:$T@bitbucket.org/acme/app.git y", []setup.Use{{cloud, bitbucket.AccessToken, "dev", "y"}}},
		{"inside a script", `bash -c 'git clone "https://jane:${T}@bitbucket.org/acme/app"'`, []setup.Use{{cloud, "", "", "app"}}},
		{"options after the URL", "git clone https://x-token-auth:$T@bitbucket.org/acme/app.git --branch dev", []setup.Use{{cloud, bitbucket.AccessToken, "dev", "app"}}},
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

func TestNames(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]bool{
		"echo $T": true, "sh -c 'echo ${T:-x}'": true, "echo '$T'": true, "printenv T": true, "env -u T make": true, "echo '$T": true,
		"echo $TT": false, "echo $_T": false, "make T1": false, "": false,
	} {
		assert.Equal(t, want, setup.Names(command, "T"), command)
	}
	assert.False(t, setup.Names("echo $T", ""))
}

func TestUsageOf(t *testing.T) {
	t.Parallel()
	const clone = "git clone https://x-token-auth:$T@bitbucket.org/acme/app.git"
	usage := setup.UsageOf([]string{"make", clone, "printenv T | base64", "echo $OTHER", "git 'broken $T"}, "T")
	require.Len(t, usage.Uses, 1)
	assert.Equal(t, "acme/app", usage.Uses[0].Repository.String())
	assert.Equal(t, []string{"printenv T | base64", "git 'broken $T"}, usage.Opaque)
	assert.Equal(t, setup.Usage{}, setup.UsageOf([]string{"make"}, "T"))
}
