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

// gitLab is a job of GitLab CI/CD. It is like plain, with the log in collapsible sections
// and with an output_file that GitLab accepts as a dotenv report.
type gitLab struct {
	plain
	sections map[string]bool // names that are already in the log
}

// section returns a name that is not in the log yet: the second of a title ends in _2. The
// caller must not call it concurrently.
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

// longestReport is the size in bytes from which GitLab refuses a dotenv report.
//
// Source: https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv
const longestReport = 5 << 10

// Emit keeps the report below GitLab's limit by emptying its longest values: GitLab refuses
// the whole of a longer report.
func (g gitLab) Emit(facts report.Facts, outputFile string) error {
	outputs, refused := g.outputs(facts)
	fit := slices.Clone(outputs)
	for outputFile != "" && len(dotenv(fit)) >= longestReport {
		longest := slices.MaxFunc(fit, func(a, b report.Output) int { return cmp.Compare(len(a.Value), len(b.Value)) })
		g.Log().Warn(fmt.Sprintf("output %s is empty in output_file: GitLab accepts less than %s as a dotenv report", longest.Name, plural.Of(longestReport, "byte")))
		fit[slices.Index(fit, longest)].Value = ""
	}
	return errors.Join(refused, writeOutputFile(outputFile, fit), g.printJSON(outputs))
}
