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

// Bounds of a summary in bytes, and of an unfolded field in lines. GitHub takes
// 1 MiB from a step; what nobody reads is left to the log.
const (
	longestSummary = 64 << 10
	longestBlock   = 8 << 10 // an error, a field
	longestWords   = 1 << 10 // a reason, a warning
	openLines      = 12      // a longer field is folded up
)

// Summary is the Markdown of a job summary, at most 64 KiB, and of many environments less
// than 1 MiB, which is cut between its parts: outcome, verdict,
// next step, what changes field by field, warnings. It holds nothing that an
// agent wrote. took is how long the program ran.
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
		parts = append(parts, "Slack or Linear start agents in it too: [connect one](<"+integrationsPage+">).\n")
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

// errors are the error, or each mistake in the inputs on lines of its own. What
// is foreign in one begins no line.
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

// facts is the table of what there is now.
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

// verdict is the judgement with a link to the session.
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

// changesTitle stands above what changes.
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

// changed lists what changes, one part a field.
func (f Facts) changed() []string {
	var list string
	list += items(secretLines(*f.Plan))
	var fields []string
	for _, e := range f.Plan.Environments {
		if f.isRotation() || e.Err != nil { // which stand in a table
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

// items are lines as a list, whose indents stay.
func items(lines []string) string {
	var list strings.Builder
	for _, line := range lines {
		text := strings.TrimLeft(line, " ")
		list.WriteString(line[:len(line)-len(text)] + "- " + markdown(text) + "\n")
	}
	return list.String()
}

// tested lists the environments of a rotation, as a table.
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

// fieldText is a field's difference, folded up when it is long, and what it says to
// the letter in a fold of its own.
func fieldText(field reconcile.Field) string {
	text := strings.Join(difference(field, inWords(field)), "\n")
	var block string
	if lines := strings.Count(text, "\n") + 1; lines <= openLines {
		block = code(field.Name) + "\n\n" + fenced("diff", text)
	} else {
		block = folded(field.Name, plural.Of(lines, "line"), text)
	}
	if saysMore(field) {
		block += "\n" + folded(field.Name, "to the letter", strings.Join(difference(field, toTheLetter), "\n"))
	}
	return block
}

// folded is a difference that opens when it is asked for. Inside the HTML there is
// no Markdown before the blank line.
func folded(name, remark, text string) string {
	return fmt.Sprintf("<details><summary><code>%s</code>, %s</summary>\n\n%s\n</details>\n", html.EscapeString(redact.Shown(name)), remark, fenced("diff", text))
}

// fenced is a code block that its own text cannot end.
func fenced(language, text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = redact.Shown(line)
	}
	text = shortened(strings.Join(lines, "\n"), longestBlock, "\n... (the log has the rest)")
	fence := fence(text, 3)
	return fence + language + "\n" + text + "\n" + fence + "\n"
}

// markdown is text that is inert in Markdown, also inside a table.
func markdown(text string) string {
	return escape(shortened(redact.OneLine(text), longestWords, " ... (the log has the rest)"))
}

// shortened is text, cut to limit bytes and ended with more when it is longer.
func shortened(text string, limit int, more string) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + more
}

// code is text as a code span that may stand in a table; empty text stays
// empty. One with a backslash before "|" stands without the span: there some readers
// of Markdown take the two backslashes for one, and the "|" for the end of the cell.
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

// fence is the shortest run of backquotes, of least or more, that is longer than any
// in text.
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

// link is a Markdown link, or empty when there is no address, or one that is
// not plainly a web page's.
func link(text, address string) string {
	page, err := url.Parse(address)
	if err != nil || page.Host == "" || page.User != nil || page.Scheme != "https" && page.Scheme != "http" {
		return ""
	}
	return "[" + text + "](<" + strings.NewReplacer("<", "%3C", ">", "%3E", `\`, "%5C", "|", "%7C", "\n", "").Replace(page.String()) + ">)"
}

// escape makes the characters of text inert in Markdown, also inside a table.
// Characters that mean something only at the beginning of a line stay. What GitHub
// makes a link of by itself, https://x and www.x, stays text.
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
