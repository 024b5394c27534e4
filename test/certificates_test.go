package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// issuer is a certificate authority of a test.
type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newIssuer(t testing.TB, name string) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return issuer{certificate, key}
}

func (i issuer) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.certificate.Raw}))
}

// sign makes a certificate for 127.0.0.1, with changes.
func (i issuer) sign(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(leaf)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, leaf, i.certificate, key.Public(), i.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestEachCertificateHasItsWords: as Bitbucket's and as Oz's. No request is tried again, and
// the message advises ca_certificate only where that helps.
func TestEachCertificateHasItsWords(t *testing.T) {
	t.Parallel()
	acme, other := newIssuer(t, "Acme Root"), newIssuer(t, "Other Root")
	asItIs := func(*x509.Certificate) {}
	const (
		setCA    = "set ca_certificate when the server or a proxy uses a private certificate authority"
		noClient = "asks for a client certificate, which is not supported"
	)
	tests := []struct {
		name   string
		change func(*x509.Certificate)
		client tls.ClientAuthType
		tls    uint16
		given  string
		roots  string // the system's; empty: those of this machine
		says   string
	}{
		{name: "an unknown authority", says: `its issuer is "Acme Root"; ` + setCA},
		{name: "a machine without authorities", roots: "/nonexistent", says: "this machine has no certificate authorities; install them (the package ca-certificates), or set ca_certificate"},
		{name: "another authority", given: other.pem(), says: `ca_certificate does not hold the authority that signed it; add the certificate of "Acme Root"`},
		{name: "a wrong host", given: acme.pem(), change: func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"git.acme.test"} },
			says: `the certificate is for another host; check the address, or have the certificate issued for "127.0.0.1" as well`},
		{name: "expired", given: acme.pem(), change: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
			says: `the certificate of "127.0.0.1" has expired; have it renewed`},
		{name: "not valid yet", given: acme.pem(), change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) },
			says: "is not valid yet; the clock of this machine may be wrong"},
		{name: "a name only in CN", given: acme.pem(), change: func(c *x509.Certificate) { c.IPAddresses = nil },
			says: `its only name is the common name (CN) "127.0.0.1", which clients ignore`},
		{name: "a client certificate under TLS 1.2", given: acme.pem(), client: tls.RequireAnyClientCert, tls: tls.VersionTLS12, says: noClient},
		{name: "a client certificate under TLS 1.3", given: acme.pem(), client: tls.RequireAnyClientCert, tls: tls.VersionTLS13, says: noClient},
		{name: "a client certificate, as nginx", given: acme.pem(), client: tls.RequestClientCert, tls: tls.VersionTLS13, says: noClient},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{})
			if tt.change == nil {
				tt.change = asItIs
			}
			if tt.roots != "" {
				w.environ = []string{"SSL_CERT_FILE=" + tt.roots, "SSL_CERT_DIR=" + tt.roots}
			}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, "<html><head><title>400 No required SSL certificate was sent</title></head></html>")
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{acme.sign(t, tt.change)}, ClientAuth: tt.client, MaxVersion: tt.tls}
			server.StartTLS()
			t.Cleanup(server.Close)

			for _, inputs := range []map[string]string{
				{"ca_certificate": tt.given, "repo_url": server.URL + "/scm/PRJ/sample.git", "bitbucket_token": dcToken},
				{"ca_certificate": tt.given, "warp_server_url": server.URL, "verify_token": "false"},
			} {
				text := w.refuses(w.inputs(inputs))
				assert.Contains(t, text, tt.says)
				assert.Equal(t, tt.given == "", strings.Contains(text, "set ca_certificate"), text)
				assert.NotContains(t, text, "trying again")
				assert.NotContains(t, text, "this says nothing about the token", "the cause is known")
			}
			w.requireClean()
		})
	}
}

func TestACertificateIsTakenAsVariablesHoldIt(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		authority := w.bitbucket.CACertificatePEM()
		for _, text := range []string{authority, strings.ReplaceAll(authority, "\n", `\n`), base64.StdEncoding.EncodeToString([]byte(authority))} {
			w.must(w.inputs(map[string]string{"ca_certificate": text, "mode": "plan"}))
		}
	})
}

// TestAPlanSaysWhomAgentsMustTrust: only where the inputs hold an authority.
func TestAPlanSaysWhomAgentsMustTrust(t *testing.T) {
	t.Parallel()
	const how = "add the authority to the system's roots in docker_image (update-ca-certificates), or set GIT_SSL_CAINFO in docker_image to a PEM file that holds it"
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for says, inputs := range map[string]map[string]string{
			"note: ca_certificate is for this job only; agents reach https://git.example.test without it; their git must trust its authority as well: " + how: {
				"repo_url": w.dc.TLSCloneURL(), "bitbucket_token": dcToken,
			},
			"note: ca_certificate is for this job only; agents reach https://bitbucket.org without it; if they use a proxy with that authority, their git must trust the authority as well: " + how: nil,
		} {
			plan := w.inputs(inputs)
			plan["mode"] = "plan"
			r := w.must(plan)
			assert.Contains(t, r.log, says)
			if w.dialect == github {
				assert.Contains(t, r.summary, "update-ca-certificates")
			}
			plan["ca_certificate"], plan["verify_token"] = "", "false"
			assert.NotContains(t, w.must(plan).log, "update-ca-certificates")
		}
		inClear := w.must(w.inputs(map[string]string{"mode": "plan", "repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken}))
		assert.NotContains(t, inClear.log, "update-ca-certificates", "there is no certificate")
	})
}

// TestAnImageThatDoesNotTrustTheAuthority: the job does, so the token is proved, and the token
// is not the reason why the clone fails.
func TestAnImageThatDoesNotTrustTheAuthority(t *testing.T) {
	t.Parallel()
	const (
		how       = "add the authority to the system's roots in docker_image (update-ca-certificates), or set GIT_SSL_CAINFO in docker_image"
		untrusted = "git in the image does not trust the server's certificate; " + how
		words     = "fatal: unable to access 'https://git.example.test/': SSL certificate problem: unable to get local issuer certificate"
	)
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.SetImage()
		inputs := w.inputs(map[string]string{"repo_url": w.dc.TLSCloneURL(), "bitbucket_token": dcToken})
		r := w.run(inputs)
		assert.Equal(t, 3, r.code, r.log)
		w.requireRun(r, "failed", "FAILED")
		assert.Contains(t, r.log, "the clone failed")
		assert.Contains(t, r.log, "; if git does not trust the server's certificate, "+how)
		steps := w.lastRun().Steps
		assert.Contains(t, strings.ToLower(steps[len(steps)-1].Output), "certificate", "that is why")

		w.oz.Behave(
			warpsim.Behaviour{State: "FAILED", ErrorCode: "environment_setup_failed", Message: "Environment setup failed: " + words},
			warpsim.Behaviour{Reply: func(string) string { return "The fetch failed: " + words }},
		)
		w.oz.SetImage(w.bitbucket.TrustEnviron()...)
		for _, state := range []string{"FAILED", "SUCCEEDED"} {
			r = w.run(inputs)
			assert.Equal(t, 3, r.code, r.log)
			w.requireRun(r, "failed", state)
			assert.Contains(t, r.log, untrusted)
			assert.NotContains(t, r.log, "if it could not connect")
			assert.NotContains(t, r.log, "if git does not trust")
		}
		w.must(inputs)

		w.oz.Behave(warpsim.Behaviour{State: "FAILED", ErrorCode: "environment_setup_failed", Message: "Environment setup failed: " + words})
		delete(inputs, "repo_url")
		inputs["mode"], inputs["previous_token"], inputs["trusted_hosts"] = "rotate", dcToken+"=", "https://git.example.test"
		inputs["verify_token"] = "false"
		r = w.run(inputs)
		assert.Equal(t, 3, r.code, r.log)
		assert.Contains(t, r.log, untrusted)
		assert.Equal(t, "false", r.outputs["rolled_back"], "the token is not to blame")
	})
}
