package action

import (
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

// desired maps the inputs, and what the proof of the token learnt about it, to
// the state that Oz shall have. It is pure.
func desired(c config.Config, proof preflight.Proof) reconcile.Desired {
	clones := clones(c, proof)
	return reconcile.Desired{
		Scope:           c.Scope,
		Team:            c.Team,
		SecretName:      c.SecretName,
		EnvironmentID:   c.EnvironmentID,
		EnvironmentName: c.EnvironmentName,
		Description:     c.Description,
		DockerImage:     c.DockerImage,
		Expires:         c.TokenExpiresAt,
		Secrets:         c.EnvironmentSecrets,
		SetupCommands: func(existing []string) []string {
			return setup.Merge(existing, clones, c.SetupCommands, c.SetupCommandsGiven)
		},
		Variables: setup.Variables,
	}
}

// clones are what the clone commands are made of, the primary repository's
// first.
func clones(c config.Config, proof preflight.Proof) []setup.Clone {
	clones := make([]setup.Clone, len(c.Repositories))
	for i, repository := range c.Repositories {
		clones[i] = setup.Clone{
			Repository: repository,
			Secret:     c.SecretName,
			Kind:       proof.Kind,
			Auth:       c.CloneAuth,
			Depth:      c.CloneDepth,
			BearerOnly: proof.BearerOnly,
		}
	}
	clones[0].Branch = c.Branch
	return clones
}

// secretNames are the secrets that the smoke test's run reads, as every run in
// the environment may.
func secretNames(c config.Config) []string {
	return append([]string{c.SecretName}, c.EnvironmentSecrets...)
}
