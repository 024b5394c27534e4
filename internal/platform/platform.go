// Package platform is the CI host: where inputs come from and where words go. It
// is the only room that touches the environment, files and the streams.
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
	// Inputs returns the inputs that are not empty, by snake_case name. A list
	// has one element a line. A mode that is not empty takes the place of the
	// input.
	Inputs(names []string, mode string) map[string]string
	// Variable is the value of a variable of the job that is no input, empty when
	// there is none.
	Variable(name string) string
	// Strays returns the variables that are no input and stand where one may.
	Strays(names []string) []Stray
	// Ignored returns the variables that are an input's name and are not read, and the one
	// in another spelling because of which they are not.
	Ignored(names []string) (variables []string, beside string)
	// ReadFile reads a file that an input names.
	ReadFile(path string) ([]byte, error)
	// Revise makes of a regular file in a folder what edit makes of its text, whole or
	// not at all; its mode stays. A text that stays is not written. An error of edit is
	// returned with the path before it.
	Revise(folder, name string, edit func(text string) (string, error)) error
	// Mask keeps secrets out of everything that is printed from now on. outputs
	// are those that are known already: a host that would drop an output with a
	// masked text in it is not told to mask that text.
	Mask(outputs []report.Output, secrets ...sensitive.String)
	// Began is when the job began, the moment from which days are counted.
	Began() time.Time
	// Log is for progress, warnings and errors. Foreign text in it is no command
	// to the host.
	Log() *slog.Logger
	// Group begins a part of the log and returns what ends it.
	Group(title string) func()
	// Progress begins a phase of so many steps. The caller calls step after each, from any
	// goroutine, and end after the last. On a terminal it is a bar, else a count every ten
	// seconds.
	Progress(phase string, total int) (step, end func())
	// Emit hands the outputs and the summary over, and writes outputFile when it
	// is not empty. It goes as far as it can; the error says which outputs did
	// not get through.
	Emit(facts report.Facts, outputFile string) error
	// WriteReport writes all that is known to a file, in the form that its ending
	// names; an empty path means that nobody wants it.
	WriteReport(facts report.Facts, path string) error
	// Insights is plan and result for the host's review of a commit, and the build that they
	// belong to. There is none where the host has no such place, or does not say enough.
	Insights(facts report.Facts) (of bitbucket.Build, insights bitbucket.Insights, there bool)
}

// Detect chooses the host by its well-known variables. Logs go to stderr and
// the outputs to stdout, but on GitHub, which takes commands from stdout only.
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

// screen is the terminal that the log goes to, nil where it goes to none. The log has its
// colours from then on.
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

// Inputs reads INPUT_<NAME> when any input is set that way, else <NAME>. In
// Bitbucket Pipelines an input may be a list, and the pipeline's own repository
// is the default for repo_url, but in a rotation and an import, which it would narrow, and
// beside a manifest.
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

// prefix is INPUT_ when any input is set that way, else empty.
func (h host) prefix(names []string) string {
	if slices.ContainsFunc(names, func(name string) bool { return h.variables["INPUT_"+strings.ToUpper(name)] != "" }) {
		return "INPUT_"
	}
	return ""
}

// input reads a variable or, in a Bitbucket pipeline, the list X_COUNT, X_0, ...
// that stands for it, one element a line.
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

// debug reports whether the job asked for more words.
func (h host) debug() bool { return h.variables["DEBUG"] == "true" }
