// Package cron reads the times of a schedule: five fields, in UTC. It is pure: it has
// no clock and does not wait.
package cron

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	robfig "github.com/robfig/cron/v3"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
)

// Schedule is a set of times, each the beginning of a minute in UTC. The zero value is
// not a schedule: it has no text, no words and no times. Two values with the same times
// but another spelling are not equal (==).
//
// When neither day field is a star, a day has to fit only one of them. A star with a
// step, such as */2, does not count as a star.
//
// Source: the note on a day's two fields in crontab(5); "Special Characters" in
// https://pkg.go.dev/github.com/robfig/cron/v3. How Oz counts a star with a step is
// not documented.
type Schedule struct {
	text string
	spec robfig.SpecSchedule
}

// maxLength is in bytes. The sixty minutes of an hour, spelled out, take 169.
const maxLength = 200

// star is an extra bit next to those of a field's numbers: the field was * or ?.
const star = 1 << 63

var parser = robfig.NewParser(robfig.Minute | robfig.Hour | robfig.Dom | robfig.Month | robfig.Dow)

// Parse reads five fields with spaces or tabs between them: minute, hour, day of the
// month, month, day of the week. Names of months and days may be in any case. Other
// texts, and dates that do not exist, are an *Error.
//
// Source: cron_schedule in agent-api-openapi.yaml, "0 9 * * *" for daily at 9am UTC.
// Which other spellings Oz takes is not documented: nicknames, seconds, time zones
// and 7 for Sunday are refused here.
func Parse(text string) (Schedule, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' })
	if err := checkText(text, words); err != nil {
		return Schedule{}, err
	}
	for i, word := range words {
		if err := fields[i].check(word); err != nil {
			return Schedule{}, err
		}
		words[i] = fields[i].plain(word)
	}
	text = strings.Join(words, " ")
	parsed, err := parser.Parse(text)
	spec, ok := parsed.(*robfig.SpecSchedule)
	switch {
	case !ok:
		return Schedule{}, &Error{fmt.Sprintf("is not a schedule: %v", err), fiveFields}
	case spec.Next(time.Time{}).IsZero():
		return Schedule{}, &Error{"names no date that ever comes",
			"give a day that the month has: February has 29 at most, and April, June, September and November have 30"}
	}
	return Schedule{text, *spec}, nil
}

// String is the text with one space between the fields, numbers in place of names and *
// in place of ?, so that every cron parser accepts it. Parse returns the same Schedule
// for it.
func (s Schedule) String() string { return s.text }

// Next is the next n times after the given time, in their order and in UTC.
func (s Schedule) Next(after time.Time, n int) []time.Time {
	if s == (Schedule{}) {
		return nil
	}
	var times []time.Time
	for at := after.UTC(); len(times) < n; times = append(times, at) {
		at = s.next(at)
	}
	return times
}

// next asks twice, because the library looks only five years ahead, and the leap days
// of 2096 and 2104 are eight years apart.
func (s Schedule) next(after time.Time) time.Time {
	if at := s.spec.Next(after); !at.IsZero() {
		return at
	}
	return s.spec.Next(after.AddDate(5, 0, 0))
}

// MoreThanHourly reports whether two times may be less than an hour apart.
func (s Schedule) MoreThanHourly() bool { return len(numbers(s.spec.Minute)) > 1 }

// numbers are the numbers of a field, in their order.
func numbers(field uint64) []int {
	var list []int
	for field &^= star; field != 0; field &= field - 1 {
		list = append(list, bits.TrailingZeros64(field))
	}
	return list
}

// Error says why a text is not a schedule. It may quote the text, unless the text is
// too long.
type Error struct {
	Summary string // what is wrong, as the rest of a sentence: lower case, no full stop
	Remedy  string // what to do, imperative
}

// Error is "summary: remedy".
func (e *Error) Error() string { return e.Summary + ": " + e.Remedy }

const fiveFields = "give minute, hour, day of the month, month and day of the week, such as 0 3 * * *"

// nicknames are the five fields of each nickname.
//
// Source: "nicknames" in crontab(5).
var nicknames = map[string]string{
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
	"@monthly":  "0 0 1 * *",
	"@weekly":   "0 0 * * 0",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@hourly":   "0 * * * *",
}

// checkText finds what is wrong with the text as a whole. words are its fields.
func checkText(text string, words []string) error {
	foreign := func(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }
	switch {
	case len(text) > maxLength:
		return &Error{fmt.Sprintf("is too long for a schedule (%s)", plural.Of(len(text), "byte")), fiveFields}
	case strings.ContainsAny(text, "\r\n"):
		return &Error{"holds a line break", "write the five fields on one line"}
	case strings.ContainsFunc(text, foreign):
		found := []rune(text[strings.IndexFunc(text, foreign):])[0]
		return &Error{fmt.Sprintf("holds the character %U", found), "type it again, with plain spaces between the fields"}
	case strings.ContainsAny(text, "\"'`"):
		return &Error{"has quotes in it", "take them off"}
	case len(words) == 0:
		return &Error{"is empty", fiveFields}
	case words[0][0] == '@':
		return checkNickname(words[0])
	case zoned(words[0]):
		return &Error{"names a time zone, but Oz's times are UTC", "take " + words[0] + " out and give the hour in UTC"}
	case len(words) == 6:
		return &Error{"has six fields, but Oz takes five", "take the seconds at the beginning out, or the year at the end"}
	case len(words) == 1:
		return &Error{"is one word, but Oz takes five fields", fiveFields}
	case len(words) != len(fields):
		return &Error{fmt.Sprintf("has %s, but Oz takes five", plural.Of(len(words), "field")), fiveFields}
	}
	return nil
}

func checkNickname(name string) error {
	if means := nicknames[strings.ToLower(name)]; means != "" {
		return &Error{name + " is a nickname, but Oz takes five fields", "write " + means}
	}
	return &Error{name + " is unknown to Oz", fiveFields}
}

// zoned reports whether a text's first word sets a time zone.
//
// Source: CRON_TZ in crontab(5) of cronie; TZ in robfig/cron.
func zoned(word string) bool {
	name, _, set := strings.Cut(strings.ToUpper(word), "=")
	return set && slices.Contains([]string{"TZ", "CRON_TZ"}, name)
}
