package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
)

// FleetText is the plan of many entries in words: what changes as in PlanText, what stands
// against an entry, and the rest counted.
//
//	secret "BITBUCKET_API_TOKEN": rotate (its value cannot be read back)
//	environment "acme-api" (En00000000000000000001): update
//	  docker_image
//	    - ubuntu:22.04
//	    + ubuntu:24.04
//	environment "acme-web": failed: ...
//	2 to create, 1 to update, 496 unchanged, 1 failed, 1 secret to rotate
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
	text := append(PlanText(shown), failed...)
	return append(text, counted(p))
}

// changes reports whether anything of an environment changes.
func changes(e reconcile.EnvironmentPlan) bool {
	return reconcile.Plan{Environments: []reconcile.EnvironmentPlan{e}}.Changes()
}

// counted says how many environments and secrets of a plan change in which way.
func counted(p reconcile.Plan) string {
	var create, update, remove, kept, failed int
	for _, e := range p.Environments {
		switch {
		case e.Err != nil:
			failed++
		case e.Change == reconcile.Create:
			create++
		case e.Change == reconcile.Delete:
			remove++
		case changes(e):
			update++
		default:
			kept++
		}
	}
	secrets := map[reconcile.Change]int{}
	for _, s := range p.Secrets {
		secrets[s.Change]++
	}
	parts := counts{}
	parts.add(create, "to create")
	parts.add(update, "to update")
	parts.add(remove, "to delete")
	parts.add(kept, "unchanged")
	parts.add(failed, "failed")
	parts.add(secrets[reconcile.Create], secretWord(secrets[reconcile.Create])+" to create")
	parts.add(secrets[reconcile.Rotate], secretWord(secrets[reconcile.Rotate])+" to rotate")
	parts.add(secrets[reconcile.Delete], secretWord(secrets[reconcile.Delete])+" to delete")
	return strings.Join(parts, ", ")
}

// counts are numbers of things, without those of which there is none.
type counts []string

func (c *counts) add(n int, what string) {
	if n > 0 {
		*c = append(*c, fmt.Sprintf("%d %s", n, what))
	}
}

func secretWord(n int) string {
	if n == 1 {
		return "secret"
	}
	return "secrets"
}

// headlineOfMany is the outcome of many entries in one line:
//
//	2 created, 1 updated, 496 unchanged, 1 failed; smoke tests passed
func (f Facts) headlineOfMany() string {
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
	parts := counts{}
	for _, what := range []string{"created", "updated", "deleted", "unchanged", "failed", "not reached"} {
		parts.add(done[what], what)
	}
	text := cmp.Or(strings.Join(parts, ", "), "nothing to do")
	if result := f.Verdict.Result; result != "" && !f.is(reconcile.Removal) {
		text += "; smoke test " + strings.ReplaceAll(string(result), "_", " ")
	}
	return text
}

// tableOfMany lists many environments, those that failed or changed first.
func tableOfMany(list []environment) string {
	rank := func(e environment) int {
		switch {
		case e.Error != "":
			return 0
		case e.Change.IsVisible():
			return 1
		}
		return 2
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b environment) int { return rank(a) - rank(b) })
	var text strings.Builder
	text.WriteString("| environment | ID | change | smoke test | error |\n|---|---|---|---|---|\n")
	for i, e := range list {
		if text.Len() > longestTable {
			fmt.Fprintf(&text, "| %d more | | | | |\n", len(list)-i)
			break
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", code(e.Name), code(e.ID), e.Change,
			markdown(strings.ReplaceAll(string(e.Verdict), "_", " ")), markdown(shortened(e.Error, longestCell, " ...")))
	}
	return text.String()
}

const (
	longestTable = 48 << 10 // bytes
	longestCell  = 200
)
