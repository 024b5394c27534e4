package test

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// roundTrip is the delay of an answer where a benchmark says "at 100 ms".
const roundTrip = 100 * time.Millisecond

// bench is a world with the inputs of one column of the table.
type bench struct {
	*world
	far      *far // nil over plain HTTP
	provided map[string]string
	rotated  map[string]string
	narrowed map[string]string // the same with repo_url
}

// kind is a column of the table: a Bitbucket and a kind of token.
type kind struct {
	name       string
	dataCenter bool
	tells      bool // the token holds its ID
}

var kinds = []kind{
	{name: "Cloud"},
	{name: "DataCenter", dataCenter: true},
	{name: "DataCenterID", dataCenter: true, tells: true},
}

// transport is how the program reaches both servers.
type transport struct {
	name       string
	tls, http2 bool // HTTP/2 is for Oz: the simulator of Bitbucket has none
}

var transports = []transport{{name: "HTTP"}, {name: "TLS1", tls: true}, {name: "TLS2", tls: true, http2: true}}

// jobs are the rows of the table.
var jobs = []struct {
	name     string
	prepared bool // by an apply
	run      func(bench)
}{
	{"Plan", false, func(b bench) { b.must(b.provided, "plan") }},
	{"FirstApply", false, func(b bench) { b.must(b.provided) }},
	{"SecondApply", true, func(b bench) { b.must(b.provided) }},
	{"Rotate", true, func(b bench) { b.must(b.rotated) }},
	{"RotateRepository", true, func(b bench) { b.must(b.narrowed) }},
}

// BenchmarkRoundTrips prints how many round trips each job makes one after another: (time at
// 100 ms - time at 0 ms) / 100 ms, of the shortest times. Over plain HTTP each request costs a
// round trip and a connection costs nothing. Over TLS a connection costs two before its first
// request, one to connect and one for the handshake.
func BenchmarkRoundTrips(b *testing.B) {
	cells := map[string]string{}
	for _, job := range jobs {
		for _, t := range transports {
			for _, c := range kinds {
				name := job.name + "/" + t.name + "/" + c.name
				b.Run(name, func(b *testing.B) { cells[name] = trips(b, t, c, job.prepared, job.run) })
			}
		}
	}
	fmt.Println("\n| job | over | Cloud | Data Center | Data Center, the token holds its ID |\n|---|---|---|---|---|")
	for _, job := range jobs {
		for _, t := range transports {
			fmt.Printf("| %s | %s |", job.name, t.name)
			for _, c := range kinds {
				fmt.Printf(" %s |", cells[job.name+"/"+t.name+"/"+c.name])
			}
			fmt.Println()
		}
	}
}

// trips measures one cell of the table and returns its text.
func trips(b *testing.B, t transport, c kind, prepared bool, job func(bench)) string {
	shortest := map[time.Duration]time.Duration{}
	var requests, connections, handshakes int64
	for b.Loop() {
		for _, latency := range []time.Duration{0, roundTrip} {
			b.StopTimer()
			at := newBench(b, t, c, latency)
			if prepared {
				at.must(at.provided)
			}
			at.begin(latency)
			if latency > 0 {
				b.StartTimer()
			}
			start := time.Now()
			job(at)
			took := time.Since(start)
			b.StopTimer()
			if known, found := shortest[latency]; !found || took < known {
				shortest[latency] = took
			}
			requests = at.requested()
			if at.far != nil {
				require.Equal(b, t.http2, at.far.http2.Load() > 0, "HTTP/2")
				connections, handshakes = at.far.connections.Load(), at.far.handshakes.Load()
			}
			at.close()
		}
		b.StartTimer()
	}
	n := float64(shortest[roundTrip]-shortest[0]) / float64(roundTrip)
	b.ReportMetric(n, "roundtrips")
	b.ReportMetric(float64(shortest[0].Microseconds())/1e3, "ms/at-0ms")
	b.ReportMetric(float64(shortest[roundTrip].Microseconds())/1e3, "ms/at-100ms")
	b.ReportMetric(float64(requests), "requests")
	text := fmt.Sprintf("%.1f; %d requests", n, requests)
	if t.tls {
		b.ReportMetric(float64(connections), "connections")
		b.ReportMetric(float64(handshakes), "handshakes")
		text += fmt.Sprintf(", %d connections, %d handshakes", connections, handshakes)
	}
	return text
}

// newBench starts a world. Under TLS there is no delay until begin.
func newBench(b testing.TB, t transport, c kind, latency time.Duration) bench {
	if t.tls {
		latency = 0
	}
	w := newWorld(b, plain, warpsim.Options{Latency: latency})
	at := bench{world: w}
	changes := map[string]string{"smoke_test": "false"}
	next, origin := nextToken, ""
	if c.dataCenter {
		changes["repo_url"], changes["bitbucket_token"] = w.dc.CloneURL(), dcToken
		next, origin = dcToken+"=", w.bitbucket.DataCenterOrigin()
		if t.tls {
			changes["repo_url"], origin = w.dc.TLSCloneURL(), strings.TrimSuffix(w.bitbucket.DataCenterTLSURL(), "/bitbucket")
		}
		w.bitbucket.AddToken(bitbucketsim.Token{Value: next, Kind: bitbucketsim.HTTPAccessToken})
	}
	if c.tells {
		w.bitbucket.AddUser("jane", password)
		changes["bitbucket_token"] = w.bitbucket.AddAccessToken("users/jane", "first", "REPO_READ", 90).Value
		next = w.bitbucket.AddAccessToken("users/jane", "next", "REPO_READ", 90).Value
	}
	if t.tls {
		at.far = newFar(b, w, t.http2)
		changes["warp_server_url"] = "https://" + farOz
		changes["ca_certificate"] = at.far.certificate + w.bitbucket.CACertificatePEM()
		w.environ = []string{"HTTPS_PROXY=" + at.far.url}
	}
	at.provided = w.inputs(changes)
	at.rotated = w.rotation(changes)
	at.rotated["bitbucket_token"] = next
	at.narrowed = maps.Clone(at.rotated)
	at.narrowed["repo_url"] = at.provided["repo_url"]
	delete(at.rotated, "repo_url")
	if c.dataCenter {
		at.rotated["flavor"], at.rotated["trusted_hosts"] = "datacenter", origin
	}
	return at
}

// begin resets the counts and starts the delay.
func (b bench) begin(latency time.Duration) {
	b.oz.Journal.Reset()
	b.bitbucket.Journal.Reset()
	if b.far != nil {
		b.far.connections.Store(0)
		b.far.handshakes.Store(0)
		b.far.oneWay.Store(int64(latency / 2))
	}
}

func (b bench) close() {
	if b.far != nil {
		b.far.close()
	}
	b.oz.Close()
	b.bitbucket.Close()
}

// requested counts the requests to both servers. A CONNECT goes to a proxy and does not count.
func (w *world) requested() int64 {
	return int64(len(w.toBitbucket()) + len(w.oz.Journal.All()))
}

// farOz is Oz's address behind TLS: a name of httptest's certificate.
const farOz = "example.com"

// far is a proxy to a distant Oz and a distant Bitbucket. It does not end TLS. Its answer to
// CONNECT takes as long as TCP would take to connect.
type far struct {
	url, certificate        string // of Oz
	oneWay                  atomic.Int64
	connections, handshakes atomic.Int64 // that were begun
	http2                   atomic.Int64 // requests to Oz
	close                   func()
}

func newFar(b testing.TB, w *world, http2 bool) *far {
	target, err := url.Parse(w.oz.URL())
	require.NoError(b, err)
	f := &far{}
	pass := httputil.NewSingleHostReverseProxy(target)
	oz := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			f.http2.Add(1)
		}
		pass.ServeHTTP(w, r)
	}))
	oz.EnableHTTP2 = http2
	oz.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that were not needed
	oz.StartTLS()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	f.url = "http://" + listener.Addr().String()
	f.certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: oz.Certificate().Raw}))
	f.close = func() { _ = listener.Close(); oz.Close() }
	b.Cleanup(f.close)
	bitbucket := strings.TrimPrefix(w.bitbucket.CloudProxyURL(), "http://")
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go f.connect(near, oz.Listener.Addr().String(), bitbucket)
		}
	}()
	return f
}

// connect serves one connection.
func (f *far) connect(near net.Conn, oz, bitbucket string) {
	defer near.Close()
	f.connections.Add(1)
	from := bufio.NewReader(near)
	request, err := http.ReadRequest(from)
	if err != nil {
		return
	}
	address := bitbucket
	if request.Host == farOz+":443" {
		address = oz
	}
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	oneWay := time.Duration(f.oneWay.Load())
	time.Sleep(2 * oneWay)
	if address == oz {
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
	} else {
		_ = request.Write(server) // the simulator's own proxy answers at once
		answer := make([]byte, 1024)
		n, err := server.Read(answer)
		if err != nil {
			return
		}
		_, _ = near.Write(answer[:n])
	}
	const handshake = 22 // the type of the record
	if first, err := from.Peek(1); err == nil && first[0] == handshake {
		f.handshakes.Add(1)
	}
	go func() {
		delayed(near, server, oneWay)
		_ = near.(*net.TCPConn).CloseWrite()
	}()
	delayed(server, from, oneWay)
}

// delayed copies a stream, each piece later by the delay of one way.
func delayed(to io.Writer, from io.Reader, oneWay time.Duration) {
	type piece struct {
		due   time.Time
		bytes []byte
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			bytes := make([]byte, 32<<10)
			n, err := from.Read(bytes)
			if n > 0 {
				pieces <- piece{time.Now().Add(oneWay), bytes[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		_, _ = to.Write(p.bytes) // the other side may have closed
	}
}
