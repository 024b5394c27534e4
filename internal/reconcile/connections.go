package reconcile

import (
	"context"
	"fmt"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// readConnections reads what starts agents in the environments of one owner. It does
// not fail: what cannot be read is noted, because only a removal depends on it.
func readConnections(ctx context.Context, r Reader, mode Mode, owner warp.Owner) Connections {
	var c Connections
	reads := group.New()
	reads.Go(func() (err error) {
		c.Schedules, err = r.ListSchedules(ctx, owner)
		c.NoSchedules = named("list schedules", err)
		return nil
	})
	if mode == Removal {
		reads.Go(func() (err error) {
			c.Factories, err = r.ListFactories(ctx, owner)
			c.NoFactories = named("list factories", err)
			return nil
		})
	}
	_ = reads.Wait()
	return c
}

// connect notes what else starts agents in an environment that exists.
func (p *Plan) connect(e *EnvironmentPlan, w World, current *Object) {
	if current == nil {
		return
	}
	unknown := current.Unread
	if w.NoIntegrations != nil && len(unknown) > 0 {
		unknown = append(unknown, w.NoIntegrations)
	}
	if err := w.Connections[e.Owner].NoSchedules; err != nil {
		unknown = append(unknown, err)
	}
	for _, err := range unknown {
		p.Notes = append(p.Notes, fmt.Sprintf("not everything that starts agents could be read for environment %s: %v", e.User, err))
	}
	e.Integrations = slices.Concat(e.Integrations, w.integrationsOf(e.UID))
	_, foreign := w.schedulesOf(e.Owner, e.UID, e.scheduleName())
	for _, s := range foreign {
		e.Foreign = append(e.Foreign, s.String())
	}
}

// integrationsOf are the integrations whose agents work in an environment.
func (w World) integrationsOf(uid string) []string {
	var names []string
	for _, integration := range w.Integrations {
		if integration.EnvironmentID == uid {
			names = append(names, integration.Provider)
		}
	}
	return names
}
