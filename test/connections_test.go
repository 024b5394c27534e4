package test

import (
	"cmp"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// TestProxyAndCertificateServeEveryConnection puts Oz behind TLS with a private
// authority, at a name that only the proxy knows. Bitbucket is reached as usual.
func TestProxyAndCertificateServeEveryConnection(t *testing.T) {
	t.Parallel()
	const name = "example.com" // that httptest's certificate is for
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		target, err := url.Parse(w.oz.URL())
		require.NoError(t, err)
		front := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(target))
		front.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshakes that are refused below
		front.StartTLS()
		t.Cleanup(front.Close)
		own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
		var tunnels atomic.Int32
		proxy := startProxy(t, func(address string) string {
			if address == name+":443" {
				tunnels.Add(1)
				return front.Listener.Addr().String()
			}
			return ""
		}, strings.TrimPrefix(w.bitbucket.CloudProxyURL(), "http://"))
		w.environ = []string{"HTTPS_PROXY=" + proxy}

		inputs := w.inputs(map[string]string{
			"warp_server_url": "https://" + name, "smoke_test": "false",
			"ca_certificate": string(own) + w.bitbucket.CACertificatePEM(),
		})
		w.must(inputs)
		w.keeps(inputs)
		assert.Positive(t, tunnels.Load())

		inputs["ca_certificate"] = w.bitbucket.CACertificatePEM()
		r := w.run(inputs)
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, `add the certificate of "O=Acme Co"`)
	})
}

// startProxy starts an HTTP proxy that tunnels to the address in route. It forwards any other
// request to another proxy.
func startProxy(t *testing.T, route func(address string) string, other string) string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := route(r.Host)
		far, err := net.Dial("tcp", cmp.Or(to, other))
		if err != nil {
			http.Error(w, "unreachable", http.StatusBadGateway)
			return
		}
		near, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = far.Close()
			return
		}
		if to == "" {
			_, _ = io.WriteString(far, "CONNECT "+r.Host+" HTTP/1.1\r\nHost: "+r.Host+"\r\n\r\n")
		} else {
			_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		}
		go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
		_, _ = io.Copy(far, buffered)
		_ = far.Close()
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func TestRedirectsCarryNoCredentialAndAreNotFollowed(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		var reached atomic.Int32
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
		t.Cleanup(elsewhere.Close)
		moved := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
			http.Redirect(answer, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		}))
		t.Cleanup(moved.Close)
		for range 2 {
			r := w.run(w.inputs(map[string]string{"warp_server_url": moved.URL}))
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, "check warp_server_url")
			r = w.run(w.inputs(map[string]string{"repo_url": moved.URL + "/scm/PRJ/sample.git", "bitbucket_token": dcToken}))
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, "redirected to "+elsewhere.URL)
		}
		assert.Zero(t, reached.Load())
		assert.Empty(t, w.oz.Secrets())
	})
}
