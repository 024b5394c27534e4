package platform_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// build returns the variables of a step, with changes; an empty value removes a variable.
func build(changes ...string) []string {
	values := map[string]string{
		"BITBUCKET_BUILD_NUMBER": "7", "BITBUCKET_WORKSPACE": "acme", "BITBUCKET_REPO_SLUG": "my.api", "BITBUCKET_COMMIT": strings.Repeat("a1", 20),
	}
	for _, change := range changes {
		name, value, _ := strings.Cut(change, "=")
		values[name] = value
	}
	var environ []string
	for name, value := range values {
		if value != "" {
			environ = append(environ, name+"="+value)
		}
	}
	return environ
}

func TestTheBuildThatAReportIsOf(t *testing.T) {
	t.Parallel()
	step := bitbucket.Build{Workspace: "acme", Slug: "my.api", Commit: strings.Repeat("a1", 20), Number: "7"}
	pipe := step
	pipe.Pipe = true
	tests := map[string]struct {
		change string
		want   *bitbucket.Build // nil: no report
	}{
		"a step":                 {"", &step},
		"a pipe":                 {"BITBUCKET_PIPE_STORAGE_DIR=/x", &pipe},
		"a pipe, by its other":   {"BITBUCKET_PIPE_SHARED_STORAGE_DIR=/x", &pipe},
		"no pipeline":            {"BITBUCKET_BUILD_NUMBER=", nil},
		"another host":           {"GITHUB_ACTIONS=true", nil},
		"no commit":              {"BITBUCKET_COMMIT=", nil},
		"no hash":                {"BITBUCKET_COMMIT=main", nil},
		"a path for a hash":      {"BITBUCKET_COMMIT=../" + strings.Repeat("a1", 18) + "x", nil},
		"no workspace":           {"BITBUCKET_WORKSPACE=", nil},
		"a path for a workspace": {"BITBUCKET_WORKSPACE=acme/..", nil},
		"another address":        {"BITBUCKET_WORKSPACE=@evil.test/", nil},
		"no slug":                {"BITBUCKET_REPO_SLUG=", nil},
		"dots":                   {"BITBUCKET_REPO_SLUG=..", nil},
		"a query":                {"BITBUCKET_REPO_SLUG=api?x", nil},
		"a line feed":            {"BITBUCKET_REPO_SLUG=api\n", nil},
		"no number":              {"BITBUCKET_BUILD_NUMBER=7/../8", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of, report, there := start(build(tt.change)...).Insights(facts())
			require.Equal(t, tt.want != nil, there)
			if !there {
				assert.Empty(t, report)
				return
			}
			assert.Equal(t, *tt.want, of)
			assert.Contains(t, string(report.Report), `"link":"https://bitbucket.org/acme/my.api/pipelines/results/7"`)
			assert.Equal(t, "/2.0/repositories/acme/my.api/commit/"+strings.Repeat("a1", 20)+"/reports/"+report.ID, report.Path(of))
		})
	}
}

// TestAReportHoldsNoSecret: neither a whole one nor a part of one where a text is cut.
func TestAReportHoldsNoSecret(t *testing.T) {
	t.Parallel()
	const token = "ATATT3MARKER-0123456789"
	f := facts()
	f.Manifest, f.ExitCode = "oz.yml", 1
	f.Plan.Environments[0].Name = token
	f.Applied.Environments[0].Name = token
	f.Plan.Secrets[0].Name, f.Plan.Warnings = token, []string{token}
	for _, err := range []error{errors.New(token), errors.New(strings.Repeat("x", 1985) + token + strings.Repeat(" "+token, 9000))} {
		f.Err = err
		j := start(build()...)
		j.Mask(nil, sensitive.New(token))
		_, report, _ := j.Insights(f)
		require.NotEmpty(t, report.Annotations)
		for _, text := range append(report.Annotations, report.Report) {
			assert.NotContains(t, string(text), "ATATT3")
			assert.Contains(t, string(text), "***")
		}
	}
}

// TestASubjectIsWhatTheInputsSay: jobs whose inputs differ, and the steps of a parallel
// group, each have a report of their own.
func TestASubjectIsWhatTheInputsSay(t *testing.T) {
	t.Parallel()
	id := func(changes ...string) string {
		_, report, _ := start(build(changes...)...).Insights(facts())
		return report.ID
	}
	assert.Equal(t, id(), id("BITBUCKET_BUILD_NUMBER=8", "DOCKER_IMAGE=node:22", "BITBUCKET_TOKEN=x"))
	seen := map[string]bool{id(): true}
	for _, change := range []string{"MANIFEST=oz.yml", "SHARD=1/2", "SHARD=2/2", "REPO_URL=https://bitbucket.org/a/b.git", "ENVIRONMENT_NAME=a", "ENVIRONMENT_ID=a", "SECRET_NAME=a", "SCOPE=personal",
		"TEAM=a", "INPUT_TEAM=a", "BITBUCKET_PARALLEL_STEP=0", "BITBUCKET_PARALLEL_STEP=1"} {
		assert.False(t, seen[id(change)], change)
		seen[id(change)] = true
	}
}

func TestAnAnnotationStandsInTheManifest(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	require.NoError(t, err)
	const token = "ATATT3MARKER-0123456789"
	tests := []struct{ manifest, clone, want string }{
		{"oz.yml", here, "oz.yml"},
		{"./a/../oz/oz.yml", here, "oz/oz.yml"},
		{"oz.yml", filepath.Dir(here), "platform/oz.yml"},
		{filepath.Join(here, "a b/oz.yml"), here, "a b/oz.yml"},
		{"../oz.yml", here, "bitbucket-pipelines.yml"},
		{"/tmp/oz.yml", here, "bitbucket-pipelines.yml"},
		{"oz.yml", "", "bitbucket-pipelines.yml"},
		{"a\noz.yml", here, "bitbucket-pipelines.yml"},
		{token + ".yml", here, "bitbucket-pipelines.yml"},
	}
	for _, tt := range tests {
		f := facts()
		f.Manifest, f.Places, f.Err, f.ExitCode = tt.manifest, []string{"oz.yml:12"}, errors.New("no"), 1
		j := start(build("BITBUCKET_CLONE_DIR=" + tt.clone)...)
		j.Mask(nil, sensitive.New(token))
		_, report, _ := j.Insights(f)
		require.Len(t, report.Annotations, 1)
		var list []struct {
			Path string
			Line int
		}
		require.NoError(t, json.Unmarshal(report.Annotations[0], &list))
		assert.Equal(t, tt.want, list[0].Path, tt.manifest)
		assert.Equal(t, tt.want != "bitbucket-pipelines.yml", list[0].Line == 12)
	}
}
