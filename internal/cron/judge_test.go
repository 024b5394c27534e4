package cron_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// judge is a second, independent reading of a valid schedule: by days and by minutes of
// a day.
type judge struct {
	day    func(time.Time) bool
	minute func(int) bool
}

func (j judge) has(at time.Time) bool {
	return at.Second() == 0 && at.Nanosecond() == 0 && j.day(at) && j.minute(at.Hour()*60+at.Minute())
}

// next finds times by trying each minute. It gives up after eight years.
func (j judge) next(after time.Time, n int) []time.Time {
	at := after.UTC().Truncate(time.Minute)
	var found []time.Time
	for end := at.AddDate(8, 0, 1); at.Before(end) && len(found) < n; at = at.Add(time.Minute) {
		if !j.day(at) {
			at = at.Truncate(24 * time.Hour).Add(24*time.Hour - time.Minute)
		} else if at.After(after) && j.has(at) {
			found = append(found, at)
		}
	}
	return found
}

// judgeText reads five fields.
func judgeText(text string) judge {
	five := strings.Fields(text)
	minutes, _ := judgeField(five[0], 0, 59, "")
	hours, _ := judgeField(five[1], 0, 23, "")
	dates, anyDate := judgeField(five[2], 1, 31, "")
	months, _ := judgeField(five[3], 1, 12, " janfebmaraprmayjunjulaugsepoctnovdec")
	days, anyDay := judgeField(five[4], 0, 6, "sunmontuewedthufrisat")
	return judge{
		day: func(at time.Time) bool {
			date, day := dates[at.Day()], days[int(at.Weekday())]
			both := date && day
			if !anyDate && !anyDay {
				both = date || day
			}
			return months[int(at.Month())] && both
		},
		minute: func(n int) bool { return hours[n/60] && minutes[n%60] },
	}
}

// judgeField reads one field. names has three letters for each number.
func judgeField(text string, low, high int, names string) (holds map[int]bool, star bool) {
	value := func(word string) int {
		if at := strings.Index(names, strings.ToLower(word)); at >= 0 && word != "" && word[0] > '9' {
			return (at + 2) / 3
		}
		n, err := strconv.Atoi(word)
		if err != nil {
			panic(err)
		}
		return n
	}
	holds = map[int]bool{}
	for _, one := range strings.Split(text, ",") {
		span, step, stepped := strings.Cut(one, "/")
		from, to, ranged := strings.Cut(span, "-")
		first, last, by := low, high, 1
		if from != "*" && from != "?" {
			first = value(from)
			switch {
			case ranged:
				last = value(to)
			case !stepped:
				last = first
			}
		}
		if stepped {
			by = value(step)
		}
		star = star || (from == "*" || from == "?") && by == 1
		for n := first; n <= last; n += by {
			holds[n] = true
		}
	}
	return holds, star
}

// randomText is five valid fields; its date may never come.
func randomText(random *rand.Rand) string {
	pick := func(names string, low, high int) string {
		var parts []string
		for range 1 + random.IntN(3)*random.IntN(2) {
			a, b := low+random.IntN(high-low+1), low+random.IntN(high-low+1)
			a, b = min(a, b), max(a, b)
			say := strconv.Itoa
			if random.IntN(2) == 0 && names != "" {
				say = func(n int) string { return names[(n-low)*3 : (n-low)*3+3] }
			}
			step := 1 + random.IntN(high-low)
			parts = append(parts, []string{
				"*", "*", "*", "?", say(a), say(a), say(a), say(a) + "-" + say(b), say(a) + "-" + say(b),
				fmt.Sprintf("*/%d", step), fmt.Sprintf("*/%d", 1+random.IntN(min(6, high-low))), fmt.Sprintf("%s/%d", say(a), step), fmt.Sprintf("%s-%s/%d", say(a), say(b), step),
			}[random.IntN(13)])
		}
		return strings.Join(parts, ",")
	}
	return strings.Join([]string{
		pick("", 0, 59), pick("", 0, 23), pick("", 1, 31),
		pick("janFEBmaraprmayjunjulaugSEPoctnovdec", 1, 12), pick("sunMONtueWedthufrisat", 0, 6),
	}, " ")
}

var (
	onDays   = regexp.MustCompile(`^((?:on|every day in) .+?), ((?:every|at) .+)$`) // and the times of these days
	atClocks = regexp.MustCompile(`^(.+) at ((?:\d\d:\d\d(?:, | and )?)+) UTC$`)
	atRate   = regexp.MustCompile(`^(every (?:minute|hour|(\d+) minutes)|at (.+) minutes? past every hour)(?: (from|in) (.+) UTC)?$`)
)

// judgeWords reads the text of Words.
func judgeWords(t testing.TB, words string) judge {
	t.Helper()
	days, times := "every day", words
	if m := onDays.FindStringSubmatch(words); m != nil {
		days, times = m[1], m[2]
	} else if m := atClocks.FindStringSubmatch(words); m != nil && !strings.HasPrefix(words, "every hour ") {
		days, times = m[1], m[2]
	}
	day := judgeDays(t, days)
	if m := atRate.FindStringSubmatch(times); m != nil && !strings.HasPrefix(times, "every hour from ") {
		rate, hours := judgeRate(t, m), judgeHours(t, m[4], m[5])
		return judge{day, func(n int) bool { return rate[n%60] && hours[n/60] }}
	}
	minutes := map[int]bool{}
	for _, one := range enumerated(strings.TrimSuffix(times, " UTC")) {
		addHourly(t, minutes, one)
	}
	return judge{day, func(n int) bool { return minutes[n] }}
}

func enumerated(text string) []string {
	return strings.Split(strings.ReplaceAll(text, " and ", ", "), ", ")
}

// spans reads "1, 3 and 5 to 9", where number reads each.
func spans(t testing.TB, text string, number func(testing.TB, string) int) map[int]bool {
	t.Helper()
	all := map[int]bool{}
	for _, one := range enumerated(text) {
		from, to, ranged := strings.Cut(one, " to ")
		if !ranged {
			to = from
		}
		require.LessOrEqual(t, number(t, from), number(t, to), text)
		addSteps(all, number(t, from), number(t, to), 1)
	}
	return all
}

func addSteps(to map[int]bool, first, last, step int) {
	for n := first; n <= last; n += step {
		to[n] = true
	}
}

// judgeRate reads the match of atRate.
func judgeRate(t testing.TB, m []string) map[int]bool {
	t.Helper()
	step := map[string]int{"every minute": 1, "every hour": 60}[m[1]]
	switch {
	case m[3] != "":
		return spans(t, m[3], number)
	case step == 0:
		step = number(t, m[2])
		require.Zero(t, 60%step, m[1])
	}
	all := map[int]bool{}
	addSteps(all, 0, 59, step)
	return all
}

// judgeHours reads "every 2nd hour from 00:00" and "from 09:00 to 17:59".
func judgeHours(t testing.TB, how, text string) map[int]bool {
	t.Helper()
	all := map[int]bool{}
	switch how {
	case "":
		addSteps(all, 0, 23, 1)
	case "in":
		var step, first int
		var suffix string
		_, err := fmt.Sscanf(text, "every %d%2s hour from %d:00", &step, &suffix, &first)
		require.NoError(t, err, text)
		require.Zero(t, 24%step, text)
		require.Less(t, first, step, text)
		addSteps(all, first, 23, step)
	case "from":
		for _, one := range enumerated(text) {
			var first, last int
			_, err := fmt.Sscanf(strings.TrimPrefix(one, "from "), "%d:00 to %d:59", &first, &last)
			require.NoError(t, err, text)
			addSteps(all, first, last, 1)
		}
	}
	return all
}

// addHourly reads "09:03", "at 09:03", "every 2 hours from 00:03" and "every hour
// from 09:03 to 17:03".
func addHourly(t testing.TB, to map[int]bool, text string) {
	t.Helper()
	var step, hour, minute, last, lastMinute int
	if n, _ := fmt.Sscanf(text, "every %d hours from %d:%d", &step, &hour, &minute); n == 3 {
		require.Zero(t, 24%step, text)
		require.Less(t, hour, step, text)
		addSteps(to, hour*60+minute, 24*60-1, step*60)
		return
	}
	if n, _ := fmt.Sscanf(text, "every hour from %d:%d to %d:%d", &hour, &minute, &last, &lastMinute); n == 4 {
		require.Equal(t, minute, lastMinute, text)
		addSteps(to, hour*60+minute, last*60+lastMinute, 60)
		return
	}
	_, err := fmt.Sscanf(strings.TrimPrefix(text, "at "), "%d:%d", &hour, &minute)
	require.NoError(t, err, text)
	to[hour*60+minute] = true
}

var ordinals = regexp.MustCompile(`(\d)(st|nd|rd|th)`)

// judgeDays reads "on 1 March", "on the 1st of March and April and on every Friday
// in March and April", "on Monday to Friday in March", "every day in March" and
// "every day".
func judgeDays(t testing.TB, text string) func(time.Time) bool {
	t.Helper()
	if dates, days, two := strings.Cut(text, " and on every "); two {
		date, day := judgeDays(t, dates), judgeDays(t, "on "+days)
		return func(at time.Time) bool { return date(at) || day(at) }
	}
	if dates, months, is := strings.Cut(text, " of "); is {
		dates = ordinals.ReplaceAllString(strings.TrimPrefix(dates, "on the "), "$1")
		in, on := judgeMonths(t, strings.TrimSuffix(months, " that has one")), spans(t, dates, number)
		return func(at time.Time) bool { return in[int(at.Month())] && on[at.Day()] }
	}
	days, months, _ := strings.Cut(text, " in ")
	in := judgeMonths(t, months)
	switch {
	case days == "every day":
		return func(at time.Time) bool { return in[int(at.Month())] }
	case days[3] <= '9':
		return func(at time.Time) bool { return at.Format("on 2 January") == days }
	}
	on := spans(t, strings.TrimPrefix(days, "on "), numberOfDay)
	return func(at time.Time) bool { return in[int(at.Month())] && on[(int(at.Weekday())+6)%7] }
}

func judgeMonths(t testing.TB, text string) map[int]bool {
	t.Helper()
	if text == "" || text == "every month" {
		text = "January to December"
	}
	return spans(t, text, numberOfMonth)
}

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

func numberOfMonth(t testing.TB, name string) int {
	t.Helper()
	at, err := time.Parse("January", name)
	require.NoError(t, err)
	return int(at.Month())
}

// numberOfDay counts from Monday.
func numberOfDay(t testing.TB, name string) int {
	t.Helper()
	n := slices.Index([]string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}, name)
	require.GreaterOrEqual(t, n, 0, name)
	return n
}

// requireSame compares two judges on every day of five years, one of which is a
// leap year, and on every minute of a day.
func requireSame(t testing.TB, want, got judge, about string) {
	t.Helper()
	for day := date("2026-01-01"); day.Year() < 2031; day = day.AddDate(0, 0, 1) {
		if want.day(day) != got.day(day) {
			require.Fail(t, "a day differs", "%s on %s", about, day.Format(time.RFC850))
		}
	}
	for n := range 24 * 60 {
		if want.minute(n) != got.minute(n) {
			require.Fail(t, "a minute differs", "%s at %02d:%02d", about, n/60, n%60)
		}
	}
}

func date(text string) time.Time {
	at, err := time.Parse("2006-01-02", text)
	if err != nil {
		panic(err)
	}
	return at
}
