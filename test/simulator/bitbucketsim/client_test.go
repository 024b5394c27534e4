package bitbucketsim_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
)

// start starts a simulator for one test.
func start(t *testing.T) *bitbucketsim.Server {
	t.Helper()
	s := bitbucketsim.Start(bitbucketsim.Options{Log: t.Output()})
	t.Cleanup(s.Close)
	return s
}

// workstation is a directory on a machine with real git that reaches the simulator.
type workstation struct {
	t         *testing.T
	directory string
	environ   []string
}

func newWorkstation(t *testing.T, s *bitbucketsim.Server) workstation {
	t.Helper()
	home := t.TempDir()
	environ := append(append(s.Environ(), s.TrustEnviron()...),
		"PATH="+os.Getenv("PATH"), "HOME="+home, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.test",
		"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.test",
	)
	return workstation{t, home, environ}
}

// in returns the same machine in a subdirectory.
func (w workstation) in(name string) workstation {
	w.directory = filepath.Join(w.directory, name)
	return w
}

func (w workstation) try(args ...string) (string, error) {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = w.directory, w.environ
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (w workstation) git(args ...string) string {
	w.t.Helper()
	out, err := w.try(args...)
	require.NoError(w.t, err, "git %q: %s", args, out)
	return out
}

// refused runs git, which must fail, and returns its output.
func (w workstation) refused(args ...string) string {
	w.t.Helper()
	out, err := w.try(args...)
	require.Error(w.t, err, "git %q: %s", args, out)
	return out
}

// basicHelper is a git option: a credential helper that is asked after a 401.
func basicHelper(user, token string) string {
	return "credential.helper=!f() { echo username=" + user + "; echo password=" + token + "; }; f"
}

func bearerHeader(token string) string { return "http.extraHeader=Authorization: Bearer " + token }

func basic(user, token string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+token))
}

// reply is an answer as a test compares it.
type reply struct {
	status int
	header http.Header
	body   string
}

// get requests a URL as a careful client does: through the proxy, without following redirects. An empty
// authorization sends none.
func get(t *testing.T, s *bitbucketsim.Server, address, authorization string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	request.Header.Set("User-Agent", "git/2.39.5")
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := newClient(t, s).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return reply{response.StatusCode, response.Header, string(body)}
}

func newClient(t *testing.T, s *bitbucketsim.Server) *http.Client {
	t.Helper()
	proxy, err := url.Parse(s.CloudProxyURL())
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(s.CACertificatePEM())))
	transport := &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if r.URL.Scheme == "http" {
				return nil, nil
			}
			return proxy, nil
		},
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		DisableKeepAlives: true,
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// refs returns the address of a repository's advertisement.
func refs(cloneURL, service string) string { return cloneURL + "/info/refs?service=git-" + service }

func assertNoViolations(t *testing.T, s *bitbucketsim.Server) {
	t.Helper()
	assert.Empty(t, s.Violations())
}
