package transport_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// signed is a certificate with its key.
type signed struct{ tls.Certificate }

// pem is the certificate as a file holds it.
func (s signed) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Leaf.Raw})
}

// sign makes a certificate for 127.0.0.1 that is valid for an hour, with changes,
// signed by parent or, without one, by itself.
func sign(t *testing.T, parent *signed, name string, change func(*x509.Certificate)) signed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	signer, with := template, key
	if parent != nil {
		signer, with = parent.Leaf, parent.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), with)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return signed{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}
}

func authority(c *x509.Certificate) { c.IsCA, c.ExtKeyUsage, c.IPAddresses = true, nil, nil }

func asItIs(*x509.Certificate) {}

// tlsServer serves over TLS and counts connections.
func tlsServer(t *testing.T, config *tls.Config, handle http.HandlerFunc) (server *httptest.Server, connections *atomic.Int32) {
	t.Helper()
	connections = new(atomic.Int32)
	server = httptest.NewUnstartedServer(handle)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, connections
}

// requireFinal sends a read and a write, neither of which may be tried again or be
// lost, and returns their errors' texts.
func requireFinal(t *testing.T, given []byte, url string, connections *atomic.Int32) []string {
	t.Helper()
	clients, err := transport.New(transport.Options{CACertificates: given})
	require.NoError(t, err)
	var texts []string
	for _, client := range []*transport.Client{clients.Reads, clients.Writes} {
		before := connections.Load()
		got := send(t.Context(), client, url)
		require.Error(t, got.err)
		assert.LessOrEqual(t, connections.Load()-before, int32(1), "a second look would be the same: %v", got.err)
		assert.True(t, transport.NeverSent(got.err), got.err)
		assert.NotContains(t, got.err.Error(), credential)
		texts = append(texts, got.err.Error())
	}
	return texts
}

func TestEachCertificateThatIsRefusedHasItsWords(t *testing.T) {
	t.Parallel()
	const setCA = "set ca_certificate when the server or a proxy uses a private certificate authority"
	root := sign(t, nil, "Acme Root", authority)
	stranger := sign(t, nil, "Other Root", authority)
	between := sign(t, &root, "Acme Issuing", authority)
	plain := sign(t, nil, "Plain", asItIs)
	old := sign(t, nil, "Old Root", func(c *x509.Certificate) {
		authority(c)
		c.NotAfter = time.Now().Add(-time.Minute)
	})
	chain := sign(t, &between, "leaf", asItIs)
	chain.Certificate.Certificate = append(chain.Certificate.Certificate, between.Certificate.Certificate...)
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	tests := []struct {
		name  string
		leaf  signed
		given []byte
		says  string // at the end
	}{
		{"an unknown authority", sign(t, &root, "leaf", asItIs), nil,
			`its issuer is "Acme Root"; ` + setCA + ", or have the server send its intermediate certificates; it sends none"},
		{"an unknown authority, with its intermediate", chain, nil, `its issuer is "Acme Root"; ` + setCA},
		{"itself", sign(t, nil, "Self", asItIs), nil, `its issuer is "Self"; ` + setCA},
		{"another authority than the one given", sign(t, &root, "leaf", asItIs), stranger.pem(),
			`ca_certificate does not hold the authority that signed it; add the certificate of "Acme Root", which the server's chain names as its issuer`},
		{"an intermediate that is missing", sign(t, &between, "leaf", asItIs), root.pem(), `add the certificate of "Acme Issuing", which the server's chain names as its issuer`},
		{"another server's certificate than the one given", sign(t, nil, "Self", asItIs), plain.pem(), `add the certificate of "Self", which the server's chain names as its issuer`},
		{"a long name", sign(t, nil, strings.Repeat("é", 200), asItIs), stranger.pem(), `add the certificate of "` + strings.Repeat("é", 100) + ` ...", which the server's chain names as its issuer`},
		{"a name of two lines", sign(t, nil, "a\nb", asItIs), stranger.pem(), `add the certificate of "a\nb", which the server's chain names as its issuer`},
		{"no common name", sign(t, nil, "", func(c *x509.Certificate) { c.Subject.Organization = []string{"Acme"} }), stranger.pem(), `add the certificate of "O=Acme", which the server's chain names as its issuer`},
		{"another host", sign(t, &root, "leaf", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"git.acme.test"} }), root.pem(),
			`the certificate is for another host; check the address, or have the certificate issued for "127.0.0.1" as well`},
		{"a name only in CN", sign(t, &root, "127.0.0.1", func(c *x509.Certificate) { c.IPAddresses = nil }), root.pem(),
			`its only name is the common name (CN) "127.0.0.1", which clients ignore; have the certificate issued again with "127.0.0.1" as a subject alternative name`},
		{"expired", sign(t, &root, "leaf", expired), root.pem(), `the certificate of "leaf" has expired; have it renewed, unless the clock of this machine is wrong`},
		{"expired, of an unknown authority", sign(t, &root, "leaf", expired), nil, `the certificate of "leaf" has expired; have it renewed, unless the clock of this machine is wrong`},
		{"an authority that is expired", sign(t, &old, "leaf", asItIs), old.pem(), `the certificate of "Old Root" has expired; have it renewed, unless the clock of this machine is wrong`},
		{"not valid yet", sign(t, &root, "leaf", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), root.pem(),
			`the certificate of "leaf" is not valid yet; the clock of this machine may be wrong`},
		{"not for servers", sign(t, &root, "leaf", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), root.pem(),
			`the certificate of "leaf" is not for servers; have it issued again with the extended key usage serverAuth`},
		{"signed by what is no authority", sign(t, &plain, "leaf", asItIs), plain.pem(), `add the certificate of "Plain", which the server's chain names as its issuer`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, connections := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{test.leaf.Certificate}}, http.NotFound)
			for _, text := range requireFinal(t, test.given, server.URL, connections) {
				assert.Contains(t, text, "tls: failed to verify certificate: x509: ")
				assert.True(t, strings.HasSuffix(text, "; "+test.says), text)
				assert.Equal(t, strings.Contains(test.says, "set ca_certificate"), strings.Contains(text, "set ca_certificate"), text)
			}
		})
	}
}

// TestAServersOwnCertificateMayBeGiven: Go takes one that is no authority's.
func TestAServersOwnCertificateMayBeGiven(t *testing.T) {
	t.Parallel()
	root := sign(t, nil, "Acme Root", authority)
	for _, own := range []signed{sign(t, nil, "Self", asItIs), sign(t, &root, "leaf", asItIs)} {
		server, _ := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{own.Certificate}}, func(http.ResponseWriter, *http.Request) {})
		clients, err := transport.New(transport.Options{CACertificates: own.pem()})
		require.NoError(t, err)
		require.NoError(t, send(t.Context(), clients.Reads, server.URL).err)
	}
}

// What is said about a client certificate, at the end.
const (
	notSupported = "; the server, or a proxy in front of it, asks for a client certificate, which is not supported; "
	letIn        = notSupported + "have it accept this job without one"
	closed       = notSupported + "that may be why it closed the connection"
)

func TestAClientCertificateThatIsDemandedIsNotSupported(t *testing.T) {
	t.Parallel()
	own := sign(t, nil, "Self", asItIs)
	nginx := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\r\n")
	}
	for name, config := range map[string]*tls.Config{
		"under TLS 1.2":         {MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{"http/1.1"}},
		"under TLS 1.2, HTTP/2": {MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{"h2"}},
		"under TLS 1.3":         {MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{"http/1.1"}},
		"as nginx does":         {ClientAuth: tls.RequestClientCert, NextProtos: []string{"http/1.1"}},
		"as nginx does, HTTP/2": {ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config.Certificates = []tls.Certificate{own.Certificate}
			for range 10 { // under TLS 1.3 the refusal comes after the request
				server, connections := tlsServer(t, config.Clone(), nginx)
				for _, text := range requireFinal(t, own.pem(), server.URL, connections) {
					assert.True(t, strings.HasSuffix(text, letIn), text)
				}
			}
		})
	}
}

// TestAConnectionThatEndsForWantOfACertificate: the refusal is lost, or there is none.
func TestAConnectionThatEndsForWantOfACertificate(t *testing.T) {
	t.Parallel()
	own := sign(t, nil, "Self", asItIs)
	wordless := &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{
			Certificates: []tls.Certificate{own.Certificate}, MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert,
			VerifyConnection: func(tls.ConnectionState) error { return hello.Conn.Close() },
		}, nil
	}}
	for _, tt := range []struct {
		config *tls.Config
		says   []string // one of them
	}{
		{&tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{"h2"}}, []string{letIn, closed}},
		{wordless, []string{closed}},
	} {
		tt.config.Certificates = []tls.Certificate{own.Certificate}
		server, _ := tlsServer(t, tt.config, http.NotFound)
		clients, err := transport.New(transport.Options{CACertificates: own.pem()})
		require.NoError(t, err)
		got := send(t.Context(), clients.Writes, server.URL)
		require.Error(t, got.err)
		assert.True(t, slices.ContainsFunc(tt.says, func(end string) bool { return strings.HasSuffix(got.err.Error(), end) }), got.err)
	}
}

// TestAClientCertificateMayBeMissing: many servers ask and go on without one.
func TestAClientCertificateMayBeMissing(t *testing.T) {
	t.Parallel()
	const words = "400 No required SSL certificate was sent"
	own := sign(t, nil, "Self", asItIs)
	for _, answer := range []struct {
		asks   tls.ClientAuthType
		status int
		body   string
	}{
		{tls.RequestClientCert, 200, "fine"}, {tls.RequestClientCert, 200, words}, {tls.RequestClientCert, 400, ""},
		{tls.RequestClientCert, 400, strings.Repeat("x", 5000)}, {tls.NoClientCert, 400, words},
	} {
		server, _ := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{own.Certificate}, ClientAuth: answer.asks}, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(answer.status)
			_, _ = io.WriteString(w, answer.body)
		})
		clients, err := transport.New(transport.Options{CACertificates: own.pem()})
		require.NoError(t, err)
		got := send(t.Context(), clients.Writes, server.URL)
		require.NoError(t, got.err)
		assert.Equal(t, answer.status, got.status)
		assert.Equal(t, answer.body, got.body)

		if server.Close(); answer.body == "fine" {
			assert.NotContains(t, send(t.Context(), clients.Writes, server.URL).err.Error(), "client certificate", "it has answered before")
		}
	}
}

// TestAStopIsNoWantOfACertificate: the connection was fine, and the job was told to stop.
func TestAStopIsNoWantOfACertificate(t *testing.T) {
	t.Parallel()
	own := sign(t, nil, "Self", asItIs)
	ctx, stop := context.WithCancelCause(t.Context())
	server, _ := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{own.Certificate}, ClientAuth: tls.RequestClientCert}, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client leaves
		stop(errors.New("told to stop"))
		<-r.Context().Done()
	})
	clients, err := transport.New(transport.Options{CACertificates: own.pem()})
	require.NoError(t, err)
	got := send(ctx, clients.Reads, server.URL)
	require.Error(t, got.err)
	assert.NotContains(t, got.err.Error(), "client certificate")
}

// TestAPortThatSpeaksNoTLS: there is no certificate to speak of.
func TestAPortThatSpeaksNoTLS(t *testing.T) {
	t.Parallel()
	for first, says := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n": "; the server there speaks plain HTTP; check the scheme and the port",
		"SSH-2.0-SSHD-UNKNOWN\r\n":         "; the server there does not speak TLS; check the port",
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		connections := new(atomic.Int32)
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				connections.Add(1)
				_, _ = io.WriteString(connection, first)
				_, _ = io.Copy(io.Discard, connection)
				_ = connection.Close()
			}
		}()
		for _, text := range requireFinal(t, nil, "https://"+listener.Addr().String(), connections) {
			assert.True(t, strings.HasSuffix(text, says), text)
		}
	}
}
