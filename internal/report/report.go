// Package report turns what happened into outputs, the words of a plan and a
// Markdown summary. It is pure.
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

// Facts are what a run of the program got to know and did, filled as far as it
// got.
type Facts struct {
	Mode            string // as the inputs name it; empty when they name none that there is
	Manifest        string // its path; empty without one
	DryRun          bool
	SecretName      string // of the inputs, as the next two
	EnvironmentID   string
	EnvironmentName string
	Head            string // commit that Bitbucket serves
	Plan            *reconcile.Plan
	Places          []string // of the environments of Plan in the manifest, oz-environments.yml:12; empty: not known
	Applied         reconcile.Applied
	Tests           []smoketest.Verdict // by environment of the plan, zero where none was made
	Verdict         smoketest.Verdict   // the worst of the tests
	Expires         time.Time           // of the token that is stored, or would be; zero: unknown
	Now             time.Time
	RolledBack      bool
	Factory         []string // what changes in the files of a factory's definition, as a diff
	FactoryChanged  string   // whether it did, or in a dry run would: true or false; empty where it was not reached
	Stored          string   // which value is stored after a rotation whose smoke test did not pass
	Err             error
	Expiring        bool // Err is no more than that the token ends soon
	ExitCode        int  // of the program
	Many            bool // the facts of several entries; Err is what they come to
}

// Output is one output of the program: a single line of text. Quotes says that it
// may quote a server's words, in which a secret has to be hidden.
type Output struct {
	Name, Value string
	Quotes      bool
}

// Outputs lists every output in the order of the README. What was not reached
// is empty.
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

// ofMany are the outputs that several entries have together.
var ofMany = []string{"environments", "changed", "smoke_test"}

// is reports whether there is a plan of this mode.
func (f Facts) is(mode reconcile.Mode) bool { return f.Plan != nil && f.Plan.Mode == mode }

func (f Facts) isRotation() bool { return f.is(reconcile.Rotation) }

// didChange tells whether anything but a secret's value changed, or in a dry run would;
// empty when nothing was reached.
func (f Facts) didChange() string {
	changes := f.changes()
	if len(changes) == 0 && (!f.Many || f.Err != nil) { // else there was nothing to do
		return ""
	}
	return strconv.FormatBool(f.FactoryChanged == "true" || slices.ContainsFunc(changes, reconcile.Change.IsVisible))
}

// changes are all that happened, or in a dry run would.
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

// secretName is the secret of the plan or, where there is none, of the inputs.
func (f Facts) secretName() string {
	if f.Plan != nil && len(f.Plan.Secrets) > 0 {
		return f.Plan.Secrets[0].Name
	}
	return f.SecretName
}

// scheduleID is the ID of the scheduled agent that the inputs ask for, empty where it is
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

// scheduleChange is what happened to the first schedule of ours, empty for nothing.
func (f Facts) scheduleChange() reconcile.Change {
	if len(f.Applied.Environments) == 0 || len(f.Applied.Environments[0].Schedules) == 0 {
		return ""
	}
	return f.Applied.Environments[0].Schedules[0].Change
}

// secretChange is what happened, or in a dry run would happen, to the secret.
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

// environments are those of the plan as far as the run got with each, and those
// that the inputs name where there is no plan.
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
		if e.ID+e.Name != "" { // else an entry that failed and names none
			list = append(list, e)
		}
	}
	return list
}

// outcome is how far the run got with one environment of the plan.
type outcome struct {
	uid, name string
	change    reconcile.Change // that happened, or in a dry run would
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
		if f.Many { // else the job's error says so
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

// first is the environment of the single outputs: with several, the first.
func (f Facts) first() environment {
	list := f.environments()
	if len(list) == 0 {
		return environment{ID: f.EnvironmentID, Name: f.EnvironmentName}
	}
	return list[0]
}

// errorText is an error at a length that an output may have.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return shortened(err.Error(), longestWords, " ...")
}

// environmentsJSON is a list, empty where the inputs were wrong:
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
		panic(err) // strings only
	}
	return redact.JSON(string(text))
}

// DaysLeft is how many whole days the token has left, negative when it has
// expired. Known is false when that is not known.
func (f Facts) DaysLeft() (days int, known bool) {
	if f.Expires.IsZero() || f.Now.IsZero() {
		return 0, false
	}
	return int(math.Floor(f.Expires.Sub(f.Now).Hours() / 24)), true
}

// Expiry says when the token ends, and what to do; empty when that is not known.
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

// Headline is the outcome in one line, without a full stop: "secret rotated,
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

// signals is below the exit code of a job that a signal ended.
const signals = 128

// done is a change that has happened.
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

// Usage says what the smoke test's run used, empty when Oz does not tell.
func (f Facts) Usage() string {
	used := f.Verdict.Run.Usage
	if used.Credits == 0 && used.Tokens == 0 {
		return ""
	}
	return fmt.Sprintf("The smoke test used %.2f credits and %s.", used.Credits, plural.Of(int(used.Tokens), "token"))
}
