package config

import (
	"net/url"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Mode is what a run of the program is for.
type Mode string

// The modes. Rotate and Destroy are names that are taken already; this version
// refuses them.
const (
	Apply   Mode = "apply"
	Plan    Mode = "plan"
	Rotate  Mode = "rotate"
	Destroy Mode = "destroy"
)

// Config is the inputs, read and valid.
type Config struct {
	Mode Mode

	Repositories []bitbucket.Repository // at least one; the first is the primary one
	Token        sensitive.String       // empty only in a plan
	TokenKind    bitbucket.TokenKind
	KindCertain  bool // false: TokenKind is a guess
	Branch       string
	CloneDepth   int // 0: all history
	CloneAuth    setup.Auth
	VerifyToken  bool
	RequireWrite bool

	SecretName string
	Scope      warp.OwnerType
	Team       string

	EnvironmentID      string
	EnvironmentName    string // empty only with EnvironmentID: the name stays
	Description        string
	DockerImage        string
	SetupCommands      []string // the user's own
	SetupCommandsGiven bool     // false: existing commands stay
	EnvironmentSecrets []string

	SmokeTest        bool
	SmokeTestPrompt  string
	SmokeTestModel   string
	SmokeTestTimeout time.Duration

	DetailedExitcode bool
	OutputFile       string

	WarpAPIKey    sensitive.String
	WarpServerURL *url.URL
	CACertificate []byte // PEM
}

// Primary is the repository in which setup commands run and agents work; the
// zero Repository when no URL was understood.
func (c Config) Primary() bitbucket.Repository {
	if len(c.Repositories) == 0 {
		return bitbucket.Repository{}
	}
	return c.Repositories[0]
}
