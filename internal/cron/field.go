package cron

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// field describes what one of the five fields may hold.
type field struct {
	place    string // its name in a message
	min, max int
	names    []string // names of min and the numbers after it; empty for none
}

var fields = [...]field{
	{"the first field, minute,", 0, 59, nil},
	{"the second field, hour,", 0, 23, nil},
	{"the third field, day of the month,", 1, 31, nil},
	{"the fourth field, month,", 1, 12, months},
	{"the fifth field, day of the week,", 0, 6, weekdays},
}

var (
	months   = []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	weekdays = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
)

// part is a star, a number or a range, with or without a step. The library is less
// strict: it reads "*-5" as a star and ignores ",".
var part = regexp.MustCompile(`^(?:[*?]|([0-9]+|[A-Za-z]{3})(?:-([0-9]+|[A-Za-z]{3}))?)(?:/([0-9]+))?$`)

// check finds what is wrong with the text of a field.
func (f field) check(text string) error {
	for one := range strings.SplitSeq(text, ",") {
		matched := part.FindStringSubmatch(one)
		if matched == nil {
			return f.unreadable(text)
		}
		low, high, step := matched[1], matched[2], matched[3]
		for _, value := range []string{low, high} {
			if err := f.checkValue(value); err != nil {
				return err
			}
		}
		if high != "" && f.number(low) > f.number(high) {
			return f.backwards(low, high, step)
		}
		// A longer step has no effect: */90 means every hour, not every 90 minutes.
		if longest := f.max - f.min; step != "" && (number(step) < 1 || number(step) > longest) {
			return f.refuse(fmt.Sprintf("give a step from 1 to %d", longest), "has a step of %s", step)
		}
	}
	return nil
}

var name = regexp.MustCompile(`[A-Za-z]{3}`)

// plain is a checked field without names and question marks.
func (f field) plain(text string) string {
	text = name.ReplaceAllStringFunc(text, func(name string) string { return strconv.Itoa(f.number(name)) })
	return strings.ReplaceAll(text, "?", "*")
}

// checkValue checks a number or name; an empty value is valid.
func (f field) checkValue(value string) error {
	n := f.number(value)
	switch {
	case value == "":
		return nil
	case n < 0:
		return f.unreadable(value)
	case n == 7 && f.max == 6:
		return f.refuse("write 0 for Sunday, and 5,6,0 for 5-7", "holds 7")
	case n < f.min || n > f.max:
		return f.refuse(fmt.Sprintf("give %d to %d", f.min, f.max), "holds %s", value)
	}
	return nil
}

// number is the number that digits or a name stand for, negative when the field has no
// such name.
func (f field) number(value string) int {
	for i, name := range f.names {
		if strings.EqualFold(name[:3], value) {
			return f.min + i
		}
	}
	return number(value)
}

// number is the value of digits, capped when there are too many. It is negative for any
// other text.
func number(digits string) int {
	if strings.Trim(digits, "0123456789") != "" {
		return -1
	}
	n, _ := strconv.Atoi(digits) // n is capped on an error
	return n
}

func (f field) backwards(low, high, step string) error {
	remedy := "list its numbers"
	if step == "" {
		remedy = "write " + span(f.number(low), f.max) + "," + span(f.min, f.number(high))
	}
	return f.refuse(remedy, "has the range %s-%s, which runs backwards", low, high)
}

func span(low, high int) string {
	if low == high {
		return strconv.Itoa(low)
	}
	return fmt.Sprintf("%d-%d", low, high)
}

func (f field) unreadable(text string) error {
	names := ""
	if len(f.names) > 0 {
		names = strings.ToUpper(fmt.Sprintf("%.3s, %.3s", f.names[0], f.names[1]))
		names = " or names such as " + names
	}
	return f.refuse(fmt.Sprintf("give *, or numbers from %d to %d%s, as in 1, 1-5, */2 or 1,5", f.min, f.max, names), "holds %q", text)
}

func (f field) refuse(remedy, summary string, args ...any) error {
	return &Error{f.place + " " + fmt.Sprintf(summary, args...), remedy}
}
