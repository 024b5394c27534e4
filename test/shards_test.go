package test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

const (
	fleetEntries = 12
	fleetSecrets = 6
)

// fleetFile returns a manifest of fleetEntries whose secrets are fleetSecrets. Team and token
// are written in several ways.
func (w *world) fleetFile() string {
	w.t.Helper()
	w.bitbucket.AddToken(bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken})
	text := "environments:\n"
	for i := range fleetEntries {
		slug := fmt.Sprintf("fleet-%d", i)
		w.repositories(slug)
		text += "  - repo_url: https://bitbucket.org/acme/" + slug + ".git\n"
		switch secret := i % fleetSecrets; secret {
		case 0: // the default
		case 1:
			text += "    secret_name: WEB_TOKEN\n    bitbucket_token_variable: WEB_BITBUCKET_TOKEN\n"
		default:
			text += fmt.Sprintf("    secret_name: TOKEN_%d\n", secret)
		}
		text += []string{"", "    team: Acme\n", "    team: " + teamUID + "\n"}[i%5%3]
	}
	return text
}

// parallelJob is one of the jobs that a host makes of an example.
type parallelJob struct {
	command   []string // runs the program itself when the first element is its name
	variables map[string]string
}

// abreast runs jobs at the same time, each in a checkout that has the file, and requires that
// they succeed.
func (w *world) abreast(t *testing.T, host, file string, jobs []parallelJob) (list []entry) {
	t.Helper()
	tools := w.t.TempDir()
	require.NoError(w.t, os.Symlink(binary, filepath.Join(tools, program)))
	var commands []*exec.Cmd
	var directories []string
	var said []*[2]bytes.Buffer
	for _, job := range jobs {
		c, temporary := newCheckout(w.t), w.t.TempDir()
		require.NoError(w.t, os.WriteFile(filepath.Join(c.directory, "oz-environments.yml"), []byte(file), 0o600))
		inputs := w.inputs(map[string]string{"smoke_test": "false"})
		for _, name := range []string{"repo_url", "bitbucket_token", "warp_api_key"} { // the example passes these
			delete(inputs, name)
		}
		command, directory := w.command(inputs)
		environ := append(command.Env, "PATH="+tools+":"+os.Getenv("PATH"))
		if w.dialect == plain {
			environ = append(environ, c.environ(host, temporary)...)
		}
		for name, value := range job.variables {
			environ = append(environ, name+"="+strings.ReplaceAll(value, "/manifest/", c.directory+"/"))
		}
		path := job.command[0]
		if path == program {
			path = binary
		}
		command = exec.Command(path, job.command[1:]...)
		command.Dir, command.Env = c.directory, environ
		out := new([2]bytes.Buffer)
		command.Stdout, command.Stderr = &out[0], &out[1]
		require.NoError(w.t, command.Start())
		commands, directories, said = append(commands, command), append(directories, directory), append(said, out)
	}
	for i, command := range commands {
		_ = command.Wait() // the exit code is checked below
		r := w.finished(command, directories[i], said[i][0].String(), said[i][1].String())
		require.Zero(w.t, r.code, r.log)
		assert.NotContains(w.t, r.log, "there is no such input")
		list = append(list, r.environments(t)...)
	}
	return list
}

// requireWholeFleet requires that the jobs together made the same change to every entry once.
func requireWholeFleet(t *testing.T, list []entry, change string) {
	t.Helper()
	names := map[string]int{}
	for _, e := range list {
		names[e.Name]++
		assert.Equal(t, change, e.Change, e.Name)
	}
	assert.Len(t, list, fleetEntries)
	assert.Len(t, names, fleetEntries)
}

// scripts returns a script as one job for each shell of a host.
func scripts(t *testing.T, shell []string, lines []string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return append(slices.Clone(shell), file)
}

// The credentials of a project, which its host passes to every job.
var ofProject = map[string]string{"WARP_API_KEY": apiKey, "BITBUCKET_TOKEN": cloudToken, "WEB_BITBUCKET_TOKEN": accessToken}

// fleetExamples returns the jobs that hosts make from their example in a mode.
var fleetExamples = map[string]func(t *testing.T, mode string) []parallelJob{
	"GitHub":     ofFleetOnGitHub,
	"GitLab":     ofFleetOnGitLab,
	"Bitbucket":  ofFleetOnBitbucket,
	"Kubernetes": ofFleetOnKubernetes,
}

// TestFleetExamplesCoverTheFleet runs the jobs of each example at the same time. Together
// they do what one job would: every environment once, every secret once.
func TestFleetExamplesCoverTheFleet(t *testing.T) {
	t.Parallel()
	for host, jobs := range fleetExamples {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			d := plain
			if host == "GitHub" {
				d = github
			}
			w := newWorld(t, d, warpsim.Options{})
			file := w.fleetFile()
			requireWholeFleet(t, w.abreast(t, host, file, jobs(t, "plan")), "create")
			w.requireNothingWritten()

			requireWholeFleet(t, w.abreast(t, host, file, jobs(t, "apply")), "create")
			w.requireNoTwins(fleetEntries)
			assert.Equal(t, fleetSecrets, w.oz.Counts()["CreateManagedSecret"])
			assert.Zero(t, w.oz.Counts()["UpdateManagedSecret"])
			assert.True(t, w.valueOf("WEB_TOKEN") == accessToken && w.valueOf("TOKEN_3") == cloudToken)

			mode := "rotate"
			if host == "GitHub" { // GitHub's nightly job applies
				mode = "apply"
			}
			requireWholeFleet(t, w.abreast(t, host, file, jobs(t, mode)), "keep")
			w.requireNoTwins(fleetEntries)
			assert.Equal(t, fleetSecrets, w.oz.Counts()["UpdateManagedSecret"])
			w.requireClean()
		})
	}
}

// ofFleetOnGitHub replaces the expressions by values. actionlint checks the workflow's keys.
//
// Source: https://docs.github.com/en/actions/reference/workflows-and-actions/contexts
func ofFleetOnGitHub(t *testing.T, mode string) []parallelJob {
	t.Helper()
	var workflow struct {
		Jobs map[string]struct {
			Concurrency string
			Strategy    struct {
				FailFast *bool `yaml:"fail-fast"`
				Matrix   struct{ Part []string }
			}
			Steps []struct {
				Uses      string
				With, Env map[string]string
			}
		}
	}
	decodeLoosely(t, "github-fleet.yml", &workflow)
	job := workflow.Jobs["part"]
	step := job.Steps[len(job.Steps)-1]
	require.Equal(t, ourselves, step.Uses+" # pin this to the commit of a release")
	if assert.NotNil(t, job.Strategy.FailFast) {
		assert.False(t, *job.Strategy.FailFast, "a failure of one part would cancel the others")
	}
	total, plans := strconv.Itoa(len(job.Strategy.Matrix.Part)), mode == "plan"
	groups := map[string]bool{}
	var jobs []parallelJob
	for _, part := range job.Strategy.Matrix.Part {
		event := map[bool][2]string{true: {"plan", "4711"}, false: {"apply", "main"}}[plans]
		evaluate := strings.NewReplacer(
			"${{ github.event_name == 'pull_request' && 'plan' || 'apply' }}", event[0],
			"${{ github.event_name == 'pull_request' && github.run_id || 'main' }}", event[1],
			"${{ matrix.part }}", part, "${{ strategy.job-total }}", total,
			"${{ secrets.WARP_API_KEY }}", apiKey, "${{ secrets.BITBUCKET_TOKEN }}", cloudToken, "${{ secrets.WEB_BITBUCKET_TOKEN }}", accessToken,
		).Replace
		variables := map[string]string{}
		for name, value := range step.With {
			variables["INPUT_"+strings.ToUpper(name)] = evaluate(value)
		}
		for name, value := range step.Env {
			variables[name] = evaluate(value)
		}
		for name, value := range variables {
			assert.NotContains(t, value, "${{", name)
		}
		groups[evaluate(job.Concurrency)] = true
		jobs = append(jobs, parallelJob{[]string{program}, variables})
	}
	assert.Len(t, groups, len(jobs), "parts must not wait for each other")
	return jobs
}

// gitlabJob has every key of a GitLab job that the example uses.
//
// Source: https://docs.gitlab.com/ci/yaml/ (parallel is 1 to 200);
// https://docs.gitlab.com/ci/variables/predefined_variables/
type gitlabJob struct {
	Image struct {
		Name       string
		Entrypoint []string
	}
	Parallel      int
	ResourceGroup string `yaml:"resource_group"`
	Timeout       string
	Variables     map[string]string
	Rules         []struct {
		If        string
		Variables map[string]string
	}
	Script    []string
	Artifacts struct {
		When    string
		Reports struct{ Junit string }
	}
}

func ofFleetOnGitLab(t *testing.T, mode string) []parallelJob {
	t.Helper()
	file := map[string]gitlabJob{}
	decode(t, examples+"gitlab-fleet.yml", &file)
	require.Len(t, file, 1)
	job := file["oz-environments"]
	require.True(t, job.Parallel > 1 && job.Parallel <= 200, "%d", job.Parallel)
	assert.Equal(t, []string{""}, job.Image.Entrypoint, "GitLab runs the script in a shell of the image")
	assert.Contains(t, job.ResourceGroup, "$CI_NODE_INDEX", "parts must not wait for each other")
	var conditions []string
	variables := maps.Clone(ofProject)
	maps.Copy(variables, job.Variables)
	for _, rule := range job.Rules {
		if conditions = append(conditions, rule.If); rule.Variables["MODE"] == mode {
			maps.Copy(variables, rule.Variables)
		}
	}
	assert.Equal(t, []string{
		`$CI_PIPELINE_SOURCE == "merge_request_event"`,
		`$CI_PIPELINE_SOURCE == "schedule"`, // before the next one, which also holds in a schedule of the default branch
		`$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH`,
	}, conditions)
	var jobs []parallelJob
	for i := range job.Parallel {
		shell := [][]string{bashGitLab, shErrexit}[i%2] // the image has no bash
		these := maps.Clone(variables)
		these["CI_NODE_INDEX"], these["CI_NODE_TOTAL"] = strconv.Itoa(i+1), strconv.Itoa(job.Parallel)
		jobs = append(jobs, parallelJob{scripts(t, shell, job.Script), these})
	}
	return jobs
}

// bitbucketStep has every key of a step that the example uses.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/step-options/;
// https://support.atlassian.com/bitbucket-cloud/docs/set-up-or-run-parallel-steps/
type bitbucketStep struct {
	Step struct {
		Name    string
		MaxTime int `yaml:"max-time"`
		Script  []string
	}
}

func ofFleetOnBitbucket(t *testing.T, mode string) []parallelJob {
	t.Helper()
	type pipeline []struct{ Parallel []bitbucketStep }
	var file struct {
		Image       string
		Definitions struct{ Steps []bitbucketStep }
		Pipelines   struct {
			PullRequests map[string]pipeline `yaml:"pull-requests"`
			Branches     map[string]pipeline
			Custom       map[string]pipeline
		}
	}
	decode(t, examples+"bitbucket-fleet.yml", &file)
	found := map[string]pipeline{"plan": file.Pipelines.PullRequests["**"], "apply": file.Pipelines.Branches["main"], "rotate": file.Pipelines.Custom["rotate-tokens"]}[mode]
	require.Len(t, found, 1)
	var jobs []parallelJob
	for i, step := range found[0].Parallel {
		variables := maps.Clone(ofProject)
		variables["OZ_BITBUCKET_TOKEN"] = variables["BITBUCKET_TOKEN"]
		delete(variables, "BITBUCKET_TOKEN")
		variables["BITBUCKET_PARALLEL_STEP"], variables["BITBUCKET_PARALLEL_STEP_COUNT"] = strconv.Itoa(i), strconv.Itoa(len(found[0].Parallel))
		shell := [][]string{bashErrexit, shErrexit}[i%2]
		jobs = append(jobs, parallelJob{scripts(t, shell, step.Step.Script), variables})
	}
	require.Greater(t, len(jobs), 1)
	return jobs
}

// indexedJob has every key of a Kubernetes Job that the example uses.
//
// Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/;
// https://kubernetes.io/docs/concepts/workloads/controllers/job/
type indexedJob struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		GenerateName string `yaml:"generateName"`
	}
	Spec struct {
		CompletionMode          string `yaml:"completionMode"`
		Completions             int
		Parallelism             int
		BackoffLimitPerIndex    *int `yaml:"backoffLimitPerIndex"`
		ActiveDeadlineSeconds   int  `yaml:"activeDeadlineSeconds"`
		TTLSecondsAfterFinished int  `yaml:"ttlSecondsAfterFinished"`
		PodFailurePolicy        struct {
			Rules []struct {
				Action          string
				OnPodConditions []struct{ Type string } `yaml:"onPodConditions"`
				OnExitCodes     *struct {
					ContainerName string `yaml:"containerName"`
					Operator      string
					Values        []int
				} `yaml:"onExitCodes"`
			}
		} `yaml:"podFailurePolicy"`
		Template struct {
			Spec struct {
				RestartPolicy string `yaml:"restartPolicy"`
				Automount     *bool  `yaml:"automountServiceAccountToken"`
				Containers    []struct {
					Name, Image string
					Args        []string
					Env         []struct{ Name, Value string }
					EnvFrom     []struct {
						SecretRef struct{ Name string } `yaml:"secretRef"`
					} `yaml:"envFrom"`
					VolumeMounts []struct {
						Name      string
						MountPath string `yaml:"mountPath"`
						ReadOnly  bool   `yaml:"readOnly"`
					} `yaml:"volumeMounts"`
					Security map[string]any `yaml:"securityContext"`
				}
				Volumes []struct {
					Name      string
					ConfigMap struct{ Name string } `yaml:"configMap"`
				}
			}
		}
	}
}

func indexedJobExample(t *testing.T) (job indexedJob) {
	t.Helper()
	decode(t, examples+"kubernetes-fleet.yaml", &job)
	require.Len(t, job.Spec.Template.Spec.Containers, 1)
	return job
}

func ofFleetOnKubernetes(t *testing.T, mode string) []parallelJob {
	t.Helper()
	job := indexedJobExample(t)
	container := job.Spec.Template.Spec.Containers[0]
	require.Equal(t, []string{"apply"}, container.Args)
	variables := maps.Clone(ofProject) // the keys of the secret
	for _, variable := range container.Env {
		variables[variable.Name] = variable.Value
	}
	var jobs []parallelJob
	for i := range job.Spec.Completions {
		these := maps.Clone(variables)
		these["JOB_COMPLETION_INDEX"] = strconv.Itoa(i)
		jobs = append(jobs, parallelJob{[]string{program, mode}, these})
	}
	return jobs
}

// TestTheIndexedJobIsOne checks what the API server would check, and what happens to failed pods.
func TestTheIndexedJobIsOne(t *testing.T) {
	t.Parallel()
	job := indexedJobExample(t)
	spec, pod := job.Spec, job.Spec.Template.Spec
	container := pod.Containers[0]
	assert.Equal(t, []string{"batch/v1", "Job", "Indexed"}, []string{job.APIVersion, job.Kind, spec.CompletionMode})
	assert.Equal(t, spec.Completions, spec.Parallelism)
	assert.Equal(t, "Never", pod.RestartPolicy, "podFailurePolicy and backoffLimitPerIndex need this policy")
	assert.Equal(t, "oz-environments-", job.Metadata.GenerateName, "two Jobs cannot have the same name")
	assert.Positive(t, spec.ActiveDeadlineSeconds)
	require.NotNil(t, spec.BackoffLimitPerIndex, "FailIndex needs it")
	assert.LessOrEqual(t, *spec.BackoffLimitPerIndex, 1, "servers lock an account after a few refusals of its token")
	assert.Equal(t, container.VolumeMounts[0].Name, pod.Volumes[0].Name)
	assert.Equal(t, "oz-environments", pod.Volumes[0].ConfigMap.Name)
	assert.Equal(t, "oz-bitbucket", container.EnvFrom[0].SecretRef.Name)
	assert.Equal(t, []any{true, true}, []any{container.Security["runAsNonRoot"], container.Security["readOnlyRootFilesystem"]})
	variables := map[string]string{}
	for _, variable := range container.Env {
		variables[variable.Name] = variable.Value
	}
	assert.Equal(t, map[string]string{
		"MANIFEST": container.VolumeMounts[0].MountPath + "/oz-environments.yml", "SHARD": "auto", "SHARD_TOTAL": strconv.Itoa(spec.Completions),
	}, variables)

	action := func(code int) string {
		for _, rule := range spec.PodFailurePolicy.Rules {
			require.True(t, (rule.OnExitCodes == nil) != (len(rule.OnPodConditions) == 0), "exactly one of them")
			if on := rule.OnExitCodes; on != nil && slices.Contains(on.Values, code) {
				assert.Equal(t, []string{container.Name, "In"}, []string{on.ContainerName, on.Operator})
				assert.NotContains(t, on.Values, 0, "the API server refuses it")
				return rule.Action
			}
		}
		return "Count"
	}
	for code, want := range map[int]string{1: "Count", 2: "FailIndex", 3: "FailIndex"} {
		assert.Equal(t, want, action(code), "exit code %d", code)
	}
	first := spec.PodFailurePolicy.Rules[0] // it must come before rules for exit codes, because an evicted pod has one
	assert.Equal(t, "Ignore", first.Action)
	assert.Equal(t, "DisruptionTarget", first.OnPodConditions[0].Type)
}

// TestAPartKnowsTheFile: the job names environments that are not in the file. It does not name
// those of another part's entries, or of entries that it is not narrowed to.
func TestAPartKnowsTheFile(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		file := w.fleetFile()
		w.environ = append(w.environ, "WEB_BITBUCKET_TOKEN="+accessToken)
		w.must(w.manifest(file, map[string]string{"smoke_test": "false"}))
		for _, e := range w.oz.Environments() {
			if model(t, e)["name"] == "acme-fleet-0" { // an entry may also name it by its ID
				file = strings.Replace(file, "/fleet-0.git\n", "/fleet-0.git\n    environment_id: "+e.UID+"\n", 1)
			}
		}
		require.Contains(t, file, "environment_id")
		w.oz.AddEnvironment(team, `{"name":"stranger","setup_commands":[]}`)
		jobs := []map[string]string{{"environment_name": "acme-fleet-2\nacme-fleet-3"}}
		for part := range 3 {
			jobs = append(jobs, map[string]string{"shard": fmt.Sprintf("%d/3", part+1)})
		}
		for _, job := range jobs {
			job["mode"] = "plan"
			r := w.must(w.manifest(file, job))
			if len(r.environments(t)) < 2 {
				continue // this is not a fleet
			}
			require.Contains(t, r.log, `"stranger"`)
			for line := range strings.Lines(r.log) {
				if strings.Contains(line, "not in the file") {
					assert.NotContains(t, line, "acme-fleet", "%v", job)
				}
			}
		}
	})
}

// TestPartsThatListEachOthersSecrets: each part writes at the same time what the others read,
// and all of them succeed.
func TestPartsThatListEachOthersSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	file := strings.ReplaceAll(w.fleetFile(), ".git\n", ".git\n    environment_secrets: [BITBUCKET_API_TOKEN, WEB_TOKEN, TOKEN_2, TOKEN_3, TOKEN_4, TOKEN_5]\n")
	for range 2 {
		list := w.abreast(t, "GitLab", file, ofFleetOnGitLab(t, "apply"))
		assert.Len(t, list, fleetEntries)
		w.requireNoTwins(fleetEntries)
	}
	w.requireClean()
}
