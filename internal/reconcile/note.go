package reconcile

import (
	"regexp"
	"strings"
	"time"
)

// Note is what a secret's description keeps about its value: when it was
// written and when it ends, by the day in UTC, zero where unknown. Nothing in it
// is derived from the value.
type Note struct{ Rotated, Expires time.Time }

// noteForm is the note, at the end of a description.
var noteForm = regexp.MustCompile(`(?:; )?rotated by oz-bitbucket on (\d{4}-\d{2}-\d{2})(?:, expires (\d{4}-\d{2}-\d{2}))?$`)

// ReadNote finds the note in a description; there may be none.
func ReadNote(description string) Note {
	found := noteForm.FindStringSubmatch(description)
	if found == nil {
		return Note{}
	}
	return Note{day(found[1]), day(found[2])}
}

// String is the note as the description holds it, empty for none:
//
//	rotated by oz-bitbucket on 2026-11-24, expires 2027-02-22
func (n Note) String() string {
	if n.Rotated.IsZero() {
		return ""
	}
	text := "rotated by oz-bitbucket on " + n.Rotated.UTC().Format(time.DateOnly)
	if !n.Expires.IsZero() {
		text += ", expires " + n.Expires.UTC().Format(time.DateOnly)
	}
	return text
}

// in is the description with this note in place of an older one; what people
// wrote before it stays.
func (n Note) in(description string) string {
	words := strings.TrimRight(noteForm.ReplaceAllString(description, ""), " ")
	if words == "" {
		return n.String()
	}
	return words + "; " + n.String()
}

func day(text string) time.Time {
	at, _ := time.Parse(time.DateOnly, text)
	return at
}
