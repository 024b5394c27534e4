package config

import (
	"errors"

	"github.com/oz-bitbucket/oz-bitbucket/internal/cron"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// schedule reads the scheduled agent.
func (p *parser) schedule() {
	c, in := &p.config, p.in
	enabled := p.boolean("schedule_enabled", in.ScheduleEnabled)
	p.oneLine("schedule_name", in.ScheduleName)
	if in.ScheduleCron == "" {
		p.needsCron("schedule_prompt", in.SchedulePrompt != "")
		p.needsCron("schedule_name", in.ScheduleName != "" && c.Mode != Destroy) // destroy finds a schedule by its name
		p.needsCron("schedule_enabled", !enabled)
		if c.Mode == Destroy && in.ScheduleName != "" {
			c.Schedule = &Schedule{Name: in.ScheduleName}
		}
		return
	}
	if in.SchedulePrompt == "" {
		p.add("schedule_prompt", "say what the agent should do", "is missing: schedule_cron is given")
	}
	if c.Scope == warp.UserOwner {
		p.add("schedule_cron", "use scope: team, or leave the schedule out", "cannot be used with scope: personal: scheduled runs never get personal secrets, so they could not clone")
	}
	when, err := cron.Parse(in.ScheduleCron)
	if bad, ok := errors.AsType[*cron.Error](err); ok {
		p.add("schedule_cron", bad.Remedy, "%s", bad.Summary)
	}
	c.Schedule = &Schedule{Cron: when.String(), Prompt: in.SchedulePrompt, Name: in.ScheduleName, Enabled: enabled}
	if err == nil && when.MoreThanHourly() && (c.Mode == Apply || c.Mode == Plan) {
		p.warn("schedule_cron starts agents less than an hour apart (%s), and each run costs credits", when.Words())
	}
}

// needsCron refuses an input that does nothing without a schedule.
func (p *parser) needsCron(input string, given bool) {
	if given {
		p.add(input, "give schedule_cron and schedule_prompt too, or leave it out", "does nothing without schedule_cron")
	}
}
