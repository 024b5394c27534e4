package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// publicRoots is where Debian and Alpine, and so the image, keep the authorities that a machine trusts.
const publicRoots = "/etc/ssl/certs/ca-certificates.crt"

// BenchmarkCPU plans at no latency, over plain HTTP and over TLS, where 10, 100 and 1,000
// environments are listed. The authority of the servers comes from ca_certificate, or is one
// more of the machine's, of which there are as many as in the image. The time is that of all
// processors together, in the program and in the kernel for it.
func BenchmarkCPU(b *testing.B) {
	public, err := os.ReadFile(publicRoots)
	if err != nil {
		fmt.Printf("%s is skipped: %v\n", b.Name(), err) // Skip is silent without -v
		b.SkipNow()
	}
	for _, over := range transports {
		for _, given := range []bool{true, false} {
			for _, n := range []int{10, 100, 1000} {
				name := over.name + map[bool]string{true: "/given/", false: "/system/"}[given] + strconv.Itoa(n)
				b.Run(name, func(b *testing.B) { processors(b, over, given, public, n) })
			}
		}
	}
}

func processors(b *testing.B, over transport, given bool, public []byte, n int) {
	at := newBench(b, over, kinds[1], 0) // which alone has no TLS over plain HTTP
	at.others(n)
	at.begin(0)
	authorities := public
	if !given {
		authorities = slices.Concat(public, []byte("\n"+at.provided["ca_certificate"]))
		delete(at.provided, "ca_certificate")
	}
	roots := filepath.Join(b.TempDir(), "roots.pem")
	require.NoError(b, os.WriteFile(roots, authorities, 0o600))
	at.environ = append(at.environ, "SSL_CERT_FILE="+roots)
	var spent []time.Duration
	var memory int64
	for b.Loop() {
		for range 20 { // one has the neighbours' noise in it
			at.measured(at.provided, "plan")
			spent = append(spent, at.processors)
			memory = max(memory, at.memory)
		}
	}
	slices.Sort(spent)
	b.ReportMetric(float64(spent[0].Microseconds())/1e3, "ms/least")
	b.ReportMetric(float64(spent[len(spent)/2].Microseconds())/1e3, "ms/median")
	b.ReportMetric(float64(memory)/1e6, "MB/peak")
	b.ReportMetric(0, "ns/op") // of twenty: says nothing
}
