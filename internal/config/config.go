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

// Job is what the inputs say about a whole run of the program. Its entries say the
// rest.
type Job struct {
	Mode    Mode
	DryRun  bool    // show the plan and write nothing; always in the mode plan
	Entries []Entry // one from the inputs, or the manifest's entries that this job works on; none when they could not be read

	Others []Entry // the manifest's other entries

	Manifest    string // path of the manifest; empty: the entry is from the inputs
	Concurrency int    // environments that the job works on at a time
	Shard       Shard  // the zero value is the whole manifest

	SmokeTestMax     int // most agents that the job starts
	SmokeTestTimeout time.Duration

	Rotation Rotation

	ExpiryWarning time.Duration
	FailOnExpiry  bool

	DeleteSecret bool // mode destroy: delete the secret too
	Force        bool // mode destroy: delete the environment although something uses it

	DetailedExitcode bool
	OutputFile       string
	ReportFile       string // ends in .json, .xml or .md

	// Pasted are words that look like a token and are not one of the job's secrets. They
	// were in an input that is shown, in place of a secret, or in a variable that is not an
	// input. Only the last of these is not refused.
	Pasted []sensitive.String

	// Variables are the names of the variables from which the manifest takes tokens.
	Variables []string
	Factory   *Factory           // nil: none
	hidden    []sensitive.String // tokens of all entries of the manifest, Others too

	WarpAPIKey    sensitive.String
	WarpServerURL *url.URL
	CACertificate []byte // PEM
}

// Entry is what the inputs say about one environment and its secret.
type Entry struct {
	Place string // in the manifest, as in oz-environments.yml:12; empty without a manifest

	Repositories []bitbucket.Repository // the first is the primary one; none only in the modes test, rotate and destroy
	Flavor       bitbucket.Flavor       // empty only in those modes: any flavor
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
	SmokeTestAll     bool // mode rotate: test each environment, not only the first
	SmokeTestChanged bool // with SmokeTest: test only what changed, and one environment of each secret that was written
	SmokeTestPrompt  string
	SmokeTestModel   string

	Schedule *Schedule // nil: schedules stay as they are

	TokenExpiresAt time.Time // zero: not known

	// Warnings are sentences about values that are allowed but probably a mistake.
	Warnings []string
}

// Schedule is a scheduled agent in the environment.
type Schedule struct {
	Cron    string // five fields, UTC; empty only in the mode destroy, which finds a schedule by its name
	Prompt  string
	Name    string // empty: the environment's
	Enabled bool   // false: it is paused
}

// OnSharedSecret is what happens when the token to store does not serve every
// environment that reads the secret.
type OnSharedSecret string

// The values of the input on_shared_secret.
const (
	Fail OnSharedSecret = "fail"
	Warn OnSharedSecret = "warn"
)

// Rotation holds the inputs of the mode rotate.
type Rotation struct {
	PreviousToken sensitive.String // empty: nothing to write back

	Mint        bool
	MintOwner   string           // "auto", "user", "project" or "repository"
	Username    string           // empty: Token manages the tokens
	Password    sensitive.String // of Username
	ExpiryDays  int
	RevokeAfter time.Duration // negative: never
}

// Secrets are the values that must never be shown: each once, and none empty.
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

// Trusts reports whether the inputs allow a token to be sent to the server of a
// repository: they trust its origin, and the flavors agree.
func (e Entry) Trusts(r bitbucket.Repository) bool {
	return (e.Flavor == "" || e.Flavor == r.Flavor) && e.TrustsOrigin(r.Origin())
}

// TrustsOrigin reports whether the inputs allow a token to be sent to an origin: they
// name it, or it is bitbucket.org and the flavor is Cloud. An origin in the setup
// commands of an environment is never trusted for that, because everyone who may edit
// the environment can write it there.
func (e Entry) TrustsOrigin(origin string) bool { return slices.Contains(e.trusted(), origin) }

// Server is the only origin that the inputs trust; empty where they trust none or several.
func (e Entry) Server() string {
	origins := e.trusted()
	slices.Sort(origins)
	if origins = slices.Compact(origins); len(origins) != 1 {
		return ""
	}
	return origins[0]
}

// trusted are the origins to which the inputs allow a token to be sent. One may be there
// twice.
func (e Entry) trusted() []string {
	origins := slices.Clone(e.TrustedHosts)
	if e.Flavor == bitbucket.Cloud {
		origins = append(origins, cloudOrigin)
	}
	for _, r := range e.Repositories {
		origins = append(origins, r.Origin())
	}
	return origins
}

// Primary is the repository in which setup commands run and agents work. It is zero
// when no URL could be parsed.
func (e Entry) Primary() bitbucket.Repository {
	if len(e.Repositories) == 0 {
		return bitbucket.Repository{}
	}
	return e.Repositories[0]
}
