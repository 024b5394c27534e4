// Package sensitive holds values that must not be printed: tokens and API keys.
// It depends on nothing and touches nothing. Who may call Reveal is a row of the
// table in test/rooms_test.go.
package sensitive

import (
	"fmt"
	"log/slog"
	"strings"
)

// placeholder stands wherever a String is printed.
const placeholder = "[redacted]"

// String is a value whose printed form is a placeholder, whatever the verb, the
// encoder or the logger. The zero value is the empty string.
//
// The value sits behind a pointer because fmt ignores methods on unexported
// fields: a struct that holds a String prints an address, never the text.
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

// HasPrefix reports whether the text begins with prefix. It is how the rest of
// the program recognises a kind of token without seeing one.
func (s String) HasPrefix(prefix string) bool { return strings.HasPrefix(s.Reveal(), prefix) }

// In reports whether text holds the value, in whatever case: URLs are brought
// to lower case, and what is left of a token is still worth hiding. An empty
// value is in nothing.
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
