package report_test

import (
	"encoding/xml"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// element is any XML, so that each reader below can search for what its host reads.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []element  `xml:",any"`
}

func (e element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (e element) all(name string) (list []element) {
	for _, child := range e.Children {
		if child.XMLName.Local == name {
			list = append(list, child)
		}
	}
	return list
}

func (e element) first(name string) *element {
	for _, child := range e.all(name) {
		return &child
	}
	return nil
}

// readXML reads a document by the rules of XML 1.0.
//
// Source: https://www.w3.org/TR/xml/#charsets
func readXML(t *testing.T, text string) element {
	t.Helper()
	require.True(t, utf8.ValidString(text))
	require.Negative(t, strings.IndexFunc(text, func(r rune) bool {
		return !(r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000)
	}))
	require.True(t, strings.HasPrefix(text, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"))
	var root element
	require.NoError(t, xml.Unmarshal([]byte(text), &root), text)
	return root
}

// seen is what a host shows about one test.
type seen struct {
	suite, name, file, status, text string
	seconds                         float64
	attached                        bool // it offers a file of the job
}

// A reader reads what one host documents. It does not depend on how we write.
type reader func(t *testing.T, text string) []seen

// readGitLab: a test's suite is its classname, a failure goes before an error and that before
// skipped, the element's text is what is shown (an attribute alone would be a list of
// attributes), a second test of one name is ignored, and [[ATTACHMENT|path]] in system-out is
// a link.
//
// Source: https://docs.gitlab.com/ci/testing/unit_test_reports/, and
// lib/gitlab/ci/parsers/test/junit.rb.
func readGitLab(t *testing.T, text string) (list []seen) {
	require.Less(t, len(text), 30_000_000)
	known := map[string]bool{}
	var suites func(e element)
	suites = func(e element) {
		for _, test := range e.all("testcase") {
			s := seen{suite: test.attr("classname"), name: test.attr("name"), file: test.attr("file"), status: "success"}
			var err error
			s.seconds, err = strconv.ParseFloat(test.attr("time"), 64)
			require.NoError(t, err)
			for _, status := range []string{"skipped", "error", "failure"} {
				if found := test.first(status); found != nil {
					s.status, s.text = status, found.Text
					require.NotEmpty(t, strings.TrimSpace(found.Text))
					require.Empty(t, found.attr("type"), "GitLab's reader of XML converts what has a type")
				}
			}
			if out := test.first("system-out"); out != nil {
				s.attached = strings.Contains(out.Text, "[[ATTACHMENT|")
			}
			key := e.attr("name") + "_" + s.suite + "_" + s.name
			require.False(t, known[key], "ignored: %s", key)
			known[key] = true
			list = append(list, s)
		}
		for _, inner := range e.all("testsuite") {
			suites(inner)
		}
	}
	root := readXML(t, text)
	require.Equal(t, "testsuites", root.XMLName.Local)
	suites(root)
	return list
}

// readJenkins: suites may be nested, the part before the last dot of a classname is the
// package, the message is an attribute and the trace the text, an error goes before a failure,
// and a report without a test fails the build.
//
// Source: https://www.jenkins.io/doc/pipeline/steps/junit/, and the plugin's SuiteResult.java
// and CaseResult.java.
func readJenkins(t *testing.T, text string) (list []seen) {
	var suites func(e element)
	suites = func(e element) {
		for _, inner := range e.all("testsuite") {
			suites(inner)
		}
		for _, test := range e.all("testcase") {
			require.NotEmpty(t, test.attr("name"))
			s := seen{suite: test.attr("classname"), name: test.attr("name"), status: "success"}
			var message string
			for _, status := range []string{"failure", "error"} {
				if found := test.first(status); found != nil {
					s.status, s.text, message = "failure", found.Text, found.attr("message")
				}
			}
			if skipped := test.first("skipped"); skipped != nil {
				s.status, s.text, message = "skipped", skipped.attr("message"), skipped.attr("message")
			}
			if s.status != "success" {
				require.NotEmpty(t, message)
				require.NotContains(t, message, "\n")
			}
			require.NotEmpty(t, s.suite[:strings.LastIndex(s.suite, ".")], "the package")
			list = append(list, s)
		}
	}
	suites(readXML(t, text))
	require.NotEmpty(t, list, "None of the test reports contained any result")
	return list
}

// readAzure: suites below testsuites, a test needs a name, its class is where it is stored, a
// failure goes before an error and that before skipped, the message is an attribute and the
// trace the text; time is seconds from zero up, and the timestamp counts as UTC.
//
// Source: https://learn.microsoft.com/azure/devops/pipelines/tasks/reference/publish-test-results-v2,
// and azure-pipelines-agent, JunitResultReader.cs.
func readAzure(t *testing.T, text string) (list []seen) {
	root := readXML(t, text)
	require.Equal(t, "testsuites", root.XMLName.Local)
	for _, suite := range root.all("testsuite") {
		seconds, err := strconv.ParseFloat(suite.attr("time"), 64)
		require.NoError(t, err)
		require.GreaterOrEqual(t, seconds, 0.0)
		if at := suite.attr("timestamp"); at != "" {
			_, err := time.Parse("2006-01-02T15:04:05", at)
			require.NoError(t, err)
		}
		for _, test := range suite.all("testcase") {
			require.NotEmpty(t, test.attr("name"))
			s := seen{suite: test.attr("classname"), name: test.attr("name"), status: "success"}
			failure, skipped := test.first("failure"), test.first("skipped")
			if failure == nil {
				failure = test.first("error")
			}
			switch {
			case failure != nil:
				s.status, s.text = "failure", failure.Text
				require.NotEmpty(t, strings.TrimSpace(failure.attr("message")))
			case skipped != nil:
				s.status, s.text = "skipped", skipped.attr("message")
			}
			list = append(list, s)
		}
	}
	return list
}

// readBitbucket: JUnit as Maven Surefire writes it, whose suite counts its tests; a field has
// at most 2,000 characters (that of the job as a whole may be longer, and is then cut there).
//
// Source: https://confluence.atlassian.com/bitbucket/test-reporting-in-pipelines-939708543.html;
// https://maven.apache.org/surefire/maven-surefire-plugin/xsd/surefire-test-report.xsd
func readBitbucket(t *testing.T, text string) (list []seen) {
	for _, suite := range readXML(t, text).all("testsuite") {
		counts := map[string]int{}
		for _, test := range suite.all("testcase") {
			s := seen{suite: test.attr("classname"), name: test.attr("name"), status: "success"}
			for _, status := range []string{"failure", "error", "skipped"} {
				if found := test.first(status); found != nil {
					s.status, s.text = status, found.Text
				}
			}
			counts[s.status]++
			for _, field := range []string{s.name, s.text} {
				require.True(t, utf8.RuneCountInString(field) <= 2000 || s.name == "job", field)
			}
			list = append(list, s)
		}
		for attribute, want := range map[string]int{"tests": len(list), "failures": counts["failure"], "errors": counts["error"], "skipped": counts["skipped"]} {
			require.Equal(t, strconv.Itoa(want), suite.attr(attribute), attribute)
		}
		require.NotEmpty(t, suite.attr("name"))
	}
	return list
}

var readers = map[string]reader{"GitLab": readGitLab, "Jenkins": readJenkins, "Azure": readAzure, "Bitbucket": readBitbucket}

// eachReader reads a report as every host does, and compares the results.
func eachReader(t *testing.T, text string) []seen {
	t.Helper()
	gitLab := readGitLab(t, text)
	for host, read := range readers {
		list := read(t, text)
		require.Len(t, list, len(gitLab), host)
		for i, s := range list {
			assert.Equal(t, []string{gitLab[i].suite, gitLab[i].name, gitLab[i].status, gitLab[i].text}, []string{s.suite, s.name, s.status, s.text}, host)
		}
	}
	return gitLab
}

func statuses(list []seen) (words []string) {
	for _, s := range list {
		words = append(words, s.name+" "+s.status)
	}
	return words
}

func TestGitLabReadsAReport(t *testing.T)    { t.Parallel(); hostReads(t, "GitLab") }
func TestJenkinsReadsAReport(t *testing.T)   { t.Parallel(); hostReads(t, "Jenkins") }
func TestAzureReadsAReport(t *testing.T)     { t.Parallel(); hostReads(t, "Azure") }
func TestBitbucketReadsAReport(t *testing.T) { t.Parallel(); hostReads(t, "Bitbucket") }

// hostReads: a job that failed shows a failed test, one that did not shows none, and each
// environment is a test.
func hostReads(t *testing.T, host string) {
	t.Helper()
	for name, f := range runs() {
		f.Mode = "apply"
		list := readers[host](t, reported(t, f, ".xml"))
		failed := 0
		for _, s := range list {
			assert.Equal(t, "oz-bitbucket.apply", s.suite)
			if s.status == "failure" {
				failed++
			}
		}
		assert.Equal(t, f.ExitCode != 0, failed > 0, name)
		if f.Plan != nil {
			assert.GreaterOrEqual(t, len(list), len(f.Plan.Environments), name)
		}
	}
	for name, f := range nastyRuns() {
		for _, s := range readers[host](t, reported(t, f, ".xml")) {
			assert.NotContains(t, s.name+s.text, "##vso[", name)
			assert.False(t, s.attached, "%s: foreign text offers a file", name)
			for _, bad := range []string{"\x1b", "\u202e", "\n::error"} {
				assert.NotContains(t, s.name+s.text+s.file, bad, name)
			}
		}
	}
}

func TestWhatIsATestCase(t *testing.T) {
	t.Parallel()
	f := many(7)
	f.Mode, f.Manifest, f.ExitCode, f.Now = "apply", "envs/oz.yml", 1, time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	f.Tests[3] = smoketest.Verdict{Result: smoketest.TimedOut, Reason: "the run did not end"}
	f.Tests[3].Run.SessionLink = "https://app.warp.dev/session/1"
	f.Applied.Environments[4].Change = ""
	f.Plan.Environments[5].Name, f.Applied.Environments[5].Name = "acme-000", "acme-000"
	f.Plan.Environments[6].Name, f.Applied.Environments[6] = "", reconcile.StoredEnvironment{}
	f.Plan.Environments[6].UID = ""
	list := eachReader(t, reported(t, f, ".xml"))
	assert.Equal(t, []string{
		"acme-000 success", "acme-001 success", "acme-002 failure", "acme-003 failure", "acme-004 skipped", "acme-000 #2 success", "entry 7 skipped",
	}, statuses(list))
	assert.Equal(t, "no | such\n  repository", list[2].text)
	assert.Equal(t, "smoke test timed out: the run did not end\n  https://app.warp.dev/session/1", list[3].text)
	assert.Equal(t, "envs/oz.yml", list[0].file)
	golden(t, "many.xml", reported(t, f, ".xml"))

	f = many(3)
	f.Mode, f.DryRun, f.ExitCode, f.Applied, f.Err = "plan", true, 4, reconcile.Applied{}, nil
	f.Plan.Environments = f.Plan.Environments[:2]
	assert.Equal(t, []string{"acme-000 success", "acme-001 success"}, statuses(eachReader(t, reported(t, f, ".xml"))), "a plan with changes is not a failure")
}

// TestAJobThatFailsIsATestThatFails, also where no environment did.
func TestAJobThatFailsIsATestThatFails(t *testing.T) {
	t.Parallel()
	all := runs()
	stopped := many(3)
	stopped.Plan.Environments = stopped.Plan.Environments[:2]
	stopped.Err, stopped.ExitCode = nil, 143
	failed := many(3)
	failed.ExitCode = 1
	for name, tt := range map[string]struct {
		facts report.Facts
		want  []string
		text  string
	}{
		"wrong inputs":     {all["wrong-inputs"], []string{"job failure"}, "repo_url: is missing; give it\n  clone_depth: is not a depth; give a positive integer"},
		"nothing":          {all["nothing"], []string{"job success"}, ""},
		"a token that end": {all["expiring"], []string{"acme-api success", "job failure"}, "the token in secret \"BITBUCKET_API_TOKEN\" expired on 2026-11-24; rotate it"},
		"stopped":          {stopped, []string{"acme-000 success", "acme-001 success", "job failure"}, "exit code 143: 1 created, 1 updated; smoke test passed"},
		"one of many":      {failed, []string{"acme-000 success", "acme-001 success", "acme-002 failure"}, "no | such\n  repository"},
		"before the plan":  {all["refused-before-the-plan"], []string{"acme-api failure"}, "prove the token against https://bitbucket.org/acme/api.git: 401"},
	} {
		tt.facts.Mode = "plan"
		list := eachReader(t, reported(t, tt.facts, ".xml"))
		assert.Equal(t, tt.want, statuses(list), name)
		assert.Equal(t, tt.text, list[len(list)-1].text, name)
	}
	unknown := all["wrong-inputs"] // its mode does not exist
	assert.Equal(t, "oz-bitbucket.", readGitLab(t, reported(t, unknown, ".xml"))[0].suite)
}
