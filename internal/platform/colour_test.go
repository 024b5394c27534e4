package platform_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
)

var hosts = []string{"NONE=", "GITHUB_ACTIONS=true", "GITLAB_CI=true", "BITBUCKET_BUILD_NUMBER=1", "CI=true"}

// colour matches what begins or ends a colour, and not the sections of GitLab.
var colour = regexp.MustCompile(`\x1b\[\d+m`)

func say(on platform.Platform) {
	on.Group("Plan")()
	on.Log().Info("secret \"A\": create\n  x")
	on.Log().Info("    + node:22\n    - node:20")
	on.Log().Info("    - node:20")
	on.Log().Warn("careful")
	on.Log().Error("broken")
	on.Log().Info("Plan: 1 to create")
	on.Log().Info("Next: the end")
}

func TestColoursToTheByte(t *testing.T) {
	t.Parallel()
	ours, theirs := pty(t)
	say(platform.Detect([]string{"TERM=xterm"}, &bytes.Buffer{}, theirs))
	assert.Equal(t, "\x1b[1m== Plan\x1b[0m\nsecret \"A\": create\n  x\n\x1b[32m    + node:22\x1b[0m\n\x1b[31m    - node:20\x1b[0m\n\x1b[31m    - node:20\x1b[0m\n"+
		"\x1b[33mwarning: careful\x1b[0m\n\x1b[31merror: broken\x1b[0m\n\x1b[1mPlan: 1 to create\x1b[0m\n\x1b[1mNext: the end\x1b[0m\n", written(t, ours))
}

// TestColoursAreOnATerminal: and nowhere else, unless FORCE_COLOR is set.
func TestColoursAreOnATerminal(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		variables        []string
		piped, onDisplay bool
	}{
		"as it is":            {nil, false, true},
		"NO_COLOR":            {[]string{"NO_COLOR=1"}, false, false},
		"an empty NO_COLOR":   {[]string{"NO_COLOR="}, false, true},
		"FORCE_COLOR":         {[]string{"FORCE_COLOR=1"}, true, true},
		"an empty one":        {[]string{"FORCE_COLOR="}, false, true},
		"FORCE_COLOR=0":       {[]string{"FORCE_COLOR=0"}, false, false},
		"FORCE_COLOR=false":   {[]string{"FORCE_COLOR=false"}, false, false},
		"both":                {[]string{"FORCE_COLOR=1", "NO_COLOR=1"}, false, false},
		"a terminal of a job": {[]string{"CI=true"}, false, false},
		"a dumb terminal":     {[]string{"TERM=dumb"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, host := range hosts {
				j := start(append([]string{host, "TERM=xterm"}, tt.variables...)...)
				say(j)
				assert.Equal(t, tt.piped, colour.MatchString(j.out.String()+j.log.String()), "%s: %q", host, j.out.String()+j.log.String())
			}
			ours, theirs := pty(t)
			say(platform.Detect(append([]string{"TERM=xterm"}, tt.variables...), &bytes.Buffer{}, theirs))
			assert.Equal(t, tt.onDisplay, colour.MatchString(written(t, ours)))
		})
	}
}

// TestForcedColoursChangeNoCommand: neither a command of GitHub nor an output of any host.
func TestForcedColoursChangeNoCommand(t *testing.T) {
	t.Parallel()
	for _, host := range hosts {
		plain, forced := start(host), start(host, "FORCE_COLOR=1")
		for _, j := range []*job{plain, forced} {
			say(j)
			_ = j.Emit(facts(), "")
		}
		section := regexp.MustCompile(`section_(start|end):\d+`)
		for i, text := range []string{forced.out.String(), forced.log.String()} {
			want := []string{plain.out.String(), plain.log.String()}[i]
			assert.Equal(t, section.ReplaceAllString(want, ""), section.ReplaceAllString(colour.ReplaceAllString(text, ""), ""), host)
		}
		for line := range strings.Lines(forced.out.String()) {
			if strings.Contains(line, "::") || strings.HasPrefix(line, "{") {
				assert.NotRegexp(t, colour, line)
			}
		}
	}
}

// TestColoursHideSecrets: a secret is hidden anywhere in a coloured line, also when several
// Writes spell it.
func TestColoursHideSecrets(t *testing.T) {
	t.Parallel()
	for _, host := range hosts {
		j := start(host, "FORCE_COLOR=1")
		j.Mask(nil, hidden)
		j.out.Reset() // GitHub's commands that mask
		for _, text := range []string{secret, "    + " + secret, "Plan: " + secret, "Next: x\n" + secret + "\nerror: " + secret} {
			j.Log().Info(text)
			j.Log().Error(text)
			j.Group(text)()
		}
		require.Contains(t, j.out.String()+j.log.String(), "***")
		assert.NotContains(t, j.out.String()+j.log.String(), secret, host)
		assert.Regexp(t, colour, j.out.String()+j.log.String())
	}
}

// TestAnImportOnATerminal: only standard error has colours.
func TestAnImportOnATerminal(t *testing.T) {
	t.Parallel()
	ours, theirs := pty(t)
	var out bytes.Buffer
	on := platform.DetectAside([]string{"TERM=xterm"}, &out, theirs)
	on.Log().Error("broken")
	require.NoError(t, on.Print("error: an answer\n"))
	on.Log().Info("Next: the end")
	assert.Equal(t, "\x1b[31merror: broken\x1b[0m\n\x1b[1mNext: the end\x1b[0m\n", written(t, ours))
	assert.Equal(t, "error: an answer\n", out.String())
}
