package platform

import (
	"context"
	"log"
	"log/slog"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
)

// handler prints a record as one text in the host's form for its level. The values of
// attributes come before the text, because they show which of several parallel works a
// record is about. Secrets are removed from the raw text. Then foreign text is made harmless.
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

// longestText is the most of a text that is printed, in bytes. Redaction needs forty times
// as much memory, and a name in an answer may be megabytes long.
const longestText = 1 << 20

// cut returns at most longestText of a text.
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

// Capture sends to l, at the level debug and as a line each, the texts that Go's libraries
// log: net/http logs what a server sends without a request. When a process calls Capture
// several times, the last log gets the texts.
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
