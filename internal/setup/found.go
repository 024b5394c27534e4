package setup

import (
	"errors"
	"regexp"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

// The reasons why Found finds nothing.
var (
	ErrNoClone  = errors.New("it clones no Bitbucket repository over HTTPS")
	ErrNoSecret = errors.New("it clones without a secret")
	ErrPartial  = errors.New("its clone is part of a longer command")
)

// Found reads existing commands into the arguments that Merge needs to produce them. The
// clones are of one server, and have the secret, Auth and depth of the first clone with
// a secret. The user's own commands are not known when they are not in the form that
// Merge writes. When several variables may hold the token, one of listed is chosen.
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

// joins reports whether one entry can describe c together with others.
func (c Clone) joins(others []Clone) bool {
	first := others[0]
	return c.Repository.Origin() == first.Repository.Origin() && c.Secret == first.Secret && c.Auth == first.Auth && c.Depth == first.Depth && c.Branch == "" &&
		!slices.ContainsFunc(others, func(o Clone) bool { return o.Repository.Same(c.Repository) })
}

// own returns the commands other than clones and logins, as the user wrote them. known is
// false when one of them does not run inside the primary repository.
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

// expansion finds variables that are expanded, also in quotes that another shell
// expands.
var expansion = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// secretIn returns the variable that holds the token in the text of a clone or login: the
// first that is in listed, else the first one, "" when there is none.
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
