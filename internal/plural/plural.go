// Package plural writes a number with its noun.
package plural

import (
	"strconv"
	"strings"
)

// Of returns a number and its noun: "1 repository", "2 repositories", "0 other branches". The
// given noun is singular and may have an adjective before it.
func Of(n int, noun string) string {
	text := strconv.Itoa(n) + " " + noun
	switch {
	case n == 1:
		return text
	case endsIn(noun, "y") && !endsIn(noun, "ay", "ey", "oy", "uy"):
		return strings.TrimSuffix(text, "y") + "ies"
	case endsIn(noun, "s", "x", "ch", "sh"):
		return text + "es"
	}
	return text + "s"
}

func endsIn(noun string, endings ...string) bool {
	for _, ending := range endings {
		if strings.HasSuffix(noun, ending) {
			return true
		}
	}
	return false
}
