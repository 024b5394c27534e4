//go:build !race

package report_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// TestALargeReportStaysBelowTheLimits: every entry of the longest manifest fails with the
// longest error, in which each character is escaped.
func TestALargeReportStaysBelowTheLimits(t *testing.T) {
	t.Parallel()
	f := report.Facts{Mode: "apply", Many: true, ExitCode: 1, Err: errors.New("10000 of 10000 environments failed"), Plan: &reconcile.Plan{Mode: reconcile.Provision}, Manifest: "oz.yml"}
	for i := range 10_000 {
		long := fmt.Sprint(i, " ", strings.Repeat("<\"&\n", 500))
		e := reconcile.Unplanned("", long, errors.New(long))
		e.Fields = []reconcile.Field{{Name: long}}
		f.Plan.Environments = append(f.Plan.Environments, e)
	}
	text := reported(t, f, ".xml")
	assert.Less(t, len(text), 30_000_000)
	list := readGitLab(t, text)
	require.Len(t, list, 10_000)
	assert.Equal(t, "failure", list[9999].status)
	assert.True(t, strings.HasSuffix(list[0].text, " ..."))
}

// TestInsightsKeepTheirBounds with texts and entries beyond each of them.
func TestInsightsKeepTheirBounds(t *testing.T) {
	t.Parallel()
	errs := make([]error, 1200)
	for i := range errs {
		errs[i] = errors.New(strings.Repeat("é\u202e", 3000))
	}
	f := fleetOf(errs...)
	f.Manifest, f.ExitCode = strings.Repeat("oz/", 400)+"e.yml", 1
	made, i, notes := shown(t, f, "oz.yml")
	assert.Len(t, notes, 1000)
	assert.LessOrEqual(t, len(i.Title), 450)
	assert.LessOrEqual(t, len(i.Details), 2000)
	assert.Greater(t, len(i.Details), 1900)
	assert.LessOrEqual(t, len(i.Data), 10)
	seen := map[string]bool{}
	for _, n := range notes {
		assert.False(t, seen[n.ID])
		seen[n.ID] = true
		assert.LessOrEqual(t, len(n.Summary), 450)
		assert.LessOrEqual(t, len(n.Details), 2000)
		assert.Greater(t, len(n.Details), 1900)
	}
	for _, list := range append(made.Annotations, made.Report) {
		assert.NotContains(t, string(list), "\u202e")
	}
}

func TestSummaryOfMany(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ environments, nameLength, mostBytes int }{
		{5, 0, 4 << 10}, {500, 0, 50 << 10}, {500, 100, 100 << 10}, {500, 5000, 200 << 10}, {5000, 0, 1 << 20}, {5000, 200, 1 << 20}, {10_000, 1000, 1 << 20},
	} {
		f := many(tt.environments)
		for i := range f.Plan.Environments {
			name := f.Plan.Environments[i].Name + strings.Repeat("x", tt.nameLength)
			f.Plan.Environments[i].Name, f.Applied.Environments[i].Name = name, name
		}
		text := f.Summary(0)
		assert.Less(t, len(text), tt.mostBytes, tt)
		assert.Contains(t, text, fmt.Sprintf("### oz-bitbucket: 1 created, 1 updated, %d unchanged, 1 failed; smoke test passed\n", tt.environments-3))
		rows, left := rowsOf(t, text)
		assert.Equal(t, tt.environments, len(rows)+left, tt)
		assert.Equal(t, tt.environments > 4000 && tt.nameLength > 0, left > 0, "%v: every row is there while there is room", tt)
		for i, want := range []string{"acme-002", "acme-000", "acme-001", "acme-003", "acme-004"} {
			assert.True(t, strings.HasPrefix(rows[i], want), "%v: what failed comes first, then what changed: %s", tt, rows[i])
		}
		open, fold, folded := strings.Cut(text, fmt.Sprintf("<details><summary>%d unchanged</summary>\n\n| environment |", tt.environments-3))
		assert.Equal(t, tt.environments > 20, folded, "many unchanged environments are folded")
		if folded {
			assert.Contains(t, open, "`acme-001")
			assert.NotContains(t, open, "`acme-003")
			assert.Contains(t, fold, "`acme-003")
		}
		assert.Contains(t, text, "node:22", "the changes come after the tables")
		assert.Equal(t, strings.Count(text, "<details>"), strings.Count(text, "</details>"), "no fold is left open")
	}
}

func TestSummariesAreBounded(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("é `", 100_000)
	facts := runs()["updated"]
	facts.Err = errors.New(huge)
	facts.Verdict.Reason = huge
	facts.Plan.Warnings = []string{huge}
	for i := range 20 {
		facts.Plan.Environments[0].Fields = append(facts.Plan.Environments[0].Fields, reconcile.Field{Name: fmt.Sprint(i), New: []string{huge}})
	}
	summary := facts.Summary(time.Second)
	assert.LessOrEqual(t, len(summary), 64<<10)
	assert.True(t, utf8.ValidString(summary))
	assert.Greater(t, len(summary), 50<<10)
	assert.Zero(t, strings.Count(summary, "```")%2, "no block is left open")
	assert.True(t, strings.HasSuffix(summary, "\nThe rest is in the log.\n"))

	facts = runs()["updated"]
	facts.Err = errors.New(huge)
	facts.Plan.Environments[0].Fields[1].New = []string{huge}
	summary = facts.Summary(time.Second)
	assert.Less(t, len(summary), 20<<10, "each part is cut for itself")
	assert.Equal(t, 2, strings.Count(summary, "\n... (the log has the rest)\n"))
	assert.True(t, strings.Contains(summary, "#### What was planned"), "the summary continues after a long part")
}

// TestManyChanges: each changed environment shows its changed fields, up to a bound.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 500, 5000} {
		plan := fleet(3)
		plan.Environments, plan.Warnings = nil, nil
		for i := range n {
			plan.Environments = append(plan.Environments, reconcile.EnvironmentPlan{
				User: user(fmt.Sprintf("En%020d", i), fmt.Sprintf("acme-%03d", i), fmt.Sprintf("r%d", i)), Change: reconcile.Update,
				Fields: []reconcile.Field{{Name: "docker_image", Old: []string{"node:20"}, New: []string{fmt.Sprintf("node:22-%d-%s", i, strings.Repeat("x", 200))}}},
			})
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("warning %d", i))
		}
		text := report.Facts{DryRun: true, Many: true, Plan: &plan}.Summary(0)
		assert.Less(t, len(text), 1<<20)
		for _, part := range []string{"#### What would change", "#### Who reads the secret", "> warning 2\n", "node:22-2-", "rotate"} {
			assert.Contains(t, text, part, n)
		}
		assert.Equal(t, n > 50, strings.Contains(text, "the log has "+plural.Of(n-50, "more warning")+"\n"))
		assert.Equal(t, min(n, 51), strings.Count(text, "> [!WARNING]"))
		_, changes, found := strings.Cut(text, "#### What would change")
		require.True(t, found)
		if n == 3 {
			assert.Contains(t, changes, "- environment \"acme-002\" (En00000000000000000002): update (differs in docker\\_image)\n\n`docker_image`\n")
		} else {
			assert.Contains(t, changes, "<details><summary>environment &#34;acme-002&#34; (En00000000000000000002): update (differs in docker_image)</summary>\n\n`docker_image`\n")
		}
		assert.Equal(t, n == 5000, strings.HasSuffix(text, "\nThe rest is in the log.\n"))
		assert.Zero(t, strings.Count(text, "```")%2, "no block is left open")
	}
}

// TestBackquotesTakeNoTime: a name of backquotes only, as long as an answer may be. Trying
// one fence after another would take hours.
func TestBackquotesTakeNoTime(t *testing.T) {
	t.Parallel()
	facts := runs()["updated"]
	facts.Plan.Environments[0].Name = strings.Repeat("`", 1<<20)
	facts.Applied.Environments = nil
	assert.NotEmpty(t, facts.Summary(time.Second))
}
