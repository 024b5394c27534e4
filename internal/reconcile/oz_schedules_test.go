package reconcile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// schedule puts a schedule there, as someone else's deed. The item is what is stored.
func (o *oz) schedule(owner warp.Owner, item string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.keep(owner, parsed(item)).ID
}

// keep stores a new schedule as the API answers it.
func (o *oz) keep(owner warp.Owner, request warp.Model) warp.Schedule {
	stamp := o.tick()
	id := fmt.Sprintf("Sc%020d", o.seconds)
	s := warp.Schedule{Model: request.With("id", id).With("created_at", stamp).With("updated_at", stamp), ID: id, Owner: owner}
	o.schedules = append(o.schedules, s)
	return s
}

// change replaces what is stored of a schedule.
func (o *oz) change(id string, request func(warp.Schedule) warp.Model) (s warp.Schedule, err error) {
	for i, old := range o.schedules {
		if old.ID == id {
			model := request(old).With("id", id).With("created_at", old.CreatedAt()).With("updated_at", o.tick())
			o.schedules[i].Model = model
			return o.schedules[i], nil
		}
	}
	return s, notFound()
}

func notFound() error {
	return fmt.Errorf("GET /api/v1/agent/schedules: %w", &warp.Refusal{Status: 404, Kind: "resource_not_found", Message: "no such schedule"})
}

// edited is someone else's edit of one key of a schedule.
func (o *oz) edited(id, key string, value any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, err := o.change(id, func(s warp.Schedule) warp.Model { return s.Model.With(key, value) }); err != nil {
		panic(err)
	}
}

func (o *oz) ListConnected(ctx context.Context) (list []warp.Integration, err error) {
	err = o.do(ctx, "ListConnected", false, func() error {
		list = append(list, o.connected...)
		for uid, names := range o.integrations {
			for _, name := range names {
				list = append(list, warp.Integration{Provider: name, EnvironmentID: uid})
			}
		}
		return nil
	})
	return list, err
}

func (o *oz) ListSchedules(ctx context.Context, _ warp.Owner) (list []warp.Schedule, err error) {
	err = o.do(ctx, "ListSchedules", false, func() error { list = slices.Clone(o.schedules); return nil })
	return list, err
}

func (o *oz) GetSchedule(ctx context.Context, _ warp.Owner, id string) (s warp.Schedule, err error) {
	err = o.do(ctx, "GetSchedule", false, func() error {
		at := slices.IndexFunc(o.schedules, func(s warp.Schedule) bool { return s.ID == id })
		if at < 0 {
			return notFound()
		}
		s = o.schedules[at]
		return nil
	})
	return s, err
}

func (o *oz) ListFactories(ctx context.Context, _ warp.Owner) (list []warp.Factory, err error) {
	err = o.do(ctx, "ListFactories", false, func() error { list = o.factories; return nil })
	return list, err
}

func (o *oz) ListGoing(ctx context.Context, _ warp.Owner, environment string) (list []warp.Run, err error) {
	err = o.do(ctx, "ListGoing", false, func() error { list = o.going[environment]; return nil })
	return list, err
}

func (o *oz) CreateSchedule(ctx context.Context, of warp.Owner, model warp.Model) (s warp.Schedule, err error) {
	err = o.do(ctx, "CreateSchedule", true, func() error { s = o.keep(of, model); return nil })
	return s, err
}

func (o *oz) ReplaceSchedule(ctx context.Context, _ warp.Owner, id string, model warp.Model) (s warp.Schedule, err error) {
	err = o.do(ctx, "ReplaceSchedule", true, func() (err error) {
		s, err = o.change(id, func(warp.Schedule) warp.Model { return model })
		return err
	})
	return s, err
}

func (o *oz) EnableSchedule(ctx context.Context, _ warp.Owner, id string, enabled bool) (s warp.Schedule, err error) {
	err = o.do(ctx, "EnableSchedule", true, func() (err error) {
		s, err = o.change(id, func(s warp.Schedule) warp.Model {
			return s.Model.With(warp.KeyEnabled, json.RawMessage(fmt.Sprint(enabled)))
		})
		return err
	})
	return s, err
}

func (o *oz) DeleteSchedule(ctx context.Context, _ warp.Owner, id string) error {
	return o.do(ctx, "DeleteSchedule", true, func() error {
		before := len(o.schedules)
		o.schedules = slices.DeleteFunc(o.schedules, func(s warp.Schedule) bool { return s.ID == id })
		if len(o.schedules) == before {
			return notFound()
		}
		return nil
	})
}

func (o *oz) DeleteSecret(ctx context.Context, of warp.Owner, name string) error {
	return o.do(ctx, "DeleteSecret", true, func() error {
		if o.secret(of, name) == nil {
			return no("no such secret")
		}
		o.secrets = slices.DeleteFunc(o.secrets, func(s storedSecret) bool { return s.Name == name && s.Owner == of })
		return nil
	})
}
