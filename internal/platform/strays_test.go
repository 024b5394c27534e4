package platform_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// TestIgnored: inputs in the spelling that is not used.
func TestIgnored(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		environ, want []string
		beside        string
	}{
		"one spelling":           {[]string{"REPO_URL=x", "MODE=plan"}, nil, ""},
		"the other one":          {[]string{"INPUT_REPO_URL=x", "INPUT_MODE=plan"}, nil, "INPUT_MODE"},
		"both":                   {[]string{"INPUT_MODE=plan", "REPO_URL=x", "TEAM=y", "HOME=z"}, []string{"REPO_URL", "TEAM"}, "INPUT_MODE"},
		"of one input":           {[]string{"INPUT_TEAM=a", "TEAM=b"}, []string{"TEAM"}, "INPUT_TEAM"},
		"of one input, the same": {[]string{"INPUT_TEAM=a", "TEAM= a\n"}, nil, "INPUT_TEAM"},
		"without a value":        {[]string{"INPUT_TEAM=a", "REPO_URL= "}, nil, "INPUT_TEAM"},
		"not in force":           {[]string{"INPUT_TEAM=", "INPUT_OTHER=x", "REPO_URL=x"}, nil, ""},
		"the key":                {[]string{"INPUT_TEAM=a", "WARP_API_KEY=x"}, nil, "INPUT_TEAM"},
		"on GitHub":              {[]string{"GITHUB_ACTIONS=true", "INPUT_TEAM=a", "MODE=x"}, []string{"MODE"}, "INPUT_TEAM"},
		"a list of a pipeline":   {[]string{"BITBUCKET_BUILD_NUMBER=1", "INPUT_TEAM=a", "REPO_URL_COUNT=1", "REPO_URL_0=x"}, []string{"REPO_URL"}, "INPUT_TEAM"},
		"elsewhere":              {[]string{"INPUT_TEAM=a", "ENVIRONMENT_NAME=x"}, []string{"ENVIRONMENT_NAME"}, "INPUT_TEAM"},
		"Azure's own":            {[]string{"TF_BUILD=True", "INPUT_TEAM=a", "ENVIRONMENT_NAME=x"}, nil, "INPUT_TEAM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			variables, beside := start(tt.environ...).Ignored([]string{"mode", "repo_url", "team", "warp_api_key", "environment_name"})
			assert.Equal(t, tt.want, variables)
			assert.Equal(t, tt.beside, beside)
		})
	}
}

func TestStrays(t *testing.T) {
	t.Parallel()
	const (
		onGitHub = "GITHUB_ACTIONS=true"
		pipeline = "BITBUCKET_BUILD_NUMBER=7"
		pipe     = "BITBUCKET_PIPE_STORAGE_DIR=/x"
	)
	stray := func(prefix, name string, alone bool) platform.Stray {
		return platform.Stray{Prefix: prefix, Name: name, Alone: alone, Value: sensitive.New("x")}
	}
	for name, tt := range map[string]struct {
		environ []string
		want    []platform.Stray // without those that choose the host
	}{
		"inputs are none":           {[]string{"REPO_URL=x", "MODE=x"}, nil},
		"others are":                {[]string{"REPO_URL=x", "HOME=x"}, []platform.Stray{stray("", "HOME", false)}},
		"not without a value":       {[]string{"HOME=", "REPO_ULR= \n"}, nil},
		"INPUT_ where it is unused": {[]string{"REPO_URL=x", "INPUT_MOD=x"}, []platform.Stray{stray("INPUT_", "MOD", false)}},
		"plain ones are not read beside INPUT_": {
			[]string{"INPUT_MODE=x", "REPO_ULR=x", "WARP_APIKEY=x"}, []platform.Stray{stray("", "WARP_APIKEY", false)},
		},
		"INPUT_ on GitHub": {
			[]string{onGitHub, "INPUT_MODE=x", "INPUT_WHO=x", "INPUT_ARGS=x", "INPUT_ENTRYPOINT=x"}, []platform.Stray{stray("INPUT_", "WHO", true)},
		},
		"plain ones on GitHub": {[]string{onGitHub, "REPO_ULR=x"}, []platform.Stray{stray("", "REPO_ULR", false)}},
		"a pipeline":           {[]string{pipeline, "REPO_ULR=x"}, []platform.Stray{stray("", "REPO_ULR", false)}},
		"a pipe":               {[]string{pipeline, pipe, "REPO_ULR=x", "BITBUCKET_TAG=x"}, []platform.Stray{stray("", "BITBUCKET_TAG", false), stray("", "REPO_ULR", true)}},
		"lists of a pipeline": {
			[]string{pipeline, "REPO_URL_COUNT=x", "REPO_URL_0=x", "REPO_ULR_COUNT=x", "REPO_ULR_1=x", "A_1=x"},
			[]platform.Stray{stray("", "A_1", false), stray("", "REPO_ULR", false), stray("", "REPO_ULR", false)},
		},
		"no lists elsewhere": {[]string{"REPO_URL_COUNT=x"}, []platform.Stray{stray("", "REPO_URL_COUNT", false)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []platform.Stray
			for _, stray := range start(tt.environ...).Strays([]string{"mode", "repo_url"}) {
				if stray.Value.Reveal() == "x" {
					got = append(got, stray)
				}
			}
			assert.Equal(t, tt.want, got)
		})
	}
}
