// Package sensitive holds values that must not be printed: tokens and API keys. It has
// no dependencies and no side effects. The table in test/rooms_test.go lists the
// packages that may call Reveal.
package sensitive

import (
	"fmt"
	"log/slog"
	"strings"
)

// placeholder is printed in place of every String.
const placeholder = "[redacted]"

// String is a value that is printed as a placeholder by every verb, encoder and logger.
// The zero value is the empty string.
//
// The value is behind a pointer because fmt ignores methods on unexported fields: a
// struct that holds a String prints an address, never the text.
type String struct{ value *string }

// New returns a String that holds value.
func New(value string) String { return String{&value} }

// Reveal returns the plain text. Every call is a place to review.
func (s String) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Same reports whether two hold the same value.
func (s String) Same(o String) bool { return s.Reveal() == o.Reveal() }

// IsEmpty reports whether there is no text.
func (s String) IsEmpty() bool { return s.Reveal() == "" }

// HasPrefix reports whether the text begins with prefix. With it the rest of the
// program recognises the kind of a token without seeing the token.
func (s String) HasPrefix(prefix string) bool { return strings.HasPrefix(s.Reveal(), prefix) }

// In reports whether text holds the value, in any letter case: the program turns URLs
// into lower case, and a token in lower case must still be hidden. It is false for an
// empty value.
func (s String) In(text string) bool {
	return !s.IsEmpty() && strings.Contains(lower(text), lower(s.Reveal()))
}

// lower is text with the ASCII letters in lower case, of the same length.
func lower(text string) string {
	folded := []byte(text)
	for i, b := range folded {
		if 'A' <= b && b <= 'Z' {
			folded[i] = b - 'A' + 'a'
		}
	}
	return string(folded)
}

// String returns the placeholder.
func (s String) String() string { return placeholder }

// Format prints the placeholder for every verb.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(placeholder)) }

// LogValue is the placeholder.
func (s String) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText encodes the placeholder, for JSON too.
func (s String) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// UnmarshalText takes text as the value.
func (s *String) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}
