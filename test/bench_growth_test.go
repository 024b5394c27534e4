package test

import (
	"cmp"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// untested is for every job here: an agent's time says nothing about the program.
var untested = map[string]string{"smoke_test": "false"}

// BenchmarkListed provisions one repository and replaces its secret where Oz lists 10, 100,
// 1,000 and 10,000 environments of others.
func BenchmarkListed(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		listed := func(w *world) { w.others(n) }
		used := func(w *world) { w.environments(1); listed(w) }
		b.Run("plan/"+strconv.Itoa(n), func(b *testing.B) {
			measureAt(b, roundTrip, func(w *world) { w.measured(w.inputs(untested), "plan") }, listed)
		})
		b.Run("apply/"+strconv.Itoa(n), func(b *testing.B) {
			measureAt(b, roundTrip, func(w *world) { w.measured(w.inputs(untested)) }, listed)
		})
		b.Run("rotate/"+strconv.Itoa(n), func(b *testing.B) {
			measureAt(b, roundTrip, func(w *world) { w.measured(w.rotation(untested)) }, used)
		})
	}
}

// others adds n environments of another tool.
func (w *world) others(n int) {
	for i := range n {
		w.oz.AddEnvironment(team, fmt.Sprintf(`{"name":"other-%05d","description":"Of another tool","docker_image":"ubuntu:24.04",`+
			`"github_repos":[{"owner":"acme","repo":"app-%05d"}],"setup_commands":["cd app-%05d && make deps","test -f README.md"]}`, i, i, i))
	}
}

// BenchmarkRotate replaces one secret that 1, 10 and 100 environments use, each with a
// repository of its own, and one that 100 environments of one repository use.
func BenchmarkRotate(b *testing.B) {
	rotate := func(w *world) { w.measured(w.rotation(untested)) }
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("%d-of-%d-repositories", n, n), func(b *testing.B) {
			measureAt(b, roundTrip, rotate, func(w *world) { w.environments(n) })
		})
	}
	b.Run("100-of-1-repository", func(b *testing.B) {
		measureAt(b, roundTrip, rotate, func(w *world) {
			w.environments(1)
			model := w.onlyEnvironment().Model
			for range 99 {
				w.oz.AddEnvironment(team, model)
			}
		})
	})
}

// BenchmarkRefs plans for a repository of 100,000 refs. With version 2 of git's protocol a
// server sends the requested refs only. Behind a proxy that drops the header it sends all.
func BenchmarkRefs(b *testing.B) {
	for _, version := range []string{"version=2", ""} {
		b.Run(cmp.Or(version, "version=0"), func(b *testing.B) {
			var address string
			var sent int64
			measureAt(b, roundTrip, func(w *world) {
				before := w.bitbucket.Sent()
				w.measured(w.inputs(map[string]string{"repo_url": address, "bitbucket_token": dcToken}), "plan")
				sent = w.bitbucket.Sent() - before
			}, func(w *world) {
				w.dc.Crowd(100_000)
				target, err := url.Parse(w.bitbucket.DataCenterOrigin())
				require.NoError(b, err)
				server := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
					r.SetURL(target)
					if version == "" {
						r.Out.Header.Del("Git-Protocol")
					}
				}})
				b.Cleanup(server.Close)
				address = strings.Replace(w.dc.CloneURL(), w.bitbucket.DataCenterOrigin(), server.URL, 1)
			})
			b.ReportMetric(float64(sent)/1e3, "kB/sent")
		})
	}
}

// BenchmarkFleet applies files of 1, 50, 500 and 5,000 entries, and plans them again in the
// same world, without proofs. It also does so for 500 with proofs.
func BenchmarkFleet(b *testing.B) {
	for _, n := range []int{1, 50, 500, 5000} {
		b.Run("apply+plan/"+strconv.Itoa(n), func(b *testing.B) { applied(b, n, unproved(n)) })
	}
	b.Run("apply+plan/500proved", func(b *testing.B) { applied(b, 500, entries(500)) })
}

// applied times the apply, and the plan after it as a metric of its own.
func applied(b *testing.B, n int, text string) {
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b, plain, warpsim.Options{Latency: roundTrip})
		w.copies(n)
		inputs := w.manifest(text, untested)
		b.StartTimer()
		w.measured(inputs)
		b.StopTimer()
		b.ReportMetric(float64(w.requested()), "requests")
		b.ReportMetric(float64(w.memory)/1e6, "MB/peak")
		w.oz.Journal.Reset()
		w.bitbucket.Journal.Reset()
		start := time.Now()
		w.measured(inputs, "plan")
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/plan")
		b.ReportMetric(float64(w.requested()), "requests/plan")
		b.ReportMetric(float64(w.memory)/1e6, "MB/plan")
		w.oz.Close()
		w.bitbucket.Close()
		b.StartTimer()
	}
}
