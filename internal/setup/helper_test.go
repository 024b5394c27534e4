package setup_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

// A login is a token, and how a host accepts it.
type login struct {
	name   string
	flavor bitbucket.Flavor
	kind   bitbucket.TokenKind
	token  string
	user   string // user that the host accepts with Basic; empty: it refuses Basic
	bearer bool   // the host accepts Bearer
}

var (
	apiToken        = login{"API token", bitbucket.Cloud, bitbucket.APIToken, "ATATT3xFfGF0-_=1A2B3C4D", "x-bitbucket-api-token-auth", false}
	accessToken     = login{"access token", bitbucket.Cloud, bitbucket.AccessToken, "ATCTT3xFfGN0-_=1A2B3C4D", "x-token-auth", false}
	httpAccessToken = login{"HTTP access token", bitbucket.DataCenter, bitbucket.HTTPAccessToken, "BBDC-MjAzMjgz/MTU0+NzU1Oix/", "x-token-auth", true}
	bearerOnly      = login{"HTTP access token without Basic", bitbucket.DataCenter, bitbucket.HTTPAccessToken, "BBDC-MjAzMjgzMTU0NzU1Oix/", "", true}
	oddToken        = login{"odd characters", bitbucket.DataCenter, bitbucket.HTTPAccessToken, "=+/%$'\"@:&;|<>(){}[]!#~*?`", "x-token-auth", true}
	longToken       = login{"600 characters", bitbucket.Cloud, bitbucket.APIToken, "ATATT" + strings.Repeat("aB3_=", 120), "x-bitbucket-api-token-auth", false}
)

// A scene is a host with one repository, a workspace, and the clone of the repository
// into the workspace.
type scene struct {
	*workspace
	host  *host
	bare  string // the repository on the host
	clone setup.Clone
}

func newScene(t *testing.T, l login) scene {
	t.Helper()
	h := newHost(t, l.flavor, l.token, l.user, l.bearer)
	r, bare := h.create("PROJ", "app")
	clone := setup.Clone{Repository: r, Secret: secret, Kind: l.kind, Auth: setup.Helper}
	return scene{newWorkspace(t, l.token), h, bare, clone}
}

// commands returns the setup commands for the clone.
func (s scene) commands() []string { return setup.Merge(nil, []setup.Clone{s.clone}, nil, false) }

// isGood fails the test unless the checkout of the branch main is complete.
func (s scene) isGood() {
	s.t.Helper()
	assert.Equal(s.t, git(s.t, s.bare, "rev-parse", "main"), s.mustRun("git -C app rev-parse HEAD"))
	assert.Equal(s.t, "main", s.mustRun("git -C app symbolic-ref --short HEAD"))
	assert.Equal(s.t, "first\n", s.read("app", "README.md"))
	assert.Equal(s.t, "two\n", s.read("app", "sub", "two.txt"))
	assert.Empty(s.t, s.mustRun("git -C app diff --name-only HEAD"))
	s.mustRun("git -C app fetch && git -C app fsck")
}

// The whole life of a checkout, with each kind of token in each shell.
func TestHelper(t *testing.T) {
	t.Parallel()
	t.Log(git(t, t.TempDir(), "version"))
	for _, l := range []login{apiToken, accessToken, httpAccessToken, oddToken, longToken} {
		for _, in := range shells {
			t.Run(l.name+" in "+in.name, func(t *testing.T) {
				t.Parallel()
				if !in.isInstalled(t) {
					return
				}
				s := newScene(t, l)
				s.mustType(in, s.commands()...)
				s.isGood()
				assert.Empty(t, s.mustRun("git -C app status --porcelain"))

				s.write("mine\n", "app", "README.md")
				s.write("new\n", "app", "notes.txt")
				s.mustRun("git -C app branch mine")
				push(t, s.bare, "three.txt")
				s.mustType(in, s.commands()...)
				assert.Equal(t, "mine\n", s.read("app", "README.md"), "a second run leaves work alone")
				assert.Equal(t, "new\n", s.read("app", "notes.txt"))
				s.mustRun("git -C app rev-parse mine")
				assert.Equal(t, git(t, s.bare, "rev-parse", "main"), s.mustRun("git -C app rev-parse origin/main"))

				s.mustRun("cd app && git commit -q -a -m mine && git push -q origin HEAD:refs/heads/mine && git fetch")
				assert.Equal(t, s.mustRun("git -C app rev-parse HEAD"), git(t, s.bare, "rev-parse", "mine"))

				url := s.clone.Repository.CloneURL()
				assert.Equal(t, "origin\t"+url+" (fetch)\norigin\t"+url+" (push)", s.mustRun("git -C app remote -v"))
				assert.NotContains(t, s.mustRun("git -C app config -l"), l.token)
				assert.Len(t, lines(s.mustRun("git config --global --get-regexp ^credential")), 2, "not written twice")
				s.holdsNoToken()
				assert.Empty(t, s.host.refused())
			})
		}
	}
}

func lines(text string) []string { return strings.Split(text, "\n") }

// push adds a commit to the branch main of a bare repository.
func push(t *testing.T, bare, name string) {
	t.Helper()
	checkout := t.TempDir()
	git(t, checkout, "clone", "-q", bare, ".")
	commit(t, checkout, name, name)
	git(t, checkout, "push", "-q")
}

func TestHelperChecksOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		branch     string
		depth      int
		wantHead   string // a revision on the host
		wantBranch string
		wantDepth  string
	}{
		{"a branch", "dev", 0, "dev", "dev", "2"},
		{"a tag", "v1", 0, "v1^{commit}", "", "1"},
		{"a shallow clone", "", 1, "main", "main", "1"},
		{"a shallow branch", "dev", 1, "dev", "dev", "1"},
		{"a shallow tag", "v1", 1, "v1^{commit}", "", "1"},
		{"a branch with an odd name", "it's/$HOME!x;`id`\"#", 0, "main", "it's/$HOME!x;`id`\"#", "2"},
	}
	for _, tt := range tests {
		for _, in := range shells {
			t.Run(tt.name+" in "+in.name, func(t *testing.T) {
				t.Parallel()
				if !in.isInstalled(t) {
					return
				}
				s := newScene(t, httpAccessToken)
				git(t, s.bare, "branch", "it's/$HOME!x;`id`\"#", "main")
				s.clone.Branch, s.clone.Depth = tt.branch, tt.depth
				for range 2 {
					s.mustType(in, s.commands()...)
					assert.Equal(t, git(t, s.bare, "rev-parse", tt.wantHead), s.mustRun("git -C app rev-parse HEAD"))
					assert.Equal(t, tt.wantBranch, s.mustRun("git -C app branch --show-current"))
					assert.Equal(t, tt.wantDepth, s.mustRun("git -C app rev-list --count HEAD"))
				}
				if tt.depth > 0 {
					s.mustRun("git -C app fetch --unshallow")
				}
			})
		}
	}
}

func TestHelperServesSubmodules(t *testing.T) {
	t.Parallel()
	for _, l := range []login{apiToken, httpAccessToken} {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, l)
			deep, deepBare := s.host.create("PROJ", "deep")
			_, innerBare := s.host.create("PROJ", "inner")
			addSubmodule(t, innerBare, "deep", deep.CloneURL(), git(t, deepBare, "rev-parse", "main"))
			addSubmodule(t, s.bare, "inner", "../inner.git", git(t, innerBare, "rev-parse", "main"))

			s.mustType(shells[0], s.commands()...)
			s.mustRun(shell.In("app", "git submodule update --init --recursive"))
			assert.Equal(t, "first\n", s.read("app", "inner", "deep", "README.md"))
			s.mustRun("git -C app fetch --recurse-submodules=yes && git -C app/inner fetch")
			s.holdsNoToken()
		})
	}
}

// A partial clone fetches what it lacks when it is needed.
func TestHelperServesPartialClones(t *testing.T) {
	t.Parallel()
	s := newScene(t, httpAccessToken)
	git(t, s.bare, "config", "uploadpack.allowFilter", "true")
	git(t, s.bare, "config", "uploadpack.allowAnySHA1InWant", "true")

	s.mustType(shells[0], s.commands()...)
	s.mustRun("git clone --filter=blob:none --no-checkout " + s.clone.Repository.CloneURL() + " partial")
	s.mustRun("git -C partial checkout main")
	assert.Equal(t, "two\n", s.read("partial", "sub", "two.txt"))
	s.holdsNoToken()
}

// addSubmodule adds the commit of another bare repository as a submodule to the
// branch main of one.
func addSubmodule(t *testing.T, bare, name, url, commit string) {
	t.Helper()
	checkout := t.TempDir()
	git(t, checkout, "clone", "-q", bare, ".")
	git(t, checkout, "config", "--file", ".gitmodules", "submodule."+name+".path", name)
	git(t, checkout, "config", "--file", ".gitmodules", "submodule."+name+".url", url)
	git(t, checkout, "add", ".gitmodules")
	git(t, checkout, "update-index", "--add", "--cacheinfo", "160000,"+commit+","+name)
	git(t, checkout, "commit", "-q", "-m", name)
	git(t, checkout, "push", "-q")
}

// The helper sends the token to no other host.
func TestHelperIsForItsHostOnly(t *testing.T) {
	t.Parallel()
	s := newScene(t, httpAccessToken)
	elsewhere := newHost(t, bitbucket.DataCenter, "another token", "jane", true)
	other, _ := elsewhere.create("PROJ", "other")

	s.mustType(shells[0], s.commands()...)
	out, err := s.run("cd app && GIT_TERMINAL_PROMPT=0 git fetch " + other.CloneURL())
	require.Error(t, err)
	assert.Contains(t, out, "could not read Username")
	assert.Empty(t, elsewhere.refused(), "no login was tried")
}

// Legal names that a shell or git could misread.
func TestHelperClonesIntoOddDirectories(t *testing.T) {
	t.Parallel()
	for _, slug := range []string{"-x", "--", ".hidden", "a..b", "if"} {
		t.Run(slug, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, apiToken)
			s.clone.Repository, s.bare = s.host.create("acme", slug)
			for range 2 {
				s.mustType(shells[0], s.commands()...)
				assert.Equal(t, git(t, s.bare, "rev-parse", "main"), s.mustRun(shell.In(slug, "git rev-parse HEAD")))
			}
			s.holdsNoToken()
		})
	}
}

// A variable of any name can hold the token.
func TestHelperReadsAnyVariable(t *testing.T) {
	t.Parallel()
	for _, l := range []login{apiToken, httpAccessToken} {
		for _, name := range []string{"url", "f", "T", "TOKEN_2"} {
			t.Run(l.name+" in "+name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, l)
				s.clone.Secret = name
				s.environ = append(s.environ, secret+"=", name+"="+s.token)
				s.mustType(shells[0], s.commands()...)
				s.isGood()
			})
		}
	}
}

// Bearer needs git 2.46. With an older git the user is told so, and no login is
// refused.
func TestHelperBearerOnly(t *testing.T) {
	t.Parallel()
	s := newScene(t, bearerOnly)
	s.clone.BearerOnly = true
	if exec.Command("dash", "-c", "git credential capability </dev/null").Run() != nil {
		t.Log("git sends no Bearer: the refusal is tested")
		out, err := s.enter(shells[0], s.commands()...)
		require.Error(t, err)
		assert.Contains(t, out, "git 2.46 needed\n")
		assert.Empty(t, s.host.refused())
		return
	}
	for range 2 {
		s.mustType(shells[0], s.commands()...)
		s.isGood()
	}
	s.mustRun("git -C app push origin HEAD:refs/heads/new")
	s.holdsNoToken()
	assert.Empty(t, s.host.refused())
}
