// Package reconcile brings Oz to the desired state: it observes, compares and
// applies. Observing cannot write, because it is handed a Reader. Deciding is
// pure. Applying carries out a plan and never more. The token passes through
// this room to the Sealer; nothing here can read it.
package reconcile

import (
	"context"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Desired is what the inputs ask for.
type Desired struct {
	Scope warp.OwnerType // who owns the secret and the environment
	Team  string         // UID or exact name; empty when the caller sees only one

	SecretName string

	EnvironmentID   string // manage exactly this one; empty: find it by name and owner
	EnvironmentName string // empty, only with EnvironmentID: the name stays
	Description     string // empty: an existing description stays
	DockerImage     string // empty: an existing image stays
	Secrets         []string

	// Expires is when the token ends; zero: unknown.
	Expires time.Time

	// SetupCommands returns the commands that an environment with these
	// commands shall have. It must be pure.
	SetupCommands func(existing []string) []string
	// Variables returns the names of the variables that a command reads. It must
	// be pure.
	Variables func(command string) []string
}

// DefaultImage is the image of an environment for which none was chosen.
const DefaultImage = "warpdotdev/dev-base:latest"

// Observed is what Oz answered.
type Observed struct {
	At           time.Time
	Caller       warp.Caller
	Owner        warp.Owner
	UploadKey    warp.UploadKey
	Secret       *warp.Secret // nil: there is none of this name
	OtherSecrets []string     // names of the owner's other secrets
	Personal     bool         // the owner is a team, and the caller has a secret of this name as well

	// Environments are the candidates: those of the desired name and owner, or
	// the one of the desired ID; for a rotation, those that use the secret.
	// Trashed ones are not among them.
	Environments []Candidate
	// Namesakes are the IDs of the owner's environments that already have the
	// name to which the one of the desired ID would be renamed.
	Namesakes []string
}

// Candidate is an environment and the integrations that use it.
type Candidate struct {
	warp.Environment
	Integrations []string
}

// Reader looks at Oz and changes nothing.
type Reader interface {
	GetCaller(context.Context) (warp.Caller, error)
	GetUploadKeys(context.Context) (warp.UploadKeys, error)
	ListSecrets(context.Context) ([]warp.Secret, error)
	ListEnvironments(context.Context) ([]warp.EnvironmentListing, error)
	GetEnvironment(ctx context.Context, uid string) (warp.Environment, error)
	ListIntegrations(ctx context.Context, uid string) ([]string, error)
}

// Writer changes Oz. An error that wraps warp.ErrAnswerLost says that nobody
// knows whether it did.
type Writer interface {
	CreateSecret(ctx context.Context, of warp.Owner, name, description string, value warp.SealedSecret) error
	UpdateSecret(ctx context.Context, of warp.Owner, name, description string, value warp.SealedSecret) error
	CreateEnvironment(ctx context.Context, of warp.Owner, model warp.Model) (warp.Environment, error)
	UpdateEnvironment(ctx context.Context, uid, revision string, model warp.Model) (newer *warp.Environment, err error)
	DeleteEnvironment(ctx context.Context, uid string) error
}

// Sealer encrypts a secret's value for its owner's upload key.
type Sealer func(key warp.UploadKey, callerUID, name string, value sensitive.String) (warp.SealedSecret, error)

// Change is what happens to a resource. The zero value is not a change that a
// plan may hold.
type Change string

// A secret's value cannot be read back, so an existing secret is rotated, never
// kept: nobody can know whether it is the same.
const (
	Create Change = "create"
	Update Change = "update"
	Rotate Change = "rotate"
	Keep   Change = "keep"
)

// Plan is what Apply will do.
type Plan struct {
	At          time.Time // when Oz was observed
	Caller      warp.Caller
	Owner       warp.Owner
	UploadKey   warp.UploadKey
	Secret      SecretPlan
	Environment EnvironmentPlan // empty for a rotation
	Users       []Candidate     // of a rotation: the environments that use the secret
	Warnings    []string

	desired   Desired
	mustExist bool // the secret: it is not created when it is gone
}

// Changes reports whether the plan changes anything but a secret's value.
func (p Plan) Changes() bool {
	return p.Secret.Change == Create || p.Environment.Change == Create || p.Environment.Change == Update
}

// SecretPlan is what happens to the secret.
type SecretPlan struct {
	Name      string
	Change    Change
	UpdatedAt string // of the observed secret
	Was       Note   // of the observed secret

	description string // of the observed secret
}

// EnvironmentPlan is what happens to the environment.
type EnvironmentPlan struct {
	ID           string // empty when it is to be created
	Name         string
	Change       Change
	Fields       []Field
	Integrations []string // that use it

	revision string
	model    warp.Model
}

// Field is one managed field that changes. Old is nil when there was none.
// Lists have one element a line.
type Field struct {
	Name     string
	Old, New []string
}
