package test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

func TestPipeOfItsOwnRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe, warpsim.Options{})
	inputs := w.inputs(map[string]string{
		"repo_url": "", "setup_commands_count": "2", "setup_commands_0": "test -f README.md", "setup_commands_1": "true",
		"environment_secrets_count": "1", "environment_secrets_0": "NPM_TOKEN",
	})
	first := w.run(inputs)
	require.Equal(t, 0, first.code, first.log)
	assert.Equal(t, "acme-sample", first.outputs["environment_name"])
	assert.Equal(t, "passed", first.outputs["smoke_test"])
	m := model(t, w.onlyEnvironment())
	assert.Equal(t, []any{"cd ./sample && test -f README.md", "cd ./sample && true"}, m["setup_commands"].([]any)[3:])
	assert.Equal(t, []any{map[string]any{"name": "BITBUCKET_API_TOKEN"}, map[string]any{"name": "NPM_TOKEN"}}, m["secrets"])
	for line := range strings.Lines(first.log) {
		assert.Regexp(t, "^(\x1b\\[3[126]m)?(INFO: |WARNING: |✔ )", line)
	}
	assert.True(t, strings.HasSuffix(first.log, "✔ secret created, environment created, smoke test passed\n"), first.log)
	w.keeps(inputs)

	wrong := w.run(w.inputs(map[string]string{"clone_depth": "x", "scope": "everyone"}))
	assert.Equal(t, 2, wrong.code)
	assert.Contains(t, wrong.log, "ERROR: scope: is not one of team, personal\nERROR: clone_depth: is not a depth; give a positive integer\n")
	assert.True(t, strings.HasSuffix(wrong.log, "✖ failed, nothing was written\n"), wrong.log)
	w.requireClean()
}

func TestGitLabReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	w.environ = []string{"GITLAB_CI=true", "CI=true"}
	path := filepath.Join(t.TempDir(), "oz.env")
	r := w.run(w.inputs(map[string]string{"output_file": path}))
	require.Equal(t, 0, r.code, r.log)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	got := map[string]string{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(content), "\n"), "\n") {
		name, value, found := strings.Cut(line, "=")
		require.True(t, found, line)
		got[name] = value
	}
	assert.Equal(t, r.outputs, got)
	started := regexp.MustCompile(`\x1b\[0Ksection_start:\d+:(\w+)\r\x1b\[0K`).FindAllStringSubmatch(r.log, -1)
	ended := regexp.MustCompile(`\x1b\[0Ksection_end:\d+:(\w+)\r\x1b\[0K\n`).FindAllStringSubmatch(r.log, -1)
	require.Len(t, started, 4)
	require.Len(t, ended, 4)
	for i, name := range []string{"oz_bitbucket_check", "oz_bitbucket_plan", "oz_bitbucket_apply", "oz_bitbucket_smoke_test"} {
		assert.Equal(t, []string{name, name}, []string{started[i][1], ended[i][1]})
	}
	w.requireClean()
}

func TestEveryMistakeIsAnAnnotationUpToTheBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, github, warpsim.Options{})
	changes := map[string]string{"clone_depth": "x", "scope": "everyone"}
	r := w.run(w.inputs(changes))
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.log, "::error title=oz-bitbucket::scope: ")
	assert.Contains(t, r.log, "::error title=oz-bitbucket::clone_depth: ")
	assert.Equal(t, 2, strings.Count(r.log, "::error"))
	assert.Contains(t, r.summary, "### oz-bitbucket: failed, nothing was written\n")

	for _, boolean := range []string{"verify_token", "require_write", "allow_http", "smoke_test", "detailed_exitcode"} {
		changes[boolean] = "perhaps"
	}
	for _, word := range []string{"mode", "flavor", "token_kind", "clone_auth"} {
		changes[word] = "other"
	}
	r = w.run(w.inputs(changes))
	assert.Equal(t, 2, r.code)
	assert.Equal(t, 10, strings.Count(r.log, "::error title=oz-bitbucket::"))
	for name := range changes {
		assert.Contains(t, r.log, name+": ")
	}
	assert.Empty(t, w.oz.Journal.All())
	w.requireClean()
}

// wrongCommit is for an agent's text. Without a commit in it, the job would wait for later text.
const wrongCommit = "0123456789012345678901234567890123456789"

func TestTheSummaryTellsAReviewerWhatHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t, github, warpsim.Options{})
	w.oz.AddEnvironment(team, `{"name":"acme-sample","docker_image":"ubuntu:22.04","setup_commands":["echo '\u0060\u0060\u0060\n::error::no'"],"secrets":[]}`)
	inputs := w.inputs(map[string]string{"docker_image": "ubuntu:24.04"})
	r := w.run(inputs, "plan")
	require.Equal(t, 0, r.code, r.log)
	assert.Contains(t, r.summary, "### oz-bitbucket: plan: 1 to update, 1 secret to create\n")
	assert.Contains(t, r.summary, "```diff\n- ubuntu:22.04\n+ ubuntu:24.04\n```\n")
	assert.Contains(t, r.summary, "**Next:** run mode apply to make these changes")

	w.oz.Behave(warpsim.Behaviour{Reply: func(string) string { return "AGENT wrote **this** ::error::that " + wrongCommit }})
	r = w.run(inputs)
	require.Equal(t, 3, r.code, r.log)
	assert.Contains(t, r.log, "the agent says: AGENT wrote **this** : :error: :that "+wrongCommit)
	assert.Contains(t, r.summary, "### oz-bitbucket: secret created, environment updated, smoke test failed\n")
	assert.Contains(t, r.summary, "[Open the session](<"+r.outputs["session_link"]+">)")
	assert.Contains(t, r.summary, "**Next:** open the session")
	assert.NotContains(t, r.summary, "AGENT")
	assert.NotRegexp(t, `(?m)^\s*::error::`, r.log)
	w.requireClean()
}

// TestForeignTextIsHarmless: Bitbucket, Oz and the agent repeat the credentials and send the
// host commands.
func TestForeignTextIsHarmless(t *testing.T) {
	t.Parallel()
	const commands = "\n::set-output name=environment_id::stolen\r\n##[add-mask]x\r::stop-commands::x\x1b[2J ##vso[task.complete]"
	for _, d := range []dialect{plain, github, pipe} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, d, warpsim.Options{})
			harmless := func(r result, said string) {
				t.Helper()
				assert.Contains(t, r.log, said)
				assert.NotRegexp(t, `(?m)^\s*::(set-output|stop-commands)`, r.log)
				assert.NotRegexp(t, `##[a-z-]*\[`, r.log)
				assert.NotContains(t, r.log, "\r")
				assert.NotContains(t, r.log, "\x1b[2J")
			}
			w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.UploadPackRefs, Status: 403, Body: "no: " + cloudToken + commands, Times: -1})
			r := w.run(w.inputs(nil))
			w.bitbucket.Script.Clear()
			require.Equal(t, 1, r.code, r.log)
			harmless(r, "403: no: *** ::set-output name=environment_id::stolen # #[add-mask]x")

			quoted, err := json.Marshal(map[string]string{"error": "no: " + apiKey + cloudToken + commands})
			require.NoError(t, err)
			w.oz.Script.Add(fault.Fault{Operation: "GetUser", Status: http.StatusForbidden, Body: string(quoted)})
			r = w.run(w.inputs(nil))
			require.Equal(t, 1, r.code, r.log)
			harmless(r, "403: no: ******")
			harmless(r, ". ::set-output name=environment_id::stolen")

			for before, said := range map[int]string{
				0: " *** : :set-output name=environment_id: :stolen # #[add-mask]x : :stop-commands: :x\\u001b[2J # #vso[task.complete]",
				// the log shows 2000 characters, which may cut the token
				1930: "x *** ...", 1945: "x *** ...",
			} {
				w.oz.Behave(warpsim.Behaviour{Reply: func(string) string {
					return wrongCommit + " " + strings.Repeat("x", before) + " " + cloudToken + commands
				}})
				r = w.run(w.inputs(nil))
				require.Equal(t, 3, r.code, r.log)
				harmless(r, "the agent says: "+wrongCommit)
				harmless(r, said)
				assert.NotContains(t, r.summary, "stolen")
			}
			w.requireClean()
		})
	}
}

// TestAnAgentCannotSpellTheToken: the agent, which may read the token, writes it in other forms.
func TestAnAgentCannotSpellTheToken(t *testing.T) {
	t.Parallel()
	bytes := hex.EncodeToString([]byte(cloudToken))
	spellings := []string{
		cloudToken[4:], cloudToken[8:30], strings.ToLower(cloudToken), strings.ToUpper(bytes), regexp.MustCompile(`..`).ReplaceAllString(bytes, "%$0"),
		url.QueryEscape(url.QueryEscape(cloudToken)), cloudToken[:11] + "\n\u200b" + cloudToken[11:22] + "`**" + cloudToken[22:],
		base64.URLEncoding.EncodeToString([]byte("x:" + cloudToken))[:20] + "\r\n" + base64.URLEncoding.EncodeToString([]byte("x:" + cloudToken))[20:],
		regexp.MustCompile(`.{9}`).ReplaceAllString(cloudToken, "$0\n- "), regexp.MustCompile(`.{7}`).ReplaceAllString(cloudToken, "$0 |\n> "),
		regexp.MustCompile(`..`).ReplaceAllStringFunc(bytes, func(b string) string { return "&#x00000000000000000000000000000000000000" + b + ";" }),
	}
	for _, d := range []dialect{plain, github, pipe} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, d, warpsim.Options{})
			w.oz.Behave(warpsim.Behaviour{Reply: func(string) string { return wrongCommit + " <" + strings.Join(spellings, "> <") + ">" }})
			r := w.run(w.inputs(nil))
			require.Equal(t, 3, r.code, r.log)
			_, said, _ := strings.Cut(r.log, "the agent says: ")
			said, _, _ = strings.Cut(said, "\n")
			assert.Equal(t, len(spellings), strings.Count(said, "***"), said)
			for _, piece := range []string{cloudToken[:12], cloudToken[12:24], cloudToken[len(cloudToken)-12:], bytes[:24], bytes[24:48]} {
				assert.NotContains(t, strings.ToLower(said), strings.ToLower(piece))
			}
			w.requireClean()
		})
	}
}

func TestOutputsThatCannotBeWrittenAreExit1(t *testing.T) {
	t.Parallel()
	w := newWorld(t, github, warpsim.Options{})
	for _, path := range []string{"", filepath.Join(t.TempDir(), "not", "mounted")} {
		command, _ := w.command(w.inputs(nil))
		command.Env = append(command.Env, "GITHUB_OUTPUT="+path)
		log, err := command.Output()
		require.Error(t, err)
		assert.Equal(t, 1, command.ProcessState.ExitCode())
		assert.Contains(t, string(log), "::error title=oz-bitbucket::write the outputs")
		assert.Contains(t, string(log), "GITHUB_OUTPUT")
	}
	assert.Len(t, w.oz.Environments(), 1, "the environment was still written")

	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		r := w.run(w.inputs(map[string]string{"output_file": filepath.Join(t.TempDir(), "no", "file"), "smoke_test": "false"}))
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "write output_file: ")
		assert.Equal(t, w.onlyEnvironment().UID, r.outputs["environment_id"], "the other outputs are still written")
	})
}

// TestASecretInsideAnOutputIsRefused: a "token" is part of the job's names. Nothing could hide
// it, and GitHub would drop the output.
func TestASecretInsideAnOutputIsRefused(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for token, input := range map[string]string{"acme-sample": "environment_name", "API_TOKEN": "secret_name"} {
			r := w.run(w.inputs(map[string]string{"bitbucket_token": token}))
			assert.Equal(t, 2, r.code)
			assert.Contains(t, r.log, input+": holds the value of bitbucket_token")
			assert.Empty(t, r.outputs[input])
		}
		assert.Empty(t, w.oz.Journal.All())
	})
}

func TestDebugNamesTheInputs(t *testing.T) {
	t.Parallel()
	for d, debug := range map[dialect]string{plain: "DEBUG=true", pipe: "DEBUG=true", github: "RUNNER_DEBUG=1"} {
		w := newWorld(t, d, warpsim.Options{})
		inputs := w.inputs(map[string]string{"smoke_test": "false"})
		assert.NotContains(t, w.run(inputs).log, "given bitbucket_token")
		w.environ = []string{debug}
		r := w.run(inputs)
		require.Equal(t, 0, r.code, r.log)
		assert.Contains(t, r.log, "given bitbucket_token, ca_certificate, repo_url, smoke_test, warp_api_key, warp_server_url\n")
		w.requireClean()
	}
}

// TestTheNextStepAfterAnAlarmIsATokenAndNoOtherRun: the log advises a new token.
func TestTheNextStepAfterAnAlarmIsATokenAndNoOtherRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, github, warpsim.Options{})
	inputs := w.inputs(map[string]string{"fail_on_expiry": "true", "token_expires_at": "2020-01-31", "smoke_test": "false"})
	for range 2 {
		r := w.run(inputs)
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "expired on 2020-01-31")
		assert.Contains(t, r.summary, "**Next:** make a new token and rotate to it")
		assert.NotContains(t, r.summary, "run the job again")
		assert.Contains(t, r.outputs["environments"], `"error":""`, "nothing is wrong with the environment")
	}
	w.requireClean()
}
