package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
)

// Bounds of a test case's texts, in bytes of XML. GitLab accepts 30 MB, which is 3,000 bytes
// for each of 10,000 environments; Bitbucket shows 2,000 characters.
//
// Sources: https://docs.gitlab.com/ci/testing/unit_test_reports/;
// https://confluence.atlassian.com/bitbucket/test-reporting-in-pipelines-939708543.html
const (
	longestCase    = 240 // its name, and a message
	longestFailure = 1500
	longestOutput  = 450
	longestOfJob   = 16 << 10 // the failure of a whole job
)

// testSuites is a JUnit report, as far as GitLab, Jenkins, Azure and Bitbucket all read it.
// They read the name of a case from different fields, and a message from the attribute, the
// text or both. So every such field is set.
type testSuites struct {
	XMLName xml.Name `xml:"testsuites"`
	suiteTotals
	Suite testSuite `xml:"testsuite"`
}

type suiteTotals struct {
	Name     string `xml:"name,attr"`
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Errors   int    `xml:"errors,attr"`
	Skipped  int    `xml:"skipped,attr"`
	Time     string `xml:"time,attr"` // seconds
}

type testSuite struct {
	suiteTotals
	Timestamp string     `xml:"timestamp,attr,omitempty"` // in UTC, without a zone
	Cases     []testCase `xml:"testcase"`
}

type testCase struct {
	ClassName string  `xml:"classname,attr"`
	Name      string  `xml:"name,attr"`
	File      string  `xml:"file,attr,omitempty"` // the manifest
	Time      string  `xml:"time,attr"`
	Failure   *detail `xml:"failure"`
	Skipped   *detail `xml:"skipped"`
	Output    string  `xml:"system-out,omitempty"`
}

type detail struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// junit returns the document as a JUnit report. Each environment is a test case: it fails
// when the environment failed, and is skipped when the job did not reach it. When the job
// failed and no environment did, the job is a test case of its own that fails.
func (d document) junit() (string, error) {
	var cases []testCase
	taken, last := map[string]bool{}, map[string]int{}
	for i, e := range d.Environments {
		c := e.testCase(i)
		first := c.Name
		for taken[c.Name] { // GitLab ignores a second case of the same name
			last[first]++
			c.Name = fmt.Sprintf("%s #%d", first, last[first]+1)
		}
		taken[c.Name] = true
		cases = append(cases, c)
	}
	suite := testSuite{Cases: cases}
	suite.count()
	if suite.Failures == 0 && d.isFailure() || len(cases) == 0 {
		suite.Cases = append(suite.Cases, d.testCase())
		suite.count()
	}
	for i := range suite.Cases {
		suite.Cases[i].ClassName, suite.Cases[i].File, suite.Cases[i].Time = "oz-bitbucket."+string(d.Mode), redact.OneLine(d.Manifest), "0"
	}
	suite.Name = strings.TrimSpace("oz-bitbucket " + string(d.Mode))
	suite.Time = fmt.Sprintf("%.3f", d.took.Seconds())
	if !d.began.IsZero() {
		suite.Timestamp = d.began.UTC().Format("2006-01-02T15:04:05")
	}
	text, err := xml.MarshalIndent(testSuites{suiteTotals: suite.suiteTotals, Suite: suite}, "", "  ")
	return xml.Header + string(text) + "\n", err
}

func (s *testSuite) count() {
	s.Tests, s.Failures, s.Skipped = len(s.Cases), 0, 0
	for _, c := range s.Cases {
		if c.Failure != nil {
			s.Failures++
		}
		if c.Skipped != nil {
			s.Skipped++
		}
	}
}

// changesExit is the exit code of a plan that would change something. It is not a failure.
const changesExit = 4

func (d document) isFailure() bool { return d.ExitCode != 0 && d.ExitCode != changesExit }

// testCase is the job as a whole.
func (d document) testCase() testCase {
	c := testCase{Name: "job", Output: lines(d.Outcome, longestOutput)}
	if !d.isFailure() {
		return c
	}
	text := d.Error
	if len(d.Mistakes) > 0 {
		var list []string
		for _, m := range d.Mistakes {
			list = append(list, m.Message)
		}
		text = strings.Join(list, "\n")
	}
	if text == "" {
		text = fmt.Sprintf("exit code %d: %s", d.ExitCode, d.Outcome)
	}
	c.Failure = failure(text, longestOfJob)
	return c
}

func (e part) testCase(number int) testCase {
	c := testCase{Name: cmp.Or(line(e.Name), line(e.ID), fmt.Sprintf("entry %d", number+1))}
	var said []string
	say := func(what, text string) {
		if text != "" {
			said = append(said, what+": "+text)
		}
	}
	say("planned", string(e.Planned))
	for _, f := range e.Fields {
		say("field", f.Name)
	}
	say("change", string(e.Change))
	say("session", e.SessionLink)
	c.Output = strings.ReplaceAll(lines(strings.Join(said, "\n"), longestOutput), "[[", "[ [") // GitLab would make a link of it
	switch trouble := e.trouble(); {
	case trouble != "":
		c.Failure = failure(trouble, longestFailure)
	case e.Change == "":
		c.Skipped = &detail{Message: "not reached", Text: "not reached"}
	}
	return c
}

// trouble returns why an environment failed; "" when it did not.
func (e part) trouble() string {
	if e.Error != "" || e.Verdict == "" || e.Verdict.IsGood() {
		return e.Error
	}
	return strings.TrimSuffix("smoke test "+strings.ReplaceAll(string(e.Verdict), "_", " ")+": "+e.Reason+"\n"+e.SessionLink, "\n")
}

// failure returns a text as a detail whose message is the first line.
func failure(text string, limit int) *detail {
	first, _, _ := strings.Cut(text, "\n")
	return &detail{Message: line(first), Text: lines(text, limit)}
}

// line and lines return text that no host reads as a command, cut to the length of a test
// case.
func line(text string) string {
	return fit(redact.Neutral(shortened(text, longestCase, " ...")), longestCase)
}

func lines(text string, limit int) string {
	return fit(redact.Lines(shortened(text, limit, " ...")), limit)
}

// fit cuts a text to so many bytes of XML, without its end.
func fit(text string, limit int) string {
	size := 0
	for at, r := range text {
		size += utf8.RuneLen(r)
		if strings.ContainsRune("\"'&<>\t\n\r", r) {
			size += len("&#34;") - 1
		}
		if size > limit {
			return text[:at] + " ..."
		}
	}
	return text
}
