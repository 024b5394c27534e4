package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// plain is any host that has no format of its own for logs. Logs go to stderr:
//
//	== Plan
//	secret "BITBUCKET_API_TOKEN": create
//	warning: the token can push to ...
//	error: ...
//
// The last line of stdout is the outputs as one line of JSON.
type plain struct {
	host
	terminal *terminal // of the log; nil when that is not a terminal
}

func (p plain) Log() *slog.Logger {
	return slog.New(handler{redact: p.log.redact, debug: p.debug(), print: func(level slog.Level, text string) {
		switch {
		case level >= slog.LevelError:
			text = "error: " + text
		case level >= slog.LevelWarn:
			text = "warning: " + text
		case level < slog.LevelInfo:
			text = "debug: " + text
		}
		fmt.Fprintln(p.log, text)
	}})
}

func (p plain) Group(title string) func() {
	fmt.Fprintln(p.log, "== "+title)
	return func() {}
}

func (p plain) Emit(facts report.Facts, outputFile string) error {
	outputs, refused := p.outputs(facts)
	return errors.Join(refused, writeOutputFile(outputFile, outputs), p.printJSON(outputs))
}

// printJSON prints the outputs in their order:
//
//	{"environment_id":"En00000000000000000001","environment_name":"acme-api",...}
//
// Invisible and control characters are escaped. "##" is escaped too, so a host that looks
// for commands in stdout finds none.
func (h host) printJSON(outputs []report.Output) error {
	members := make([]string, len(outputs))
	for i, output := range outputs {
		value, err := json.Marshal(output.Value)
		if err != nil {
			return fmt.Errorf("write output %s: %w", output.Name, err)
		}
		members[i] = fmt.Sprintf("%q:%s", output.Name, strings.ReplaceAll(redact.JSON(string(value)), "##", `#\u0023`))
	}
	fmt.Fprintln(h.out, "{"+strings.Join(members, ",")+"}")
	if err := h.out.err(); err != nil {
		return fmt.Errorf("write the outputs: %w", err)
	}
	return nil
}
