// Package credential is about a token that is stored as one secret of one owner,
// and about everyone who reads it. It is pure.
package credential

import (
	"fmt"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Credential is a token that is stored as one secret of one owner. Whoever
// overwrites it decides over everyone who reads it.
type Credential struct {
	Owner warp.Owner
	Name  string // of the secret
}

// User is an environment whose runs read the secret, and what its setup commands
// do with it.
type User struct {
	UID   string // empty: it is to be created
	Name  string
	Owner warp.Owner
	Usage setup.Usage
}

// String names the environment as messages do: `"acme-api" (En00000000000000000001)`.
func (u User) String() string {
	switch {
	case u.UID == "":
		return fmt.Sprintf("%q", u.Name)
	case u.Name == "":
		return u.UID
	}
	return fmt.Sprintf("%q (%s)", u.Name, u.UID)
}

// Clones reports whether the environment clones one of the repositories with the
// secret.
func (u User) Clones(repositories []bitbucket.Repository) bool {
	return slices.ContainsFunc(u.Usage.Uses, func(use setup.Use) bool {
		return slices.ContainsFunc(repositories, use.Repository.Same)
	})
}

// Primary is what the environment clones with the secret that agents work in:
// the first of the wanted repositories among its uses, else its first use. Ok is
// false when it clones nothing that we recognise.
func (u User) Primary(wanted ...bitbucket.Repository) (use setup.Use, ok bool) {
	for _, r := range wanted {
		at := slices.IndexFunc(u.Usage.Uses, func(use setup.Use) bool { return use.Repository.Same(r) })
		if at >= 0 {
			return u.Usage.Uses[at], true
		}
	}
	if len(u.Usage.Uses) == 0 {
		return setup.Use{}, false
	}
	return u.Usage.Uses[0], true
}

// Warnings say what cannot be understood of the way in which an environment uses
// the secret, one sentence each.
func (u User) Warnings(secret string) []string {
	switch {
	case len(u.Usage.Opaque) > 0:
		return []string{fmt.Sprintf("environment %s uses secret %q in a command that this program cannot follow; nothing proves that the token serves it", u, secret)}
	case len(u.Usage.Uses) == 0:
		return []string{fmt.Sprintf("environment %s uses secret %q, but clones nothing with it that this program recognises", u, secret)}
	}
	return nil
}

// Repositories are what the environments clone with the secret, each once, in
// their order.
func Repositories(users []User) []bitbucket.Repository {
	var found []bitbucket.Repository
	for _, user := range users {
		for _, use := range user.Usage.Uses {
			if !slices.ContainsFunc(found, use.Repository.Same) {
				found = append(found, use.Repository)
			}
		}
	}
	return found
}

// OneServer fails where the secret is used for several servers: a token serves
// one, and must not be sent to another.
func (c Credential) OneServer(repositories []bitbucket.Repository) error {
	for _, r := range repositories {
		if first := repositories[0]; r.Origin() != first.Origin() {
			return fmt.Errorf("secret %q is used for several servers, %s and %s, and one token serves one: give each a secret of its own", c.Name, first.Origin(), r.Origin())
		}
	}
	return nil
}

// Narrow says which of the environments a job is about. The zero value is about
// all of them.
type Narrow struct {
	UID, Name    string
	Repositories []bitbucket.Repository // those that clone one of these
}

// Split separates the environments that the job is about from the others, in
// their order.
func (n Narrow) Split(users []User) (in, out []User) {
	for _, user := range users {
		if n.holds(user) {
			in = append(in, user)
		} else {
			out = append(out, user)
		}
	}
	return in, out
}

func (n Narrow) holds(u User) bool {
	switch {
	case n.UID != "" && u.UID != n.UID, n.Name != "" && u.Name != n.Name:
		return false
	}
	return len(n.Repositories) == 0 || u.Clones(n.Repositories)
}

// Need is a clone that an environment makes with the secret.
type Need struct {
	User User
	Use  setup.Use
	// Never is why the token must not be presented for it; nil: it may.
	Never error
}

// Needs are what the environments clone with the secret. A token is for one
// server, the home: it is not shown to another one, nor sent in clear text, unless
// inClear admits it.
func (c Credential) Needs(users []User, home bitbucket.Repository, inClear bool) []Need {
	var needs []Need
	for _, user := range users {
		for _, use := range user.Usage.Uses {
			need := Need{User: user, Use: use}
			switch r := use.Repository; {
			case r.Origin() != home.Origin():
				need.Never = fmt.Errorf("it clones %s with secret %q, and the token is for %s: one token serves one server", r.CloneURL(), c.Name, home.Origin())
			case r.InClear() && !inClear:
				need.Never = fmt.Errorf("it clones %s, which would send the token in clear text; use https://, or set allow_http: true", r.CloneURL())
			}
			needs = append(needs, need)
		}
	}
	return needs
}

// WayOut says what to do when a token does not serve everyone who reads the
// secret. Own is the repository that the job is about, the zero Repository for
// none.
func (c Credential) WayOut(own bitbucket.Repository) string {
	text := "give a token that serves all of them"
	if own != (bitbucket.Repository{}) {
		text = "give this repository a secret of its own, such as secret_name: " + own.SecretName(c.Name) + ", or a token that serves all of them"
	}
	return text + "; delete an environment that nobody needs any more; on_shared_secret: warn overwrites the secret all the same"
}
