package platform

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// plain is any host without a dialect of its own. Logs go to stderr:
//
//	== Plan
//	secret "BITBUCKET_API_TOKEN": create
//	warning: the token can push to ...
//	error: ...
//
// The last line of stdout is the outputs as one line of JSON.
type plain struct{ host }

func (p plain) Log() *slog.Logger {
	return slog.New(handler{least: level(p.variables["DEBUG"] == "true"), print: func(level slog.Level, text string) {
		switch {
		case level >= slog.LevelError:
			text = "error: " + text
		case level >= slog.LevelWarn:
			text = "warning: " + text
		}
		fmt.Fprintln(p.log, text)
	}})
}

func level(debug bool) slog.Level {
	if debug {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func (p plain) Group(title string) func() {
	fmt.Fprintln(p.log, "== "+title)
	return func() {}
}

func (p plain) Emit(facts report.Facts, outputFile string) error {
	outputs := facts.Outputs()
	if err := p.checkOutputs(outputs); err != nil {
		return err
	}
	members := make([]string, len(outputs))
	for i, output := range outputs {
		value, err := json.Marshal(output.Value)
		if err != nil {
			return fmt.Errorf("write output %s: %w", output.Name, err)
		}
		members[i] = fmt.Sprintf("%q:%s", output.Name, value)
	}
	// {"environment_id":"En00000000000000000001","environment_name":"acme-api",...}
	if _, err := fmt.Fprintln(p.out, "{"+strings.Join(members, ",")+"}"); err != nil {
		return fmt.Errorf("write the outputs: %w", err)
	}
	return writeFile(outputFile, outputs)
}
