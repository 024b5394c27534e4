package action

import (
	"cmp"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

// desired maps an entry of a job, with the proof of its token, to the state that Oz should
// have. It is pure. The zero Proof means that there is no proof.
func desired(job config.Job, e config.Entry, proof preflight.Proof) reconcile.Desired {
	clones := clones(e, proof)
	return reconcile.Desired{
		Scope:           e.Scope,
		Team:            e.Team,
		SecretName:      e.SecretName,
		Repositories:    e.Repositories,
		EnvironmentID:   e.EnvironmentID,
		EnvironmentName: e.EnvironmentName,
		Description:     e.Description,
		DockerImage:     e.DockerImage,
		Secrets:         e.EnvironmentSecrets,
		SecretGiven:     e.SecretNameGiven,
		NoEnvironment:   job.Factory != nil && job.Factory.Runner != "",
		Schedule:        schedule(e.Schedule),
		SetupCommands: func(existing []string) []string {
			return setup.Merge(existing, clones, e.SetupCommands, e.SetupCommandsGiven)
		},
		Variables:    shell.Variables,
		DeleteSecret: job.DeleteSecret,
		Force:        job.Force,
	}
}

// schedule maps the scheduled agent of the inputs; nil when there is none.
func schedule(s *config.Schedule) *reconcile.DesiredSchedule {
	if s == nil {
		return nil
	}
	return &reconcile.DesiredSchedule{Name: s.Name, Cron: s.Cron, Prompt: s.Prompt, Enabled: s.Enabled}
}

// clones returns what the clone commands are made from, the primary repository first.
func clones(e config.Entry, proof preflight.Proof) []setup.Clone {
	clones := make([]setup.Clone, len(e.Repositories))
	for i, repository := range e.Repositories {
		clones[i] = setup.Clone{
			Repository: repository,
			Secret:     e.SecretName,
			Kind:       cmp.Or(proof.Kind, e.TokenKind),
			Auth:       e.CloneAuth,
			Depth:      e.CloneDepth,
			BearerOnly: proof.BearerOnly,
			Guess:      proof.Kind == "" && !(e.Flavor == bitbucket.Cloud && e.KindCertain),
		}
	}
	if len(clones) > 0 {
		clones[0].Branch = e.Branch
	}
	return clones
}

// mode maps a mode of the inputs to a mode of plans.
func mode(m config.Mode) reconcile.Mode {
	switch m {
	case config.Rotate:
		return reconcile.Rotation
	case config.Test:
		return reconcile.Verification
	case config.Destroy:
		return reconcile.Removal
	}
	return reconcile.Provision
}
