package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
)

// What Code Insights takes. It counts characters and we count bytes, of which no text has
// fewer.
//
// Source: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-reports/ and
// https://support.atlassian.com/bitbucket-cloud/docs/code-insights/
const (
	longestTitle    = 450 // of a report, and the summary of an annotation
	longestDetails  = 2000
	longestDatum    = 240
	mostAnnotations = 1000
)

// pipelineFile is where an annotation stands that belongs to no file which the program knows.
const pipelineFile = "bitbucket-pipelines.yml"

// insights is a report of Code Insights.
type insights struct {
	Title      string  `json:"title"`
	Details    string  `json:"details"`
	ReportType string  `json:"report_type"`
	Reporter   string  `json:"reporter"`
	Link       string  `json:"link"`
	Result     string  `json:"result"`
	Data       []datum `json:"data"` // ten at most
}

type datum struct {
	Title string `json:"title"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

type annotation struct {
	ID       string `json:"external_id"`
	Type     string `json:"annotation_type"`
	Summary  string `json:"summary"`
	Details  string `json:"details"`
	Severity string `json:"severity"`
	Result   string `json:"result"`
	Path     string `json:"path"`
	Line     int    `json:"line,omitempty"`
}

// Insights is plan and result as a report of Code Insights, with an annotation for each entry
// of a manifest that failed and for each mistake in the file. subject is what tells the job
// from others of its mode: a second run of one job gives the same ID. page is the job's;
// manifest is the path of the manifest in the repository, empty when it is not there. Every
// text that others had a hand in goes through hide first, which takes the secrets out.
func (f Facts) Insights(subject, page, manifest string, hide func(text string) string) bitbucket.Insights {
	d := f.hidden(hide)
	kind := cmp.Or(f.Mode, "job")
	if f.DryRun && f.Mode != "plan" {
		kind += "-dry-run"
	}
	sum := sha256.Sum256([]byte(subject))
	id := fmt.Sprintf("oz-bitbucket-%s-%x", kind, sum[:8])
	r := insights{
		Title:   limited("oz-bitbucket "+kind+": "+redact.OneLine(f.about(d)), longestTitle),
		Details: f.details(d, hide), ReportType: "TEST", Reporter: "oz-bitbucket", Link: page, Result: "PASSED", Data: f.data(d),
	}
	if d.isFailure() {
		r.Result = "FAILED"
	}
	all := bitbucket.Insights{ID: id, Report: marshalled(r)}
	for list := range slices.Chunk(f.annotations(d, id, manifest), bitbucket.MostAnnotations) {
		all.Annotations = append(all.Annotations, marshalled(list))
	}
	return all
}

// marshalled is JSON in which nothing acts unseen.
func marshalled(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // texts and numbers only
	}
	return []byte(redact.JSON(string(text)))
}

// limited is text of at most so many bytes.
func limited(text string, limit int) string {
	const more = " ..."
	if len(text) <= limit {
		return text
	}
	return shortened(text, limit-len(more), more)
}

// about is what the job is about, in a word.
func (f Facts) about(d document) string {
	if d.Manifest != "" {
		return d.Manifest
	}
	if len(d.Secrets) > 0 && f.isRotation() {
		return d.Secrets[0].Name
	}
	if len(d.Environments) > 0 {
		return cmp.Or(d.Environments[0].Name, d.Environments[0].ID)
	}
	return "Oz environment"
}

// details are the outcome, what went wrong, and the plan.
func (f Facts) details(d document, hide func(text string) string) string {
	text := []string{d.Outcome}
	if d.Error != "" {
		text = append(text, d.Error)
	}
	if f.Plan != nil {
		words := PlanText
		if f.Many {
			words = FleetText
		}
		for _, line := range words(*f.Plan) {
			text = append(text, hide(line))
		}
		for _, warning := range d.Warnings {
			text = append(text, "warning: "+warning)
		}
	}
	var said strings.Builder
	for _, line := range text {
		if said.Len() > longestDetails {
			break
		}
		said.WriteString(redact.Lines(line) + "\n")
	}
	return limited(strings.TrimSuffix(said.String(), "\n"), longestDetails)
}

// data are the facts to see at a glance.
func (f Facts) data(d document) []datum {
	list := []datum{}
	text := func(title, value string) {
		if value != "" {
			list = append(list, datum{title, "TEXT", limited(redact.OneLine(value), longestDatum)})
		}
	}
	verdict := strings.ReplaceAll(string(d.SmokeTest), "_", " ")
	if f.Many {
		done := f.fates()
		for _, what := range allFates {
			if done[what] > 0 {
				list = append(list, datum{f.planned(what), "NUMBER", done[what]})
			}
		}
		text("Smoke test", verdict)
		return list
	}
	if len(d.Environments) > 0 {
		text("Environment", d.Environments[0].Name)
		text("Change", string(d.Environments[0].Change))
	}
	if len(d.Secrets) > 0 {
		text("Secret", strings.TrimSuffix(d.Secrets[0].Name+": "+string(d.Secrets[0].Change), ": "))
	}
	text("Smoke test", verdict)
	text("Commit", d.HeadCommit)
	if !f.Expires.IsZero() {
		list = append(list, datum{"Token expires", "DATE", f.Expires.UnixMilli()})
	}
	if len(d.Environments) > 0 {
		if at := d.Environments[0].SessionLink; len(at) < longestWords && link("", at) != "" {
			list = append(list, datum{"Session", "LINK", map[string]string{"text": "Open", "href": at}})
		}
	}
	return list
}

// planned is a word of allFates with a capital letter, and in a plan "To create" for "created".
func (f Facts) planned(what string) string {
	if f.DryRun {
		what = strings.NewReplacer("created", "to create", "updated", "to update", "deleted", "to delete").Replace(what)
	}
	return strings.ToUpper(what[:1]) + what[1:]
}

// annotations are what is wrong with a manifest and with its entries, as many as there may be.
func (f Facts) annotations(d document, id, manifest string) []annotation {
	if f.Manifest == "" {
		return nil
	}
	var list []annotation
	add := func(text string, line int) {
		if len(list) == mostAnnotations {
			return
		}
		first, _, _ := strings.Cut(text, "\n")
		a := annotation{
			ID: fmt.Sprintf("%s-%d", id, len(list)+1), Type: "BUG", Severity: "HIGH", Result: "FAILED",
			Summary: limited(redact.OneLine(first), longestTitle), Details: limited(redact.Lines(text), longestDetails), Path: pipelineFile,
		}
		if manifest != "" {
			a.Path, a.Line = manifest, line
		}
		list = append(list, a)
	}
	for i, p := range problem.All(f.Err) {
		add(d.Mistakes[i].Message, p.Place.Line)
	}
	if f.Plan == nil { // then no entry failed by itself
		return list
	}
	for i, e := range d.Environments {
		var line int
		if i < len(f.Places) {
			line, _ = strconv.Atoi(f.Places[i][strings.LastIndexByte(f.Places[i], ':')+1:]) // nothing: no line is known
		}
		if trouble := e.trouble(); trouble != "" {
			add(fmt.Sprintf("environment %q: %s", cmp.Or(e.Name, e.ID), trouble), line)
		}
	}
	return list
}
