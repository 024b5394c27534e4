package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
)

// actionMetadata has the keys of GitHub's metadata for a Docker action that we use.
//
// Source: https://docs.github.com/actions/reference/metadata-syntax-reference
type actionMetadata struct {
	Name, Description, Author string
	Branding                  struct{ Icon, Color string }
	Inputs                    map[string]struct {
		Description string
		Default     *string
	}
	Outputs map[string]struct{ Description string }
	Runs    struct{ Using, Image, Entrypoint string }
}

// pipeMetadata has every key of a pipe's metadata.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/write-a-pipe-for-bitbucket-pipelines/
type pipeMetadata struct {
	Name, Description, Category, Image, Repository string
	Vendor, Maintainer                             struct{ Name, Website string }
	Tags                                           []string
	Variables                                      []struct{ Name, Description, Default string }
}

// componentHeader and componentJob are the two documents of a GitLab component.
//
// Source: https://docs.gitlab.com/ci/components/, https://docs.gitlab.com/ci/yaml/
type componentHeader struct {
	Spec struct {
		Inputs map[string]struct {
			Description string
			Default     *string
			Options     []string
		}
	}
}

type componentJob struct {
	Stage string
	Image struct {
		Name       string
		Entrypoint []string
	}
	Variables map[string]struct {
		Value  string
		Expand *bool
	}
	Script    []string
	Artifacts struct {
		When    string
		Reports struct{ Dotenv, Junit string }
	}
}

// decode reads the documents of a YAML file into values and refuses keys that
// they do not have.
func decode(t *testing.T, path string, into ...any) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	for _, value := range into {
		require.NoError(t, decoder.Decode(value), path)
	}
	require.ErrorIs(t, decoder.Decode(new(any)), io.EOF, "%s has more documents", path)
}

func readAction(t *testing.T, path string) actionMetadata {
	t.Helper()
	var action actionMetadata
	decode(t, path, &action)
	return action
}

func readComponent(t *testing.T, path string) (componentHeader, componentJob) {
	t.Helper()
	var header componentHeader
	jobs := map[string]componentJob{}
	decode(t, path, &header, &jobs)
	require.Len(t, jobs, 1)
	return header, jobs["$[[ inputs.job_name ]]"]
}

var sentence = regexp.MustCompile(`^[A-Z](?s:.*)\.$`)

func TestActionIsDescribedForPeople(t *testing.T) {
	t.Parallel()
	action := readAction(t, "../action.yml")
	assert.Equal(t, []string{"cloud", "blue"}, []string{action.Branding.Icon, action.Branding.Color})
	assert.Equal(t, []string{"docker", "Dockerfile", "/usr/local/bin/oz-bitbucket"}, []string{action.Runs.Using, action.Runs.Image, action.Runs.Entrypoint})
	for name, input := range action.Inputs {
		assert.Regexp(t, sentence, input.Description, name)
		assert.NotRegexp(t, `^[A-Z][a-z]*_`, input.Description, "%s: a value with a capital", name)
	}
	for name, output := range action.Outputs {
		assert.Regexp(t, sentence, output.Description, name)
	}
}

func TestPipeAgreesWithTheAction(t *testing.T) {
	t.Parallel()
	var metadata pipeMetadata
	decode(t, "../pipe.yml", &metadata)
	action := readAction(t, "../action.yml")
	for _, text := range []string{metadata.Name, metadata.Description, metadata.Category, metadata.Image, metadata.Repository, metadata.Vendor.Name, metadata.Vendor.Website, metadata.Maintainer.Name, metadata.Maintainer.Website} {
		assert.NotEmpty(t, text)
	}
	require.Len(t, metadata.Variables, len(config.Inputs()))
	for i, input := range config.Inputs() {
		variable := metadata.Variables[i]
		assert.Equal(t, strings.ToUpper(input.Name), variable.Name)
		assert.Equal(t, action.Inputs[input.Name].Description, variable.Description, variable.Name)
		want := input.Default
		if input.Name == "bitbucket_token" || input.Name == "warp_api_key" {
			want = "$" + variable.Name // the pipeline's own variable
		}
		assert.Equal(t, want, variable.Default, variable.Name)
	}
}

func TestComponentAgreesWithTheAction(t *testing.T) {
	t.Parallel()
	header, job := readComponent(t, "../templates/oz-bitbucket.yml")
	action := readAction(t, "../action.yml")
	inputs := header.Spec.Inputs
	for _, input := range config.Inputs() {
		declared, there := inputs[input.Name]
		if slices.Contains(credentials, input.Name) {
			assert.False(t, there, "%s as an input would be in the pipeline's configuration", input.Name)
			continue
		}
		variable := job.Variables[strings.ToUpper(input.Name)]
		assert.Equal(t, "$[[ inputs."+input.Name+" ]]", variable.Value)
		if assert.NotNil(t, variable.Expand, input.Name) {
			assert.False(t, *variable.Expand, "GitLab would expand $ in %s", input.Name)
		}
		if !assert.NotNil(t, declared.Default, input.Name) {
			continue
		}
		if own := map[string]string{"output_file": ".oz-bitbucket/oz.env", "report_file": ".oz-bitbucket/oz.xml"}[input.Name]; own != "" {
			assert.Equal(t, own, *declared.Default)
			continue
		}
		assert.Equal(t, input.Default, *declared.Default, input.Name)
		assert.Equal(t, action.Inputs[input.Name].Description, declared.Description)
		if declared.Options != nil {
			assert.Contains(t, declared.Options, input.Default, input.Name)
		}
	}
	assert.Len(t, job.Variables, len(config.Inputs())-len(credentials))
	assert.Len(t, inputs, len(job.Variables)+len([]string{"job_name", "stage", "image"}))
	assert.Equal(t, []string{""}, job.Image.Entrypoint, "GitLab runs the script in a shell of the image")
	assert.Equal(t, []string{"oz-bitbucket"}, job.Script)
	assert.Equal(t, "always", job.Artifacts.When)
	assert.Equal(t, "$[[ inputs.output_file ]]", job.Artifacts.Reports.Dotenv)
	assert.Equal(t, "$[[ inputs.report_file ]]", job.Artifacts.Reports.Junit)
}

// credentials are the inputs that hold a secret's value.
var credentials = []string{"bitbucket_token", "warp_api_key", "previous_token", "bitbucket_password"}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../Dockerfile")
	require.NoError(t, err)
	var instructions []string
	for line := range strings.SplitSeq(strings.ReplaceAll(string(content), "\\\n", ""), "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			instructions = append(instructions, line)
		}
	}
	text := strings.Join(instructions, "\n")
	assert.Len(t, fromLine.FindAllString(text, -1), strings.Count(text, "FROM "), "a base without a digest")
	assert.NotContains(t, text, "USER ")
	_, last, _ := strings.Cut(text, "\nFROM alpine")
	assert.NotContains(t, last, "RUN ", "a RUN needs a machine of the platform, and differs from build to build")
	assert.Equal(t, `ENTRYPOINT ["/usr/local/bin/oz-bitbucket"]`, instructions[len(instructions)-1])
	for label, want := range imageLabels(t, "${VERSION}", "${REVISION}") {
		assert.Contains(t, last, label+`="`+want+`"`)
	}
	release, err := os.ReadFile("../.github/workflows/release.yml")
	require.NoError(t, err)
	page := manual(t)["../docs/docker.md"]
	for _, argument := range regexp.MustCompile(`(?m)^ARG (\w+)=`).FindAllStringSubmatch(last, -1) {
		assert.Contains(t, page, "--build-arg "+argument[1]+`="$(git `)
	}
	assert.Equal(t, strings.Count(last, "\nARG "), strings.Count(page, "--build-arg "), "docs/docker.md gives an argument that the image does not take")
	for _, argument := range []string{"VERSION=${{ needs.tag.outputs.version }}", "REVISION=${{ github.sha }}"} {
		assert.Contains(t, string(release), "\n            "+argument+"\n")
		name, _, _ := strings.Cut(argument, "=")
		assert.Contains(t, last, "\nARG "+name+"=")
	}
}

// imageLabels returns the labels of the image.
//
// Source: https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md
func imageLabels(t *testing.T, version, revision string) map[string]string {
	t.Helper()
	action := readAction(t, "../action.yml")
	license, err := os.ReadFile("../LICENSE")
	require.NoError(t, err)
	spdx, _, _ := strings.Cut(string(license), " License\n")
	labels := map[string]string{
		"title": action.Name, "description": action.Description, "source": "https://github.com/oz-bitbucket/oz-bitbucket",
		"licenses": spdx, "version": version, "revision": revision,
	}
	prefixed := make(map[string]string, len(labels))
	for name, value := range labels {
		prefixed["org.opencontainers.image."+name] = value
	}
	return prefixed
}

// TestReleaseNamesTheImageByDigest runs what the release workflow runs.
func TestReleaseNamesTheImageByDigest(t *testing.T) {
	t.Parallel()
	const image, digest = "ghcr.io/oz-bitbucket/oz-bitbucket", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	pin := func(directory, version, digest string) error {
		script, err := filepath.Abs("../.github/pin-image.sh")
		require.NoError(t, err)
		command := exec.Command("sh", script, image, version, digest)
		command.Dir = directory
		return command.Run()
	}
	files := []string{"action.yml", "pipe.yml", "templates/oz-bitbucket.yml"}
	checkout := func() string {
		directory := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(directory, "templates"), 0o755))
		for _, file := range files {
			content, err := os.ReadFile(filepath.Join("..", file))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(directory, file), content, 0o644))
		}
		return directory
	}

	directory := checkout()
	require.NoError(t, pin(directory, "1.2.3", digest))
	assert.Equal(t, "docker://"+image+"@"+digest, readAction(t, filepath.Join(directory, "action.yml")).Runs.Image)
	var metadata pipeMetadata
	decode(t, filepath.Join(directory, "pipe.yml"), &metadata)
	assert.Equal(t, "oz-bitbucket/oz-bitbucket:1.2.3", metadata.Image)
	header, _ := readComponent(t, filepath.Join(directory, "templates/oz-bitbucket.yml"))
	assert.Equal(t, image+":1.2.3@"+digest, *header.Spec.Inputs["image"].Default)

	for version, digest := range map[string]string{"v1.2.3": digest, "1.2.3 && true": digest, "1.2.3": "latest"} {
		directory := checkout()
		var exit *exec.ExitError
		assert.True(t, errors.As(pin(directory, version, digest), &exit), "%s %s", version, digest)
		assert.Equal(t, "Dockerfile", readAction(t, filepath.Join(directory, "action.yml")).Runs.Image)
	}
}

// TestReleasesAreOfOneForm runs the release workflow's check of the tag.
func TestReleasesAreOfOneForm(t *testing.T) {
	t.Parallel()
	check := func(ref string) (string, error) {
		out, err := exec.Command("sh", "../.github/check-tag.sh", ref).Output()
		return string(out), err
	}
	for ref, want := range map[string]string{
		"refs/tags/source/v1.2.3":    "version=1.2.3\nmajor=1\n",
		"refs/tags/source/v0.0.0":    "version=0.0.0\nmajor=0\n",
		"refs/tags/source/v10.20.30": "version=10.20.30\nmajor=10\n",
	} {
		out, err := check(ref)
		require.NoError(t, err, ref)
		assert.Equal(t, want, out)
	}
	for _, ref := range []string{
		"", "v1.2.3", "source/v1.2.3", "refs/heads/source/v1.2.3", "refs/tags/v1.2.3", "refs/tags/v1.2.3-rc1", "refs/tags/source/v1.2.3-rc1", "refs/tags/source/v1.2.3+build",
		"refs/tags/source/1.2.3", "refs/tags/source/vv1.2.3", "refs/tags/source/v", "refs/tags/source/v1", "refs/tags/source/v1.2", "refs/tags/source/v1.2.3.4", "refs/tags/source/v1.2.",
		"refs/tags/source/v.2.3", "refs/tags/source/v1..3", "refs/tags/source/v01.2.3", "refs/tags/source/v1.2.03", "refs/tags/source/v1.2.3 ", "refs/tags/source/v1.2.3\nversion=9.9.9",
		"refs/tags/source/vx\n1.2.3", "refs/tags/source/v1.2.3/x", "refs/tags/source/v$(id).2.3", "refs/tags/source/v*", "refs/tags/x/refs/tags/source/v1.2.3", "-n",
	} {
		out, err := check(ref)
		var exit *exec.ExitError
		if assert.True(t, errors.As(err, &exit), "%q", ref) {
			assert.Contains(t, string(exit.Stderr), "not the tag of a release")
		}
		assert.Empty(t, out, "%q", ref)
	}
}

// TestReleasePushesNothingUnchecked: every job that may push comes after the check
// of the tag and after CI, and the token of Docker Hub is in an environment.
func TestReleasePushesNothingUnchecked(t *testing.T) {
	t.Parallel()
	type job struct {
		Needs       []string
		Uses        string
		Environment string
		Permissions map[string]string
		Steps       []yaml.Node
	}
	var workflow struct{ Jobs map[string]job }
	content, err := os.ReadFile("../.github/workflows/release.yml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, &workflow))
	var after func(name string) []string
	after = func(name string) []string {
		before := slices.Clone(workflow.Jobs[name].Needs)
		for _, needed := range workflow.Jobs[name].Needs {
			before = append(before, after(needed)...)
		}
		return before
	}
	withToken := 0
	for name, job := range workflow.Jobs {
		text, err := yaml.Marshal(job.Steps)
		require.NoError(t, err)
		secret := strings.Contains(string(text), "secrets.")
		if secret {
			withToken++
			assert.Equal(t, "release", job.Environment, name)
			assert.NotContains(t, string(text), "actions/checkout", "%s: nothing of this repository may run with the token", name)
		}
		if secret || strings.Contains(fmt.Sprint(job.Permissions), "write") {
			assert.Contains(t, after(name), "tag", name)
			assert.Contains(t, after(name), "ci", name)
		}
	}
	assert.Equal(t, 1, withToken)
	assert.Equal(t, 1, strings.Count(string(content), "secrets."))
	assert.Equal(t, ownCI, workflow.Jobs["ci"].Uses)
	steps, err := yaml.Marshal(workflow.Jobs["tag"].Steps)
	require.NoError(t, err)
	assert.Contains(t, string(steps), `sh .github/check-tag.sh "$GITHUB_REF"`)
}
