package test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// TestAFleetWaitsTogether: when a server asks one of many workers to wait, all of them wait,
// and one run of the job is enough.
func TestAFleetWaitsTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	const operation = "CreateGenericStringObject"
	w.oz.Script.Add(fault.Fault{Operation: operation, Status: 429, Header: http.Header{"Retry-After": {"3"}}, Skip: 2})
	w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.UploadPackRefs, Status: 429, Header: http.Header{"Retry-After": {"1"}}, Skip: 2})
	inputs := w.manifest(w.many(12), map[string]string{"smoke_test": "false", "concurrency": "4"})

	w.must(inputs)

	w.requireNoTwins(12)
	var creations []time.Time
	for _, request := range w.oz.Journal.All() {
		if request.Operation == operation {
			creations = append(creations, request.At)
		}
	}
	require.Len(t, creations, 13, "one is sent twice")
	refused := creations[2]
	for _, request := range w.oz.Journal.All() {
		after := request.At.Sub(refused) // requests that were under way arrive within the first half
		assert.False(t, after > 1500*time.Millisecond && after < 2900*time.Millisecond, "%s %s after the refusal", request.Operation, after)
	}
	assert.Equal(t, "false", w.must(inputs).outputs["changed"])
	w.requireClean()
}
