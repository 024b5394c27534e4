package transport_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// fetch makes the test binary a program that sends one request: net/http reads
// the proxy variables once in a process.
const fetch = "TRANSPORT_TEST_FETCH"

func TestMain(m *testing.M) {
	if address := os.Getenv(fetch); address != "" {
		certificate, err := io.ReadAll(os.Stdin)
		if err != nil {
			panic(err)
		}
		clients, err := transport.New(transport.Options{CACertificates: certificate})
		if err != nil {
			panic(err)
		}
		request, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			panic(err)
		}
		request.Header.Set("Authorization", "Bearer "+credential)
		answer, err := clients.Writes.Do(request)
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		body, _ := io.ReadAll(answer.Body)
		fmt.Println(answer.StatusCode, string(body))
		return
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} { // of the machine
		_, _ = os.Unsetenv(name), os.Unsetenv(strings.ToLower(name))
	}
	os.Exit(m.Run())
}

// proxy is an HTTP proxy that tunnels everything to one server, or answers
// CONNECT with a status other than 200.
type proxy struct {
	*httptest.Server
	asked atomic.Pointer[http.Request] // the last CONNECT
	count atomic.Int32
}

func newProxy(t *testing.T, status int, to net.Addr) *proxy {
	t.Helper()
	p := &proxy{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Store(r)
		p.count.Add(1)
		if status != 200 {
			w.WriteHeader(status)
			return
		}
		server, err := net.Dial(to.Network(), to.String())
		if err != nil {
			w.WriteHeader(502)
			return
		}
		w.WriteHeader(200)
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		go func() {
			_, _ = io.Copy(server, buffered)
			_ = server.Close()
		}()
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}))
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.Start()
	t.Cleanup(p.Close)
	return p
}

// address is the proxy's URL with a user part.
func (p *proxy) address() string {
	return strings.Replace(p.URL, "http://", "http://ann:"+proxyPassword+"@", 1)
}

const proxyPassword = "MARKER-proxy-77aa10"

func TestProxyVariables(t *testing.T) {
	t.Parallel()
	server, _, certificate := secure(t)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "direct") }))
	t.Cleanup(plain.Close)
	// The same server at an address that net/http does not take for loopback.
	remote := strings.Replace(plain.URL, "127.0.0.1", "0.0.0.0", 1)
	tests := []struct {
		name, address string
		status        int // of the proxy's answer
		noProxy       string
		asked         int32
		says          string
	}{
		{"HTTPS_PROXY opens a tunnel", "https://example.com/", 200, "", 1, "200 example.com Bearer " + credential + "\n"},
		{"a loopback address needs none", plain.URL, 200, "", 0, "200 direct\n"},
		{"HTTP_PROXY is asked for the page itself", remote, 407, "", 1, "407 \n"},
		{"NO_PROXY is heard", remote, 407, "0.0.0.0", 0, "200 direct\n"},
		{"a proxy that wants a password is asked once", "https://example.com/", 407, "", 1,
			"error: GET https://example.com/: the proxy HOST answers 407 Proxy Authentication Required\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, test.status, server.Listener.Addr())
			child := exec.Command(os.Args[0])
			child.Env = []string{fetch + "=" + test.address, "HTTPS_PROXY=" + p.address(), "HTTP_PROXY=" + p.address(), "NO_PROXY=" + test.noProxy}
			child.Stdin = strings.NewReader(string(certificate))

			output, err := child.CombinedOutput()

			require.NoError(t, err, string(output))
			assert.Contains(t, string(output), strings.ReplaceAll(test.says, "HOST", p.Listener.Addr().String()))
			assert.NotContains(t, string(output), proxyPassword)
			require.Equal(t, test.asked, p.count.Load())
			if asked := p.asked.Load(); asked != nil && asked.Method == http.MethodConnect {
				assert.Equal(t, "example.com:443", asked.Host)
				assert.Equal(t, "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:"+proxyPassword)), asked.Header.Get("Proxy-Authorization"))
				assert.Empty(t, asked.Header.Get("Authorization"), "the credential is for the server")
			}
		})
	}
}

// TestProxyThatOpensNoTunnel: whatever a proxy says instead, the request was
// never sent, and no password of the proxy is told.
func TestProxyThatOpensNoTunnel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		tries  int32
		says   string
	}{
		{"dead", 0, tries, "proxyconnect tcp: dial tcp: connection refused"},
		{"forbids", 403, 1, "the proxy proxy.test:3128 answers 403 Forbidden"},
		{"wants a password", 407, 1, "the proxy proxy.test:3128 answers 407 Proxy Authentication Required"},
		{"is busy", 429, tries, "the proxy proxy.test:3128 answers 429 Too Many Requests"},
		{"finds no host", 502, tries, "the proxy proxy.test:3128 answers 502 Bad Gateway"},
		{"is overloaded", 503, tries, "the proxy proxy.test:3128 answers 503 Service Unavailable"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(test.status) })
				if test.status == 0 {
					n.refusals.Store(1000)
				}
				lines := &record{}
				clients, err := transport.NewOver(transport.Options{Log: lines.logger()}, func(network *http.Transport) {
					network.DialContext = n.dial
					network.Proxy = http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("ann", proxyPassword), Host: "proxy.test:3128"})
				})
				require.NoError(t, err)
				for _, client := range []*transport.Client{clients.Reads, clients.Writes} {
					n.dials.Store(0)

					got := send(t.Context(), client, "https://oz.test/path")

					require.EqualError(t, got.err, "POST https://oz.test/path: "+test.says)
					assert.True(t, transport.NeverSent(got.err))
					assert.Equal(t, test.tries, n.dials.Load())
				}
				assert.Len(t, lines.lines(), int(2*(test.tries-1)))
				assert.NotContains(t, strings.Join(lines.lines(), "\n"), proxyPassword)
			})
		})
	}
}
