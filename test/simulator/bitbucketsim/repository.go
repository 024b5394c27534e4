package bitbucketsim

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing/fstest"
	"time"
)

// Flavor is a product line of Bitbucket.
type Flavor string

// The flavors.
const (
	Cloud      Flavor = "cloud"
	DataCenter Flavor = "datacenter"
)

// Every commit is by this author; the n-th commit of a history is made n minutes after the epoch, so that
// the same steps give the same hashes.
const (
	authorName  = "Sample Author"
	authorEmail = "author@example.test"
	epoch       = 1767323045 // 2026-01-02T03:04:05Z
)

// mainBranch is the default branch of every repository.
const mainBranch = "main"

// Repository is a repository of the simulated Bitbucket. AddRepository takes its description and returns
// its handle; the methods are for the handle. They run git on the bare repository and panic when git fails.
type Repository struct {
	Flavor Flavor
	// Owner is the workspace (Cloud), or the project key or ~user (Data Center).
	Owner string
	Slug  string
	// Public allows reads without credentials.
	Public bool
	// Unchecked serves reads of a public repository without checking the sent credentials, so a clone with a
	// bad token works. It is not documented what the real servers do; a client must work with both.
	Unchecked bool
	// Empty leaves out the first commit, with README.md, main.go and script/greet.sh.
	Empty bool
	// Archived refuses pushes. Data Center only.
	Archived bool
	// Project is the key of its project. Cloud only; on Data Center the owner is it.
	Project string
	// NoHTTP leaves out the clone link for HTTP, as when an administrator has switched it off. Data Center only.
	NoHTTP bool
	// Version0 advertises every ref, as a git before 2018 does, or a proxy that drops the header Git-Protocol.
	Version0 bool
	// MovedTo is another repository's clone URL, to which every request of git is redirected.
	MovedTo string

	server *Server
	path   string
	create func()      // makes the files, which most tests do not need
	kept   *answers    // of copies
	commit *sync.Mutex // guards what reads a history and extends it

	pristine *answers     // of all repositories with the content that this one was made with
	changed  *atomic.Bool // it may have other content now
}

// AddRepository publishes a bare repository. It panics when the flavor already has one of this name (letter
// case does not count).
func (s *Server) AddRepository(r Repository) *Repository {
	name := r.Owner + "/" + r.Slug
	if r.Flavor != Cloud && r.Flavor != DataCenter || !filepath.IsLocal(name) || strings.Count(name, "/") != 1 {
		panic(fmt.Errorf("add repository %q: no such name for flavor %q", name, r.Flavor))
	}
	r.server = s
	r.path = filepath.Join(s.root, string(r.Flavor), strings.ToLower(name)+".git")
	r.commit, r.changed, r.pristine = new(sync.Mutex), new(atomic.Bool), pristine[r.Empty]
	if s.repository(r.Flavor, r.Owner, r.Slug) != nil {
		panic(fmt.Errorf("add repository %q: it exists already", name))
	}

	r.create = sync.OnceFunc(func() {
		draft := sample
		if r.Empty {
			draft = blank
		}
		if err := os.CopyFS(r.path, draft()); err != nil {
			panic(fmt.Errorf("make repository %q: %w", name, err))
		}
	})

	s.mu.Lock()
	defer s.mu.Unlock()
	s.repositories[repositoryKey(r.Flavor, r.Owner, r.Slug)] = &r
	return &r
}

// blank and sample are the files of a repository without and with the first commit. Git makes them once,
// because eight processes for each repository would be slow.
var (
	blank  = sync.OnceValue(func() fs.FS { return draft() })
	sample = sync.OnceValue(func() fs.FS { return draft(sampleFiles...) })
)

func draft(files ...file) fs.FS {
	directory, err := os.MkdirTemp("", "bitbucketsim-")
	if err != nil {
		panic(fmt.Errorf("make a repository: %w", err))
	}
	defer os.RemoveAll(directory)
	r := Repository{path: directory, create: func() {}}
	r.git("", "init", "--quiet", "--bare", "--template=") // without hooks
	r.git("", "symbolic-ref", "HEAD", "refs/heads/"+mainBranch)
	r.git("", "config", "uploadpack.allowFilter", "true")
	r.git("", "config", "receive.autogc", "false") // no background process may outlive Close
	if len(files) > 0 {
		r.extend(mainBranch, "Add sample files", files...)
		r.git("", "repack", "-a", "-d", "--quiet") // few files
	}

	// git requires these two directories; the others exist because they have files.
	held := fstest.MapFS{"objects": {Mode: fs.ModeDir}, "refs": {Mode: fs.ModeDir}}
	err = filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(directory, path)
		held[filepath.ToSlash(name)] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		panic(fmt.Errorf("make a repository: %w", err))
	}
	return held
}

// unchecked reports whether a call is served with any credentials. The repository may be nil.
func (r *Repository) unchecked(call gitCall) bool {
	return r != nil && r.Public && r.Unchecked && call.service == UploadPack
}

// repository returns the repository of this name, or nil.
func (s *Server) repository(flavor Flavor, owner, slug string) *Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repositories[repositoryKey(flavor, owner, slug)]
}

// ownerExists reports whether a workspace or project holds any repository.
func (s *Server) ownerExists(flavor Flavor, owner string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.repositories {
		if r.Flavor == flavor && strings.EqualFold(r.Owner, owner) {
			return true
		}
	}
	return false
}

func repositoryKey(flavor Flavor, owner, slug string) string {
	return strings.ToLower(string(flavor) + ":" + owner + "/" + slug)
}

// CloneURL returns https://bitbucket.org/{workspace}/{slug}.git, or the Data Center URL on loopback.
func (r *Repository) CloneURL() string {
	if r.Flavor == Cloud {
		return "https://" + cloudHost + "/" + r.Owner + "/" + r.Slug + ".git"
	}
	return r.dataCenterCloneURL(r.server.DataCenterURL())
}

// TLSCloneURL returns the clone URL behind the proxy and the test certificate, for both flavors.
func (r *Repository) TLSCloneURL() string {
	if r.Flavor == Cloud {
		return r.CloneURL()
	}
	return r.dataCenterCloneURL(r.server.DataCenterTLSURL())
}

func (r *Repository) dataCenterCloneURL(base string) string {
	return base + "/scm/" + r.Owner + "/" + r.Slug + ".git"
}

// Path returns the bare repository's directory, in which the caller may change something.
func (r *Repository) Path() string {
	r.changed.Store(true)
	r.create()
	return r.path
}

// Head returns the commit of the default branch; empty when there is none.
func (r *Repository) Head() string { return r.resolve("refs/heads/" + mainBranch) }

// Commit adds a commit with one new file to the default branch and returns its hash.
func (r *Repository) Commit(message string) string {
	r.commit.Lock()
	defer r.commit.Unlock()
	r.changed.Store(true)
	return r.extend(mainBranch, message)
}

// Branch makes a branch one commit ahead of the default branch, or extends it by a commit when it exists,
// and returns the commit, which only this branch has.
func (r *Repository) Branch(name string) string {
	r.commit.Lock()
	defer r.commit.Unlock()
	r.changed.Store(true)
	return r.extend(name, "Work on "+name)
}

// Crowd adds n branches, from "crowd/000001" on, that point to the default branch's commit. It writes git's file
// of packed refs, because git itself takes minutes for a hundred thousand.
//
// Source: https://git-scm.com/docs/git-pack-refs
func (r *Repository) Crowd(n int) {
	r.commit.Lock()
	defer r.commit.Unlock()
	r.changed.Store(true)
	head := r.Head()
	packed := []byte("# pack-refs with: peeled fully-peeled sorted \n")
	for i := range n {
		packed = fmt.Appendf(packed, "%s refs/heads/crowd/%06d\n", head, i+1)
	}
	if err := os.WriteFile(filepath.Join(r.path, "packed-refs"), packed, 0o600); err != nil {
		panic(fmt.Errorf("add %d branches: %w", n, err))
	}
}

// Tag tags the default branch's commit and returns the commit, also for an annotated tag.
func (r *Repository) Tag(name string, annotated bool) string {
	r.commit.Lock()
	defer r.commit.Unlock()
	r.changed.Store(true)
	if annotated {
		r.git("", "tag", "--annotate", "--message", "Release "+name, name, mainBranch)
	} else {
		r.git("", "tag", name, mainBranch)
	}
	return r.Head()
}

// resolve returns the commit that a ref points to, or nothing.
func (r *Repository) resolve(ref string) string {
	return r.git("", "for-each-ref", "--format=%(objectname)", ref)
}

func (r *Repository) git(stdin string, args ...string) string {
	r.create()
	out, err := git(r.path, stdin, args...)
	if err != nil {
		panic(fmt.Errorf("repository %s/%s: %w", r.Owner, r.Slug, err))
	}
	return out
}

// file is a file of a commit.
type file struct{ mode, path, text string }

var sampleFiles = []file{
	{"100644", "README.md", "# Sample\n\nA repository of the Bitbucket simulator.\n"},
	{"100644", "main.go", "package main\n\nfunc main() { println(\"hello from the sample\") }\n"},
	{"100755", "script/greet.sh", "#!/bin/sh\necho 'hello from the sample'\n"},
}

// extend adds a commit to a branch and returns it. A new branch starts at the default branch. Without files
// the commit adds one note.
func (r *Repository) extend(branch, message string, files ...file) string {
	ref := "refs/heads/" + branch
	parent := r.resolve(ref)
	if parent == "" {
		parent = r.Head()
	}
	number := 0
	if parent != "" {
		count, err := strconv.Atoi(r.git("", "rev-list", "--count", parent))
		if err != nil {
			panic(fmt.Errorf("count commits of %s: %w", branch, err))
		}
		number = count
	}
	if len(files) == 0 {
		files = []file{{"100644", fmt.Sprintf("notes/%04d.md", number), message + "\n"}}
	}

	var stream strings.Builder
	fmt.Fprintf(&stream, "commit %s\ncommitter %s <%s> %s\n", ref, authorName, authorEmail, instant(number))
	fmt.Fprintf(&stream, "data %d\n%s\n", len(message), message)
	if parent != "" {
		fmt.Fprintf(&stream, "from %s\n", parent)
	}
	for _, f := range files {
		fmt.Fprintf(&stream, "M %s inline %s\ndata %d\n%s\n", f.mode, f.path, len(f.text), f.text)
	}
	r.git(stream.String(), "fast-import", "--quiet")
	return r.resolve(ref)
}

// instant returns the time of the n-th commit in git's own format.
func instant(n int) string {
	return fmt.Sprintf("%d +0000", epoch+n*int(time.Minute/time.Second))
}
