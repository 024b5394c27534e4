package test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// TestWhatIsPastedInPlaceOfACredential is named and never shown, and no request is sent.
func TestWhatIsPastedInPlaceOfACredential(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		path := filepath.Join(t.TempDir(), "TOKEN")
		require.NoError(t, os.WriteFile(path, []byte(cloudToken+"\n"), 0o600))
		for value, want := range map[string]string{
			path:                             "is the path of a file; use NAME_file, which takes a path",
			"user@example.com:" + cloudToken: "begins with an e-mail address",
			"Bearer " + cloudToken:           "begins with the name of an HTTP header or scheme",
			"x-token-auth:" + cloudToken:     "begins with a user name",
			"https://x-token-auth:" + cloudToken + "@bitbucket.org/acme/sample.git": "is a URL with credentials in it",
			w.cloud.CloneURL():                      "is a URL; pass the token or key itself",
			`{"token": "` + cloudToken + `"}`:       "is JSON",
			"export BITBUCKET_TOKEN=" + cloudToken:  "is an assignment to a variable",
			"export BITBUCKET_TOKEN='" + cloudToken: "is an assignment to a variable",
		} {
			var changes = map[string]string{"clone_depth": "x"}
			for _, name := range []string{"bitbucket_token", "warp_api_key", "previous_token"} {
				changes[name] = value
			}
			r := w.run(w.inputs(changes))
			assert.Equal(t, 2, r.code)
			for _, name := range []string{"bitbucket_token", "warp_api_key", "previous_token"} {
				assert.Contains(t, r.log, name+": "+strings.ReplaceAll(want, "NAME", name))
			}
			assert.Contains(t, r.log, "clone_depth: is not a depth", "every mistake is reported")

			file := filepath.Join(t.TempDir(), "pasted")
			require.NoError(t, os.WriteFile(file, []byte(value+"\r\n"), 0o600))
			r = w.run(w.inputs(map[string]string{"bitbucket_token": "", "bitbucket_token_file": file}))
			assert.Equal(t, 2, r.code)
			kind, _, _ := strings.Cut(want, ";")
			assert.Contains(t, r.log, "bitbucket_token_file: "+kind)
		}
		assert.Empty(t, w.oz.Journal.All())
		assert.Empty(t, w.bitbucket.Journal.All())
	})
}

// TestCharactersThatNobodySees: they are refused or draw a warning, with their position.
func TestCharactersThatNobodySees(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		utf16 := filepath.Join(t.TempDir(), "token")
		text := "\xff\xfe"
		for _, letter := range cloudToken {
			text += string(letter) + "\x00"
		}
		require.NoError(t, os.WriteFile(utf16, []byte(text), 0o600))
		r := w.run(w.inputs(map[string]string{
			"repo_url": w.cloud.CloneURL() + "\n\u200bhttps://bitbucket.org/acme/web", "team": "Acme\u00a0Co", "warp_api_key": "\ufeff" + apiKey,
			"bitbucket_token": "", "bitbucket_token_file": utf16, "scope": "“team”", "setup_commands": "make\nnpm –v",
		}))
		assert.Equal(t, 2, r.code)
		for _, want := range []string{
			"repo_url: line 2 holds U+200B ZERO WIDTH SPACE at column 1",
			"team: line 1 holds U+00A0 NO-BREAK SPACE at column 5",
			"scope: line 1 holds U+201C LEFT DOUBLE QUOTATION MARK at column 1",
			"warp_api_key: line 1 holds U+FEFF BYTE ORDER MARK at column 1",
			"bitbucket_token_file: names a file in UTF-16",
			"setup_commands, line 2, holds U+2013 EN DASH at column 5",
		} {
			assert.Contains(t, r.log, want)
		}
		assert.Empty(t, w.oz.Journal.All())
		assert.Empty(t, w.bitbucket.Journal.All())

		marked := filepath.Join(t.TempDir(), "token")
		require.NoError(t, os.WriteFile(marked, []byte("\ufeff"+cloudToken+"\r\n"), 0o600))
		r = w.run(w.inputs(map[string]string{
			"bitbucket_token": "", "bitbucket_token_file": marked, "smoke_test": "false",
			"setup_commands": "make\nnpm –v", "description": "two\u00a0words",
		}))
		require.Equal(t, 0, r.code, r.log)
		for _, want := range []string{
			"bitbucket_token_file names a file that begins with U+FEFF BYTE ORDER MARK, which is left out",
			"description, line 1, holds U+00A0 NO-BREAK SPACE at column 4",
			"setup_commands, line 2, holds U+2013 EN DASH at column 5, which commands do not treat as -",
		} {
			assert.Contains(t, r.log, want)
		}
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
	})
}

// TestAVariableThatIsNearlyAnInput draws a warning, with any result of the job.
func TestAVariableThatIsNearlyAnInput(t *testing.T) {
	t.Parallel()
	for d, tt := range map[dialect]struct{ environ, want []string }{
		plain: {
			[]string{"REPO_ULR=" + cloudToken, "WARP_APIKEY=" + apiKey, "INPUT_SMOKETEST=true", "TERM=xterm", "BRANCH_NAME=main"},
			[]string{
				"warning: INPUT_SMOKETEST is set, and there is no such input; the nearest is smoke_test (INPUT_SMOKE_TEST)",
				"warning: REPO_ULR is set, and there is no such input; the nearest is repo_url (REPO_URL)",
				"warning: WARP_APIKEY is set, and there is no such input; the nearest is warp_api_key (WARP_API_KEY)",
			},
		},
		github: {
			[]string{"INPUT_REPO_ULR=" + cloudToken, "INPUT_SMOKETEST=true", "INPUT_WHO_TO_GREET=" + apiKey, "WARP_APIKEY=" + apiKey, "REPO_ULR=x"},
			[]string{
				"::warning title=oz-bitbucket::INPUT_REPO_ULR is set, and there is no such input; the nearest is repo_url (INPUT_REPO_URL)",
				"::warning title=oz-bitbucket::INPUT_SMOKETEST is set, and there is no such input; the nearest is smoke_test (INPUT_SMOKE_TEST)",
				"::warning title=oz-bitbucket::INPUT_WHO_TO_GREET is set, and there is no such input; take it out (--help lists the inputs)",
				"::warning title=oz-bitbucket::WARP_APIKEY is set, and there is no such input; the nearest is warp_api_key (WARP_API_KEY)",
			},
		},
		pipe: {
			[]string{"BITBUCKET_PIPE_STORAGE_DIR=/x", "SETUP_CMDS_COUNT=2", "SETUP_CMDS_0=make", "SETUP_CMDS_1=" + cloudToken},
			[]string{"WARNING: SETUP_CMDS is set, and there is no such input; the nearest is setup_commands (SETUP_COMMANDS)"},
		},
	} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, d, warpsim.Options{})
			w.environ = tt.environ
			for code, changes := range map[int]map[string]string{
				0: {"mode": "plan"},
				1: {"repo_url": "https://bitbucket.org/acme/missing.git"},
				2: {"clone_depth": "x"},
			} {
				r := w.run(w.inputs(changes))
				require.Equal(t, code, r.code, r.log)
				for _, want := range tt.want {
					assert.Equal(t, 1, strings.Count(r.log, want+"\n"), "%d: %s in\n%s", code, want, r.log)
				}
				assert.Equal(t, len(tt.want), strings.Count(r.log, "there is no such input"), r.log)
			}
			w.requireClean()
		})
	}
}

// TestInputsInTheOtherSpelling: they are named, and not read.
func TestInputsInTheOtherSpelling(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.environ = []string{"REPO_URL=https://bitbucket.org/acme/other.git", "BITBUCKET_TOKEN=" + nextToken, "INPUT_BRANCH="}
		inputs := w.inputs(map[string]string{"mode": "plan"})
		if w.dialect == plain {
			w.environ = nil
			for name, value := range inputs {
				w.environ = append(w.environ, "INPUT_"+strings.ToUpper(name)+"="+value)
			}
			inputs = map[string]string{"mode": "apply", "repo_url": "https://bitbucket.org/acme/other.git", "bitbucket_token": nextToken}
		}
		r := w.run(inputs)
		assert.Regexp(t, `(?m)^(warning: |::warning title=oz-bitbucket::)set and ignored: (MODE, )?REPO_URL, BITBUCKET_TOKEN.*; because INPUT_MODE is set, inputs`, r.log)
		assert.Equal(t, 1, strings.Count(r.log, "set and ignored"), r.log)
		assert.Equal(t, 0, r.code, r.log)
		assert.NotContains(t, r.log, nextToken)
		w.requireClean()
	})
}

// TestTheVariablesOfHostsAreNoInputs: a host's own variables draw no warning.
//
// Source: the hosts' lists of predefined variables.
func TestTheVariablesOfHostsAreNoInputs(t *testing.T) {
	t.Parallel()
	for host, variables := range map[string]string{
		"GitHub": `GITHUB_ACTIONS=true CI GITHUB_ACTION GITHUB_ACTION_PATH GITHUB_ACTION_REPOSITORY GITHUB_ACTOR GITHUB_ACTOR_ID GITHUB_API_URL GITHUB_BASE_REF
			GITHUB_ENV GITHUB_EVENT_NAME GITHUB_EVENT_PATH GITHUB_GRAPHQL_URL GITHUB_HEAD_REF GITHUB_JOB GITHUB_OUTPUT GITHUB_PATH GITHUB_REF GITHUB_REF_NAME
			GITHUB_REF_PROTECTED GITHUB_REF_TYPE GITHUB_REPOSITORY GITHUB_REPOSITORY_ID GITHUB_REPOSITORY_OWNER GITHUB_RETENTION_DAYS GITHUB_RUN_ATTEMPT GITHUB_RUN_ID
			GITHUB_RUN_NUMBER GITHUB_SERVER_URL GITHUB_SHA GITHUB_STATE GITHUB_STEP_SUMMARY GITHUB_TRIGGERING_ACTOR GITHUB_WORKFLOW GITHUB_WORKFLOW_REF GITHUB_WORKSPACE
			RUNNER_ARCH RUNNER_DEBUG RUNNER_ENVIRONMENT RUNNER_NAME RUNNER_OS RUNNER_TEMP RUNNER_TOOL_CACHE RUNNER_WORKSPACE ACTIONS_RUNTIME_URL ACTIONS_RUNTIME_TOKEN
			ACTIONS_CACHE_URL ACTIONS_RESULTS_URL ACTIONS_ID_TOKEN_REQUEST_URL ACTIONS_ID_TOKEN_REQUEST_TOKEN STATE_x INPUT_ARGS INPUT_ENTRYPOINT`,
		"Bitbucket Pipelines": `BITBUCKET_BUILD_NUMBER CI BITBUCKET_BRANCH BITBUCKET_TAG BITBUCKET_COMMIT BITBUCKET_WORKSPACE BITBUCKET_REPO_SLUG BITBUCKET_REPO_UUID
			BITBUCKET_REPO_FULL_NAME BITBUCKET_REPO_IS_PRIVATE BITBUCKET_REPO_OWNER BITBUCKET_REPO_OWNER_UUID BITBUCKET_CLONE_DIR BITBUCKET_PR_ID
			BITBUCKET_PR_DESTINATION_BRANCH BITBUCKET_PR_DESTINATION_COMMIT BITBUCKET_GIT_HTTP_ORIGIN BITBUCKET_GIT_SSH_ORIGIN BITBUCKET_EXIT_CODE BITBUCKET_STEP_UUID
			BITBUCKET_STEP_RUN_NUMBER BITBUCKET_STEP_TRIGGERER_UUID BITBUCKET_STEP_OIDC_TOKEN BITBUCKET_PIPELINE_UUID BITBUCKET_DEPLOYMENT_ENVIRONMENT
			BITBUCKET_DEPLOYMENT_ENVIRONMENT_UUID BITBUCKET_PROJECT_KEY BITBUCKET_PROJECT_UUID BITBUCKET_SSH_KEY_FILE BITBUCKET_DOCKER_HOST_INTERNAL
			BITBUCKET_PARALLEL_STEP BITBUCKET_PARALLEL_STEP_COUNT BITBUCKET_PIPELINES_VARIABLES_PATH BITBUCKET_PIPE_STORAGE_DIR BITBUCKET_PIPE_SHARED_STORAGE_DIR
			BITBUCKET_BOOKMARK PIPELINES_JWT_TOKEN DOCKER_HOST DEBUG`,
		"GitLab": `GITLAB_CI=true CI CI_API_V4_URL CI_BUILDS_DIR CI_COMMIT_AUTHOR CI_COMMIT_BRANCH CI_COMMIT_DESCRIPTION CI_COMMIT_MESSAGE CI_COMMIT_REF_NAME
			CI_COMMIT_REF_SLUG CI_COMMIT_SHA CI_COMMIT_TAG CI_CONCURRENT_ID CI_CONFIG_PATH CI_DEFAULT_BRANCH CI_DEPLOY_USER CI_ENVIRONMENT_NAME CI_ENVIRONMENT_SLUG
			CI_ENVIRONMENT_URL CI_JOB_ID CI_JOB_IMAGE CI_JOB_NAME CI_JOB_STAGE CI_JOB_TOKEN CI_NODE_INDEX CI_NODE_TOTAL CI_PIPELINE_ID CI_PIPELINE_SOURCE
			CI_PROJECT_DIR CI_PROJECT_NAME CI_PROJECT_PATH CI_PROJECT_URL CI_REGISTRY CI_REGISTRY_IMAGE CI_REGISTRY_PASSWORD CI_REGISTRY_USER CI_REPOSITORY_URL
			CI_RUNNER_DESCRIPTION CI_RUNNER_ID CI_RUNNER_TAGS CI_SERVER_HOST CI_SERVER_URL CI_TEMPLATE_REGISTRY_HOST GITLAB_FEATURES GITLAB_USER_EMAIL GITLAB_USER_ID
			GITLAB_USER_LOGIN GITLAB_USER_NAME CHAT_CHANNEL CHAT_INPUT TRIGGER_PAYLOAD FF_USE_NEW_BASH_EVAL_STRATEGY GIT_STRATEGY GIT_DEPTH GIT_CLONE_PATH RUNNER_TEMP_PROJECT_DIR`,
		"Azure": `TF_BUILD=True AGENT_ID AGENT_NAME AGENT_JOBNAME AGENT_OS AGENT_TEMPDIRECTORY BUILD_ARTIFACTSTAGINGDIRECTORY BUILD_BUILDID BUILD_BUILDNUMBER
			BUILD_REASON BUILD_REPOSITORY_NAME BUILD_REPOSITORY_URI BUILD_REPOSITORY_PROVIDER BUILD_SOURCEBRANCH BUILD_SOURCEBRANCHNAME BUILD_SOURCEVERSION
			ENVIRONMENT_NAME ENVIRONMENT_ID ENVIRONMENT_RESOURCENAME ENVIRONMENT_RESOURCEID STRATEGY_NAME PIPELINE_WORKSPACE SYSTEM_ACCESSTOKEN SYSTEM_TEAMPROJECT
			SYSTEM_TEAMPROJECTID SYSTEM_STAGENAME SYSTEM_JOBID SYSTEM_DEBUG TASK_DISPLAYNAME INPUT_SCRIPT INPUT_WORKINGDIRECTORY INPUT_FAILONSTDERR INPUT_TARGETTYPE
			INPUT_FILEPATH INPUT_ARGUMENTS INPUT_ERRORACTIONPREFERENCE INPUT_PWSH INPUT_COMMAND INPUT_CONTAINERREGISTRY`,
		"Jenkins": `JENKINS_URL JENKINS_HOME JENKINS_NODE_COOKIE JENKINS_SERVER_COOKIE BUILD_ID BUILD_NUMBER BUILD_TAG BUILD_URL BUILD_DISPLAY_NAME BRANCH_NAME
			BRANCH_IS_PRIMARY CHANGE_ID CHANGE_URL CHANGE_TITLE CHANGE_AUTHOR CHANGE_BRANCH CHANGE_TARGET CHANGE_FORK EXECUTOR_NUMBER GIT_BRANCH GIT_COMMIT GIT_URL
			GIT_LOCAL_BRANCH GIT_PREVIOUS_COMMIT HUDSON_HOME HUDSON_URL JOB_NAME JOB_BASE_NAME JOB_URL NODE_NAME NODE_LABELS RUN_DISPLAY_URL STAGE_NAME TAG_NAME WORKSPACE
			WORKSPACE_TMP CAUSE`,
		"CircleCI": `CIRCLECI=true CI CIRCLE_BRANCH CIRCLE_BUILD_NUM CIRCLE_BUILD_URL CIRCLE_JOB CIRCLE_NODE_INDEX CIRCLE_NODE_TOTAL CIRCLE_OIDC_TOKEN CIRCLE_PROJECT_REPONAME
			CIRCLE_PROJECT_USERNAME CIRCLE_REPOSITORY_URL CIRCLE_SHA1 CIRCLE_TAG CIRCLE_USERNAME CIRCLE_WORKFLOW_ID CIRCLE_WORKING_DIRECTORY BASH_ENV`,
		"TeamCity": `TEAMCITY_VERSION TEAMCITY_PROJECT_NAME TEAMCITY_BUILDCONF_NAME TEAMCITY_BUILD_PROPERTIES_FILE BUILD_NUMBER BUILD_VCS_NUMBER TEAMCITY_GIT_PATH`,
		"Kubernetes": `KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_SERVICE_PORT_HTTPS KUBERNETES_PORT KUBERNETES_PORT_443_TCP KUBERNETES_PORT_443_TCP_ADDR
			KUBERNETES_PORT_443_TCP_PORT KUBERNETES_PORT_443_TCP_PROTO WARP_API_SERVICE_HOST WARP_API_SERVICE_PORT WARP_API_PORT WARP_API_PORT_80_TCP
			WARP_SERVER_SERVICE_HOST WARP_SERVER_PORT SMOKE_TEST_SERVICE_HOST SMOKE_TEST_PORT SMOKE_TEST_PORT_80_TCP_ADDR TEAM_SERVICE_HOST MODE_PORT JOB_COMPLETION_INDEX`,
		"a shell": `HOME PATH PWD OLDPWD SHELL TERM TERMINFO LANG LC_ALL USER USERNAME LOGNAME HOSTNAME MAIL EDITOR PAGER DISPLAY SHLVL TMPDIR TZ _ COLORTERM NODE NODE_ENV NODE_VERSION
			NPM_TOKEN GOPATH JAVA_HOME HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy ALL_PROXY SSL_CERT_FILE SSH_AUTH_SOCK XDG_RUNTIME_DIR FORCE_COLOR
			TERM_PROGRAM TERM_PROGRAM_VERSION WARP_IS_LOCAL_SHELL_SESSION WARP_USE_SSH_WRAPPER WARP_HONOR_PS1 WARP_CLIENT_VERSION WARP_COMBINE_PROMPT_COMMAND_GRID
			BITBUCKET_API_TOKEN BITBUCKET_USER BITBUCKET_APP_PASSWORD REPO_NAME REPO_OWNER GIT_DEPTH DOCKER_HOST DOCKER_CONFIG IMAGE TAG VERSION STAGE DEBUG CODE MODEL SCOPES PORT HOST`,
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			for _, given := range []string{"REPO_URL=x", "INPUT_REPO_URL=x"} { // in either spelling
				environ := []string{given, "TEAM=x"}
				for _, variable := range strings.Fields(variables) {
					if !strings.Contains(variable, "=") {
						variable += "=x"
					}
					environ = append(environ, variable)
				}
				var names []string
				for _, input := range config.Inputs() {
					names = append(names, input.Name)
				}
				var strays []config.Stray
				for _, stray := range platform.Detect(environ, io.Discard, io.Discard).Strays(names) {
					strays = append(strays, config.Stray(stray))
				}
				warnings, _ := config.Mistyped(strays)
				assert.Empty(t, warnings)
			}
		})
	}
}
