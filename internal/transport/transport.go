// Package transport opens every connection of the program and holds the one
// rule of what may be tried again. It follows the proxy variables, trusts the
// system's roots and the certificate of the inputs, and never follows a
// redirect: a credential goes to the host it was meant for or nowhere.
package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
)

// Options say whom to trust and where to report.
type Options struct {
	CACertificates []byte // PEM, trusted in addition to the system's roots
	UserAgent      string // "oz-bitbucket/1.2.3"
	Log            *slog.Logger

	// Multiplexed is the host, as in a URL, of a server that should offer HTTP/2: requests
	// that are sent together dial it once. Empty means none.
	Multiplexed string

	// Once says that nothing is tried again: what is sent may as well be left out.
	Once bool

	// Environ holds the proxy variables among others, as os.Environ does. They
	// are HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or the same in lower case, and
	// ALL_PROXY for one of the first two that is not set. Of two entries for one
	// variable the later counts. No entry means no proxy.
	Environ []string
}

// Clients are the ways to send a request. They differ in what they try again. Reads and
// Writes share connections; Git has its own, a small number for each host. No client tries
// again when an answer asks to wait for more than 30 seconds. When a host asks one request
// to wait, all requests to that host wait as long as it says, at most 30 seconds, and then
// go one after another.
type Clients struct {
	// Reads sends requests that change nothing: tried again on connection
	// errors, 408, 429 and 5xx.
	Reads *Client
	// Writes sends requests that change something: tried again only when the
	// server cannot have acted, because no connection was made or it answered 429.
	Writes *Client
	// Git is Reads for git's addresses, with git's User-Agent. Close an answer of it before
	// you wait for another one: it has few connections.
	Git *Client
	// Beside sends what Reads does, over the connections of Git: to a server that has other
	// addresses than git's, for answers that are short.
	Beside *Client

	networks [2]*http.Transport
}

// Close ends idle connections at once, and busy ones after their request. The clients can
// still be used: they open new connections.
func (c Clients) Close() {
	for _, network := range c.networks {
		network.CloseIdleConnections()
	}
}

// gitAgent is the User-Agent for git's addresses. bitbucket.org and some proxies have
// served smart HTTP only to a client whose name begins with "git/". The version is the
// first with everything that a clone with a Bearer token needs.
//
// Source: https://github.com/mirage/ocaml-git/issues/66 and
// https://github.com/jelmer/dulwich/issues/562
const gitAgent = "git/2.46.0"

// New builds the clients. It opens no connection yet. It fails when CACertificates
// holds no certificate, and with the first of BadProxies.
func New(o Options) (Clients, error) {
	if err := check(o.CACertificates); err != nil {
		return Clients{}, err
	}
	if bad := BadProxies(o.Environ); len(bad) > 0 {
		return Clients{}, bad[0]
	}
	trusted := trust(o)
	return newClients(newNetwork(o, trusted), newNetwork(o, trusted), o), nil
}

// trust returns the authorities to trust, which are read once for all networks.
func trust(o Options) func() *x509.CertPool {
	return sync.OnceValue(func() *x509.CertPool { return pool(o.CACertificates) })
}

func newNetwork(o Options, trusted func() *x509.CertPool) *http.Transport {
	proxy := proxies(o.Environ).ProxyFunc()
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	settings := &tls.Config{MinVersion: tls.VersionTLS12, GetClientCertificate: withoutCertificate}
	settle := sync.OnceFunc(func() { settings.RootCAs = trusted() })
	return &http.Transport{
		Proxy:                  func(request *http.Request) (*url.URL, error) { return proxy(request.URL) },
		OnProxyConnectResponse: tunnelled,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			meanwhile := group.New()
			meanwhile.Go(func() error { settle(); return nil })
			conn, err := dialer.DialContext(ctx, network, address)
			_ = meanwhile.Wait() // the handshake, which comes next, needs the roots
			return conn, err
		},
		TLSClientConfig:        settings,
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    mostIdle,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: longestHeader,
	}
}

func newClients(network, ofGit *http.Transport, o Options) Clients {
	ofGit.MaxConnsPerHost, ofGit.DialContext = mostToGit, onlyDialling(ofGit.DialContext)
	hosts := new(sync.Map)
	over := func(next http.RoundTripper) *http.Client {
		return &http.Client{
			Timeout:       requestTimeout,
			Transport:     marking{demanding{staying{next}, hosts}},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	plain := over(&leading{next: network, host: o.Multiplexed, ready: make(chan struct{})})
	toGit := over(ofGit)
	asGit := o
	asGit.UserAgent = gitAgent + " (" + o.UserAgent + ")"
	one := new(gate)
	return Clients{
		Reads:  newClient(plain, one, o, mayReadAgain),
		Writes: newClient(plain, one, o, mayWriteAgain),
		Git:    newClient(toGit, one, asGit, mayReadAgain),
		Beside: newClient(toGit, one, o, mayReadAgain),

		networks: [2]*http.Transport{network, ofGit},
	}
}

func check(pem []byte) error {
	if len(pem) > 0 && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return errors.New("read CA certificates: no PEM certificate found")
	}
	return nil
}

// pool is the authorities to trust; nil means the system's roots. These are hundreds of
// files, which net/http would read during the first handshake: call pool earlier, so that
// the handshake does not wait for them.
func pool(pem []byte) *x509.CertPool {
	roots, err := x509.SystemCertPool()
	if len(pem) == 0 {
		return nil // the system's roots, which have been read now
	}
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(pem)
	return roots
}

// Client sends requests. It is safe for concurrent use.
type Client struct {
	retrying  *retryablehttp.Client
	userAgent string
	given     bool // the inputs hold a ca_certificate
}

func newClient(plain *http.Client, at *gate, o Options, again func(*http.Response, error) bool) *Client {
	retrying := retryablehttp.NewClient()
	retrying.HTTPClient = plain
	retrying.Logger = nil
	retrying.RetryMax = attempts - 1
	if o.Once {
		retrying.RetryMax = 0
	}
	retrying.RetryWaitMin, retrying.RetryWaitMax = firstWait, longestWait
	retrying.Backoff = wait
	retrying.ErrorHandler = retryablehttp.PassthroughErrorHandler
	retrying.RequestLogHook = func(_ retryablehttp.Logger, r *http.Request, further int) { // before each attempt, whose timeout does not run yet
		latest := time.Duration(further+1) * (longestAskWait + requestTimeout)
		at.wait(r.Context(), r.URL.Host, sendingOf(r.Context()).began.Add(latest))
	}
	retrying.CheckRetry = func(ctx context.Context, answer *http.Response, err error) (bool, error) {
		if err == nil {
			at.heed(answer)
			err = arrive(answer)
		}
		if asked, _ := RetryAfter(answer); asked > longestAskWait || ctx.Err() != nil || !again(answer, err) {
			return false, err
		}
		sendingOf(ctx).again = reason(answer, err)
		return true, err
	}
	retrying.PrepareRetry = func(r *http.Request) error {
		if o.Log != nil {
			o.Log.Info(fmt.Sprintf("trying again: %s %s: %s", r.Method, r.URL.Redacted(), sendingOf(r.Context()).again))
		}
		return nil
	}
	return &Client{retrying: retrying, userAgent: o.UserAgent, given: len(o.CACertificates) > 0}
}

// Do sends a request and returns the last answer, whatever its status, or the
// last error. Redirects are answers. The caller closes the body.
func (c *Client) Do(request *http.Request) (*http.Response, error) {
	request = request.WithContext(context.WithValue(request.Context(), sendingKey{}, &sending{began: time.Now()}))
	request.Header.Set("User-Agent", c.userAgent)
	again, err := retryablehttp.FromRequest(request)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", request.Method, request.URL.Redacted(), err)
	}
	answer, err := c.retrying.Do(again)
	if err != nil {
		if answer != nil {
			_ = answer.Body.Close()
		}
		return nil, fmt.Errorf("%s %s: %w", request.Method, request.URL.Redacted(), explain(cause(err), c.given))
	}
	return answer, nil
}

// cause removes what net/http puts around every error: the method and the
// URL, which Do writes itself.
func cause(err error) error {
	var told *url.Error
	if errors.As(err, &told) {
		return told.Err
	}
	return err
}

// sending is the state of one request across its attempts.
type sending struct {
	began time.Time
	again string // why it is tried again
}

type sendingKey struct{}

func sendingOf(ctx context.Context) *sending { return ctx.Value(sendingKey{}).(*sending) }

// arrive reads the beginning of an answer, so that an answer that breaks off there counts
// as a connection error. The rest of a longer answer stays a stream. A shorter answer is
// read to its end, so that its connection can be used again even when the caller does not
// read everything.
func arrive(answer *http.Response) error {
	var beginning bytes.Buffer
	if told := answer.ContentLength; told > 0 {
		beginning.Grow(int(min(told, whole)) + bytes.MinRead) // without MinRead, ReadFrom would double the buffer to find the end
	}
	if _, err := beginning.ReadFrom(io.LimitReader(answer.Body, whole)); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&beginning, answer.Body), answer.Body}
	return nil
}

// mayReadAgain is the rule for requests that change nothing.
func mayReadAgain(answer *http.Response, err error) bool {
	if err != nil {
		return !final(err)
	}
	switch answer.StatusCode {
	case http.StatusRequestTimeout:
		return true
	case http.StatusTooManyRequests:
		return answer.Header.Get(errorCode) != outOfCredits
	}
	return answer.StatusCode >= 500 && answer.StatusCode != http.StatusNotImplemented
}

// mayWriteAgain is the rule for requests that change something.
func mayWriteAgain(answer *http.Response, err error) bool {
	if err != nil {
		return NeverSent(err) && !final(err)
	}
	if answer.StatusCode != http.StatusTooManyRequests {
		return false
	}
	code := answer.Header.Get(errorCode)
	return code != outOfCredits && code != atCapacity
}

// What Oz sends with a 429 when waiting a few seconds does not help.
//
// Source: the HTTP client of Warp's open-source client.
const (
	errorCode    = "X-Warp-Error-Code"
	outOfCredits = "OUT_OF_CREDITS"
	atCapacity   = "AT_CLOUD_AGENT_CAPACITY"
)

// NeverSent reports whether a request failed before its first byte left: there
// was no connection, or the other end could not prove who it is.
func NeverSent(err error) bool {
	var unsent unsentError
	return errors.As(err, &unsent)
}

// marking marks errors without a connection as an unsentError.
type marking struct{ next http.RoundTripper }

func (m marking) RoundTrip(request *http.Request) (*http.Response, error) {
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	answer, err := m.next.RoundTrip(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	if err != nil && !connected.Load() {
		err = unsentError{err}
	}
	return answer, err
}

type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }

// final reports whether an error would be the same the next time.
func final(err error) bool {
	var refused *proxyError
	return distrusted(err) || errors.As(err, &demandError{}) || errors.As(err, &tls.RecordHeaderError{}) || errors.As(err, &switched{}) ||
		errors.As(err, &refused) && refused.code < 500 && refused.code != http.StatusRequestTimeout && refused.code != http.StatusTooManyRequests
}

func distrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}

// proxyError is a proxy's refusal of CONNECT. Repeating a 407 could lock an account.
type proxyError struct {
	host, status string
	code         int
}

func (e *proxyError) Error() string { return fmt.Sprintf("the proxy %s answers %s", e.host, e.status) }

// tunnelled checks a proxy's answer to CONNECT.
func tunnelled(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy.Host, answer.Status, answer.StatusCode}
}

func reason(answer *http.Response, err error) string {
	if err != nil {
		return cause(err).Error()
	}
	return answer.Status
}

// RetryAfter is how long an answer asks to wait: its header Retry-After, in
// seconds or until a date. It is not negative, and at most 292 years. Asked is false
// without an answer, and when the header cannot be read.
//
// Source: RFC 9110, section 10.2.3.
func RetryAfter(answer *http.Response) (wait time.Duration, asked bool) {
	if answer == nil {
		return 0, false
	}
	const longest = math.MaxInt64 / time.Second // a Duration holds no more
	text := answer.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(longest))) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return min(max(time.Until(at), 0), longest*time.Second), true
}

// wait is how long to wait before the next attempt: what the server asks for,
// else 0.5 s, 1 s, 2 s ... less up to a quarter, so that jobs that failed
// together do not come back together.
func wait(shortest, longest time.Duration, attempt int, answer *http.Response) time.Duration {
	if asked, ok := RetryAfter(answer); ok {
		return asked
	}
	backoff := retryablehttp.DefaultBackoff(shortest, longest, attempt, nil)
	return backoff - rand.N(backoff/4+1)
}
