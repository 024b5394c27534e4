// Package reconcile brings Oz to the desired state: it observes, compares and
// applies. Observing cannot write, because it is handed a Reader. Deciding is
// pure. Applying carries out a plan and never more. The token passes through
// this room to the Sealer; nothing here can read it.
package reconcile

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Mode says what a plan is for.
type Mode int

// The modes.
const (
	Provision    Mode = iota + 1 // secrets, environments and schedules as they are desired
	Rotation                     // the values of secrets, and nothing else
	Verification                 // nothing: the environments are only tested
	Removal                      // neither environments nor their schedules, nor secrets where that is desired
)

// Desired is what one entry of the inputs asks for.
type Desired struct {
	Scope warp.OwnerType // who owns the secret and the environment
	Team  string         // UID or exact name; empty when the caller sees only one

	// SecretName is the secret. When the inputs do not name one, a verification and a
	// removal take the secret with which the environment clones, and this one when it
	// clones with none; it may then be empty.
	SecretName  string
	SecretGiven bool

	// Repositories are what the environment clones, the primary one first. A
	// rotation is for the environments that clone one of them, or for all when
	// there are none.
	Repositories []bitbucket.Repository

	EnvironmentID   string // manage exactly this one; empty: find it by name and owner
	EnvironmentName string // empty, only with EnvironmentID: the name stays
	Description     string // empty: an existing description stays
	DockerImage     string // empty: an existing image stays
	Secrets         []string

	Schedule *DesiredSchedule // nil: schedules stay as they are

	// NoEnvironment wants the secret alone. Then there is neither EnvironmentID nor
	// EnvironmentName.
	NoEnvironment bool

	DeleteSecret bool // of a removal: the secret too, unless something else uses it
	Force        bool // of a removal: whatever else uses the environment

	// SetupCommands returns the commands that an environment with these
	// commands shall have. It must be pure.
	SetupCommands func(existing []string) []string
	// Variables returns the names of the variables that a command reads. It must
	// be pure.
	Variables func(command string) []string
}

// DefaultImage is the image of an environment for which none was chosen.
const DefaultImage = "warpdotdev/dev-base:latest"

// World is everything that was read of Oz, and nothing that was decided.
type World struct {
	At       time.Time // when
	Caller   warp.Caller
	Keys     warp.UploadKeys
	Secrets  []warp.Secret
	Listings []warp.EnvironmentListing
	Objects  map[string]Object // by UID, those that the entries need

	// Integrations are those of the caller's team; NoIntegrations is why they are not
	// known. A rotation and a verification read neither these nor Connections.
	Integrations   []warp.Integration
	NoIntegrations error
	Connections    map[warp.Owner]Connections
}

// Object is a whole environment and, for the environments of the inputs, what else
// uses it.
type Object struct {
	warp.Environment
	Integrations []string   // for a removal, and when World has none
	Going        []warp.Run // for a removal: runs in it that have not ended
	Unread       []error    // why some of this is not known
}

// Connections are what starts agents in the environments of one owner, and why
// some of it could not be read. Factories are read for a removal only.
type Connections struct {
	Schedules                []warp.Schedule
	Factories                []warp.Factory
	NoSchedules, NoFactories error
}

// Reader looks at Oz and changes nothing.
type Reader interface {
	GetCaller(context.Context) (warp.Caller, error)
	GetUploadKeys(context.Context) (warp.UploadKeys, error)
	ListSecrets(context.Context) ([]warp.Secret, error)
	ListEnvironments(context.Context) ([]warp.EnvironmentListing, error)
	GetEnvironment(ctx context.Context, uid string) (warp.Environment, error)
	// GetEnvironments answers for each UID, in their order.
	GetEnvironments(ctx context.Context, uids []string) []warp.Answer
	ListIntegrations(ctx context.Context, uid string) ([]string, error)
	ListConnected(context.Context) ([]warp.Integration, error)
	ListSchedules(ctx context.Context, of warp.Owner) ([]warp.Schedule, error)
	GetSchedule(ctx context.Context, of warp.Owner, id string) (warp.Schedule, error)
	ListFactories(ctx context.Context, of warp.Owner) ([]warp.Factory, error)
	ListGoing(ctx context.Context, of warp.Owner, environment string) ([]warp.Run, error)
}

// Writer changes Oz. After an error that wraps warp.ErrAnswerLost it is not known
// whether the change was made. The stamp of a secret is its UpdatedAt after this write.
type Writer interface {
	CreateSecret(ctx context.Context, of warp.Owner, name, description string, value warp.SealedSecret) (stamp string, err error)
	UpdateSecret(ctx context.Context, of warp.Owner, name, description string, value warp.SealedSecret) (stamp string, err error)
	CreateEnvironment(ctx context.Context, of warp.Owner, model warp.Model) (warp.Environment, error)
	UpdateEnvironment(ctx context.Context, uid, revision string, model warp.Model) (newer *warp.Environment, err error)
	DeleteEnvironment(ctx context.Context, uid string) error
	CreateSchedule(ctx context.Context, of warp.Owner, model warp.Model) (warp.Schedule, error)
	ReplaceSchedule(ctx context.Context, of warp.Owner, id string, model warp.Model) (warp.Schedule, error)
	EnableSchedule(ctx context.Context, of warp.Owner, id string, enabled bool) (warp.Schedule, error)
	DeleteSchedule(ctx context.Context, of warp.Owner, id string) error
	DeleteSecret(ctx context.Context, of warp.Owner, name string) error
}

// Sealer encrypts a secret's value for its owner's upload key.
type Sealer func(key warp.UploadKey, callerUID, name string, value sensitive.String) (warp.SealedSecret, error)

// Token is the value of a secret, and when it expires; zero: not known.
type Token struct {
	Value   sensitive.String
	Expires time.Time
}

// Change is what happens to a resource. The zero value is not a change that a
// plan may hold.
type Change string

// A secret's value cannot be read back, so an existing secret is rotated, never
// kept: whether its value is the same cannot be found out.
const (
	Create Change = "create"
	Update Change = "update"
	Rotate Change = "rotate"
	Keep   Change = "keep"
	Delete Change = "delete"
)

// Plan is what Apply will do.
type Plan struct {
	Mode    Mode
	At      time.Time // when Oz was observed
	Caller  warp.Caller
	Secrets []SecretPlan // each once
	// Environments are those of the entries, in their order; in a rotation, those
	// that use the secret and that the inputs select.
	Environments []EnvironmentPlan
	// Listing are environments that other plans of the same job write. They list the
	// secret, but their commands do not use it.
	Listing   []credential.User
	Unmanaged []credential.User // environments of the same owners that a manifest leaves out
	Warnings  []string
	Notes     []string // what a reader may want to know; no action is needed
}

// Changes reports whether the plan changes anything but a secret's value.
func (p Plan) Changes() bool {
	for _, s := range p.Secrets {
		if s.Change.IsVisible() {
			return true
		}
	}
	for _, e := range p.Environments {
		if e.Change.IsVisible() || slices.ContainsFunc(e.Schedules, func(s SchedulePlan) bool { return s.Change.IsVisible() }) {
			return true
		}
	}
	return false
}

// IsVisible reports whether a change alters more than a secret's value.
func (c Change) IsVisible() bool { return c == Create || c == Update || c == Delete }

// Users are the plan's environments as readers of a secret.
func (p Plan) Users() []credential.User {
	users := make([]credential.User, len(p.Environments))
	for i, e := range p.Environments {
		users[i] = e.User
	}
	return users
}

// Standing are the users whose entries have no error.
func (p Plan) Standing() []credential.User {
	var users []credential.User
	for _, e := range p.Environments {
		if e.Err == nil {
			users = append(users, e.User)
		}
	}
	return users
}

// Err joins the errors of the entries, nil when there is none.
func (p Plan) Err() error {
	var list []error
	for _, e := range p.Environments {
		list = append(list, e.Err)
	}
	return errors.Join(list...)
}

// AllFailed reports whether every entry has an error.
func (p Plan) AllFailed() bool {
	return len(p.Environments) > 0 && !slices.ContainsFunc(p.Environments, func(e EnvironmentPlan) bool { return e.Err == nil })
}

// Unplanned is the plan of an entry for which nothing can be planned.
func Unplanned(uid, name string, err error) EnvironmentPlan {
	return EnvironmentPlan{User: credential.User{UID: uid, Name: name}, Secret: none, Err: err}
}

// From is the same plan when first other secrets stand before its secrets.
func (e EnvironmentPlan) From(first int) EnvironmentPlan {
	if e.Secret != none {
		e.Secret += first
	}
	return e
}

// Failed is the plan with one more error; nil adds none.
func (e EnvironmentPlan) Failed(err error) EnvironmentPlan {
	e.Err = errors.Join(e.Err, err)
	if err != nil {
		e.Change, e.Fields, e.Schedules = "", nil, nil
	}
	return e
}

// Owner decides who owns the secret and the environment of an entry.
func (d Desired) Owner(caller warp.Caller) (warp.Owner, error) { return ownerOf(caller, d) }

// none is the Secret of an environment whose secret is not known.
const none = -1

// SecretOf is the secret of an environment of the plan, zero when it is not known.
func (p Plan) SecretOf(e EnvironmentPlan) SecretPlan {
	if e.Secret == none {
		return SecretPlan{}
	}
	return p.Secrets[e.Secret]
}

// SecretPlan is what happens to a secret.
type SecretPlan struct {
	credential.Credential
	Change Change
	Was    Note // of the observed secret
	// Others are the live environments outside of the plan whose runs read the
	// observed secret, or the one that it replaces. A verification does not look for them.
	Others []credential.User
	// Hidden says that the caller has a personal secret of the same name, which
	// the caller's own runs read in place of this one.
	Hidden bool
	Why    string // a removal keeps it, in words

	readers     []string // UIDs of all environments that read it, those in the trash too
	key         warp.UploadKey
	description string // of the observed secret
	mustExist   bool   // it is not created when it is gone
}

// IsReadBy reports whether runs in an environment were seen to read the secret.
func (s SecretPlan) IsReadBy(uid string) bool { return uid != "" && slices.Contains(s.readers, uid) }

// EnvironmentPlan is what happens to an environment. Its name and its use of the
// secret are those of the model that is planned.
type EnvironmentPlan struct {
	credential.User
	Secret       int // index into the plan's secrets, or none
	Change       Change
	Fields       []Field
	Integrations []string       // that use it
	Foreign      []string       // the schedules of others in it, in words
	Schedules    []SchedulePlan // ours in it
	Secrets      []string       // that its runs read
	Commands     []string       // its setup commands
	Image        string         // empty where it is not known
	Err          error          // why the entry fails; then there is no change

	desired  Desired
	revision string
	model    warp.Model
}

// Field is one managed field that changes. Old is nil when there was none.
// Lists have one element a line.
type Field struct {
	Name     string
	Old, New []string
}
