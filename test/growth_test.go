package test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
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
