package setup

import (
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

// Merge returns the list of setup commands that an environment should have. The first of
// clones is the primary repository. All clones have the same server, Secret, Kind and
// Auth.
//
// When user commands are given, the list is replaced: the login, the clone commands in
// their order, then the user's, each inside the primary repository. When they are not
// given, existing stays, with these changes. The first clone command of each repository
// becomes the new one; other clone commands of that repository are removed. A missing
// clone command is added after that of the repository before it, the primary's at the
// front. The login keeps its place, but comes before every command that uses the server.
// With URL it is removed, unless another clone needs it. A clone keeps the spelling of
// owner and repository in existing commands and, when Guess is set, their form.
//
// Merging the result again changes nothing.
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
	merged = loggedIn(merged, clones)
	if given {
		for _, command := range user {
			merged = append(merged, shell.In(clones[0].Repository.Directory(), command))
		}
	}
	return merged
}

// replace returns existing with the first clone command of each repository replaced by the
// new one, and its other clone commands removed.
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

// loggedIn returns commands with one login to the server of clones. commands must hold the
// clone commands.
func loggedIn(commands []string, clones []Clone) []string {
	var kept []string
	at, needed, home := -1, false, clones[0].Repository
	for _, command := range commands {
		login := logsIn(command, home.Origin())
		if at < 0 && (login || strings.Contains(command, home.Host)) {
			at = len(kept)
		}
		if login {
			continue
		}
		found, _ := read([]string{command})
		needed = needed || len(found) == 0 && strings.Contains(command, home.Origin()) ||
			slices.ContainsFunc(found, func(c cloning) bool { return !c.own && c.Repository.Origin() == home.Origin() })
		kept = append(kept, command)
	}
	switch {
	case clones[0].Auth == Helper:
		return slices.Insert(kept, at, clones[0].LogIn()...)
	case needed:
		return commands
	}
	return kept
}

// logsIn reports whether command as a whole is a login to the server: one of LogIn, or
// a hand-written one that does nothing else.
func logsIn(command, origin string) bool {
	calls := shell.Chain(command)
	return command == strings.ReplaceAll(prepare, "ORIGIN", origin) || len(calls) > 0 && !slices.ContainsFunc(calls, func(call shell.Call) bool {
		l, ok := loginOf(call)
		return !ok || l.prefix != origin || !slices.Contains(call.Words, "--global")
	})
}

// adopted are the clones, each with the spelling and form of the first existing clone
// of its repository.
func adopted(existing []string, clones []Clone) []Clone {
	clones = slices.Clone(clones)
	found, _ := read(existing)
	for i := range clones {
		c := &clones[i]
		at := slices.IndexFunc(found, func(o cloning) bool { return o.Repository.Same(c.Repository) })
		if at < 0 {
			continue
		}
		c.Repository.Owner, c.Repository.Slug = found[at].Repository.Owner, found[at].Repository.Slug
		if c.Guess && found[at].Kind != "" {
			c.Kind, c.BearerOnly = found[at].Kind, strings.Contains(found[at].with, bearerOnly)
		}
	}
	return clones
}
