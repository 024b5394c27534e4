package platform_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// job is a host with everything that it prints.
type job struct {
	platform.Platform
	out, log bytes.Buffer
}

func start(environ ...string) *job {
	var j job
	j.Platform = platform.Detect(environ, &j.out, &j.log)
	return &j
}

// facts are those of a successful run.
func facts() report.Facts {
	return report.Facts{
		SecretName: "BITBUCKET_API_TOKEN",
		Head:       "0123456789abcdef0123456789abcdef01234567",
		Plan: &reconcile.Plan{
			Mode:         reconcile.Provision,
			Secrets:      []reconcile.SecretPlan{{Credential: credential.Credential{Name: "BITBUCKET_API_TOKEN"}, Change: reconcile.Rotate}},
			Environments: []reconcile.EnvironmentPlan{{Change: reconcile.Keep}},
		},
		Applied: reconcile.Applied{
			Secrets:      []reconcile.StoredSecret{{Change: reconcile.Rotate}},
			Environments: []reconcile.StoredEnvironment{{Change: reconcile.Keep, UID: "En00000000000000000001", Name: "it's acme"}},
		},
		Tests: []smoketest.Verdict{{Result: smoketest.Passed}},
		Verdict: smoketest.Verdict{
			Result: smoketest.Passed,
			Run:    warp.Run{ID: "run-1", State: warp.Succeeded, SessionLink: "https://app.warp.dev/session/1?a=b&c=d"},
		},
	}
}

const (
	factsJSON = `{"environment_id":"En00000000000000000001","environment_name":"it's acme","environment_change":"keep",` +
		`"environments":"[{\"id\":\"En00000000000000000001\",\"name\":\"it's acme\",\"change\":\"keep\",\"verdict\":\"passed\",\"error\":\"\"}]",` +
		`"secret_name":"BITBUCKET_API_TOKEN","secret_change":"rotate","changed":"false","smoke_test":"passed",` +
		`"run_id":"run-1","run_state":"SUCCEEDED","session_link":"https://app.warp.dev/session/1?a=b\u0026c=d",` +
		`"schedule_id":"",` +
		`"head_commit":"0123456789abcdef0123456789abcdef01234567",` +
		`"token_expires_at":"","token_expires_in_days":"","rolled_back":"","factory_changed":""}` + "\n"
	factsLines = "environment_id=En00000000000000000001\nenvironment_name=it's acme\nenvironment_change=keep\n" +
		`environments=[{"id":"En00000000000000000001","name":"it's acme","change":"keep","verdict":"passed","error":""}]` + "\n" +
		"secret_name=BITBUCKET_API_TOKEN\nsecret_change=rotate\nchanged=false\nsmoke_test=passed\n" +
		"run_id=run-1\nrun_state=SUCCEEDED\nsession_link=https://app.warp.dev/session/1?a=b&c=d\n" +
		"schedule_id=\n" +
		"head_commit=0123456789abcdef0123456789abcdef01234567\n" +
		"token_expires_at=\ntoken_expires_in_days=\nrolled_back=\nfactory_changed=\n"
)

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

func TestInputs(t *testing.T) {
	t.Parallel()
	const pipeline = "BITBUCKET_BUILD_NUMBER=7"
	tests := []struct {
		name    string
		environ []string
		want    map[string]string
	}{
		{"plain spelling", []string{"REPO_URL=u", "MODE= \t", "OTHER=x"}, map[string]string{"repo_url": "u"}},
		{
			"one input in GitHub's spelling hides the plain ones", []string{"INPUT_MODE=plan", "INPUT_REPO_URL=", "REPO_URL=u"},
			map[string]string{"mode": "plan"},
		},
		{"GitHub's spelling without values does not count", []string{"INPUT_MODE=", "REPO_URL=u"}, map[string]string{"repo_url": "u"}},
		{"a foreign INPUT_ does not count", []string{"INPUT_WHO=x", "REPO_URL=u"}, map[string]string{"repo_url": "u"}},
		{"the plain key everywhere", []string{"INPUT_MODE=plan", "WARP_API_KEY=k"}, map[string]string{"mode": "plan", "warp_api_key": "k"}},
		{"a key of its own wins", []string{"INPUT_WARP_API_KEY=a", "WARP_API_KEY=k"}, map[string]string{"warp_api_key": "a"}},
		{
			"a file of the key wins", []string{"INPUT_WARP_API_KEY_FILE=f", "WARP_API_KEY=k"},
			map[string]string{"warp_api_key_file": "f"},
		},
		{
			"a list of a pipe", []string{pipeline, "SETUP_COMMANDS_COUNT=3", "SETUP_COMMANDS_0=npm ci", "SETUP_COMMANDS_1=", "SETUP_COMMANDS_2=# x"},
			map[string]string{"setup_commands": "npm ci\n\n# x"},
		},
		{
			"a list ends where an element is missing", []string{pipeline, "REPO_URL_COUNT=900000000000", "REPO_URL_0=a", "REPO_URL_2=c"},
			map[string]string{"repo_url": "a"},
		},
		{"one value wins over a list", []string{pipeline, "REPO_URL=u", "REPO_URL_COUNT=1", "REPO_URL_0=a"}, map[string]string{"repo_url": "u"}},
		{"lists are of pipes only", []string{"SETUP_COMMANDS_COUNT=1", "SETUP_COMMANDS_0=npm ci"}, map[string]string{}},
		{
			"the pipeline's own repository", []string{pipeline, "BITBUCKET_WORKSPACE=acme", "BITBUCKET_REPO_SLUG=api"},
			map[string]string{"repo_url": "https://bitbucket.org/acme/api.git"},
		},
		{
			"a repository that is given wins", []string{pipeline, "BITBUCKET_WORKSPACE=acme", "BITBUCKET_REPO_SLUG=api", "REPO_URL=u"},
			map[string]string{"repo_url": "u"},
		},
		{
			"no repository in a rotation", []string{pipeline, "BITBUCKET_WORKSPACE=acme", "BITBUCKET_REPO_SLUG=api", "MODE= rotate "},
			map[string]string{"mode": " rotate "},
		},
		{
			"no repository with a manifest", []string{pipeline, "BITBUCKET_WORKSPACE=acme", "BITBUCKET_REPO_SLUG=api", "MANIFEST=oz.yml"},
			map[string]string{"manifest": "oz.yml"},
		},
		{"half of a repository", []string{pipeline, "BITBUCKET_WORKSPACE=acme"}, map[string]string{}},
		{"variables of another host", []string{"BITBUCKET_WORKSPACE=acme", "BITBUCKET_REPO_SLUG=api"}, map[string]string{}},
	}
	names := []string{"mode", "manifest", "repo_url", "setup_commands", "warp_api_key", "warp_api_key_file"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, start(tt.environ...).Inputs(names, ""))
		})
	}
	own := []string{pipeline, "BITBUCKET_WORKSPACE=acme", "BITBUCKET_REPO_SLUG=api", "MODE=apply"}
	assert.Equal(t, map[string]string{"mode": "rotate"}, start(own...).Inputs(names, "rotate"), "the argument wins")
}

func TestVariablesOfTheJob(t *testing.T) {
	t.Parallel()
	j := start("WEB_TOKEN= a=b ", "EMPTY=")
	assert.Equal(t, " a=b ", j.Variable("WEB_TOKEN"))
	assert.Empty(t, j.Variable("EMPTY"))
	assert.Empty(t, j.Variable("NOT_THERE"))
}

func TestPlainToTheByte(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outputs.env")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("old\n"), 1000), 0o600))
	j := start()
	end := j.Group("Plan")
	j.Log().Debug("not shown")
	j.Log().Info("two\nlines\x1b[2J\r")
	j.Log().Warn("careful")
	end()
	j.Log().With("environment", "acme\r-api").Info("waits")
	j.Log().Error("broken")
	require.NoError(t, j.Emit(facts(), path))
	assert.Equal(t, "== Plan\ntwo\n  lines\\u001b[2J\nwarning: careful\nacme\\u000d-api: waits\nerror: broken\n", j.log.String())
	assert.Equal(t, factsJSON, j.out.String())
	assert.Equal(t, factsLines, read(t, path))
}

func TestDebug(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		environ []string
		want    string
	}{
		{[]string{"DEBUG=true"}, "debug: more\n"},
		{[]string{"DEBUG=true", "GITLAB_CI=true"}, "debug: more\n"},
		{[]string{"DEBUG=true", "BITBUCKET_BUILD_NUMBER=1"}, "DEBUG: more\n"},
		{[]string{"RUNNER_DEBUG=1", "GITHUB_ACTIONS=true"}, "::debug::more\n"},
		{nil, ""},
		{[]string{"DEBUG=1"}, ""},
		{[]string{"DEBUG=", "GITLAB_CI=true"}, ""},
		{[]string{"RUNNER_DEBUG=1", "BITBUCKET_BUILD_NUMBER=1"}, ""},
		{[]string{"DEBUG=true", "GITHUB_ACTIONS=true"}, ""},
	} {
		j := start(tt.environ...)
		j.Log().Debug("more")
		assert.Equal(t, tt.want, j.out.String()+j.log.String(), tt.environ)
	}
}

func TestForeignTextIsNoCommand(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"NONE=", "GITHUB_ACTIONS=true", "BITBUCKET_BUILD_NUMBER=1", "GITLAB_CI=true", "TF_BUILD=True"} {
		for _, text := range []string{
			"::error::x", "  ::add-mask::x", "\u00a0::add-mask::x", "\u2028::add-mask::x", "ok\n::set-output name=a::b", "ok\r::error::x", "ok\r\n::error::x", "ok\u0085::error::x",
			"a ##[add-mask]x", "##[group]x", "a ##vso[task.setvariable variable=a]b", "##teamcity[x]",
			"\x1b[0Ksection_end:1:x\r\x1b[0K", "a%0A::error::x",
		} {
			j := start(host)
			j.Log().Info(text)
			said := j.out.String() + j.log.String()
			assert.NotRegexp(t, `(?m)^\s*::`, said, "%s: %q", host, text)
			assert.NotRegexp(t, `##[a-z]*\[`, said, "%s: %q", host, text)
			assert.NotContains(t, said, "\r", "%s: %q", host, text)
			assert.NotContains(t, said, "\x1b[0K", "%s: %q", host, text)
		}
	}
}

func TestJSONHoldsNoCommand(t *testing.T) {
	t.Parallel()
	f := facts()
	f.Applied.Environments[0].Name = "##vso[task.setvariable variable=PATH]x \u202e\u200b"
	j := start("TF_BUILD=True")
	require.NoError(t, j.Emit(f, ""))
	assert.NotContains(t, j.out.String(), "##")
	for _, bad := range []string{"\u202e", "\u200b"} {
		assert.NotContains(t, j.out.String(), bad)
	}
	var outputs map[string]string
	require.NoError(t, json.Unmarshal(j.out.Bytes(), &outputs))
	assert.Equal(t, f.Applied.Environments[0].Name, outputs["environment_name"])
}

func TestUnwritableOutputsAreErrors(t *testing.T) {
	t.Parallel()
	nowhere := filepath.Join(t.TempDir(), "no", "such", "directory", "file")
	output := "GITHUB_OUTPUT=" + filepath.Join(t.TempDir(), "output")
	for name, tt := range map[string]struct {
		environ []string
		file    string
		want    string
	}{
		"output_file on any host":   {nil, nowhere, "write output_file: open " + nowhere},
		"output_file of a pipe":     {[]string{"BITBUCKET_BUILD_NUMBER=1"}, nowhere, "write output_file: open " + nowhere},
		"output_file on GitLab":     {[]string{"GITLAB_CI=true"}, nowhere, "write output_file: open " + nowhere},
		"output_file on GitHub":     {[]string{"GITHUB_ACTIONS=true", output}, nowhere, "write output_file: open " + nowhere},
		"a directory":               {nil, filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(nowhere)))), "is a directory"},
		"GITHUB_OUTPUT not set":     {[]string{"GITHUB_ACTIONS=true"}, "", "GITHUB_OUTPUT is not set"},
		"GITHUB_OUTPUT not mounted": {[]string{"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=" + nowhere}, "", "GITHUB_OUTPUT: open " + nowhere},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := start(tt.environ...)
			err := j.Emit(facts(), tt.file)
			require.ErrorContains(t, err, tt.want)
			if len(tt.environ) == 0 {
				assert.Equal(t, factsJSON, j.out.String(), "what can be handed over is")
			}
		})
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAFullStdoutIsAnError(t *testing.T) {
	t.Parallel()
	for _, environ := range [][]string{nil, {"BITBUCKET_BUILD_NUMBER=1"}, {"GITLAB_CI=true"}, {"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=" + filepath.Join(t.TempDir(), "output")}} {
		on := platform.Detect(environ, full{}, full{})
		on.Group("Plan")()
		on.Log().Error("broken")
		on.Log().Info("text")
		assert.ErrorContains(t, on.Emit(facts(), ""), "no space left on device", environ)
	}
}

func TestOutputsThatAreRefused(t *testing.T) {
	t.Parallel()
	output := filepath.Join(t.TempDir(), "output")
	for _, environ := range [][]string{nil, {"BITBUCKET_BUILD_NUMBER=1"}, {"GITLAB_CI=true"}, {"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=" + output}} {
		for value, why := range map[string]string{
			"a\nsmoke_test=passed": "holds a control character", "a\rb": "holds a control character", "a\x7fb": "holds a control character",
			"a\u0085b": "holds a control character", "a\u2028b": "holds a control character",
			"x" + secret + "y": "holds a secret", secret[len(secret)-shown:] + "y": "holds a secret", strings.ToLower(secret[9:]): "holds a secret",
		} {
			path := filepath.Join(t.TempDir(), "outputs.env")
			j := start(environ...)
			j.Mask(nil, hidden)
			f := facts()
			f.Applied.Environments[0].Name = value
			err := j.Emit(f, path)
			require.ErrorContains(t, err, "output environment_name is left empty: its value "+why)
			content := read(t, path)
			assert.Contains(t, content, "environment_name=\nenvironment_change=keep\n")
			assert.Contains(t, content, "environment_id=En00000000000000000001\n")
			assert.Contains(t, content, `environments=[{"id":"En00000000000000000001","name":"`, "this output quotes others, so the text is escaped or hidden")
			assert.NotContains(t, content, secret[:shown])
		}
	}
	assert.Contains(t, read(t, output), "environment_id<<")
}

// TestTheSessionLinkHoldsNoPieceOfASecret: Oz may return any text as the link.
func TestTheSessionLinkHoldsNoPieceOfASecret(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{secret, secret[10:], url.QueryEscape(secret[10:])} {
		j := start()
		j.Mask(nil, hidden)
		f := facts()
		f.Verdict.Run.SessionLink = "https://oz.example.test/session/1?a=" + piece
		require.ErrorContains(t, j.Emit(f, ""), "output session_link is left empty: its value holds a secret")
		assert.Contains(t, j.out.String(), `"session_link":"",`)
	}
}
