package report_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// update rewrites the golden files: go test ./internal/report -update.
var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, path)
}

const (
	id   = "En00000000000000000001"
	head = "0123456789abcdef0123456789abcdef01234567"
)

func create() *reconcile.Plan {
	return &reconcile.Plan{
		Mode: reconcile.Provision, Secrets: secret(reconcile.Create),
		Environments: []reconcile.EnvironmentPlan{{User: credential.User{Name: "acme-api"}, Change: reconcile.Create, Fields: []reconcile.Field{
			{Name: "name", New: []string{"acme-api"}},
			{Name: "docker_image", New: []string{"warpdotdev/dev-base:latest"}},
			{Name: "setup_commands", New: []string{"git clone x", "cd api && npm ci"}},
			{Name: "secrets", New: []string{"BITBUCKET_API_TOKEN"}},
		}}},
	}
}

func drift() *reconcile.Plan {
	return &reconcile.Plan{
		Mode: reconcile.Provision, Secrets: secret(reconcile.Rotate),
		Environments: []reconcile.EnvironmentPlan{{User: credential.User{UID: id, Name: "acme | <api>"}, Change: reconcile.Update, Fields: []reconcile.Field{
			{Name: "description", Old: []string{"old", "words"}},
			{Name: "docker_image", Old: []string{"ubuntu:22.04"}, New: []string{"ubuntu:24.04"}},
			{
				Name: "setup_commands",
				Old:  []string{"echo first", "git clone old", "cat <<X\n```\n::error::x\nX", "echo last"},
				New:  []string{"echo first", "git clone new", "cat <<X\n```\n::error::x\nX", "cd api && make", "echo last"},
			},
		}}},
		Warnings: []string{"the environment is used by integrations: slack, @jane, <b>", "the token can push"},
	}
}

func keep() *reconcile.Plan {
	return &reconcile.Plan{
		Mode: reconcile.Provision, Secrets: secret(reconcile.Rotate),
		Environments: []reconcile.EnvironmentPlan{{User: credential.User{UID: id, Name: "acme-api"}, Change: reconcile.Keep}},
	}
}

const schedule = "Sc00000000000000000001"

// scheduled is an apply with a scheduled agent, in an environment that also has others.
func scheduled(change reconcile.Change, enabled bool) *reconcile.Plan {
	plan := keep()
	plan.At = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	e := &plan.Environments[0]
	e.Integrations, e.Foreign = []string{"slack"}, []string{`"nightly | x" (Sc00000000000000000002)`}
	s := reconcile.SchedulePlan{Name: "acme-api", Cron: "0 3 * * 1-5", Enabled: enabled, Change: change}
	s.Fields = []reconcile.Field{{Name: "prompt", New: []string{"Fix what", "is broken."}}}
	if change != reconcile.Create {
		s.ID = schedule
	}
	if change == reconcile.Update {
		s.Fields = []reconcile.Field{{Name: "cron_schedule", Old: []string{"0 4 * * *"}, New: []string{"0 3 * * 1-5"}}}
	}
	e.Schedules = []reconcile.SchedulePlan{s}
	plan.Notes = []string{"agents that Warp hosts reach https://git.example.com from 64.6.38.192/26"}
	return plan
}

// removal is a destroy.
func removal(secretChange, change reconcile.Change) *reconcile.Plan {
	plan := keep()
	plan.Mode, plan.Secrets = reconcile.Removal, secret(secretChange)
	plan.Environments[0].Change = change
	if secretChange == reconcile.Keep {
		plan.Secrets[0].Why = reconcile.NotAsked
	}
	if change == reconcile.Delete {
		plan.Environments[0].Schedules = []reconcile.SchedulePlan{{ID: schedule, Name: "acme-api", Cron: "0 3 * * *", Enabled: true, Change: reconcile.Delete}}
	}
	return plan
}

// verification is a test.
func verification() *reconcile.Plan {
	plan := keep()
	plan.Mode, plan.Secrets = reconcile.Verification, secret(reconcile.Keep)
	return plan
}

// withSchedule adds a schedule's result.
func withSchedule(done reconcile.Applied, change reconcile.Change) reconcile.Applied {
	done.Environments[0].Schedules = []reconcile.StoredSchedule{{ID: schedule, Name: "acme-api", Change: change}}
	return done
}

// shared is an apply whose secret another environment reads.
func shared() *reconcile.Plan {
	plan := drift()
	plan.Warnings = nil
	plan.Environments[0] = reconcile.EnvironmentPlan{User: user(id, "acme-api", "api"), Change: reconcile.Keep}
	plan.Secrets[0].Others = []credential.User{user(second, `we"b]<br>`, "web", "api")}
	return plan
}

// long has a field with so many lines that it is folded.
func long() *reconcile.Plan {
	plan := create()
	var commands []string
	for i := range 20 {
		commands = append(commands, fmt.Sprintf("step %d", i+1))
	}
	plan.Environments[0].Fields[2].New = commands
	return plan
}

func secret(change reconcile.Change) []reconcile.SecretPlan {
	return []reconcile.SecretPlan{{Credential: credential.Credential{Name: "BITBUCKET_API_TOKEN"}, Change: change}}
}

// applied is the result for one secret and one environment. An environment without a change
// is not known to exist.
func applied(secret, environment reconcile.Change) reconcile.Applied {
	done := reconcile.Applied{Secrets: []reconcile.StoredSecret{{Change: secret}}, Environments: []reconcile.StoredEnvironment{{}}}
	if environment != "" {
		done.Environments[0] = reconcile.StoredEnvironment{Change: environment, UID: id, Name: "acme-api"}
	}
	return done
}

func verdict(result smoketest.Result, state warp.RunState, reason string) smoketest.Verdict {
	return smoketest.Verdict{Result: result, Reason: reason, Run: warp.Run{
		ID: "run-1", State: state, SessionLink: "https://app.warp.dev/session/1?a=b|c",
		Message: "AGENT: what it did", Title: "AGENT: title", Usage: warp.Usage{Credits: 1.5, Tokens: 4200},
	}}
}

// user is an environment that clones repositories with the secret.
func user(uid, name string, slugs ...string) credential.User {
	u := credential.User{UID: uid, Name: name}
	for _, slug := range slugs {
		r := bitbucket.Repository{Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: "acme", Slug: slug}
		u.Usage.Uses = append(u.Usage.Uses, setup.Use{Repository: r})
	}
	return u
}

const second = "En00000000000000000002"

// rotation reaches two environments.
func rotation(f report.Facts, verdicts ...smoketest.Result) report.Facts {
	f.Plan = &reconcile.Plan{Mode: reconcile.Rotation, Secrets: secret(reconcile.Rotate), Environments: []reconcile.EnvironmentPlan{
		{User: user(id, "acme | api", "api", "shared"), Change: reconcile.Keep}, {User: user(second, "web", "web", "shared"), Change: reconcile.Keep},
	}}
	f.Applied = applied(reconcile.Rotate, reconcile.Keep)
	f.Applied.Environments[0].Name = "acme | api"
	f.Applied.Environments = append(f.Applied.Environments, reconcile.StoredEnvironment{Change: reconcile.Keep, UID: second, Name: "web"})
	f.Now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, verdict := range verdicts {
		f.Tests = append(f.Tests, smoketest.Verdict{Result: verdict})
	}
	return f
}

// runs are the possible results of a run of the program.
func runs() map[string]report.Facts {
	passed := verdict(smoketest.Passed, warp.Succeeded, "the agent found commit "+head)
	base := func(f report.Facts) report.Facts {
		f.SecretName, f.Head = "BITBUCKET_API_TOKEN", head
		if f.Plan == nil || f.Plan.Mode == reconcile.Provision {
			f.EnvironmentName = "acme-api"
			f.Tests = []smoketest.Verdict{f.Verdict}
		}
		return f
	}
	var wrong problem.List
	wrong.Add("repo_url", "is missing", "give it")
	wrong.Add("clone_depth", "is not a depth", "give a positive integer")
	return map[string]report.Facts{
		"nothing": {},
		"wrong-inputs": {
			SecretName: "BITBUCKET_API_TOKEN", ExitCode: 2, Err: wrong.Err(),
		},
		"schedule-plan":    base(report.Facts{Mode: "plan", DryRun: true, Plan: scheduled(reconcile.Create, true)}),
		"schedule-created": base(report.Facts{Plan: scheduled(reconcile.Create, true), Applied: withSchedule(applied(reconcile.Rotate, reconcile.Keep), reconcile.Create), Verdict: passed}),
		"schedule-paused":  base(report.Facts{Plan: scheduled(reconcile.Update, false), Applied: withSchedule(applied(reconcile.Rotate, reconcile.Keep), reconcile.Update), Verdict: passed}),
		"destroy-plan":     base(report.Facts{DryRun: true, Plan: removal(reconcile.Delete, reconcile.Delete)}),
		"destroyed":        base(report.Facts{Plan: removal(reconcile.Delete, reconcile.Delete), Applied: withSchedule(applied(reconcile.Delete, reconcile.Delete), reconcile.Delete), Verdict: smoketest.Verdict{Result: smoketest.Skipped}}),
		"destroy-nothing":  base(report.Facts{Plan: removal(reconcile.Keep, reconcile.Keep), Applied: applied(reconcile.Keep, reconcile.Keep), Verdict: smoketest.Verdict{Result: smoketest.Skipped}}),
		"tested":           base(report.Facts{Plan: verification(), Applied: applied(reconcile.Keep, reconcile.Keep), Verdict: passed}),
		"test-failed": base(report.Facts{ExitCode: 3, Plan: verification(), Applied: applied(reconcile.Keep, reconcile.Keep),
			Verdict: verdict(smoketest.Failed, warp.Failed, "the clone failed")}),
		"plan-create":  base(report.Facts{Mode: "plan", DryRun: true, Plan: create()}),
		"plan-update":  base(report.Facts{DryRun: true, Plan: drift()}),
		"plan-keep":    base(report.Facts{Mode: "plan", DryRun: true, Plan: keep()}),
		"created":      base(report.Facts{Plan: create(), Applied: applied(reconcile.Create, reconcile.Create), Verdict: passed}),
		"created-long": base(report.Facts{Plan: long(), Applied: applied(reconcile.Create, reconcile.Create), Verdict: passed}),
		"updated":      base(report.Facts{Plan: drift(), Applied: applied(reconcile.Rotate, reconcile.Update), Verdict: passed}),
		"kept":         base(report.Facts{Plan: keep(), Applied: applied(reconcile.Rotate, reconcile.Keep), Verdict: smoketest.Verdict{Result: smoketest.Skipped}}),
		"half-written": base(report.Facts{
			Plan: create(), Applied: applied(reconcile.Create, ""), ExitCode: 1,
			Err: errors.New("create environment \"acme-api\": 500 ```\nthe secret is written, but it is not known whether the environment is; run again to converge"),
		}),
		"setup-failed": base(report.Facts{
			Plan: create(), Applied: applied(reconcile.Create, reconcile.Create), ExitCode: 3,
			Verdict: verdict(smoketest.Failed, warp.Failed, "the clone or a setup command failed; *see* [the log](x)"),
		}),
		"timed-out": base(report.Facts{
			Plan: keep(), Applied: applied(reconcile.Rotate, reconcile.Keep), ExitCode: 3,
			Verdict: verdict(smoketest.TimedOut, warp.Queued, "the run did not end within 20m0s"),
		}),
		"rotated": base(rotation(report.Facts{
			Expires: time.Date(2027, 2, 22, 0, 0, 0, 0, time.UTC), Verdict: passed,
		}, smoketest.Passed, smoketest.Skipped)),
		"rotated-alone": base(rotation(report.Facts{
			ExitCode: 3, Stored: "the new value is stored; without previous_token there is nothing to write back",
			Verdict: verdict(smoketest.Failed, warp.Failed, "the clone or a setup command failed"),
		}, smoketest.Failed, smoketest.Skipped)),
		"rolled-back": base(rotation(report.Facts{
			ExitCode: 3, RolledBack: true, Stored: "the previous value is stored again",
			Verdict: verdict(smoketest.Failed, warp.Failed, "the clone or a setup command failed"),
		}, smoketest.Failed, smoketest.TimedOut)),
		"shared": base(report.Facts{
			Plan: shared(), ExitCode: 1,
			Err: errors.New("secret \"BITBUCKET_API_TOKEN\" is used by others, and the token does not serve all of them\nnothing was written"),
		}),
		"refused-before-the-plan": base(report.Facts{
			ExitCode: 1, Expires: time.Date(2027, 2, 22, 0, 0, 0, 0, time.UTC), Now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
			Err: errors.New("prove the token against https://bitbucket.org/acme/api.git: 401"),
		}),
		"expiring": base(report.Facts{
			DryRun: true, Plan: keep(), ExitCode: 1, Expiring: true,
			Expires: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), Now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
			Err: errors.New("the token in secret \"BITBUCKET_API_TOKEN\" expired on 2026-11-24; rotate it"),
		}),
		"factory-plan": base(report.Facts{
			DryRun: true, Plan: keep(), FactoryChanged: "true",
			Factory: []string{"factory/factory.yaml: secrets", "- secrets: [A] # <b>```", "+ secrets: [A, BITBUCKET_API_TOKEN] # <b>```"},
		}),
		"factory-runner": {
			SecretName: "BITBUCKET_API_TOKEN", Plan: &reconcile.Plan{Mode: reconcile.Provision, Secrets: secret(reconcile.Create)},
			Applied: reconcile.Applied{Secrets: []reconcile.StoredSecret{{Change: reconcile.Create}}}, FactoryChanged: "true",
			Factory: []string{"factory/runners/linux.yaml: setupCommands", "+   - git clone x"}, Verdict: smoketest.Verdict{Result: smoketest.Skipped},
		},
		"factory-wired": base(report.Facts{
			Plan: keep(), Applied: applied(reconcile.Rotate, reconcile.Keep), FactoryChanged: "true", Verdict: passed,
			Factory: []string{"factory/factory.yaml: secrets", "- secrets: [A]", "+ secrets: [A, BITBUCKET_API_TOKEN]"},
		}),
		"factory-runner-kept": {
			SecretName: "BITBUCKET_API_TOKEN", Plan: &reconcile.Plan{Mode: reconcile.Provision, Secrets: secret(reconcile.Rotate)},
			Applied: reconcile.Applied{Secrets: []reconcile.StoredSecret{{Change: reconcile.Rotate}}}, FactoryChanged: "false",
			Verdict: smoketest.Verdict{Result: smoketest.Skipped},
		},
		"factory-kept": base(report.Facts{Plan: keep(), Applied: applied(reconcile.Rotate, reconcile.Keep), FactoryChanged: "false", Verdict: passed}),
		"cancelled": base(report.Facts{
			Plan: keep(), Applied: applied(reconcile.Rotate, reconcile.Keep), ExitCode: 143,
			Verdict: verdict(smoketest.Cancelled, warp.Cancelled, "the job was told to stop"),
		}),
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	for name, facts := range runs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			summary := facts.Summary(92*time.Second + 345*time.Millisecond)
			golden(t, name+".md", summary)
			if closing := facts.Closing(); len(closing) > 0 {
				next, _, _ := strings.Cut(strings.TrimPrefix(closing[len(closing)-1], "Next: "), ": oz agent")
				assert.Contains(t, strings.ReplaceAll(summary, `\`, ""), "**Next:** "+next)
			}
			assert.NotContains(t, summary, "AGENT")
		})
	}
}

// TestOutputsHeadlineAndClosing: the golden files hold the outputs and the log's last lines.
func TestOutputsHeadlineAndClosing(t *testing.T) {
	t.Parallel()
	for name, facts := range runs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var text strings.Builder
			text.WriteString(facts.Headline() + "\n\n")
			for _, output := range facts.Outputs() {
				fmt.Fprintf(&text, "%s=%s\n", output.Name, output.Value)
			}
			text.WriteString("\n" + strings.Join(facts.Closing(), "\n"))
			golden(t, name+".txt", strings.TrimRight(text.String(), "\n")+"\n")
		})
	}
}

func TestPlanText(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{
		`secret "BITBUCKET_API_TOKEN": create (none of this name exists)`,
		`environment "acme-api": create (none of this name exists)`,
		"  name",
		"    + acme-api",
		"  docker_image",
		"    + warpdotdev/dev-base:latest",
		"  setup_commands",
		"    + git clone x",
		"    + cd api && npm ci",
		"  secrets",
		"    + BITBUCKET_API_TOKEN",
		"Plan: 1 to create, 1 secret to create",
	}, report.PlanText(*create()))
	assert.Equal(t, []string{
		`secret "BITBUCKET_API_TOKEN": rotate (its value cannot be read back, so each apply writes it)`,
		`environment "acme | <api>" (En00000000000000000001): update (differs in description, docker_image, setup_commands)`,
		"  description",
		"    - old",
		"    - words",
		"  docker_image",
		"    - ubuntu:22.04",
		"    + ubuntu:24.04",
		"  setup_commands",
		"      echo first",
		"    - git clone old",
		"    - cat <<X\n    -   ```\n    -   ::error::x\n    -   X",
		"    + git clone new",
		"    + cat <<X\n    +   ```\n    +   ::error::x\n    +   X",
		"    + cd api && make",
		"      echo last",
		"Plan: 1 to update, 1 secret to rotate",
	}, report.PlanText(*drift()))
	assert.Equal(t, []string{
		`secret "BITBUCKET_API_TOKEN": rotate (its value cannot be read back, so each apply writes it)`,
		`environment "acme-api" (En00000000000000000001): keep (nothing differs)`,
		"Plan: 1 unchanged, 1 secret to rotate",
	}, report.PlanText(*keep()))
}

// TestCommandsAreSaidInWords: a plan shows what generated commands do; the debug log and a
// fold of the summary show the exact commands.
func TestCommandsAreSaidInWords(t *testing.T) {
	t.Parallel()
	r := bitbucket.Repository{Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: "acme", Slug: "api"}
	clone := setup.Clone{Repository: r, Secret: "BITBUCKET_API_TOKEN", Kind: bitbucket.AccessToken, Auth: setup.Helper}
	commands := setup.Merge(nil, []setup.Clone{clone}, []string{"npm ci"}, true)
	plan := keep()
	plan.Environments[0].Fields = []reconcile.Field{{Name: "setup_commands", Old: []string{"git clone old", "cd ./api && npm ci"}, New: commands}}
	words := []string{
		"prepare git for https://bitbucket.org: no prompts, no headers from the image",
		"log git in to https://bitbucket.org with the secret BITBUCKET_API_TOKEN (access_token)",
		"clone https://bitbucket.org/acme/api.git with the secret BITBUCKET_API_TOKEN into api",
	}
	assert.Equal(t, []string{
		"  setup_commands", "    - git clone old", "    + " + words[0], "    + " + words[1], "    + " + words[2], "      cd ./api && npm ci", "Plan: 1 unchanged, 1 secret to rotate",
	}, report.PlanText(*plan)[2:])

	full := report.CommandsText(*plan)
	assert.Equal(t, `environment "acme-api" (En00000000000000000001): setup_commands`, full[0])
	for i, command := range commands {
		assert.Equal(t, "  "+command, full[i+1])
	}
	summary := report.Facts{DryRun: true, Plan: plan}.Summary(time.Second)
	open, fold, found := strings.Cut(summary, "<details><summary><code>setup_commands</code>, exact text</summary>\n\n```diff\n- git clone old\n+ "+commands[0]+"\n")
	require.True(t, found, summary)
	assert.Contains(t, open, "+ "+words[2]+"\n")
	assert.NotContains(t, open, "credential.")
	assert.Contains(t, fold, "+ "+commands[2]+"\n  cd ./api && npm ci\n```\n\n</details>")

	plan.Environments[0].Fields[0].New = []string{"git clone new"}
	assert.Empty(t, report.CommandsText(*plan), "the plan already shows the exact text")
	assert.NotContains(t, report.Facts{DryRun: true, Plan: plan}.Summary(time.Second), "exact text")
}

// TestDifference: lists whose unchanged beginning and end overlap.
func TestDifference(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ old, new, want string }{
		{"", "a", "+ a"},
		{"a", "", "- a"},
		{"a", "a a", "  a,+ a"},
		{"a a", "a", "  a,- a"},
		{"a b c", "a c", "  a,- b,  c"},
		{"a b", "b a", "- a,- b,+ b,+ a"},
		{"a b a", "a b a b a", "  a,  b,  a,+ b,+ a"},
		{"x y", "x z y", "  x,+ z,  y"},
	} {
		plan := keep()
		plan.Environments[0].Fields = []reconcile.Field{{Name: "f", Old: strings.Fields(tt.old), New: strings.Fields(tt.new)}}
		var got []string
		lines := report.PlanText(*plan)
		for _, line := range lines[3 : len(lines)-1] {
			got = append(got, strings.TrimPrefix(line, "    "))
		}
		assert.Equal(t, tt.want, strings.Join(got, ","), "%s to %s", tt.old, tt.new)
	}
}

func TestManyEnvironmentsAreCounted(t *testing.T) {
	t.Parallel()
	facts := runs()["rotated"]
	for i := range 1000 {
		facts.Plan.Environments = append(facts.Plan.Environments, reconcile.EnvironmentPlan{User: user(fmt.Sprintf("En%020d", 100+i), fmt.Sprint(i), fmt.Sprint("r", i), "shared"), Change: reconcile.Keep})
	}
	summary := facts.Summary(time.Second)
	assert.Less(t, len(summary), 16<<10)
	assert.Regexp(t, `\n\| \d+ more \| \| \|\n`, summary)

	_, graph, found := strings.Cut(summary, "```mermaid\n")
	require.True(t, found)
	graph, _, _ = strings.Cut(graph, "```")
	nodes := regexp.MustCompile(`(\w+)\["`).FindAllStringSubmatch(graph, -1)
	assert.LessOrEqual(t, len(nodes), 40)
	assert.Greater(t, len(nodes), 30)
	drawn := 0
	for _, node := range nodes {
		if strings.HasPrefix(node[1], "e") {
			drawn++
		}
	}
	assert.Contains(t, graph, fmt.Sprintf(`more["%d more environments, %d more repositories"]`, 1002-drawn, 1002-drawn))
}

func TestAGraphIsDrawnWhereSeveralReadTheSecret(t *testing.T) {
	t.Parallel()
	assert.NotContains(t, runs()["kept"].Summary(time.Second), "mermaid")
	assert.NotContains(t, runs()["created"].Summary(time.Second), "mermaid")
	assert.Contains(t, runs()["rotated"].Summary(time.Second), "mermaid")
}

func TestDaysLeft(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]int{
		0: 0, time.Hour: 0, -time.Hour: -1, -24 * time.Hour: -1, -25 * time.Hour: -2, 24 * time.Hour: 1, 47 * time.Hour: 1,
	} {
		days, known := report.Facts{Now: now, Expires: now.Add(left)}.DaysLeft()
		assert.True(t, known)
		assert.Equal(t, want, days, left)
	}
	for _, f := range []report.Facts{{}, {Now: now}, {Expires: now}} {
		_, known := f.DaysLeft()
		assert.False(t, known)
	}
}

func TestAnErrorInAnOutputIsShort(t *testing.T) {
	t.Parallel()
	facts := runs()["refused-before-the-plan"]
	facts.Err = errors.New(strings.Repeat("é", 10_000))
	for _, output := range facts.Outputs() {
		assert.Less(t, len(output.Value), 2<<10, output.Name)
		assert.True(t, utf8.ValidString(output.Value))
	}
}

// TestLinksOfOthersAreText: GitHub turns an address in a text into a link.
func TestLinksOfOthersAreText(t *testing.T) {
	t.Parallel()
	const foreign = "see https://evil.example, HTTP://evil.example or WWW.evil.example"
	facts := runs()["updated"]
	facts.Plan.Environments[0].Name = foreign
	facts.Plan.Warnings, facts.Plan.Notes, facts.Verdict.Reason = []string{foreign}, []string{foreign}, foreign
	summary := facts.Summary(time.Second)
	assert.Equal(t, 4, strings.Count(summary, `see https\://evil.example, HTTP\://evil.example or WWW\.evil.example`), summary)
	assert.NotContains(t, summary, "https://evil.example")
}

// TestANameStaysInItsCell: a "|" that an even number of backslashes precedes ends a cell,
// in a code span too.
func TestANameStaysInItsCell(t *testing.T) {
	t.Parallel()
	facts := runs()["created"]
	for name, want := range map[string]string{
		`a | b`:                         "| environment | `a \\| b` |",
		`a\|[b](https://evil.example)`:  `| environment | a\\\|\[b\](https\://evil.example) |`,
		`a\\|[b](https://evil.example)`: `| environment | a\\\\\|\[b\](https\://evil.example) |`,
		"a`b\n|c":                       "| environment | `` a`b\\u000a\\|c `` |",
	} {
		facts.Applied.Environments[0].Name = name
		assert.Contains(t, facts.Summary(time.Second), want+"\n", name)
	}
}

func TestOnlyWebPagesAreLinks(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://app.warp.dev/session/1":                    "<br>[Open the session](<https://app.warp.dev/session/1>) |",
		"http://127.0.0.1:8080/session/1":                   "<br>[Open the session](<http://127.0.0.1:8080/session/1>) |",
		"https://app.warp.dev/a>)[x](https://evil.example)": "<br>[Open the session](<https://app.warp.dev/a%3E%29%5Bx%5D%28https://evil.example%29>) |",
		"https://app.warp.dev/a?b=<|\\":                     "<br>[Open the session](<https://app.warp.dev/a?b=%3C%7C%5C>) |",
		"javascript:alert(1)":                               "",
		"data:text/html,x":                                  "",
		"https://user:pass@app.warp.dev/":                   "",
		"https://a\nb/":                                     "",
		"//app.warp.dev":                                    "",
		"":                                                  "",
	} {
		facts := runs()["created"]
		facts.Verdict.Run.SessionLink = address
		summary := facts.Summary(time.Second)
		if want == "" {
			assert.NotContains(t, summary, "Open the session", address)
			continue
		}
		assert.Contains(t, summary, want, address)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	assert.Empty(t, report.Facts{}.Usage())
	assert.Equal(t, "The smoke test used 1.50 credits and 4200 tokens.", runs()["created"].Usage())
}
