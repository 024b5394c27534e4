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

// The modes.
const (
	Apply   Mode = "apply"
	Plan    Mode = "plan"    // what apply would do
	Test    Mode = "test"    // the smoke test of an existing environment, and nothing else
	Rotate  Mode = "rotate"  // the value of the secret, and nothing else
	Destroy Mode = "destroy" // the environment, and with DeleteSecret the secret
)

// Job is what belongs to the whole run of the program, and its entries.
type Job struct {
	Mode    Mode
	DryRun  bool    // show the plan and write nothing; always in the mode plan
	Entries []Entry // one from the inputs, or those of the manifest that this job is about; none when those could not be read

	Others []Entry // those of the manifest that this job is not about

	Manifest    string // its path; empty: the entry is from the inputs
	Concurrency int    // environments that are worked on at a time
	Shard       Shard  // the zero value is the whole manifest

	SmokeTestMax     int // most agents that the job starts
	SmokeTestTimeout time.Duration

	Rotation Rotation

	ExpiryWarning time.Duration
	FailOnExpiry  bool

	DeleteSecret bool // of the mode destroy: the secret too
	Force        bool // of the mode destroy: whatever uses the environment

	DetailedExitcode bool
	OutputFile       string
	ReportFile       string // ends in .json, .xml or .md

	// Pasted is what looks like a token and is none of the job's: in an input that is
	// shown and in a secret's place, which are refused, and in variables that are no input.
	Pasted []sensitive.String

	// Variables are the names of those that the manifest reads tokens from.
	Variables []string
	Factory   *Factory           // nil: none
	hidden    []sensitive.String // tokens of a manifest, those of entries that the job leaves out too

	WarpAPIKey    sensitive.String
	WarpServerURL *url.URL
	CACertificate []byte // PEM
}

// Entry is what belongs to one environment and its secret.
type Entry struct {
	Place string // in the manifest, oz-environments.yml:12; empty without one

	Repositories []bitbucket.Repository // the first is the primary one; none only in the modes test, rotate and destroy
	Flavor       bitbucket.Flavor       // empty only in those: any
	Token        sensitive.String       // empty only in the modes plan, test and destroy, or where Mint has a password
	TokenKind    bitbucket.TokenKind
	KindCertain  bool // false: TokenKind is a guess
	Branch       string
	CloneDepth   int // 0: all history
	CloneAuth    setup.Auth
	VerifyToken  bool
	RequireWrite bool
	AllowHTTP    bool
	TrustedHosts []string // origins, https://host[:port], beside those of Repositories

	SecretName      string // empty only in the modes test and destroy: what the environment uses
	SecretNameGiven bool   // false: SecretName is the default
	OnSharedSecret  OnSharedSecret
	Scope           warp.OwnerType
	Team            string

	EnvironmentID      string
	EnvironmentName    string // empty only with EnvironmentID: the name stays
	Description        string
	DockerImage        string
	SetupCommands      []string // the user's own
	SetupCommandsGiven bool     // false: existing commands stay
	EnvironmentSecrets []string

	SmokeTest        bool
	SmokeTestAll     bool // of a rotation: each environment, not the first alone
	SmokeTestChanged bool // with SmokeTest: only where something changed, and in one environment of each secret that was written
	SmokeTestPrompt  string
	SmokeTestModel   string

	Schedule *Schedule // nil: schedules stay as they are

	TokenExpiresAt time.Time // zero: not known

	// Warnings are what is allowed and seldom meant, a sentence each.
	Warnings []string
}

// Schedule is a scheduled agent in the environment.
type Schedule struct {
	Cron    string // five fields, UTC; empty only in the mode destroy, which finds a schedule by its name
	Prompt  string
	Name    string // empty: the environment's
	Enabled bool   // false: it is paused
}

// OnSharedSecret is what happens when a token that is about to be stored does not
// serve everyone who reads the secret.
type OnSharedSecret string

// The values of the input on_shared_secret.
const (
	Fail OnSharedSecret = "fail"
	Warn OnSharedSecret = "warn"
)

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

// Secrets are the values that nobody may see, each once, those that are not empty.
func (j Job) Secrets() []sensitive.String {
	all := append([]sensitive.String{j.WarpAPIKey, j.Rotation.PreviousToken, j.Rotation.Password}, slices.Concat(j.Pasted, j.hidden)...)
	for _, e := range j.Entries {
		all = append(all, e.Token)
	}
	known := map[string]bool{"": true}
	return slices.DeleteFunc(all, func(secret sensitive.String) bool {
		text := secret.Reveal()
		defer func() { known[text] = true }()
		return known[text]
	})
}

// Trusts reports whether the inputs say that a token may be sent to the server of a
// repository: they trust its origin, and its flavor is theirs.
func (e Entry) Trusts(r bitbucket.Repository) bool {
	return (e.Flavor == "" || e.Flavor == r.Flavor) && e.TrustsOrigin(r.Origin())
}

// TrustsOrigin reports whether the inputs say that a token may be sent to an origin:
// they name it, or it is bitbucket.org and the flavor is Cloud's. What the setup
// commands of an environment name is never enough, for whoever may edit the environment
// may write them.
func (e Entry) TrustsOrigin(origin string) bool {
	return origin == cloudOrigin && e.Flavor == bitbucket.Cloud || slices.Contains(e.TrustedHosts, origin) ||
		slices.ContainsFunc(e.Repositories, func(own bitbucket.Repository) bool { return own.Origin() == origin })
}

// Primary is the repository in which setup commands run and agents work; the
// zero Repository when no URL was understood.
func (e Entry) Primary() bitbucket.Repository {
	if len(e.Repositories) == 0 {
		return bitbucket.Repository{}
	}
	return e.Repositories[0]
}
