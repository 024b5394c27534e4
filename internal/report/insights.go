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

// Limits of Code Insights. It counts characters and we count bytes, of which a text never
// has fewer.
//
// Source: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-reports/ and
// https://support.atlassian.com/bitbucket-cloud/docs/code-insights/
const (
	longestTitle    = 450 // of a report, and the summary of an annotation
	longestDetails  = 2000
	longestDatum    = 240
	mostAnnotations = 1000
)

// pipelineFile is the file of an annotation whose own file is not known.
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

// Insights returns plan and result as a Code Insights report, with an annotation for each
// entry of a manifest that failed and for each mistake in the file. subject identifies the
// job among those of its mode: a second run of a job has the same ID. page is the job's
// page. manifest is the path of the manifest in the repository, empty when it is not there.
// Every text that the program did not write itself goes through hide first, which removes
// secrets.
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

// marshalled returns a value as JSON, with invisible characters escaped.
func marshalled(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // cannot happen: texts and numbers only
	}
	return []byte(redact.JSON(string(text)))
}

// limited returns text, cut to limit bytes.
func limited(text string, limit int) string {
	const more = " ..."
	if len(text) <= limit {
		return text
	}
	return shortened(text, limit-len(more), more)
}

// about names what the job is about.
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

// details returns the outcome, the error or the mistakes, and the plan.
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

// data returns the most important facts.
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

// planned returns a word of allFates with a capital letter; in a plan "To create" for
// "created".
func (f Facts) planned(what string) string {
	if f.DryRun {
		what = strings.NewReplacer("created", "to create", "updated", "to update", "deleted", "to delete").Replace(what)
	}
	return strings.ToUpper(what[:1]) + what[1:]
}

// annotations returns the mistakes of a manifest and the errors of its entries, as many as
// Code Insights accepts.
func (f Facts) annotations(d document, id, manifest string) []annotation {
	if f.Manifest == "" {
		return nil
	}
	var list []annotation
	add := func(text string, line int) {
		if len(list) == mostAnnotations {
			return
		}
		text = shortened(text, 4*longestDetails, "") // of which more than that is shown: a space has at most three bytes
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
	if f.Plan == nil { // then there are no errors of entries
		return list
	}
	for i, e := range d.Environments {
		var line int
		if i < len(f.Places) {
			line, _ = strconv.Atoi(f.Places[i][strings.LastIndexByte(f.Places[i], ':')+1:]) // zero: the line is not known
		}
		if trouble := e.trouble(); trouble != "" {
			add(fmt.Sprintf("environment %q: %s", cmp.Or(e.Name, e.ID), trouble), line)
		}
	}
	return list
}
