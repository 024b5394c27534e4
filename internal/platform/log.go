package platform

import (
	"context"
	"log"
	"log/slog"
	"regexp"
	"strings"
	"unicode"
)

// handler prints a record as one text through a host's own words for its
// level. Of attributes it prints the values, before the text: they tell records
// of parallel work apart.
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
	h.print(r.Level, inert(h.redact(printable(h.about+r.Message))))
	return nil
}

func (h handler) WithAttrs(attributes []slog.Attr) slog.Handler {
	for _, attribute := range attributes {
		h.about += attribute.Value.String() + ": "
	}
	return h
}

func (h handler) WithGroup(string) slog.Handler { return h }

// printable replaces control characters, which could rewrite a terminal or end
// a line, by spaces. Line feeds stay.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp)) {
			return ' '
		}
		return r
	}, text)
}

// command is the beginning of what a host takes for a command anywhere in a
// line: ##[error] on GitHub, ##vso[...] on Azure, ##teamcity[...].
var command = regexp.MustCompile(`##([A-Za-z]*\[)`)

// inert makes sure that no line of foreign text is a command to any host. GitHub
// also takes "::x::", at the beginning of a line.
//
// Source: actions/runner, ActionCommand.cs; Azure's logging commands.
func inert(text string) string {
	lines := strings.Split(command.ReplaceAllString(text, "# #$1"), "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "::") {
			lines[i] = ". " + line
		}
	}
	return strings.Join(lines, "\n")
}

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
