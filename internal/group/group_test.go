package group_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
)

func TestAGroupReturnsTheFirstError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	g, within := group.WithContext(t.Context())
	g.SetLimit(2)
	var ended atomic.Int32
	for range 4 {
		g.Go(func() error {
			<-within.Done()
			ended.Add(1)
			return context.Cause(within)
		})
		if ended.Load() == 0 {
			g.Go(func() error { return broken })
		}
	}
	require.ErrorIs(t, g.Wait(), broken)
	assert.EqualValues(t, 4, ended.Load(), "it waits for all of them")

	alone := group.New()
	alone.Go(func() error { return nil })
	assert.NoError(t, alone.Wait())
}

func TestAPanicGoesOnInWait(t *testing.T) {
	t.Parallel()
	var none []int
	for name, test := range map[string]struct {
		panics func()
		want   string
		ofGo   bool
	}{
		"a text":           {func() { panic("MARKER") }, "a panic with a string", false},
		"an error":         {func() { panic(errors.New("MARKER")) }, "a panic with a *errors.errorString", false},
		"an error of Go's": {func() { _ = none[len(name(none))] }, "a panic with a runtime.boundsError", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, within := group.WithContext(t.Context())
			g.Go(func() error { test.panics(); return nil })
			g.Go(func() error { <-within.Done(); return nil })
			defer func() {
				p, ok := recover().(*group.Panic)
				require.True(t, ok)
				assert.Equal(t, test.want, p.Error())
				var of runtime.Error
				assert.Equal(t, test.ofGo, errors.As(p, &of))
				var functions []string
				for frames, more := runtime.CallersFrames(p.Callers), true; more; {
					var frame runtime.Frame
					frame, more = frames.Next()
					functions = append(functions, frame.Function)
				}
				assert.Contains(t, strings.Join(functions, " "), "TestAPanicGoesOnInWait", "where it began")
			}()
			_ = g.Wait()
			assert.Fail(t, "it went on")
		})
	}
}

func name(list []int) string { return "x" }
