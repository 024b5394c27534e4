package setup_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// A host is a small Bitbucket: bare repositories behind git's own smart HTTP server, which
// requires the token. At each request it checks that no process of this machine has the token
// in its arguments.
type host struct {
	t      *testing.T
	flavor bitbucket.Flavor
	token  string
	user   string // for Basic; empty refuses Basic
	bearer bool   // accepts Bearer too
	root   string // of the bare repositories
	shown  bool   // the token may be seen in process arguments
	server *httptest.Server

	mu    sync.Mutex
	users []string          // user names of refused logins
	large map[string]string // contents of Git LFS, by the hash
}

// newHost starts a host with an empty set of repositories.
func newHost(t *testing.T, flavor bitbucket.Flavor, token, user string, bearer bool) *host {
	t.Helper()
	h := &host{t: t, flavor: flavor, token: token, user: user, bearer: bearer, root: t.TempDir()}
	backend := &cgi.Handler{
		Path:   filepath.Join(git(t, h.root, "--exec-path"), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + h.root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + h.root},
		Stderr: io.Discard,
	}
	h.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.searchArguments()
		if !h.admits(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Atlassian Bitbucket"`)
			http.Error(w, "Authentication failed", http.StatusUnauthorized)
			return
		}
		switch _, oid, found := strings.Cut(r.URL.Path, "/info/lfs/objects/"); {
		case oid == "batch":
			h.serveBatch(w, r)
		case found:
			h.mu.Lock()
			defer h.mu.Unlock()
			_, _ = io.WriteString(w, h.large[oid])
		case strings.Contains(r.URL.Path, "/info/lfs/"):
			http.NotFound(w, r) // no locks
		default:
			backend.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(h.server.Close)
	return h
}

// admits checks the credentials of a request.
func (h *host) admits(r *http.Request) bool {
	header := r.Header.Get("Authorization")
	if header == "" {
		return false
	}
	if h.bearer && header == "Bearer "+h.token {
		return true
	}
	user, password, _ := r.BasicAuth()
	if h.user != "" && user == h.user && password == h.token {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users = append(h.users, user)
	return false
}

// refused returns the user names of the logins that were refused.
func (h *host) refused() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.users
}

// searchArguments fails the test when a process shows the token.
func (h *host) searchArguments() {
	if h.shown {
		return
	}
	processes, err := filepath.Glob("/proc/[0-9]*") // to match the last part too would list each process's files
	if !assert.NoError(h.t, err) || !assert.NotEmpty(h.t, processes) {
		return
	}
	for _, name := range processes {
		line, _ := os.ReadFile(name + "/cmdline") // the process may have ended
		assert.NotContains(h.t, string(line), h.token, "token in a process argument")
	}
}

// serveBatch returns where the objects of Git LFS are. It accepts no new ones.
//
// Source: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
func (h *host) serveBatch(w http.ResponseWriter, r *http.Request) {
	type object struct {
		OID     string         `json:"oid"`
		Size    int            `json:"size"`
		Actions map[string]any `json:"actions,omitempty"`
	}
	var batch struct {
		Operation string   `json:"operation"`
		Objects   []object `json:"objects"`
	}
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for i, o := range batch.Objects {
		if batch.Operation == "download" {
			at := h.server.URL + strings.TrimSuffix(r.URL.Path, "batch") + o.OID
			batch.Objects[i].Actions = map[string]any{"download": map[string]string{"href": at}}
		}
	}
	w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
	_ = json.NewEncoder(w).Encode(map[string]any{"transfer": "basic", "objects": batch.Objects})
}

// addLarge commits a file of Git LFS to the branch main of a bare repository.
func (h *host) addLarge(bare, name, text string) {
	h.t.Helper()
	oid := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	h.mu.Lock()
	h.large = map[string]string{oid: text}
	h.mu.Unlock()
	checkout := h.t.TempDir()
	git(h.t, checkout, "clone", "-q", bare, ".")
	commit(h.t, checkout, name, fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", oid, len(text)))
	commit(h.t, checkout, ".gitattributes", name+" filter=lfs diff=lfs merge=lfs -text\n")
	git(h.t, checkout, "push", "-q")
}

// repository returns a repository of the host that is not made yet.
func (h *host) repository(owner, slug string) bitbucket.Repository {
	return bitbucket.Repository{
		Flavor: h.flavor,
		Scheme: "http",
		Host:   strings.TrimPrefix(h.server.URL, "http://"),
		Owner:  owner,
		Slug:   slug,
	}
}

// create makes a repository with two commits on main, a branch dev and a tag
// v1, and returns it with the directory of its bare files.
func (h *host) create(owner, slug string) (bitbucket.Repository, string) {
	h.t.Helper()
	r := h.repository(owner, slug)
	bare := filepath.Join(h.root, strings.TrimPrefix(r.CloneURL(), r.Origin()))
	once.Do(func() { published = publish(h.t) })
	require.NoError(h.t, os.CopyFS(bare, published))
	return r, bare
}

// published are the files of each new repository. Git makes them once: its twenty processes were a good part
// of what a test cost.
var (
	published fstest.MapFS
	once      sync.Once
)

func publish(t *testing.T) fstest.MapFS {
	t.Helper()
	source, bare := t.TempDir(), t.TempDir()
	git(t, source, "init", "-q")
	git(t, source, "symbolic-ref", "HEAD", "refs/heads/main")
	commit(t, source, "README.md", "first\n")
	git(t, source, "tag", "-a", "-m", "v1", "v1")
	git(t, source, "branch", "dev")
	commit(t, source, "sub/two.txt", "two\n")
	git(t, source, "checkout", "-q", "dev")
	commit(t, source, "dev.txt", "dev\n")
	git(t, source, "checkout", "-q", "main")
	git(t, source, "clone", "-q", "--bare", "--template=", source, bare)
	git(t, bare, "config", "http.receivepack", "true")
	git(t, bare, "repack", "-a", "-d", "-q")                                         // few files
	files := fstest.MapFS{"objects": {Mode: fs.ModeDir}, "refs": {Mode: fs.ModeDir}} // without them it is no repository
	require.NoError(t, filepath.WalkDir(bare, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, bare+"/")] = &fstest.MapFile{Data: content}
		return err
	}))
	return files
}

// commit writes a file and commits it.
func commit(t *testing.T, checkout, name, text string) {
	t.Helper()
	file := filepath.Join(checkout, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	git(t, checkout, "add", "--", name)
	git(t, checkout, "commit", "-q", "-m", name)
}

// git runs git in a directory, apart from any user's configuration, and returns
// what it printed.
func git(t *testing.T, directory string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = directory
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Jane", "GIT_AUTHOR_EMAIL=jane@example.com",
		"GIT_COMMITTER_NAME=Jane", "GIT_COMMITTER_EMAIL=jane@example.com",
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %s: %s", strings.Join(args, " "), out)
	return strings.TrimSpace(string(out))
}
