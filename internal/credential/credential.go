// Package credential describes a token that is stored as one secret of one owner, and
// the environments that read it. It is pure.
package credential

import (
	"fmt"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Credential is a token that is stored as one secret of one owner. Overwriting it
// affects every environment that reads it.
type Credential struct {
	Owner warp.Owner
	Name  string // of the secret
}

// User is an environment whose runs read the secret, and how its setup commands use the
// secret.
type User struct {
	UID   string // empty: the environment does not exist yet
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

// Primary is the clone with the secret in which agents work: of the first wanted
// repository that the environment clones, else its first clone. Ok is false when no
// clone is recognised.
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

// Warnings say, a sentence each, which uses of the secret this program does not
// understand.
func (u User) Warnings(secret string) []string {
	switch {
	case len(u.Usage.Opaque) > 0:
		return []string{fmt.Sprintf("environment %s uses secret %q in a command that this program cannot follow; so it is not proved that the token works there", u, secret)}
	case len(u.Usage.Uses) == 0:
		return []string{fmt.Sprintf("environment %s uses secret %q, but this program recognises no clone command that uses it", u, secret)}
	}
	return nil
}

// Repositories are the repositories that the environments clone with the secret, each
// once, in their order.
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

// OneServer fails when the secret is used for several servers: a token is for one, and
// must not be sent to another.
func (c Credential) OneServer(repositories []bitbucket.Repository) error {
	for _, r := range repositories {
		if first := repositories[0]; r.Origin() != first.Origin() {
			return fmt.Errorf("secret %q is used for several servers, %s and %s, but a token is for one server: give each server a secret of its own", c.Name, first.Origin(), r.Origin())
		}
	}
	return nil
}

// Narrow selects the environments that a job works on. The zero value selects all.
type Narrow struct {
	UID, Name    string
	Repositories []bitbucket.Repository // select environments that clone one of these
}

// Split separates the selected environments from the others, and keeps their order.
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
	// Never says why the token must not be sent for this clone; nil: it may be sent.
	Never error
}

// Needs are the clones that the environments make with the secret. The token is for one
// server, that of home. It must not be sent to another server, nor in clear text unless
// inClear allows that.
func (c Credential) Needs(users []User, home bitbucket.Repository, inClear bool) []Need {
	var needs []Need
	for _, user := range users {
		for _, use := range user.Usage.Uses {
			need := Need{User: user, Use: use}
			switch r := use.Repository; {
			case r.Origin() != home.Origin():
				need.Never = fmt.Errorf("it clones %s with secret %q, but the token is for %s: a token is for one server", r.CloneURL(), c.Name, home.Origin())
			case r.InClear() && !inClear:
				need.Never = fmt.Errorf("it clones %s, which would send the token in clear text; use https://, or set allow_http: true", r.CloneURL())
			}
			needs = append(needs, need)
		}
	}
	return needs
}

// WayOut says what to do when a token does not serve every environment that reads the
// secret. Own is the job's own repository, zero for none.
func (c Credential) WayOut(own bitbucket.Repository) string {
	text := "give a token that serves all of them"
	if own != (bitbucket.Repository{}) {
		text = "give this repository a secret of its own, such as secret_name: " + own.SecretName(c.Name) + ", or a token that serves all of them"
	}
	return text + "; or delete an environment that is no longer needed; or overwrite the secret anyway with on_shared_secret: warn"
}
