package setup

import (
	"errors"
	"regexp"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

// Why Found finds nothing.
var (
	ErrNoClone  = errors.New("it clones no repository of Bitbucket over HTTPS")
	ErrNoSecret = errors.New("it clones without a secret")
	ErrPartial  = errors.New("its clone is a part of a longer command")
)

// Found is what existing commands amount to, as Merge would be told it: the clones, of
// one server, that say the same of secret, way and depth as the first one with a secret,
// and the user's own commands. These are not known where they do not stand as Merge puts
// them. Of several variables that may hold the token, one of listed is taken.
func Found(existing, listed []string) (clones []Clone, user []string, known bool, err error) {
	found, _ := read(existing)
	if len(found) == 0 {
		return nil, nil, false, ErrNoClone
	}
	why := ErrNoSecret
	for _, o := range found {
		c := Clone{Repository: o.Repository, Secret: secretIn(o.with, listed), Kind: o.Kind, Auth: Helper, Branch: o.Branch, Depth: o.depth, Guess: true}
		if o.own {
			c.Auth = URL
		}
		switch {
		case c.Secret == "":
			continue
		case !Clones(o.Command, o.Repository):
			why = ErrPartial
			continue
		}
		if len(clones) == 0 || c.joins(clones) {
			clones = append(clones, c)
		}
	}
	if len(clones) == 0 {
		return nil, nil, false, why
	}
	user, known = own(existing, clones)
	return clones, user, known, nil
}

// joins reports whether one entry can say both what others say and c.
func (c Clone) joins(others []Clone) bool {
	first := others[0]
	return c.Repository.Origin() == first.Repository.Origin() && c.Secret == first.Secret && c.Auth == first.Auth && c.Depth == first.Depth && c.Branch == "" &&
		!slices.ContainsFunc(others, func(o Clone) bool { return o.Repository.Same(c.Repository) })
}

// own are the commands beside clones and logins, as the user has written them, and
// whether all of them are inside the primary repository.
func own(existing []string, clones []Clone) (user []string, known bool) {
	home := clones[0].Repository
	for _, command := range existing {
		isClone := slices.ContainsFunc(clones, func(c Clone) bool { return Clones(command, c.Repository) })
		if isClone || logsIn(command, home.Origin()) {
			continue
		}
		inner, ok := shell.Inside(home.Directory(), command)
		if !ok {
			return nil, false
		}
		user = append(user, inner)
	}
	return user, true
}

// expansion finds variables that are read, in quotes too that another shell reads.
var expansion = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// secretIn is the variable that holds the token in the text of a clone or login, empty
// for none: the first of listed, else the first one.
func secretIn(text string, listed []string) string {
	first := ""
	for _, match := range expansion.FindAllStringSubmatch(text, -1) {
		switch name := match[1]; {
		case slices.Contains(listed, name):
			return name
		case first == "":
			first = name
		}
	}
	return first
}
