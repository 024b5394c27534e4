package action

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

// target is an environment that a rotation reaches, and what it clones with the
// secret.
type target struct {
	reconcile.Candidate
	uses []setup.Use
}

// radius is what a rotation reaches.
type radius struct {
	targets      []target
	repositories []bitbucket.Repository // each once, in the order of the targets
	kind         bitbucket.TokenKind    // as which the environments present the token
	warnings     []string
}

// reach decides what a rotation has to check: the environments that use the
// secret, narrowed by the inputs. It is pure. It fails where one token cannot
// serve all of them.
func reach(c config.Config, users []reconcile.Candidate) (radius, error) {
	var (
		r    radius
		left []string
	)
	for _, user := range users {
		t := target{Candidate: user}
		for _, command := range user.Model.SetupCommands() {
			t.uses = append(t.uses, setup.Uses(command, c.SecretName)...)
		}
		if !wanted(c, t) {
			left = append(left, fmt.Sprintf("%q (%s)", user.Model.Name(), user.UID))
			continue
		}
		r.targets = append(r.targets, t)
		if len(t.uses) == 0 {
			r.warnings = append(r.warnings, fmt.Sprintf("environment %q (%s) uses the secret, but clones nothing with it that this program recognises", user.Model.Name(), user.UID))
		}
		for _, use := range t.uses {
			if !slices.ContainsFunc(r.repositories, use.Repository.Same) {
				r.repositories = append(r.repositories, use.Repository)
			}
		}
	}
	if narrowed := c.EnvironmentID + c.EnvironmentName; narrowed != "" && len(r.targets) == 0 {
		return r, fmt.Errorf("environment %q does not use secret %q; %d others do", narrowed, c.SecretName, len(left))
	}
	for _, repository := range c.Repositories {
		if !slices.ContainsFunc(r.repositories, repository.Same) {
			r.repositories = append(r.repositories, repository)
		}
	}
	if len(left) > 0 {
		r.warnings = append(r.warnings, fmt.Sprintf("the inputs leave out environments that use the same secret and get the new value unchecked: %s", strings.Join(left, ", ")))
	}
	return r, r.agree(c)
}

// wanted reports whether the inputs leave an environment in.
func wanted(c config.Config, t target) bool {
	switch {
	case c.EnvironmentID != "" && t.UID != c.EnvironmentID,
		c.EnvironmentName != "" && t.Model.Name() != c.EnvironmentName:
		return false
	}
	return len(c.Repositories) == 0 || slices.ContainsFunc(t.uses, func(u setup.Use) bool {
		return slices.ContainsFunc(c.Repositories, u.Repository.Same)
	})
}

// agree checks that one token can serve the whole radius, and finds its kind.
func (r *radius) agree(c config.Config) error {
	if len(r.repositories) == 0 {
		return nil
	}
	first := r.repositories[0]
	for _, repository := range r.repositories {
		switch {
		case repository.Origin() != first.Origin():
			return fmt.Errorf("secret %q is used for several servers, %s and %s, and one token serves one: give each a secret of its own", c.SecretName, first.Origin(), repository.Origin())
		case repository.InClear() && !c.AllowHTTP:
			return fmt.Errorf("%s would send the token in clear text; use https://, or set allow_http: true", repository.CloneURL())
		}
	}
	if foreign := bitbucket.ForeignKind(first.Flavor, c.Token.HasPrefix); foreign != "" {
		return fmt.Errorf("bitbucket_token is %s, which cannot work with %s", foreign, first.Origin())
	}
	kind, certain := bitbucket.KindOf(first.Flavor, c.Token.HasPrefix)
	if c.KindCertain {
		kind, certain = c.TokenKind, true
	}
	r.kind = kind
	for _, t := range r.targets {
		for _, use := range t.uses {
			if !certain {
				r.kind, certain = use.Kind, true
			}
			if use.Kind != r.kind {
				return fmt.Errorf("environment %q (%s) clones %s with the user %s of an %s, and the new token is an %s: run apply for this environment with the new token",
					t.Model.Name(), t.UID, use.Repository, use.Kind.User(), use.Kind, r.kind)
			}
		}
	}
	return nil
}
