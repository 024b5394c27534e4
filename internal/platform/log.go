package platform

import (
	"context"
	"log"
	"log/slog"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
)

// handler prints a record as one text through a host's own words for its
// level. Of attributes it prints the values, before the text: they tell records
// of parallel work apart. Secrets go first, from the text as it came; then what is
// foreign in it loses its power.
type handler struct {
	print  func(level slog.Level, text string)
	redact func(string) string
	debug  bool
	about  string
}

func (h handler) Enabled(_ context.Context, level slog.Level) bool {
	return h.debug || level >= slog.LevelInfo
}

func (h handler) Handle(_ context.Context, r slog.Record) error {
	h.print(r.Level, redact.Lines(h.redact(h.about+cut(r.Message))))
	return nil
}

// longestText is the most of a text that is printed, in bytes: what redaction makes of
// it takes forty times as much. A name in an answer may be megabytes long.
const longestText = 1 << 20

// cut is the beginning of a text that nobody would read to its end.
func cut(text string) string {
	if len(text) > longestText {
		return strings.ToValidUTF8(text[:longestText], "") + " ..."
	}
	return text
}

func (h handler) WithAttrs(attributes []slog.Attr) slog.Handler {
	for _, attribute := range attributes {
		h.about += attribute.Value.String() + ": "
	}
	return h
}

func (h handler) WithGroup(string) slog.Handler { return h }

// Capture sends to l what Go prints by itself, a line for each text, for those
// who debug: net/http repeats what a server sends that nobody asked for. Of
// several logs of one process the last one gets it.
func Capture(l *slog.Logger) {
	log.SetFlags(0)
	log.SetPrefix("")
	log.SetOutput(captured{l})
}

type captured struct{ log *slog.Logger }

// Write implements io.Writer; it gets one text at a time.
func (c captured) Write(text []byte) (int, error) {
	c.log.Debug("Go says: " + strings.ReplaceAll(strings.TrimSuffix(string(text), "\n"), "\n", " "))
	return len(text), nil
}
