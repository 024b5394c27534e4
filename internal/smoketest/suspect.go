package smoketest

import (
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// SuspectsToken reports whether the token can be why the test failed: a setup
// command failed, or the agent found no checkout or an old one. Credits,
// capacity, a timeout, a transcript that cannot be read or an error of Oz's own
// say nothing about the token.
func (v Verdict) SuspectsToken() bool {
	switch {
	case v.Result != Failed, strings.HasPrefix(v.Reason, unread):
		return false
	case v.Run.State == warp.Succeeded:
		return true
	}
	return v.Run.ErrorCode == setupFailed
}
