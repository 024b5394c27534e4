package bitbucketsim

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// The names that the proxy knows.
const (
	cloudHost      = "bitbucket.org"
	cloudRESTHost  = "api.bitbucket.org"
	dataCenterHost = "git.example.test"
)

// serveProxy opens a tunnel to a simulated host. It never connects to another machine.
func (s *Server) serveProxy(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.serving.Done()

	operation := ""
	if r.Method == http.MethodConnect {
		operation = Connect
	}
	s.record(r, operation, nil)
	s.inspect(r)
	s.log.Printf("%s %s", r.Method, r.Host)
	if credentialsOf(r).sent() {
		s.violate("%s %s: credentials were sent to the proxy", r.Method, r.Host)
	}
	host, port, _ := net.SplitHostPort(r.Host)
	if operation != Connect || port != "443" || !simulated(host) {
		s.violate("%s %s: the proxy reaches only the simulated hosts", r.Method, r.Host)
		writeText(w, http.StatusBadGateway, "the simulator never dials out\n")
		return
	}
	if f, struck := s.Script.Next(Connect); struck {
		f.Strike(w)
		return
	}

	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.log.Printf("tunnel to %s: %v", r.Host, err)
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		conn.Close()
		return
	}
	s.tunnel.deliver(tunnelled{conn, buffered.Reader})
}

func simulated(host string) bool {
	switch strings.ToLower(host) {
	case cloudHost, cloudRESTHost, dataCenterHost:
		return true
	}
	return false
}

// serveNamedHost answers the requests from a tunnel, by the host that they name.
func (s *Server) serveNamedHost(w http.ResponseWriter, r *http.Request) {
	host := strings.ToLower(strings.TrimSuffix(r.Host, ":443"))
	if r.TLS.ServerName != host {
		host = "" // another host's connection
	}
	switch host {
	case cloudHost:
		s.answer(w, r, s.routeCloud(r))
	case cloudRESTHost:
		s.answer(w, r, s.routeCloudREST(r))
	case dataCenterHost:
		s.answer(w, r, s.routeDataCenter(r))
	default:
		s.answer(w, r, route{serve: s.serveMisdirected})
	}
}

func (s *Server) serveMisdirected(w http.ResponseWriter, r *http.Request) {
	s.violate("%s %s: the connection belongs to %q", r.Method, r.Host, r.TLS.ServerName)
	writeText(w, http.StatusMisdirectedRequest, "misdirected request\n")
}

// tunnel is a listener whose connections are the ones that CONNECT requests hand over.
type tunnel struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newTunnel() *tunnel {
	return &tunnel{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// deliver passes a connection to Accept, or closes it when the listener is closed.
func (t *tunnel) deliver(conn net.Conn) {
	select {
	case t.conns <- conn:
	case <-t.closed:
		conn.Close()
	}
}

func (t *tunnel) Accept() (net.Conn, error) {
	select {
	case conn := <-t.conns:
		return conn, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

func (t *tunnel) Close() error {
	t.once.Do(func() { close(t.closed) })
	return nil
}

func (t *tunnel) Addr() net.Addr { return &net.UnixAddr{Name: "tunnel"} }

// tunnelled is a connection from which the proxy has already read; Read returns those bytes first.
type tunnelled struct {
	net.Conn
	reader *bufio.Reader
}

func (c tunnelled) Read(p []byte) (int, error) { return c.reader.Read(p) }
