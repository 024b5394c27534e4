package platform

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// WriteReport writes the input report_file anew, on every host in the same way. Secrets
// are taken out of each text before it is cut or escaped.
func (h host) WriteReport(facts report.Facts, path string) error {
	if path == "" {
		return nil
	}
	hide := func(text string) string { return h.out.redact(cut(text)) }
	took := time.Since(h.began)
	var text string
	var err error
	if extension := filepath.Ext(path); extension == ".md" {
		text = h.out.redact(facts.Summary(took)) // its escapes and margins are among those that redaction reads
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
