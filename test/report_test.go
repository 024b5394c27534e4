package test

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// reportPath is a file for a report, in inputs.
func reportPath(t *testing.T, inputs map[string]string, name string) string {
	t.Helper()
	inputs["report_file"] = filepath.Join(t.TempDir(), ".oz-bitbucket", name)
	return inputs["report_file"]
}

// aReport returns the JSON report of a run, which must fit the published schema.
type aReport struct {
	Version    int
	Mode       string
	ExitCode   int  `json:"exit_code"`
	DryRun     bool `json:"dry_run"`
	Changed    *bool
	Error      string
	Mistakes   []struct{ Input, Place, Message string }
	SmokeTest  string `json:"smoke_test"`
	HeadCommit string `json:"head_commit"`
	Secrets    []struct {
		Name, Planned, Change string
		Owner                 struct{ Scope, UID string }
		Users                 []struct{ ID, Name string }
	}
	Environments []struct {
		ID, Name, Planned, Change, Verdict, Error, Secret string
		Fields                                            []struct {
			Name          string
			Before, After []string
		}
		DockerImage   string   `json:"docker_image"`
		SetupCommands []string `json:"setup_commands"`
		Repositories  []string
		RunID         string `json:"run_id"`
		SessionLink   string `json:"session_link"`
	}
	Unmanaged []struct{ ID, Name string }
}

func (w *world) readReport(path string) (r aReport) {
	w.t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(w.t, err)
	w.written = append(w.written, string(content))
	tree, err := jsonschema.UnmarshalJSON(strings.NewReader(string(content)))
	require.NoError(w.t, err)
	schema, err := jsonschema.NewCompiler().Compile("../docs/oz-report.schema.json")
	require.NoError(w.t, err)
	require.NoError(w.t, schema.Validate(tree))
	require.NoError(w.t, json.Unmarshal(content, &r))
	return r
}

// readTests returns the tests of a JUnit report, as "name status".
func (w *world) readTests(path string) (list []string) {
	w.t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(w.t, err)
	w.written = append(w.written, string(content))
	var suites struct {
		Cases []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Text string `xml:",chardata"`
			} `xml:"failure"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testsuite>testcase"`
	}
	require.NoError(w.t, xml.Unmarshal(content, &suites), string(content))
	for _, c := range suites.Cases {
		status := "passed"
		if c.Failure != nil {
			status = "failed: " + c.Failure.Text
		}
		if c.Skipped != nil {
			status = "skipped"
		}
		list = append(list, c.Name+" "+status)
	}
	return list
}

func TestTheReportOfOneEnvironment(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"setup_commands": "test -f README.md"})
		path := reportPath(t, inputs, "oz.json")
		out := w.must(inputs)
		r := w.readReport(path)
		assert.Equal(t, []any{1, "apply", 0, false, true, "", "passed", w.cloud.Head()}, []any{r.Version, r.Mode, r.ExitCode, r.DryRun, *r.Changed, r.Error, r.SmokeTest, r.HeadCommit})
		require.Len(t, r.Secrets, 1)
		assert.Equal(t, []string{"BITBUCKET_API_TOKEN", "create", "create", "team", teamUID}, []string{r.Secrets[0].Name, r.Secrets[0].Planned, r.Secrets[0].Change, r.Secrets[0].Owner.Scope, r.Secrets[0].Owner.UID})
		require.Len(t, r.Environments, 1)
		e := r.Environments[0]
		assert.Equal(t, []string{w.onlyEnvironment().UID, "acme-sample", "create", "create", "passed", "", "BITBUCKET_API_TOKEN", out.outputs["run_id"], out.outputs["session_link"]},
			[]string{e.ID, e.Name, e.Planned, e.Change, e.Verdict, e.Error, e.Secret, e.RunID, e.SessionLink})
		assert.Equal(t, []string{w.cloud.CloneURL()}, e.Repositories)
		assert.Equal(t, "warpdotdev/dev-base:latest", e.DockerImage)
		assert.Contains(t, e.SetupCommands, "cd ./sample && test -f README.md")
		assert.Equal(t, "name", e.Fields[0].Name)
		assert.Equal(t, []string{"acme-sample"}, e.Fields[0].After)

		// A second report replaces the first.
		inputs["mode"], inputs["docker_image"] = "plan", "ubuntu:24.04"
		w.must(inputs)
		r = w.readReport(path)
		assert.Equal(t, []any{"plan", true, true}, []any{r.Mode, r.DryRun, *r.Changed})
		assert.Equal(t, []string{"update", "ubuntu:24.04"}, []string{r.Environments[0].Planned, r.Environments[0].DockerImage})
		assert.Equal(t, "warpdotdev/dev-base:latest", r.Environments[0].Fields[0].Before[0])
		for mode, want := range map[string]string{"test": "keep", "rotate": "keep", "destroy": "delete"} {
			inputs := w.inputs(map[string]string{"mode": mode})
			if mode == "rotate" {
				delete(inputs, "repo_url")
			}
			path := reportPath(t, inputs, "oz.json")
			if mode == "destroy" {
				inputs["dry_run"] = "true"
			}
			w.must(inputs)
			r := w.readReport(path)
			assert.Equal(t, []string{mode, want, "acme-sample"}, []string{r.Mode, r.Environments[0].Change, r.Environments[0].Name})
		}
	})
}

// TestTheReportOfAFleet: a plan, an apply in which one entry fails, and environments that are
// not in the file.
func TestTheReportOfAFleet(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.must(w.inputs(map[string]string{"smoke_test": "false", "environment_name": "by-hand"}))
		inputs := w.manifest(strings.Replace(threeEntries, "acme/api.git", "acme/gone.git", 1), map[string]string{"mode": "plan"})
		path := reportPath(t, inputs, "oz.json")
		assert.Equal(t, 1, w.run(inputs).code)
		r := w.readReport(path)
		assert.Equal(t, []any{"plan", true, 1, "1 of 3 environments failed"}, []any{r.Mode, r.DryRun, r.ExitCode, r.Error})
		require.Len(t, r.Environments, 3)
		assert.Equal(t, []string{"create", "", "create"}, []string{r.Environments[0].Planned, r.Environments[1].Planned, r.Environments[2].Planned})
		assert.Contains(t, r.Environments[1].Error, "acme/gone does not exist")
		assert.Equal(t, []string{"BITBUCKET_API_TOKEN", "SHOP_TOKEN"}, []string{r.Secrets[0].Name, r.Secrets[1].Name})
		require.Len(t, r.Unmanaged, 1)
		assert.Equal(t, "by-hand", r.Unmanaged[0].Name)

		inputs = w.manifest(strings.Replace(threeEntries, "acme/api.git", "acme/gone.git", 1), nil)
		path = reportPath(t, inputs, "oz.xml")
		assert.Equal(t, 1, w.run(inputs).code)
		tests := w.readTests(path)
		require.Len(t, tests, 3)
		assert.Equal(t, []string{"acme-web passed", "shop passed"}, []string{tests[0], tests[2]})
		assert.Contains(t, tests[1], "acme-gone failed: ")
		assert.Contains(t, tests[1], "acme/gone does not exist")
	})
}

// TestASecretThatIsNotWrittenIsNoOthers: each secret has its own result.
func TestASecretThatIsNotWrittenIsNoOthers(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false"}))
		w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, Repositories: []string{"acme/web"}})
		inputs := w.manifest(threeEntries, map[string]string{"bitbucket_token": nextToken, "smoke_test": "false"})
		path := reportPath(t, inputs, "oz.json")
		assert.Equal(t, 1, w.run(inputs).code)
		r := w.readReport(path)
		require.Len(t, r.Secrets, 2)
		changes := map[string]string{r.Secrets[0].Name: r.Secrets[0].Change, r.Secrets[1].Name: r.Secrets[1].Change}
		assert.Equal(t, map[string]string{"BITBUCKET_API_TOKEN": "", "SHOP_TOKEN": "rotate"}, changes)
	})
}

// TestTheReportOfAJobThatFails: wrong inputs, a refusal, and a smoke test that does not pass.
func TestTheReportOfAJobThatFails(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"clone_depth": "x", "branch": "a b"})
		path := reportPath(t, inputs, "oz.json")
		assert.Equal(t, 2, w.run(inputs).code)
		r := w.readReport(path)
		assert.Equal(t, 2, r.ExitCode)
		assert.Nil(t, r.Changed)
		require.Len(t, r.Mistakes, 2)
		assert.Contains(t, []string{"clone_depth", "branch"}, r.Mistakes[0].Input)
		path = reportPath(t, inputs, "oz.xml")
		assert.Equal(t, 2, w.run(inputs).code)
		tests := w.readTests(path)
		require.NotEmpty(t, tests)
		assert.Contains(t, strings.Join(tests, "\n"), "failed: ")
		assert.Contains(t, strings.Join(tests, "\n"), "clone_depth: is not a depth")

		inputs = w.inputs(map[string]string{"bitbucket_token": nextToken})
		path = reportPath(t, inputs, "oz.json")
		assert.Equal(t, 1, w.run(inputs).code)
		r = w.readReport(path)
		assert.Contains(t, r.Error, "the token was not accepted")
		assert.Contains(t, r.Environments[0].Error, "the token was not accepted")

		inputs = w.inputs(map[string]string{"setup_commands": "false"})
		path = reportPath(t, inputs, "oz.xml")
		assert.Equal(t, 3, w.run(inputs).code)
		tests = w.readTests(path)
		require.Len(t, tests, 1)
		assert.Contains(t, tests[0], "acme-sample failed: smoke test failed: ")

		// A server that repeats the token in its refusal.
		w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", When: fault.Before, Status: 400, Body: "no " + cloudToken, Times: 9})
		for _, name := range []string{"oz.json", "oz.xml"} {
			inputs = w.inputs(nil)
			path = reportPath(t, inputs, name)
			assert.Equal(t, 1, w.run(inputs).code)
			if name == "oz.json" {
				w.readReport(path)
			} else {
				w.readTests(path)
			}
		}
	})
}

func TestAReportThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"smoke_test": "false", "report_file": filepath.Join(t.TempDir(), "no", "oz.json")})
		r := w.run(inputs)
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "write report_file: open ")
		assert.NotEmpty(t, r.outputs["environment_id"], "the outputs are still set")

		for _, path := range []string{"oz.txt", "oz"} {
			requests := len(w.oz.Journal.All())
			inputs["report_file"] = path
			r = w.run(inputs)
			assert.Equal(t, 2, r.code)
			assert.Contains(t, r.log, "report_file: does not say which kind of report is meant")
			assert.Len(t, w.oz.Journal.All(), requests)
		}
		manifest := w.manifest(threeEntries, nil)
		manifest["output_file"] = manifest["manifest"]
		assert.Equal(t, 2, w.run(manifest).code)
		content, err := os.ReadFile(manifest["manifest"])
		require.NoError(t, err)
		assert.Equal(t, threeEntries, string(content), "the manifest is not written over")
	})
}

// documented returns the blocks of the page about reports.
func documented(t *testing.T, language string) []string {
	t.Helper()
	content, err := os.ReadFile("../docs/report.md")
	require.NoError(t, err)
	var blocks []string
	for _, match := range fenced.FindAllStringSubmatch(string(content), -1) {
		if match[2] == language {
			blocks = append(blocks, match[3])
		}
	}
	return blocks
}

// TestTheRuleOfTheDocumentation runs the block that people copy on plans.
func TestTheRuleOfTheDocumentation(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("jq"); err != nil && os.Getenv("CI") == "" {
		t.Skip("jq is not there")
	}
	scripts := documented(t, "sh")
	require.Len(t, scripts, 1)
	w := newWorld(t, plain, warpsim.Options{})
	tools := t.TempDir()
	require.NoError(t, os.Symlink(binary, filepath.Join(tools, "oz-bitbucket")))
	judge := func(changes map[string]string) (code int, said string) {
		t.Helper()
		changes["mode"] = "apply" // the script says plan
		command, _ := w.command(w.inputs(changes))
		for i, entry := range command.Env {
			if strings.HasPrefix(entry, "PATH=") {
				command.Env[i] = "PATH=" + tools + ":" + os.Getenv("PATH")
			}
		}
		shell := exec.Command("sh", "-c", scripts[0])
		shell.Env, shell.Dir = command.Env, command.Dir
		out, _ := shell.CombinedOutput()
		w.written = append(w.written, string(out))
		return shell.ProcessState.ExitCode(), string(out)
	}
	good := func() map[string]string {
		return map[string]string{"docker_image": "registry.example.com/dev:1", "secret_name": "OURS"}
	}
	code, said := judge(good())
	assert.Zero(t, code, "a new secret does not count as replaced: %s", said)
	foreign := good()
	foreign["docker_image"] = "ubuntu:24.04"
	code, said = judge(foreign)
	assert.Equal(t, 1, code, said)
	assert.Contains(t, said, "false\n")
	w.must(w.inputs(map[string]string{"secret_name": "OURS", "smoke_test": "false"}))
	code, said = judge(good())
	assert.Equal(t, 1, code, said)
	w.must(w.inputs(map[string]string{"secret_name": "CI_TOKEN", "environment_name": "ci", "smoke_test": "false"}))
	fine := good()
	fine["secret_name"], fine["environment_name"] = "CI_TOKEN", "ci"
	code, said = judge(fine)
	assert.Zero(t, code, said)
	w.requireClean()
}

// TestBitbucketFindsTheReport: its scanner reads the path that we propose.
func TestBitbucketFindsTheReport(t *testing.T) {
	t.Parallel()
	pipelines := 0
	for _, block := range documented(t, "yaml") {
		if !strings.Contains(block, "pipelines:") {
			continue
		}
		pipelines++
		path := regexp.MustCompile(`REPORT_FILE: (\S+)`).FindStringSubmatch(block)
		require.NotNil(t, path)
		assert.Regexp(t, scanned, path[1])
		assert.Contains(t, block, "mkdir -p "+filepath.Dir(path[1])+" ", "the program makes only its own directory")
	}
	assert.Equal(t, 1, pipelines)
}
