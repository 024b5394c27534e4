package cron_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWords(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"* * * * *", "every minute"},
		{"*/1 0-23 ? 1-12 SUN-SAT", "every minute"},
		{"*/15 * * * *", "every 15 minutes"},
		{"0,15,30,45 * * * *", "every 15 minutes"},
		{"*/30 * * * *", "every 30 minutes"},
		{"5-59/15 * * * *", "at 5, 20, 35 and 50 minutes past every hour"},
		{"*/25 * * * *", "at 0, 25 and 50 minutes past every hour"},
		{"0-9,12,13,59 * * * *", "at 0 to 9, 12, 13 and 59 minutes past every hour"},
		{"0 * * * *", "every hour"},
		{"1 * * * *", "at 1 minute past every hour"},
		{"3 * * * *", "at 3 minutes past every hour"},

		{"0 3 * * *", "every day at 03:00 UTC"},
		{"0 9,13,17 * * *", "every day at 09:00, 13:00 and 17:00 UTC"},
		{"0,30 9 * * *", "every day at 09:00 and 09:30 UTC"},
		{"0 */4 * * *", "every day at 00:00, 04:00, 08:00, 12:00, 16:00 and 20:00 UTC"},
		{"0 */3 * * *", "every 3 hours from 00:00 UTC"},
		{"7 1-23/2 * * *", "every 2 hours from 01:07 UTC"},
		{"0 9-17 * * *", "every hour from 09:00 to 17:00 UTC"},
		{"3 0-4,6,8-9 * * *", "every hour from 00:03 to 04:03, at 06:03 and every hour from 08:03 to 09:03 UTC"},
		{"*/5 9 * * *", "every 5 minutes from 09:00 to 09:59 UTC"},
		{"* 9-11,17 * * *", "every minute from 09:00 to 11:59 and from 17:00 to 17:59 UTC"},
		{"*/20 */2 * * *", "every 20 minutes in every 2nd hour from 00:00 UTC"},
		{"*/20 2/6 * * *", "every 20 minutes in every 6th hour from 02:00 UTC"},
		{"*/20 */8 * * *", "every 20 minutes from 00:00 to 00:59, from 08:00 to 08:59 and from 16:00 to 16:59 UTC"},

		{"0 9 * * MON-FRI", "on Monday to Friday at 09:00 UTC"},
		{"0 9 * * 1-5", "on Monday to Friday at 09:00 UTC"},
		{"30 9 * * 1", "on Monday at 09:30 UTC"},
		{"0 9 * * sat,sun", "on Saturday and Sunday at 09:00 UTC"},
		{"0 9 * * 0,2,4", "on Tuesday, Thursday and Sunday at 09:00 UTC"},
		{"0 9 * * 1-6", "on Monday to Saturday at 09:00 UTC"},
		{"0 9 * JUN fri", "on Friday in June at 09:00 UTC"},
		{"0 9 * jun-aug,12 *", "every day in June to August and December at 09:00 UTC"},
		{"*/15 9-17 * * MON-FRI", "on Monday to Friday, every 15 minutes from 09:00 to 17:59 UTC"},
		{"* * * * MON", "on Monday, every minute from 00:00 to 23:59 UTC"},
		{"3 * * * MON", "on Monday, every hour from 00:03 to 23:03 UTC"},
		{"0 */2 * 6 *", "every day in June, every 2 hours from 00:00 UTC"},

		{"0 0 1 * *", "on the 1st of every month at 00:00 UTC"},
		{"0 0 2,3,11-13,21-23 * *", "on the 2nd, 3rd, 11th to 13th and 21st to 23rd of every month at 00:00 UTC"},
		{"0 0 28 * *", "on the 28th of every month at 00:00 UTC"},
		{"0 0 29 * *", "on the 29th of every month that has one at 00:00 UTC"},
		{"0 0 31 * *", "on the 31st of every month that has one at 00:00 UTC"},
		{"0 0 30,31 * *", "on the 30th and 31st of every month at 00:00 UTC"},
		{"0 0 29 2 *", "on 29 February at 00:00 UTC"},
		{"0 0 1 */3 *", "on the 1st of January, April, July and October at 00:00 UTC"},
		{"0 0 1,15 MAR *", "on the 1st and 15th of March at 00:00 UTC"},

		{"0 0 13 * FRI", "on the 13th of every month and on every Friday at 00:00 UTC"},
		{"0 0 13 6 1-5", "on 13 June and on every Monday to Friday in June at 00:00 UTC"},
		{"0 0 1 6,7 FRI", "on the 1st of June and July and on every Friday in June and July at 00:00 UTC"},
		{"0 0 */2 * */2", "on the 1st, 3rd, 5th, 7th, 9th, 11th, 13th, 15th, 17th, 19th, 21st, 23rd, 25th, 27th, 29th and 31st of every month and on every Tuesday, Thursday, Saturday and Sunday at 00:00 UTC"},
		{"0 0 1-31 * FRI", "every day at 00:00 UTC"},
		{"0 0 13 * 0-6", "every day at 00:00 UTC"},
		{"0 0 13 * ?", "on the 13th of every month at 00:00 UTC"},
		{"0 0 * * 5,5", "on Friday at 00:00 UTC"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, parse(t, tt.text).Words())
			requireSame(t, judgeText(tt.text), judgeWords(t, tt.want), tt.want)
		})
	}
}
