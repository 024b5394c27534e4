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

// count logs regularly how many steps of a phase are done:
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

// barWidth lets a bar with its words fit into 60 columns, which every terminal has.
const barWidth = 30

// bar shows a phase in one line:
//
//	Check      [=======                       ] 120 of 500
func bar(phase string, done, total int64) string {
	full := int(barWidth * done / max(total, 1))
	return fmt.Sprintf("%-10s [%-*s] %d of %d", phase, barWidth, strings.Repeat("=", full), done, total)
}

// terminal is a screen whose last line is a bar, while a phase has one. Written lines appear
// above the bar.
type terminal struct {
	to  io.Writer
	mu  sync.Mutex
	bar string
}

// wipe clears the cursor's line.
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

// draw replaces the bar; an empty one removes it.
func (t *terminal) draw(bar string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bar = bar
	_, _ = io.WriteString(t.to, wipe+bar) // the terminal may have been closed
}

// screen returns a stream as a terminal that a person watches, nil when it is not a terminal
// or a CI job writes to it.
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
