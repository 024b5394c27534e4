// Package platform is the CI host: where inputs come from and where words go. It
// is the only room that touches the environment, files and the streams.
package platform

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// Platform is a CI host. Every method means something on every host.
type Platform interface {
	// Inputs returns the inputs that are not empty, by snake_case name.
	Inputs(names []string) map[string]string
	// ReadFile reads a file that an input names.
	ReadFile(path string) ([]byte, error)
	// Mask keeps values out of everything that is printed from now on.
	Mask(secrets ...sensitive.String)
	// Log is for progress, warnings and errors.
	Log() *slog.Logger
	// Group begins a part of the log and returns what ends it.
	Group(title string) func()
	// Emit hands the outputs and the summary over, and writes outputFile when it
	// is not empty.
	Emit(facts report.Facts, outputFile string) error
}

// Detect chooses the host by its well-known variables. Logs go to stderr and
// the outputs to stdout, but on GitHub, which takes commands from stdout only.
func Detect(environ []string, stdout, stderr io.Writer) Platform {
	variables := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		variables[name] = value
	}
	out, log := &redactor{to: stdout}, &redactor{to: stderr}
	on := host{variables: variables, out: out, log: log}
	if variables["GITHUB_ACTIONS"] == "true" {
		return newGitHub(on)
	}
	return plain{on}
}

// host is what the hosts share.
type host struct {
	variables map[string]string
	out, log  *redactor
}

// Inputs reads INPUT_<NAME> when any input is set that way, else <NAME>. In
// Bitbucket Pipelines the pipeline's own repository is the default for
// repo_url.
func (h host) Inputs(names []string) map[string]string {
	prefix := ""
	for _, name := range names {
		if h.variables["INPUT_"+strings.ToUpper(name)] != "" {
			prefix = "INPUT_"
		}
	}
	inputs := make(map[string]string)
	for _, name := range names {
		if value := h.variables[prefix+strings.ToUpper(name)]; strings.TrimSpace(value) != "" {
			inputs[name] = value
		}
	}
	_, fromFile := inputs["warp_api_key_file"]
	if key := h.variables["WARP_API_KEY"]; inputs["warp_api_key"] == "" && !fromFile && key != "" {
		inputs["warp_api_key"] = key
	}
	if inputs["repo_url"] == "" {
		if own := h.ownRepository(); own != "" {
			inputs["repo_url"] = own
		}
	}
	return inputs
}

// ownRepository is the repository of a Bitbucket pipeline, else empty.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/
func (h host) ownRepository() string {
	workspace, slug := h.variables["BITBUCKET_WORKSPACE"], h.variables["BITBUCKET_REPO_SLUG"]
	if h.variables["BITBUCKET_BUILD_NUMBER"] == "" || workspace == "" || slug == "" {
		return ""
	}
	return "https://bitbucket.org/" + workspace + "/" + slug + ".git"
}

func (host) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func (h host) Mask(secrets ...sensitive.String) {
	for _, secret := range secrets {
		h.out.hide(secret)
		h.log.hide(secret)
	}
}

// checkOutputs refuses outputs that would end a line or show a secret.
func (h host) checkOutputs(outputs []report.Output) error {
	for _, output := range outputs {
		if strings.ContainsFunc(output.Value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("write output %s: the value holds a control character", output.Name)
		}
		if h.out.redact(output.Value) != output.Value {
			return fmt.Errorf("write output %s: the value holds a secret", output.Name)
		}
	}
	return nil
}

// writeFile writes NAME=value lines.
func writeFile(path string, outputs []report.Output) error {
	if path == "" {
		return nil
	}
	var text strings.Builder
	for _, output := range outputs {
		fmt.Fprintf(&text, "%s=%s\n", output.Name, output.Value)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write output_file: %w", err)
	}
	return nil
}
