package report

import (
	"fmt"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
)

// PlanText is a plan in words, one element a line, which may hold line feeds:
//
//	secret "BITBUCKET_API_TOKEN": rotate (its value cannot be read back)
//	environment "acme-api" (En00000000000000000001): update
//	  docker_image
//	    - ubuntu:22.04
//	    + ubuntu:24.04
func PlanText(p reconcile.Plan) []string {
	text := secretLines(p)
	for _, e := range p.Environments {
		text = append(text, environmentLine(p, e))
		for _, field := range e.Fields {
			text = append(text, "  "+field.Name)
			for _, line := range difference(field) {
				text = append(text, "    "+strings.ReplaceAll(line, "\n", "\n    "))
			}
		}
	}
	return text
}

// secretLines say what happens to each secret, and who else reads it:
//
//	secret "BITBUCKET_API_TOKEN": rotate (its value cannot be read back)
//	  environment "acme-web" (En00000000000000000002) reads it too
func secretLines(p reconcile.Plan) []string {
	var text []string
	for _, s := range p.Secrets {
		line := fmt.Sprintf("secret %q: %s", s.Name, s.Change)
		if s.Change == reconcile.Rotate {
			line += " (its value cannot be read back" + age(s.Was) + ")"
		}
		text = append(text, line)
		for _, user := range s.Others {
			text = append(text, fmt.Sprintf("  environment %s reads it too", user))
		}
	}
	return text
}

// environmentLine says what happens to an environment, or that a rotation is
// about it.
func environmentLine(p reconcile.Plan, e reconcile.EnvironmentPlan) string {
	if p.Mode == reconcile.Rotation {
		return fmt.Sprintf("environment %s: uses the secret", e.User)
	}
	return fmt.Sprintf("environment %s: %s", e.User, e.Change)
}

// age is what a secret's note says, after a semicolon.
func age(n reconcile.Note) string {
	if text := n.String(); text != "" {
		return "; " + text
	}
	return ""
}

// difference lists the lines that go and the lines that come; in a list, those
// before and after that stay are shown too, because their order counts. A
// command of several lines goes on below its first one.
func difference(f reconcile.Field) []string {
	before, after := f.Old, f.New
	start := 0
	for start < min(len(before), len(after)) && before[start] == after[start] {
		start++
	}
	end := 0
	for end < min(len(before), len(after))-start && before[len(before)-1-end] == after[len(after)-1-end] {
		end++
	}
	var text []string
	list := func(sign string, lines []string) {
		for _, line := range lines {
			text = append(text, sign+strings.ReplaceAll(line, "\n", "\n"+sign+"  "))
		}
	}
	list("  ", before[:start])
	list("- ", before[start:len(before)-end])
	list("+ ", after[start:len(after)-end])
	list("  ", after[len(after)-end:])
	return text
}
