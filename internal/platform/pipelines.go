package platform

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// pipelines is a step or a pipe of Bitbucket Pipelines. It logs to stderr in the form of
// Atlassian's own pipes:
//
//	INFO: secret "BITBUCKET_API_TOKEN": create
//	WARNING: the token can push to ...
//	ERROR: ...
//	✔ secret created, environment created, smoke test passed
//
// Its labels have the colours of Atlassian's where FORCE_COLOR asks for them.
//
// The host does not mask text while a step runs, so only redactor hides secrets. The outputs
// are in a file to source, and in the JSON line.
//
// Source: the common.sh of Atlassian's pipes.
type pipelines struct{ host }

func (p pipelines) Log() *slog.Logger {
	return slog.New(handler{redact: p.log.redact, debug: p.debug(), print: func(level slog.Level, text string) {
		switch {
		case level >= slog.LevelError:
			p.say("ERROR: ", text)
		case level >= slog.LevelWarn:
			p.say("WARNING: ", text)
		case level < slog.LevelInfo:
			p.say("DEBUG: ", text)
		default:
			p.say("INFO: ", text)
		}
	}})
}

// say prints a label before every line of text, so that foreign text cannot look like
// another message.
func (p pipelines) say(label, text string) {
	var said strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		said.WriteString(label + line + "\n")
	}
	fmt.Fprint(p.log, said.String())
}

func (p pipelines) Group(title string) func() {
	p.say("INFO: ", "== "+title)
	return func() {}
}

func (p pipelines) Emit(facts report.Facts, outputFile string) error {
	outputs, refused := p.outputs(facts)
	err := errors.Join(refused, writeOutputFile(outputFile, outputs), p.toLaterCommands(outputs))
	p.toLaterSteps(outputs)
	headline := redact.Neutral(p.log.redact(facts.Headline()))
	if facts.ExitCode == 0 && err == nil {
		p.say("✔ ", headline)
	} else {
		p.say("✖ ", headline)
	}
	return errors.Join(err, p.printJSON(outputs))
}

// sourceFile is a path below BITBUCKET_CLONE_DIR, the only directory that a pipe shares with
// its step.
const sourceFile = ourDirectory + "/outputs.env"

// toLaterCommands writes a file that a POSIX shell can source:
//
//	ENVIRONMENT_ID='En00000000000000000001'
//	ENVIRONMENT_NAME='acme-api'
//
// A file that cannot be written is a warning, because the pipe did its work, and a command
// that needs the file fails without it. What the repository put in the file's place is an
// error, because a later command would source it.
func (p pipelines) toLaterCommands(outputs []report.Output) error {
	directory := p.variables["BITBUCKET_CLONE_DIR"]
	if directory == "" {
		p.Log().Warn("BITBUCKET_CLONE_DIR is not set, so there is no " + sourceFile + "; the outputs are in the JSON line")
		return nil
	}
	var text strings.Builder
	for _, output := range outputs {
		fmt.Fprintf(&text, "%s='%s'\n", strings.ToUpper(output.Name), strings.ReplaceAll(output.Value, "'", `'\''`))
	}
	var refused refusedError
	switch err := writeSource(directory, text.String()); {
	case errors.As(err, &refused):
		return fmt.Errorf("write the outputs to source: %w", err)
	case err != nil:
		p.Log().Warn(fmt.Sprintf("the outputs are not in %s, only in the JSON line: %v", sourceFile, err))
	default:
		p.Log().Info("outputs: source " + directory + "/" + sourceFile)
	}
	return nil
}

// writeSource replaces sourceFile below a directory.
func writeSource(directory, text string) error {
	above, err := descend(directory, ourDirectory, sourceFile)
	if err != nil {
		return err
	}
	defer above.directory.Close()
	file, err := above.ours(filepath.Base(sourceFile))
	if err != nil {
		return err
	}
	defer file.directory.Close()
	return file.replace(text)
}

// toLaterSteps adds NAME=value lines to the step's output variables. Later steps see those
// that output-variables names. A pipe's container may not have the file's directory. The
// step can then append sourceFile itself.
//
// Source: Bitbucket's documentation, "Variables and secrets", on sharing variables
// between steps.
func (p pipelines) toLaterSteps(outputs []report.Output) {
	path := p.variables["BITBUCKET_PIPELINES_VARIABLES_PATH"]
	if path == "" {
		return
	}
	var text strings.Builder
	for _, output := range outputs {
		fmt.Fprintf(&text, "%s=%s\n", strings.ToUpper(output.Name), output.Value)
	}
	var refused refusedError
	switch err := appendTo(path, text.String()); {
	case errors.As(err, &refused):
		p.Log().Warn(fmt.Sprintf("the output variables of the step are not set: BITBUCKET_PIPELINES_VARIABLES_PATH: %v", err))
	case err != nil:
		p.Log().Info(fmt.Sprintf("the output variables of the step cannot be set from here (%v); set them in the step's script, from %s", err, sourceFile))
	}
}
