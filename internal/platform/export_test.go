package platform

import (
	"io"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// NewRedactor returns the writer that wraps every stream.
func NewRedactor(to io.Writer, secret sensitive.String) io.Writer {
	r := &redactor{to: to}
	r.hide(secret)
	return r
}
