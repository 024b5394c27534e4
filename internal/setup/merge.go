package setup

import (
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Merge is the list of setup commands that an environment should have. The
// first of clones is the primary repository.
//
// When user commands are given, the list is made anew: the clone commands in
// their order, then the user's, each inside the primary repository. When they
// are not, existing is kept as it is, but that each clone command of one of the
// repositories becomes the new one where it stands, a second one of the same
// repository goes, and one that is missing comes after the clone of the
// repository before it, the primary's at the front.
//
// A clone keeps what an existing command of its repository shows: how owner and
// repository are spelled, and where the form is a guess, the form.
//
// Merging again what came out changes nothing.
func Merge(existing []string, clones []Clone, user []string, given bool) []string {
	clones = adopted(existing, clones)
	var merged []string
	if !given {
		merged = replace(existing, clones)
	}
	next := 0
	for _, clone := range clones {
		command := clone.Command()
		at := slices.Index(merged, command)
		if at < 0 {
			at = next
			merged = slices.Insert(merged, at, command)
		}
		next = at + 1
	}
	if given {
		for _, command := range user {
			merged = append(merged, In(clones[0].Repository.Directory(), command))
		}
	}
	return merged
}

// replace is existing with every clone command of clones' repositories replaced
// by the new one, the first time, or dropped.
func replace(existing []string, clones []Clone) []string {
	var replaced []string
	for _, command := range existing {
		i := slices.IndexFunc(clones, func(c Clone) bool { return Clones(command, c.Repository) })
		if i >= 0 {
			command = clones[i].Command()
			if slices.Contains(replaced, command) {
				continue
			}
		}
		replaced = append(replaced, command)
	}
	return replaced
}

// adopted are the clones, with what the first existing command of each one's
// repository shows.
func adopted(existing []string, clones []Clone) []Clone {
	clones = slices.Clone(clones)
	for i, clone := range clones {
		at := slices.IndexFunc(existing, func(command string) bool { return Clones(command, clone.Repository) })
		if at >= 0 {
			clones[i] = clone.adopt(existing[at])
		}
	}
	return clones
}

// adopt is the clone with what a command of its repository shows.
func (c Clone) adopt(command string) Clone {
	for _, word := range wordsOfCommand(command) {
		if r, ok := cloned(word); ok && r.Same(c.Repository) {
			c.Repository.Owner, c.Repository.Slug = r.Owner, r.Slug
		}
	}
	if !c.Guess {
		return c
	}
	for _, kind := range c.Repository.Flavor.TokenKinds() {
		if c.Repository.Flavor == bitbucket.Cloud && presents(command, kind) {
			c.Kind = kind
		}
	}
	c.BearerOnly = strings.Contains(command, bearerCheck)
	return c
}
