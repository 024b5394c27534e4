// Package report turns the facts of a run into outputs, the words of a plan, a Markdown
// summary and the other reports. It is pure.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// Facts are what a run of the program learnt and did. What it did not reach is empty.
type Facts struct {
	Mode            string // of the inputs; empty when they name no known mode
	Manifest        string // its path; empty without a manifest
	DryRun          bool
	SecretName      string // of the inputs, like the next two fields
	EnvironmentID   string
	EnvironmentName string
	Head            string // commit that Bitbucket serves
	Plan            *reconcile.Plan
	Places          []string // of Plan's environments in the manifest, as oz-environments.yml:12; empty: not known
	Applied         reconcile.Applied
	Tests           []smoketest.Verdict // by environment of the plan; zero where there was no test
	Verdict         smoketest.Verdict   // the worst of the tests
	Expires         time.Time           // of the token that is stored, or would be; zero: unknown
	Now             time.Time
	RolledBack      bool
	Factory         []string // the changes in the files of a factory's definition, as a diff
	FactoryChanged  string   // whether they changed, or in a dry run would: true or false; empty when not reached
	Stored          string   // which value is stored after a rotation whose smoke test did not pass
	Err             error
	Expiring        bool // Err only says that the token ends soon
	ExitCode        int  // of the program
	Many            bool // the facts are of several entries, and Err sums up their errors
}

// Output is one output of the program: a single line of text. Quotes reports whether it may
// quote a server's words, in which secrets must be hidden.
type Output struct {
	Name, Value string
	Quotes      bool
}

// Outputs lists every output in the order of the README. Outputs that were not reached are
// empty.
func (f Facts) Outputs() []Output {
	first := f.first()
	var rolledBack, expires, days string
	if left, known := f.DaysLeft(); known {
		expires, days = f.Expires.UTC().Format(time.RFC3339), strconv.Itoa(left)
	}
	if f.isRotation() {
		rolledBack = strconv.FormatBool(f.RolledBack)
	}
	outputs := []Output{
		{Name: "environment_id", Value: first.ID},
		{Name: "environment_name", Value: first.Name},
		{Name: "environment_change", Value: string(first.Change)},
		{Name: "environments", Value: f.environmentsJSON(), Quotes: true},
		{Name: "secret_name", Value: f.secretName()},
		{Name: "secret_change", Value: string(f.secretChange())},
		{Name: "changed", Value: f.didChange()},
		{Name: "smoke_test", Value: string(f.Verdict.Result)},
		{Name: "run_id", Value: f.Verdict.Run.ID},
		{Name: "run_state", Value: string(f.Verdict.Run.State)},
		{Name: "session_link", Value: f.Verdict.Run.SessionLink},
		{Name: "schedule_id", Value: f.scheduleID()},
		{Name: "head_commit", Value: f.Head},
		{Name: "token_expires_at", Value: expires},
		{Name: "token_expires_in_days", Value: days},
		{Name: "rolled_back", Value: rolledBack},
		{Name: "factory_changed", Value: f.FactoryChanged},
	}
	for i := range outputs {
		if f.Many && !slices.Contains(ofMany, outputs[i].Name) {
			outputs[i].Value = ""
		}
	}
	return outputs
}

// ofMany are the outputs that a run over several entries has.
var ofMany = []string{"environments", "changed", "smoke_test"}

// is reports whether there is a plan and its mode is mode.
func (f Facts) is(mode reconcile.Mode) bool { return f.Plan != nil && f.Plan.Mode == mode }

func (f Facts) isRotation() bool { return f.is(reconcile.Rotation) }

// didChange returns whether anything but a secret's value changed, or in a dry run would, as
// true or false; "" when nothing was reached.
func (f Facts) didChange() string {
	changes := f.changes()
	if len(changes) == 0 && (!f.Many || f.Err != nil) { // otherwise there was nothing to do
		return ""
	}
	return strconv.FormatBool(f.FactoryChanged == "true" || slices.ContainsFunc(changes, reconcile.Change.IsVisible))
}

// changes returns all changes that were made, or in a dry run would be.
func (f Facts) changes() []reconcile.Change {
	var list []reconcile.Change
	if f.DryRun && f.Plan != nil {
		for _, s := range f.Plan.Secrets {
			list = append(list, s.Change)
		}
		for _, e := range f.Plan.Environments {
			list = append(list, e.Change)
			for _, s := range e.Schedules {
				list = append(list, s.Change)
			}
		}
	}
	for _, s := range f.Applied.Secrets {
		list = append(list, s.Change)
	}
	for _, e := range f.Applied.Environments {
		list = append(list, e.Change)
		for _, s := range e.Schedules {
			list = append(list, s.Change)
		}
	}
	return slices.DeleteFunc(list, func(c reconcile.Change) bool { return c == "" })
}

// secretName returns the secret's name from the plan or, without a plan, from the inputs.
func (f Facts) secretName() string {
	if f.Plan != nil && len(f.Plan.Secrets) > 0 {
		return f.Plan.Secrets[0].Name
	}
	return f.SecretName
}

// scheduleID returns the ID of the scheduled agent that the inputs ask for; "" when it is
// not known to exist.
func (f Facts) scheduleID() string {
	switch {
	case !f.is(reconcile.Provision):
		return ""
	case len(f.Applied.Environments) > 0 && len(f.Applied.Environments[0].Schedules) > 0:
		return f.Applied.Environments[0].Schedules[0].ID
	case len(f.Plan.Environments) > 0 && len(f.Plan.Environments[0].Schedules) > 0:
		return f.Plan.Environments[0].Schedules[0].ID
	}
	return ""
}

// scheduleChange returns the change of the first of our schedules; "" when nothing happened.
func (f Facts) scheduleChange() reconcile.Change {
	if len(f.Applied.Environments) == 0 || len(f.Applied.Environments[0].Schedules) == 0 {
		return ""
	}
	return f.Applied.Environments[0].Schedules[0].Change
}

// secretChange returns the change of the secret, which in a dry run is the planned one.
func (f Facts) secretChange() reconcile.Change {
	switch {
	case f.DryRun && f.Plan != nil && len(f.Plan.Secrets) > 0:
		return f.Plan.Secrets[0].Change
	case len(f.Applied.Secrets) > 0:
		return f.Applied.Secrets[0].Change
	}
	return ""
}

// environment is one element of the output environments.
type environment struct {
	ID      string           `json:"id"`
	Name    string           `json:"name"`
	Change  reconcile.Change `json:"change"`
	Verdict smoketest.Result `json:"verdict"`
	Error   string           `json:"error"`

	tested smoketest.Verdict
}

// environments returns those of the plan with what the run did to each. Without a plan it
// returns those that the inputs name.
func (f Facts) environments() []environment {
	if f.Plan == nil {
		if f.EnvironmentID+f.EnvironmentName == "" {
			return nil
		}
		return []environment{{ID: f.EnvironmentID, Name: f.EnvironmentName, Error: errorText(f.Err)}}
	}
	var list []environment
	for i := range f.Plan.Environments {
		o := f.outcome(i)
		e := environment{ID: o.uid, Name: o.name, Change: o.change, Verdict: o.verdict.Result, Error: errorText(o.err), tested: o.verdict}
		if e.ID+e.Name != "" { // an entry that failed may have neither
			list = append(list, e)
		}
	}
	return list
}

// outcome is what the run did to one environment of the plan.
type outcome struct {
	uid, name string
	change    reconcile.Change // made, or in a dry run planned
	schedules []reconcile.StoredSchedule
	verdict   smoketest.Verdict
	err       error
}

func (f Facts) outcome(i int) outcome {
	planned := f.Plan.Environments[i]
	o := outcome{uid: planned.UID, name: planned.Name, err: planned.Err}
	if f.DryRun {
		o.change = planned.Change
	}
	if i < len(f.Applied.Environments) {
		stored := f.Applied.Environments[i]
		o.uid, o.name, o.change = cmp.Or(stored.UID, o.uid), cmp.Or(stored.Name, o.name), stored.Change
		o.schedules, o.err = stored.Schedules, cmp.Or(o.err, stored.Err)
		if f.Many { // a single environment's error is the job's
			o.err = cmp.Or(o.err, stored.Failure())
		}
	}
	if i < len(f.Tests) {
		o.verdict = f.Tests[i]
	}
	if o.err == nil && !f.Expiring && !f.Many {
		o.err = f.Err
	}
	return o
}

// first returns the environment of the single outputs, the first of several.
func (f Facts) first() environment {
	list := f.environments()
	if len(list) == 0 {
		return environment{ID: f.EnvironmentID, Name: f.EnvironmentName}
	}
	return list[0]
}

// errorText returns an error's text, cut to the length that an output may have.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return shortened(err.Error(), longestWords, " ...")
}

// environmentsJSON returns the output environments, [] when the inputs were wrong:
//
//	[{"id":"En00000000000000000001","name":"acme-api","change":"keep","verdict":"passed","error":""}]
func (f Facts) environmentsJSON() string {
	if problem.All(f.Err) != nil {
		return ""
	}
	list := f.environments()
	if list == nil {
		list = []environment{}
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // cannot happen: strings only
	}
	return redact.JSON(string(text))
}

// DaysLeft returns how many whole days the token has left, negative when it has expired.
// known is false when the expiry is not known.
func (f Facts) DaysLeft() (days int, known bool) {
	if f.Expires.IsZero() || f.Now.IsZero() {
		return 0, false
	}
	return int(math.Floor(f.Expires.Sub(f.Now).Hours() / 24)), true
}

// Expiry returns when the token ends and what to do, as a text; "" when the expiry is not
// known.
func (f Facts) Expiry() string {
	days, known := f.DaysLeft()
	day := f.Expires.UTC().Format(time.DateOnly)
	switch {
	case !known:
		return ""
	case days < 0:
		return fmt.Sprintf("the token in secret %q expired on %s; rotate it", f.SecretName, day)
	}
	return fmt.Sprintf("the token in secret %q expires in %s, on %s; rotate it before", f.SecretName, plural.Of(days, "day"), day)
}

// Headline returns the outcome in one line, without a full stop: "secret rotated,
// environment unchanged, smoke test passed".
func (f Facts) Headline() string {
	switch {
	case f.Many && f.DryRun, f.DryRun && f.Plan != nil && f.Err == nil:
		text := "plan: " + counted(*f.Plan)
		if f.FactoryChanged == "true" {
			text += ", a factory to change"
		}
		return text
	case f.Many:
		return f.headlineOfMany()
	}
	var parts []string
	failed := "failed"
	if f.IsInterrupted() {
		failed = "interrupted"
	}
	switch {
	case f.Err != nil && len(f.Applied.Secrets)+len(f.Applied.Environments) == 0:
		return failed + ", nothing was written"
	case f.Err != nil:
		parts = append(parts, failed)
	}
	switch change := f.secretChange(); {
	case f.is(reconcile.Verification):
	case f.RolledBack:
		parts = append(parts, "secret rolled back")
	case change != "":
		parts = append(parts, "secret "+done(change))
	}
	if change := f.first().Change; change != "" && !f.isRotation() && !f.is(reconcile.Verification) {
		parts = append(parts, "environment "+done(change))
	}
	if change := f.scheduleChange(); change != "" {
		parts = append(parts, "schedule "+done(change))
	}
	if f.FactoryChanged == "true" {
		parts = append(parts, "factory changed")
	}
	if result := f.Verdict.Result; result != "" && !f.is(reconcile.Removal) {
		parts = append(parts, "smoke test "+strings.ReplaceAll(string(result), "_", " "))
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing done")
}

// IsInterrupted reports whether a signal ended the job.
func (f Facts) IsInterrupted() bool { return f.ExitCode > signals }

// signals is a number that only exit codes of interrupted jobs exceed.
const signals = 128

// done returns the word for a change that was made.
func done(change reconcile.Change) string {
	switch change {
	case reconcile.Create:
		return "created"
	case reconcile.Update:
		return "updated"
	case reconcile.Rotate:
		return "rotated"
	case reconcile.Keep:
		return "unchanged"
	case reconcile.Delete:
		return "deleted"
	}
	return string(change)
}

// Usage returns what the smoke test's run used, as a text; "" when Oz does not report it.
func (f Facts) Usage() string {
	used := f.Verdict.Run.Usage
	if used.Credits == 0 && used.Tokens == 0 {
		return ""
	}
	return fmt.Sprintf("The smoke test used %.2f credits and %s.", used.Credits, plural.Of(int(used.Tokens), "token"))
}
