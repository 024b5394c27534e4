package reconcile

import (
	"context"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Survey reads what plans for all wanted environments depend on, but not what starts agents
// in them. An environment that is deleted meanwhile is left out. Only reads.
func Survey(ctx context.Context, r Reader, wanted func(warp.EnvironmentListing) bool) (World, error) {
	w, err := readLists(ctx, r, Verification)
	if err != nil {
		return w, err
	}
	var list []object
	for _, listing := range w.Listings {
		if wanted(listing) {
			list = append(list, object{uid: listing.UID, mayBeGone: true})
		}
	}
	w.Objects, err = readObjects(ctx, r, list)
	return w, err
}

// Owns reports whether an environment is one of the caller's or of the caller's teams.
func (w World) Owns(environment warp.Owner) bool {
	if environment.Type == warp.UserOwner {
		return !w.Caller.ServiceAccount && owns(warp.Owner{Type: warp.UserOwner, UID: w.Caller.UID}, environment)
	}
	for _, team := range w.Caller.Teams {
		if team.UID == environment.UID {
			return true
		}
	}
	return false
}
