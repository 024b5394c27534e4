package cron

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
)

// maxClocks is how many times of a day are listed one by one.
const maxClocks = 6

// Words is the schedule in plain English. It depends on the numbers and not on their
// spelling: MON-FRI and 1-5 give the same text. It leaves nothing out, so an irregular
// schedule has a long text.
//
//	every 15 minutes
//	at 3 minutes past every hour
//	every day at 09:00, 13:00 and 17:00 UTC
//	on the 13th of every month and on every Friday at 00:00 UTC
//	on Monday to Friday, every 15 minutes from 09:00 to 17:59 UTC
func (s Schedule) Words() string {
	if s == (Schedule{}) {
		return ""
	}
	days, hours, minutes := s.days(), numbers(s.spec.Hour), numbers(s.spec.Minute)
	switch {
	case len(hours)*len(minutes) <= maxClocks:
		return cmp.Or(days, "every day") + " at " + clocks(hours, minutes) + " UTC"
	case days == "" && len(hours) == 24:
		return often(minutes)
	case days != "":
		days += ", "
	}
	if len(minutes) == 1 {
		return days + hourly(hours, minutes[0]) + " UTC"
	}
	return days + often(minutes) + " " + within(hours) + " UTC"
}

// days says on which days there are times; it is empty for all days.
func (s Schedule) days() string {
	dates, days := numbers(s.spec.Dom), mondayFirst(numbers(s.spec.Dow))
	anyDate, anyDay := len(dates) == 31, len(days) == 7
	either := (s.spec.Dom|s.spec.Dow)&star == 0
	during := numbers(s.spec.Month)
	switch {
	case anyDate && anyDay, either && (anyDate || anyDay):
		if len(during) == 12 {
			return ""
		}
		return "every day" + inMonths(during)
	case anyDate:
		return "on " + spans(days, weekday) + inMonths(during)
	case anyDay:
		return "on " + datesOf(dates, during)
	}
	return "on " + datesOf(dates, during) + " and on every " + spans(days, weekday) + inMonths(during)
}

// inMonths is " in March"; it is empty for all months.
func inMonths(during []int) string {
	if len(during) == 12 {
		return ""
	}
	return " in " + spans(during, month)
}

// datesOf is "1 March", "the 1st and 15th of March" or "the 31st of every month that
// has one".
func datesOf(dates, during []int) string {
	months := "every month"
	switch {
	case len(dates) == 1 && len(during) == 1:
		return fmt.Sprintf("%d %s", dates[0], month(during[0]))
	case len(during) < 12:
		months = spans(during, month)
	case len(dates) == 1 && dates[0] > 28:
		months = "every month that has one"
	}
	return "the " + spans(dates, ordinal) + " of " + months
}

// clocks is "09:00 and 17:00".
func clocks(hours, minutes []int) string {
	var all []string
	for _, hour := range hours {
		for _, minute := range minutes {
			all = append(all, clock(hour, minute))
		}
	}
	return enumerate(all)
}

// often is "every minute", "every 15 minutes" or "at 5 and 35 minutes past every
// hour".
func often(minutes []int) string {
	interval := step(minutes, 60)
	switch {
	case interval == 1:
		return "every minute"
	case interval == 60 && minutes[0] == 0:
		return "every hour"
	case interval > 0 && minutes[0] == 0:
		return "every " + plural.Of(interval, "minute")
	case slices.Equal(minutes, []int{1}):
		return "at 1 minute past every hour"
	}
	return "at " + spans(minutes, strconv.Itoa) + " minutes past every hour"
}

// hourly is "every hour from 09:03 to 17:03" or "every 2 hours from 00:03".
func hourly(hours []int, minute int) string {
	if interval := step(hours, 24); interval > 1 {
		return fmt.Sprintf("every %s from %s", plural.Of(interval, "hour"), clock(hours[0], minute))
	}
	var all []string
	for _, run := range runs(hours) {
		if run.first == run.last {
			all = append(all, "at "+clock(run.first, minute))
			continue
		}
		all = append(all, "every hour from "+clock(run.first, minute)+" to "+clock(run.last, minute))
	}
	return enumerate(all)
}

// within is "from 09:00 to 17:59" or "in every 2nd hour from 00:00".
func within(hours []int) string {
	if interval := step(hours, 24); interval > 1 && len(hours) > 3 {
		return fmt.Sprintf("in every %s hour from %s", ordinal(interval), clock(hours[0], 0))
	}
	var all []string
	for _, run := range runs(hours) {
		all = append(all, "from "+clock(run.first, 0)+" to "+clock(run.last, 59))
	}
	return enumerate(all)
}

// step is the distance between neighbours in a circle of this size, 0 when distances
// differ.
func step(list []int, circle int) int {
	distance := circle / len(list)
	for i, n := range list {
		if n != list[0]+i*distance || distance*len(list) != circle {
			return 0
		}
	}
	return distance
}

// run is a range of numbers without a gap.
type run struct{ first, last int }

func runs(list []int) []run {
	var all []run
	for _, n := range list {
		if end := len(all) - 1; end >= 0 && all[end].last == n-1 {
			all[end].last = n
			continue
		}
		all = append(all, run{n, n})
	}
	return all
}

// spans is "1, 3 and 5 to 9", where name says each number.
func spans(list []int, name func(int) string) string {
	var all []string
	for _, run := range runs(list) {
		switch run.last - run.first {
		case 0:
			all = append(all, name(run.first))
		case 1:
			all = append(all, name(run.first), name(run.last))
		default:
			all = append(all, name(run.first)+" to "+name(run.last))
		}
	}
	return enumerate(all)
}

// enumerate is "a, b and c".
func enumerate(all []string) string {
	last := len(all) - 1
	if last == 0 {
		return all[0]
	}
	return strings.Join(all[:last], ", ") + " and " + all[last]
}

// mondayFirst counts Sunday as the seventh day.
func mondayFirst(days []int) []int {
	if days[0] == 0 {
		return append(days[1:], 7)
	}
	return days
}

func weekday(n int) string          { return weekdays[n%7] }
func month(n int) string            { return months[n-1] }
func clock(hour, minute int) string { return fmt.Sprintf("%02d:%02d", hour, minute) }

func ordinal(n int) string {
	suffix := "th"
	if n/10 != 1 && n%10 > 0 && n%10 < 4 {
		suffix = []string{"st", "nd", "rd"}[n%10-1]
	}
	return strconv.Itoa(n) + suffix
}
