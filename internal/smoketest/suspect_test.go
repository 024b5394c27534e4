package smoketest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

func TestSuspectsToken(t *testing.T) {
	t.Parallel()
	verdict := func(result smoketest.Result, reason string, state warp.RunState, code string) smoketest.Verdict {
		return smoketest.Verdict{Result: result, Reason: reason, Run: warp.Run{State: state, ErrorCode: code}}
	}
	for name, test := range map[string]struct {
		verdict smoketest.Verdict
		want    bool
	}{
		"a clone that failed":    {verdict(smoketest.Failed, "the clone failed", warp.Failed, "environment_setup_failed"), true},
		"another commit":         {verdict(smoketest.Failed, "the agent found commit x", warp.Succeeded, ""), true},
		"no transcript":          {verdict(smoketest.Failed, "the run succeeded, but its transcript cannot be read: Oz has none", warp.Succeeded, ""), false},
		"no credits":             {verdict(smoketest.Failed, "no credits", warp.Failed, "insufficient_credits"), false},
		"an error of Oz":         {verdict(smoketest.Failed, "Oz failed", warp.Errored, ""), false},
		"a run that was refused": {verdict(smoketest.Failed, "refused", "", ""), false},
		"out of time":            {verdict(smoketest.TimedOut, "late", warp.Cancelled, ""), false},
		"told to stop":           {verdict(smoketest.Cancelled, "stop", warp.Succeeded, ""), false},
		"passed":                 {verdict(smoketest.Passed, "", warp.Succeeded, ""), false},
	} {
		assert.Equal(t, test.want, test.verdict.SuspectsToken(), name)
	}
}
