package bitbucketsim

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
)

// Options says how a simulator starts. The zero value is the ordinary one.
type Options struct {
	// ProxyAddress and DataCenterAddress are the addresses to listen on; empty means a free port of 127.0.0.1.
	ProxyAddress, DataCenterAddress string
	// Latency delays every answer.
	Latency time.Duration
	// Log gets one line a request, without query and headers. Optional.
	Log io.Writer
}

// DataCenterPolicy is what an administrator of Data Center can set. The zero value is the default.
type DataCenterPolicy struct {
	// BasicRefused answers Basic credentials with 403; only Bearer works.
	//
	// Source: https://support.atlassian.com/bitbucket-data-center/kb/git-push-returns-error-code-403-in-bitbucket-server-data-center/
	BasicRefused bool
	// Version is what application-properties reports; empty means 9.4.2.
	Version string
	// TokensMayMint lets a token make, list and delete tokens; by the documentation no token may.
	TokensMayMint bool
	// ExpiryRequired refuses tokens that never expire, MaximumExpiryDays those that live longer.
	ExpiryRequired    bool
	MaximumExpiryDays int
	// MaximumTokens is how many tokens may exist; 0 is any number.
	MaximumTokens int
	// NoTokenREST makes this a version without REST for tokens.
	NoTokenREST bool
}

// Server is a running simulator. Its methods are safe for concurrent use.
type Server struct {
	// Script holds the faults to come. A fault that strikes After an operation lets it happen first.
	Script fault.Script
	// Journal holds every request as it arrived, with an absolute URL.
	Journal fault.Journal

	latency time.Duration
	sent    atomic.Int64
	log     *log.Logger
	root    string // holds the repositories and the CA certificate
	backend string // path of git http-backend
	ca      authority
	tunnel  *tunnel

	proxyAddress, dataCenterAddress string

	servers []*http.Server
	serving sync.WaitGroup // one for each accept loop and each request in progress

	mu           sync.Mutex
	closed       bool
	policy       DataCenterPolicy
	repositories map[string]*Repository
	tokens       map[string]Token
	failures     map[string]int // failed authentications by token value
	violations   []string
	users        map[string]person // by slug
	minted       []HTTPToken
	mintedValues []string
	deleted      []DeletedToken
	elapsed      time.Duration // how far Elapse has moved the clock
}

// Start starts a simulator without repositories and tokens. It writes a temporary directory and listens on
// loopback. It panics when git is not installed or an address is in use, as httptest does.
func Start(o Options) *Server {
	s, err := start(o)
	if err != nil {
		panic(fmt.Errorf("start Bitbucket simulator: %w", err))
	}
	return s
}

func start(o Options) (_ *Server, err error) {
	s := &Server{
		latency:      o.Latency,
		log:          log.New(io.Discard, "bitbucketsim: ", 0),
		tunnel:       newTunnel(),
		repositories: map[string]*Repository{},
		tokens:       map[string]Token{},
		failures:     map[string]int{},
		users:        map[string]person{},
	}
	if o.Log != nil {
		s.log.SetOutput(o.Log)
	}
	if s.backend, err = findBackend(); err != nil {
		return nil, err
	}
	if s.ca, err = newAuthority(cloudHost, cloudRESTHost, dataCenterHost, "127.0.0.1"); err != nil {
		return nil, err
	}
	if s.root, err = os.MkdirTemp("", "bitbucketsim-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := os.WriteFile(s.CACertificate(), s.ca.certificatePEM, 0o600); err != nil {
		return nil, err
	}

	proxy, err := listen(o.ProxyAddress)
	if err != nil {
		return nil, err
	}
	dataCenter, err := listen(o.DataCenterAddress)
	if err != nil {
		proxy.Close()
		return nil, err
	}
	s.proxyAddress, s.dataCenterAddress = proxy.Addr().String(), dataCenter.Addr().String()
	s.serve(proxy, &http.Server{Handler: http.HandlerFunc(s.serveProxy)})
	s.serve(dataCenter, &http.Server{Handler: http.HandlerFunc(s.serveLoopback)})
	s.serve(s.tunnel, &http.Server{Handler: http.HandlerFunc(s.serveNamedHost), TLSConfig: s.ca.serverConfig()})
	return s, nil
}

func listen(address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	return net.Listen("tcp", address)
}

// serve answers the listener's connections, under TLS when the server has certificates, until Close. It
// speaks HTTP/1.1 only: over HTTP/2, libcurl 7.88 now and then stalls in the middle of a chunked push.
func (s *Server) serve(l net.Listener, server *http.Server) {
	server.ErrorLog = s.log
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	s.servers = append(s.servers, server)
	s.serving.Go(func() {
		var err error
		if server.TLSConfig != nil {
			err = server.ServeTLS(l, "", "")
		} else {
			err = server.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.log.Printf("serve %s: %v", l.Addr(), err)
		}
	})
}

// Close cuts every connection, waits for the requests in progress and removes the files. Closing twice is
// allowed.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, server := range s.servers {
		server.Close()
	}
	s.serving.Wait()
	if err := os.RemoveAll(s.root); err != nil {
		s.log.Printf("remove %s: %v", s.root, err)
	}
	s.log.SetOutput(io.Discard) // a connection that ends late must not log
}

// enter reports whether a request may still start; the caller calls s.serving.Done after it.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.serving.Add(1)
	}
	return !s.closed
}

// Sent returns the bytes of all bodies so far, of Cloud and Data Center together.
func (s *Server) Sent() int64 { return s.sent.Load() }

// CloudProxyURL returns the HTTP proxy for HTTPS_PROXY, through which clients reach bitbucket.org,
// api.bitbucket.org and git.example.test. Every other use of it is answered 502 and is a violation.
func (s *Server) CloudProxyURL() string { return "http://" + s.proxyAddress }

// DataCenterURL returns the base URL of Data Center, with its context path.
func (s *Server) DataCenterURL() string {
	return "http://" + s.dataCenterAddress + dataCenterContext
}

// DataCenterOrigin returns the scheme and the host of the Data Center's base URL.
func (s *Server) DataCenterOrigin() string { return "http://" + s.dataCenterAddress }

// DataCenterTLSURL returns the base URL of the same Data Center behind the proxy and the test certificate.
func (s *Server) DataCenterTLSURL() string { return "https://" + dataCenterHost + dataCenterContext }

// CACertificate returns the path of a PEM file with the certificate authority of every https URL. Each Start
// makes a new one, and Close removes it.
func (s *Server) CACertificate() string { return filepath.Join(s.root, "ca.pem") }

// CACertificatePEM returns the text of that file.
func (s *Server) CACertificatePEM() string { return string(s.ca.certificatePEM) }

// Environ returns the NAME=value pairs with which git, curl and Go programs reach the simulator. They do not
// make a program trust its authority.
func (s *Server) Environ() []string {
	return []string{
		"HTTPS_PROXY=" + s.CloudProxyURL(), "https_proxy=" + s.CloudProxyURL(),
		"NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1",
	}
}

// TrustEnviron returns the NAME=value pairs with which git trusts [Server.CACertificate]. SSL_CERT_FILE is not
// among them: it would replace the system's roots in other programs too. Without the second pair git would also
// read the system's directory of roots, for four fifths of its time.
func (s *Server) TrustEnviron() []string {
	return []string{"GIT_SSL_CAINFO=" + s.CACertificate(), "GIT_SSL_CAPATH=/nonexistent"}
}

// SetPolicy replaces Data Center's policy, also for tokens and repositories that exist.
func (s *Server) SetPolicy(p DataCenterPolicy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy = p
}

func (s *Server) currentPolicy() DataCenterPolicy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.policy
}
