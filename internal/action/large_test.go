//go:build !race

package action

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// TestAPlanOverWhatIsImportedChangesNothing: over random fleets. Each environment that this
// program could have made has an entry, and every other one is at least named.
func TestAPlanOverWhatIsImportedChangesNothing(t *testing.T) {
	t.Parallel()
	live := 0
	for seed := range uint64(60) {
		f := &fleetOf{Rand: rand.New(rand.NewPCG(seed, 15))}
		f.caller = warp.Caller{UID: "jane", Teams: []warp.Team{{UID: "Tm0000000000000000000A", Name: "Acme"}}}
		if f.chance(50) {
			f.caller.Teams = append(f.caller.Teams, warp.Team{UID: "Tm0000000000000000000B", Name: pick(f, "Acme", "Other: team", "null", "", " x ")})
		}
		for range 1 + f.IntN(12) {
			f.add()
		}
		text, uids := f.imported(t)
		live += len(uids)
		for _, uid := range f.ours {
			if hasSecret := !strings.Contains(text, "("+uid+"): the secret") && !strings.Contains(text, "("+uid+"): secret"); hasSecret { // the secret may have been deleted
				assert.Contains(t, uids, uid, "seed %d\n%s", seed, text)
			}
		}
		for _, e := range f.environments {
			if e.Owner.UID == "Tm0000000000000000000Z" {
				assert.NotContains(t, text, e.UID, "of a team that the key does not see")
			}
		}
		assert.NotContains(t, text, "\x1b")
	}
	assert.Greater(t, live, 100)
}
