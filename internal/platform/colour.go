package platform

import (
	"io"
	"strings"
)

// Colours of a line.
const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	reset  = "\x1b[0m"
)

// coloured are the beginnings of lines that have a colour: of a plan, of a log, and of a
// pipe, which uses the colours of Atlassian's pipes.
//
// Source: the common.sh of Atlassian's pipes.
var coloured = []struct{ begin, colour string }{
	{"== ", bold},
	{"Plan: ", bold},
	{"Next: ", bold},
	{"    + ", green},
	{"    - ", red},
	{"warning: ", yellow},
	{"error: ", red},
	{"INFO: ", cyan},
	{"ERROR: ", red},
	{"✔ ", green},
	{"✖ ", red},
}

// colours reports whether lines get their colours: on a terminal, unless NO_COLOR is set,
// and everywhere with FORCE_COLOR.
//
// Sources: https://no-color.org; https://force-color.org. 0 and false mean no, as in
// Node.js.
func colours(variables map[string]string, onTerminal bool) bool {
	switch force := variables["FORCE_COLOR"]; {
	case variables["NO_COLOR"] != "":
		return false
	case force != "":
		return force != "0" && force != "false"
	}
	return onTerminal
}

// paint colours whole lines. It comes after the redactor, so that no colour code divides a
// secret before the redactor sees it.
type paint struct{ to io.Writer }

// Write implements io.Writer; it gets whole lines.
func (p paint) Write(lines []byte) (int, error) {
	var text strings.Builder
	for line := range strings.Lines(string(lines)) {
		text.WriteString(painted(line))
	}
	if _, err := io.WriteString(p.to, text.String()); err != nil {
		return 0, err
	}
	return len(lines), nil
}

func painted(line string) string {
	for _, c := range coloured {
		if strings.HasPrefix(line, c.begin) {
			return c.colour + strings.TrimSuffix(line, "\n") + reset + "\n"
		}
	}
	return line
}
