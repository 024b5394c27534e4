package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/spelling"
)

// Stray is a variable of the job that is not an input but may be meant as one.
type Stray struct {
	Prefix string // INPUT_ on GitHub, else empty
	Name   string // such as REPO_ULR
	Alone  bool   // variables with this prefix are always meant as inputs
	Value  sensitive.String
}

// Mistyped warns of each variable that looks like an input, with the nearest input. It
// also lists the words in their values that look like a token.
func Mistyped(strays []Stray) (warnings []string, pasted []sensitive.String) {
	for _, s := range strays {
		name, near := s.Prefix+s.Name[:min(len(s.Name), longestName)], s.nearest()
		switch {
		case len(lookalikes(s.Name)) > 0:
			continue // never shown
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
	return slices.Compact(warnings), pasted // one warning for all elements of a list
}

// ourPrefixes, in lower case, are prefixes that other software hardly uses.
var ourPrefixes = []string{"warp_", "smoke_", "schedule_", "mint_", "bitbucket_token"}

// ofService are the variables that Kubernetes and Docker set for each service, in lower case.
//
// Source: https://kubernetes.io/docs/tutorials/services/connect-applications-service/
var ofService = regexp.MustCompile(`_(?:service_(?:host|port).*|port(?:_\d+_(?:tcp|udp|sctp).*)?)$`)

// shortName bounds the names that are one letter away from other common variables: TEAM
// from TERM, MODE from NODE. For a shorter name only two exchanged letters count as a
// typing error.
const shortName = 6

// nearest is the input that a variable may be meant for, empty for none. It is one edit
// away. A third of the letters may be wrong when the variable has one of ourPrefixes,
// or when all variables with its prefix are inputs.
func (s Stray) nearest() string {
	name := strings.ToLower(s.Name)
	if len(name) > longestName || ofService.MatchString(name) && !s.Alone {
		return ""
	}
	isOurs := s.Alone || s.Prefix != "" || slices.ContainsFunc(ourPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	nearest, least := "", longestName
	for _, input := range table {
		to := input.Name
		reach := 1
		if isOurs {
			reach = max(1, len(name)/3, len(to)/3)
		}
		if max(len(name)-len(to), len(to)-len(name)) > reach {
			continue // Edits is slow
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
