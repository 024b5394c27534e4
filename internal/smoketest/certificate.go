package smoketest

import (
	"slices"
	"strings"
)

// Trust says how to make git in an image trust a certificate authority.
//
// Source: https://git-scm.com/docs/git-config#Documentation/git-config.txt-httpsslCAInfo
const Trust = "add the authority to the system's roots in docker_image (update-ca-certificates), or set GIT_SSL_CAINFO in docker_image to a PEM file that holds it"

// refusedCertificates are git's messages about a server's certificate, in lower case,
// and their meaning. The first match counts.
//
// Source: openssl.c, gtls.c, schannel.c and schannel_verify.c in lib/vtls of curl, and
// crypto/x509/x509_txt.c of OpenSSL. Their wording has changed over the years.
var refusedCertificates = []struct {
	words   []string
	meaning string
}{
	{
		[]string{"error setting certificate", "error adding trust anchors", "error reading ca cert file"},
		"git in the image cannot read the file of authorities that GIT_SSL_CAINFO or http.sslCAInfo names; put a PEM file there",
	},
	{
		[]string{"certificate has expired", "certificate is not yet valid", "certificate expiration date has passed", "certificate not activated yet", "sec_e_cert_expired", "not_time_valid"},
		"git in the image says that the server's certificate is expired or not valid yet; renew the certificate, unless the clock of the agent's machine is wrong",
	},
	{
		[]string{"certificate subject name", "sec_e_wrong_principal", "failed to match connection hostname"},
		"git in the image says that the server's certificate is for another host; have it issued for this host",
	},
	{
		[]string{
			"ssl certificate problem", "certificate verification failed", "server verification failed", "unable to get local issuer certificate",
			"self-signed certificate", "self signed certificate", "untrusted_root",
		},
		"git in the image does not trust the server's certificate; " + Trust,
	},
}

// ofCertificate says why git refused a server's certificate, when text from Oz or an
// agent holds git's message. Otherwise it is empty.
func ofCertificate(text string) string {
	text = strings.ToLower(text)
	for _, refused := range refusedCertificates {
		if slices.ContainsFunc(refused.words, func(words string) bool { return strings.Contains(text, words) }) {
			return refused.meaning
		}
	}
	return ""
}
