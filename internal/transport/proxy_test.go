package transport_test

import (
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

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
	const secret = "https://example.com/"
	server, _, certificate := secure(t)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "direct") }))
	t.Cleanup(plain.Close)
	// The same server at an address that is not taken for loopback.
	remote := strings.Replace(plain.URL, "127.0.0.1", "0.0.0.0", 1)
	through := answer{200, "example.com Bearer " + credential, nil}
	direct := answer{200, "direct", nil}
	tests := []struct {
		name, address string
		status        int      // of the proxy's answer
		environ       []string // PROXY stands for the proxy's address
		asked         int32
		want          answer
		says          string // in the error
	}{
		{"HTTPS_PROXY opens a tunnel", secret, 200, []string{"HTTPS_PROXY=PROXY"}, 1, through, ""},
		{"so does https_proxy", secret, 200, []string{"https_proxy=PROXY"}, 1, through, ""},
		{"an address needs no scheme", secret, 200, []string{"HTTPS_PROXY=HOST"}, 1, through, ""},
		{"upper case comes first", secret, 200, []string{"HTTPS_PROXY=PROXY", "https_proxy=http://127.0.0.1:1"}, 1, through, ""},
		{"lower case stands in for what is empty", secret, 200, []string{"HTTPS_PROXY=", "https_proxy=PROXY"}, 1, through, ""},
		{"the later entry wins", secret, 200, []string{"HTTPS_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=PROXY"}, 1, through, ""},
		{"even an empty one", remote, 407, []string{"HTTP_PROXY=PROXY", "HTTP_PROXY="}, 0, direct, ""},
		{"a loopback address needs none", plain.URL, 407, []string{"HTTP_PROXY=PROXY", "HTTPS_PROXY=PROXY"}, 0, direct, ""},
		{"HTTP_PROXY is asked for the page itself", remote, 407, []string{"HTTP_PROXY=PROXY"}, 1, answer{status: 407}, ""},
		{"so is http_proxy", remote, 407, []string{"http_proxy=PROXY"}, 1, answer{status: 407}, ""},
		{"ALL_PROXY is for https", secret, 200, []string{"ALL_PROXY=PROXY"}, 1, through, ""},
		{"so is all_proxy", secret, 200, []string{"HTTPS_PROXY=", "all_proxy=PROXY"}, 1, through, ""},
		{"and for http", remote, 407, []string{"ALL_PROXY=PROXY"}, 1, answer{status: 407}, ""},
		{"ALL_PROXY stands back", secret, 200, []string{"ALL_PROXY=http://127.0.0.1:1", "https_proxy=PROXY"}, 1, through, ""},
		{"NO_PROXY is heard against it", remote, 407, []string{"ALL_PROXY=PROXY", "NO_PROXY=0.0.0.0"}, 0, direct, ""},
		{"HTTPS_PROXY is not for http", remote, 407, []string{"HTTPS_PROXY=PROXY"}, 0, direct, ""},
		{"NO_PROXY is heard", remote, 407, []string{"HTTP_PROXY=PROXY", "NO_PROXY=0.0.0.0"}, 0, direct, ""},
		{"so is no_proxy", remote, 407, []string{"HTTP_PROXY=PROXY", "no_proxy=example.com,0.0.0.0"}, 0, direct, ""},
		{"what is no variable is nothing", remote, 407, []string{"HTTP_PROXY", "", "=HTTP_PROXY=PROXY"}, 0, direct, ""},
		{"a proxy that wants a password is asked once", secret, 407, []string{"HTTPS_PROXY=PROXY"}, 1, answer{},
			"POST https://example.com/: the proxy HOST answers 407 Proxy Authentication Required"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, test.status, server.Listener.Addr())
			names := strings.NewReplacer("=PROXY", "="+p.address(), "HOST", p.Listener.Addr().String())
			var environ []string
			for _, entry := range test.environ {
				environ = append(environ, names.Replace(entry))
			}
			clients, err := transport.New(transport.Options{CACertificates: certificate, Environ: environ})
			require.NoError(t, err)

			got := send(t.Context(), clients.Writes, test.address)

			require.Equal(t, test.asked, p.count.Load())
			if test.says != "" {
				require.EqualError(t, got.err, names.Replace(test.says))
				return
			}
			assert.Equal(t, test.want, got)
			if asked := p.asked.Load(); asked != nil && asked.Method == http.MethodConnect {
				assert.Equal(t, "example.com:443", asked.Host)
				assert.Empty(t, asked.Header.Get("Authorization"), "the credential is for the server")
				if strings.Contains(strings.Join(environ, " "), "ann:") {
					assert.Equal(t, "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:"+proxyPassword)), asked.Header.Get("Proxy-Authorization"))
				}
			}
		})
	}
}

// TestProxyVariableOfACGIScript: there HTTP_PROXY could be the header Proxy of a
// request.
func TestProxyVariableOfACGIScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, func(http.ResponseWriter, *http.Request) {})
		o := transport.Options{Environ: []string{"REQUEST_METHOD=GET", "HTTP_PROXY=http://proxy.test"}}
		clients, err := transport.NewOver(o, func(network *http.Transport) { network.DialContext = n.dial })
		require.NoError(t, err)

		got := send(t.Context(), clients.Writes, "http://oz.test/path")

		require.ErrorContains(t, got.err, "refusing to use HTTP_PROXY")
		assert.Zero(t, n.dials.Load())
	})
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

// TestBadProxiesAreNotIgnored: httpproxy ignores most of these, and the request
// would go out without a proxy.
func TestBadProxiesAreNotIgnored(t *testing.T) {
	t.Parallel()
	const (
		noURL  = "is not the URL of a proxy"
		scheme = "has a scheme other than http, https, socks5 and socks5h"
		noHost = "has no host"
		noPort = "has an impossible port"
	)
	for value, reason := range map[string]string{
		"http://ann:MARKER%zz@proxy.test:3128": noURL,
		"http://ann:MARKER/x@proxy.test:3128":  noURL,
		"http://ann:12/MARKER@proxy.test:3128": noURL,
		"http://ann:12#MARKER@proxy.test:3128": noURL,
		"http://ann:12?MARKER@proxy.test:3128": noURL,
		"http://ann:MARKER":                    noURL,
		"ann:MARKER@proxy.test:port":           noURL,
		"http://proxy MARKER":                  noURL,
		" http://proxy.test:3128":              noURL,
		"http://proxy.test:3128\n":             noURL,
		"http://[::1:3128":                     noURL,
		"://MARKER":                            noURL,
		"ftp://MARKER:3128":                    scheme,
		"htp://MARKER:3128":                    scheme,
		"socks4://MARKER:1080":                 scheme,
		"http://":                              noHost,
		"http:///MARKER":                       noHost,
		"http://:3128":                         noHost,
		":3128":                                noHost,
		"ann:MARKER@":                          noHost,
		"//proxy.test":                         noHost,
		"http:/proxy.test:3128":                noPort, // else the host "http"
		"http://proxy.test:0":                  noPort,
		"http://proxy.test:65536":              noPort,
	} {
		for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
			environ := []string{"NO_PROXY=example.com", name + "=" + value}
			bad := transport.BadProxies(environ)
			require.Len(t, bad, 1, value)
			assert.Equal(t, name, bad[0].Variable)
			assert.Equal(t, reason, bad[0].Reason, value)
			_, err := transport.New(transport.Options{Environ: environ})
			require.EqualError(t, err, bad[0].Error())
			assert.NotContains(t, err.Error(), "MARKER")
		}
	}
	for _, value := range []string{"https://internal.test", "a.test, b.test c.test", "10.0.0.0/99", "*.test,169.254/16", "a.test\tb.test"} {
		for _, name := range []string{"NO_PROXY", "no_proxy"} {
			bad := transport.BadProxies([]string{name + "=" + value})
			require.Len(t, bad, 1, value)
			assert.Equal(t, name, bad[0].Variable)
			assert.NotContains(t, bad[0].Error(), "test")
		}
	}
}

func TestGoodProxies(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", "proxy.test", "proxy.test:3128", "127.0.0.1:3128", "[::1]:3128", "http://proxy.test", "https://proxy.test:3129/", "HTTP://proxy.test",
		"socks5://proxy.test:1080", "socks5h://ann:p@proxy.test", "ann:p%40ss@proxy.test:3128", "http://ann@proxy.test",
	} {
		assert.Empty(t, transport.BadProxies([]string{"HTTPS_PROXY=" + value, "http_proxy=" + value}), value)
	}
	for _, value := range []string{"*", "a.test,.b.test, *.c.test,", "10.0.0.0/8,fd00::/8,::1,[::1]:80,10.0.0.1:8080"} {
		assert.Empty(t, transport.BadProxies([]string{"NO_PROXY=" + value}), value)
	}
	assert.Empty(t, transport.BadProxies([]string{"ALL_PROXY=socks4://x", "HTTPS_PROXY=%", "HTTPS_PROXY=proxy.test", "http_proxy=proxy.test"}), "what does not count")
	assert.Len(t, transport.BadProxies([]string{"ALL_PROXY=socks4://x", "HTTPS_PROXY=proxy.test"}), 1, "what counts for http")
}

func TestProxyPasswords(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{
		"http://ann:pass@proxy.test":     {"pass"},
		"ann:pass@proxy.test:3128":       {"pass"},
		"http://ann:p%40ss@proxy.test":   {"p%40ss", "p@ss"},
		"http://ann:p@ss:x/y@proxy.test": {"p@ss:x/y"},
		"http://ann:p%zz@proxy.test":     {"p%zz"},
		"ftp://:pass@":                   {"pass"},
		"http://ann@proxy.test":          nil,
		"http://ann:@proxy.test":         nil,
		"http://proxy.test:3128":         nil,
		"":                               nil,
	} {
		for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
			var got []string
			for _, password := range transport.ProxyPasswords([]string{"A=http://x:yyyy@z", name + "=" + value, "NO_PROXY=a:b@c"}) {
				got = append(got, password.Reveal())
			}
			assert.Equal(t, want, got, value)
		}
	}
}
