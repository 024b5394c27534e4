package platform_test

import (
	"log"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
)

// TestWhatGoPrintsIsInTheLog is not parallel: Go has one log.
func TestWhatGoPrintsIsInTheLog(t *testing.T) {
	flags := log.Flags()
	t.Cleanup(func() { log.SetOutput(os.Stderr); log.SetFlags(flags) })
	for host, want := range map[string]string{
		"NONE=":                     "debug: Go says: starting with # #vso[task.setvariable]x *** ::error::y\\u000dend\n",
		"BITBUCKET_BUILD_NUMBER=1":  "DEBUG: Go says: starting with # #vso[task.setvariable]x *** ::error::y\\u000dend\n",
		"GITHUB_ACTIONS=true":       "::debug::Go says: starting with # #vso[task.setvariable]x *** ::error::y\\u000dend\n",
		"GITLAB_CI=true":            "debug: Go says: starting with # #vso[task.setvariable]x *** ::error::y\\u000dend\n",
		"DEBUG=false":               "",
		"RUNNER_DEBUG=":             "",
		"BITBUCKET_BUILD_NUMBER=12": "",
	} {
		j := start(host)
		if want != "" {
			j = start(host, "DEBUG=true", "RUNNER_DEBUG=1")
		}
		j.Mask(nil, hidden)
		before := j.out.String()
		platform.Capture(j.Log())
		log.Printf("starting with ##vso[task.setvariable]x %s\n::error::y\rend\n", secret)
		assert.Equal(t, want, j.out.String()[len(before):]+j.log.String(), host)
	}
}

// TestALongTextIsCut: before redaction multiplies its size in memory.
func TestALongTextIsCut(t *testing.T) {
	t.Parallel()
	j := start()
	j.Log().Error("the name " + strings.Repeat("é", 5<<20))
	assert.Len(t, j.log.String(), len("error: ")+1<<20-1+len(" ...\n"))
}
