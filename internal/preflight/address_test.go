package preflight_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
)

var blocked = no(403, "To access this repository, an admin must whitelist your IP")

func TestIsAddressRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"Bitbucket's words":           {blocked, true},
		"newer words":                 {no(403, "Your IP is not on the allowlist of this workspace"), true},
		"other words":                 {no(403, "This workspace has an IP Allow List"), true},
		"wrapped":                     {fmt.Errorf("a: %w", fmt.Errorf("b: %w", blocked)), true},
		"joined after other refusals": {errors.Join(noScope, fmt.Errorf("a: %w", missing), blocked), true},
		"wrapped beside another":      {fmt.Errorf("%w: %w", bitbucket.ErrNotAsked, blocked), true},
		"a proxy's page":              {&bitbucket.Refusal{Status: 403, NotGit: true, Text: "not on the allowlist"}, false},
		"an outage":                   {no(503, "the allowlist is being loaded"), false},
		"other refusals":              {errors.Join(unauthorized, noScope, missing), false},
		"words that are nobody's no":  {errors.New("whitelist"), false},
		"nothing":                     {nil, false},
	} {
		assert.Equal(t, tt.want, preflight.IsAddressRefused(tt.err), name)
	}
}

// TestARefusedAddressCanBeToldByTheCaller: whichever way the refusal takes.
func TestARefusedAddressCanBeToldByTheCaller(t *testing.T) {
	t.Parallel()
	secret := credential.Credential{Name: "TOKEN"}
	own, two := preflight.Demand{Repository: cloud("a")[0]}, of("two", "b", "", "")
	for name, tt := range map[string]struct {
		answers map[string]error
		write   bool

		stands    bool // against the token as a whole: an error of Check
		addressed bool // of the runner
	}{
		"the job's own repository":       {answers: onlyReads(map[string]error{"a clone": blocked}), addressed: true},
		"an environment's":               {answers: onlyReads(map[string]error{"b clone": blocked}), addressed: true},
		"after another refusal":          {answers: onlyReads(map[string]error{"a clone": missing, "b clone": blocked}), addressed: true},
		"a push":                         {answers: map[string]error{"b push": blocked}, write: true, addressed: true},
		"beside an outage":               {answers: onlyReads(map[string]error{"a clone": blocked, "b clone": busy}), stands: true, addressed: true},
		"a refusal of the repositories'": {answers: onlyReads(map[string]error{"a clone": missing, "b clone": noScope})},
		"an outage":                      {answers: onlyReads(map[string]error{"b clone": busy}), stands: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{answers: tt.answers, refs: bitbucket.Refs{Head: head}}
			proof, err := preflight.Check(t.Context(), bound(s), []preflight.Demand{own, two}, apiToken, tt.write)
			if tt.stands {
				require.Error(t, err)
				assert.Equal(t, tt.addressed, preflight.IsAddressRefused(err), err)
			} else {
				require.NoError(t, err)
			}
			require.Error(t, proof.Err())
			assert.Equal(t, tt.addressed, preflight.IsAddressRefused(proof.Err()), proof.Err())
			_, err = proof.Admit("the token", secret, own.Repository, false)
			require.Error(t, err)
			assert.Equal(t, tt.addressed, preflight.IsAddressRefused(err), err)
		})
	}
}
