package cron_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/cron"
)

func parse(t testing.TB, text string) cron.Schedule {
	t.Helper()
	schedule, err := cron.Parse(text)
	require.NoError(t, err, text)
	return schedule
}

func TestString(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0 3 * * *":                 "0 3 * * *",
		" 0\t3  * \t* *  ":          "0 3 * * *",
		"00 09 ? JAN-mar Mon,wed/2": "00 09 * 1-3 1,3/2",
	} {
		schedule := parse(t, text)
		assert.Equal(t, want, schedule.String())
		assert.Equal(t, schedule, parse(t, want))
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const five = "give minute, hour, day of the month, month and day of the week, such as 0 3 * * *"
	const spaces = "type it again, with plain spaces between the fields"
	const sunday = "write 0 for Sunday, and 5,6,0 for 5-7"
	const days = "give a day that the month has: February has 29 at most, and April, June, September and November have 30"
	tests := []struct{ name, text, summary, remedy string }{
		{"nothing", "", "is empty", five},
		{"blanks", " \t ", "is empty", five},
		{"a word", "daily", "is one word, but Oz takes five fields", five},
		{"four fields", "0 3 * *", "has 4 fields, but Oz takes five", five},
		{"six fields", "0 0 3 * * *", "has six fields, but Oz takes five", "take the seconds at the beginning out, or the year at the end"},
		{"seven fields", "0 0 3 * * ? 2027", "has 7 fields, but Oz takes five", five},
		{"a nickname that does not exist", "@noon", "@noon is unknown to Oz", five},
		{"every so often", "@every 1h", "@every is unknown to Oz", five},
		{"a start", "@reboot", "@reboot is unknown to Oz", five},
		{"a nickname among fields", "@ 3 * * *", "@ is unknown to Oz", five},
		{"a time zone", "TZ=Europe/Berlin 0 3 * * *", "names a time zone, but Oz's times are UTC", "take TZ=Europe/Berlin out and give the hour in UTC"},
		{"cron's time zone", "CRON_TZ=UTC 0 3 * * *", "names a time zone, but Oz's times are UTC", "take CRON_TZ=UTC out and give the hour in UTC"},
		{"a time zone and nothing else", "TZ=0", "names a time zone, but Oz's times are UTC", "take TZ=0 out and give the hour in UTC"},
		{"a time zone in lower case", "tz= 3 * * *", "names a time zone, but Oz's times are UTC", "take tz= out and give the hour in UTC"},
		{"two lines", "0 3 * * *\n", "holds a line break", "write the five fields on one line"},
		{"a return", "0 3 * *\r*", "holds a line break", "write the five fields on one line"},
		{"a space that is none", "0\u00a03 * * *", "holds the character U+00A0", spaces},
		{"a form feed", "0 3 * *\f*", "holds the character U+000C", spaces},
		{"a dash that is none", "0 9–17 * * *", "holds the character U+2013", spaces},
		{"no UTF-8", "0 3 * * \xff", "holds the character U+FFFD", spaces},
		{"quotes", `"0 3 * * *"`, "has quotes in it", "take them off"},
		{"other quotes", `'0 3 * * *'`, "has quotes in it", "take them off"},

		{"minute 60", "60 3 * * *", "the first field, minute, holds 60", "give 0 to 59"},
		{"hour 24", "0 24 * * *", "the second field, hour, holds 24", "give 0 to 23"},
		{"day 0", "0 0 0 * *", "the third field, day of the month, holds 0", "give 1 to 31"},
		{"day 32", "0 0 1-32 * *", "the third field, day of the month, holds 32", "give 1 to 31"},
		{"month 0", "0 0 1 00 *", "the fourth field, month, holds 00", "give 1 to 12"},
		{"month 13", "0 0 1 1,13/2 *", "the fourth field, month, holds 13", "give 1 to 12"},
		{"a number of many digits", "0 99999999999999999999 * * *", "the second field, hour, holds 99999999999999999999", "give 0 to 23"},
		{"day 8 of the week", "0 0 * * 8", "the fifth field, day of the week, holds 8", "give 0 to 6"},
		{"Sunday as 7", "0 0 * * 7", "the fifth field, day of the week, holds 7", sunday},
		{"a range to Sunday", "0 0 * * 5-7", "the fifth field, day of the week, holds 7", sunday},

		{"a range that runs backwards", "0 22-2 * * *", "the second field, hour, has the range 22-2, which runs backwards", "write 22-23,0-2"},
		{"a weekend", "0 0 * * sat-SUN", "the fifth field, day of the week, has the range sat-SUN, which runs backwards", "write 6,0"},
		{"a winter", "0 0 1 NOV-feb *", "the fourth field, month, has the range NOV-feb, which runs backwards", "write 11-12,1-2"},
		{"and with a step", "50-10/5 * * * *", "the first field, minute, has the range 50-10, which runs backwards", "list its numbers"},

		{"a step of none", "*/0 * * * *", "the first field, minute, has a step of 0", "give a step from 1 to 59"},
		{"a step of more than an hour", "*/90 * * * *", "the first field, minute, has a step of 90", "give a step from 1 to 59"},
		{"a step of an hour", "*/60 * * * *", "the first field, minute, has a step of 60", "give a step from 1 to 59"},
		{"a step of a day", "0 1-20/24 * * *", "the second field, hour, has a step of 24", "give a step from 1 to 23"},
		{"a step of a month", "0 0 */31 * *", "the third field, day of the month, has a step of 31", "give a step from 1 to 30"},
		{"a step of a year", "0 0 1 1/12 *", "the fourth field, month, has a step of 12", "give a step from 1 to 11"},
		{"a step of a week", "0 0 * * MON/7", "the fifth field, day of the week, has a step of 7", "give a step from 1 to 6"},
		{"a step of many digits", "*/99999999999999999999 * * * *", "the first field, minute, has a step of 99999999999999999999", "give a step from 1 to 59"},

		{"a last day", "0 0 L * *", `the third field, day of the month, holds "L"`, "give *, or numbers from 1 to 31, as in 1, 1-5, */2 or 1,5"},
		{"a second Friday", "0 0 * * FRI#2", `the fifth field, day of the week, holds "FRI#2"`, "give *, or numbers from 0 to 6 or names such as SUN, MON, as in 1, 1-5, */2 or 1,5"},
		{"a long name", "0 0 1 March *", `the fourth field, month, holds "March"`, "give *, or numbers from 1 to 12 or names such as JAN, FEB, as in 1, 1-5, */2 or 1,5"},
		{"a name of a month for a day", "0 0 * * mon-jan", `the fifth field, day of the week, holds "jan"`, "give *, or numbers from 0 to 6 or names such as SUN, MON, as in 1, 1-5, */2 or 1,5"},
		{"a name in the wrong field", "MON * * * *", `the first field, minute, holds "MON"`, "give *, or numbers from 0 to 59, as in 1, 1-5, */2 or 1,5"},
		{"a comma too many", "0 9,,17 * * *", `the second field, hour, holds "9,,17"`, "give *, or numbers from 0 to 23, as in 1, 1-5, */2 or 1,5"},
		{"a comma alone", "0 , * * *", `the second field, hour, holds ","`, "give *, or numbers from 0 to 23, as in 1, 1-5, */2 or 1,5"},
		{"a range from a star", "*-5 * * * *", `the first field, minute, holds "*-5"`, "give *, or numbers from 0 to 59, as in 1, 1-5, */2 or 1,5"},
		{"a sign", "+5 * * * *", `the first field, minute, holds "+5"`, "give *, or numbers from 0 to 59, as in 1, 1-5, */2 or 1,5"},
		{"a negative number", "-5 * * * *", `the first field, minute, holds "-5"`, "give *, or numbers from 0 to 59, as in 1, 1-5, */2 or 1,5"},
		{"half a range", "5- * * * *", `the first field, minute, holds "5-"`, "give *, or numbers from 0 to 59, as in 1, 1-5, */2 or 1,5"},
		{"half a step", "*/ * * * *", `the first field, minute, holds "*/"`, "give *, or numbers from 0 to 59, as in 1, 1-5, */2 or 1,5"},
		{"two steps", "*/2/3 * * * *", `the first field, minute, holds "*/2/3"`, "give *, or numbers from 0 to 59, as in 1, 1-5, */2 or 1,5"},
		{"a step by name", "* * * */feb *", `the fourth field, month, holds "*/feb"`, "give *, or numbers from 1 to 12 or names such as JAN, FEB, as in 1, 1-5, */2 or 1,5"},

		{"30 February", "0 0 30 2 *", "names no date that ever comes", days},
		{"31 April", "0 0 31 4 *", "names no date that ever comes", days},
		{"the 31st of two months", "0 0 31 2,4 ?", "names no date that ever comes", days},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			schedule, err := cron.Parse(tt.text)
			var wrong *cron.Error
			require.ErrorAs(t, err, &wrong)
			assert.Equal(t, cron.Error{Summary: tt.summary, Remedy: tt.remedy}, *wrong)
			assert.EqualError(t, err, tt.summary+": "+tt.remedy)
			assert.Zero(t, schedule)
		})
	}
}

func TestParseKnowsTheNicknames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"@yearly":   "on 1 January at 00:00 UTC",
		"@annually": "on 1 January at 00:00 UTC",
		"@monthly":  "on the 1st of every month at 00:00 UTC",
		"@weekly":   "on Sunday at 00:00 UTC",
		"@daily":    "every day at 00:00 UTC",
		"@midnight": "every day at 00:00 UTC",
		"@Hourly":   "every hour",
	} {
		_, err := cron.Parse(name)
		var wrong *cron.Error
		require.ErrorAs(t, err, &wrong)
		assert.Equal(t, name+" is a nickname, but Oz takes five fields", wrong.Summary)
		written, is := strings.CutPrefix(wrong.Remedy, "write ")
		require.True(t, is, wrong.Remedy)
		assert.Equal(t, want, parse(t, written).Words())
	}
}

func TestParseBoundsTheLength(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]string{200: "", 201: "is too long for a schedule (201 bytes)"} {
		_, err := cron.Parse("0 3 * * *" + strings.Repeat(" ", length-9))
		if want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, want)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, after, want string }{
		{"each minute", "* * * * *", "2026-08-01T10:00:30Z", "2026-08-01T10:01:00Z 2026-08-01T10:02:00Z"},
		{"not the time itself", "0 3 * * *", "2026-08-01T03:00:00Z", "2026-08-02T03:00:00Z 2026-08-03T03:00:00Z"},
		{"just before", "0 3 * * *", "2026-08-01T02:59:59.999999999Z", "2026-08-01T03:00:00Z 2026-08-02T03:00:00Z"},
		{"in UTC, from anywhere", "30 23 * * *", "2026-08-01T23:45:00-02:00", "2026-08-02T23:30:00Z 2026-08-03T23:30:00Z"},
		{"where a minute is no minute of UTC", "0 * * * *", "2026-08-01T12:15:00+05:45", "2026-08-01T07:00:00Z 2026-08-01T08:00:00Z"},
		{"over the year's end", "0 0 1 * *", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z 2027-02-01T00:00:00Z"},
		{"days by name", "0 9 * * MON-FRI", "2026-08-07T12:00:00Z", "2026-08-10T09:00:00Z 2026-08-11T09:00:00Z"},
		{"the 13th or a Friday", "0 0 13 * FRI", "2026-08-07T12:00:00Z", "2026-08-13T00:00:00Z 2026-08-14T00:00:00Z"},
		{"months that have the day", "0 0 31 * *", "2026-03-31T12:00:00Z", "2026-05-31T00:00:00Z 2026-07-31T00:00:00Z"},
		{"months of which one has the day", "0 0 31 2,3 *", "2026-08-01T00:00:00Z", "2027-03-31T00:00:00Z 2028-03-31T00:00:00Z"},
		{"leap days", "0 0 29 2 *", "2026-08-01T00:00:00Z", "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z"},
		{"leap days around a year that has none", "0 0 29 2 *", "2096-01-01T00:00:00Z", "2096-02-29T00:00:00Z 2104-02-29T00:00:00Z"},
		{"a date that never comes, or a Friday", "0 0 30 2 FRI", "2027-02-20T00:00:00Z", "2027-02-26T00:00:00Z 2028-02-04T00:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			after, err := time.Parse(time.RFC3339Nano, tt.after)
			require.NoError(t, err)
			var got []string
			for _, at := range parse(t, tt.text).Next(after, 2) {
				assert.Equal(t, time.UTC, at.Location())
				got = append(got, at.Format(time.RFC3339Nano))
			}
			assert.Equal(t, tt.want, strings.Join(got, " "))
		})
	}
}

func TestNextOfNone(t *testing.T) {
	t.Parallel()
	schedule := parse(t, "0 3 * * *")
	assert.Empty(t, schedule.Next(date("2026-08-01"), 0))
	assert.Empty(t, schedule.Next(date("2026-08-01"), -1))
}

func TestZeroScheduleIsNone(t *testing.T) {
	t.Parallel()
	var none cron.Schedule
	assert.Empty(t, none.String())
	assert.Empty(t, none.Words())
	assert.Empty(t, none.Next(date("2026-08-01"), 3))
	assert.False(t, none.MoreThanHourly())
}

func TestMoreThanHourly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"* * * * *":        true,
		"*/30 * * * *":     true,
		"0,59 3 * * *":     true,
		"10-11 0 1 1 *":    true,
		"0 * * * *":        false,
		"59 0,1 * * *":     false,
		"3,3 */2 * * *":    false,
		"59-59/5 * 1 * 1":  false,
		"59/5 * * * *":     false,
		"? 3 * * *":        true,
		"0 0-23 1-31 ? 2":  false,
		"00,0 3 * JAN sun": false,
	} {
		assert.Equal(t, want, parse(t, text).MoreThanHourly(), text)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "* * * * *", "0 3 * * *", "*/15 9-17 * * MON-FRI", "0 0 29 2 *", "0 0 30 2 *", "0 0 31 2,4 *", "0 0 13 * fri", "0 0 */2 * */2",
		"@daily", "@every 1h", "@", "TZ=0", "CRON_TZ=UTC 0 3 * * *", "0 3 * * 7", "? ? ? ? ?", "5-1 * * * *", "*/0 * * * *", ", , , , ,", "1,2 3,4 5-6/2 JAN,feb/3 sun",
		"59 0 1 1 0/6", "0 0 0 3 * * *", "0\u00a03 * * *", "\"0 3 * * *\"", "3 0-4,6-9 * * *", "1-59/2 */2 31 * *",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		schedule, err := cron.Parse(text)
		if err != nil {
			var wrong *cron.Error
			require.ErrorAs(t, err, &wrong)
			require.NotEmpty(t, wrong.Summary)
			require.NotEmpty(t, wrong.Remedy)
			require.NotContains(t, wrong.Summary, "is not a schedule", "the library refuses what we do not")
			require.Less(t, len(err.Error()), 500)
			require.NotContains(t, err.Error(), "\n")
			require.Zero(t, schedule)
			return
		}
		require.Equal(t, schedule, parse(t, schedule.String()))
		require.Regexp(t, `^[0-9*,/-]+( [0-9*,/-]+){4}$`, schedule.String())
		read := judgeText(text)
		for _, start := range []string{"0001-01-01", "2026-08-01", "2096-03-01"} {
			next := schedule.Next(date(start), 1)
			require.Len(t, next, 1)
			require.False(t, next[0].After(date(start).AddDate(8, 0, 0)), next)
			require.Equal(t, read.next(date(start), 1), next)
		}
		requireSame(t, read, judgeWords(t, schedule.Words()), schedule.Words())
	})
}
