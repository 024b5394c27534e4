package config

import (
	"bytes"
	"crypto/x509"
	"net"
	"net/url"
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
	c.CACertificate = []byte(in.CACertificate)
	if !strings.Contains(in.CACertificate, "-----BEGIN") {
		content, err := p.readFile(in.CACertificate)
		if err != nil {
			p.add("ca_certificate", "give one of the two", "is neither PEM text nor a file that the job can read")
			return
		}
		text, ok := p.decoded("ca_certificate", content)
		if c.CACertificate = []byte(text); !ok {
			return
		}
	}
	if !x509.NewCertPool().AppendCertsFromPEM(bytes.Clone(c.CACertificate)) {
		p.add("ca_certificate", "give the certificate of the authority, from BEGIN CERTIFICATE to END CERTIFICATE", "holds no PEM certificate")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
