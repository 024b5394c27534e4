package config_test

import (
	"errors"
	"maps"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// The inputs of the smallest job on each flavor.
const (
	cloudURL   = "https://bitbucket.org/acme/api.git"
	serverURL  = "https://git.example.com/scm/PRJ/api.git"
	apiToken   = "ATATT3xFfGF0T9kQeWbZ1uYh=1A2B3C4D"
	httpToken  = "BBDC-MjUyOTczNTE1MDY5On2rAb/cd+"
	warpAPIKey = "wk-1.0f3c5e7a9b1d2f4c6e8a"
)

// files are what readFile reads.
type files map[string]string

func (f files) read(path string) ([]byte, error) {
	content, ok := f[path]
	if !ok {
		return nil, errors.New("open " + path + ": no such file or directory")
	}
	return []byte(content), nil
}

// noVariable is a job without variables beside its inputs.
func noVariable(string) string { return "" }

// cloud are the smallest inputs of a Cloud job, with changes.
func cloud(changes ...map[string]string) map[string]string {
	inputs := map[string]string{"repo_url": cloudURL, "bitbucket_token": apiToken, "warp_api_key": warpAPIKey}
	for _, change := range changes {
		maps.Copy(inputs, change)
	}
	return inputs
}

// server are those of a Data Center job.
func server(changes ...map[string]string) map[string]string {
	return cloud(append([]map[string]string{{"repo_url": serverURL, "bitbucket_token": httpToken}}, changes...)...)
}

// with is one changed input.
func with(name, value string) map[string]string { return map[string]string{name: value} }

// parse reads inputs that must be valid.
func parse(t *testing.T, inputs map[string]string) parsed {
	t.Helper()
	job, err := config.Parse(inputs, files{}.read, noVariable)
	require.NoError(t, err)
	return one(t, job)
}

// parsed is a job and its only entry.
type parsed struct {
	config.Job
	config.Entry
}

func one(t *testing.T, job config.Job) parsed {
	t.Helper()
	require.Len(t, job.Entries, 1)
	entry := job.Entries[0]
	job.Entries = nil
	return parsed{job, entry}
}

// problems are the problems of inputs, one text each.
func problems(t *testing.T, inputs map[string]string, read files) []string {
	t.Helper()
	_, err := config.Parse(inputs, read.read, noVariable)
	var found []string
	for _, p := range problem.All(err) {
		found = append(found, p.Error())
	}
	require.Equal(t, err == nil, found == nil, "an error that is no list of problems: %v", err)
	return found
}

// refusal is a change of valid inputs and the message about it.
type refusal struct {
	name   string
	inputs map[string]string
	want   string // the only problem
}

func requireRefused(t *testing.T, tests []refusal) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, []string{test.want}, problems(t, test.inputs, nil))
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	oz, err := url.Parse("https://app.warp.dev")
	require.NoError(t, err)
	want := parsed{
		Job: config.Job{
			Mode:             config.Apply,
			Concurrency:      8,
			SmokeTestMax:     20,
			SmokeTestTimeout: 20 * time.Minute,
			ExpiryWarning:    14 * 24 * time.Hour,
			WarpAPIKey:       sensitive.New(warpAPIKey),
			WarpServerURL:    oz,
		},
		Entry: config.Entry{
			Repositories: []bitbucket.Repository{
				{Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: "acme", Slug: "api"},
			},
			Flavor:          bitbucket.Cloud,
			Token:           sensitive.New(apiToken),
			TokenKind:       bitbucket.APIToken,
			KindCertain:     true,
			CloneAuth:       setup.Helper,
			VerifyToken:     true,
			SecretName:      "BITBUCKET_API_TOKEN",
			Scope:           warp.TeamOwner,
			EnvironmentName: "acme-api",
			SmokeTest:       true,
			OnSharedSecret:  config.Fail,
		},
	}
	assert.Equal(t, want, parse(t, cloud()))

	empty := cloud()
	for _, input := range config.Inputs() {
		if _, given := empty[input.Name]; !given {
			empty[input.Name] = " \r\n\t"
		}
	}
	assert.Equal(t, want, parse(t, empty), "an empty value means not given")

	want.Repositories = []bitbucket.Repository{
		{Flavor: bitbucket.DataCenter, Scheme: "https", Host: "git.example.com", Owner: "PRJ", Slug: "api"},
	}
	want.Flavor, want.Token, want.TokenKind = bitbucket.DataCenter, sensitive.New(httpToken), bitbucket.HTTPAccessToken
	want.SecretName, want.EnvironmentName = "BITBUCKET_TOKEN", "PRJ-api"
	assert.Equal(t, want, parse(t, server()))
}

func TestEveryInputIsTaken(t *testing.T) {
	t.Parallel()
	oz, err := url.Parse("http://127.0.0.1:8080/oz")
	require.NoError(t, err)
	assert.Equal(t, parsed{
		Job: config.Job{
			Mode:             config.Plan,
			DryRun:           true,
			Concurrency:      16,
			SmokeTestMax:     3,
			SmokeTestTimeout: 90 * time.Second,
			ExpiryWarning:    3 * 24 * time.Hour,
			FailOnExpiry:     true,
			DetailedExitcode: true,
			OutputFile:       "out.env",
			ReportFile:       "out.json",
			WarpAPIKey:       sensitive.New(warpAPIKey),
			WarpServerURL:    oz,
		},
		Entry: config.Entry{
			Repositories: []bitbucket.Repository{
				{Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: "acme", Slug: "api"},
				{Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: "acme", Slug: "web"},
			},
			Flavor:             bitbucket.Cloud,
			Token:              sensitive.New("opaque"),
			TokenKind:          bitbucket.AccessToken,
			KindCertain:        true,
			Branch:             "release/1.0",
			CloneDepth:         5,
			CloneAuth:          setup.URL,
			RequireWrite:       true,
			AllowHTTP:          true,
			TrustedHosts:       []string{"https://git.example.com", "http://old.example.com:8080"},
			SecretName:         "MY_TOKEN",
			SecretNameGiven:    true,
			Schedule:           &config.Schedule{Cron: "0 9 * * 1-5", Prompt: "Fix\nwhat is broken.", Name: "weekdays"},
			Scope:              warp.TeamOwner,
			Team:               "Acme & Co",
			EnvironmentID:      "En00000000000000000001",
			EnvironmentName:    "the name",
			Description:        "two\nlines",
			DockerImage:        "ghcr.io/acme/image:1@sha256:" + strings.Repeat("a", 64),
			SetupCommands:      []string{"npm ci", "make"},
			SetupCommandsGiven: true,
			EnvironmentSecrets: []string{"NPM_TOKEN", "_OTHER"},
			SmokeTestPrompt:    "Say\nhello",
			SmokeTestModel:     "auto",
			TokenExpiresAt:     time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC),
			Warnings:           []string{"clone_auth: url leaves the token in .git/config, where agents can read and print it; clone_auth: helper does not"},
			OnSharedSecret:     config.Fail,
		},
	}, parse(t, map[string]string{
		"mode": "plan", "repo_url": " \n" + cloudURL + "\r\n\n  https://bitbucket.org/acme/web\n", "flavor": "cloud",
		"bitbucket_token": " opaque\r\n", "token_kind": "access_token", "secret_name": "MY_TOKEN", "scope": "team", "team": "Acme & Co",
		"environment_name": "the name", "environment_id": "En00000000000000000001", "description": " two\r\nlines ",
		"docker_image": "ghcr.io/acme/image:1@sha256:" + strings.Repeat("a", 64), "setup_commands": "# first\r\n\r\n  npm ci\r\n#\nmake\r\n",
		"branch": "release/1.0", "clone_depth": "5", "clone_auth": "url", "environment_secrets": "NPM_TOKEN\n_OTHER\nNPM_TOKEN\nMY_TOKEN",
		"verify_token": "False", "require_write": "True", "allow_http": "TRUE", "smoke_test": "FALSE", "smoke_test_prompt": "Say\nhello",
		"smoke_test_model": "auto", "smoke_test_timeout": "90s", "smoke_test_max": "3", "concurrency": "16", "detailed_exitcode": "true", "warp_api_key": warpAPIKey,
		"warp_server_url": "http://127.0.0.1:8080/oz", "output_file": "out.env", "report_file": "out.json",
		"trusted_hosts": "https://GIT.example.com:443/\n\nhttp://old.example.com:8080\nhttps://git.example.com", "schedule_cron": "0\t9  * * MON-FRI", "schedule_prompt": "Fix\nwhat is broken.", "schedule_name": "weekdays", "schedule_enabled": "false",
		"token_expires_at": "2027-01-31", "expiry_warning": "3", "fail_on_expiry": "True",
	}))
}

func TestEveryMistakeIsReportedInOneRun(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{
		`mode: "Plan" is not one of apply, plan, test, rotate, destroy; did you mean plan?`,
		"verify_token: is neither true nor false",
		"warp_api_key: is missing; create an API key in Warp's settings, as https://docs.warp.dev/reference/cli/api-keys says, and pass it as a secret",
		`flavor: "Cloud" is not one of auto, cloud, datacenter, server; did you mean cloud?`,
		"allow_http: is neither true nor false",
		"repo_url: the URL holds no valid host name; use the HTTPS URL that the repository's Clone button shows, such as https://bitbucket.org/your-workspace/your-repo.git",
		"token_kind: is not one of auto, api_token, access_token, http_access_token",
		"secret_name: is not the name of an environment variable; use letters, digits and _, not beginning with a digit",
		`scope: "Team" is not one of team, personal; did you mean team?`,
		"environment_id: is not an ID, which has 22 letters and digits; copy it from Oz or from the outputs of an earlier run",
		"clone_depth: is not a depth; give a positive integer",
		"setup_commands: line 1 is not a shell command: column 1: `)` can only be used to close a subshell; fix the command; each line is one command of its own",
		"smoke_test_timeout: is not a duration between 1m and 6h; give a duration such as 20m, or whole minutes",
		"warp_server_url: is not the root of a server; give it as https://host",
	}, problems(t, map[string]string{
		"mode": "Plan", "verify_token": "1", "flavor": "Cloud", "allow_http": "no", "repo_url": "https://!/a/b", "token_kind": "bearer",
		"secret_name": "1A", "scope": "Team", "environment_id": "short", "clone_depth": "0", "setup_commands": ")",
		"smoke_test_timeout": "1s", "warp_server_url": "app.warp.dev",
	}, nil))
}

func TestModes(t *testing.T) {
	t.Parallel()
	nothing := with("warp_api_key", warpAPIKey)
	for mode, want := range map[string][]string{
		"apply": {
			"bitbucket_token: is missing; create a token that can read the repository, as https://github.com/oz-bitbucket/oz-bitbucket/blob/main/docs/credentials.md#bitbucket-token says, and pass it as a secret",
			"repo_url: is missing; give the repository's HTTPS clone URL, such as https://bitbucket.org/your-workspace/your-repo.git",
		},
		"plan": {"repo_url: is missing; give the repository's HTTPS clone URL, such as https://bitbucket.org/your-workspace/your-repo.git"},
		"rotate": {
			"bitbucket_token: is missing; create a token that can read the repository, as https://github.com/oz-bitbucket/oz-bitbucket/blob/main/docs/credentials.md#bitbucket-token says, and pass it as a secret",
			"secret_name: is missing; name the secret to rotate, or give repo_url or flavor, each of which implies a default name",
		},
		"test":    {"environment_name: is missing: the inputs do not say which environment is meant; give environment_name, environment_id or repo_url"},
		"destroy": {"environment_name: is missing: the inputs do not say which environment is meant; give environment_name, environment_id or repo_url"},
		"paln":    {`mode: "paln" is not one of apply, plan, test, rotate, destroy; did you mean plan?`},
		"hlep":    {`mode: "hlep" is not one of apply, plan, test, rotate, destroy; did you mean oz-bitbucket help?`},
		"versoin": {`mode: "versoin" is not one of apply, plan, test, rotate, destroy; did you mean oz-bitbucket version?`},
		"deploy":  {`mode: "deploy" is not one of apply, plan, test, rotate, destroy`},
		// What may be a secret is not shown.
		"MARKER": {"mode: is not one of apply, plan, test, rotate, destroy"}, "deploy-1": {"mode: is not one of apply, plan, test, rotate, destroy"},
		"seventeen-letters": {"mode: is not one of apply, plan, test, rotate, destroy"}, "deploy it": {"mode: is not one of apply, plan, test, rotate, destroy"},
	} {
		inputs := maps.Clone(nothing)
		inputs["mode"] = mode
		assert.Equal(t, want, problems(t, inputs, nil), mode)
	}
	withoutToken := parse(t, cloud(with("mode", "plan"), with("bitbucket_token", "")))
	assert.True(t, withoutToken.Token.IsEmpty(), "a plan needs no token")
	assert.False(t, withoutToken.KindCertain)
}

func TestBooleans(t *testing.T) {
	t.Parallel()
	read := map[string]func(parsed) bool{
		"verify_token":      func(c parsed) bool { return c.VerifyToken },
		"require_write":     func(c parsed) bool { return c.RequireWrite },
		"smoke_test":        func(c parsed) bool { return c.SmokeTest },
		"detailed_exitcode": func(c parsed) bool { return c.DetailedExitcode },
		"allow_http":        nil, // its effect is a test of repositories
	}
	for name, value := range read {
		for text, want := range map[string]bool{"true": true, "True": true, "TRUE": true, "false": false, "False": false, "FALSE": false, " true\r\n": true} {
			c := parse(t, cloud(with(name, text)))
			if value != nil {
				assert.Equal(t, want, value(c), "%s: %s", name, text)
			}
		}
		for _, text := range []string{"1", "0", "yes", "no", "on", "off", "t", "tRUE", "null", "~", "true false"} {
			assert.Equal(t, []string{name + ": is neither true nor false"}, problems(t, cloud(with(name, text)), nil), text)
		}
	}
}

func TestInputsNamesAreTheirOwn(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, input := range config.Inputs() {
		assert.Equal(t, strings.ToLower(input.Name), input.Name)
		assert.NotEmpty(t, input.Help, input.Name)
		assert.False(t, seen[input.Name], input.Name)
		seen[input.Name] = true
	}
}

func TestPrimary(t *testing.T) {
	t.Parallel()
	assert.Equal(t, bitbucket.Repository{}, config.Entry{}.Primary())
	assert.Equal(t, "acme/api", parse(t, cloud()).Primary().String())
}

// TestTheTokenPageExists: the page that the message names is docs/credentials.md, and it
// has that heading.
func TestTheTokenPageExists(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/credentials.md")
	require.NoError(t, err)
	assert.Contains(t, string(page), "\n## Bitbucket token\n")
	assert.Contains(t, string(page), "(https://docs.warp.dev/reference/cli/api-keys)")
}
