// Package problem collects mistakes that the author of the inputs can fix, so that one
// run reports all of them. It is pure. No other package uses go-multierror.
package problem

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// Problem is one mistake in one input.
type Problem struct {
	Input   string // the input's own name: "repo_url"
	Summary string // what is wrong: lower case, no full stop, never a sensitive value
	Remedy  string // what to do, imperative; empty when the summary is enough
	Place   Place  // the place in a manifest; zero for an input of the job
}

// Place is the position of a mistake in a file.
type Place struct {
	File         string
	Line, Column int    // from one
	Text         string // the line, or the part of it that is shown; may be empty
}

// String is "oz-environments.yml:12:5", empty for no place.
func (p Place) String() string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Error renders `input: summary; remedy` or, of a mistake in a file:
//
//	oz-environments.yml:12:5: docker_image: "Node" is not an image; give a reference such as ubuntu:24.04
//	    docker_image: Node
func (p Problem) Error() string {
	text := p.Summary
	if p.Input != "" {
		text = p.Input + ": " + text
	}
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	if place := p.Place.String(); place != "" {
		text = place + ": " + text
	}
	if p.Place.Text != "" {
		text += "\n    " + p.Place.Text
	}
	return text
}

// List is the problems of one run, in the order in which they were found. The
// zero value is ready and means none.
type List struct{ found *multierror.Error }

// Add appends a problem.
func (l *List) Add(input, summary, remedy string) {
	l.Append(Problem{Input: input, Summary: summary, Remedy: remedy})
}

// Append appends problems.
func (l *List) Append(problems ...Problem) {
	for _, p := range problems {
		l.found = multierror.Append(l.found, p)
	}
}

// Addf appends a problem whose summary is formatted and whose remedy is fixed.
func (l *List) Addf(input, remedy, summary string, args ...any) {
	l.Add(input, fmt.Sprintf(summary, args...), remedy)
}

// Err returns nil when there is no problem, else an error that prints one problem after
// the other. All returns the problems of that error.
func (l *List) Err() error {
	if l.found == nil {
		return nil
	}
	l.found.ErrorFormat = onePerLine
	return l.found.ErrorOrNil()
}

// All returns the problems inside err, nil when it holds none.
func All(err error) []Problem {
	var list *multierror.Error
	if !errors.As(err, &list) {
		return nil
	}
	var problems []Problem
	for _, e := range list.Errors {
		var p Problem
		if errors.As(e, &p) {
			problems = append(problems, p)
		}
	}
	return slices.Clip(problems)
}

func onePerLine(found []error) string {
	text := make([]string, len(found))
	for i, err := range found {
		text[i] = err.Error()
	}
	return strings.Join(text, "\n")
}
