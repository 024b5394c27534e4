package report

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
)

// integrationsPage connects Slack and Linear. It needs a browser.
//
// Source: https://docs.warp.dev/platform/integrations/quickstart
const integrationsPage = "https://oz.warp.dev/integrations"

// Bounds of a summary in bytes, and of an unfolded field in lines. GitHub accepts 1 MiB from
// a step, but so much is not readable; the log has the rest.
const (
	longestSummary = 64 << 10
	longestBlock   = 8 << 10 // an error, a field
	longestWords   = 1 << 10 // a reason, a warning
	openLines      = 12      // a longer field is folded
)

// Summary returns the Markdown of a job summary: outcome, verdict, next step, warnings, and
// the changes field by field. It has at most 64 KiB, and with many environments less than
// 1 MiB, and is cut between its parts. It holds nothing that an agent wrote. took is how long
// the program ran.
//
// Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
func (f Facts) Summary(took time.Duration) string {
	parts := []string{"### oz-bitbucket: " + f.Headline() + "\n"}
	if f.Err != nil {
		parts = append(parts, fenced("text", f.errors()))
	}
	if f.Many {
		parts = append(parts, tablesOfMany(f.environments()))
	} else {
		parts = append(parts, f.facts(took))
	}
	if next, command := f.next(); next != "" {
		text := "**Next:** " + markdown(next)
		if command != "" {
			text += ": " + code(command)
		}
		parts = append(parts, text+"\n")
	}
	if f.is(reconcile.Provision) && f.Err == nil && !f.Many && !f.DryRun && len(f.Plan.Environments) > 0 {
		parts = append(parts, "Slack and Linear can start agents in this environment too: [connect one](<"+integrationsPage+">).\n")
	}
	if f.Plan != nil {
		warnings := f.Plan.Warnings
		if more := len(warnings) - mostWarnings; more > 0 {
			warnings = append(slices.Clip(warnings[:mostWarnings]), "the log has "+plural.Of(more, "more warning"))
		}
		for _, warning := range warnings {
			parts = append(parts, "> [!WARNING]\n> "+markdown(warning)+"\n")
		}
	}
	if f.Plan != nil && !f.Many {
		parts = append(parts, f.changed()...)
	}
	if list := f.environments(); f.isRotation() && len(list) > 0 && !f.Many {
		parts = append(parts, tested(list))
	}
	if f.Plan != nil {
		if drawn := graph(*f.Plan); drawn != "" {
			parts = append(parts, drawn)
		}
	}
	longest := longestSummary
	if f.Many && f.Plan != nil {
		longest = longestOfMany
		parts = append(parts, f.changedOfMany(f.changesTitle())...)
	}
	const cut = "The rest is in the log.\n"
	summary := parts[0]
	for _, part := range parts[1:] {
		if len(summary)+1+len(part)+1+len(cut) > longest {
			return summary + "\n" + cut
		}
		summary += "\n" + part
	}
	return summary
}

// errors returns the error, or each mistake in the inputs on lines of its own. Foreign text
// never begins a line.
func (f Facts) errors() string {
	var list []string
	for _, p := range problem.All(f.Err) {
		list = append(list, redact.Lines(p.Error()))
	}
	if list == nil {
		return redact.Lines(f.Err.Error())
	}
	return strings.Join(list, "\n")
}

// facts returns the table of what exists now.
func (f Facts) facts(took time.Duration) string {
	var rows strings.Builder
	row := func(name string, cells ...string) {
		for _, cell := range cells {
			if cell == "" {
				return
			}
		}
		fmt.Fprintf(&rows, "| %s | %s |\n", name, strings.Join(cells, " "))
	}
	values := make(map[string]string)
	for _, output := range f.Outputs() {
		values[output.Name] = code(output.Value)
	}
	if !f.isRotation() {
		row("environment", values["environment_name"])
		row("`environment_id`", values["environment_id"])
	}
	row("secret", values["secret_name"])
	if days, known := f.DaysLeft(); known {
		left := "(in " + plural.Of(days, "day") + ")"
		if days < 0 {
			left = "(it has expired)"
		}
		row("token expires", f.Expires.UTC().Format(time.DateOnly), left)
	}
	row("commit", values["head_commit"])
	row("`schedule_id`", values["schedule_id"])
	row("smoke test", f.verdict())
	row("run", values["run_id"], values["run_state"])
	row("took", took.Round(time.Second).String())
	return "| | |\n|---|---|\n" + rows.String()
}

// verdict returns the smoke test's verdict with a link to the session.
func (f Facts) verdict() string {
	text := strings.ReplaceAll(string(f.Verdict.Result), "_", " ")
	if f.Verdict.Reason != "" {
		text += ": " + markdown(f.Verdict.Reason)
	}
	if usage := f.Usage(); usage != "" {
		text += ". " + usage
	}
	if at := link("Open the session", f.Verdict.Run.SessionLink); at != "" {
		text += "<br>" + at
	}
	return text
}

// changesTitle returns the title above the changes.
func (f Facts) changesTitle() string {
	switch {
	case f.DryRun:
		return "What would change"
	case f.is(reconcile.Verification):
		return "What was tested"
	case f.Err != nil:
		return "What was planned"
	}
	return "What changed"
}

// changed lists the changes, one part a field.
func (f Facts) changed() []string {
	var list string
	list += items(secretLines(*f.Plan))
	var fields []string
	for _, e := range f.Plan.Environments {
		if f.isRotation() || e.Err != nil { // a table has these
			continue
		}
		list += "- " + markdown(environmentLine(*f.Plan, e)) + "\n"
		list += items(connectionLines(e))
		for _, field := range e.Fields {
			fields = append(fields, fieldText(field))
		}
		for _, s := range e.Schedules {
			list += items(scheduleLines(*f.Plan, s))
			for _, field := range s.Fields {
				field.Name = "schedule: " + field.Name
				fields = append(fields, fieldText(field))
			}
		}
	}
	for _, note := range f.Plan.Notes {
		list += items([]string{note})
	}
	if list == "" { // nothing was planned
		return nil
	}
	if len(f.Factory) > 0 {
		fields = append(fields, "factory\n\n"+fenced("diff", strings.Join(f.Factory, "\n")))
	}
	return append([]string{"#### " + f.changesTitle() + "\n\n" + list}, fields...)
}

// items returns lines as a list that keeps their indents.
func items(lines []string) string {
	var list strings.Builder
	for _, line := range lines {
		text := strings.TrimLeft(line, " ")
		list.WriteString(line[:len(line)-len(text)] + "- " + markdown(text) + "\n")
	}
	return list.String()
}

// tested returns the environments of a rotation as a table.
func tested(list []environment) string {
	var text strings.Builder
	text.WriteString("| environment | ID | smoke test |\n|---|---|---|\n")
	for i, e := range list {
		if text.Len() > longestBlock {
			fmt.Fprintf(&text, "| %d more | | |\n", len(list)-i)
			break
		}
		fmt.Fprintf(&text, "| %s | %s | %s |\n", code(e.Name), code(e.ID), markdown(strings.ReplaceAll(string(e.Verdict), "_", " ")))
	}
	return text.String()
}

// fieldText returns a field's difference, folded when it is long, and its exact text in a
// fold of its own.
func fieldText(field reconcile.Field) string {
	text := strings.Join(difference(field, inWords(field)), "\n")
	var block string
	if lines := strings.Count(text, "\n") + 1; lines <= openLines {
		block = code(field.Name) + "\n\n" + fenced("diff", text)
	} else {
		block = folded(field.Name, plural.Of(lines, "line"), text)
	}
	if saysMore(field) {
		block += "\n" + folded(field.Name, "exact text", strings.Join(difference(field, toTheLetter), "\n"))
	}
	return block
}

// folded returns a difference that the reader can open. Inside HTML, Markdown begins after a
// blank line.
func folded(name, remark, text string) string {
	return fmt.Sprintf("<details><summary><code>%s</code>, %s</summary>\n\n%s\n</details>\n", html.EscapeString(redact.Shown(name)), remark, fenced("diff", text))
}

// fenced returns a code block that its own text cannot end.
func fenced(language, text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = redact.Shown(line)
	}
	text = shortened(strings.Join(lines, "\n"), longestBlock, "\n... (the log has the rest)")
	fence := fence(text, 3)
	return fence + language + "\n" + text + "\n" + fence + "\n"
}

// markdown returns text that is inert in Markdown, also inside a table.
func markdown(text string) string {
	return escape(shortened(redact.OneLine(text), longestWords, " ... (the log has the rest)"))
}

// shortened returns text; when it is longer than limit bytes, it is cut and ends with more.
func shortened(text string, limit int, more string) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + more
}

// code returns text as a code span that may be in a table; empty text stays empty. Text with
// a backslash before "|" has no span: inside one, some readers of Markdown read the two
// backslashes as one, and the "|" as the end of the cell.
func code(text string) string {
	text = redact.Shown(text)
	switch {
	case text == "":
		return ""
	case strings.Contains(text, `\|`):
		return escape(text)
	}
	fence := fence(text, 1)
	if len(fence) > 1 {
		text = " " + text + " "
	}
	return fence + strings.ReplaceAll(text, "|", `\|`) + fence
}

// fence returns the shortest run of backquotes, at least least, that is longer than any in
// text.
func fence(text string, least int) string {
	longest, run := least-1, 0
	for i := range len(text) {
		if run++; text[i] != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	return strings.Repeat("`", longest+1)
}

// link returns a Markdown link; "" when the address is not an http or https URL with a host
// and without a user.
func link(text, address string) string {
	page, err := url.Parse(address)
	if err != nil || page.Host == "" || page.User != nil || page.Scheme != "https" && page.Scheme != "http" {
		return ""
	}
	return "[" + text + "](<" + strings.NewReplacer("<", "%3C", ">", "%3E", `\`, "%5C", "|", "%7C", "\n", "").Replace(page.String()) + ">)"
}

// escape makes the characters of text inert in Markdown, also inside a table. It does not
// escape characters that mean something only at the beginning of a line. It keeps GitHub from
// turning https://x and www.x into links.
//
// Source: https://github.github.com/gfm/#autolinks-extension-
func escape(text string) string {
	var safe strings.Builder
	for _, r := range text {
		switch {
		case r == '&':
			safe.WriteString("&amp;")
			continue
		case strings.ContainsRune("\\`*_[]<>#|~@", r):
			safe.WriteByte('\\')
		}
		safe.WriteRune(r)
	}
	return www.ReplaceAllString(strings.ReplaceAll(safe.String(), "://", `\://`), `$1\.`)
}

var www = regexp.MustCompile(`(?i)(www)\.`)
