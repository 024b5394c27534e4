package platform

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// outputs are the outputs that may be handed over. One that would end a line or
// show a secret is emptied, and the error names it; where it only quotes, the
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
		case printable(output.Value) != output.Value || strings.Contains(output.Value, "\n"):
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

// dotenv renders outputs as name=value, unquoted, one a line.
func dotenv(outputs []report.Output) string {
	var text strings.Builder
	for _, output := range outputs {
		fmt.Fprintf(&text, "%s=%s\n", output.Name, output.Value)
	}
	return text.String()
}

// writeOutputFile writes the input output_file anew; an empty path means that
// nobody wants it.
func writeOutputFile(path string, outputs []report.Output) error {
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write output_file: %w", err)
	}
	if err := whole(file, dotenv(outputs)); err != nil {
		return fmt.Errorf("write output_file: %w", err)
	}
	return nil
}

// appendTo adds text to the end of a file, which it creates when there is none.
func appendTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return whole(file, text)
}

// whole writes text at once and closes the file. It does not write beside the
// file and rename: the file may be a mount of its own or a device, and nobody
// reads it before this process has ended.
func whole(file io.WriteCloser, text string) error {
	_, err := io.WriteString(file, text)
	return errors.Join(err, file.Close())
}
