package platform

import (
	"context"
	"log/slog"
	"strings"
	"unicode"
)

// handler prints a record as one text through a host's own words for its
// level. Attributes are not used in this program.
type handler struct {
	print func(level slog.Level, text string)
	least slog.Level
}

func (h handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.least }

func (h handler) Handle(_ context.Context, r slog.Record) error {
	h.print(r.Level, printable(r.Message))
	return nil
}

func (h handler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h handler) WithGroup(string) slog.Handler      { return h }

// printable replaces control characters, which could rewrite a terminal, by
// spaces. Line feeds stay.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}
