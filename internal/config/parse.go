package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
)

// Parse reads inputs by name. The error holds every problem that the inputs
// alone can tell (problem.All), none of which shows a secret, and the Job is then
// filled as far as it could be. Files that inputs name are read with
// readFile, and variables of the job that are no inputs with variable.
func Parse(values map[string]string, readFile func(path string) ([]byte, error), variable func(name string) string) (Job, error) {
	in, err := read(values)
	if err != nil {
		return Job{}, err
	}
	job := Job{Entries: make([]Entry, 1)}
	p := parser{in: in, readFile: readFile, variable: variable, config: config{&job, &job.Entries[0]}}
	p.parse()
	return job, p.problems.Err()
}

// parser fills a Job with one entry, and collects what is wrong with it. Each step
// fills the part that its file is named for; a later step may use what an earlier
// one has filled.
type parser struct {
	in       inputs
	readFile func(string) ([]byte, error)
	variable func(string) string
	config   config
	problems problem.List

	redactor *redact.Redactor // of the first hidden secrets
	hidden   int
}

// config is the job and its entry, whose fields have no name in common.
type config struct {
	*Job
	*Entry
}

func (p *parser) parse() {
	p.unseen()
	p.pasted()
	p.mode()
	p.secrets()
	p.repositories()
	p.trust()
	p.rotation()
	p.kind()
	p.names()
	p.target()
	p.environment()
	p.setup()
	p.smokeTest()
	p.schedule()
	p.connection()
	p.expiry()
	p.leaks()
}

func (p *parser) mode() {
	in, c := p.in, &p.config
	c.Mode = Mode(p.choice("mode", in.Mode, "apply", "plan", "test", "rotate", "destroy"))
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
	c.VerifyToken = p.boolean("verify_token", in.VerifyToken)
	c.RequireWrite = p.boolean("require_write", in.RequireWrite)
	c.DetailedExitcode = p.boolean("detailed_exitcode", in.DetailedExitcode)
	c.OutputFile = in.OutputFile
	c.Concurrency = p.number("concurrency", in.Concurrency, 1, 64)
}

// onlyDestroy refuses an input that is set and is for the mode destroy alone.
func (p *parser) onlyDestroy(input string, set bool) {
	if set {
		p.add(input, "set mode: destroy, or leave it out", "does nothing in mode %s", p.config.Mode)
	}
}

// target checks that the modes that need no repository know which environment they
// are about.
func (p *parser) target() {
	c, in := &p.config, p.in
	if (c.Mode == Test || c.Mode == Destroy) && in.RepoURL+in.EnvironmentID+in.EnvironmentName == "" {
		p.add("environment_name", "give environment_name, environment_id or repo_url", "is missing: nothing says which environment is meant")
	}
}

// add collects a problem. What it quotes of the inputs may hold a secret, which
// is then not shown.
func (p *parser) add(input, remedy, summary string, args ...any) {
	p.problems.Add(input, p.redact(fmt.Sprintf(summary, args...)), p.redact(remedy))
}

func (p *parser) redact(text string) string {
	if secrets := p.config.Secrets(); p.redactor == nil || len(secrets) != p.hidden { // they only become more
		p.redactor, p.hidden = redact.New(secrets...), len(secrets)
	}
	return p.redactor.Redact(text)
}

func (p *parser) warn(format string, args ...any) {
	p.config.Warnings = append(p.config.Warnings, p.redact(fmt.Sprintf(format, args...)))
}

// choice reads one of several words.
func (p *parser) choice(input, value string, allowed ...string) string {
	if slices.Contains(allowed, value) {
		return value
	}
	p.add(input, "", "is not one of %s", strings.Join(allowed, ", "))
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

// number reads a whole number between two bounds.
func (p *parser) number(input, value string, least, most int) int {
	number, err := strconv.Atoi(value)
	if err != nil || number < least || number > most {
		p.add(input, "", "is no whole number from %d to %d", least, most)
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
