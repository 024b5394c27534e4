package test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// entries returns a manifest of n entries on Cloud, acme/r0000 and so on. Every tenth has a
// secret of its own.
func entries(n int) string {
	var text strings.Builder
	text.WriteString("defaults:\n  docker_image: ubuntu:24.04\nenvironments:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - repo_url: https://bitbucket.org/acme/r%04d.git\n    setup_commands: [test -f README.md]\n", i)
		if i%10 == 9 {
			fmt.Fprintf(&text, "    secret_name: TOKEN_%04d\n", i)
		}
	}
	return text.String()
}

// copies makes the repositories of entries.
func (w *world) copies(n int) {
	slugs := make([]string, n)
	for i := range slugs {
		slugs[i] = fmt.Sprintf("r%04d", i)
	}
	w.cloud.AddCopies(slugs...)
}

// unproved returns a manifest of n entries whose repositories are not checked.
func unproved(n int) string {
	return strings.Replace(entries(n), "defaults:\n", "defaults:\n  verify_token: false\n", 1)
}

// requests counts the requests to Oz since the last reset, by operation.
func (w *world) requests() map[string]int {
	counts := map[string]int{}
	for _, request := range w.oz.Journal.All() {
		counts[request.Operation]++
	}
	return counts
}

// TestAFleetThatDidNotChange: the job sends Oz no more requests than the specification allows,
// and proves each repository once.
func TestAFleetThatDidNotChange(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 50, 500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{MostFields: 20})
			w.copies(n)
			inputs := w.manifest(entries(n), map[string]string{"smoke_test": "false"})
			w.must(w.manifest(unproved(n), map[string]string{"smoke_test": "false"}))
			w.oz.Journal.Reset()
			w.bitbucket.Journal.Reset()
			r := w.must(inputs, "plan")
			assert.LessOrEqual(t, len(w.oz.Journal.All()), 10)
			assert.Equal(t, slices.Repeat([]string{"keep"}, n), changesOf(r.environments(t)))
			asked := map[string]int{} // for refs, with the token
			for _, request := range w.bitbucket.Journal.All() {
				if request.Operation == bitbucketsim.UploadPackRefs && request.Header.Get("Authorization") != "" {
					asked[request.URL]++
				}
			}
			assert.Len(t, asked, n)
			for path, times := range asked {
				assert.Equal(t, 1, times, path)
			}
		})
	}
}

// TestAFleetOnDataCenter is proved from the server's own lists.
func TestAFleetOnDataCenter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	var text strings.Builder
	var slugs []string
	text.WriteString("environments:\n")
	for i := range 200 {
		slugs = append(slugs, fmt.Sprintf("r%04d", i))
		fmt.Fprintf(&text, "  - repo_url: %s/scm/PRJ/%s.git\n", w.bitbucket.DataCenterURL(), slugs[i])
		if i%2 == 0 {
			fmt.Fprintf(&text, "    secret_name: TOKEN_%d\n", i)
		}
	}
	w.dc.AddCopies(slugs...)
	knowing := "BBDC-" + base64.StdEncoding.EncodeToString([]byte("075905477751:MARKER-of-20-bytes-x")) // its own ID
	w.bitbucket.AddToken(bitbucketsim.Token{Value: knowing, Kind: bitbucketsim.HTTPAccessToken})
	count := func(operations ...string) (n int) {
		for _, request := range w.bitbucket.Journal.All() {
			if slices.Contains(operations, request.Operation) {
				n++
			}
		}
		return n
	}
	r := w.must(w.manifest(text.String(), map[string]string{"smoke_test": "false", "bitbucket_token": knowing}))
	assert.Equal(t, slices.Repeat([]string{"create"}, 200), changesOf(r.environments(t)))
	assert.Less(t, count(bitbucketsim.UploadPackRefs, bitbucketsim.ReceivePackRefs), 6, "for the first repository only")
	assert.Equal(t, 1, count(bitbucketsim.PermittedRepositories))
	assert.Positive(t, count(bitbucketsim.GetAccessToken, bitbucketsim.FindUsers), "when the token ends")
	assert.LessOrEqual(t, count(bitbucketsim.GetAccessToken, bitbucketsim.FindUsers), 4)

	w.oz.Journal.Reset()
	w.must(w.manifest(text.String(), map[string]string{"bitbucket_token": knowing}), "plan")
	assert.LessOrEqual(t, len(w.oz.Journal.All()), 10)
	fmt.Fprintf(&text, "  - repo_url: %s/scm/PRJ/missing.git\n", w.bitbucket.DataCenterURL())
	r = w.run(w.manifest(text.String(), map[string]string{"smoke_test": "false", "bitbucket_token": knowing}))
	assert.Equal(t, 1, r.code, r.log)
	list := r.environments(t)
	require.Len(t, list, 201)
	assert.Equal(t, slices.Repeat([]string{"keep"}, 200), changesOf(list[:200]))
	assert.Contains(t, list[200].Error, "missing.git")
}

// TestFiveHundredEntries: a job is killed, it is told to stop, answers are lost, and Oz asks it
// to wait. Nothing is made twice or missing, and what belongs to others does not change.
func TestFiveHundredEntries(t *testing.T) {
	t.Parallel()
	const n = 500
	w := newWorld(t, plain, warpsim.Options{MostFields: 20})
	w.oz.AddEnvironment(team, `{ "name": "foreign", "future": [1, {"b":2}],  "setup_commands": ["make"]}`)
	w.oz.AddSecret(team, "FOREIGN", "value of others")
	foreign := w.oz.Environments()
	inputs := w.manifest(unproved(n), map[string]string{"smoke_test": "false", "concurrency": "16"})
	requireForeign := func() {
		t.Helper()
		assert.Equal(t, foreign[0], w.oz.Environments()[0])
		assert.Equal(t, "value of others", w.valueOf("FOREIGN"))
	}

	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		if r, ended := w.stoppedAt(inputs, 120, signal); ended {
			assert.Equal(t, 128+int(signal), r.code, r.log)
			list := r.environments(t)
			assert.Len(t, list, n)
			for _, e := range list {
				assert.True(t, e.Change == "" || e.ID != "", "%+v", e)
				assert.Empty(t, e.Error, "it was not reached, or it is written")
			}
			assert.NotContains(t, r.log, "failed")
			assert.Contains(t, r.log, "environments without a change in the outputs were not reached")
		}
		requireForeign()
	}

	w.oz.Script.Add(fault.Fault{Operation: "CreateGenericStringObject", When: fault.Meanwhile, Skip: 20})
	w.oz.Script.Add(fault.Fault{Operation: "CreateGenericStringObject", When: fault.Before, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}, Times: 2})
	w.oz.Script.Add(fault.Fault{Operation: "CreateGenericStringObject", When: fault.After, Status: http.StatusBadGateway, Times: 3})
	w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", When: fault.After, Times: 2})
	r := w.must(inputs)
	assert.NotContains(t, changesOf(r.environments(t)), "")
	w.requireNoTwins(n + 1)
	requireForeign()

	w.oz.Journal.Reset()
	assert.Equal(t, slices.Repeat([]string{"keep"}, n), changesOf(w.must(inputs, "plan").environments(t)))
	assert.LessOrEqual(t, len(w.oz.Journal.All()), 10)

	before := w.oz.Environments()
	drifted := map[int]bool{7: true, 250: true, 499: true}
	for at := range drifted {
		w.oz.Edit(before[at+1].UID, strings.Replace(before[at+1].Model, "ubuntu:24.04", "ubuntu:20.04", 1))
	}
	w.oz.Journal.Reset()
	w.must(inputs)
	updated := 0
	for i, e := range w.oz.Environments() {
		require.Equal(t, before[i].Model, e.Model)
		if e.RevisionTs != before[i].RevisionTs {
			updated++
		}
	}
	assert.Equal(t, len(drifted), updated)
	assert.Equal(t, len(drifted), w.requests()["UpdateGenericStringObject"])
	assert.Equal(t, 1, w.requests()["GetCloudObjects"], "only environments that differ are read")
	assert.Zero(t, w.requests()["GetCloudObject"])
	requireForeign()

	first, second := w.start(inputs), w.start(inputs)
	for _, j := range []*job{first, second} {
		r := j.wait()
		assert.Equal(t, 0, r.code, r.log)
		assert.Equal(t, "false", r.outputs["changed"])
	}
	w.requireNoTwins(n + 1)
	requireForeign()
	w.requireClean()
}
