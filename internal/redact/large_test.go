//go:build !race

package redact_test

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

func TestEverySpellingOfEveryPieceIsReplaced(t *testing.T) {
	t.Parallel()
	for _, s := range spellings {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, secret := range secrets {
				r := redact.New(sensitive.New("another secret of the job"), sensitive.New(secret))
				for _, piece := range pieces(secret) {
					if s.split && mostlyBetween(piece) {
						continue
					}
					text := "<" + s.write(piece) + ">"
					require.Contains(t, r.Redact(text), redact.Marker, "%q of %q", text, secret)
				}
				whole := r.Redact("<" + s.write(secret) + ">")
				assert.Equal(t, byte('<'), whole[0])
				assert.Equal(t, byte('>'), whole[len(whole)-1])
				assert.LessOrEqual(t, strings.Count(whole, redact.Marker), 1, whole)
			}
		})
	}
}

// TestMemoryIsBounded is not parallel: it counts what is allocated.
func TestMemoryIsBounded(t *testing.T) {
	const secret = "the-secret-of-a-job"
	r := redact.New(sensitive.New(secret))
	for _, text := range []string{strings.Repeat("x%25 ", 1<<17), strings.Repeat("%3", 1<<18), strings.Repeat("\u200bé", 1<<17)} {
		whole := text + everyByte(secret, "%%%02X") + text + secret
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := r.Redact(whole)
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4*len(whole)+10e6))
		assert.True(t, got == text+redact.Marker+text+redact.Marker)
	}
}

// TestEscapesInEscapesTakeNoStack is not parallel: the bound is the process's.
func TestEscapesInEscapesTakeNoStack(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(4 << 20))
	r := redact.New(sensitive.New("the secret of a job"))
	text := strings.Repeat("%3", 1<<18) + "1" // each digit ends the escape before it
	assert.Equal(t, text, r.Redact(text))
}
