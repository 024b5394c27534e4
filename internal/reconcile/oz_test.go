package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

var (
	team   = warp.Owner{Type: warp.TeamOwner, UID: "Tm0000000000000000000A"}
	user   = warp.Owner{Type: warp.UserOwner, UID: "kY3pQ2mV7bTt0aLw9XcRj5NsHd12"}
	others = warp.Owner{Type: warp.TeamOwner, UID: "Tm0000000000000000000B"}
	noon   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

// stored is a secret with the value that a test can see.
type stored struct {
	warp.Secret
	value string
}

// strike is what goes wrong with one change: before it happens, or after.
type strike struct {
	before, after error
	meanwhile     func()
}

var errLost = fmt.Errorf("%w: cut", warp.ErrAnswerLost)

// oz is an Oz in memory that strikes on demand. It is both a Reader and a
// Writer.
type oz struct {
	caller       warp.Caller
	keys         warp.UploadKeys
	secrets      []stored
	environments []warp.Environment
	integrations map[string][]string
	unlisted     []string   // UIDs that the list does not show yet
	mu           sync.Mutex // reads come together
	strikes      map[string][]strike
	changes      []string // that happened, in order
	ticks        int
}

func newOz() *oz {
	return &oz{
		caller:       warp.Caller{UID: user.UID, Teams: []warp.Team{{UID: team.UID, Name: "Acme"}}},
		keys:         warp.UploadKeys{User: "user key", Teams: map[string]warp.UploadKey{team.UID: "team key"}},
		integrations: map[string][]string{},
		strikes:      map[string][]strike{},
	}
}

func (o *oz) tick() string {
	o.ticks++
	return noon.Add(time.Duration(o.ticks) * time.Second).Format(time.RFC3339Nano)
}

func (o *oz) add(owner warp.Owner, model string) string {
	m, err := warp.ParseModel(model)
	if err != nil {
		panic(err)
	}
	uid := fmt.Sprintf("En%020d", len(o.environments)+1)
	o.environments = append(o.environments, warp.Environment{UID: uid, Owner: owner, Model: m, Revision: o.tick()})
	return uid
}

func (o *oz) find(uid string) *warp.Environment {
	i := slices.IndexFunc(o.environments, func(e warp.Environment) bool { return e.UID == uid })
	if i < 0 {
		return nil
	}
	return &o.environments[i]
}

// change makes one change with its next strike.
func (o *oz) change(ctx context.Context, operation string, happen func() error) error {
	var now strike
	if queue := o.strikes[operation]; len(queue) > 0 {
		now, o.strikes[operation] = queue[0], queue[1:]
	}
	if now.meanwhile != nil {
		now.meanwhile()
	}
	if now.before != nil {
		return now.before
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", warp.ErrAnswerLost, ctx.Err())
	}
	if err := happen(); err != nil {
		return err
	}
	o.changes = append(o.changes, operation)
	return now.after
}

func (o *oz) read(operation string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if queue := o.strikes[operation]; len(queue) > 0 {
		o.strikes[operation] = queue[1:]
		return queue[0].before
	}
	return nil
}

func (o *oz) GetCaller(context.Context) (warp.Caller, error) { return o.caller, o.read("caller") }

func (o *oz) GetUploadKeys(context.Context) (warp.UploadKeys, error) { return o.keys, o.read("keys") }

func (o *oz) ListSecrets(context.Context) ([]warp.Secret, error) {
	var list []warp.Secret
	for _, s := range o.secrets {
		list = append(list, s.Secret)
	}
	return list, o.read("secrets")
}

func (o *oz) ListEnvironments(context.Context) ([]warp.EnvironmentListing, error) {
	var list []warp.EnvironmentListing
	for _, e := range o.environments {
		if slices.Contains(o.unlisted, e.UID) {
			continue
		}
		secrets, _ := e.Model.Secrets()
		list = append(list, warp.EnvironmentListing{
			UID: e.UID, Name: e.Model.Name(), Owner: e.Owner, LastUpdated: e.Revision,
			SetupCommands: e.Model.SetupCommands(), Secrets: secrets,
		})
	}
	return list, o.read("environments")
}

func (o *oz) GetEnvironment(_ context.Context, uid string) (warp.Environment, error) {
	found := o.find(uid)
	if found == nil {
		return warp.Environment{}, &warp.Refusal{Status: 200, Kind: "InvalidInputError", Message: "no such object"}
	}
	return *found, o.read("environment")
}

func (o *oz) ListIntegrations(_ context.Context, uid string) ([]string, error) {
	return o.integrations[uid], o.read("integrations")
}

var conflict = &warp.Refusal{Status: 200, Kind: "ManagedSecretNameConflict", Message: "there is one"}

func (o *oz) secret(of warp.Owner, name string) int {
	return slices.IndexFunc(o.secrets, func(s stored) bool { return s.Owner == of && s.Name == name })
}

func (o *oz) CreateSecret(ctx context.Context, of warp.Owner, name, description string, value warp.SealedSecret) error {
	return o.change(ctx, "create secret", func() error {
		if o.secret(of, name) >= 0 {
			return conflict
		}
		o.secrets = append(o.secrets, stored{warp.Secret{Name: name, Owner: of, Type: warp.RawValue, UpdatedAt: o.tick(), Description: description}, value.Ciphertext()})
		return nil
	})
}

func (o *oz) UpdateSecret(ctx context.Context, of warp.Owner, name, description string, value warp.SealedSecret) error {
	return o.change(ctx, "update secret", func() error {
		i := o.secret(of, name)
		if i < 0 {
			return &warp.Refusal{Status: 200, Kind: "ManagedSecretNotFound", Message: "none"}
		}
		o.secrets[i].UpdatedAt, o.secrets[i].Description, o.secrets[i].value = o.tick(), description, value.Ciphertext()
		return nil
	})
}

func (o *oz) CreateEnvironment(ctx context.Context, of warp.Owner, model warp.Model) (warp.Environment, error) {
	var own warp.Environment
	err := o.change(ctx, "create environment", func() error {
		own = *o.find(o.add(of, model.String()))
		return nil
	})
	if err != nil {
		own = warp.Environment{}
	}
	return own, err
}

func (o *oz) UpdateEnvironment(ctx context.Context, uid, revision string, model warp.Model) (newer *warp.Environment, err error) {
	err = o.change(ctx, "update environment", func() error {
		current := o.find(uid)
		if current.Revision != revision {
			copied := *current
			newer = &copied
			return nil
		}
		current.Model, current.Revision = model, o.tick()
		return nil
	})
	return newer, err
}

func (o *oz) DeleteEnvironment(ctx context.Context, uid string) error {
	return o.change(ctx, "delete environment", func() error {
		o.environments = slices.DeleteFunc(o.environments, func(e warp.Environment) bool { return e.UID == uid })
		return nil
	})
}

// desired is what most tests ask for.
func desired() reconcile.Desired {
	return reconcile.Desired{
		Scope: warp.TeamOwner, SecretName: "TOKEN", EnvironmentName: "ci",
		SetupCommands: func([]string) []string { return []string{"git clone it"} },
		Variables:     strings.Fields,
	}
}

// applier seals by writing down what was sealed for whom.
func applier(o *oz) reconcile.Applier {
	return reconcile.Applier{
		Reader: o, Writer: o, Log: slog.New(slog.DiscardHandler),
		Seal: func(key warp.UploadKey, caller, name string, value sensitive.String) (warp.SealedSecret, error) {
			if value.IsEmpty() {
				return warp.SealedSecret{}, errors.New("nothing to seal")
			}
			return warp.NewSealedSecret(fmt.Sprintf("%s/%s/%s/%s", key, caller, name, value.Reveal())), nil
		},
	}
}
