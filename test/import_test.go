package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// imported runs import and returns its exit code, the manifest and the log.
func (w *world) imported(changes map[string]string) (code int, manifest, log string) {
	w.t.Helper()
	inputs := w.inputs(changes)
	if _, given := changes["repo_url"]; !given {
		delete(inputs, "repo_url")
	}
	command, directory := w.command(inputs, "import")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		require.NoError(w.t, err)
	}
	left, err := os.ReadDir(directory)
	require.NoError(w.t, err)
	assert.Empty(w.t, left, "import writes no outputs and no summary")
	w.written = append(w.written, stdout.String(), stderr.String())
	return command.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// requirePlanKeeps plans over a manifest, and the plan must change nothing.
func (w *world) requirePlanKeeps(t *testing.T, text string, environments int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "imported.yml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	inputs := w.inputs(map[string]string{"manifest": path, "detailed_exitcode": "true"})
	delete(inputs, "repo_url")
	before := w.oz.Counts()
	r := w.run(inputs, "plan")
	require.Zero(t, r.code, text+r.log)
	assert.Equal(t, "false", r.outputs["changed"])
	list := r.environments(t)
	require.Len(t, list, environments, text)
	for _, e := range list {
		assert.Equal(t, "keep", e.Change, e.Name)
	}
	for operation, n := range w.oz.Counts() {
		if strings.HasPrefix(operation, "Create") || strings.HasPrefix(operation, "Update") || strings.HasPrefix(operation, "Delete") {
			assert.Equal(t, before[operation], n, operation)
		}
	}
}

const oddFleet = `
environments:
  - repo_url: https://bitbucket.org/acme/web.git
    description: "yes: # no"
    setup_commands: [test -f README.md, "echo 'a: \"b\"'; true"]
    branch: main
  - repo_url: [https://bitbucket.org/acme/api.git, https://bitbucket.org/acme/web.git]
    environment_name: "null"
    docker_image: ubuntu:24.04
    clone_depth: 1
    clone_auth: url
    environment_secrets: [SHOP_TOKEN]
  - repo_url: https://bitbucket.org/acme/shop.git
    environment_name: "123"
    scope: personal
    secret_name: SHOP_TOKEN
    bitbucket_token_variable: SHOP_BITBUCKET_TOKEN
`

func TestAFleetIsImportedAsItIs(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.must(w.manifest(oddFleet, map[string]string{"smoke_test": "false"}))
		writes := w.oz.Counts()["CreateCloudEnvironment"]
		w.oz.AddEnvironment(team, `{"name":"elsewhere","github_repos":["acme/x"],"setup_commands":["make"]}`)
		byHand := w.oz.AddEnvironment(team, `{"name":"by hand","setup_commands":["git clone https://x-token-auth:$OLD@bitbucket.org/acme/web.git"]}`)
		leaky := w.oz.AddEnvironment(team, `{"name":"leaky","setup_commands":["git clone https://x-token-auth:ATCTT3xFfGN0q7w9e8r1t2y3@bitbucket.org/acme/web.git"]}`)
		ours := w.oz.AddEnvironment(team, `{"name":"ours","description":"holds `+apiKey+`","setup_commands":["git clone https://x-token-auth:$A@bitbucket.org/acme/web.git"]}`)

		code, text, log := w.imported(nil)
		require.Zero(t, code, log)
		assert.True(t, strings.HasPrefix(text, "# yaml-language-server: $schema=https://"), text)
		assert.Contains(t, text, `environment_name: "null"`)
		assert.Contains(t, text, "branch: main")
		assert.Contains(t, text, "- test -f README.md")
		assert.Contains(t, text, `# left out: environment "by hand" (`+byHand+`)`)
		assert.NotContains(t, text, "ATCTT")
		assert.Contains(t, text, leaky)
		assert.Contains(t, log, leaky)
		assert.Contains(t, text, ours)
		assert.NotContains(t, text, "elsewhere")
		assert.Contains(t, log, "environments: 3 in the file, 3 left out")
		assert.NotContains(t, log, "::", "a command to GitHub")
		assert.Equal(t, writes, w.oz.Counts()["CreateCloudEnvironment"])
		w.requirePlanKeeps(t, text, 3)
		w.environ = append(w.environ, "BITBUCKET_API_TOKEN="+cloudToken, "SHOP_TOKEN="+accessToken)
		w.requirePlanKeeps(t, text, 3)
	})
}

// TestTwinsAreImportedByTheirIDs: names alone would be an error.
func TestTwinsAreImportedByTheirIDs(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", "x")
		var uids []string
		for range 2 {
			uids = append(uids, w.oz.AddEnvironment(team, `{"name":"acme-sample","docker_image":"ubuntu:24.04","secrets":[{"name":"BITBUCKET_API_TOKEN"}],"setup_commands":["git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/sample.git"]}`))
		}
		trashed := w.oz.AddEnvironment(team, `{"name":"gone","docker_image":"ubuntu:24.04","secrets":[{"name":"BITBUCKET_API_TOKEN"}],"setup_commands":["git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/sample.git"]}`)
		w.oz.Trash(trashed)
		code, text, log := w.imported(map[string]string{"bitbucket_token": ""})
		require.Zero(t, code, log)
		for _, uid := range uids {
			assert.Contains(t, text, "environment_id: "+uid)
		}
		assert.NotContains(t, text, trashed)
		assert.NotContains(t, text, "bitbucket_token_variable", "one secret of the usual name has the usual input")
		w.requirePlanKeeps(t, text, 2)
	})
}

func TestAWorkspaceIsImported(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.bitbucket.AddToken(bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken})
		for i := range 120 {
			r := bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: fmt.Sprintf("r%03d", i), Empty: true}
			if i < 3 {
				r.Project = "API"
			}
			w.bitbucket.AddRepository(r)
		}
		code, text, log := w.imported(map[string]string{"repo_url": "https://bitbucket.org/acme/workspace/overview", "bitbucket_token": accessToken, "warp_api_key": ""})
		require.Zero(t, code, log)
		assert.Equal(t, 121, strings.Count(text, "\n  - repo_url: https://bitbucket.org/acme/"), text)
		assert.Equal(t, 2, w.bitbucket.Counts()[bitbucketsim.CloudRepositories])
		assert.Empty(t, w.oz.Journal.All(), "nothing of Oz is needed")

		code, text, _ = w.imported(map[string]string{"repo_url": "https://bitbucket.org/acme/workspace/projects/API", "bitbucket_token": accessToken})
		require.Zero(t, code)
		assert.Equal(t, 3, strings.Count(text, "- repo_url: "), text)

		code, text, log = w.imported(map[string]string{"repo_url": "https://bitbucket.org/acme"})
		assert.Equal(t, 2, code)
		assert.Empty(t, text)
		assert.Contains(t, log, "bitbucket_username")
		code, text, log = w.imported(map[string]string{"repo_url": "https://bitbucket.org/acme", "bitbucket_username": "jane@example.com"})
		require.Zero(t, code, log)
		assert.Equal(t, 121, strings.Count(text, "- repo_url: "))

		code, text, log = w.imported(map[string]string{"repo_url": "https://bitbucket.org/gone", "bitbucket_token": accessToken})
		assert.Equal(t, 1, code)
		assert.Empty(t, text)
		assert.Contains(t, log, "list the repositories of gone: 404")
	})
}

func TestAProjectIsImported(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for i := range 120 {
			w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PRJ", Slug: fmt.Sprintf("r%03d", i), Empty: true, Archived: i == 7, NoHTTP: i == 8})
		}
		w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "~jane", Slug: "notes", Empty: true})
		project := w.bitbucket.DataCenterURL() + "/projects/PRJ"
		code, text, log := w.imported(map[string]string{"repo_url": project, "bitbucket_token": dcToken, "warp_api_key": ""})
		require.Zero(t, code, log)
		assert.Equal(t, 119, strings.Count(text, "\n  - repo_url: "+w.bitbucket.DataCenterURL()+"/scm/PRJ/"), text)
		assert.Contains(t, text, "  # left out: it is archived\n  # - repo_url: "+w.bitbucket.DataCenterURL()+"/scm/PRJ/r007.git\n")
		assert.Contains(t, text, "# left out: the server offers no clone over HTTPS")
		assert.Equal(t, 2, w.bitbucket.Counts()[bitbucketsim.DataCenterRepositories])

		code, text, log = w.imported(map[string]string{"repo_url": w.bitbucket.DataCenterURL() + "/users/jane", "bitbucket_token": dcToken})
		require.Zero(t, code, log)
		assert.Contains(t, text, "/scm/~jane/notes.git")

		w.run(w.manifest(text, map[string]string{"bitbucket_token": dcToken, "mode": "plan"})) // it can be read
		code, _, log = w.imported(map[string]string{"repo_url": project, "bitbucket_token": nextToken})
		assert.NotZero(t, code)
		assert.Contains(t, log, "cannot work with")
	})
}

func TestWhatImportCannotUseIsToldAtOnce(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		code, text, log := w.imported(map[string]string{"repo_url": w.cloud.CloneURL(), "manifest": "x.yml", "scope": "personal"})
		assert.Equal(t, 2, code)
		assert.Empty(t, text)
		for _, want := range []string{"this names one repository", "manifest: is given, but import writes a manifest", "scope does nothing in import"} {
			assert.Contains(t, log, want)
		}
		code, _, log = w.imported(map[string]string{"warp_api_key": "", "bitbucket_token": ""})
		assert.Equal(t, 2, code)
		assert.Contains(t, log, "warp_api_key: is missing")
		code, _, log = w.imported(map[string]string{"warp_api_key": "wk-MARKER-of-nobody-0123456789"})
		assert.Equal(t, 1, code)
		assert.NotContains(t, log, "internal error")
		w.requireNothingWritten()
	})
}

// TestTheNextPageIsOfTheSameList: the request for the next page carries the token.
func TestTheNextPageIsOfTheSameList(t *testing.T) {
	t.Parallel()
	for _, next := range []string{"https://git.example.test/2.0/repositories/acme?page=2", "https://api.bitbucket.org/2.0/repositories/other?page=2", "http://api.bitbucket.org/2.0/repositories/acme?page=2", "/2.0/repositories/acme"} {
		w := newWorld(t, plain, warpsim.Options{})
		w.bitbucket.AddToken(bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken})
		w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.CloudRepositories, When: fault.Before, Status: 200, Body: `{"values":[{"slug":"a"}],"next":"` + next + `"}`, Times: 1})
		code, text, log := w.imported(map[string]string{"repo_url": "https://bitbucket.org/acme", "bitbucket_token": accessToken})
		assert.Equal(t, 1, code)
		assert.Empty(t, text)
		assert.Contains(t, log, "the next page is not a page of this list")
		assert.Len(t, w.bitbucket.Journal.All(), 2, "the tunnel and one request")
		w.requireClean()
	}
}

// TestInAPipelineImportIsAboutAllRepositories: not only the pipeline's own.
func TestInAPipelineImportIsAboutAllRepositories(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe, warpsim.Options{})
	w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", "x")
	w.oz.AddEnvironment(team, `{"name":"x","docker_image":"ubuntu:24.04","secrets":[{"name":"BITBUCKET_API_TOKEN"}],"setup_commands":["git clone https://x-bitbucket-api-token-auth:$BITBUCKET_API_TOKEN@bitbucket.org/acme/other.git"]}`)
	code, text, log := w.imported(nil)
	require.Zero(t, code, log)
	assert.Contains(t, text, "- repo_url: https://bitbucket.org/acme/other.git\n    environment_name: x\n")
	w.requireClean()
}

// TestAnImportThatNobodyGetsFails: standard output is its only result.
func TestAnImportThatNobodyGetsFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	inputs := w.inputs(nil)
	delete(inputs, "repo_url")
	command, _ := w.command(inputs, "import")
	var stderr bytes.Buffer
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	command.Stdout, command.Stderr = writer, &stderr
	require.Error(t, command.Run())
	require.NoError(t, writer.Close())
	assert.Equal(t, 1, command.ProcessState.ExitCode(), stderr.String())

	command, _ = w.command(inputs, "import", "more")
	command.Stderr = &stderr
	require.Error(t, command.Run())
	assert.Equal(t, 2, command.ProcessState.ExitCode())
	assert.Contains(t, stderr.String(), "2 arguments are too many")
}
