package test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// TestFarIsAsFarAsItSays: every piece arrives one way later, and pieces wait at the same time.
func TestFarIsAsFarAsItSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, in := net.Pipe()
		out, far := net.Pipe()
		start := time.Now()
		go func() {
			delayed(far, in, 50*time.Millisecond)
			_ = far.Close()
		}()
		go func() {
			_, _ = near.Write([]byte("one"))
			time.Sleep(20 * time.Millisecond)
			_, _ = near.Write([]byte("two"))
			_ = near.Close()
		}()
		piece := make([]byte, 3)
		for _, want := range []struct {
			text string
			at   time.Duration
		}{{"one", 50 * time.Millisecond}, {"two", 70 * time.Millisecond}} {
			_, err := io.ReadFull(out, piece)
			require.NoError(t, err)
			assert.Equal(t, want.text, string(piece))
			assert.Equal(t, want.at, time.Since(start))
		}
		rest, err := io.ReadAll(out)
		require.NoError(t, err)
		assert.Empty(t, rest)
	})
}

// TestATransportChangesNoRequest: a job sends the same requests over each transport. A CONNECT
// does not count as a request.
func TestATransportChangesNoRequest(t *testing.T) {
	t.Parallel()
	for _, c := range kinds {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var plainly int64
			for _, over := range transports {
				b := newBench(t, over, c, 0)
				b.begin(0)
				b.must(b.provided, "plan")
				if !over.tls {
					plainly = b.requested()
					assert.Positive(t, plainly)
					continue
				}
				assert.Equal(t, plainly, b.requested(), over.name)
				assert.Positive(t, b.far.handshakes.Load())
				assert.GreaterOrEqual(t, b.far.connections.Load(), b.far.handshakes.Load())
				assert.Equal(t, over.http2, b.far.http2.Load() > 0, over.name)
			}
		})
	}
}

// TestMeasuredMemoryIsTheProgramsOwn: this process's memory does not count.
func TestMeasuredMemoryIsTheProgramsOwn(t *testing.T) {
	t.Parallel()
	ballast := bytes.Repeat([]byte("ballast "), 16<<20)
	w := newWorld(t, plain, warpsim.Options{})
	w.measured(w.inputs(nil), "plan")
	assert.Positive(t, w.memory)
	assert.Less(t, w.memory, int64(len(ballast)))
}
