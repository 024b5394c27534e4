package config

import (
	"net/url"
	"slices"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Mode is what a run of the program is for.
type Mode string

// The modes. Destroy is a name that is taken already; this version refuses it.
const (
	Apply   Mode = "apply"
	Plan    Mode = "plan"
	Rotate  Mode = "rotate"
	Destroy Mode = "destroy"
)

// Config is the inputs, read and valid.
type Config struct {
	Mode Mode

	Repositories []bitbucket.Repository // the first is the primary one; none only in a rotation
	Flavor       bitbucket.Flavor       // empty only in a rotation: any
	Token        sensitive.String       // empty only in a plan, or where Mint has a password
	TokenKind    bitbucket.TokenKind
	KindCertain  bool // false: TokenKind is a guess
	Branch       string
	CloneDepth   int // 0: all history
	CloneAuth    setup.Auth
	VerifyToken  bool
	RequireWrite bool
	AllowHTTP    bool

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
	SmokeTestAll     bool // of a rotation: each environment, not the first alone
	SmokeTestPrompt  string
	SmokeTestModel   string
	SmokeTestTimeout time.Duration

	Rotation Rotation

	TokenExpiresAt time.Time // zero: not known
	ExpiryWarning  time.Duration
	FailOnExpiry   bool

	DetailedExitcode bool
	OutputFile       string

	WarpAPIKey    sensitive.String
	WarpServerURL *url.URL
	CACertificate []byte // PEM

	// Warnings are what is allowed and seldom meant, a sentence each.
	Warnings []string
}

// Rotation is what only the mode rotate takes.
type Rotation struct {
	PreviousToken sensitive.String // empty: nothing to write back

	Mint        bool
	MintOwner   string           // "auto", "user", "project" or "repository"
	Username    string           // empty: Token manages the tokens
	Password    sensitive.String // of Username
	ExpiryDays  int
	RevokeAfter time.Duration // negative: never
}

// Secrets are the values that nobody may see, those that are not empty.
func (c Config) Secrets() []sensitive.String {
	all := []sensitive.String{c.Token, c.WarpAPIKey, c.Rotation.PreviousToken, c.Rotation.Password}
	return slices.DeleteFunc(all, sensitive.String.IsEmpty)
}

// Primary is the repository in which setup commands run and agents work; the
// zero Repository when no URL was understood.
func (c Config) Primary() bitbucket.Repository {
	if len(c.Repositories) == 0 {
		return bitbucket.Repository{}
	}
	return c.Repositories[0]
}
