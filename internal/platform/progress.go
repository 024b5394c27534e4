package platform

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
)

// between is the time between two counts of a phase in a log.
const between = 10 * time.Second

// count tells every while how far a phase is:
//
//	Check: 120 of 500
func count(log *slog.Logger, phase string, total int) (step, end func()) {
	var done atomic.Int64
	over := make(chan struct{})
	telling := group.New()
	telling.Go(func() error {
		ticks := time.NewTicker(between)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				log.Info(fmt.Sprintf("%s: %d of %d", phase, done.Load(), total))
			case <-over:
				return nil
			}
		}
	})
	return func() { done.Add(1) }, func() {
		close(over)
		_ = telling.Wait()
	}
}

func (p plain) Progress(phase string, total int) (step, end func()) {
	if p.terminal == nil {
		return count(p.Log(), phase, total)
	}
	var done atomic.Int64
	draw := func() { p.terminal.draw(p.log.redact(bar(phase, done.Load(), int64(total)))) }
	draw()
	return func() { done.Add(1); draw() }, func() { p.terminal.draw("") }
}

func (g gitHub) Progress(phase string, total int) (step, end func()) {
	return count(g.Log(), phase, total)
}

func (p pipelines) Progress(phase string, total int) (step, end func()) {
	return count(p.Log(), phase, total)
}

// barWidth is short enough that a bar with the words beside it fits into 60 columns, which
// every terminal has.
const barWidth = 30

// bar is a phase in one line:
//
//	Check      [=======                       ] 120 of 500
func bar(phase string, done, total int64) string {
	full := int(barWidth * done / max(total, 1))
	return fmt.Sprintf("%-10s [%-*s] %d of %d", phase, barWidth, strings.Repeat("=", full), done, total)
}

// terminal is a screen whose last line is a bar, while there is one. Lines that are
// written go above it.
type terminal struct {
	to  io.Writer
	mu  sync.Mutex
	bar string
}

// wipe takes what stands in the line of the cursor away.
const wipe = "\r\x1b[K"

// Write implements io.Writer; it gets whole lines.
func (t *terminal) Write(lines []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bar == "" {
		return t.to.Write(lines)
	}
	if _, err := io.WriteString(t.to, wipe+string(lines)+t.bar); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// draw puts a bar in the place of the last one; none when it is empty.
func (t *terminal) draw(bar string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bar = bar
	_, _ = io.WriteString(t.to, wipe+bar) // a terminal that has gone away shows nothing
}

// screen is the terminal of somebody who watches, nil when a stream is none or a job writes
// to it.
func screen(stream io.Writer, variables map[string]string) *terminal {
	file, ok := stream.(*os.File)
	if !ok || variables["TERM"] == "" || variables["TERM"] == "dumb" || variables["CI"] != "" {
		return nil
	}
	if at, err := file.Stat(); err != nil || at.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return &terminal{to: stream}
}
