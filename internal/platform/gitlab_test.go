package platform_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	report := read(t, path)
	assert.Equal(t, factsLines, report)
	assert.LessOrEqual(t, strings.Count(report, "\n"), 20, "the fewest variables that a GitLab takes")
	for line := range strings.Lines(report) {
		assert.Regexp(t, `^[A-Za-z0-9_]+=`, line)
	}
}

func TestAReportThatGitLabRefusesIsAnError(t *testing.T) {
	t.Parallel()
	f := facts()
	f.Applied.EnvironmentName = strings.Repeat("x", 5<<10)
	j := start("GITLAB_CI=true")
	require.ErrorContains(t, j.Emit(f, filepath.Join(t.TempDir(), "report.env")), "GitLab takes less than 5120")
	require.NoError(t, start("GITLAB_CI=true").Emit(f, ""), "nobody asked for a report")
}
