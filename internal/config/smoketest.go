package config

import (
	"strconv"
	"time"
)

// mostAgents bounds smoke_test_max: one for each entry of the longest manifest.
const mostAgents = 10_000

// Bounds of smoke_test_timeout.
const (
	shortestSmokeTest = time.Minute
	longestSmokeTest  = 6 * time.Hour
)

func (p *parser) smokeTest() {
	c, in := &p.config, p.in
	c.SmokeTestAll = in.SmokeTest == "all"
	c.SmokeTest = c.SmokeTestAll || p.boolean("smoke_test", in.SmokeTest)
	if c.Mode == Test && !c.SmokeTest {
		p.add("smoke_test", "leave it out", "is false, and mode test is the smoke test alone")
	}
	c.SmokeTestPrompt, c.SmokeTestModel = in.SmokeTestPrompt, in.SmokeTestModel
	p.oneLine("smoke_test_model", in.SmokeTestModel)
	c.SmokeTestMax = p.number("smoke_test_max", in.SmokeTestMax, 0, mostAgents)
	timeout, err := time.ParseDuration(in.SmokeTestTimeout)
	if minutes, notNumber := strconv.ParseUint(in.SmokeTestTimeout, 10, 16); notNumber == nil {
		timeout, err = time.Duration(minutes)*time.Minute, nil
	}
	if err != nil || timeout < shortestSmokeTest || timeout > longestSmokeTest {
		p.add("smoke_test_timeout", "give a duration such as 20m, or whole minutes", "is no time between 1m and 6h")
	}
	c.SmokeTestTimeout = timeout
}
