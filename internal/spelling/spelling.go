// Package spelling finds the name that a mistyped one was meant for. It is pure.
package spelling

// longestName bounds the names that are compared: Edits is slow.
const longestName = 64

// Nearest is the name for which a mistyped one may be meant: at most a third of its
// letters are wrong. It is empty for none.
func Nearest(name string, names []string) string {
	if len(name) > longestName {
		return ""
	}
	nearest, least := "", longestName
	for _, to := range names {
		reach := max(1, len(name)/3, len(to)/3)
		if max(len(name)-len(to), len(to)-len(name)) > reach {
			continue
		}
		if away := Edits(name, to); away <= reach && away < least {
			nearest, least = to, away
		}
	}
	return nearest
}

// Edits is how many letters of a must be changed, inserted, removed or exchanged with
// the next one to get b: the optimal string alignment distance.
func Edits(a, b string) int {
	width := len(b) + 1
	rows := make([]int, 3*width) // from the last three beginnings of a to each of b
	for j := range width {
		rows[j] = j
	}
	before, last, row := rows[2*width:], rows[:width:width], rows[width:2*width]
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
