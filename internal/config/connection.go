package config

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/url"
	"regexp"
	"strings"
)

func (p *parser) connection() {
	c, in := &p.config, p.in
	server, err := url.Parse(in.WarpServerURL)
	switch {
	case err != nil || server.Hostname() == "" || server.User != nil || server.RawQuery != "" || server.ForceQuery || server.Fragment != "":
		p.add("warp_server_url", "give it as https://host", "is not the root of a server")
	case server.Scheme != "https" && !(server.Scheme == "http" && loopback(server.Hostname())):
		p.add("warp_server_url", "use https://", "would send the API key in clear text")
	}
	c.WarpServerURL = server
	if in.CACertificate == "" {
		return
	}
	text := in.CACertificate
	if !holdsPEM(text) {
		content, err := p.readFile(text)
		if err != nil {
			p.add("ca_certificate", "give one of the two", "is neither PEM text nor a file that the job can read")
			return
		}
		var ok bool
		if text, ok = p.decoded("ca_certificate", content); !ok {
			return
		}
	}
	c.CACertificate = certificates(text)
	if !x509.NewCertPool().AppendCertsFromPEM(c.CACertificate) {
		p.add("ca_certificate", "give the certificate of the authority, from BEGIN CERTIFICATE to END CERTIFICATE", "holds no PEM certificate")
	}
}

// certificates returns the certificates in text as PEM. CI variables often hold PEM in
// Base64, without line breaks, or with a literal \n for each.
func certificates(text string) []byte {
	var list bytes.Buffer
	for _, found := range certificate.FindAllString(plainPEM(text), -1) {
		body := strings.TrimSuffix(strings.TrimPrefix(found, "-----BEGIN CERTIFICATE-----"), "-----END CERTIFICATE-----")
		if der, err := base64.StdEncoding.DecodeString(joined(body)); err == nil {
			list.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		}
	}
	return list.Bytes()
}

// joined is Base64 text without line breaks, real or literal.
func joined(text string) string { return lineBreak.ReplaceAllString(text, "") }

var lineBreak = regexp.MustCompile(`\\+[rn]|\s`)

func holdsPEM(text string) bool { return strings.Contains(plainPEM(text), "-----BEGIN") }

// plainPEM is text, decoded when it is PEM in Base64.
func plainPEM(text string) string {
	decoded, err := base64.StdEncoding.DecodeString(joined(text))
	if err == nil && bytes.Contains(decoded, []byte("-----BEGIN")) {
		return string(decoded)
	}
	return text
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
