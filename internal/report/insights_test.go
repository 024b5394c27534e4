package report_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// insight is a Code Insights report as it is sent.
type insight struct {
	Title, Details, Result, Link string
	ReportType                   string `json:"report_type"`
	Data                         []struct {
		Title, Type string
		Value       any
	}
}

// values are the data by their titles.
func (i insight) values() map[string]any {
	all := map[string]any{}
	for _, d := range i.Data {
		all[d.Title] = d.Value
	}
	return all
}

type note struct {
	ID                     string `json:"external_id"`
	Summary, Details, Path string
	Line                   int
}

func shown(t *testing.T, f report.Facts, manifest string) (bitbucket.Insights, insight, []note) {
	t.Helper()
	made := f.Insights("job", "https://bitbucket.org/acme/sample/pipelines/results/42", manifest, func(text string) string {
		return strings.ReplaceAll(text, "SECRET", "***")
	})
	var i insight
	require.NoError(t, json.Unmarshal(made.Report, &i), string(made.Report))
	var notes []note
	for _, list := range made.Annotations {
		var some []note
		require.NoError(t, json.Unmarshal(list, &some))
		require.NotEmpty(t, some)
		require.LessOrEqual(t, len(some), 100)
		notes = append(notes, some...)
	}
	return made, i, notes
}

func TestInsightsOfOneEnvironment(t *testing.T) {
	t.Parallel()
	f := runs()["rotated"]
	f.Mode, f.Expires = "rotate", time.UnixMilli(1_800_000_000_000)
	made, i, notes := shown(t, f, "")
	assert.Regexp(t, `^oz-bitbucket-rotate-[0-9a-f]{16}$`, made.ID)
	assert.Equal(t, "oz-bitbucket rotate: "+f.Plan.Secrets[0].Name, i.Title)
	assert.Equal(t, []string{"PASSED", "TEST", "https://bitbucket.org/acme/sample/pipelines/results/42"}, []string{i.Result, i.ReportType, i.Link})
	first, rest, _ := strings.Cut(i.Details, "\n")
	assert.Equal(t, f.Headline(), first)
	assert.Contains(t, rest, report.PlanText(*f.Plan)[0])
	assert.Equal(t, float64(1_800_000_000_000), i.values()["Token expires"])
	assert.Empty(t, notes)

	f = runs()["created"]
	for address, want := range map[string]any{
		"https://oz.test/session/1": map[string]any{"text": "Open", "href": "https://oz.test/session/1"}, "javascript:alert(1)": nil, "": nil, "https://" + strings.Repeat("x", 2000): nil,
	} {
		f.Tests = []smoketest.Verdict{{Result: smoketest.Passed, Run: warp.Run{SessionLink: address}}}
		_, i, _ = shown(t, f, "")
		assert.Equal(t, want, i.values()["Session"])
	}
}

// TestAReportIsOfOneKindOfJob: a second run of a job has the ID of the first, with any
// result; another mode or subject has another ID.
func TestAReportIsOfOneKindOfJob(t *testing.T) {
	t.Parallel()
	id := func(f report.Facts, subject string) string {
		return f.Insights(subject, "", "", func(text string) string { return text }).ID
	}
	plan := report.Facts{Mode: "plan", DryRun: true}
	failed := plan
	failed.Err, failed.ExitCode = errors.New("no"), 1
	assert.Equal(t, id(plan, "a"), id(failed, "a"))
	seen := map[string]bool{}
	for _, f := range []report.Facts{{}, plan, {Mode: "apply"}, {Mode: "rotate"}, {Mode: "rotate", DryRun: true}, {Mode: "destroy", DryRun: true}} {
		for _, subject := range []string{"a", "b"} {
			assert.False(t, seen[id(f, subject)])
			seen[id(f, subject)] = true
		}
	}
}

func TestAReportPassesWhereTheJobDoes(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{0: "PASSED", 4: "PASSED", 1: "FAILED", 2: "FAILED", 3: "FAILED", 143: "FAILED"} {
		_, i, _ := shown(t, report.Facts{Mode: "plan", DryRun: true, ExitCode: code}, "")
		assert.Equal(t, want, i.Result, code)
	}
}

// fleetOf returns a fleet whose entries have these errors.
func fleetOf(errs ...error) report.Facts {
	f := report.Facts{Mode: "apply", Manifest: "oz/environments.yml", Many: true, Plan: &reconcile.Plan{}}
	for i, err := range errs {
		e := reconcile.Unplanned("", fmt.Sprintf("e%d", i), err)
		if err == nil {
			e.Change = reconcile.Create
		}
		f.Plan.Environments = append(f.Plan.Environments, e)
		f.Places = append(f.Places, fmt.Sprintf("oz/environments.yml:%d", i+3))
	}
	return f
}

// TestAnAnnotationForEachEntryThatFailed: it is at the entry's line of the manifest, or in
// the pipeline's file when the manifest is not in the repository.
func TestAnAnnotationForEachEntryThatFailed(t *testing.T) {
	t.Parallel()
	f := fleetOf(nil, errors.New("the repository is SECRET\nsee there"), nil, nil)
	f.Tests = []smoketest.Verdict{{Result: smoketest.Passed}, {}, {Result: smoketest.Failed, Reason: "the clone failed", Run: warp.Run{SessionLink: "https://oz/1"}}}
	f.Places[2] = ""
	f.ExitCode, f.Err = 1, errors.New("1 of 4 environments failed")
	made, i, notes := shown(t, f, "oz/environments.yml")
	assert.Equal(t, []note{
		{made.ID + "-1", `environment "e1": the repository is ***`, "environment \"e1\": the repository is ***\n  see there", "oz/environments.yml", 4},
		{made.ID + "-2", `environment "e2": smoke test failed: the clone failed`, "environment \"e2\": smoke test failed: the clone failed\n  https://oz/1", "oz/environments.yml", 0},
	}, notes)
	assert.Equal(t, "FAILED", i.Result)
	assert.Equal(t, "oz-bitbucket apply: oz/environments.yml", i.Title)
	assert.Equal(t, map[string]any{"Failed": 1., "Not reached": 3.}, i.values())
	assert.Contains(t, i.Details, "1 of 4 environments failed")

	f.DryRun = true
	_, i, notes = shown(t, f, "")
	assert.Equal(t, map[string]any{"Failed": 1., "To create": 3.}, i.values())
	for _, n := range notes {
		assert.Equal(t, []any{"bitbucket-pipelines.yml", 0}, []any{n.Path, n.Line})
	}

	f.Manifest, f.Many = "", false
	_, _, notes = shown(t, f, "")
	assert.Empty(t, notes, "the report shows it")
}

func TestAnAnnotationForEachMistakeInAManifest(t *testing.T) {
	t.Parallel()
	var list problem.List
	list.Append(problem.Problem{Input: "clone_depth", Summary: "is not a depth", Place: problem.Place{File: "oz.yml", Line: 7, Column: 3, Text: "clone_depth: x"}})
	list.Add("warp_api_key", "is missing", "give it")
	_, i, notes := shown(t, report.Facts{Mode: "plan", Manifest: "oz.yml", ExitCode: 2, Err: list.Err()}, "oz.yml")
	require.Len(t, notes, 2)
	assert.Equal(t, "oz.yml:7:3: clone_depth: is not a depth", notes[0].Summary)
	assert.Equal(t, []int{7, 0}, []int{notes[0].Line, notes[1].Line})
	assert.Contains(t, i.Details, "warp_api_key: is missing; give it")
}
