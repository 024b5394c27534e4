package config

import (
	"path/filepath"
	"strings"
)

// files reads the paths of the files that the job writes. A path that another input
// names too is refused and dropped: the program would overwrite a file that something
// else reads.
func (p *parser) files() {
	c := &p.config
	c.OutputFile, c.ReportFile = p.in.OutputFile, p.in.ReportFile
	if extension := filepath.Ext(c.ReportFile); c.ReportFile != "" && extension != ".json" && extension != ".xml" && extension != ".md" {
		p.add("report_file", "end it in .json for tools, in .xml for a JUnit report, or in .md for a summary", "does not say which kind of report is meant")
		c.ReportFile = ""
	}
	for _, written := range []struct {
		input string
		path  *string
	}{{"output_file", &c.OutputFile}, {"report_file", &c.ReportFile}} {
		for _, other := range p.in.texts() {
			isFile := strings.HasSuffix(other.input, "_file") || other.input == "manifest" || other.input == "ca_certificate"
			if isFile && other.input != written.input && other.value != "" && filepath.Clean(other.value) == filepath.Clean(*written.path) {
				p.add(written.input, "give it a path of its own", "names the same file as %s", other.input)
				*written.path = ""
			}
		}
	}
}
