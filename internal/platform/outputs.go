package platform

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// outputs returns the outputs as they may be handed over. An output that would end a line or
// show a secret is emptied, and the error names it. In an output that only quotes others, the
// secret is hidden.
func (h host) outputs(facts report.Facts) ([]report.Output, error) {
	var refused []error
	outputs := facts.Outputs()
	for i, output := range outputs {
		if output.Quotes {
			output.Value = h.out.redact(output.Value)
			outputs[i].Value = output.Value
		}
		switch {
		case strings.ContainsFunc(output.Value, endsLine):
			refused = append(refused, fmt.Errorf("output %s is left empty: its value holds a control character", output.Name))
		case h.out.redact(output.Value) != output.Value:
			refused = append(refused, fmt.Errorf("output %s is left empty: its value holds a secret", output.Name))
		default:
			continue
		}
		outputs[i].Value = ""
	}
	return outputs, errors.Join(refused...)
}

// endsLine reports whether a character may end a line for some reader, or be a command to a
// terminal.
func endsLine(c rune) bool { return unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp) }

// dotenv renders outputs as name=value, unquoted, one a line.
func dotenv(outputs []report.Output) string {
	var text strings.Builder
	for _, output := range outputs {
		fmt.Fprintf(&text, "%s=%s\n", output.Name, output.Value)
	}
	return text.String()
}

// writeOutputFile replaces the file that the input output_file names. It does nothing when
// path is empty.
func writeOutputFile(path string, outputs []report.Output) error {
	if path == "" {
		return nil
	}
	if err := replaceFile(path, dotenv(outputs)); err != nil {
		return fmt.Errorf("write output_file: %w", err)
	}
	return nil
}
