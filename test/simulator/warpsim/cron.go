package warpsim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// cron is a cron expression in UTC: the numbers that each field allows.
type cron struct {
	minutes, hours, days, months, weekdays map[int]bool
	eitherDay                              bool // both day fields are limited, and one of them must fit
}

// parseCron reads five fields of *, numbers, ranges, steps and lists. There are no names of days or months.
func parseCron(text string) (cron, error) {
	fields := strings.Fields(text)
	if len(fields) != 5 {
		return cron{}, fmt.Errorf("cron_schedule must have five fields, not %d", len(fields))
	}
	bounds := [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}}
	var sets [5]map[int]bool
	for i, field := range fields {
		set, err := parseCronField(field, bounds[i][0], bounds[i][1])
		if err != nil {
			return cron{}, fmt.Errorf("cron_schedule: %w", err)
		}
		sets[i] = set
	}
	sets[4][0] = sets[4][0] || sets[4][7] // both are Sunday
	limited := func(field string) bool { return !strings.HasPrefix(field, "*") }
	return cron{sets[0], sets[1], sets[2], sets[3], sets[4], limited(fields[2]) && limited(fields[4])}, nil
}

func parseCronField(field string, first, last int) (map[int]bool, error) {
	set := map[int]bool{}
	for part := range strings.SplitSeq(field, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		low, high, step := first, last, 1
		var errs [3]error
		if span != "*" {
			from, to, ranged := strings.Cut(span, "-")
			low, errs[0] = strconv.Atoi(from)
			switch {
			case ranged:
				high, errs[1] = strconv.Atoi(to)
			case !stepped:
				high = low
			}
		}
		if stepped {
			step, errs[2] = strconv.Atoi(stepText)
		}
		if errs != [3]error{} || low < first || high > last || low > high || step < 1 {
			return nil, fmt.Errorf("%q is not in %d-%d", part, first, last)
		}
		for n := low; n <= high; n += step {
			set[n] = true
		}
	}
	return set, nil
}

// next returns the first minute after an instant that fits, or the zero time when none does in nine years. Nine
// years hold every possible day.
func (c cron) next(after time.Time) time.Time {
	after = after.UTC()
	year, month, day := after.Date()
	for i := range 9 * 366 {
		date := time.Date(year, month, day+i, 0, 0, 0, 0, time.UTC)
		if !c.fitsDay(date) {
			continue
		}
		for minute := range 24 * 60 {
			at := date.Add(time.Duration(minute) * time.Minute)
			if at.After(after) && c.hours[at.Hour()] && c.minutes[at.Minute()] {
				return at
			}
		}
	}
	return time.Time{}
}

func (c cron) fitsDay(date time.Time) bool {
	day, weekday := c.days[date.Day()], c.weekdays[int(date.Weekday())]
	if c.eitherDay {
		return c.months[int(date.Month())] && (day || weekday)
	}
	return c.months[int(date.Month())] && day && weekday
}
