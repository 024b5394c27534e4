package platform

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// gitLab is a job of GitLab CI/CD. It is plain, with the log in collapsible
// sections, and output_file has to be a dotenv report that GitLab takes.
type gitLab struct {
	plain
	sections map[string]bool // names that the log has already
}

// section is a name that the log has not yet: the second of a title ends in _2.
// Groups do not begin at the same time.
func (g gitLab) section(title string) string {
	first := "oz_bitbucket_" + strings.ReplaceAll(strings.ToLower(title), " ", "_")
	name := first
	for n := 2; g.sections[name]; n++ {
		name = fmt.Sprintf("%s_%d", first, n)
	}
	g.sections[name] = true
	return name
}

// Group prints the markers of a section, whose name must be unique in a job's
// log:
//
//	\e[0Ksection_start:1760000000:oz_bitbucket_smoke_test\r\e[0KSmoke test
//	\e[0Ksection_end:1760000042:oz_bitbucket_smoke_test\r\e[0K
//
// Source: https://docs.gitlab.com/ci/jobs/job_logs/
func (g gitLab) Group(title string) func() {
	name := g.section(title)
	fmt.Fprintf(g.log, "\x1b[0Ksection_start:%d:%s\r\x1b[0K%s\n", time.Now().Unix(), name, title)
	return func() { fmt.Fprintf(g.log, "\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", time.Now().Unix(), name) }
}

// longestReport is the bytes of a dotenv report that GitLab takes.
//
// Source: https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv
const longestReport = 5 << 10

// Emit keeps the report below GitLab's limit by emptying its longest values:
// GitLab refuses a longer one whole.
func (g gitLab) Emit(facts report.Facts, outputFile string) error {
	outputs, refused := g.outputs(facts)
	fit := slices.Clone(outputs)
	for outputFile != "" && len(dotenv(fit)) >= longestReport {
		longest := slices.MaxFunc(fit, func(a, b report.Output) int { return cmp.Compare(len(a.Value), len(b.Value)) })
		g.Log().Warn(fmt.Sprintf("output %s is empty in output_file: GitLab takes less than %s as a dotenv report", longest.Name, plural.Of(longestReport, "byte")))
		fit[slices.Index(fit, longest)].Value = ""
	}
	return errors.Join(refused, writeOutputFile(outputFile, fit), g.printJSON(outputs))
}
