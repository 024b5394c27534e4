// Package report turns what happened into outputs, the words of a plan and a
// Markdown summary. It is pure.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// Facts are what a run of the program got to know and did, filled as far as it
// got.
type Facts struct {
	DryRun          bool
	SecretName      string
	EnvironmentName string
	Head            string // commit that Bitbucket serves
	Plan            *reconcile.Plan
	Applied         reconcile.Applied
	Verdict         smoketest.Verdict
	Expires         time.Time // of the token that is stored, or would be; zero: unknown
	Now             time.Time
	Environments    []Environment // of a rotation
	RolledBack      bool
	Stored          string // which value is stored after a rotation whose smoke test did not pass
	Err             error
	ExitCode        int // of the program
}

// Environment is one that a rotation reached.
type Environment struct {
	ID      string           `json:"id"`
	Name    string           `json:"name"`
	Verdict smoketest.Result `json:"verdict"`
}

// Output is one output of the program: a single line of text.
type Output struct{ Name, Value string }

// Outputs lists every output in the order of the README. What was not reached
// is empty.
func (f Facts) Outputs() []Output {
	secret, environment := f.Applied.Secret, f.Applied.Environment
	id, name := f.Applied.EnvironmentID, cmp.Or(f.Applied.EnvironmentName, f.EnvironmentName)
	changed := ""
	if f.Plan != nil {
		id, name = cmp.Or(id, f.Plan.Environment.ID), cmp.Or(name, f.Plan.Environment.Name)
		if f.DryRun {
			secret, environment = f.Plan.Secret.Change, f.Plan.Environment.Change
		}
		if secret != "" || environment != "" {
			changed = strconv.FormatBool(secret == reconcile.Create ||
				environment == reconcile.Create || environment == reconcile.Update)
		}
	}
	var expires, days, rolledBack string
	if left, known := f.DaysLeft(); known {
		expires, days = f.Expires.UTC().Format(time.RFC3339), strconv.Itoa(left)
	}
	if f.Environments != nil {
		rolledBack = strconv.FormatBool(f.RolledBack)
		if id == "" && len(f.Environments) > 0 {
			id, name = f.Environments[0].ID, f.Environments[0].Name
		}
	}
	return []Output{
		{"environment_id", id},
		{"environment_name", name},
		{"environment_change", string(environment)},
		{"secret_name", f.SecretName},
		{"secret_change", string(secret)},
		{"changed", changed},
		{"smoke_test", string(f.Verdict.Result)},
		{"run_id", f.Verdict.Run.ID},
		{"run_state", string(f.Verdict.Run.State)},
		{"session_link", f.Verdict.Run.SessionLink},
		{"head_commit", f.Head},
		{"token_expires_at", expires},
		{"token_expires_in_days", days},
		{"environments", f.environments()},
		{"rolled_back", rolledBack},
	}
}

// DaysLeft is how many whole days the token has left, negative when it has
// expired. Known is false when nobody knows.
func (f Facts) DaysLeft() (days int, known bool) {
	if f.Expires.IsZero() {
		return 0, false
	}
	return int(math.Floor(f.Expires.Sub(f.Now).Hours() / 24)), true
}

// environments is JSON, empty outside a rotation:
//
//	[{"id":"En00000000000000000001","name":"acme-api","verdict":"passed"}]
func (f Facts) environments() string {
	if f.Environments == nil {
		return ""
	}
	text, err := json.Marshal(f.Environments)
	if err != nil {
		panic(err) // strings only
	}
	return string(text)
}

// Headline is the outcome in one line, without a full stop: "secret rotated,
// environment unchanged, smoke test passed".
func (f Facts) Headline() string {
	switch {
	case f.DryRun && f.Plan != nil && f.Err == nil && f.Plan.Changes():
		return "there is something to change"
	case f.DryRun && f.Plan != nil && f.Err == nil:
		return "there is nothing to change"
	}
	var parts []string
	switch {
	case f.Err != nil && f.Plan == nil:
		return "failed, nothing was written"
	case f.Err != nil:
		parts = append(parts, "failed")
	}
	switch change := f.Applied.Secret; {
	case f.RolledBack:
		parts = append(parts, "secret rolled back")
	case change != "":
		parts = append(parts, "secret "+done(change))
	}
	if change := f.Applied.Environment; change != "" {
		parts = append(parts, "environment "+done(change))
	}
	if result := f.Verdict.Result; result != "" {
		parts = append(parts, "smoke test "+strings.ReplaceAll(string(result), "_", " "))
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing done")
}

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
	}
	return string(change)
}

// Usage says what the smoke test's run used, empty when Oz does not tell.
func (f Facts) Usage() string {
	used := f.Verdict.Run.Usage
	if used.Credits == 0 && used.Tokens == 0 {
		return ""
	}
	return fmt.Sprintf("The smoke test used %.2f credits and %d tokens.", used.Credits, used.Tokens)
}
