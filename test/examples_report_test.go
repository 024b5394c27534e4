package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// scanned matches the paths that Bitbucket's scanner reads.
//
// Source: https://confluence.atlassian.com/bitbucket/test-reporting-in-pipelines-939708543.html
var scanned = regexp.MustCompile(`^(?:[^/]+/)?(?:surefire-reports|failsafe-reports|test-results|test-reports|TestResults)/[^/]+\.xml$`)

// TestExamplesShowEachEnvironmentAsATest: on each host with a page of tests, also a failed job
// writes the report where the host reads it.
func TestExamplesShowEachEnvironmentAsATest(t *testing.T) {
	t.Parallel()
	t.Run("GitLab", func(t *testing.T) {
		t.Parallel()
		var file map[string]gitlabJob
		decodeLoosely(t, "gitlab-fleet.yml", &file)
		job := file["oz-environments"]
		assert.Equal(t, "always", job.Artifacts.When)
		assert.Equal(t, ".oz-bitbucket/oz.xml", job.Artifacts.Reports.Junit)
		assert.Equal(t, job.Artifacts.Reports.Junit, job.Variables["REPORT_FILE"])
		// gitlab-ci.yml includes the component, for which TestComponentAgreesWithTheAction checks this.
	})
	t.Run("GitLab, a comment", func(t *testing.T) {
		t.Parallel()
		var file map[string]any
		decodeLoosely(t, "gitlab-plan.yml", &file)
		plan, comment := fields(file["oz-plan"]), fields(file["oz-plan-comment"])
		written := text(fields(plan["variables"])["REPORT_FILE"])
		assert.Equal(t, ".oz-bitbucket/oz.md", written)
		assert.Equal(t, "plan", fields(plan["variables"])["MODE"])
		assert.Equal(t, map[string]any{"when": "always", "paths": []any{written}}, plan["artifacts"])
		assert.Contains(t, text(items(comment["script"])[0]), " body@"+written+" ")
		assert.Equal(t, "always", fields(items(comment["rules"])[0])["when"])
	})
	t.Run("Jenkins", func(t *testing.T) {
		t.Parallel()
		text := readFiles(t, examples+"Jenkinsfile")[examples+"Jenkinsfile"]
		read := regexp.MustCompile(`post \{ always \{ junit testResults: '([^']+)', allowEmptyResults: true \} \}`).FindStringSubmatch(text)
		require.NotNil(t, read)
		assert.Contains(t, text, `-e REPORT_FILE=/checkout/`+read[1]+` `)
		assert.Contains(t, text, `-v "$WORKSPACE:/checkout"`)
	})
	t.Run("Azure", func(t *testing.T) {
		t.Parallel()
		var file struct {
			Steps []struct {
				Script, Task, Condition string
				Inputs                  map[string]string
			}
		}
		decodeLoosely(t, "azure-pipelines.yml", &file)
		require.Greater(t, len(file.Steps), 1)
		run, publish := file.Steps[0].Script, file.Steps[1]
		assert.Equal(t, []string{"PublishTestResults@2", "succeededOrFailed()"}, []string{publish.Task, publish.Condition})
		assert.Equal(t, []string{"JUnit", "$(Agent.TempDirectory)"}, []string{publish.Inputs["testResultsFormat"], publish.Inputs["searchFolder"]})
		assert.Contains(t, run, "-e REPORT_FILE=/outputs/"+publish.Inputs["testResultsFiles"]+" ")
		assert.Contains(t, run, `-v "$AGENT_TEMPDIRECTORY:/outputs"`)
	})
	t.Run("Bitbucket", func(t *testing.T) {
		t.Parallel()
		files := readFiles(t, examples+"bitbucket-*.yml")
		assert.Len(t, files, 3)
		for path, text := range files {
			reports := regexp.MustCompile(`REPORT_FILE[:=] ?(\S+)`).FindAllStringSubmatch(text, -1)
			calls := regexp.MustCompile(`(?m)^ *- (?:pipe:|.*oz-bitbucket (?:plan|apply|rotate)$)`).FindAllString(text, -1)
			assert.Len(t, reports, len(calls), "%s: one for each call", path)
			for _, report := range reports {
				assert.Regexp(t, scanned, report[1], path)
				made := "mkdir -p " + filepath.Dir(report[1]) + " && echo '*' >" + filepath.Dir(report[1]) + "/.gitignore"
				assert.Equal(t, len(reports), strings.Count(text, made), "%s: the program makes no directory but its own", path)
			}
		}
	})
}

// TestACommentShowsTheGraph: the summary as a file is what GitHub shows. No line of it is a
// quick action of GitLab, whatever the name of an environment.
//
// Source: https://docs.gitlab.com/user/project/quick_actions/
func TestACommentShowsTheGraph(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.repositories("web", "api")
		inputs := w.manifest("environments:\n  - {repo_url: 'https://bitbucket.org/acme/web.git', environment_name: /close}\n  - repo_url: https://bitbucket.org/acme/api.git\n", map[string]string{"mode": "plan"})
		path := filepath.Join(t.TempDir(), ".oz-bitbucket", "oz.md")
		inputs["report_file"] = path
		r := w.must(inputs)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Contains(t, string(content), "```mermaid\ngraph LR\n")
		assert.Contains(t, string(content), "/close")
		assert.NotRegexp(t, `(?m)^\s*/`, string(content))
		if w.dialect == github {
			assert.Equal(t, r.summary, string(content))
		}
		w.written = append(w.written, string(content))
	})
}
