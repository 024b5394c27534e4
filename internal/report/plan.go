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
	text := changes(p)
	for _, field := range p.Environment.Fields {
		text = append(text, "  "+field.Name)
		for _, line := range difference(field) {
			text = append(text, "    "+strings.ReplaceAll(line, "\n", "\n    "))
		}
	}
	return text
}

// changes says what happens to the secret and to the environment, or whom a
// rotation reaches, one line each.
func changes(p reconcile.Plan) []string {
	secret := fmt.Sprintf("secret %q: %s", p.Secret.Name, p.Secret.Change)
	if p.Secret.Change == reconcile.Rotate {
		secret += " (its value cannot be read back" + age(p.Secret.Was) + ")"
	}
	if p.Environment.Change == "" {
		return append([]string{secret}, users(p.Users)...)
	}
	environment := fmt.Sprintf("environment %q", p.Environment.Name)
	if p.Environment.ID != "" {
		environment += fmt.Sprintf(" (%s)", p.Environment.ID)
	}
	return []string{secret, environment + ": " + string(p.Environment.Change)}
}

// age is what a secret's note says, after a semicolon.
func age(n reconcile.Note) string {
	if text := n.String(); text != "" {
		return "; " + text
	}
	return ""
}

// users lists the environments that a rotation reaches:
//
//	environment "acme-api" (En00000000000000000001): uses the secret
func users(environments []reconcile.Candidate) []string {
	var text []string
	for _, e := range environments {
		text = append(text, fmt.Sprintf("environment %q (%s): uses the secret", e.Model.Name(), e.UID))
	}
	return text
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
