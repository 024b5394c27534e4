package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/spelling"
)

// Parse reads inputs by name. The error holds every problem in the inputs and the
// manifest (see problem.All); none shows a secret. The Job then holds what could be
// read. Parse reads files that inputs name with readFile, and variables of the job that
// are not inputs with variable.
func Parse(values map[string]string, readFile func(path string) ([]byte, error), variable func(name string) string) (Job, error) {
	in, err := read(values)
	if err != nil {
		return Job{}, err
	}
	job := Job{Entries: make([]Entry, 1)}
	p := parser{in: in, readFile: readFile, variable: variable, config: config{&job, &job.Entries[0]}}
	if in.Manifest != "" {
		p.manifest()
	} else {
		p.does(ofJob | ofEntry)
	}
	return job, p.problems.Err()
}

// parser fills a Job with its entries, and collects the problems. Each step fills the
// part after which its file is named, and may use the parts that earlier steps have
// filled.
type parser struct {
	in       inputs
	readFile func(string) ([]byte, error)
	variable func(string) string
	config   config
	problems problem.List

	redactor *redact.Redactor // knows as many secrets as hidden says
	hidden   int

	many *many // nil without a manifest
}

// config is the job and one entry. No field of one has the name of a field of the
// other.
type config struct {
	*Job
	*Entry
}

// part is what a step reads: inputs of the job, or those of one environment.
type part int

const (
	ofJob part = 1 << iota
	ofEntry
)

// steps are in order. Without a manifest all of them are done once; with one, those of
// the job once, and those of an entry for each.
var steps = []struct {
	of   part
	does func(*parser)
}{
	{ofJob, (*parser).unseen},
	{ofJob, (*parser).pasted},
	{ofJob, (*parser).mode},
	{ofEntry, (*parser).demands},
	{ofJob, (*parser).secrets},
	{ofEntry, (*parser).ownToken},
	{ofEntry, (*parser).repositories},
	{ofEntry, (*parser).trust},
	{ofJob, (*parser).rotation},
	{ofEntry, (*parser).rotated},
	{ofEntry, (*parser).kind},
	{ofEntry, (*parser).names},
	{ofEntry, (*parser).target},
	{ofEntry, (*parser).environment},
	{ofEntry, (*parser).setup},
	{ofEntry, (*parser).smokeTest},
	{ofJob, (*parser).smokeTests},
	{ofEntry, (*parser).schedule},
	{ofJob, (*parser).factory},
	{ofJob, (*parser).connection},
	{ofJob, (*parser).expiry},
	{ofEntry, (*parser).expires},
	{ofJob, (*parser).shard},
	{ofJob, (*parser).files},
	{ofJob, (*parser).leaks},
}

func (p *parser) does(parts part) {
	for _, step := range steps {
		if step.of&parts != 0 {
			step.does(p)
		}
	}
}

func (p *parser) mode() {
	in, c := p.in, &p.config
	c.Mode = Mode(p.choice("mode", in.Mode))
	c.DryRun = p.boolean("dry_run", in.DryRun)
	switch {
	case c.Mode == Plan, c.Mode == Apply && c.DryRun:
		c.Mode, c.DryRun = Plan, true
	case c.Mode == Test && c.DryRun:
		p.add("dry_run", "leave it out; a test writes nothing anyway", "does nothing in mode test")
	}
	c.DeleteSecret = p.boolean("delete_secret", in.DeleteSecret)
	c.Force = p.boolean("force", in.Force)
	if c.Mode != Destroy {
		p.onlyDestroy("delete_secret", c.DeleteSecret)
		p.onlyDestroy("force", c.Force)
	}
	c.DetailedExitcode = p.boolean("detailed_exitcode", in.DetailedExitcode)
	c.Manifest = in.Manifest
	c.Concurrency = p.number("concurrency", in.Concurrency)
}

// demands reads what the token must be able to do.
func (p *parser) demands() {
	p.config.VerifyToken = p.boolean("verify_token", p.in.VerifyToken)
	p.config.RequireWrite = p.boolean("require_write", p.in.RequireWrite)
}

// onlyDestroy refuses an input that is set, when the mode is not destroy.
func (p *parser) onlyDestroy(input string, set bool) {
	if set {
		p.add(input, "set mode: destroy, or leave it out", "does nothing in mode %s", p.config.Mode)
	}
}

// target checks that the modes that need no repository know their environment.
func (p *parser) target() {
	c, in := &p.config, p.in
	if (c.Mode == Test || c.Mode == Destroy) && in.RepoURL+in.EnvironmentID+in.EnvironmentName == "" {
		p.add("environment_name", "give environment_name, environment_id or repo_url", "is missing: the inputs do not say which environment is meant")
	}
}

// add collects a problem. Secrets in what it quotes are hidden.
func (p *parser) add(input, remedy, summary string, args ...any) {
	found := problem.Problem{Input: input, Summary: p.redact(fmt.Sprintf(summary, args...)), Remedy: p.redact(remedy)}
	if p.many != nil && !p.many.locate(&found) {
		return
	}
	p.problems.Append(found)
}

func (p *parser) redact(text string) string {
	if secrets := p.config.Secrets(); p.redactor == nil || len(secrets) != p.hidden { // secrets are only ever added
		p.redactor, p.hidden = redact.New(secrets...), len(secrets)
	}
	return p.redactor.Redact(text)
}

func (p *parser) warn(format string, args ...any) {
	warning := p.redact(fmt.Sprintf(format, args...))
	if p.config.Place != "" {
		warning = p.config.Place + ": " + warning
	}
	p.config.Warnings = append(p.config.Warnings, warning)
}

// arguments are what the first argument may be beside a mode.
var arguments = []string{"help", "import", "schema", "version"}

// plainWord is a value that may be shown: it is shorter than a token, and has no digit.
var plainWord = regexp.MustCompile(`^[a-z][a-z-]{0,15}$`)

// choice reads one of the words that the table allows.
func (p *parser) choice(input, value string) string {
	words := tableAt[input].words
	if slices.Contains(words, value) {
		return value
	}
	lower := strings.ToLower(value)
	if near := spelling.Nearest(lower, words); near != "" { // a value so close to a word is not a secret
		p.add(input, "", "%q is not one of %s; did you mean %s?", value, strings.Join(words, ", "), near)
		return ""
	}
	if near := spelling.Nearest(lower, arguments); near != "" && input == "mode" {
		p.add(input, "", "%q is not one of %s; did you mean oz-bitbucket %s?", value, strings.Join(words, ", "), near)
		return ""
	}
	if input == "mode" && plainWord.MatchString(value) {
		p.add(input, "", "%q is not one of %s", value, strings.Join(words, ", "))
		return ""
	}
	p.add(input, "", "is not one of %s", strings.Join(words, ", "))
	return ""
}

// boolean reads true or false in YAML's casings.
func (p *parser) boolean(input, value string) bool {
	switch value {
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	}
	p.add(input, "", "is neither true nor false")
	return false
}

// number reads a whole number within the bounds in the table.
func (p *parser) number(input, value string) int {
	bounds := tableAt[input]
	number, err := strconv.Atoi(value)
	if err != nil || number < bounds.min || number > bounds.max {
		p.add(input, "", "is not a whole number from %d to %d", bounds.min, bounds.max)
	}
	return number
}

func (p *parser) oneLine(input, value string) {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		p.add(input, "use one line of text", "holds a line break or another control character")
	}
}

// nonBlankLines splits a list, one element a line, without blank lines.
func nonBlankLines(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}
