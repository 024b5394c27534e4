// Package problem collects mistakes that the author of the inputs can fix, so
// that one run reports all of them. It touches nothing; go-multierror comes in
// here and nowhere else.
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
	Remedy  string // what to do, imperative; empty when the summary says it all
}

// Error renders `input: summary; remedy`.
func (p Problem) Error() string {
	text := p.Summary
	if p.Input != "" {
		text = p.Input + ": " + text
	}
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	return text
}

// List is the problems of one run, in the order in which they were found. The
// zero value is ready and means none.
type List struct{ found *multierror.Error }

// Add appends a problem.
func (l *List) Add(input, summary, remedy string) {
	l.found = multierror.Append(l.found, Problem{input, summary, remedy})
}

// Addf appends a problem whose summary is formatted and whose remedy is fixed.
func (l *List) Addf(input, remedy, summary string, args ...any) {
	l.Add(input, fmt.Sprintf(summary, args...), remedy)
}

// Err returns nil when there is no problem, else an error that prints one
// problem a line and from which All gets them back.
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
