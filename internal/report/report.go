// Package report turns what happened into outputs, the words of a plan and a
// Markdown summary. It is pure.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// Facts are what a run of the program got to know and did, filled as far as it
// got.
type Facts struct {
	DryRun          bool
	SecretName      string
	EnvironmentName string
	Head            string // commit that Bitbucket serves
	Plan            *reconcile.Plan
	Applied         reconcile.Applied
	Verdict         smoketest.Verdict
	Expires         time.Time // of the token that is stored, or would be; zero: unknown
	Now             time.Time
	Environments    []Environment // of a rotation
	RolledBack      bool
	Stored          string // which value is stored after a rotation whose smoke test did not pass
	Err             error
}

// Environment is one that a rotation reached.
type Environment struct {
	ID      string           `json:"id"`
	Name    string           `json:"name"`
	Verdict smoketest.Result `json:"verdict"`
}

// Output is one output of the program: a single line of text.
type Output struct{ Name, Value string }

// Outputs lists every output in the order of the README. What was not reached
// is empty.
func (f Facts) Outputs() []Output {
	secret, environment := f.Applied.Secret, f.Applied.Environment
	id, name := f.Applied.EnvironmentID, cmp.Or(f.Applied.EnvironmentName, f.EnvironmentName)
	changed := ""
	if f.Plan != nil {
		id, name = cmp.Or(id, f.Plan.Environment.ID), cmp.Or(name, f.Plan.Environment.Name)
		if f.DryRun {
			secret, environment = f.Plan.Secret.Change, f.Plan.Environment.Change
		}
		if secret != "" || environment != "" {
			changed = strconv.FormatBool(secret == reconcile.Create ||
				environment == reconcile.Create || environment == reconcile.Update)
		}
	}
	var expires, days, rolledBack string
	if left, known := f.DaysLeft(); known {
		expires, days = f.Expires.UTC().Format(time.RFC3339), strconv.Itoa(left)
	}
	if f.Environments != nil {
		rolledBack = strconv.FormatBool(f.RolledBack)
		if id == "" && len(f.Environments) > 0 {
			id, name = f.Environments[0].ID, f.Environments[0].Name
		}
	}
	return []Output{
		{"environment_id", id},
		{"environment_name", name},
		{"environment_change", string(environment)},
		{"secret_name", f.SecretName},
		{"secret_change", string(secret)},
		{"changed", changed},
		{"smoke_test", string(f.Verdict.Result)},
		{"run_id", f.Verdict.Run.ID},
		{"run_state", string(f.Verdict.Run.State)},
		{"session_link", f.Verdict.Run.SessionLink},
		{"head_commit", f.Head},
		{"token_expires_at", expires},
		{"token_expires_in_days", days},
		{"environments", f.environments()},
		{"rolled_back", rolledBack},
	}
}

// DaysLeft is how many whole days the token has left, negative when it has
// expired. Known is false when nobody knows.
func (f Facts) DaysLeft() (days int, known bool) {
	if f.Expires.IsZero() {
		return 0, false
	}
	return int(math.Floor(f.Expires.Sub(f.Now).Hours() / 24)), true
}

// environments is JSON, empty outside a rotation:
//
//	[{"id":"En00000000000000000001","name":"acme-api","verdict":"passed"}]
func (f Facts) environments() string {
	if f.Environments == nil {
		return ""
	}
	text, err := json.Marshal(f.Environments)
	if err != nil {
		panic(err) // strings only
	}
	return string(text)
}

// PlanText is a plan in words, one line an element:
//
//	secret "BITBUCKET_API_TOKEN": rotate (its value cannot be read back)
//	environment "acme-api" (En00000000000000000001): update
//	  docker_image
//	    - ubuntu:22.04
//	    + ubuntu:24.04
func PlanText(p reconcile.Plan) []string {
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
	text := []string{secret, environment + ": " + string(p.Environment.Change)}
	for _, field := range p.Environment.Fields {
		text = append(text, "  "+field.Name)
		text = append(text, difference(field)...)
	}
	return text
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
// that stay are shown too, because their order counts.
func difference(f reconcile.Field) []string {
	var text []string
	before, after := f.Old, f.New
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		text = append(text, "      "+before[0])
		before, after = before[1:], after[1:]
	}
	var same []string
	for len(before) > 0 && len(after) > 0 && before[len(before)-1] == after[len(after)-1] {
		same = append([]string{"      " + before[len(before)-1]}, same...)
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	for _, line := range before {
		text = append(text, "    - "+line)
	}
	for _, line := range after {
		text = append(text, "    + "+line)
	}
	return append(text, same...)
}

// longestSummary keeps a summary far below GitHub's limit of 1 MiB.
const longestSummary = 64 << 10

// Summary is the Markdown of a job summary: outcome, plan, verdict and the next
// step. It holds nothing that an agent wrote.
func (f Facts) Summary() string {
	var text strings.Builder
	fmt.Fprintf(&text, "### oz-bitbucket: %s\n\n", f.headline())
	if f.Plan != nil {
		if f.DryRun {
			text.WriteString("Nothing was written. The plan:\n\n")
		}
		text.WriteString(fenced(strings.Join(PlanText(*f.Plan), "\n")))
		for _, warning := range f.Plan.Warnings {
			text.WriteString("\n> [!WARNING]\n> " + escape(warning) + "\n")
		}
	}
	text.WriteString("\n| output | value |\n|---|---|\n")
	for _, output := range f.Outputs() {
		if output.Value != "" {
			fmt.Fprintf(&text, "| `%s` | %s |\n", output.Name, escape(output.Value))
		}
	}
	if f.Verdict.Reason != "" {
		fmt.Fprintf(&text, "\nSmoke test: %s.\n", escape(f.Verdict.Reason))
	}
	if usage := f.Usage(); usage != "" {
		fmt.Fprintf(&text, "\n%s\n", usage)
	}
	if f.Err != nil {
		text.WriteString("\n" + fenced(f.Err.Error()))
	}
	summary := text.String()
	if len(summary) > longestSummary {
		summary = strings.ToValidUTF8(summary[:longestSummary], "") + "\n\n(cut)\n"
	}
	return summary
}

// Usage says what the smoke test's run used, empty when Oz does not tell.
func (f Facts) Usage() string {
	used := f.Verdict.Run.Usage
	if used.Credits == 0 && used.Tokens == 0 {
		return ""
	}
	return fmt.Sprintf("The smoke test used %.2f credits and %d tokens.", used.Credits, used.Tokens)
}

func (f Facts) headline() string {
	switch {
	case f.Err != nil:
		return "failed"
	case f.Plan == nil:
		return "nothing done"
	case f.DryRun && f.Plan.Changes():
		return "there is something to change"
	case f.DryRun:
		return "nothing to change"
	}
	return fmt.Sprintf("environment %s, smoke test %s", cmp.Or(string(f.Applied.Environment), "not written"), cmp.Or(string(f.Verdict.Result), "not run"))
}

// fenced is a code block that its own text cannot end.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + text + "\n" + fence + "\n"
}

// escape makes text inert in Markdown, also inside a table.
func escape(text string) string {
	var safe strings.Builder
	for _, r := range text {
		switch {
		case r == '\n':
			safe.WriteByte(' ')
			continue
		case strings.ContainsRune("\\`*_{}[]<>()#|!~@", r):
			safe.WriteByte('\\')
		}
		safe.WriteRune(r)
	}
	return safe.String()
}
