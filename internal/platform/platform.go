// Package platform is the CI host: it reads the inputs and writes logs, outputs and reports.
// Only this package touches the environment, files and the streams.
package platform

import (
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// Platform is a CI host. Every method means something on every host.
type Platform interface {
	// Inputs returns the inputs that are not empty, by snake_case name. A list has one
	// element a line. A mode that is not empty replaces the input.
	Inputs(names []string, mode string) map[string]string
	// Variable returns the value of a variable of the job that is not an input; "" when there
	// is none.
	Variable(name string) string
	// Strays returns the variables that are not inputs but are where inputs are read.
	Strays(names []string) []Stray
	// Ignored returns the variables that have an input's name and are not read, and the
	// variable in the other spelling that is the reason.
	Ignored(names []string) (variables []string, beside string)
	// ReadFile reads a file that an input names.
	ReadFile(path string) ([]byte, error)
	// Revise replaces the text of a regular file in a folder with what edit returns for it,
	// whole or not at all, and keeps the file's mode. It does not write an unchanged text. An
	// error of edit is returned with the path before it.
	Revise(folder, name string, edit func(text string) (string, error)) error
	// Mask keeps secrets out of everything that is printed from now on. outputs are those
	// that are already known: a host that drops outputs with a masked text in them is not
	// told to mask a text of theirs.
	Mask(outputs []report.Output, secrets ...sensitive.String)
	// Began is when the job began, the moment from which days are counted.
	Began() time.Time
	// Log is for progress, warnings and errors. Foreign text in it cannot be a command to the
	// host.
	Log() *slog.Logger
	// Group begins a part of the log and returns the function that ends it.
	Group(title string) func()
	// Progress begins a phase of so many steps. The caller calls step after each, from any
	// goroutine, and end after the last. A terminal shows a bar, any other log a count every
	// ten seconds.
	Progress(phase string, total int) (step, end func())
	// Emit hands the outputs and the summary over, and writes outputFile when that is not
	// empty. A failure does not stop the rest; the error says which outputs were not written.
	Emit(facts report.Facts, outputFile string) error
	// WriteReport writes all that is known to a file, in the format of its ending. It does
	// nothing when path is empty.
	WriteReport(facts report.Facts, path string) error
	// Insights returns plan and result for the host's review of a commit, and the build that
	// they belong to. there is false where the host has no such review, or its variables are
	// not complete.
	Insights(facts report.Facts) (of bitbucket.Build, insights bitbucket.Insights, there bool)
}

// Detect chooses the host by its well-known variables. Logs go to stderr and the outputs to
// stdout, except on GitHub, which reads commands from stdout only.
func Detect(environ []string, stdout, stderr io.Writer) Platform {
	on := newHost(environ, stdout, stderr)
	switch variables := on.variables; {
	case variables["GITHUB_ACTIONS"] == "true":
		on.colour(on.out, false)
		return newGitHub(on)
	case variables["BITBUCKET_BUILD_NUMBER"] != "":
		on.colour(on.log, false)
		return pipelines{on}
	case variables["GITLAB_CI"] == "true":
		on.colour(on.log, false)
		return gitLab{plain{host: on}, map[string]bool{}}
	}
	return plain{on, on.screen()}
}

// screen returns the terminal that the log goes to, nil when it is not a terminal, and lets
// the log have colours.
func (h host) screen() *terminal {
	found := screen(h.log.to, h.variables)
	if found != nil {
		h.log.to = found
	}
	h.colour(h.log, found != nil)
	return found
}

// colour lets a stream have colours.
func (h host) colour(stream *redactor, onTerminal bool) {
	if colours(h.variables, onTerminal) {
		stream.to = paint{stream.to}
	}
}

func newHost(environ []string, stdout, stderr io.Writer) host {
	variables := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		variables[name] = value
	}
	return host{variables: variables, out: &redactor{to: stdout, failed: lost(stdout)}, log: &redactor{to: stderr}, began: time.Now()}
}

// host is what the hosts share.
type host struct {
	variables map[string]string
	out, log  *redactor
	began     time.Time
}

// Inputs reads INPUT_<NAME> when any input is set that way, else <NAME>. In Bitbucket
// Pipelines an input may be a list, and repo_url defaults to the pipeline's own repository.
// It has no default with a manifest, and in a rotation or an import, because it would narrow
// them.
func (h host) Inputs(names []string, mode string) map[string]string {
	prefix := h.prefix(names)
	inputs := make(map[string]string)
	for _, name := range names {
		if value := h.input(prefix + strings.ToUpper(name)); strings.TrimSpace(value) != "" {
			inputs[name] = value
		}
	}
	_, fromFile := inputs["warp_api_key_file"]
	if key := h.variables["WARP_API_KEY"]; inputs["warp_api_key"] == "" && !fromFile && key != "" {
		inputs["warp_api_key"] = key
	}
	if mode != "" {
		inputs["mode"] = mode
	}
	if own := h.ownRepository(); own != "" && inputs["repo_url"]+inputs["manifest"] == "" && !slices.Contains([]string{"rotate", "import"}, strings.TrimSpace(inputs["mode"])) {
		inputs["repo_url"] = own
	}
	return inputs
}

// prefix returns INPUT_ when any input is set that way, else "".
func (h host) prefix(names []string) string {
	if slices.ContainsFunc(names, func(name string) bool { return h.variables["INPUT_"+strings.ToUpper(name)] != "" }) {
		return "INPUT_"
	}
	return ""
}

// input reads a variable or, in a Bitbucket pipeline, the list X_COUNT, X_0, ... in its
// place, one element a line.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/advanced-techniques-for-writing-pipes/
func (h host) input(variable string) string {
	if value := h.variables[variable]; value != "" || h.pipeline() == "" || h.variables[variable+"_COUNT"] == "" {
		return value
	}
	var elements []string
	for {
		element, there := h.variables[variable+"_"+strconv.Itoa(len(elements))]
		if !there {
			return strings.Join(elements, "\n")
		}
		elements = append(elements, element)
	}
}

// pipeline is the build number of a Bitbucket pipeline, empty elsewhere.
func (h host) pipeline() string { return h.variables["BITBUCKET_BUILD_NUMBER"] }

// ownRepository is the repository of a Bitbucket pipeline, else empty.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/
func (h host) ownRepository() string {
	workspace, slug := h.variables["BITBUCKET_WORKSPACE"], h.variables["BITBUCKET_REPO_SLUG"]
	if h.pipeline() == "" || workspace == "" || slug == "" {
		return ""
	}
	return "https://bitbucket.org/" + workspace + "/" + slug + ".git"
}

func (h host) Variable(name string) string { return h.variables[name] }

func (host) ReadFile(path string) ([]byte, error) { return readFile(path) }

func (h host) Mask(_ []report.Output, secrets ...sensitive.String) {
	h.out.hide(secrets...)
	h.log.hide(secrets...)
}

func (h host) Began() time.Time { return h.began }

// debug reports whether the job asked for debug messages.
func (h host) debug() bool { return h.variables["DEBUG"] == "true" }
