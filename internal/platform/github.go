package platform

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/sethvargo/go-githubactions"

	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// gitHub prints GitHub Actions' workflow commands on stdout and uses its file commands. Only
// this type uses go-githubactions. That library panics when it cannot write, so it writes to
// a redactor, which does not fail. We write the outputs and the summary ourselves.
//
// Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
type gitHub struct {
	host
	action      *githubactions.Action
	annotations *annotations
}

func newGitHub(h host) gitHub {
	action := githubactions.New(githubactions.WithWriter(h.out), githubactions.WithGetenv(func(name string) string { return h.variables[name] }))
	return gitHub{h, action, &annotations{action: action.WithFieldsMap(map[string]string{"title": "oz-bitbucket"})}}
}

func (g gitHub) Log() *slog.Logger {
	return slog.New(handler{redact: g.out.redact, debug: g.variables["RUNNER_DEBUG"] == "1", print: func(level slog.Level, text string) {
		switch {
		case level >= slog.LevelError:
			g.annotations.error(text)
		case level >= slog.LevelWarn:
			g.annotations.warning(text)
		case level < slog.LevelInfo:
			g.action.Debugf("%s", text) // ::debug::text
		default:
			g.action.Infof("%s", text)
		}
	}})
}

func (g gitHub) Group(title string) func() {
	g.action.Group(title) // ::group::title
	return g.action.EndGroup
}

// Mask also registers secrets with the runner, line by line because older runners accept
// one line only. Only this method prints secrets, and the runner does not show these lines.
// Text that is in an output is not registered, because the runner would drop the output.
// Config refuses such secrets, so this only keeps the outputs of a refused run readable.
//
// Source: actions/runner, JobExtension.cs.
func (g gitHub) Mask(outputs []report.Output, secrets ...sensitive.String) {
	runner := githubactions.New(githubactions.WithWriter(&redactor{to: g.out.to}))
	for _, secret := range secrets {
		for _, mask := range masks(secret) {
			if !slices.ContainsFunc(outputs, func(o report.Output) bool { return strings.Contains(o.Value, mask) }) {
				runner.AddMask(mask) // ::add-mask::value
			}
		}
	}
	g.host.Mask(outputs, secrets...)
}

func (g gitHub) Emit(facts report.Facts, outputFile string) error {
	outputs, refused := g.outputs(facts)
	g.summarise(facts)
	return errors.Join(refused, g.setOutputs(outputs), writeOutputFile(outputFile, outputs), g.out.err())
}

// setOutputs appends to the file of outputs, with a random delimiter that no value can hold:
//
//	environment_id<<oz-0b7ad4d6-e4a0-4cf3-9de6-cd8ebe0d1a3d
//	En00000000000000000001
//	oz-0b7ad4d6-e4a0-4cf3-9de6-cd8ebe0d1a3d
func (g gitHub) setOutputs(outputs []report.Output) error {
	path := g.variables["GITHUB_OUTPUT"]
	if path == "" {
		return errors.New("write the outputs: GITHUB_OUTPUT is not set, so later steps get none; pass it into the container")
	}
	delimiter := "oz-" + uuid.NewString()
	var text strings.Builder
	for _, output := range outputs {
		fmt.Fprintf(&text, "%s<<%s\n%s\n%s\n", output.Name, delimiter, output.Value, delimiter)
	}
	if err := appendTo(path, text.String()); err != nil {
		return fmt.Errorf("write the outputs to GITHUB_OUTPUT: %w", err)
	}
	return nil
}

// summarise appends to the job's summary. Redaction recognises secrets with the summary's
// escapes and margins. A summary that cannot be written is a warning.
func (g gitHub) summarise(facts report.Facts) {
	path := g.variables["GITHUB_STEP_SUMMARY"]
	if path == "" {
		return
	}
	if err := appendTo(path, g.out.redact(facts.Summary(time.Since(g.began)))); err != nil {
		g.Log().Warn(fmt.Sprintf("there is no job summary: %v", err))
	}
}
