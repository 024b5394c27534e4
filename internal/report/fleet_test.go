package report_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// fleet returns a plan of n environments: the first is created, the second is updated, the
// third fails, and the others are kept.
func fleet(n int) reconcile.Plan {
	plan := reconcile.Plan{Mode: reconcile.Provision, Secrets: secret(reconcile.Rotate)}
	for i := range n {
		e := reconcile.EnvironmentPlan{User: credential.User{UID: fmt.Sprintf("En%020d", i), Name: fmt.Sprintf("acme-%03d", i)}, Change: reconcile.Keep}
		switch i {
		case 0:
			e.UID, e.Change = "", reconcile.Create
		case 1:
			e.Change, e.Fields = reconcile.Update, []reconcile.Field{{Name: "docker_image", Old: []string{"node:20"}, New: []string{"node:22"}}}
		case 2:
			e = e.Failed(errors.New("no | such\nrepository"))
		}
		plan.Environments = append(plan.Environments, e)
	}
	return plan
}

func TestFleetText(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{
		`secret "BITBUCKET_API_TOKEN": rotate (its value cannot be read back, so each apply writes it)`,
		`environment "acme-000": create (none of this name exists)`,
		`environment "acme-001" (En00000000000000000001): update (differs in docker_image)`,
		"  docker_image",
		"    - node:20",
		"    + node:22",
		"environment \"acme-002\" (En00000000000000000002): failed: no | such\nrepository",
		"Plan: 1 to create, 1 to update, 497 unchanged, 1 failed, 1 secret to rotate",
	}, report.FleetText(fleet(500)))
}

// many returns the facts of a fleet that was applied.
func many(n int) report.Facts {
	plan := fleet(n)
	f := report.Facts{Plan: &plan, Many: true, Err: errors.New("1 of 500 environments failed"), Verdict: smoketest.Verdict{Result: smoketest.Passed}}
	f.Applied.Secrets = []reconcile.StoredSecret{{Change: reconcile.Rotate}}
	for _, e := range plan.Environments {
		f.Applied.Environments = append(f.Applied.Environments, reconcile.StoredEnvironment{Change: e.Change, UID: e.UID, Name: e.Name})
		f.Tests = append(f.Tests, smoketest.Verdict{Result: smoketest.Skipped})
	}
	return f
}

func TestOutputsOfMany(t *testing.T) {
	t.Parallel()
	values := map[string]string{}
	for _, output := range many(5).Outputs() {
		if output.Value != "" {
			values[output.Name] = output.Value
		}
	}
	var list []map[string]string
	require.NoError(t, json.Unmarshal([]byte(values["environments"]), &list))
	delete(values, "environments")
	assert.Equal(t, map[string]string{"changed": "true", "smoke_test": "passed"}, values)
	require.Len(t, list, 5)
	assert.Equal(t, map[string]string{"id": "En00000000000000000002", "name": "acme-002", "change": "", "verdict": "skipped", "error": "no | such\nrepository"}, list[2])
	assert.Empty(t, list[3]["error"], "the job's error is not that of each entry")
}

// rowsOf returns the names in a summary's tables, in order, and how many are left out.
func rowsOf(t *testing.T, summary string) (rows []string, left int) {
	t.Helper()
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]*)` \\|").FindAllStringSubmatch(summary, -1) {
		rows = append(rows, row[1])
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) more \|`).FindAllStringSubmatch(summary, -1) {
		n, err := strconv.Atoi(row[1])
		require.NoError(t, err)
		left += n
	}
	return rows, left
}

// TestAFailedTestIsAFailedRow: an unchanged environment whose test failed is not folded with
// the other unchanged ones.
func TestAFailedTestIsAFailedRow(t *testing.T) {
	t.Parallel()
	f := many(100)
	f.Tests[77] = smoketest.Verdict{Result: smoketest.TimedOut, Reason: "it took | too long"}
	f.Tests[77].Run.SessionLink = "https://app.warp.dev/session/1"
	f.Applied.Environments[88].Change = "" // the job was told to stop
	text := f.Summary(0)
	assert.Contains(t, text, "| keep | timed out: it took \\| too long [session](<https://app.warp.dev/session/1>) |  |\n")
	rows, _ := rowsOf(t, text)
	assert.Equal(t, []string{"acme-002", "acme-077", "acme-088", "acme-000"}, rows[:4])
}

// mermaid returns the nodes and the edges of a summary's one graph, and the text above it.
func mermaid(t *testing.T, summary string) (nodes map[string]string, edges []string, above string) {
	t.Helper()
	require.Equal(t, 1, strings.Count(summary, "```mermaid\ngraph LR\n"), summary)
	above, graph, _ := strings.Cut(summary, "```mermaid\ngraph LR\n")
	graph, _, closed := strings.Cut(graph, "```")
	require.True(t, closed)
	nodes = map[string]string{}
	node := regexp.MustCompile(`(\w+)\["([^"\[\]]*)"\]`)
	for _, match := range node.FindAllStringSubmatch(graph, -1) {
		require.NotContains(t, nodes, match[1], "one label for each")
		nodes[match[1]] = match[2]
	}
	for line := range strings.Lines(node.ReplaceAllString(graph, "$1")) {
		line = strings.TrimSpace(line)
		from, to, isEdge := strings.Cut(line, " --> ")
		if isEdge {
			edges = append(edges, nodes[from]+" "+nodes[to])
		}
		for _, end := range []string{from, to} {
			assert.Contains(t, append(slices.Collect(maps.Keys(nodes)), ""), end, line)
		}
	}
	return nodes, edges, above
}

func TestTheGraphOfAFleet(t *testing.T) {
	t.Parallel()
	plan := &reconcile.Plan{Mode: reconcile.Provision}
	for _, name := range []string{"A_TOKEN", `B"]--x`} {
		plan.Secrets = append(plan.Secrets, reconcile.SecretPlan{Credential: credential.Credential{Name: name}, Change: reconcile.Rotate})
	}
	add := func(secret int, user credential.User, change reconcile.Change) {
		plan.Environments = append(plan.Environments, reconcile.EnvironmentPlan{User: user, Secret: secret, Change: change})
	}
	add(0, user(id, "api", "api", "shared"), reconcile.Keep)
	add(1, user("", "web", "web", "shared"), reconcile.Create)
	add(1, user("", "web", "web"), reconcile.Create) // another owner's
	plan.Secrets[1].Others = []credential.User{user(id, "api", "old")}
	nodes, edges, _ := mermaid(t, report.Facts{Many: true, DryRun: true, Plan: plan}.Summary(0))
	assert.Len(t, nodes, 2+3+4)
	assert.Equal(t, []string{
		"A_TOKEN api", "api acme/api", "api acme/shared", "B#34;#93;--x web", "web acme/web", "web acme/shared", "B#34;#93;--x web", "web acme/web", "B#34;#93;--x api", "api acme/old",
	}, edges)

	for i := range 500 {
		add(i%2, user(fmt.Sprintf("En%020d", 100+i), fmt.Sprint("e", i), fmt.Sprint("r", i)), reconcile.Keep)
	}
	plan.Environments[450].Change = reconcile.Update
	nodes, edges, above := mermaid(t, report.Facts{Many: true, DryRun: true, Plan: plan}.Summary(0))
	assert.LessOrEqual(t, len(nodes), 40)
	assert.Greater(t, len(nodes), 35)
	assert.Contains(t, edges, "B#34;#93;--x e447", "what changes is drawn first")
	drawn := 0
	for node := range nodes {
		if node[0] == 'e' {
			drawn++
		}
	}
	assert.Contains(t, above, fmt.Sprintf("The graph shows %d of 503 environments, those that change first.\n", drawn))
	assert.Regexp(t, fmt.Sprintf("^%d more environments, \\d+ more repositories$", 503-drawn), nodes["more"])
}

func TestAPlanOfManyInOneLine(t *testing.T) {
	t.Parallel()
	f := many(500)
	f.DryRun, f.Applied, f.Err = true, reconcile.Applied{}, nil
	assert.Equal(t, "plan: 1 to create, 1 to update, 497 unchanged, 1 failed, 1 secret to rotate", f.Headline())
}
