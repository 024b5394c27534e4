package test

import (
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
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// actionlint is the linter that .ci/run uses too.
const actionlint = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"

const examples = "../.github/examples/"

// readFiles reads the files that match the patterns, by path.
func readFiles(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, paths, pattern)
		for _, path := range paths {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			files[path] = string(content)
		}
	}
	return files
}

var (
	usesLine   = regexp.MustCompile(`(?m)^\s*(?:- )?uses: (.*)$`)
	pinned     = regexp.MustCompile(`^[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	ownCI      = "./.github/workflows/ci.yml" // of the same commit
	ourselves  = "oz-bitbucket/oz-bitbucket@main # pin this to the commit of a release"
	credential = regexp.MustCompile(`(?i)\b(?:bitbucket_token|warp_api_key|previous_token|bitbucket_password)\b['"]?\s*[:=]\s*(.*)`)
	reference  = regexp.MustCompile(`^['"]?(\$|credentials\()`)
)

func TestWorkflowsAreBoundedAndPinned(t *testing.T) {
	t.Parallel()
	for path, text := range readFiles(t, "../.github/workflows/*.yml", examples+"github-*.yml") {
		for _, uses := range usesLine.FindAllStringSubmatch(text, -1) {
			if uses[1] != ourselves && uses[1] != ownCI {
				assert.Regexp(t, pinned, uses[1], path)
			}
		}
		var workflow struct {
			Permissions any
			Jobs        map[string]struct {
				Permissions map[string]string
				Uses        string // a workflow, which has bounds of its own
				Timeout     int    `yaml:"timeout-minutes"`
				Steps       []struct {
					Uses string
					With map[string]any
				}
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(text), &workflow), path)
		assert.IsType(t, map[string]any{}, workflow.Permissions, "%s: permissions by name", path)
		for name, job := range workflow.Jobs {
			assert.True(t, job.Timeout > 0 || job.Uses == ownCI, "%s: %s may run for ever", path, name)
			for _, step := range job.Steps {
				if strings.HasPrefix(step.Uses, "actions/checkout@") {
					assert.Equal(t, false, step.With["persist-credentials"], "%s: the token stays in the checkout", path)
				}
			}
		}
	}
}

// TestExamplesForGitHubFitTheAction lets actionlint compare them with action.yml, as it does
// for an action of the same repository.
func TestExamplesForGitHubFitTheAction(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	workflows := filepath.Join(directory, ".github", "workflows")
	require.NoError(t, os.MkdirAll(workflows, 0o755))
	for path, text := range readFiles(t, "../action.yml", "../Dockerfile") {
		require.NoError(t, os.WriteFile(filepath.Join(directory, filepath.Base(path)), []byte(text), 0o644))
	}
	for path, text := range readFiles(t, examples+"github-*.yml") {
		assert.Contains(t, text, ourselves, path)
		require.NoError(t, os.WriteFile(filepath.Join(workflows, filepath.Base(path)), []byte(strings.ReplaceAll(text, ourselves, "./")), 0o644))
	}
	// actionlint expects the entrypoint, which is in the image, in the directory of action.yml.
	entrypoint := filepath.Join(directory, readAction(t, "../action.yml").Runs.Entrypoint)
	require.NoError(t, os.MkdirAll(filepath.Dir(entrypoint), 0o755))
	require.NoError(t, os.WriteFile(entrypoint, nil, 0o755))
	output(t, exec.Command("git", "-C", directory, "init", "-q"))
	lint := exec.Command("go", "run", actionlint)
	lint.Dir = directory
	output(t, lint)
}

func TestExamplesHoldNoCredential(t *testing.T) {
	t.Parallel()
	seen := 0
	for path, text := range readFiles(t, examples+"*") {
		for _, found := range credential.FindAllStringSubmatch(text, -1) {
			assert.Regexp(t, reference, found[1], path)
			seen++
		}
	}
	assert.Greater(t, seen, 10)
}

// TestExamplesNameInputs checks the variables of the examples that set them as
// such. actionlint checks those for GitHub.
func TestExamplesNameInputs(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, input := range config.Inputs() {
		known[strings.ToUpper(input.Name)] = true
	}
	var azure struct {
		Steps []struct{ Env map[string]string }
	}
	decodeLoosely(t, "azure-pipelines.yml", &azure)
	require.NotEmpty(t, azure.Steps)
	named := map[string][]string{}
	for name := range azure.Steps[0].Env {
		named["azure-pipelines.yml"] = append(named["azure-pipelines.yml"], name)
	}
	for file, pipeline := range map[string]string{"bitbucket-pipelines.yml": "oz-environment", "bitbucket-rotate.yml": "rotate-token"} {
		for name := range pipelineExample(t, file, pipeline).Variables {
			named[file] = append(named[file], name)
		}
	}
	for _, variable := range cronJobExample(t).Env {
		named["kubernetes-cronjob.yaml"] = append(named["kubernetes-cronjob.yaml"], variable.Name)
	}
	passed := regexp.MustCompile(`(?:-e|--env) ([A-Z_]+)`)
	for _, name := range []string{"azure-pipelines.yml", "Jenkinsfile", "cron.sh"} {
		for _, match := range passed.FindAllStringSubmatch(readFiles(t, examples+name)[examples+name], -1) {
			named[name] = append(named[name], match[1])
		}
	}
	assert.Len(t, named, 6)
	for file, names := range named {
		assert.Greater(t, len(names), 2, file)
		for _, name := range names {
			assert.True(t, known[name], "%s: there is no input %s", file, name)
		}
	}

	var gitlab struct {
		Include []struct{ Inputs map[string]string }
	}
	decodeLoosely(t, "gitlab-ci.yml", &gitlab)
	header, _ := readComponent(t, "../templates/oz-bitbucket.yml")
	require.Len(t, gitlab.Include, 1)
	for name := range gitlab.Include[0].Inputs {
		assert.Contains(t, header.Spec.Inputs, name)
	}
}

func decodeLoosely(t *testing.T, example string, into any) {
	t.Helper()
	require.NoError(t, yaml.Unmarshal([]byte(readFiles(t, examples+example)[examples+example]), into), example)
}

// pipeStep is a step's use of a pipe.
type pipeStep struct {
	Pipe      string
	Variables map[string]string
}

func pipelineExample(t *testing.T, name, pipeline string) pipeStep {
	t.Helper()
	var file struct {
		Pipelines struct {
			Custom map[string][]struct {
				Step struct{ Script []yaml.Node }
			}
		}
	}
	decodeLoosely(t, name, &file)
	steps := file.Pipelines.Custom[pipeline]
	require.Len(t, steps, 1)
	script := steps[0].Step.Script
	at := slices.IndexFunc(script, func(line yaml.Node) bool { return line.Kind == yaml.MappingNode })
	require.GreaterOrEqual(t, at, 0, "there is no pipe")
	var used pipeStep
	require.NoError(t, script[at].Decode(&used))
	return used
}

// TestRotationExampleRotates runs the program with the variables of the example.
func TestRotationExampleRotates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	w.environments(2)
	values := map[string]string{
		"$OZ_BITBUCKET_TOKEN": nextToken, "$OZ_BITBUCKET_TOKEN_PREVIOUS": cloudToken,
		"$OZ_BITBUCKET_TOKEN_EXPIRES_AT": "2099-01-31", "$WARP_API_KEY": apiKey,
	}
	inputs := w.rotation(nil)
	for name, value := range pipelineExample(t, "bitbucket-rotate.yml", "rotate-token").Variables {
		if known, isVariable := values[value]; isVariable {
			value = known
		}
		inputs[strings.ToLower(name)] = value
	}
	inputs["report_file"] = filepath.Join(t.TempDir(), filepath.Base(inputs["report_file"])) // the step makes its directory
	assert.Equal(t, "passed", w.must(inputs).outputs["smoke_test"])
	w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
	w.requireClean()
}

// TestScriptsAreNotPutTogether: no script has an expression that a host replaces before the
// shell reads it (GitHub's ${{ }}, GitLab's $[[ ]], Azure's $(a.b)). Values come as variables.
// There is no exception.
func TestScriptsAreNotPutTogether(t *testing.T) {
	t.Parallel()
	documents := readFiles(t, "../.github/*/*.y*ml", "../.github/*.yml", "../action.yml", "../pipe.yml", "../templates/*.yml")
	for path, page := range manual(t) {
		for i, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1) {
			documents[fmt.Sprintf("%s, block %d", path, i+1)] = block[1]
		}
	}
	seen := 0
	for path, text := range documents {
		decoder := yaml.NewDecoder(strings.NewReader(text))
		for {
			var tree yaml.Node
			err := decoder.Decode(&tree)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, path)
			for _, script := range scriptsOf(&tree) {
				assert.NotRegexp(t, putIn, script, path)
				seen++
			}
		}
	}
	assert.Greater(t, seen, 20)
	for _, script := range []string{"echo ${{ steps.oz.outputs.x }}", "a\necho '${{x}}'", "echo $[[ inputs.x ]]", "echo $(oz.environment_id)"} {
		for _, form := range []string{"steps: [{run: %q}]", "job: {script: %q}", "job: {script: [make, %q]}", "step: {script: [{pipe: x}, %q]}", "step: {after-script: [%q]}"} {
			var tree yaml.Node
			require.NoError(t, yaml.Unmarshal(fmt.Appendf(nil, form, script), &tree))
			assert.Regexp(t, putIn, strings.Join(scriptsOf(&tree), "\n"), form)
		}
	}
}

var putIn = regexp.MustCompile(`\$\{\{|\$\[\[|\$\([A-Za-z]+\.[\w.]+\)`)

// scriptsOf lists the texts that a host runs in a shell, or in a language such as that of
// actions/github-script.
func scriptsOf(node *yaml.Node) []string {
	var scripts []string
	for i, child := range node.Content {
		isScript := node.Kind == yaml.MappingNode && i%2 == 1 &&
			slices.Contains([]string{"run", "script", "before_script", "after_script", "after-script", "bash", "pwsh", "powershell"}, node.Content[i-1].Value)
		switch {
		case isScript && child.Kind == yaml.ScalarNode:
			scripts = append(scripts, child.Value)
		case isScript && child.Kind == yaml.SequenceNode:
			for _, line := range child.Content {
				if line.Kind == yaml.ScalarNode {
					scripts = append(scripts, line.Value)
				}
			}
		}
		scripts = append(scripts, scriptsOf(child)...)
	}
	return scripts
}

// container is a container of a pod.
type container struct {
	Image        string
	Env          []struct{ Name, Value string }
	VolumeMounts []struct {
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
	SecurityContext struct {
		RunAsUser    int  `yaml:"runAsUser"`
		ReadOnlyRoot bool `yaml:"readOnlyRootFilesystem"`
		Capabilities struct{ Drop []string }
	} `yaml:"securityContext"`
}

func cronJobExample(t *testing.T) container {
	t.Helper()
	containers := cronJobPod(t).Containers
	require.Len(t, containers, 1)
	return containers[0]
}

// pod is what runs the container.
type pod struct {
	SecurityContext struct {
		FSGroup int `yaml:"fsGroup"`
	} `yaml:"securityContext"`
	Containers []container
	Volumes    []struct {
		Secret struct {
			Mode int `yaml:"defaultMode"`
		}
	}
}

func cronJobPod(t *testing.T) pod {
	t.Helper()
	var file struct {
		Spec struct {
			JobTemplate struct {
				Spec struct {
					Template struct{ Spec pod }
				}
			} `yaml:"jobTemplate"`
		}
	}
	decodeLoosely(t, "kubernetes-cronjob.yaml", &file)
	return file.Spec.JobTemplate.Spec.Template.Spec
}

// TestCronJobKeepsItsSecretToItself: Kubernetes gives the files to the group fsGroup and lets
// it read them.
//
// Source: SetVolumeOwnership in kubernetes/pkg/volume/volume_linux.go.
func TestCronJobKeepsItsSecretToItself(t *testing.T) {
	t.Parallel()
	pod := cronJobPod(t)
	require.Len(t, pod.Volumes, 1)
	assert.Equal(t, 0o400, pod.Volumes[0].Secret.Mode)
	assert.Equal(t, pod.Containers[0].SecurityContext.RunAsUser, pod.SecurityContext.FSGroup)
}

// TestExamplesAreValid parses the inputs that the examples for GitHub give, with a value
// for each expression.
func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"secrets.WARP_API_KEY": "wk-example", "secrets.BITBUCKET_TOKEN": "example-token", "secrets.BITBUCKET_TOKEN_PREVIOUS": "example-before",
		"secrets.BITBUCKET_PASSWORD": "example password", "secrets[matrix.secret]": "example-token", "matrix.repository": "api", "matrix.secret": "API_TOKEN",
		"vars.BITBUCKET_USERNAME": "jane", "vars.BITBUCKET_TOKEN_EXPIRES_AT": "2099-01-31", "matrix.commands": "make", "steps.file.outputs.commands": "make",
		"matrix.part": "2", "strategy.job-total": "4", "github.event_name == 'pull_request' && 'plan' || 'apply'": "apply",
	}
	read := func(path string) ([]byte, error) {
		switch path {
		case "factory/factory.yaml":
			return []byte("schemaVersion: v1alpha1\nagentDefaults: {model: auto}\n"), nil
		case "oz-environments.yml":
			return []byte("environments: [{repo_url: 'https://bitbucket.org/your-workspace/api.git'}]"), nil
		}
		return os.ReadFile(path)
	}
	expression := regexp.MustCompile(`\$\{\{ *(.*?) *\}\}`)
	steps := 0
	for path, text := range readFiles(t, examples+"github-*.yml") {
		var workflow struct {
			Jobs map[string]struct {
				Steps []struct {
					Uses string
					With map[string]string
				}
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(text), &workflow), path)
		for name, job := range workflow.Jobs {
			for _, step := range job.Steps {
				if !strings.HasPrefix(step.Uses, "oz-bitbucket/") {
					continue
				}
				steps++
				inputs := map[string]string{}
				for input, value := range step.With {
					inputs[input] = expression.ReplaceAllStringFunc(value, func(found string) string {
						name := expression.FindStringSubmatch(found)[1]
						assert.Contains(t, values, name, path)
						return values[name]
					})
				}
				_, err := config.Parse(inputs, read, os.Getenv)
				assert.NoError(t, err, "%s: job %s", path, name)
			}
		}
	}
	assert.Greater(t, steps, 8)
}

// TestExamplesRunInAnyRepository: a setup command for one kind of repository is in a comment,
// because a stored command that fails is kept.
func TestExamplesRunInAnyRepository(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../.github/examples/*")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			code, _, _ := strings.Cut(strings.Split(line, "//")[0], "#")
			assert.NotContains(t, code, "npm ci", page)
		}
	}
}

// TestThePipesPageIsInTheOfficialOrder: that of Atlassian's guide for a pipe's README.
func TestThePipesPageIsInTheOfficialOrder(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/bitbucket.md")
	require.NoError(t, err)
	var headings []string
	for line := range strings.Lines(string(text)) {
		if heading, found := strings.CutPrefix(line, "## "); found {
			headings = append(headings, strings.TrimSpace(heading))
		}
	}
	assert.Equal(t, []string{"YAML definition", "Variables", "Details", "Prerequisites", "Examples", "Support"}, headings)
}
