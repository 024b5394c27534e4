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

	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

// config appends to the git configuration of the image's user, with ORIGIN for the
// host's.
func (s scene) config(text string) {
	s.t.Helper()
	file, err := os.OpenFile(filepath.Join(s.home, ".gitconfig"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(s.t, err)
	defer file.Close()
	_, err = file.WriteString(strings.ReplaceAll(text, "ORIGIN", s.clone.Repository.Origin()) + "\n")
	require.NoError(s.t, err)
}

// store gives the image a credential store with a stale value.
func (s scene) store() {
	s.t.Helper()
	text := strings.Replace(s.clone.Repository.Origin(), "://", "://"+s.clone.Kind.User()+":stale@", 1) + "\n"
	require.NoError(s.t, os.WriteFile(filepath.Join(s.home, ".git-credentials"), []byte(text), 0o600))
}

// The commands work in images with git settings of their own.
func TestImages(t *testing.T) {
	t.Parallel()
	images := []struct {
		name    string
		prepare func(s *scene)
	}{
		{"a store", func(s *scene) {
			s.store()
			s.config("[credential]\n\thelper = store\n[credential \"ORIGIN\"]\n\tusername = jane")
		}},
		{"a store after a helper for the host", func(s *scene) {
			s.store()
			s.config("[credential \"ORIGIN\"]\n\thelper = !false\n\thelper = !true\n[credential]\n\thelper = store")
		}},
		{"a store in the user's other file", func(s *scene) {
			s.store()
			s.mustRun("mkdir -p ~/.config/git && printf '[credential]\\n\\thelper = store\\n' >~/.config/git/config")
		}},
		{"a header for all", func(s *scene) { s.config("[http]\n\textraHeader = Authorization: Basic c3RhbGU6c3RhbGU=") }},
		{"a header for the host", func(s *scene) {
			s.config("[http \"ORIGIN/\"]\n\textraheader = AUTHORIZATION: basic c3RhbGU6c3RhbGU=\n[http]\n\textraHeader = Authorization: Basic c3RhbGU6c3RhbGU=")
		}},
		{"the same without a slash", func(s *scene) { s.config("[http \"ORIGIN\"]\n\textraheader = Authorization: Basic c3RhbGU6c3RhbGU=") }},
		{"URLs that become SSH", func(s *scene) {
			s.config("[url \"ssh://git@127.0.0.1:1/\"]\n\tinsteadOf = ORIGIN/\n\tinsteadOf = ORIGIN")
		}},
		{"a remote of another name", func(s *scene) { s.config("[clone]\n\tdefaultRemoteName = upstream") }},
		{"CDPATH", func(s *scene) {
			elsewhere := s.t.TempDir()
			require.NoError(s.t, os.Mkdir(filepath.Join(elsewhere, "app"), 0o755))
			s.environ = append(s.environ, "CDPATH="+elsewhere)
		}},
		{"GIT_CONFIG_GLOBAL, a file", func(s *scene) {
			file := filepath.Join(s.home, "other")
			require.NoError(s.t, os.WriteFile(file, nil, 0o600))
			s.environ = append(s.environ, "GIT_CONFIG_GLOBAL="+file)
		}},
	}
	logins := []login{apiToken, httpAccessToken, accessToken}
	for i, image := range images {
		for j, in := range shells {
			l := logins[(i+j)%len(logins)]
			t.Run(image.name+", "+l.name+" in "+in.name, func(t *testing.T) {
				t.Parallel()
				if !in.isInstalled(t) {
					return
				}
				s := newScene(t, l)
				image.prepare(&s)
				credentials, _ := os.ReadFile(filepath.Join(s.home, ".git-credentials"))
				commands := append(s.commands(), shell.In("app", "pwd >where; true"))
				for range 2 {
					s.mustType(in, commands...)
					s.isGood()
					assert.Equal(t, s.in("app")+"\n", s.read("app", "where"))
					s.mustRun("rm app/where && git -C app fetch origin && git -C app push origin HEAD:refs/heads/new")
				}
				s.holdsNoToken()
				assert.Empty(t, s.host.refused())
				after, _ := os.ReadFile(filepath.Join(s.home, ".git-credentials"))
				assert.Equal(t, string(credentials), string(after))
			})
		}
	}
}

// knowsGlobal reports whether git reads GIT_CONFIG_GLOBAL, as it does since 2.32.
func (s scene) knowsGlobal() bool {
	out, _ := s.run("printf '[a]\\n\\tb = c\\n' >~/global; GIT_CONFIG_GLOBAL=~/global git config a.b")
	return out == "c\n"
}

// When GIT_CONFIG_GLOBAL does not name a regular file, the commands neither hang nor
// write through it, and the session gets a file that git can use.
func TestImagesWithoutAGlobalConfiguration(t *testing.T) {
	t.Parallel()
	targets := []struct {
		name string
		path string // below the home
		make func(path string) error
	}{
		{"a directory", "directory", func(path string) error { return os.Mkdir(path, 0o755) }},
		{"a FIFO", "fifo", func(path string) error { return syscall.Mkfifo(path, 0o600) }},
		{"a device", "device", func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|3) }},
		{"a link to a device", "link", func(path string) error {
			if err := syscall.Mknod(path+"-device", syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
				return err
			}
			return os.Symlink(path+"-device", path)
		}},
		{"nothing", "missing/file", func(string) error { return nil }},
	}
	for _, target := range targets {
		for _, in := range shells {
			t.Run(target.name+" in "+in.name, func(t *testing.T) {
				t.Parallel()
				if !in.isInstalled(t) {
					return
				}
				s := newScene(t, apiToken)
				path := filepath.Join(s.home, target.path)
				if err := target.make(path); os.IsPermission(err) {
					t.Log("only root can make one: nothing was tested")
					return
				} else {
					require.NoError(t, err)
				}
				before, _ := os.Stat(path)
				s.environ = append(s.environ, "GIT_CONFIG_GLOBAL="+path)
				for range 2 {
					s.mustType(in, append(s.commands(), "git -C app fetch", "git -C app push origin HEAD:refs/heads/new")...)
				}
				after, _ := os.Stat(path)
				if before == nil {
					assert.Nil(t, after)
				} else {
					assert.Equal(t, before.Mode(), after.Mode())
				}
				assert.Equal(t, git(t, s.bare, "rev-parse", "main"), git(t, s.bare, "rev-parse", "new"))
				s.holdsNoToken()
			})
		}
	}
	for name, environ := range map[string]string{"an empty name": "GIT_CONFIG_GLOBAL=", "no home": "HOME=", "a home that is not there": "HOME=/proc/none"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, apiToken)
			if environ != "GIT_CONFIG_GLOBAL=" && !s.knowsGlobal() {
				t.Log("git does not read GIT_CONFIG_GLOBAL: nothing was tested")
				return
			}
			s.environ = append(s.environ, environ)
			for range 2 {
				s.mustType(shells[0], append(s.commands(), "git -C app fetch", "git -C app push origin HEAD:refs/heads/new")...)
			}
			s.holdsNoToken()
		})
	}
}

// When no command can fix the problem, a message says so, and git does not prompt.
func TestImagesThatCannotClone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(s *scene)
		want  string
	}{
		{"without the variable", func(s *scene) { s.environ = append(s.environ, secret+"=") }, secret + ": "},
		{"without git", func(s *scene) {
			bin := s.t.TempDir()
			for _, name := range []string{"sh", "test", "printenv"} {
				file, err := exec.LookPath(name)
				require.NoError(s.t, err)
				require.NoError(s.t, os.Symlink(file, filepath.Join(bin, name)))
			}
			s.environ = append(s.environ, "PATH="+bin)
		}, "git: (command )?not found|(command not found|Unknown command): git"},
		{"in a directory that holds something else", func(s *scene) { s.write("mine\n", "app", "file") }, "destination path 'app' already exists and is not an empty directory"},
		{"with a wrong token", func(s *scene) { s.environ = append(s.environ, secret+"=wrong") }, "Authentication failed for"},
		{"without the repository", func(s *scene) { s.clone.Repository.Slug = "missing" }, "not found"},
		{"without the branch", func(s *scene) { s.clone.Branch = "missing" }, "Remote branch missing not found"},
	}
	for _, tt := range tests {
		for _, in := range shells {
			t.Run(tt.name+" in "+in.name, func(t *testing.T) {
				t.Parallel()
				if !in.isInstalled(t) {
					return
				}
				s := newScene(t, httpAccessToken)
				program, err := exec.LookPath(strings.Fields(in.name)[0])
				require.NoError(t, err)
				tt.spoil(&s)
				in.name = program

				out, err := s.enter(in, s.commands()...)
				require.Error(t, err)
				assert.Regexp(t, tt.want, out)
				assert.NotContains(t, out, s.token)
				assert.LessOrEqual(t, len(s.host.refused()), 1, "a refused login is not tried again")
			})
		}
	}
}

// A checkout that another user owns is not touched, and git says why. Before 2.35.2 git
// allows it.
func TestAnotherUsersCheckout(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Log("only root can give a file away: nothing was tested")
		return
	}
	s := newScene(t, apiToken)
	s.mustType(shells[0], s.commands()...)
	s.mustRun("chown -R 12345 app")
	if out, err := s.enter(shells[0], s.commands()...); err != nil {
		assert.Contains(t, out, "dubious ownership")
		assert.Contains(t, out, "safe.directory")
		return
	}
	s.isGood()
}

// An askpass program is not run either.
func TestNoProgramAsks(t *testing.T) {
	t.Parallel()
	for _, in := range shells {
		t.Run(in.name, func(t *testing.T) {
			t.Parallel()
			if !in.isInstalled(t) {
				return
			}
			s := newScene(t, apiToken)
			ask := filepath.Join(s.home, "ask")
			require.NoError(t, os.WriteFile(ask, []byte("#!/bin/sh\ntouch ~/asked\n"), 0o700))
			s.config("[core]\n\taskPass = " + ask)
			s.environ = append(s.environ, "GIT_ASKPASS="+ask, "SSH_ASKPASS="+ask, secret+"=")
			out, err := s.enter(in, s.commands()...)
			require.Error(t, err)
			assert.Contains(t, out, secret+": ")
			assert.NoFileExists(t, filepath.Join(s.home, "asked"))
			assert.Empty(t, s.host.refused())
		})
	}
}

// No command prompts on the terminal in which Oz runs it: a prompt would wait for ever. Later
// commands of the session do not prompt either.
func TestNobodyIsAsked(t *testing.T) {
	t.Parallel()
	if !isInstalled(t, "script") {
		return
	}
	for name, environ := range map[string]string{"no variable": secret + "=", "a wrong token": secret + "=wrong"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, apiToken)
			s.environ = append(s.environ, environ)
			typed := strings.Join(append(s.commands(), "git clone "+s.clone.Repository.CloneURL()+" again"), "\n") + "\nexit 7\n"
			cmd := s.command("script", "-qec", "bash --norc --noprofile -i", filepath.Join(s.home, "typescript"))
			cmd.Stdin = strings.NewReader(typed)
			waited := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
			out, err := cmd.CombinedOutput()
			assert.True(t, waited.Stop(), "it waits for an answer: %s", out)
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			assert.Equal(t, 7, exit.ExitCode(), "the session went on: %s", out)
		})
	}
}

// Git LFS asks git for the credential, which runs our helper.
func TestHelperServesLFS(t *testing.T) {
	t.Parallel()
	if !isInstalled(t, "git-lfs") {
		return
	}
	for _, l := range []login{apiToken, accessToken, httpAccessToken} {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, l)
			s.host.addLarge(s.bare, "large.bin", "a large file\n")
			s.config("[url \"ssh://git@127.0.0.1:1/\"]\n\tinsteadOf = ORIGIN/\n[http \"ORIGIN/\"]\n\textraheader = Authorization: Basic c3RhbGU6c3RhbGU=")
			s.mustRun("git lfs install --skip-repo")
			s.mustType(shells[0], s.commands()...)
			assert.Equal(t, "a large file\n", s.read("app", "large.bin"))
			s.mustRun("cd app && git lfs fetch --all && git push origin HEAD:refs/heads/new")
			s.holdsNoToken()
			assert.Empty(t, s.host.refused())
		})
	}
}

// Two repositories of one server need one login.
func TestHelperClonesSeveral(t *testing.T) {
	t.Parallel()
	s := newScene(t, accessToken)
	lib := s.clone
	lib.Repository, _ = s.host.create("PROJ", "lib")
	commands := setup.Merge(nil, []setup.Clone{s.clone, lib}, []string{"test -e README.md"}, true)
	require.Len(t, commands, 5)
	s.mustType(shells[0], commands...)
	s.isGood()
	assert.Equal(t, "first\n", s.read("lib", "README.md"))
}
