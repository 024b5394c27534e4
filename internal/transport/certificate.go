package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// fixable is an error that the user can fix. Its text ends with what to do.
type fixable struct {
	error
	remedy string
}

func (m fixable) Error() string { return m.error.Error() + "; " + m.remedy }
func (m fixable) Unwrap() error { return m.error }

// Remedy says what to do. A caller that adds advice to errors leaves out its own when an
// error has this method.
func (m fixable) Remedy() string { return m.remedy }

// explain adds what to do to an error that a user can fix. Given says that the
// inputs hold a ca_certificate.
func explain(err error, given bool) error {
	if remedy := remedyOf(err, given); remedy != "" {
		return fixable{err, remedy}
	}
	return err
}

// remedyOf is what to do about an error of TLS. It is empty when Go's text is clear, and
// for all other errors. It names ca_certificate only where that can help.
func remedyOf(err error, given bool) string {
	if errors.As(err, &demandError{}) {
		return wantsCertificate + "; have it accept this job without one"
	}
	if errors.As(err, &closedError{}) {
		return wantsCertificate + "; that may be why it closed the connection"
	}
	if header, found := errors.AsType[tls.RecordHeaderError](err); found {
		if string(header.RecordHeader[:]) == "HTTP/" {
			return "the server there speaks plain HTTP; check the scheme and the port"
		}
		return "the server there does not speak TLS; check the port"
	}
	if host, found := errors.AsType[x509.HostnameError](err); found {
		return wrongHost(host)
	}
	if invalid, found := errors.AsType[x509.CertificateInvalidError](err); found {
		return invalidity(invalid)
	}
	if unknown, found := errors.AsType[x509.UnknownAuthorityError](err); found {
		return unknownAuthority(err, unknown, given)
	}
	if _, found := errors.AsType[x509.SystemRootsError](err); found {
		return noRoots
	}
	return ""
}

// noRoots is what to do on a machine without certificate authorities.
const noRoots = "this machine has no certificate authorities; install them (the package ca-certificates), or set ca_certificate"

func unknownAuthority(err error, unknown x509.UnknownAuthorityError, given bool) string {
	issuer := nameOf(unknown.Cert.Issuer)
	if given {
		return fmt.Sprintf("ca_certificate does not hold the authority that signed it; add the certificate of %s, which the server's chain names as its issuer", issuer)
	}
	if system, err := x509.SystemCertPool(); err != nil || system.Equal(x509.NewCertPool()) {
		return noRoots
	}
	remedy := fmt.Sprintf("its issuer is %s; set ca_certificate when the server or a proxy uses a private certificate authority", issuer)
	chain, found := errors.AsType[*tls.CertificateVerificationError](err)
	if found && len(chain.UnverifiedCertificates) == 1 && !bytes.Equal(unknown.Cert.RawIssuer, unknown.Cert.RawSubject) {
		remedy += ", or have the server send its intermediate certificates; it sends none"
	}
	return remedy
}

func wrongHost(e x509.HostnameError) string {
	names := len(e.Certificate.DNSNames) + len(e.Certificate.IPAddresses)
	if common := e.Certificate.Subject.CommonName; names == 0 && common != "" {
		return fmt.Sprintf("its only name is the common name (CN) %q, which clients ignore; have the certificate issued again with %q as a subject alternative name", shortened(common), e.Host)
	}
	return fmt.Sprintf("the certificate is for another host; check the address, or have the certificate issued for %q as well", e.Host)
}

func invalidity(e x509.CertificateInvalidError) string {
	subject := nameOf(e.Cert.Subject)
	switch {
	case e.Reason == x509.Expired && time.Now().Before(e.Cert.NotBefore):
		return fmt.Sprintf("the certificate of %s is not valid yet; the clock of this machine may be wrong", subject)
	case e.Reason == x509.Expired:
		return fmt.Sprintf("the certificate of %s has expired; have it renewed, unless the clock of this machine is wrong", subject)
	case e.Reason == x509.IncompatibleUsage:
		return fmt.Sprintf("the certificate of %s is not for servers; have it issued again with the extended key usage serverAuth", subject)
	}
	return ""
}

// nameOf is a name of a certificate, quoted.
func nameOf(name pkix.Name) string {
	if name.CommonName != "" {
		return fmt.Sprintf("%q", shortened(name.CommonName))
	}
	return fmt.Sprintf("%q", shortened(name.String()))
}

// shortened is a foreign name, at most 100 characters of it.
func shortened(name string) string {
	if runes := []rune(name); len(runes) > 100 {
		return string(runes[:100]) + " ..."
	}
	return name
}

// wantsCertificate says that a server requires a client certificate.
const wantsCertificate = "the server, or a proxy in front of it, asks for a client certificate, which is not supported"

// demandError marks a refusal by a server that requires a client certificate. The server
// did not process the request.
type demandError struct{ error }

func (d demandError) Unwrap() error { return d.error }

// closedError marks a connection that was closed without an alert, by a server that has
// asked for a client certificate and has never answered a request.
type closedError struct{ error }

func (c closedError) Unwrap() error { return c.error }

// host is what is known of a host: whether it has asked for a client certificate in a
// handshake, and whether it has answered a request. Many servers that ask for a
// certificate do not require one.
type host struct{ asked, answered atomic.Bool }

// hostKey is the context key under which a request carries its *host. The handshake that
// the request waits for has the same context.
type hostKey struct{}

// withoutCertificate sends no client certificate, and notes that the server asked for one.
// It is a GetClientCertificate of tls.Config.
func withoutCertificate(asking *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if known, ok := asking.Context().Value(hostKey{}).(*host); ok {
		known.asked.Store(true)
	}
	return new(tls.Certificate), nil
}

// noAlerts are the alerts with which servers refuse a handshake without a client
// certificate. TLS 1.3 has "certificate required"; for older versions each server chooses.
//
// Source: RFC 8446, section 6.2, and RFC 5246, section 7.4.6; the texts are those of
// crypto/tls, which exports no type for them.
var noAlerts = []string{
	"tls: certificate required", "tls: handshake failure", "tls: bad certificate", "tls: unknown certificate",
	"tls: unknown certificate authority", "tls: unsupported certificate", "tls: access denied", "tls: alert(41)",
}

// isNo reports whether err is one of noAlerts. Under TLS 1.3 the alert arrives in place of
// the answer.
func isNo(err error) bool {
	alert, found := errors.AsType[*net.OpError](err)
	return found && alert.Op == "remote error" && slices.Contains(noAlerts, alert.Err.Error())
}

// missed reports whether an answer says that a client certificate is missing. nginx
// says so in HTTP, on a connection on which it asked for one.
//
// Source: https://nginx.org/en/docs/http/ngx_http_ssl_module.html (error 496), and
// ngx_http_special_response.c for the words.
func missed(answer *http.Response) bool {
	if answer.StatusCode != http.StatusBadRequest {
		return false
	}
	body := bufio.NewReader(answer.Body)
	beginning, _ := body.Peek(1 << 10)
	answer.Body = struct {
		io.Reader
		io.Closer
	}{body, answer.Body}
	return bytes.Contains(beginning, []byte("No required SSL certificate was sent"))
}

// isTimeout reports whether err is a timeout.
func isTimeout(err error) bool {
	network, found := errors.AsType[net.Error](err)
	return found && network.Timeout()
}

// demanding recognises requests that failed because they had no client certificate.
// Servers that require one send an alert and close the connection. Over HTTP/2 the close
// can arrive before the alert; such a request may be tried again.
type demanding struct {
	next  http.RoundTripper
	hosts *sync.Map // *host by name and port
}

func (d demanding) RoundTrip(request *http.Request) (*http.Response, error) {
	found, _ := d.hosts.LoadOrStore(request.URL.Host, new(host))
	known := found.(*host)
	answer, err := d.next.RoundTrip(request.WithContext(context.WithValue(request.Context(), hostKey{}, known)))
	switch asked := known.asked.Load(); {
	case asked && err != nil && isNo(err):
		return nil, unsentError{demandError{err}}
	case asked && err == nil && missed(answer):
		_ = answer.Body.Close()
		return nil, unsentError{demandError{errors.New(answer.Status)}}
	case asked && err != nil && !known.answered.Load() && request.Context().Err() == nil && !isTimeout(err):
		return nil, closedError{err}
	case err == nil:
		known.answered.Store(true)
	}
	return answer, err
}
