package config

import (
	"path/filepath"
	"regexp"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/factory"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Factory is the Warp factory that the job writes to.
type Factory struct {
	Folder string
	Runner string // the runner that gets the setup commands; empty: the factory's agents get the environment
}

// runnerName is the name of a file without its ending. It cannot be a path.
var runnerName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`) })

// ofEnvironment are the inputs that have no meaning when no environment is made.
var ofEnvironment = []string{
	"environment_name", "environment_id", "description", "docker_image", "environment_secrets", "smoke_test_prompt", "smoke_test_model", "schedule_cron",
}

// factory reads which factory gets the environment, and checks that its files can be
// edited: otherwise the job must not write anything.
func (p *parser) factory() {
	c, in := &p.config, p.in
	for _, given := range []text{{"factory", in.Factory}, {"factory_runner", in.FactoryRunner}} {
		switch {
		case given.value == "":
		case in.Manifest != "":
			p.add(given.input, "leave it out, or give the job one environment", "is given beside manifest, but is for a job with one environment")
			return
		case c.Mode != Apply && c.Mode != Plan:
			p.add(given.input, "leave it out", "does nothing in mode %s", c.Mode)
			return
		}
	}
	switch {
	case in.Factory == "" && in.FactoryRunner != "":
		p.add("factory_runner", "give the folder of the definition as factory", "does nothing without factory")
		return
	case in.Factory == "" || len(lookalikes(in.Factory+in.FactoryRunner)) > 0: // leaks reports it
		return
	case in.FactoryRunner != "" && !runnerName().MatchString(in.FactoryRunner):
		p.add("factory_runner", "give the name of its file in runners/, without .yaml", "is not the name of a runner")
		return
	}
	if c.Scope == warp.UserOwner {
		p.add("factory", "use scope: team", "cannot be used with scope: personal: a factory's agents never get personal secrets")
	}
	p.definition("factory", filepath.Join(in.Factory, factory.File), func(text string) error {
		environment := "NoEnvironmentYet"
		if in.FactoryRunner != "" {
			environment = ""
		}
		_, err := factory.Wire(text, c.SecretName, environment)
		return err
	})
	if in.FactoryRunner != "" {
		p.definition("factory_runner", filepath.Join(in.Factory, factory.RunnerFile(in.FactoryRunner)), func(text string) error {
			_, err := factory.SetCommands(text, func(existing []string) []string { return existing })
			return err
		})
		for _, input := range ofEnvironment {
			if p.in.field(tableAt[input]).String() != "" {
				p.add(input, "leave it out", "does nothing with factory_runner, which needs no environment")
			}
		}
		c.EnvironmentName, c.SmokeTest = "", false
	}
	c.Factory = &Factory{in.Factory, in.FactoryRunner}
}

// definition reports what is wrong with a file of the factory.
func (p *parser) definition(input, path string, judge func(text string) error) {
	content, err := p.readFile(path)
	if err != nil {
		p.add(input, "give the folder of a definition in the checkout", "%s cannot be read", path)
		return
	}
	if err := judge(string(content)); err != nil {
		p.add(input, "", "%s: %v", path, err)
	}
}
