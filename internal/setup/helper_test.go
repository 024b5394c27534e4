package setup_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

// A login is a token, and how a host takes it.
type login struct {
	name   string
	flavor bitbucket.Flavor
	kind   bitbucket.TokenKind
	token  string
	user   string // that the host takes with Basic; empty: it refuses Basic
	bearer bool   // does the host take Bearer?
}

var (
	apiToken        = login{"API token", bitbucket.Cloud, bitbucket.APIToken, "ATATT3xFfGF0-_=1A2B3C4D", "x-bitbucket-api-token-auth", false}
	accessToken     = login{"access token", bitbucket.Cloud, bitbucket.AccessToken, "ATCTT3xFfGN0-_=1A2B3C4D", "x-token-auth", false}
	httpAccessToken = login{"HTTP access token", bitbucket.DataCenter, bitbucket.HTTPAccessToken, "BBDC-MjAzMjgz/MTU0+NzU1Oix/", "x-token-auth", true}
	bearerOnly      = login{"HTTP access token without Basic", bitbucket.DataCenter, bitbucket.HTTPAccessToken, "BBDC-MjAzMjgzMTU0NzU1Oix/", "", true}
	oddToken        = login{"odd characters", bitbucket.DataCenter, bitbucket.HTTPAccessToken, "=+/%$'\"@:&;|<>(){}[]!#~*?`", "x-token-auth", true}
	longToken       = login{"600 characters", bitbucket.Cloud, bitbucket.APIToken, "ATATT" + strings.Repeat("aB3_=", 120), "x-bitbucket-api-token-auth", false}
)

// A scene is a host with one repository, a workspace, and the clone of the one
// into the other.
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

// isGood fails the test unless the checkout is a whole one of the branch main.
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
		for _, shell := range shells {
			t.Run(l.name+" in "+shell.name, func(t *testing.T) {
				t.Parallel()
				if !shell.isInstalled(t) {
					return
				}
				s := newScene(t, l)

				s.mustType(shell, s.clone.Command())
				s.isGood()
				assert.Empty(t, s.mustRun("git -C app status --porcelain"))

				s.write("mine\n", "app", "README.md")
				s.write("new\n", "app", "notes.txt")
				s.mustRun("git -C app branch mine")
				push(t, s.bare, "three.txt")
				s.mustType(shell, s.clone.Command())
				assert.Equal(t, "mine\n", s.read("app", "README.md"), "a second run leaves work alone")
				assert.Equal(t, "new\n", s.read("app", "notes.txt"))
				s.mustRun("git -C app rev-parse mine")
				assert.Equal(t, git(t, s.bare, "rev-parse", "main"), s.mustRun("git -C app rev-parse origin/main"))

				s.mustRun("cd app && git commit -q -a -m mine && git push -q origin HEAD:refs/heads/mine && git fetch")
				assert.Equal(t, s.mustRun("git -C app rev-parse HEAD"), git(t, s.bare, "rev-parse", "mine"))

				url := s.clone.Repository.CloneURL()
				assert.Equal(t, "origin\t"+url+" (fetch)\norigin\t"+url+" (push)", s.mustRun("git -C app remote -v"))
				assert.NotContains(t, s.mustRun("git -C app config -l"), l.token)
				assert.Len(t, lines(s.mustRun("git config --global --get-regexp credential")), 2, "not written twice")
				assert.Len(t, lines(s.mustRun("git -C app config --local --get-regexp credential")), 2)
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
		for _, shell := range shells {
			t.Run(tt.name+" in "+shell.name, func(t *testing.T) {
				t.Parallel()
				if !shell.isInstalled(t) {
					return
				}
				s := newScene(t, httpAccessToken)
				git(t, s.bare, "branch", "it's/$HOME!x;`id`\"#", "main")
				s.clone.Branch, s.clone.Depth = tt.branch, tt.depth
				for range 2 {
					s.mustType(shell, s.clone.Command())
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

			s.mustRun(s.clone.Command())
			s.mustRun(setup.In("app", "git submodule update --init --recursive"))
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

	s.mustRun(s.clone.Command())
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

// A helper that the image or Oz configured neither keeps the token nor gets in
// its way.
func TestHelperKeepsOthersOut(t *testing.T) {
	t.Parallel()
	s := newScene(t, apiToken)
	stale := "http://jane:stale@" + s.clone.Repository.Host + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(s.home, ".git-credentials"), []byte(stale), 0o600))
	s.mustRun("git config --global credential.helper store")
	s.mustRun("git config --global credential.http://" + s.clone.Repository.Host + ".username jane")

	s.mustRun(s.clone.Command())
	s.mustRun(`printf "[credential]\n\thelper = store\n" >>~/.gitconfig`)
	s.mustRun("git -C app fetch && git -C app push origin HEAD:refs/heads/new")
	s.mustRun(s.clone.Command())
	s.isGood()

	text, err := os.ReadFile(filepath.Join(s.home, ".git-credentials"))
	require.NoError(t, err)
	assert.Equal(t, stale, string(text))
	s.holdsNoToken()
	assert.Empty(t, s.host.refused())
}

// The helper's token goes to no other host.
func TestHelperIsForItsHostOnly(t *testing.T) {
	t.Parallel()
	s := newScene(t, httpAccessToken)
	elsewhere := newHost(t, bitbucket.DataCenter, "another token", "jane", true)
	other, _ := elsewhere.create("PROJ", "other")

	s.mustRun(s.clone.Command())
	out, err := s.run("cd app && GIT_TERMINAL_PROMPT=0 git fetch " + other.CloneURL())
	require.Error(t, err)
	assert.Contains(t, out, "could not read Username")
	assert.Empty(t, elsewhere.refused(), "no login was tried")
}

// What a clone that did not end leaves behind becomes a good checkout, and
// nothing that somebody may have written is lost.
func TestHelperRepairs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(s scene)
	}{
		{"an empty directory", func(s scene) {
			s.mustRun("mkdir app")
		}},
		{"an empty .git", func(s scene) {
			s.mustRun("mkdir -p app/.git")
		}},
		{"a repository without a commit", func(s scene) {
			s.mustRun("git init -q app")
		}},
		{"a repository without a commit that knows its origin", func(s scene) {
			s.mustRun("git init -q app && git -C app remote add origin " + s.clone.Repository.CloneURL())
		}},
		{"a clone killed before its first pack", func(s scene) {
			waiting, open := s.host.stall()
			defer open()
			cmd := s.command("dash", "-c", s.clone.Command())
			require.NoError(s.t, cmd.Start())
			select {
			case <-waiting:
			case <-time.After(time.Minute):
				require.Fail(s.t, "no pack was asked for")
			}
			require.NoError(s.t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
			require.Error(s.t, cmd.Wait())
			require.DirExists(s.t, s.in("app", ".git"), "it left something")
		}},
		{"a clone killed in the middle of a pack", func(s scene) {
			s.mustRun("git init -q app && git -C app remote add origin " + s.clone.Repository.CloneURL())
			s.write("PACK", "app", ".git", "objects", "pack", "tmp_pack_x")
			s.write("", "app", ".git", "config.lock")
			s.write("", "app", ".git", "shallow.lock")
		}},
		{"a clone killed in the middle of its checkout", func(s scene) {
			s.mustRun(s.clone.Command())
			s.mustRun("cd app && mv .git/index .git/index.lock && rm -r sub && printf fir >README.md")
		}},
		{"a clone without HEAD", func(s scene) {
			s.mustRun(s.clone.Command())
			s.mustRun("cd app && rm -r .git/HEAD README.md")
		}},
		{"a clone with an empty HEAD", func(s scene) {
			s.mustRun(s.clone.Command())
			s.mustRun("cd app && : >.git/HEAD && rm README.md")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, httpAccessToken)
			tt.spoil(s)
			s.mustRun(s.clone.Command())
			s.isGood()
			s.mustRun(s.clone.Command())
			s.isGood()
			s.holdsNoToken()
		})
	}

	t.Run("files in an unfinished checkout", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, httpAccessToken)
		s.mustRun("git init -q app")
		s.write("notes\n", "app", "notes.txt")
		s.write("mine\n", "app", "README.md")

		out := s.mustRun(s.clone.Command())
		assert.Contains(t, out, "Saved working directory")
		s.isGood()
		assert.Equal(t, "notes\n", s.read("app", "notes.txt"))
		assert.Equal(t, "mine", s.mustRun("git -C app show stash:README.md"))
	})

	t.Run("options", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, httpAccessToken)
		s.clone.Branch, s.clone.Depth = "v1", 1
		s.mustRun("git init -q app")
		s.mustRun(s.clone.Command())
		assert.Equal(t, git(t, s.bare, "rev-parse", "v1^{commit}"), s.mustRun("git -C app rev-parse HEAD"))
		assert.Equal(t, "true", s.mustRun("git -C app rev-parse --is-shallow-repository"))
	})
}

// An empty repository is cloned, and filled by the next run.
func TestHelperClonesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, apiToken)
	s.clone.Repository.Slug = "empty"
	bare := filepath.Join(filepath.Dir(s.bare), "empty.git")
	git(t, s.host.root, "init", "-q", "--bare", bare)
	git(t, bare, "symbolic-ref", "HEAD", "refs/heads/main")

	s.mustRun(s.clone.Command())
	s.write("notes\n", "empty", "notes.txt")
	s.mustRun(s.clone.Command())
	git(t, s.bare, "push", "-q", bare, "main")
	s.mustRun(s.clone.Command())
	assert.Equal(t, "first\n", s.read("empty", "README.md"))
	assert.Equal(t, "notes\n", s.read("empty", "notes.txt"))
}

// Legal names that a shell or git could take for something else.
func TestHelperClonesIntoOddDirectories(t *testing.T) {
	t.Parallel()
	for _, slug := range []string{"-x", "--", ".hidden", "a..b", "if"} {
		t.Run(slug, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, apiToken)
			s.clone.Repository, s.bare = s.host.create("acme", slug)
			for range 2 {
				s.mustRun(s.clone.Command())
				assert.Equal(t, git(t, s.bare, "rev-parse", "main"), s.mustRun(setup.In(slug, "git rev-parse HEAD")))
			}
			s.holdsNoToken()
		})
	}
}

func TestHelperFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(s *scene)
		want  string // in the last line of the output
	}{
		{"without the variable", func(s *scene) {
			s.environ = append(s.environ, secret+"=")
		}, "BITBUCKET_TOKEN: is not set in this environment"},
		{"without git", func(s *scene) {
			bin := s.t.TempDir()
			for _, name := range []string{"sh", "dash"} {
				file, err := exec.LookPath(name)
				require.NoError(s.t, err)
				require.NoError(s.t, os.Symlink(file, filepath.Join(bin, name)))
			}
			s.environ = append(s.environ, "PATH="+bin)
		}, "oz-bitbucket: git is not installed in this image"},
		{"in a directory that holds something else", func(s *scene) {
			s.write("mine\n", "app", "file")
		}, "fatal: destination path 'app' already exists and is not an empty directory."},
		{"in a checkout of something else", func(s *scene) {
			s.mustRun("git init -q app && git -C app remote add origin https://github.com/acme/app.git")
		}, "oz-bitbucket: app is there already, and its origin is not http://"},
		{"with a wrong token", func(s *scene) {
			s.environ = append(s.environ, secret+"=wrong")
		}, "fatal: Authentication failed for"},
		{"without the repository", func(s *scene) {
			s.clone.Repository.Slug = "missing"
		}, "not found"},
		{"without the branch", func(s *scene) {
			s.clone.Branch = "missing"
		}, "Remote branch missing not found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, httpAccessToken)
			dash, err := exec.LookPath("dash")
			require.NoError(t, err)
			tt.spoil(&s)

			out, err := s.command(dash, "-c", s.clone.Command()).CombinedOutput()
			require.Error(t, err)
			assert.Contains(t, string(out), tt.want)
			assert.NotContains(t, string(out), s.token)
			assert.LessOrEqual(t, len(s.host.refused()), 1, "a refused login is not tried again")
		})
	}
}

// A later fetch that misses the variable says so, too.
func TestHelperSaysWhatLaterFetchesMiss(t *testing.T) {
	t.Parallel()
	s := newScene(t, apiToken)
	s.mustRun(s.clone.Command())
	out, err := s.run("unset " + secret + "; GIT_TERMINAL_PROMPT=0 git -C app fetch")
	require.Error(t, err)
	assert.Contains(t, out, secret+": is not set")
}

// No name of a variable is in the script's way.
func TestHelperReadsAnyVariable(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"url", "dir", "key", "helper", "index", "new", "f", "t", "TOKEN_2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, apiToken)
			s.clone.Secret = name
			s.environ = append(s.environ, secret+"=", name+"="+s.token)
			for range 2 {
				s.mustRun(s.clone.Command())
				s.isGood()
			}
		})
	}
}

// A home that cannot be written costs no more than submodules.
func TestHelperClonesWithoutAHome(t *testing.T) {
	t.Parallel()
	s := newScene(t, apiToken)
	s.environ = append(s.environ, "HOME=/nonexistent")
	for range 2 {
		s.mustRun(s.clone.Command())
		s.isGood()
	}
}

// Bearer needs git 2.46; an older one is told so.
func TestHelperBearerOnly(t *testing.T) {
	t.Parallel()
	s := newScene(t, bearerOnly)
	s.clone.BearerOnly = true
	if exec.Command("dash", "-c", "git credential capability </dev/null").Run() != nil {
		t.Log("git sends no Bearer: the refusal is tested")
		out, err := s.run(s.clone.Command())
		require.Error(t, err)
		assert.Equal(t, "oz-bitbucket: this server takes the token only as Bearer, for which git 2.46 or newer is needed in the image\n", out)
		return
	}
	for range 2 {
		s.mustRun(s.clone.Command())
		s.isGood()
	}
	s.mustRun("git -C app push origin HEAD:refs/heads/new")
	s.holdsNoToken()
	assert.Empty(t, s.host.refused())
}
