package report

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
)

// FleetText returns the plan of many entries in words: changes as in PlanText, the errors of
// entries, and a count of the rest.
//
//	secret "BITBUCKET_API_TOKEN": rotate (its value cannot be read back, so each apply writes it)
//	environment "acme-api" (En00000000000000000001): update (differs in docker_image)
//	  docker_image
//	    - ubuntu:22.04
//	    + ubuntu:24.04
//	environment "acme-web": failed: ...
//	Plan: 2 to create, 1 to update, 496 unchanged, 1 failed, 1 secret to rotate
func FleetText(p reconcile.Plan) []string {
	shown := p
	shown.Environments = nil
	var failed []string
	for _, e := range p.Environments {
		switch {
		case e.Err != nil:
			failed = append(failed, fmt.Sprintf("environment %s: failed: %v", e.User, e.Err))
		case changes(e):
			shown.Environments = append(shown.Environments, e)
		}
	}
	return append(append(planLines(shown), failed...), total(p))
}

// changes reports whether anything of an environment changes.
func changes(e reconcile.EnvironmentPlan) bool {
	return reconcile.Plan{Environments: []reconcile.EnvironmentPlan{e}}.Changes()
}

// counted returns how many environments, secrets and schedules a plan changes, by change.
func counted(p reconcile.Plan) string {
	var create, update, remove, test, kept, failed int
	secrets, schedules := map[reconcile.Change]int{}, map[reconcile.Change]int{}
	for _, e := range p.Environments {
		for _, s := range e.Schedules {
			schedules[s.Change]++
		}
		switch {
		case e.Err != nil:
			failed++
		case p.Mode == reconcile.Verification:
			test++
		case e.Change == reconcile.Create:
			create++
		case e.Change == reconcile.Delete:
			remove++
		case e.Change == reconcile.Update:
			update++
		default:
			kept++
		}
	}
	for _, s := range p.Secrets {
		secrets[s.Change]++
	}
	parts := counts{}
	parts.add(create, "to create")
	parts.add(update, "to update")
	parts.add(remove, "to delete")
	parts.add(test, "to test")
	parts.add(kept, "unchanged")
	parts.add(failed, "failed")
	for _, change := range []reconcile.Change{reconcile.Create, reconcile.Rotate, reconcile.Delete} {
		if n := secrets[change]; n > 0 {
			parts = append(parts, plural.Of(n, "secret")+" to "+string(change))
		}
	}
	for _, change := range []reconcile.Change{reconcile.Create, reconcile.Update, reconcile.Delete} {
		if n := schedules[change]; n > 0 {
			parts = append(parts, plural.Of(n, "schedule")+" to "+string(change))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing to do")
}

// counts are numbers of things, without zeros.
type counts []string

func (c *counts) add(n int, what string) {
	if n > 0 {
		*c = append(*c, fmt.Sprintf("%d %s", n, what))
	}
}

// headlineOfMany returns the outcome of many entries in one line:
//
//	2 created, 1 updated, 496 unchanged, 1 failed; smoke tests passed
func (f Facts) headlineOfMany() string {
	parts, done := counts{}, f.fates()
	for _, what := range allFates {
		parts.add(done[what], what)
	}
	text := cmp.Or(strings.Join(parts, ", "), "nothing to do")
	if result := f.Verdict.Result; result != "" && !f.is(reconcile.Removal) {
		text += "; smoke test " + strings.ReplaceAll(string(result), "_", " ")
	}
	return text
}

var allFates = []string{"created", "updated", "deleted", "unchanged", "failed", "not reached"}

// fates counts the outcomes of the environments, by the words of allFates.
func (f Facts) fates() map[string]int {
	done := map[string]int{}
	for _, e := range f.environments() {
		switch {
		case e.Error != "":
			done["failed"]++
		case e.Change == reconcile.Create:
			done["created"]++
		case e.Change == reconcile.Update:
			done["updated"]++
		case e.Change == reconcile.Delete:
			done["deleted"]++
		case e.Change == reconcile.Keep:
			done["unchanged"]++
		default:
			done["not reached"]++
		}
	}
	return done
}

// Bounds of a summary of many environments, in bytes, and then in numbers.
const (
	longestOfMany = 1000 << 10 // the whole; GitHub drops one of more than 1 MiB
	longestTable  = 500 << 10  // both tables
	longestCell   = 160
	openRows      = 20 // up to so many unchanged environments are not folded
	openChanges   = 10 // with more changes, each is folded
	mostWarnings  = 50
)

// tablesOfMany lists many environments: first those that failed, changed or were not
// reached, then the others, which are folded when they are many.
func tablesOfMany(list []environment) string {
	rank := func(e environment) int {
		switch {
		case e.Error != "", e.Verdict != "" && !e.Verdict.IsGood():
			return 0
		case e.Change == "":
			return 1
		case e.Change.IsVisible():
			return 2
		}
		return 3
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b environment) int { return rank(a) - rank(b) })
	at := slices.IndexFunc(list, func(e environment) bool { return rank(e) == 3 })
	if at < 0 || len(list)-at <= openRows {
		return tableOfMany(list, longestTable)
	}
	var open string
	if at > 0 {
		open = tableOfMany(list[:at], longestTable) + "\n"
	}
	kept := tableOfMany(list[at:], longestTable-len(open))
	return open + fmt.Sprintf("<details><summary>%d unchanged</summary>\n\n%s\n</details>\n", len(list)-at, kept)
}

// tableOfMany returns a table of at most limit bytes. When rows are left out, one more row
// counts them.
func tableOfMany(list []environment, limit int) string {
	var text strings.Builder
	text.WriteString("| environment | ID | change | smoke test | error |\n|---|---|---|---|---|\n")
	for i, e := range list {
		row := fmt.Sprintf("| %s | %s | %s | %s | %s |\n", code(shortened(e.Name, longestCell, "...")), code(shortened(e.ID, longestCell, "...")), e.Change,
			e.verdict(), markdown(shortened(e.Error, longestCell, " ...")))
		if text.Len()+len(row) > limit {
			fmt.Fprintf(&text, "| %d more | | | | |\n", len(list)-i)
			break
		}
		text.WriteString(row)
	}
	return text.String()
}

// verdict returns the verdict of the smoke test. If the test did not pass, the reason and a
// link to the session follow.
func (e environment) verdict() string {
	text := strings.ReplaceAll(string(e.Verdict), "_", " ")
	if e.Verdict == "" || e.Verdict.IsGood() {
		return text
	}
	text += ": " + markdown(shortened(e.tested.Reason, longestCell, " ..."))
	if at := link("session", e.tested.Run.SessionLink); at != "" && len(at) < longestWords {
		text += " " + at
	}
	return text
}

// changedOfMany lists what changes, one part for each environment. A summary that is too
// long is cut between parts.
func (f Facts) changedOfMany(title string) []string {
	parts := []string{"#### " + title + "\n\n" + items(secretLines(*f.Plan)) + items(f.Plan.Notes)}
	var changed []reconcile.EnvironmentPlan
	for _, e := range f.Plan.Environments {
		if e.Err == nil && changes(e) {
			changed = append(changed, e)
		}
	}
	for _, e := range changed {
		lines := connectionLines(e)
		var fields []string
		for _, field := range e.Fields {
			fields = append(fields, fieldText(field))
		}
		for _, s := range e.Schedules {
			lines = append(lines, scheduleLines(*f.Plan, s)...)
			for _, field := range s.Fields {
				field.Name = "schedule: " + field.Name
				fields = append(fields, fieldText(field))
			}
		}
		head, block := environmentLine(*f.Plan, e), strings.Join(fields, "\n")
		if len(lines) > 0 {
			block = items(lines) + "\n" + block
		}
		if len(changed) > openChanges {
			parts = append(parts, "<details><summary>"+html.EscapeString(shortened(redact.OneLine(head), longestWords, "..."))+"</summary>\n\n"+block+"\n</details>\n")
		} else {
			parts = append(parts, "- "+markdown(head)+"\n\n"+block)
		}
	}
	if len(parts) == 1 && strings.HasSuffix(parts[0], "\n\n") { // nothing was planned
		return nil
	}
	return parts
}
