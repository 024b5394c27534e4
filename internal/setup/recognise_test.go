package setup_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

func TestClones(t *testing.T) {
	t.Parallel()
	cloud := repository(t, "https://bitbucket.org/acme/app.git")
	server := repository(t, "https://git.example.com/scm/PROJ/app.git")

	tests := []struct {
		name, in string
		of       bitbucket.Repository
		want     bool
	}{
		{"plain", "git clone https://bitbucket.org/acme/app.git", cloud, true},
		{"without .git", "git clone https://bitbucket.org/acme/app", cloud, true},
		{"another case", "git clone https://BitBucket.org/Acme/App.git", cloud, true},
		{"into a directory", "git clone https://bitbucket.org/acme/app.git src", cloud, true},
		{"documented", "git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/app.git", cloud, true},
		{"another variable", "git clone https://x-token-auth:${MY_TOKEN}@bitbucket.org/acme/app.git", cloud, true},
		{"another user", "git clone https://jane:$T@bitbucket.org/acme/app.git", cloud, true},
		{"in quotes", `git clone "https://jane:$T@bitbucket.org/acme/app.git"`, cloud, true},
		{"in parts", `git clone https://'jane':"$T"@bitbucket.org/acme\/app.git`, cloud, true},
		{"a literal token", "git clone https://x-token-auth:ATCTT3xFf/=@bitbucket.org/acme/app.git", cloud, true},
		{"options", "git clone --depth 1 -b main --single-branch https://bitbucket.org/acme/app.git", cloud, true},
		{"git's options", "git -C /workspace -c http.sslVerify=true --no-pager clone https://bitbucket.org/acme/app.git", cloud, true},
		{"git by path", "/usr/bin/git clone https://bitbucket.org/acme/app.git", cloud, true},
		{"with a variable in front", "GIT_TERMINAL_PROMPT=0 git clone https://bitbucket.org/acme/app.git", cloud, true},
		{"over SSH", "git clone git@bitbucket.org:acme/app.git", cloud, true},
		{"documented, Data Center", `git clone -c "http.extraHeader=Authorization: Bearer $BITBUCKET_TOKEN" https://git.example.com/scm/PROJ/app.git`, server, true},
		{"extra header before clone", `git -c http.extraHeader="Authorization: Bearer $T" clone https://git.example.com/scm/proj/app.git`, server, true},
		{"over http", "git clone http://git.example.com/scm/PROJ/app.git", server, true},
		{"with a look before", "test -d app || git clone https://bitbucket.org/acme/app.git", cloud, true},
		{"with a fetch", "test -e app && git -C app fetch || git clone https://bitbucket.org/acme/app.git", cloud, true},

		{"another repository", "git clone https://bitbucket.org/acme/api.git", cloud, false},
		{"another workspace", "git clone https://bitbucket.org/other/app.git", cloud, false},
		{"another host", "git clone https://github.com/acme/app.git", cloud, false},
		{"another context", "git clone https://git.example.com/bitbucket/scm/PROJ/app.git", server, false},
		{"in a script", "sh -c 'git clone https://bitbucket.org/acme/app.git'", cloud, false},
		{"a fetch", "git fetch https://bitbucket.org/acme/app.git", cloud, false},
		{"part of a longer command", "git clone https://bitbucket.org/acme/app.git && cd app", cloud, false},
		{"part of a pipe", "git clone https://bitbucket.org/acme/app.git | tee log", cloud, false},
		{"two commands", "git clone https://bitbucket.org/acme/app.git; ls", cloud, false},
		{"another subcommand", "git ls-remote https://bitbucket.org/acme/app.git", cloud, false},
		{"another subcommand with the word", "git remote add clone https://bitbucket.org/acme/app.git", cloud, false},
		{"another program", "echo git clone https://bitbucket.org/acme/app.git", cloud, false},
		{"no arguments", "git clone", cloud, false},
		{"only git", "git", cloud, false},
		{"a comment", "# git clone https://bitbucket.org/acme/app.git", cloud, false},
		{"nothing", "", cloud, false},
		{"cannot be parsed", "git clone 'https://bitbucket.org/acme/app.git", cloud, false},
		{"no repository", "git clone", bitbucket.Repository{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, setup.Clones(tt.in, tt.of))
		})
	}
}

// Every clone command is recognised for its repository and for no other.
func FuzzClones(f *testing.F) {
	f.Add("https://bitbucket.org/acme/app", "TOKEN", "", 0, false)
	f.Add("https://git.example.com/scm/~jane/app", "T", "it's", 1, true)
	f.Add("https://example.com:8443/scm/scm/clone/git", "clone", "https://bitbucket.org/acme/other", 5, true)
	other := repository(f, "https://bitbucket.org/acme/other")
	f.Fuzz(func(t *testing.T, url, secret, branch string, depth int, bearerOnly bool) {
		r, err := bitbucket.Parse(url, "")
		if err != nil || !isName(secret) || !isBranch(branch) {
			t.Skip("not valid")
		}
		for _, kind := range r.Flavor.TokenKinds() {
			for _, auth := range []setup.Auth{setup.Helper, setup.URL} {
				c := setup.Clone{Repository: r, Secret: secret, Kind: kind, Auth: auth, Branch: branch, Depth: depth, BearerOnly: bearerOnly}
				command := c.Command()
				assert.NoError(t, shell.Check(command))
				assert.True(t, setup.Clones(command, r), command)
				neighbour := r
				neighbour.Slug += "x"
				assert.False(t, setup.Clones(command, neighbour), command)
				assert.Equal(t, r.Same(other), setup.Clones(command, other), command)
			}
		}
	})
}

// Every accepted input gives commands that a shell can read, that a second merge does not
// change, and that are recognised.
func FuzzCommands(f *testing.F) {
	f.Add("https://bitbucket.org/acme/app", "TOKEN", "", 0, "npm ci", false)
	f.Add("https://git.example.com/scm/~jane/-x", "t", "it's", 1, "a & b # c", true)
	f.Add("https://example.com:8443/scm/scm/clone/git", "git", "x=--depth", 5, "f() { git clone https://bitbucket.org/acme/app; }", false)
	f.Fuzz(func(t *testing.T, url, secret, branch string, depth int, command string, bearerOnly bool) {
		r, err := bitbucket.Parse(url, "")
		if err != nil || !isName(secret) || !isBranch(branch) || strings.HasPrefix(branch, "-") || shell.Check(command) != nil || depth < 0 {
			t.Skip("not valid")
		}
		for _, kind := range r.Flavor.TokenKinds() {
			for _, auth := range []setup.Auth{setup.Helper, setup.URL} {
				clones := []setup.Clone{{Repository: r, Secret: secret, Kind: kind, Auth: auth, Branch: branch, Depth: depth, BearerOnly: bearerOnly}}
				clones = append(clones, clones[0])
				clones[1].Repository.Slug += "x"
				commands := setup.Merge(nil, clones, []string{command}, true)
				for _, made := range commands {
					assert.NoError(t, shell.Check(made), made)
				}
				assert.Equal(t, commands, setup.Merge(commands, clones, []string{command}, true))
				assert.Equal(t, commands, setup.Merge(commands, clones, nil, false))
				clones[0].Guess, clones[1].Guess = true, true
				assert.Equal(t, commands, setup.Merge(commands, clones, nil, false))

				uses := setup.UsageOf(commands, secret).Uses
				require.GreaterOrEqual(t, len(uses), 2)
				for i, c := range clones {
					assert.True(t, setup.Clones(uses[i].Command, c.Repository))
					assert.Equal(t, setup.Use{Repository: c.Repository, Kind: kind, Branch: branch, Directory: c.Repository.Directory(), Command: c.Command()}, uses[i])
				}
				for i, words := range setup.Words(commands)[:len(commands)-1] {
					assert.NotEqual(t, commands[i], words)
				}
			}
		}
	})
}

// isName reports whether text can be the name of a secret.
func isName(text string) bool {
	for i, c := range []byte(text) {
		letter := c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c < '0' || '9' < c) {
			return false
		}
	}
	return text != ""
}

// isBranch reports whether text has only characters that git allows in a branch.
func isBranch(text string) bool {
	for _, c := range text {
		if c <= ' ' || c == 0x7f || c == 0xfffd || c == '~' || c == '^' || c == ':' || c == '?' || c == '*' || c == '[' || c == '\\' {
			return false
		}
	}
	return true
}
