package report_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

func asItIs(text string) string { return text }

// reported returns a report's text.
func reported(t *testing.T, f report.Facts, extension string) string {
	t.Helper()
	text, err := f.Report(extension, 92*time.Second+345*time.Millisecond, asItIs)
	require.NoError(t, err)
	return text
}

// documentSchema is the published schema.
func documentSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	content, err := os.ReadFile("../../docs/oz-report.schema.json")
	require.NoError(t, err)
	tree, err := jsonschema.UnmarshalJSON(strings.NewReader(string(content)))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("schema.json", tree))
	schema, err := compiler.Compile("schema.json")
	require.NoError(t, err)
	return schema
}

// document returns a JSON report and fails when the schema does not accept it.
func document(t *testing.T, schema *jsonschema.Schema, text string) map[string]any {
	t.Helper()
	tree, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(tree), text)
	var d map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &d))
	return d
}

// TestDocumentsFitTheSchema: with every result of a run.
func TestDocumentsFitTheSchema(t *testing.T) {
	t.Parallel()
	schema := documentSchema(t)
	all := runs()
	all["many"] = many(500)
	all["many, planned"] = many(5)
	planned := all["many, planned"]
	planned.DryRun, planned.Applied, planned.Manifest = true, reconcile.Applied{}, "oz.yml"
	planned.Plan.Unmanaged = []credential.User{{UID: second, Name: "other"}}
	planned.Plan.Secrets[0].Others = []credential.User{user(second, "other", "web")}
	all["many, planned"] = planned
	all["an empty part"] = report.Facts{Mode: "plan", Many: true, Plan: &reconcile.Plan{Mode: reconcile.Provision}}
	for name, f := range all {
		if f.Mode = "apply"; f.DryRun {
			f.Mode = "plan"
		}
		d := document(t, schema, reported(t, f, ".json"))
		assert.InDelta(t, 1, d["version"], 0, name)
		assert.InDelta(t, f.ExitCode, d["exit_code"], 0, name)
	}
	assert.Error(t, schema.Validate(map[string]any{"version": 1}), "the schema does not accept everything")
}

// TestDocument compares a whole document, because a field must never change.
func TestDocument(t *testing.T) {
	t.Parallel()
	f := runs()["updated"]
	f.Mode, f.Manifest, f.Now, f.Expires = "apply", "oz.yml", time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), time.Date(2027, 2, 22, 1, 0, 0, 0, time.FixedZone("", 3600))
	e := &f.Plan.Environments[0]
	e.Owner, e.Image, e.Commands, e.Secrets = warp.Owner{Type: warp.TeamOwner, UID: "team"}, "ubuntu:24.04", []string{"git clone x", "a\u202eb"}, []string{"BITBUCKET_API_TOKEN"}
	e.Usage = user(id, "", "api", "web").Usage
	e.Integrations, e.Foreign = []string{"slack"}, []string{`"nightly" (Sc2)`}
	e.Schedules = []reconcile.SchedulePlan{{Name: "acme-api", Cron: "0 3 * * *", Enabled: true, Change: reconcile.Create, Fields: []reconcile.Field{{Name: "prompt", New: []string{"Fix it."}}}}}
	f.Applied.Environments[0].Schedules = []reconcile.StoredSchedule{{ID: schedule, Change: reconcile.Create, Err: errors.New("no")}}
	f.Plan.Secrets[0].Owner = warp.Owner{Type: warp.UserOwner, UID: "me"}
	f.Plan.Secrets[0].Others = []credential.User{user(second, "web", "web")}
	f.Plan.Unmanaged = []credential.User{user(second, "web", "web")}
	f.Plan.Notes = []string{"a note"}
	f.Applied.Secrets[0].Err = errors.New("lost")
	golden(t, "document.json", reported(t, f, ".json"))

	f = runs()["wrong-inputs"]
	var list problem.List
	list.Append(problem.Problem{Input: "docker_image", Summary: "is none", Place: problem.Place{File: "oz.yml", Line: 3, Column: 5, Text: "docker_image: Node"}})
	f.Err = list.Err()
	golden(t, "document-wrong-inputs.json", reported(t, f, ".json"))
}

// TestWhatADocumentSaysOfAFleet: what was planned and what happened are separate.
func TestWhatADocumentSaysOfAFleet(t *testing.T) {
	t.Parallel()
	schema := documentSchema(t)
	f := many(4)
	f.Applied.Environments[1].Change = "" // not reached
	f.Applied.Secrets = []reconcile.StoredSecret{{}}
	column := func(d map[string]any, key string) (list []any) {
		for _, e := range d["environments"].([]any) {
			list = append(list, e.(map[string]any)[key])
		}
		return list
	}
	d := document(t, schema, reported(t, f, ".json"))
	assert.Equal(t, []any{"create", "update", "", "keep"}, column(d, "planned"))
	assert.Equal(t, []any{"create", "", "", "keep"}, column(d, "change"))
	assert.Equal(t, []any{"", "", "no | such\nrepository", ""}, column(d, "error"), "whole, and the job's error is not that of each entry")
	secret := d["secrets"].([]any)[0].(map[string]any)
	assert.Equal(t, []any{"rotate", ""}, []any{secret["planned"], secret["change"]})
	assert.Len(t, secret["users"], 3, "an environment that failed will not read it")

	f.DryRun, f.Applied = true, reconcile.Applied{}
	d = document(t, schema, reported(t, f, ".json"))
	assert.Equal(t, column(d, "planned"), column(d, "change"))
	assert.Equal(t, "rotate", d["secrets"].([]any)[0].(map[string]any)["change"])
	assert.Equal(t, true, d["changed"])

	f.Plan.Secrets, f.Plan.Environments = nil, []reconcile.EnvironmentPlan{reconcile.Unplanned("", "acme", errors.New("no team")), {Err: errors.New("no key")}}
	d = document(t, schema, reported(t, f, ".json"))
	assert.Equal(t, []any{"", ""}, column(d, "secret"), "the secret is not known")
}

// TestEveryTextIsHidden: every text of a report goes through hide, and no word of ours or
// number does. The plan does not change.
func TestEveryTextIsHidden(t *testing.T) {
	t.Parallel()
	schema := documentSchema(t)
	for name, f := range runs() {
		f.Mode = "apply"
		before := fmt.Sprintf("%+v", f.Plan)
		text, err := f.Report(".json", time.Second, func(string) string { return "***" })
		require.NoError(t, err)
		d := document(t, schema, text)
		var look func(at string, value any)
		look = func(at string, value any) {
			switch value := value.(type) {
			case map[string]any:
				for key, value := range value {
					look(at+"."+key, value)
				}
			case []any:
				for _, value := range value {
					look(at, value)
				}
			case string:
				key := at[strings.LastIndex(at, ".")+1:]
				switch key {
				case "mode", "planned", "change", "smoke_test", "verdict", "scope":
					assert.NotEqual(t, "***", value, "%s %s", name, at)
				default:
					assert.Equal(t, "***", value, "%s %s", name, at)
				}
			}
		}
		look("", d)
		assert.Equal(t, before, fmt.Sprintf("%+v", f.Plan))
	}
	hidden := 0
	_, err := many(1000).Report(".xml", 0, func(text string) string { hidden += len(text); return text })
	require.NoError(t, err)
	assert.Less(t, hidden, 100<<10, "a text of many environments is hidden once")
}

// TestHideSeesWholeTexts: a secret is removed before a bound could cut it in two.
func TestHideSeesWholeTexts(t *testing.T) {
	t.Parallel()
	f := runs()["refused-before-the-plan"]
	f.Err = errors.New(strings.Repeat("x", 64<<10-4) + "SECRET" + "\n" + strings.Repeat("<", 1<<20))
	for _, extension := range []string{".json", ".xml"} {
		text, err := f.Report(extension, 0, func(text string) string { return strings.ReplaceAll(text, "SECRET", "***") })
		require.NoError(t, err)
		assert.NotContains(t, text, "SECR")
		assert.Less(t, len(text), 512<<10)
	}
}

func TestAReportOfAnotherKind(t *testing.T) {
	t.Parallel()
	_, err := report.Facts{}.Report(".txt", 0, asItIs)
	require.EqualError(t, err, `a report cannot have the ending ".txt"`)
}

// nasty is text that every format must escape.
const nasty = "a\x00\x1b[31m<b>&amp;\"']]>\u202e\ufffe\xff\xc3 é 😀 [[ATTACHMENT|/etc/passwd]]\r\n##vso[task.complete]x\n::error::y\u0085z"

// nastyRuns are runs in which every text is nasty.
func nastyRuns() map[string]report.Facts {
	all := map[string]report.Facts{}
	for name, f := range runs() {
		f.Err = errors.New(nasty)
		f.ExitCode = 1
		all[name] = f
	}
	f := many(5)
	for i := range f.Plan.Environments {
		f.Plan.Environments[i].Name, f.Applied.Environments[i].Name = nasty, nasty // all the same name
		f.Plan.Environments[i].Fields = []reconcile.Field{{Name: nasty, Old: []string{nasty}, New: []string{nasty}}}
	}
	f.Tests[4] = smoketest.Verdict{Result: smoketest.Failed, Reason: nasty, Run: warp.Run{SessionLink: "https://app.warp.dev/session/1?a=b&c=" + nasty}}
	f.Manifest, f.ExitCode = nasty, 1
	all["many"] = f
	return all
}

func TestNothingInADocumentActsUnseen(t *testing.T) {
	t.Parallel()
	schema := documentSchema(t)
	for name, f := range nastyRuns() {
		text := reported(t, f, ".json")
		document(t, schema, text)
		for _, bad := range []string{"\x00", "\x1b", "\u202e", "\u0085"} {
			assert.NotContains(t, text, bad, name)
		}
	}
}
