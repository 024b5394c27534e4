package shell

import "strings"

// Inside undoes In: it is the shortest command for which In returns this one for a
// directory, false when there is none.
func Inside(directory, command string) (inner string, ok bool) {
	rest, found := strings.CutPrefix(command, "cd "+Quote("./"+directory)+" && ")
	if !found {
		return "", false
	}
	inner = rest
	if word, evals := strings.CutPrefix(rest, "eval "); evals && !IsAndList(unquoted(word)) {
		inner = unquoted(word)
	}
	return inner, In(directory, inner) == command
}

// unquoted removes the quotes that Quote adds.
func unquoted(word string) string {
	if len(word) < 2 || word[0] != '\'' || word[len(word)-1] != '\'' {
		return word
	}
	return strings.ReplaceAll(word[1:len(word)-1], `'\''`, "'")
}
