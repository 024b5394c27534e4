package platform_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
)

func TestGitLabToTheByte(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report.env")
	j := start("GITLAB_CI=true")
	end := j.Group("Smoke test")
	j.Log().Info("run 1")
	end()
	require.NoError(t, j.Emit(facts(), path))
	stamp := regexp.MustCompile(`:\d{10,}:`)
	assert.Equal(t, ""+
		"\x1b[0Ksection_start:1:oz_bitbucket_smoke_test\r\x1b[0KSmoke test\n"+
		"run 1\n"+
		"\x1b[0Ksection_end:1:oz_bitbucket_smoke_test\r\x1b[0K\n", stamp.ReplaceAllString(j.log.String(), ":1:"))
	assert.Equal(t, factsJSON, j.out.String())
	text := read(t, path)
	assert.Equal(t, factsLines, text)
	assert.LessOrEqual(t, strings.Count(text, "\n"), 20, "the fewest variables that a GitLab takes")
	for line := range strings.Lines(text) {
		assert.Regexp(t, `^[A-Za-z0-9_]+=`, line)
	}
}

func TestGitLabsSectionsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	j := start("GITLAB_CI=true")
	for _, title := range []string{"Smoke test", "Smoke test", "Smoke test 2", "Plan", "Smoke test"} {
		j.Group(title)()
	}
	outer := j.Group("Plan")
	j.Group("Plan")()
	outer()
	var got []string
	for _, marker := range regexp.MustCompile(`section_(start|end):\d+:oz_bitbucket_(\w+)\r`).FindAllStringSubmatch(j.log.String(), -1) {
		got = append(got, marker[1]+" "+marker[2])
	}
	assert.Equal(t, []string{
		"start smoke_test", "end smoke_test", "start smoke_test_2", "end smoke_test_2", "start smoke_test_2_2", "end smoke_test_2_2",
		"start plan", "end plan", "start smoke_test_3", "end smoke_test_3",
		"start plan_2", "start plan_3", "end plan_3", "end plan_2",
	}, got)
}

func TestAReportStaysBelowGitLabsLimit(t *testing.T) {
	t.Parallel()
	f := facts()
	one := reconcile.EnvironmentPlan{User: credential.User{UID: "En00000000000000000001"}}
	f.Plan.Environments = slices.Repeat([]reconcile.EnvironmentPlan{one}, 200)
	path := filepath.Join(t.TempDir(), "report.env")
	j := start("GITLAB_CI=true")
	require.NoError(t, j.Emit(f, path))
	assert.Equal(t, "warning: output environments is empty in output_file: GitLab accepts less than 5120 bytes as a dotenv report\n", j.log.String())
	text := read(t, path)
	assert.Less(t, len(text), 5<<10)
	assert.Contains(t, text, "\nenvironments=\n")
	assert.Contains(t, text, "environment_id=En00000000000000000001\n")
	assert.Contains(t, j.out.String(), `"environments":"[{`)

	j = start("GITLAB_CI=true")
	require.NoError(t, j.Emit(f, ""))
	assert.Empty(t, j.log.String(), "no report was asked for")
}
