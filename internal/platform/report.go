package platform

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// WriteReport replaces the file that the input report_file names, on every host in the same
// way. Secrets are removed from each text before it is cut or escaped.
func (h host) WriteReport(facts report.Facts, path string) error {
	if path == "" {
		return nil
	}
	hide := func(text string) string { return h.out.redact(cut(text)) }
	took := time.Since(h.began)
	var text string
	var err error
	if extension := filepath.Ext(path); extension == ".md" {
		text = h.out.redact(facts.Summary(took)) // redaction recognises secrets with the summary's escapes and margins
	} else {
		text, err = facts.Report(extension, took, hide)
	}
	if err == nil {
		err = replaceFile(path, text)
	}
	if err != nil {
		return fmt.Errorf("write report_file: %w", err)
	}
	return nil
}
