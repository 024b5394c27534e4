package setup_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

// repository parses a clone URL that is known to be right.
func repository(t testing.TB, url string) bitbucket.Repository {
	t.Helper()
	r, err := bitbucket.Parse(url, "")
	require.NoError(t, err)
	return r
}

// The documented forms, to the byte.
func TestCommandByURL(t *testing.T) {
	t.Parallel()
	cloud := repository(t, "https://bitbucket.org/your-workspace/your-repo.git")
	server := repository(t, "https://your-server.com/scm/your-project/your-repo.git")

	tests := []struct {
		name string
		in   setup.Clone
		want string
	}{
		{
			"Cloud",
			setup.Clone{Repository: cloud, Secret: "BITBUCKET_API_TOKEN", Kind: bitbucket.APIToken},
			`git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/your-workspace/your-repo.git`,
		},
		{
			"Cloud with an access token",
			setup.Clone{Repository: cloud, Secret: "TOKEN", Kind: bitbucket.AccessToken},
			`git clone https://x-token-auth:$TOKEN@bitbucket.org/your-workspace/your-repo.git`,
		},
		{
			"Cloud with branch and depth",
			setup.Clone{Repository: cloud, Secret: "TOKEN", Kind: bitbucket.APIToken, Branch: "dev", Depth: 1},
			`git clone --branch dev --depth 1 https://x-bitbucket-api-token-auth:$TOKEN@bitbucket.org/your-workspace/your-repo.git`,
		},
		{
			"Data Center",
			setup.Clone{Repository: server, Secret: "BITBUCKET_TOKEN", Kind: bitbucket.HTTPAccessToken},
			`git clone -c "http.extraHeader=Authorization: Bearer $BITBUCKET_TOKEN" https://your-server.com/scm/your-project/your-repo.git`,
		},
		{
			"Data Center with branch and depth, without Basic",
			setup.Clone{Repository: server, Secret: "TOKEN", Kind: bitbucket.HTTPAccessToken, Branch: "release/1.0", Depth: 50, BearerOnly: true},
			`git clone --branch release/1.0 --depth 50 -c "http.extraHeader=Authorization: Bearer $TOKEN" https://your-server.com/scm/your-project/your-repo.git`,
		},
		{
			"Data Center, personal, with an odd branch",
			setup.Clone{Repository: repository(t, "https://your-server.com/scm/~jane/app"), Secret: "TOKEN", Kind: bitbucket.HTTPAccessToken, Branch: "it's!"},
			`git clone --branch 'it'\''s!' -c "http.extraHeader=Authorization: Bearer $TOKEN" https://your-server.com/scm/~jane/app.git`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.in.Auth = setup.URL
			assert.Equal(t, tt.want, tt.in.Command())
			require.NoError(t, setup.Check(tt.in.Command()))
		})
	}
}

// What every shell needs of the helper command, whatever git does with it.
func TestCommandByHelper(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"https://bitbucket.org/acme/app", "https://git.example.com:8443/bitbucket/scm/~jane/app"} {
		r := repository(t, url)
		for _, kind := range r.Flavor.TokenKinds() {
			for _, bearerOnly := range []bool{false, true} {
				c := setup.Clone{Repository: r, Secret: "MY_TOKEN", Kind: kind, Auth: setup.Helper, BearerOnly: bearerOnly}
				command := c.Command()
				require.NoError(t, setup.Check(command))

				script, found := strings.CutPrefix(command, "sh -c '")
				require.True(t, found)
				script, arguments, found := strings.Cut(script, "' oz-bitbucket ")
				require.True(t, found)
				assert.NotContains(t, script, "'", "ends the quotes")
				assert.NotContains(t, script, `\\`, "fish reads it as one backslash")
				assert.NotContains(t, command, "\n")
				assert.NotContains(t, command, "\t", "an interactive shell completes it")
				assert.Contains(t, script, "_key=credential."+r.Origin()+".helper;")
				assert.Contains(t, script, "MY_TOKEN")
				assert.NotRegexp(t, `[A-Z]{3,}`, strings.NewReplacer("MY_TOKEN", "", "HEAD", "", "GIT_TERMINAL_PROMPT", "").Replace(script), "a part was not filled in")
				assert.Equal(t, bearerOnly, strings.Contains(script, "2.46"))
				assert.Equal(t, r.Flavor == bitbucket.DataCenter, strings.Contains(script, "authtype=Bearer"))
				assert.Contains(t, arguments, r.CloneURL())
			}
		}
	}
}

// The documented forms do clone.
func TestCommandByURLClones(t *testing.T) {
	t.Parallel()
	for _, l := range []login{
		{"API token", bitbucket.Cloud, bitbucket.APIToken, "ATATT3xFfGF0-shown=", "x-bitbucket-api-token-auth", false},
		{"access token", bitbucket.Cloud, bitbucket.AccessToken, "ATCTT3xFfGF0-shown=", "x-token-auth", false},
		{"HTTP access token", bitbucket.DataCenter, bitbucket.HTTPAccessToken, "BBDC-shown/+", "", true},
	} {
		for _, shell := range shells {
			t.Run(l.name+" in "+shell.name, func(t *testing.T) {
				t.Parallel()
				if !shell.isInstalled(t) {
					return
				}
				s := newScene(t, l)
				s.host.shown = true
				s.clone.Auth = setup.URL
				s.clone.Branch = "dev"
				s.mustType(shell, s.clone.Command())
				assert.Equal(t, git(t, s.bare, "rev-parse", "dev"), s.mustRun("git -C app rev-parse HEAD"))

				s.clone.Auth = setup.Helper // after a run with the form that leaves the token in .git/config
				s.mustType(shell, s.clone.Command())
				assert.NotContains(t, s.mustRun("git -C app remote -v"), s.token)
				assert.Len(t, lines(s.mustRun("git -C app config --local --get-regexp credential")), 2)
			})
		}
	}
}
