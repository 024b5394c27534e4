package smoketest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// TestGitsWordsAboutACertificateAreRead: in Oz's message and in the agent's text. Each
// message is as a version of git prints it.
func TestGitsWordsAboutACertificateAreRead(t *testing.T) {
	t.Parallel()
	const (
		untrusted = "git in the image does not trust the server's certificate; " + smoketest.Trust
		outdated  = "git in the image says that the server's certificate is expired or not valid yet; renew the certificate, unless the clock of the agent's machine is wrong"
		otherHost = "git in the image says that the server's certificate is for another host; have it issued for this host"
		unread    = "git in the image cannot read the file of authorities that GIT_SSL_CAINFO or http.sslCAInfo names; put a PEM file there"
	)
	for words, want := range map[string]string{
		"SSL certificate problem: unable to get local issuer certificate":                                                         untrusted,
		"SSL certificate problem: self-signed certificate in certificate chain":                                                   untrusted,
		"SSL certificate problem: self signed certificate":                                                                        untrusted,
		"server certificate verification failed. CAfile: /etc/ssl/certs/ca-certificates.crt CRLfile: none":                        untrusted,
		"server verification failed: certificate signer not trusted. (CAfile: /etc/ssl/certs/ca-certificates.crt CRLfile: none)":  untrusted,
		"SSL certificate verification failed: certificate signer not trusted. (CAfile: none CRLfile: none)":                       untrusted,
		"schannel: CertGetCertificateChain trust error CERT_TRUST_IS_UNTRUSTED_ROOT":                                              untrusted,
		"schannel: SEC_E_UNTRUSTED_ROOT (0x80090325)":                                                                             untrusted,
		"SSL certificate problem: certificate has expired":                                                                        outdated,
		"SSL certificate problem: certificate is not yet valid":                                                                   outdated,
		"server certificate expiration date has passed.":                                                                          outdated,
		"schannel: next InitializeSecurityContext failed: SEC_E_CERT_EXPIRED (0x80090328)":                                        outdated,
		"SSL: no alternative certificate subject name matches target host name 'git.acme.test'":                                   otherHost,
		"SSL: certificate subject name (git.acme.test) does not match target hostname 'git.acme.test'":                            otherHost,
		"schannel: SNI or certificate check failed: SEC_E_WRONG_PRINCIPAL (0x80090322) - The target principal name is incorrect.": otherHost,
		"error setting certificate verify locations:  CAfile: /etc/acme.pem CApath: none":                                         unread,
		"error setting certificate file: /etc/acme.pem":                                                                           unread,
		"error reading ca cert file /etc/acme.pem (Error while reading file.)":                                                    unread,
		"error adding trust anchors from file: /etc/acme.pem":                                                                     unread,
		"Could not resolve host: git.acme.test":                                                                                   "",
		"Authentication failed for 'https://git.acme.test/scm/PRJ/app.git/'":                                                      "",
		"The certificate of the workshop is in docs/certificate.md":                                                               "",
		"SSL_ERROR_SYSCALL in connection to git.acme.test:443":                                                                    "",
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			git := "fatal: unable to access 'https://git.acme.test/scm/PRJ/app.git/': " + words
			tr := trial{Test: smoketest.Test{Commit: before}}
			tr.in(t, &oz{ends: []warp.Run{setupFailed("Failed to run setup command: " + cloneCommand + ". " + git)}})
			assert.Equal(t, smoketest.Failed, tr.verdict.Result)
			assert.Equal(t, want == "", tr.verdict.Suspect, "the token is not to blame for a certificate")
			assert.Equal(t, want == "", tr.verdict.Clone)
			if want != "" {
				assert.Equal(t, want, tr.verdict.Reason)
			}

			tr = trial{Test: smoketest.Test{Commit: before}}
			tr.in(t, &oz{reply: func(int) (string, error) { return "I could not fetch.\n\n" + git, nil }})
			assert.Equal(t, smoketest.Failed, tr.verdict.Result)
			assert.Equal(t, want == "", tr.verdict.Suspect)
			reason := "the agent did not report the commit " + before + "; the session shows what it found"
			if want != "" {
				reason += "; " + want
			}
			assert.Equal(t, reason, tr.verdict.Reason)
		})
	}
}

// TestWordsOfACommandAreNotGits: Oz names the command that failed, and the command may
// mention certificates. So may an agent that found the commit.
func TestWordsOfACommandAreNotGits(t *testing.T) {
	t.Parallel()
	const command = "cd app && ! grep 'SSL certificate problem' log"
	tr := trial{Test: smoketest.Test{Commit: before, Commands: []smoketest.Command{{Text: cloneCommand, Clone: true}, {Text: command}}}}
	tr.in(t, &oz{ends: []warp.Run{setupFailed("Failed to run setup command: " + command + ".")}})
	assert.Contains(t, tr.verdict.Reason, "a setup command failed")

	tr = trial{Test: smoketest.Test{Commit: before}}
	tr.in(t, &oz{reply: func(int) (string, error) { return "SSL certificate problem: none. " + before, nil }})
	assert.Equal(t, smoketest.Passed, tr.verdict.Result)
}
