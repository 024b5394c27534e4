package setup_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
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
			require.NoError(t, shell.Check(tt.in.Command()))
		})
	}
}

// Limits for a person who reads the commands, and for every shell.
func TestCommandsByHelper(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"https://bitbucket.org/your-workspace/your-repo", "https://git.example.com:8443/bitbucket/scm/~jane/app"} {
		r := repository(t, url)
		secret := map[bitbucket.Flavor]string{bitbucket.Cloud: "BITBUCKET_API_TOKEN", bitbucket.DataCenter: "BITBUCKET_TOKEN"}[r.Flavor]
		for _, kind := range r.Flavor.TokenKinds() {
			for _, bearerOnly := range []bool{false, true} {
				c := setup.Clone{Repository: r, Secret: secret, Kind: kind, Auth: setup.Helper, BearerOnly: bearerOnly}
				commands := append(c.LogIn(), c.Command())
				assert.Len(t, commands, 3)
				for _, command := range commands {
					require.NoError(t, shell.Check(command))
					assert.LessOrEqual(t, len(command), 300, command)
					assert.Contains(t, command, "git ")
					assert.NotContains(t, command, "\n")
					assert.NotContains(t, command, "\t", "an interactive shell completes it")
					assert.NotContains(t, command, `\\`, "fish reads it as one backslash")
					assert.NotContains(t, command, "ORIGIN")
					assert.NotContains(t, command, "HELPER")
				}
				assert.Equal(t, 1, strings.Count(strings.Join(commands, "\n"), "${"+secret+":?"), "the variable is missed aloud")
				assert.Equal(t, r.Flavor == bitbucket.DataCenter, strings.Contains(commands[1], "authtype=Bearer"))
				assert.Equal(t, r.Flavor == bitbucket.DataCenter && bearerOnly, strings.Contains(commands[1], "2.46"))
				assert.Equal(t, r.Flavor == bitbucket.Cloud || !bearerOnly, strings.Contains(commands[1], "username="+kind.User()))
			}
		}
	}
	assert.Empty(t, setup.Clone{Auth: setup.URL}.LogIn())
}

// The documentation shows the commands that an environment gets.
func TestTheDocumentationShowsTheCommands(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/setup-commands.md")
	require.NoError(t, err)
	c := setup.Clone{Repository: repository(t, "https://bitbucket.org/acme/app"), Secret: "BITBUCKET_API_TOKEN", Kind: bitbucket.APIToken, Auth: setup.Helper}
	commands := setup.Merge(nil, []setup.Clone{c}, []string{"npm ci"}, true)
	assert.Contains(t, string(page), "```sh\n"+strings.Join(commands, "\n")+"\n```\n")
	assert.Contains(t, string(page), "`"+setup.Words(commands)[2]+"`")
}

// The documented forms do clone.
func TestCommandByURLClones(t *testing.T) {
	t.Parallel()
	for _, l := range []login{
		{"API token", bitbucket.Cloud, bitbucket.APIToken, "ATATT3xFfGF0-shown=", "x-bitbucket-api-token-auth", false},
		{"access token", bitbucket.Cloud, bitbucket.AccessToken, "ATCTT3xFfGF0-shown=", "x-token-auth", false},
		{"HTTP access token", bitbucket.DataCenter, bitbucket.HTTPAccessToken, "BBDC-shown/+", "", true},
	} {
		for _, in := range shells {
			t.Run(l.name+" in "+in.name, func(t *testing.T) {
				t.Parallel()
				if !in.isInstalled(t) {
					return
				}
				s := newScene(t, l)
				s.host.shown = true
				s.clone.Auth = setup.URL
				s.clone.Branch = "dev"
				s.mustType(in, s.commands()...)
				assert.Equal(t, git(t, s.bare, "rev-parse", "dev"), s.mustRun("git -C app rev-parse HEAD"))
			})
		}
	}
}

// All of a user's command runs inside the repository, and in the one session.
func TestUserCommandsKeepOneSession(t *testing.T) {
	t.Parallel()
	for _, in := range shells {
		t.Run(in.name, func(t *testing.T) {
			t.Parallel()
			if !in.isInstalled(t) {
				return
			}
			w := newWorkspace(t, "token")
			w.mustRun("mkdir -p app/sub elsewhere/app")
			w.environ = append(w.environ, "CDPATH="+w.in("elsewhere"))
			commands := []string{
				"pwd >one; pwd >two",
				"true & pwd >three",
				"false || pwd >four",
				"echo x | cat >five # and no more",
				"cd sub && pwd >six",
				"export A=1 && echo \"$A\" >seven",
				"echo 'it is' \"it's\" '\"' >eight; true",
				"echo $A >nine",
			}
			if in.name != "fish" { // url has none of these
				commands = append(commands, "B=2; greet() { echo \"$1 $B\"; }", "greet you >ten", "cat >eleven <<E\n$B\nE")
			}
			var inside []string
			for _, command := range commands {
				inside = append(inside, shell.In("app", command))
			}
			w.mustType(in, inside...)

			for name, want := range map[string]string{
				"one": w.in("app"), "two": w.in("app"), "three": w.in("app"), "four": w.in("app"), "five": "x",
				"sub/six": w.in("app", "sub"), "seven": "1", "eight": `it is it's "`, "nine": "1",
			} {
				assert.Equal(t, want+"\n", w.read("app", name), name)
			}
			if in.name != "fish" {
				assert.Equal(t, "you 2\n", w.read("app", "ten"))
				assert.Equal(t, "2\n", w.read("app", "eleven"))
			}
		})
	}
}
