package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/spelling"
)

// Stray is a variable of the job that is no input and stands where one may.
type Stray struct {
	Prefix string // of the inputs' variables there: INPUT_, or none
	Name   string // REPO_ULR
	Alone  bool   // only inputs stand there
	Value  sensitive.String
}

// Mistyped warns of the variables that look like an input, a sentence each with the
// nearest one, and lists what looks like a token in their values.
func Mistyped(strays []Stray) (warnings []string, pasted []sensitive.String) {
	for _, s := range strays {
		name, near := s.Prefix+s.Name[:min(len(s.Name), longestName)], s.nearest()
		switch {
		case len(lookalikes(s.Name)) > 0:
			continue // and so is never shown
		case near != "":
			warnings = append(warnings, fmt.Sprintf("%s is set, and there is no such input; the nearest is %s (%s)", name, near, s.Prefix+strings.ToUpper(near)))
		case s.Alone && s.Prefix != "":
			warnings = append(warnings, name+" is set, and there is no such input; take it out (--help lists the inputs)")
		default:
			continue
		}
		for _, found := range lookalikes(s.Value.Reveal()) {
			pasted = append(pasted, sensitive.New(found.word))
		}
	}
	slices.Sort(warnings)
	return slices.Compact(warnings), pasted // of a list's elements, one
}

// ourPrefixes begin variables that hardly anybody else has.
var ourPrefixes = []string{"WARP_", "SMOKE_", "SCHEDULE_", "MINT_", "BITBUCKET_TOKEN"}

// ofService is what Kubernetes and Docker name after each service beside a job.
//
// Source: https://kubernetes.io/docs/tutorials/services/connect-applications-service/
var ofService = regexp.MustCompile(`_(?:SERVICE_(?:HOST|PORT).*|PORT(?:_\d+_(?:TCP|UDP|SCTP).*)?)$`)

// shortName is the length below which an input's name is one letter away from ordinary
// words: TEAM from TERM, MODE from NODE. There two letters must be exchanged.
const shortName = 6

// nearest is the input that a variable may be meant for, empty for none. Where other
// software has variables too, it is one edit away, or begins as only ours do. Then,
// and where only inputs stand, a third of the letters may be wrong.
func (s Stray) nearest() string {
	name := strings.ToUpper(s.Name)
	if len(name) > longestName || ofService.MatchString(name) && !s.Alone {
		return ""
	}
	isOurs := s.Alone || s.Prefix != "" || slices.ContainsFunc(ourPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	nearest, least := "", longestName
	for _, input := range Inputs() {
		to := strings.ToUpper(input.Name)
		reach := 1
		if isOurs {
			reach = max(1, len(name)/3, len(to)/3)
		}
		if max(len(name)-len(to), len(to)-len(name)) > reach {
			continue // also because Edits takes its time
		}
		away := spelling.Edits(name, to)
		isWord := !isOurs && len(to) < shortName && away > 0 && !sameLetters(name, to)
		if away <= reach && away < least && !isWord {
			nearest, least = input.Name, away
		}
	}
	return nearest
}

func sameLetters(a, b string) bool {
	return slices.Equal(slices.Sorted(slices.Values([]byte(a))), slices.Sorted(slices.Values([]byte(b))))
}
