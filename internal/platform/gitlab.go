package platform

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// gitLab is a job of GitLab CI/CD. It is plain, with the log in collapsible
// sections, and output_file has to be a dotenv report that GitLab takes.
type gitLab struct{ plain }

// Group prints the markers of a section, which must be unique in a job's log:
//
//	\e[0Ksection_start:1760000000:oz_bitbucket_smoke_test\r\e[0KSmoke test
//	\e[0Ksection_end:1760000042:oz_bitbucket_smoke_test\r\e[0K
//
// Source: https://docs.gitlab.com/ci/jobs/job_logs/
func (g gitLab) Group(title string) func() {
	name := "oz_bitbucket_" + strings.ReplaceAll(strings.ToLower(title), " ", "_")
	fmt.Fprintf(g.log, "\x1b[0Ksection_start:%d:%s\r\x1b[0K%s\n", time.Now().Unix(), name, title)
	return func() { fmt.Fprintf(g.log, "\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", time.Now().Unix(), name) }
}

// longestReport is the bytes of a dotenv report that GitLab takes.
//
// Source: https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv
const longestReport = 5 << 10

func (g gitLab) Emit(facts report.Facts, outputFile string) error {
	outputs, refused := g.outputs(facts)
	if n := len(lines(outputs)); outputFile != "" && n >= longestReport {
		refused = errors.Join(refused, fmt.Errorf("output_file holds %d bytes, and GitLab takes less than %d as a dotenv report", n, longestReport))
	}
	return errors.Join(refused, writeOutputFile(outputFile, outputs), g.printJSON(outputs))
}
