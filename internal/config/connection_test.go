package config_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
)

func TestServer(t *testing.T) {
	t.Parallel()
	for _, root := range []string{"https://oz.example.com", "https://oz.example.com:8443/prefix/", "http://localhost:1", "http://127.0.0.1:8080", "http://127.1.2.3", "http://[::1]:8080"} {
		assert.Equal(t, root, parse(t, cloud(with("warp_server_url", root))).WarpServerURL.String())
	}
	const (
		notARoot = "warp_server_url: is not the root of a server; give it as https://host"
		clear    = "warp_server_url: would send the API key in clear text; use https://"
	)
	var tests []refusal
	for root, want := range map[string]string{
		"app.warp.dev": notARoot, "https://": notARoot, "https://:443": notARoot, "https:app.warp.dev": notARoot, "https://jane:pw@oz.example.com": notARoot,
		"https://jane@oz.example.com": notARoot, "https://oz.example.com?": notARoot, "https://oz.example.com/?a=b": notARoot, "https://oz.example.com/#a": notARoot,
		"https://a b": notARoot, "://": notARoot, "http://oz.example.com": clear, "http://localhost.example.com": clear, "http://10.0.0.1": clear,
		"ftp://localhost": clear, "http://127.0.0.1.example.com": clear,
	} {
		tests = append(tests, refusal{root, cloud(with("warp_server_url", root)), want})
	}
	requireRefused(t, tests)
}

func TestCACertificate(t *testing.T) {
	t.Parallel()
	authority := certificate(t)
	read := files{"/etc/ca.pem": authority, "/etc/empty.pem": "", "/etc/key.pem": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}
	for _, value := range []string{authority, "/etc/ca.pem", "subject=CN\n" + authority} {
		c, err := config.Parse(cloud(with("ca_certificate", value)), read.read, noVariable)
		require.NoError(t, err)
		assert.Equal(t, authority, string(c.CACertificate))
	}
	const none = "ca_certificate: holds no PEM certificate; give the certificate of the authority, from BEGIN CERTIFICATE to END CERTIFICATE"
	for value, want := range map[string]string{
		"/etc/none.pem":  "ca_certificate: is neither PEM text nor a file that the job can read; give one of the two",
		"/etc/empty.pem": none,
		"/etc/key.pem":   none,
		base64.StdEncoding.EncodeToString([]byte(read["/etc/key.pem"])): none,
		base64.StdEncoding.EncodeToString([]byte("no PEM")):             "ca_certificate: is neither PEM text nor a file that the job can read; give one of the two",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----":  none,
		"-----BEGIN CERTIFICATE-----":                                   none,
	} {
		assert.Equal(t, []string{want}, problems(t, cloud(with("ca_certificate", value)), read), value)
	}
}

// TestCACertificateAsVariablesHoldIt: PEM as a CI's page or a shell changes it.
func TestCACertificateAsVariablesHoldIt(t *testing.T) {
	t.Parallel()
	first, second := certificate(t), certificate(t)
	bundle := first + second
	encoded := base64.StdEncoding.EncodeToString([]byte(bundle))
	wrapped := regexp.MustCompile(`.{1,76}`).ReplaceAllString(encoded, "$0\n")
	for name, value := range map[string]string{
		"literal \\n":             strings.ReplaceAll(bundle, "\n", `\n`),
		"literal \\r\\n":          strings.ReplaceAll(bundle, "\n", `\r\n`),
		"escaped twice":           strings.ReplaceAll(bundle, "\n", `\\n`),
		"a JSON string":           strconv.Quote(bundle),
		"spaces":                  strings.ReplaceAll(bundle, "\n", " "),
		"no line breaks":          strings.ReplaceAll(bundle, "\n", ""),
		"line breaks of Windows":  strings.ReplaceAll(bundle, "\n", "\r\n"),
		"indented":                strings.ReplaceAll(bundle, "\n", "\n    "),
		"Base64":                  encoded,
		"Base64 in lines":         wrapped,
		"Base64 with literal \\n": strings.ReplaceAll(wrapped, "\n", `\n`),
		"Base64 of literal \\n":   base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(bundle, "\n", `\n`))),
	} {
		read := files{"/etc/ca.pem": value}
		for _, given := range []string{value, "/etc/ca.pem"} {
			c, err := config.Parse(cloud(with("ca_certificate", given)), read.read, noVariable)
			require.NoError(t, err, name)
			assert.Equal(t, bundle, string(c.CACertificate), name)
		}
	}
}

// certificate is a certificate of an authority, as PEM.
func certificate(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestSmokeTestTimeout(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"1m": time.Minute, "60s": time.Minute, "1": time.Minute, "20": 20 * time.Minute, "090": 90 * time.Minute,
		"1h30m": 90 * time.Minute, "360": 6 * time.Hour, "6h": 6 * time.Hour, "1.5h": 90 * time.Minute,
	} {
		assert.Equal(t, want, parse(t, cloud(with("smoke_test_timeout", text))).SmokeTestTimeout, text)
	}
	for _, text := range []string{"0", "59s", "59.999s", "361", "6h1ns", "-5", "-5m", "+5", "20 minutes", "20min", "1d", "99999999999999999999", "0x10", "1e2", "NaN"} {
		assert.Equal(t, []string{"smoke_test_timeout: is not a duration between 1m and 6h; give a duration such as 20m, or whole minutes"},
			problems(t, cloud(with("smoke_test_timeout", text)), nil), text)
	}
	requireRefused(t, []refusal{
		{"a model of two lines", cloud(with("smoke_test_model", "a\nb")), "smoke_test_model: holds a line break or another control character; use one line of text"},
	})
}
