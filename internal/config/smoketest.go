package config

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Bounds of smoke_test_timeout.
const (
	shortestSmokeTest = time.Minute
	longestSmokeTest  = 6 * time.Hour
)

// smokeTest reads whether and how an environment is tested.
func (p *parser) smokeTest() {
	c, in := &p.config, p.in
	usual := "true"
	if p.many != nil {
		usual = "changed"
	}
	switch when := cmp.Or(in.SmokeTest, usual); when {
	case "changed", "all":
		c.SmokeTest, c.SmokeTestChanged = true, when == "changed" && c.Mode != Test // in which nothing changes
		c.SmokeTestAll = when == "all"
	default:
		c.SmokeTest = p.boolean("smoke_test", when)
	}
	c.SmokeTestPrompt, c.SmokeTestModel = in.SmokeTestPrompt, in.SmokeTestModel
	p.oneLine("smoke_test_model", in.SmokeTestModel)
}

// smokeTests reads the inputs that all smoke tests share.
func (p *parser) smokeTests() {
	c, in := &p.config, p.in
	if c.Mode == Test && strings.EqualFold(in.SmokeTest, "false") {
		p.add("smoke_test", "leave it out", "is false, but mode test does nothing else")
	}
	c.SmokeTestMax = p.number("smoke_test_max", in.SmokeTestMax)
	timeout, err := time.ParseDuration(in.SmokeTestTimeout)
	if minutes, notNumber := strconv.ParseUint(in.SmokeTestTimeout, 10, 16); notNumber == nil {
		timeout, err = time.Duration(minutes)*time.Minute, nil
	}
	if err != nil || timeout < shortestSmokeTest || timeout > longestSmokeTest {
		p.add("smoke_test_timeout", "give a duration such as 20m, or whole minutes", "is not a duration between 1m and 6h")
	}
	c.SmokeTestTimeout = timeout
}
