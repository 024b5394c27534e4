package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/cron"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// PlanText returns a plan in words, one element a line. An element may hold line feeds:
//
//	secret "BITBUCKET_API_TOKEN": rotate (its value cannot be read back, so each apply writes it)
//	environment "acme-api" (En00000000000000000001): update (differs in docker_image)
//	  docker_image
//	    - ubuntu:22.04
//	    + ubuntu:24.04
//	Plan: 1 to update, 1 secret to rotate
func PlanText(p reconcile.Plan) []string { return append(planLines(p), total(p)) }

// total returns the last line of a plan.
func total(p reconcile.Plan) string { return "Plan: " + counted(p) }

// planLines returns a plan in words without its total.
func planLines(p reconcile.Plan) []string {
	text := secretLines(p)
	for _, e := range p.Environments {
		text = append(text, environmentLine(p, e))
		text = append(text, fieldLines(e.Fields)...)
		text = append(text, connectionLines(e)...)
		for _, s := range e.Schedules {
			text = append(text, scheduleLines(p, s)...)
			text = append(text, fieldLines(s.Fields)...)
		}
	}
	return text
}

// fieldLines shows changes field by field.
func fieldLines(fields []reconcile.Field) []string {
	var text []string
	for _, field := range fields {
		text = append(text, "  "+field.Name)
		for _, line := range difference(field, inWords(field)) {
			text = append(text, "    "+strings.ReplaceAll(line, "\n", "\n    "))
		}
	}
	return text
}

// connectionLines lists what else starts agents in an environment:
//
//	integration slack uses it
//	schedule "nightly" (Sc00000000000000000002) uses it
func connectionLines(e reconcile.EnvironmentPlan) []string {
	var text []string
	for _, name := range e.Integrations {
		text = append(text, fmt.Sprintf("  integration %s uses it", name))
	}
	for _, name := range e.Foreign {
		text = append(text, fmt.Sprintf("  schedule %s uses it", name))
	}
	return text
}

// nextTimes is how many times of a schedule a plan shows.
const nextTimes = 3

// scheduleLines shows what happens to a schedule and, while it is on, when it runs:
//
//	schedule "acme-api": create (none of this name exists)
//	  every day at 03:00 UTC (0 3 * * *), next on Sat 2026-11-28 03:00, Sun 2026-11-29 03:00, Mon 2026-11-30 03:00 UTC
func scheduleLines(p reconcile.Plan, s reconcile.SchedulePlan) []string {
	text := []string{fmt.Sprintf("schedule %s: %s%s", s, s.Change, why(p.Mode, s.Change, s.Fields))}
	when, err := cron.Parse(s.Cron)
	if err != nil || s.Change == reconcile.Delete { // somebody else may have edited the cron
		return text
	}
	line := fmt.Sprintf("  %s (%s)", when.Words(), when)
	var times []string
	for _, at := range when.Next(p.At, nextTimes) {
		times = append(times, at.Format("Mon 2006-01-02 15:04"))
	}
	switch {
	case !s.Enabled:
		line += ", paused"
	case len(times) > 0:
		line += ", next on " + strings.Join(times, ", ") + " UTC"
	}
	return append(text, line)
}

// CommandsText returns the exact setup commands, where a plan changes them and PlanText
// describes them in words:
//
//	environment "acme-api" (En00000000000000000001): setup_commands
//	  git config --global --replace-all credential.https://bitbucket.org/.helper ...
func CommandsText(p reconcile.Plan) []string {
	var text []string
	for _, e := range p.Environments {
		for _, field := range e.Fields {
			if saysMore(field) {
				text = append(text, fmt.Sprintf("environment %s: %s", e.User, field.Name))
				for _, command := range field.New {
					text = append(text, "  "+strings.ReplaceAll(command, "\n", "\n  "))
				}
			}
		}
	}
	return text
}

// inWords returns the function that describes the lines of a field in words.
func inWords(f reconcile.Field) func(lines []string) []string {
	if f.Name == warp.KeySetupCommands {
		return setup.Words
	}
	return toTheLetter
}

func toTheLetter(lines []string) []string { return lines }

// saysMore reports whether a field's exact text differs from its words.
func saysMore(f reconcile.Field) bool {
	words := inWords(f)
	return !slices.Equal(words(f.Old), f.Old) || !slices.Equal(words(f.New), f.New)
}

// secretLines shows what happens to each secret, and what else reads it; nothing for a
// verification:
//
//	secret "BITBUCKET_API_TOKEN": rotate (its value cannot be read back, so each apply writes it)
//	  environment "acme-web" (En00000000000000000002) reads it too
func secretLines(p reconcile.Plan) []string {
	var text []string
	for _, s := range p.Secrets {
		if p.Mode == reconcile.Verification || s.Change == "" { // it will not be written
			continue
		}
		text = append(text, fmt.Sprintf("secret %q: %s%s", s.Name, s.Change, whySecret(p.Mode, s)))
		for _, user := range s.Others {
			text = append(text, fmt.Sprintf("  environment %s reads it too", user))
		}
	}
	return text
}

// environmentLine shows what happens to an environment, or that it uses the rotated secret.
func environmentLine(p reconcile.Plan, e reconcile.EnvironmentPlan) string {
	switch p.Mode {
	case reconcile.Rotation:
		return fmt.Sprintf("environment %s: uses the secret", e.User)
	case reconcile.Verification:
		return fmt.Sprintf("environment %s: test", e.User)
	}
	return fmt.Sprintf("environment %s: %s%s", e.User, e.Change, why(p.Mode, e.Change, e.Fields))
}

// why returns the reason for the change of an environment or a schedule, in brackets.
func why(mode reconcile.Mode, change reconcile.Change, fields []reconcile.Field) string {
	switch {
	case change == reconcile.Create:
		return " (none of this name exists)"
	case change == reconcile.Update:
		var names []string
		for _, field := range fields {
			names = append(names, field.Name)
		}
		return " (differs in " + strings.Join(names, ", ") + ")"
	case change == reconcile.Delete:
		return " (mode destroy)"
	case change == reconcile.Keep && mode == reconcile.Removal:
		return " (there is nothing to delete)"
	case change == reconcile.Keep:
		return " (nothing differs)"
	}
	return ""
}

// whySecret returns the reason for the change of a secret, in brackets.
func whySecret(mode reconcile.Mode, s reconcile.SecretPlan) string {
	switch {
	case s.Change == reconcile.Create:
		return " (none of this name exists)"
	case s.Change == reconcile.Rotate && mode == reconcile.Rotation:
		return " (to the new token" + age(s.Was) + ")"
	case s.Change == reconcile.Rotate:
		return " (its value cannot be read back, so each apply writes it" + age(s.Was) + ")"
	case s.Change == reconcile.Delete:
		return " (delete_secret, and nothing else reads it)"
	case s.Why != "":
		return " (" + s.Why + ")"
	}
	return ""
}

// age returns what a secret's note says, after a semicolon; "" without a note.
func age(n reconcile.Note) string {
	if text := n.String(); text != "" {
		return "; " + text
	}
	return ""
}

// difference lists the removed and the added lines, as words describes them. In a list it
// also shows the unchanged neighbours, because the order matters. A command of several lines
// continues below its first one.
func difference(f reconcile.Field, words func(lines []string) []string) []string {
	start := 0
	for start < min(len(f.Old), len(f.New)) && f.Old[start] == f.New[start] {
		start++
	}
	end := 0
	for end < min(len(f.Old), len(f.New))-start && f.Old[len(f.Old)-1-end] == f.New[len(f.New)-1-end] {
		end++
	}
	before, after := words(f.Old), words(f.New)
	var text []string
	list := func(sign string, lines []string) {
		for _, line := range lines {
			text = append(text, sign+strings.ReplaceAll(line, "\n", "\n"+sign+"  "))
		}
	}
	list("  ", after[:start])
	list("- ", before[start:len(before)-end])
	list("+ ", after[start:len(after)-end])
	list("  ", after[len(after)-end:])
	return text
}
