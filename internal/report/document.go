package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// version is the document's version. It stays when a field is added, and grows when a field
// is removed or gets another meaning.
const version = 1

// longestText is the most of one text in a document, in bytes. A setup command has at most
// 16 KiB.
const longestText = 64 << 10

// document is all that is known about a run of the program, for tools. Its fields are those
// of docs/oz-report.schema.json, which explains them. Every field is always present. An
// unknown list or text is empty.
type document struct {
	Version        int              `json:"version"`
	Mode           word             `json:"mode"`
	Manifest       string           `json:"manifest"`
	DryRun         bool             `json:"dry_run"`
	ExitCode       int              `json:"exit_code"`
	Outcome        string           `json:"outcome"`
	Changed        *bool            `json:"changed"` // null when nothing was reached
	Error          string           `json:"error"`
	Mistakes       []mistake        `json:"mistakes"`
	Warnings       []string         `json:"warnings"`
	Notes          []string         `json:"notes"`
	SmokeTest      smoketest.Result `json:"smoke_test"`
	HeadCommit     string           `json:"head_commit"`
	TokenExpiresAt string           `json:"token_expires_at"`
	RolledBack     bool             `json:"rolled_back"`
	Factory        []string         `json:"factory"`
	Secrets        []secretPart     `json:"secrets"`
	Environments   []part           `json:"environments"`
	Unmanaged      []name           `json:"unmanaged"`

	began time.Time
	took  time.Duration
}

// word is one of the program's own words, so it cannot hold a secret.
type word string

type mistake struct {
	Input   string `json:"input"`
	Place   string `json:"place"`
	Message string `json:"message"`
}

type name struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type owner struct {
	Scope word   `json:"scope"`
	UID   string `json:"uid"`
}

func ownerOf(o warp.Owner) owner {
	return owner{map[warp.OwnerType]word{warp.TeamOwner: "team", warp.UserOwner: "personal"}[o.Type], o.UID}
}

type secretPart struct {
	Name    string           `json:"name"`
	Owner   owner            `json:"owner"`
	Planned reconcile.Change `json:"planned"`
	Change  reconcile.Change `json:"change"`
	Error   string           `json:"error"`
	Users   []name           `json:"users"`  // environments of the plan that use the secret
	Others  []name           `json:"others"` // other environments that read it
}

// part is what a document says about one environment.
type part struct {
	ID            string           `json:"id"`
	Name          string           `json:"name"`
	Owner         owner            `json:"owner"`
	Planned       reconcile.Change `json:"planned"`
	Change        reconcile.Change `json:"change"`
	Fields        []field          `json:"fields"`
	DockerImage   string           `json:"docker_image"`
	SetupCommands []string         `json:"setup_commands"`
	Secret        string           `json:"secret"`
	Secrets       []string         `json:"secrets"`
	Repositories  []string         `json:"repositories"`
	Schedules     []schedule       `json:"schedules"`
	Integrations  []string         `json:"integrations"`
	Foreign       []string         `json:"foreign_schedules"`
	Verdict       smoketest.Result `json:"verdict"`
	Reason        string           `json:"reason"`
	RunID         string           `json:"run_id"`
	RunState      string           `json:"run_state"`
	SessionLink   string           `json:"session_link"`
	Error         string           `json:"error"`
}

type field struct {
	Name   string   `json:"name"`
	Before []string `json:"before"`
	After  []string `json:"after"`
}

type schedule struct {
	ID      string           `json:"id"`
	Name    string           `json:"name"`
	Cron    string           `json:"cron"`
	Enabled bool             `json:"enabled"`
	Planned reconcile.Change `json:"planned"`
	Change  reconcile.Change `json:"change"`
	Fields  []field          `json:"fields"`
	Error   string           `json:"error"`
}

// Report returns all that is known, as a document for tools (".json") or a JUnit report
// (".xml"). took is how long the program ran. Every text that the program did not write
// itself goes through hide first, which removes secrets. Any other extension is an error.
func (f Facts) Report(extension string, took time.Duration, hide func(text string) string) (string, error) {
	d := f.hidden(hide)
	d.took = took
	switch extension {
	case ".json":
		return d.json()
	case ".xml":
		return d.junit()
	}
	return "", fmt.Errorf("a report cannot have the ending %q", extension)
}

// hidden returns the document after each text went through hide.
func (f Facts) hidden(hide func(text string) string) document {
	d := f.document()
	known := map[string]string{} // many environments have the same texts
	texts(reflect.ValueOf(&d).Elem(), func(text string) string {
		if _, done := known[text]; !done {
			known[text] = shortened(hide(text), longestText, " ...")
		}
		return known[text]
	})
	return d
}

// json returns the document with a line for each value. Invisible characters are escaped.
func (d document) json() (string, error) {
	line, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	err = json.Indent(&text, []byte(redact.JSON(string(line))), "", "  ")
	return text.String() + "\n", err
}

// texts replaces every string below a value that is not a word. A nil list becomes an empty
// one.
func texts(v reflect.Value, replace func(string) string) {
	switch {
	case v.Type() == reflect.TypeFor[string]():
		v.SetString(replace(v.String()))
	case v.Kind() == reflect.Slice:
		list := reflect.MakeSlice(v.Type(), v.Len(), v.Len()) // the plan keeps its own list
		reflect.Copy(list, v)
		for i := range list.Len() {
			texts(list.Index(i), replace)
		}
		v.Set(list)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				texts(v.Field(i), replace)
			}
		}
	}
}

func (f Facts) document() document {
	d := document{
		Version: version, Mode: word(f.Mode), Manifest: f.Manifest, DryRun: f.DryRun, ExitCode: f.ExitCode, Outcome: f.Headline(),
		Error: wholeError(f.Err), SmokeTest: f.Verdict.Result, HeadCommit: f.Head, RolledBack: f.RolledBack, Factory: f.Factory, began: f.Now,
	}
	if changed := f.didChange(); changed != "" {
		did := changed == "true"
		d.Changed = &did
	}
	if !f.Expires.IsZero() {
		d.TokenExpiresAt = f.Expires.UTC().Format(time.RFC3339)
	}
	for _, p := range problem.All(f.Err) {
		d.Mistakes = append(d.Mistakes, mistake{p.Input, p.Place.String(), p.Error()})
	}
	if f.Plan == nil {
		for _, e := range f.environments() { // values that inputs give
			d.Environments = append(d.Environments, part{ID: e.ID, Name: e.Name, Error: wholeError(f.Err)})
		}
		return d
	}
	d.Warnings, d.Notes, d.Unmanaged = f.Plan.Warnings, f.Plan.Notes, names(f.Plan.Unmanaged)
	for i := range f.Plan.Secrets {
		d.Secrets = append(d.Secrets, f.secretPart(i))
	}
	for i := range f.Plan.Environments {
		d.Environments = append(d.Environments, f.part(i))
	}
	return d
}

func (f Facts) secretPart(i int) secretPart {
	planned := f.Plan.Secrets[i]
	s := secretPart{Name: planned.Name, Owner: ownerOf(planned.Owner), Planned: planned.Change, Others: names(planned.Others)}
	for _, e := range f.Plan.Environments {
		if e.Secret == i && e.Err == nil {
			s.Users = append(s.Users, name{e.UID, e.Name})
		}
	}
	if f.DryRun {
		s.Change = planned.Change
	}
	if i < len(f.Applied.Secrets) {
		s.Change, s.Error = f.Applied.Secrets[i].Change, wholeError(f.Applied.Secrets[i].Err)
	}
	return s
}

func (f Facts) part(i int) part {
	planned, o := f.Plan.Environments[i], f.outcome(i)
	e := part{
		ID: o.uid, Name: o.name, Owner: ownerOf(planned.Owner), Planned: planned.Change, Change: o.change, Fields: fields(planned.Fields),
		DockerImage: planned.Image, SetupCommands: planned.Commands, Secrets: planned.Secrets, Integrations: planned.Integrations, Foreign: planned.Foreign,
		Verdict: o.verdict.Result, Reason: o.verdict.Reason, RunID: o.verdict.Run.ID, RunState: string(o.verdict.Run.State), SessionLink: o.verdict.Run.SessionLink,
		Error: wholeError(o.err),
	}
	if planned.Owner != (warp.Owner{}) { // else no plan was made for it
		e.Secret = f.Plan.SecretOf(planned).Name
	}
	for _, r := range credential.Repositories([]credential.User{planned.User}) {
		e.Repositories = append(e.Repositories, r.CloneURL())
	}
	for n, p := range planned.Schedules {
		s := schedule{ID: p.ID, Name: p.Name, Cron: p.Cron, Enabled: p.Enabled, Planned: p.Change, Fields: fields(p.Fields)}
		if f.DryRun {
			s.Change = p.Change
		}
		if n < len(o.schedules) {
			s.ID, s.Change, s.Error = o.schedules[n].ID, o.schedules[n].Change, wholeError(o.schedules[n].Err)
		}
		e.Schedules = append(e.Schedules, s)
	}
	return e
}

func fields(list []reconcile.Field) []field {
	var all []field
	for _, f := range list {
		all = append(all, field{f.Name, f.Old, f.New})
	}
	return all
}

func names(users []credential.User) []name {
	var list []name
	for _, user := range users {
		list = append(list, name{user.UID, user.Name})
	}
	return list
}

func wholeError(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
