package report

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// Bounds of a summary. GitHub takes 1 MiB from a step; what nobody reads is left
// to the log.
const (
	longestSummary = 64 << 10
	longestError   = 8 << 10
	longestField   = 8 << 10
	openLines      = 12 // a longer field is folded up
)

// Summary is the Markdown of a job summary, at most 64 KiB: outcome, verdict,
// next step, what changes field by field, warnings. It holds nothing that an
// agent wrote. took is how long the program ran.
//
// Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
func (f Facts) Summary(took time.Duration) string {
	var text strings.Builder
	fmt.Fprintf(&text, "### oz-bitbucket: %s\n\n", escape(f.Headline()))
	if f.Err != nil {
		text.WriteString(fenced("text", f.Err.Error(), longestError) + "\n")
	}
	text.WriteString(f.facts(took))
	if next := f.next(); next != "" {
		fmt.Fprintf(&text, "\n**Next:** %s\n", next)
	}
	var tail strings.Builder
	if f.Plan != nil {
		for _, warning := range f.Plan.Warnings {
			tail.WriteString("\n> [!WARNING]\n> " + escape(warning) + "\n")
		}
		tail.WriteString(f.changed())
	}
	const cut = "\n\nThe rest is in the log.\n"
	if text.Len()+tail.Len() > longestSummary {
		// Ends what a cut may leave open: a fence and a folded part.
		return strings.ToValidUTF8((text.String() + tail.String())[:longestSummary-100], "") + "\n``````\n\n</details>\n" + cut
	}
	return text.String() + tail.String()
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
	row("environment", values["environment_name"])
	row("`environment_id`", values["environment_id"])
	row("secret", values["secret_name"])
	row("commit", values["head_commit"])
	row("smoke test", f.verdict())
	row("run", values["run_id"], values["run_state"])
	row("took", took.Round(time.Second).String())
	return "| | |\n|---|---|\n" + rows.String()
}

// verdict is the judgement with a link to the session.
func (f Facts) verdict() string {
	text := strings.ReplaceAll(string(f.Verdict.Result), "_", " ")
	if f.Verdict.Reason != "" {
		text += ": " + escape(f.Verdict.Reason)
	}
	if usage := f.Usage(); usage != "" {
		text += ". " + usage
	}
	if at := link("Open the session", f.Verdict.Run.SessionLink); at != "" {
		text += "<br>" + at
	}
	return text
}

// next is what the reader can do now, as Markdown.
func (f Facts) next() string {
	switch {
	case f.Err != nil && f.Plan == nil:
		return "mend what the message names and run the job again."
	case f.Err != nil:
		return "run the job again; it goes on from what is there."
	case f.DryRun && f.Plan != nil && f.Plan.Changes():
		return "run with `mode: apply` to make it so. This was a plan: nothing was written."
	case f.DryRun:
		return ""
	}
	switch f.Verdict.Result {
	case smoketest.Passed, smoketest.Skipped:
		return "start agents with the output `environment_id`."
	case smoketest.Failed, smoketest.TimedOut:
		return "look into the session, mend the cause and run the job again. The secret and the environment are written and stay."
	case smoketest.Cancelled:
		return "run the job again. The secret and the environment are written and stay."
	}
	return ""
}

// changed lists what changes, one part a field. Long fields are folded up.
func (f Facts) changed() string {
	var text strings.Builder
	text.WriteString("\n#### What changed\n\n")
	if f.DryRun {
		text.Reset()
		text.WriteString("\n#### What would change\n\n")
	}
	for _, line := range changes(*f.Plan) {
		text.WriteString("- " + escape(line) + "\n")
	}
	for _, field := range f.Plan.Environment.Fields {
		text.WriteString("\n" + fieldText(field))
	}
	return text.String()
}

func fieldText(field reconcile.Field) string {
	lines := strings.Split(strings.Join(difference(field), "\n"), "\n")
	block := fenced("diff", strings.Join(lines, "\n"), longestField)
	if len(lines) <= openLines {
		return "**" + escape(field.Name) + "**\n\n" + block
	}
	return fmt.Sprintf("<details><summary><b>%s</b>, %d lines</summary>\n\n%s\n</details>\n", escape(field.Name), len(lines), block)
}

// fenced is a code block that its own text, cut to limit bytes, cannot end.
func fenced(language, text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "\n... (the log has the rest)"
	}
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + language + "\n" + text + "\n" + fence + "\n"
}

// code is text as a code span that may stand in a table; empty text stays
// empty.
func code(text string) string {
	if text == "" {
		return ""
	}
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		text = " " + text + " "
	}
	return fence + strings.ReplaceAll(text, "|", `\|`) + fence
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

// escape makes text inert in Markdown, also inside a table.
func escape(text string) string {
	var safe strings.Builder
	for _, r := range text {
		switch {
		case r < ' ':
			safe.WriteByte(' ')
			continue
		case r == '&':
			safe.WriteString("&amp;")
			continue
		case strings.ContainsRune("\\`*_{}[]<>()#|!~@", r):
			safe.WriteByte('\\')
		}
		safe.WriteRune(r)
	}
	return safe.String()
}
