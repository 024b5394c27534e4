package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

func TestNearestInput(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		stray Stray
		want  string
	}{
		{Stray{Name: "REPO_ULR"}, "repo_url"},
		{Stray{Name: "repo_url"}, "repo_url"},
		{Stray{Name: "WARP_APIKEY"}, "warp_api_key"},
		{Stray{Name: "BITBUCKET_TOKN"}, "bitbucket_token"},
		{Stray{Name: "BITBUCKET_TOKENFILE"}, "bitbucket_token_file"},
		{Stray{Name: "BITBUCKET_TOKEN_PATH"}, "bitbucket_token_file"},
		{Stray{Name: "FLAVOUR"}, "flavor"},
		{Stray{Name: "SMOKETEST"}, "smoke_test"},
		{Stray{Name: "DRYRUN"}, "dry_run"},
		{Stray{Name: "MDOE"}, "mode"},
		{Stray{Name: "TAEM"}, "team"},
		{Stray{Name: "mode"}, "mode"},
		{Stray{Name: "WARP_KEY"}, "warp_api_key"},
		{Stray{Name: "WARP_API_TOKEN"}, "warp_api_key"},
		{Stray{Name: "SMOKE_TEST_TIME"}, "smoke_test_timeout"},
		{Stray{Name: "SCHEDULE_CRONTAB"}, "schedule_cron"},
		{Stray{Name: "SETUP_CMDS"}, ""},
		{Stray{Name: "SETUP_CMDS", Alone: true}, "setup_commands"},
		{Stray{Prefix: "INPUT_", Name: "SMOKETEST"}, "smoke_test"},
		{Stray{Prefix: "INPUT_", Name: "REPOSITORY_URL"}, ""},
		{Stray{Prefix: "INPUT_", Name: "MDE"}, "mode"},
		{Stray{Prefix: "INPUT_", Name: "SCRIPT"}, ""},
		{Stray{Prefix: "INPUT_", Name: "REPO-URL", Alone: true}, "repo_url"},
		{Stray{Name: "TERM"}, ""},
		{Stray{Name: "NODE"}, ""},
		{Stray{Name: "STEAM"}, ""},
		{Stray{Name: "SCOPES"}, ""},
		{Stray{Name: "BRANCH_NAME"}, ""},
		{Stray{Name: "BITBUCKET_API_TOKEN"}, ""},
		{Stray{Name: "WARP_IS_LOCAL_SHELL_SESSION"}, ""},
		{Stray{Name: "WARP_API_PORT"}, ""},
		{Stray{Name: "WARP_API_SERVICE_HOST"}, ""},
		{Stray{Name: "WARP_API_KEY_PORT_80_TCP_ADDR"}, ""},
		{Stray{Name: ""}, ""},
		{Stray{Name: strings.Repeat("REPO_URL", 1000)}, ""},
	} {
		assert.Equal(t, tt.want, tt.stray.nearest(), "%+v", tt.stray)
	}
	for _, input := range Inputs() { // the letters of each, two exchanged
		name := []byte(strings.ToUpper(input.Name))
		for at := 1; at < len(name); at++ {
			name[at-1], name[at] = name[at], name[at-1]
			assert.Equal(t, input.Name, Stray{Name: string(name)}.nearest(), "%s", name)
			name[at-1], name[at] = name[at], name[at-1]
		}
	}
}

func TestMistyped(t *testing.T) {
	t.Parallel()
	const token = "ATCTT3xFfGN0q7w9e8r1t2y3=5A6B7C8D"
	warnings, pasted := Mistyped([]Stray{
		{Name: "WARP_APIKEY", Value: sensitive.New("export x=" + token)},
		{Name: "REPO_ULR", Value: sensitive.New("acme")},
		{Name: "SETUP_COMANDS", Value: sensitive.New("1")},
		{Name: "SETUP_COMANDS", Value: sensitive.New("make")},
		{Name: "HOME", Value: sensitive.New(token)},
		{Prefix: "INPUT_", Name: "SMOKETEST", Alone: true, Value: sensitive.New("true")},
		{Prefix: "INPUT_", Name: "WHO_TO_GREET", Alone: true, Value: sensitive.New("you")},
		{Prefix: "INPUT_", Name: "ANOTHER_TASKS", Value: sensitive.New("you")},
		{Prefix: "INPUT_", Name: token, Alone: true, Value: sensitive.New("x")},
	})
	assert.Equal(t, []string{
		"INPUT_SMOKETEST is set, and there is no such input; the nearest is smoke_test (INPUT_SMOKE_TEST)",
		"INPUT_WHO_TO_GREET is set, and there is no such input; take it out (--help lists the inputs)",
		"REPO_ULR is set, and there is no such input; the nearest is repo_url (REPO_URL)",
		"SETUP_COMANDS is set, and there is no such input; the nearest is setup_commands (SETUP_COMMANDS)",
		"WARP_APIKEY is set, and there is no such input; the nearest is warp_api_key (WARP_API_KEY)",
	}, warnings)
	if assert.Len(t, pasted, 1) {
		assert.Equal(t, token, pasted[0].Reveal())
	}
}

// FuzzMistyped: no value is shown, and nothing panics.
func FuzzMistyped(f *testing.F) {
	f.Add("REPO_ULR", "", false)
	f.Add("SMOKETEST", "INPUT_", true)
	f.Add("\xff\u200b", "INPUT_", true)
	f.Fuzz(func(t *testing.T, name, prefix string, alone bool) {
		const value = "Qz7MARKERtoken9x4Lw"
		warnings, _ := Mistyped([]Stray{{prefix, name, alone, sensitive.New(value)}})
		assert.LessOrEqual(t, len(warnings), 1)
		assert.NotContains(t, strings.Join(warnings, ""), value)
	})
}
