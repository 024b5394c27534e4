package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
)

// TestFilesThatAreWritten: a wrong path is reported, and nothing is written there.
func TestFilesThatAreWritten(t *testing.T) {
	t.Parallel()
	const kind = "report_file: does not say which kind of report is meant; end it in .json for tools, in .xml for a JUnit report, or in .md for a summary"
	same := func(input, other string) string {
		return input + ": names the same file as " + other + "; give it a path of its own"
	}
	for _, tt := range []struct {
		changes        map[string]string
		output, report string
		want           []string
	}{
		{map[string]string{"report_file": "oz.json", "output_file": "oz.env"}, "oz.env", "oz.json", nil},
		{map[string]string{"report_file": "a b/oz.xml"}, "", "a b/oz.xml", nil},
		{map[string]string{"report_file": "oz.md"}, "", "oz.md", nil},
		{map[string]string{"report_file": "oz.txt"}, "", "", []string{kind}},
		{map[string]string{"report_file": "json"}, "", "", []string{kind}},
		{map[string]string{"report_file": "oz.JSON"}, "", "", []string{kind}},
		{map[string]string{"report_file": "oz.xml/"}, "", "", []string{kind}},
		{map[string]string{"report_file": "oz.json", "output_file": "./x/../oz.json"}, "", "", []string{same("output_file", "report_file"), same("report_file", "output_file")}},
		{map[string]string{"report_file": "token.json", "bitbucket_token": "", "bitbucket_token_file": "token.json"}, "", "", []string{same("report_file", "bitbucket_token_file")}},
		{map[string]string{"output_file": "ca.pem", "ca_certificate": "ca.pem"}, "", "", []string{same("output_file", "ca_certificate")}},
	} {
		job, err := config.Parse(cloud(tt.changes), files{"token.json": apiToken, "ca.pem": ""}.read, noVariable)
		found := problems(t, cloud(tt.changes), files{"token.json": apiToken, "ca.pem": ""})
		if tt.changes["ca_certificate"] != "" { // which is not one either
			found = found[1:]
		}
		assert.Equal(t, tt.want, found, tt.changes)
		assert.Equal(t, len(tt.want) > 0, err != nil)
		assert.Equal(t, []string{tt.output, tt.report}, []string{job.OutputFile, job.ReportFile}, tt.changes)
	}
	assert.Equal(t, []string{same("output_file", "manifest")}, mistakes(t, theManifest, with("output_file", "./oz.yml")))

	for _, pasted := range []string{apiToken, "ATCTT3xFfGN0q7w9e8r1t2y3=5A6B7C8D"} {
		job, err := config.Parse(cloud(with("report_file", pasted+".json")), files{}.read, noVariable)
		require.ErrorContains(t, err, "report_file: holds ")
		assert.Empty(t, job.ReportFile, "nothing shows a token as the name of a file")
	}
}
