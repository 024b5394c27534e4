package report

import (
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// Closing returns the last lines of a log: the ID of the environment and what to do next.
//
//	environment_id: En00000000000000000001
//	Next: start agents in it: oz agent run-cloud --environment En00000000000000000001 --prompt "..."
func (f Facts) Closing() []string {
	var text []string
	if id := f.first().ID; id != "" && f.Plan != nil && !f.Many && !f.isRotation() && !f.is(reconcile.Removal) {
		text = append(text, "environment_id: "+id)
	}
	next, command := f.next()
	if command != "" {
		next += ": " + command
	}
	if next != "" {
		text = append(text, "Next: "+next)
	}
	return text
}

// next returns what the reader can do now, and the command for it where there is one.
func (f Facts) next() (text, command string) {
	switch {
	case f.Expiring:
		return "make a new token and rotate to it; if that is done already, set token_expires_at to its date", ""
	case f.Err != nil && f.IsInterrupted():
		return "run the job again", ""
	case f.Err != nil && len(f.Applied.Secrets)+len(f.Applied.Environments) == 0:
		return "fix what the message names and run the job again", ""
	case f.Err != nil:
		return "run the job again; it continues from what exists", ""
	case f.DryRun:
		return f.nextOfPlan(), ""
	case f.RolledBack:
		return "find out why the new token does not work, and rotate again; now " + f.Stored, ""
	case f.Stored != "":
		return "open the session to see the cause, and rotate again; now " + f.Stored, ""
	case f.is(reconcile.Removal):
		return f.nextOfRemoval(), ""
	case f.is(reconcile.Verification) && f.Verdict.Result != smoketest.Passed:
		return "open the session and fix the cause; nothing was written", ""
	case f.isRotation() && f.Verdict.Result.IsGood():
		return "revoke the old token at Bitbucket, unless the log says that this run did", ""
	}
	switch f.Verdict.Result {
	case smoketest.Passed, smoketest.Skipped:
		return f.nextOfApply()
	case smoketest.Failed, smoketest.TimedOut:
		return "open the session, fix the cause and run the job again; the secret and the environment stay as written", ""
	case smoketest.Cancelled:
		return "run the job again; the secret and the environment stay as written", ""
	}
	return "", ""
}

// planMode is the mode that makes a plan. With dry_run, other modes do so too.
const planMode = "plan"

// nextOfPlan returns how to make the changes of a plan.
func (f Facts) nextOfPlan() string {
	switch {
	case f.Plan == nil:
		return ""
	case f.isRotation(), f.Mode != planMode && (f.Plan.Changes() || f.FactoryChanged == "true"):
		return "remove dry_run to make these changes; nothing was written"
	case f.Plan.Changes(), f.FactoryChanged == "true":
		return "run mode apply to make these changes; nothing was written"
	case f.is(reconcile.Removal):
		return "nothing is left to delete"
	}
	return "nothing differs; apply would only write the secret again"
}

// nextOfRemoval returns what is left to do after a destroy.
func (f Facts) nextOfRemoval() string {
	switch {
	case f.secretChange() == reconcile.Delete:
		return "revoke the token at Bitbucket, if nothing else uses it"
	case len(f.Plan.Secrets) > 0 && f.Plan.Secrets[0].Why == reconcile.NotAsked:
		return "set delete_secret: true to delete the secret too"
	}
	return ""
}

// nextOfApply returns what the reader can do with an environment that exists.
func (f Facts) nextOfApply() (text, command string) {
	switch id := f.first().ID; {
	case f.Many:
		return "start agents with the IDs in the output environments", ""
	case id != "" && f.FactoryChanged == "true":
		return "commit the changes in the factory's definition, and start agents in the environment", startIn(id)
	case id != "":
		return "start agents in it", startIn(id)
	case f.FactoryChanged == "true":
		return "review the changes in the factory's definition, and commit them", ""
	case f.FactoryChanged == "false":
		return "commit the factory's definition if you have not yet: it holds what the inputs ask for", ""
	}
	return "", ""
}

// startIn is the command that starts an agent in an environment.
func startIn(id string) string {
	return "oz agent run-cloud --environment " + id + ` --prompt "..."`
}
