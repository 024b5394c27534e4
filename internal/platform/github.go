package platform

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/sethvargo/go-githubactions"

	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// gitHub speaks GitHub Actions' workflow commands on stdout and its file
// commands. Only here is go-githubactions used; it panics when a file variable is
// not set, so outputs and the summary are written by ourselves.
//
// Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
type gitHub struct {
	host
	action *githubactions.Action
}

func newGitHub(h host) gitHub {
	return gitHub{h, githubactions.New(
		githubactions.WithWriter(h.out),
		githubactions.WithGetenv(func(name string) string { return h.variables[name] }),
	)}
}

func (g gitHub) Log() *slog.Logger {
	return slog.New(handler{least: level(g.variables["RUNNER_DEBUG"] == "1"), print: func(level slog.Level, text string) {
		switch {
		case level >= slog.LevelError:
			g.action.Errorf("%s", text) // ::error::text
		case level >= slog.LevelWarn:
			g.action.Warningf("%s", text) // ::warning::text
		case level < slog.LevelInfo:
			g.action.Debugf("%s", text) // ::debug::text
		default:
			g.action.Infof("%s", inert(text))
		}
	}})
}

// inert makes sure that no line of a log is a command: the runner takes "::x::"
// at the beginning of a line and "##[x]" anywhere.
//
// Source: actions/runner, ActionCommand.cs.
func inert(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "##[", "# #["), "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "::") {
			lines[i] = ". " + line
		}
	}
	return strings.Join(lines, "\n")
}

func (g gitHub) Group(title string) func() {
	g.action.Group(title) // ::group::title
	return g.action.EndGroup
}

// shortestMask is the shortest text that is masked: masking less would blank
// the whole log.
const shortestMask = 4

// Mask registers a secret with the runner, too, in every form. This is the one
// place that prints it, to the runner, which swallows the line.
func (g gitHub) Mask(secrets ...sensitive.String) {
	mask := githubactions.New(githubactions.WithWriter(g.out.to))
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			if len(form) >= shortestMask {
				mask.AddMask(form) // ::add-mask::value
			}
		}
	}
	g.host.Mask(secrets...)
}

func (g gitHub) Emit(facts report.Facts, outputFile string) error {
	outputs := facts.Outputs()
	if err := g.checkOutputs(outputs); err != nil {
		return err
	}
	// NAME<<DELIMITER\nVALUE\nDELIMITER\n
	delimiter := "oz-" + uuid.NewString()
	var text strings.Builder
	for _, output := range outputs {
		fmt.Fprintf(&text, "%s<<%s\n%s\n%s\n", output.Name, delimiter, output.Value, delimiter)
	}
	if err := g.append("GITHUB_OUTPUT", text.String()); err != nil {
		return err
	}
	if err := g.append("GITHUB_STEP_SUMMARY", g.out.redact(facts.Summary())); err != nil {
		return err
	}
	return writeFile(outputFile, outputs)
}

// append adds text to the file that a variable names; without the variable
// there is nowhere to write.
func (g gitHub) append(variable, text string) error {
	path := g.variables[variable]
	if path == "" {
		g.action.Infof("%s is not set, so nothing is written there", variable)
		return nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write %s: %w", variable, err)
	}
	_, err = file.WriteString(text)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", variable, err)
	}
	return nil
}
