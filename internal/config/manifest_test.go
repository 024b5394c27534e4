package config_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

var update = flag.Bool("update", false, "write the golden files anew")

const webToken = "ATCTT3xFfGN0q7w9e8r1t2y3=5A6B7C8D"

// theManifest is the example of the documentation.
const theManifest = "# yaml-language-server: $schema=" + config.SchemaURL + `
defaults:
  docker_image: node:22
  setup_commands: [npm ci]
environments:
  - repo_url: https://bitbucket.org/your-workspace/api.git
  - repo_url:
      - https://bitbucket.org/your-workspace/web.git
      - https://bitbucket.org/your-workspace/shared.git
    environment_name: web
    secret_name: WEB_TOKEN
    bitbucket_token_variable: WEB_BITBUCKET_TOKEN
`

// fleet are the smallest inputs of a job with a manifest, with changes.
func fleet(changes ...map[string]string) map[string]string {
	inputs := map[string]string{"manifest": "oz.yml", "bitbucket_token": apiToken, "warp_api_key": warpAPIKey}
	for _, change := range changes {
		maps.Copy(inputs, change)
	}
	return inputs
}

// variables are those of a job.
type variables map[string]string

func (v variables) value(name string) string { return v[name] }

// theVariables are those of a job with the manifest of the documentation.
var theVariables = variables{"WEB_BITBUCKET_TOKEN": " " + webToken + "\n", "OTHER_TOKEN": webToken + "2", "SAME_TOKEN": webToken, "DEFAULT_TOKEN": apiToken, "KEY": warpAPIKey, "BLANK": " ", "PASTED": "Bearer " + webToken}

// parseFleet reads a job with a manifest that must be valid.
func parseFleet(t *testing.T, file string, changes ...map[string]string) config.Job {
	t.Helper()
	job, err := config.Parse(fleet(changes...), files{"oz.yml": file}.read, theVariables.value)
	require.NoError(t, err)
	return job
}

// mistakes are the problems of a job with a manifest, one text each.
func mistakes(t *testing.T, file string, changes ...map[string]string) []string {
	t.Helper()
	_, err := config.Parse(fleet(changes...), files{"oz.yml": file}.read, theVariables.value)
	var found []string
	for _, p := range problem.All(err) {
		found = append(found, p.Error())
	}
	require.Equal(t, err == nil, found == nil, "an error that is no list of problems: %v", err)
	return found
}

func TestTheDocumentationShowsTheManifest(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/fleet.md")
	require.NoError(t, err)
	assert.Contains(t, string(page), "```yaml\n"+theManifest+"```")
}

func names(job config.Job) []string {
	var list []string
	for _, e := range job.Entries {
		list = append(list, e.EnvironmentName)
	}
	return list
}

func TestAManifestIsManyEntries(t *testing.T) {
	t.Parallel()
	job := parseFleet(t, theManifest)
	assert.Equal(t, "oz.yml", job.Manifest)
	assert.Equal(t, []string{"WEB_BITBUCKET_TOKEN"}, job.Variables)
	require.Len(t, job.Entries, 2)

	api, web := job.Entries[0], job.Entries[1]
	assert.Equal(t, "oz.yml:6", api.Place)
	assert.Equal(t, "oz.yml:7", web.Place)
	assert.Equal(t, []string{"your-workspace-api", "web"}, names(job))
	assert.Equal(t, []string{"BITBUCKET_API_TOKEN", "WEB_TOKEN"}, []string{api.SecretName, web.SecretName})
	assert.Equal(t, []string{apiToken, webToken}, []string{api.Token.Reveal(), web.Token.Reveal()})
	assert.Len(t, web.Repositories, 2)
	for _, e := range job.Entries {
		assert.Equal(t, "node:22", e.DockerImage)
		assert.Equal(t, []string{"npm ci"}, e.SetupCommands)
		assert.True(t, e.SetupCommandsGiven && e.VerifyToken && e.SmokeTest && e.SmokeTestChanged)
		assert.Empty(t, e.Warnings)
	}
	assert.Equal(t, []sensitive.String{sensitive.New(warpAPIKey), sensitive.New(apiToken), sensitive.New(webToken)}, job.Secrets())
}

// TestAnEntryIsWhatItsInputsWouldBe: each entry of a manifest alone is the same as
// the job that is given its keys as inputs.
func TestAnEntryIsWhatItsInputsWouldBe(t *testing.T) {
	t.Parallel()
	for _, inputs := range []map[string]string{
		{"repo_url": cloudURL},
		{"repo_url": serverURL, "bitbucket_token": httpToken},
		{
			"repo_url": cloudURL + "\nhttps://bitbucket.org/acme/web.git", "flavor": "cloud", "token_kind": "api_token", "secret_name": "MY_TOKEN", "scope": "team", "team": "Acme & Co",
			"environment_name": "the name", "environment_id": "En00000000000000000001", "description": "two\nlines", "docker_image": "go:1", "setup_commands": "# first\n\nnpm ci\ncat <<E\nx\nE", "branch": "release/1.0",
			"clone_depth": "5", "clone_auth": "url", "environment_secrets": "NPM_TOKEN\n_OTHER", "verify_token": "False", "require_write": "True", "allow_http": "TRUE", "smoke_test": "FALSE",
			"smoke_test_prompt": "Say\nhello", "smoke_test_model": "auto", "token_expires_at": "2027-01-31", "on_shared_secret": "warn",
			"schedule_cron": "0 9 * * MON-FRI", "schedule_prompt": "Fix\nit.", "schedule_name": "weekdays", "schedule_enabled": "false",
		},
	} {
		var file strings.Builder
		file.WriteString("environments:\n- \n")
		ofJob := map[string]string{}
		for name, value := range inputs {
			if name == "bitbucket_token" {
				ofJob[name] = value
				continue
			}
			fmt.Fprintf(&file, "  %s: %q\n", name, value)
		}
		want := parse(t, cloud(inputs))
		entry := parseFleet(t, file.String(), ofJob).Entries[0]
		entry.Place, entry.SmokeTestChanged = "", false
		for i, warning := range entry.Warnings {
			entry.Warnings[i] = strings.TrimPrefix(warning, "oz.yml:2: ")
		}
		assert.Equal(t, want.Entry, entry)
	}
}

func TestSmokeTestsOfAManifest(t *testing.T) {
	t.Parallel()
	file := func(value string) string {
		return "environments:\n- repo_url: " + cloudURL + "\n  smoke_test: " + value + "\n"
	}
	for _, tt := range []struct {
		inFile, ofJob, mode  string
		test, onlyIfIsChange bool
	}{
		{"null", "", "apply", true, true},
		{"changed", "", "apply", true, true},
		{"true", "", "apply", true, false},
		{"all", "", "rotate", true, false},
		{"false", "", "apply", false, false},
		{"false", "true", "apply", true, false},
		{"true", "False", "apply", false, false},
		{"true", "changed", "apply", true, true},
		{"null", "", "test", true, false},
		{"false", "", "test", false, false},
		{"all", "", "rotate", true, false},
	} {
		job := parseFleet(t, file(tt.inFile), with("smoke_test", tt.ofJob), with("mode", tt.mode))
		assert.Equal(t, tt.test, job.Entries[0].SmokeTest, "%+v", tt)
		assert.Equal(t, tt.onlyIfIsChange, job.Entries[0].SmokeTestChanged, "%+v", tt)
		assert.Equal(t, tt.ofJob == "all" || tt.ofJob == "" && tt.inFile == "all", job.Entries[0].SmokeTestAll)
	}
	assert.True(t, parseFleet(t, theManifest, with("smoke_test", "all")).Entries[0].SmokeTestAll)
	assert.Equal(t, []string{"smoke_test: is false, but mode test does nothing else; leave it out"}, mistakes(t, theManifest, with("smoke_test", "false"), with("mode", "test")))
	one := parse(t, cloud(with("smoke_test", "changed")))
	assert.True(t, one.SmokeTest && one.SmokeTestChanged, "without a manifest too")
}

func TestInputsBesideAManifest(t *testing.T) {
	t.Parallel()
	const remedy = "is given beside manifest, where each entry sets it; write it into the file, or leave manifest out"
	values := map[string]string{
		"repo_url": cloudURL, "flavor": "cloud", "token_kind": "api_token", "secret_name": "A", "on_shared_secret": "warn", "scope": "personal", "team": "a", "description": "a",
		"docker_image": "a", "setup_commands": "a", "branch": "a", "clone_depth": "1", "clone_auth": "url", "environment_secrets": "A", "verify_token": "false", "require_write": "true",
		"allow_http": "true", "smoke_test_prompt": "a", "smoke_test_model": "a", "schedule_cron": "0 0 * * *", "schedule_prompt": "a", "schedule_name": "a", "schedule_enabled": "false", "token_expires_at": "2027-01-31",
	}
	for name, value := range values {
		assert.Equal(t, []string{name + ": " + remedy}, mistakes(t, theManifest, with(name, value)), name)
	}
	defaults := map[string]string{}
	for _, input := range config.Inputs() {
		defaults[input.Name] = input.Default // as GitHub passes inputs that are not given
	}
	assert.Len(t, parseFleet(t, theManifest, defaults, fleet()).Entries, 2)
}

func TestNarrowing(t *testing.T) {
	t.Parallel()
	file := theManifest + "  - environment_id: En00000000000000000001\n    repo_url: https://bitbucket.org/your-workspace/x.git\n"
	id := with("environment_id", "En00000000000000000001")
	for _, tt := range []struct {
		changes []map[string]string
		want    []string
	}{
		{nil, []string{"your-workspace-api", "web", ""}},
		{[]map[string]string{with("environment_name", "web")}, []string{"web"}},
		{[]map[string]string{with("environment_name", "your-workspace-api\n web \n")}, []string{"your-workspace-api", "web"}},
		{[]map[string]string{id}, []string{""}},
		{[]map[string]string{id, with("environment_name", "web")}, []string{"web", ""}},
		{[]map[string]string{with("environment_name", "your-workspace-api"), with("mode", "test")}, []string{"your-workspace-api"}},
	} {
		assert.Equal(t, tt.want, names(parseFleet(t, file, tt.changes...)))
	}
	assert.Equal(t, []string{`environment_name: "wbe" is not an environment of the manifest; the nearest is web`}, mistakes(t, file, with("environment_name", "wbe\nweb")))
	assert.Equal(t, []string{`environment_id: "En00000000000000000002" is not an environment of the manifest; give one that the file has`}, mistakes(t, file, with("environment_id", "En00000000000000000002")))
	rotation := parseFleet(t, file, with("environment_name", "your-workspace-api"), with("mode", "rotate"))
	assert.Len(t, rotation.Entries, 1, "by the default name, which a rotation does not need")
}

func TestTokensOfEntries(t *testing.T) {
	t.Parallel()
	entry := func(variable string) string {
		return "environments:\n- repo_url: " + cloudURL + "\n  bitbucket_token_variable: " + variable + "\n"
	}
	for _, tt := range []struct{ name, file, mode, want string }{
		{"not there", entry("NOT_THERE"), "apply", "oz.yml:3:3: bitbucket_token_variable: names a variable that is empty or not set in the job; pass the token to the job under this name\n    bitbucket_token_variable: NOT_THERE"},
		{"blank", entry("BLANK"), "rotate", "oz.yml:3:3: bitbucket_token_variable: names a variable that is empty or not set in the job; pass the token to the job under this name\n    bitbucket_token_variable: BLANK"},
		{"not there, and not needed", entry("NOT_THERE"), "plan", ""},
		{"no name", entry("1 A"), "apply", "oz.yml:3:3: bitbucket_token_variable: is not the name of an environment variable; use letters, digits and _, not beginning with a digit\n    bitbucket_token_variable: 1 A"},
		{"the API key", entry("KEY"), "apply", "oz.yml:3:3: bitbucket_token_variable: names a variable with the same value as warp_api_key; pass the Bitbucket token\n    bitbucket_token_variable: KEY"},
		{"a wrong paste", entry("PASTED"), "plan", "oz.yml:3:3: bitbucket_token_variable: begins with the name of an HTTP header or scheme; pass what follows\n    bitbucket_token_variable: PASTED"},
		{"of another flavor", "environments:\n- repo_url: " + serverURL + "\n  bitbucket_token_variable: OTHER_TOKEN\n", "plan", "oz.yml:3:3: bitbucket_token_variable: is a Bitbucket Cloud access token (ATCTT…), which cannot work with https://git.example.com; create a token on the Bitbucket that holds the repository\n    bitbucket_token_variable: OTHER_TOKEN"},
		{"the job's, of another flavor", "environments:\n- repo_url: " + serverURL + "\n", "plan", "oz.yml:2:1: bitbucket_token: is a Bitbucket Cloud API token (ATATT…), which cannot work with https://git.example.com; create a token on the Bitbucket that holds the repository\n    - repo_url: " + serverURL},
	} {
		found := strings.Join(mistakes(t, tt.file, with("mode", tt.mode)), "\n")
		if tt.name == "the API key" {
			found, _, _ = strings.Cut(found, "\noz.yml:3:3: bitbucket_token_variable: is a Warp")
		}
		assert.Equal(t, tt.want, found, tt.name)
	}
	missing := []string{"bitbucket_token: is missing; create a token that can read the repository, as https://github.com/oz-bitbucket/oz-bitbucket/blob/main/docs/credentials.md#bitbucket-token says, and pass it as a secret"}
	two := "environments:\n- repo_url: " + cloudURL + "\n- repo_url: https://bitbucket.org/acme/b\n"
	assert.Equal(t, missing, mistakes(t, two, with("bitbucket_token", "")), "told once")
	assert.Empty(t, mistakes(t, entry("OTHER_TOKEN"), with("bitbucket_token", "")), "each entry has its own")
	assert.Empty(t, mistakes(t, theManifest, with("bitbucket_token", ""), with("environment_name", "web")), "the others do not matter")
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	file := func(entries ...string) string {
		return "environments:\n- repo_url: " + cloudURL + "\n" + strings.Join(entries, "")
	}
	other := "- repo_url: https://bitbucket.org/acme/b\n"
	for _, tt := range []struct {
		name, file string
		want       []string // what the problems hold
	}{
		{"one name, by default", file("- repo_url: https://bitbucket.org/ACME/api\n"), []string{`oz.yml:3:1: environment_name: "acme-api" is also the environment of line 2`}},
		{"one name, given", file(other + "  environment_name: acme-api\n"), []string{`oz.yml:4:3: environment_name: "acme-api" is also the environment of line 2`}},
		{"one name, two teams", file(other + "  environment_name: acme-api\n  team: b\n"), nil},
		{"one name, two owners", file(other + "  environment_name: acme-api\n  scope: personal\n"), nil},
		{"one ID", file(other+"  environment_id: En00000000000000000001\n", other+"  environment_id: En00000000000000000001\n  environment_name: c\n"), []string{"oz.yml:6:3: environment_id: is also the environment of line 4"}},
		{"one token, two variables", file(other + "  bitbucket_token_variable: DEFAULT_TOKEN\n"), nil},
		{"two tokens", file(other + "  bitbucket_token_variable: OTHER_TOKEN\n"), []string{"oz.yml:4:3: bitbucket_token_variable: gives the secret BITBUCKET_API_TOKEN a different token than line 2"}},
		{"two tokens of two secrets", file(other + "  bitbucket_token_variable: OTHER_TOKEN\n  secret_name: B\n"), nil},
		{"two tokens of two owners", file(other + "  bitbucket_token_variable: OTHER_TOKEN\n  scope: personal\n"), nil},
		{"two tokens, then the job's", file(other+"  bitbucket_token_variable: OTHER_TOKEN\n  secret_name: B\n", "- repo_url: https://bitbucket.org/acme/c\n  secret_name: B\n"), []string{"oz.yml:7:3: secret_name: gives the secret B a different token than line 5"}},
		{"three of one name", file("- repo_url: "+cloudURL+"\n", "- repo_url: "+cloudURL+"\n"), []string{"oz.yml:3:1: environment_name: \"acme-api\" is also the environment of line 2", "oz.yml:4:1: environment_name: \"acme-api\" is also the environment of line 2"}},
	} {
		found := mistakes(t, tt.file)
		if assert.Len(t, found, len(tt.want), "%s: %q", tt.name, found) {
			for i, want := range tt.want {
				assert.Contains(t, found[i], want, tt.name)
			}
		}
	}
	assert.Equal(t, warp.UserOwner, parseFleet(t, file(other+"  scope: personal\n")).Entries[1].Scope)
}

func TestTheFileItself(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"environments:\n- repo_url: \xff\n":                  "manifest: line 2 holds a byte that is not UTF-8; save it as UTF-8",
		"e\x00n\x00v\x00i\x00r\x00o\x00n\x00:\x00 \x00[\x00": "manifest: names a file in UTF-16; save the file as UTF-8",
		"": "oz.yml:1:1: environments: is missing: the file is empty; write environments: and list them below it",
	} {
		assert.Equal(t, []string{want}, mistakes(t, file))
	}
	assert.Equal(t, []string{"manifest: cannot be read; give the path of a YAML file of at most 10 MiB that the job can read"}, mistakes(t, "", with("manifest", "none.yml")))
	job := parseFleet(t, "\ufeff"+theManifest)
	assert.Equal(t, []string{"manifest names a file that begins with U+FEFF BYTE ORDER MARK, which is left out; save it as UTF-8 without a byte order mark"}, job.Entries[0].Warnings)
	assert.Empty(t, job.Entries[1].Warnings)
	url := parseFleet(t, theManifest+"    clone_auth: url\n")
	assert.Equal(t, []string{"oz.yml:7: clone_auth: url leaves the token in .git/config, where agents can read and print it; clone_auth: helper does not"}, url.Entries[1].Warnings)
}

func TestARefusedValueIsToldOnce(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"oz.yml:2:3: repo_url: is keys with values; give a text or a list\n    - repo_url: {a: b}"}, mistakes(t, "environments:\n- repo_url: {a: b}\n"))
}

func TestProblemsOfTheJobAreToldOnce(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{
		"trusted_hosts: holds a line that is not an origin; give https://host or https://host:port, one a line",
		"warp_server_url: is not the root of a server; give it as https://host",
	}, mistakes(t, theManifest, with("trusted_hosts", "x"), with("warp_server_url", "x")))
}

// TestMistakesInManifests compares the messages about each file in testdata with the
// golden file beside it.
func TestMistakesInManifests(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.yml")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			got := strings.Join(mistakes(t, string(text)), "\n") + "\n"
			requireNoPiece(t, apiToken, got)
			golden := strings.TrimSuffix(path, ".yml") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
		})
	}
}

// FuzzManifest: whatever the file is, reading it ends, and no secret is shown.
func FuzzManifest(f *testing.F) {
	f.Add(theManifest, "a")
	f.Add("environments:\n- repo_url: https://bitbucket.org/a/b\n  description: TOKEN\n  branch: \"TOK\\x45N\"\n", "x")
	f.Add("defaults: {TOKEN: [*TOKEN]}\nenvironments:\n- &TOKEN !TOKEN TOKEN\n# TOKEN", "")
	f.Fuzz(func(t *testing.T, file, between string) {
		const token = "ATCTTMARKERq7w9e8r1t2y3=5A6B7C8D"
		file = strings.ReplaceAll(file, "TOKEN", "."+token+between) // where a word begins
		job, err := config.Parse(fleet(), files{"oz.yml": file}.read, variables{"MARKER": "MARKER-opaque-value"}.value)
		shown := fmt.Sprint(err)
		for _, e := range job.Entries {
			shown += strings.Join(e.Warnings, "\n")
		}
		require.NotContains(t, strings.ToLower(shown), "markerq7w9e8")
	})
}

// many is a manifest of n entries, and each of them is right.
func many(n int) string {
	var file strings.Builder
	file.WriteString("defaults:\n  docker_image: node:22\n  setup_commands: [npm ci, make]\nenvironments:\n")
	for i := range n {
		fmt.Fprintf(&file, "  - repo_url: https://bitbucket.org/acme/repository-%d.git\n    description: The environment of number %d\n    secret_name: SECRET_%d\n", i, i, i%100)
	}
	return file.String()
}

func BenchmarkManifest(b *testing.B) {
	for _, n := range []int{1, 500, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			read := files{"oz.yml": many(n)}.read
			for b.Loop() {
				job, err := config.Parse(fleet(), read, noVariable)
				if err != nil || len(job.Entries) != n {
					b.Fatal(err)
				}
			}
		})
	}
}
