package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// entries is a manifest of n entries on Cloud, acme/r0000 and so on. Every tenth has a
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

// TestAFleetThatDidNotChange costs no more requests to Oz than the law allows, whatever the
// server takes in one document.
func TestAFleetThatDidNotChange(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 50, 500} {
		t.Run(fmt.Sprintf("%d entries", n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{MostFields: 20})
			w.copies(n)
			inputs := w.manifest(entries(n), map[string]string{"smoke_test": "false"})
			applied := w.must(inputs)
			w.oz.Journal.Reset()
			w.bitbucket.Journal.Reset()
			r := w.must(inputs, "plan")
			asked := len(w.oz.Journal.All())
			assert.LessOrEqual(t, asked, 10)
			t.Logf("%d requests to Oz, %d to Bitbucket, %d MB", asked, len(w.bitbucket.Journal.All()), w.memory>>20)
			assert.Equal(t, slices.Repeat([]string{"keep"}, n), changesOf(r.environments(t)))
			assert.Equal(t, column(applied.environments(t), func(e entry) string { return e.ID }), column(r.environments(t), func(e entry) string { return e.ID }))
			again := w.must(inputs)
			assert.Equal(t, "false", again.outputs["changed"])
			require.Len(t, w.oz.Environments(), n)
		})
	}
}
