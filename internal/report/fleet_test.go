package report_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// fleet is a plan of n environments: the first is created, the second is updated, the third
// fails, and the others stay.
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
		`secret "BITBUCKET_API_TOKEN": rotate (its value cannot be read back)`,
		`environment "acme-000": create`,
		`environment "acme-001" (En00000000000000000001): update`,
		"  docker_image",
		"    - node:20",
		"    + node:22",
		"environment \"acme-002\" (En00000000000000000002): failed: no | such\nrepository",
		"1 to create, 1 to update, 497 unchanged, 1 failed, 1 secret to rotate",
	}, report.FleetText(fleet(500)))
}

// many are the facts of a fleet that was applied.
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

func TestSummaryOfMany(t *testing.T) {
	t.Parallel()
	for _, n := range []int{5, 500, 10_000} {
		text := many(n).Summary(0)
		assert.Less(t, len(text), 64<<10)
		assert.Contains(t, text, fmt.Sprintf("### oz-bitbucket: 1 created, 1 updated, %d unchanged, 1 failed; smoke test passed\n", n-3))
		at := func(what string) int { return strings.Index(text, "| `"+what+"`") }
		assert.Positive(t, at("acme-002"))
		assert.Less(t, at("acme-002"), at("acme-000"), "what failed comes first")
		assert.Less(t, at("acme-001"), at("acme-003"), "what stays comes last")
		assert.Contains(t, text, "node:22")
		if n == 10_000 {
			assert.Regexp(t, `\| \d+ more \|`, text)
		} else {
			assert.Equal(t, n, strings.Count(text, "| `acme-"))
		}
	}
}

func TestAPlanOfManyInOneLine(t *testing.T) {
	t.Parallel()
	f := many(500)
	f.DryRun, f.Applied, f.Err = true, reconcile.Applied{}, nil
	assert.Equal(t, "1 to create, 1 to update, 497 unchanged, 1 failed, 1 secret to rotate", f.Headline())
}
