package smoketest

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// meanings say what an error code means for the user and what to do next. Oz may add
// codes.
//
// Source: https://docs.warp.dev/reference/api-and-sdk/troubleshooting/errors;
// the codes in upper case come in the header X-Warp-Error-Code of a 429.
var meanings = map[string]string{
	"insufficient_credits":    "there are no credits left; add some, or set smoke_test: false",
	"OUT_OF_CREDITS":          "there are no credits left; add some, or set smoke_test: false",
	"budget_exceeded":         "the spending limit is reached; raise it, or set smoke_test: false",
	"AT_CLOUD_AGENT_CAPACITY": "the team's limit of concurrent cloud agents is reached; run the job again when another run has ended",
	"resource_unavailable":    "Oz has no capacity at the moment; run the job again later",

	"authentication_required":          "Oz does not accept warp_api_key; it may be expired, revoked or cut off",
	"not_authorized":                   "warp_api_key may not start runs in this environment; use an agent key of the team, or a personal key for scope: personal",
	"external_authentication_required": "the owner of the key must first connect another service in Oz's settings",
	"feature_not_available":            "the plan does not include cloud agents with these settings; change the plan, or set smoke_test: false",
	"integration_disabled":             "an integration of the environment is disabled; enable it in Oz",
	"integration_not_configured":       "an integration of the environment is not set up; set it up in Oz",
	"content_policy_violation":         "Oz refused the prompt; change smoke_test_prompt",
	"invalid_request":                  "Oz did not understand the request; check smoke_test_model and smoke_test_prompt",
	"resource_not_found":               "Oz does not find the environment or the model; check smoke_test_model, and that the environment still exists",
	"operation_not_supported":          "Oz cannot run this here; check smoke_test_model",

	"infrastructure_timeout": "Oz's machine was not ready in time; run the job again",
}

// setupFailed is the code for a failed setup command, including the clone.
const setupFailed = "environment_setup_failed"

// whyEnded says which part of a run failed: the clone, a setup command, or Oz. Suspect
// can be true only for the setup.
func (w watch) whyEnded(run warp.Run) (reason string, suspect bool) {
	switch known := meanings[run.ErrorCode]; {
	case run.ErrorCode == setupFailed:
		return w.setupMeaning(run.Message)
	case known != "":
		return known, false
	case run.State == warp.Errored:
		return fmt.Sprintf("Oz failed (%s); run the job again later", code(run)), false
	}
	return fmt.Sprintf("the run failed (%s); the session shows why", code(run)), false
}

// failed is the setup command that the server's message names, zero for none. When
// several match, the longest counts: a command may be part of another.
func (w watch) failed(message string) Command {
	var failed Command
	for _, command := range w.Commands {
		if len(command.Text) > len(failed.Text) && strings.Contains(message, command.Text) {
			failed = command
		}
	}
	return failed
}

// setupMeaning says what failed in the setup, from the command that the server's
// message names. When it names none, the failed command may have read the token.
func (w watch) setupMeaning(message string) (reason string, suspect bool) {
	failed := w.failed(message)
	const aCommand = "a setup command failed; the log names it, and the session shows its output"
	switch {
	case failed.Clone && w.Shadow != "": // the first thing to check
		return "the clone failed; the session shows git's output", true
	case failed.Clone:
		return "the clone failed; check that the image has git and that Oz can reach Bitbucket; the session shows git's output", true
	case failed.Before:
		return "git could not be configured; check that the image has git; the session shows its output", false
	case failed.Kept:
		return aCommand + "; the environment keeps its commands while setup_commands is not given; apply once with other commands to replace it, or with a comment such as # none to remove all but the clones", failed.Token
	case failed.Text != "":
		return aCommand, failed.Token
	case strings.Contains(message, "setup command"): // not one of Commands
		return aCommand, true
	}
	return "the clone or a setup command failed; the session shows the output", true
}

func code(run warp.Run) string { return cmp.Or(clean(run.ErrorCode), "no error code") }

// remedy is an error followed by what to do about it.
func remedy(err error) string {
	refusal, refused := errors.AsType[*warp.Refusal](err)
	if !refused {
		return clean(err.Error())
	}
	text := clean(err.Error())
	if next := meanings[refusal.Kind]; next != "" {
		text += "; " + next
	}
	return text
}
