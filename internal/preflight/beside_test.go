package preflight_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
)

// patient is a server whose refs are another question.
type patient struct{ *server }

func (p patient) Offer(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, wanted string) (bitbucket.Offer, error) {
	offer, err := p.server.Offer(ctx, r, as, wanted)
	refs := offer.Refs
	offer.Refs = func(ctx context.Context) (bitbucket.Refs, error) {
		known, _ := refs(ctx)
		return known, p.answer(ctx, r.Slug+" refs")
	}
	return offer, err
}

// TestWaitsOfAProof counts in answers of a second which questions wait for each other.
func TestWaitsOfAProof(t *testing.T) {
	t.Parallel()
	accepted, readOnlyToken := httpToken, httpToken
	accepted.Accepted, readOnlyToken.ReadOnly = true, true
	tests := map[string]struct {
		slugs   []string
		token   preflight.Token
		answers map[string]error
		public  bool
		write   bool
		each    bool
		alone   int // waits where nothing else is to be asked
		waits   int
		also    int // after how many what else there is is asked; 0: never
	}{
		"one repository":                    {[]string{"a"}, httpToken, nil, false, false, false, 3, 3, 2},
		"pushes need not be asked for":      {[]string{"a"}, readOnlyToken, nil, false, false, false, 2, 3, 2},
		"a push is demanded":                {[]string{"a"}, httpToken, nil, false, true, false, 2, 3, 2},
		"and it may not":                    {[]string{"a"}, httpToken, map[string]error{"push": unauthorized}, false, true, false, 2, 2, 0},
		"three repositories":                {[]string{"a", "b", "c"}, httpToken, nil, false, false, false, 4, 4, 3},
		"everybody may read it":             {[]string{"a"}, httpToken, nil, true, false, false, 3, 3, 0},
		"the token is no good":              {[]string{"a"}, httpToken, map[string]error{"": unauthorized}, false, false, false, 1, 1, 0},
		"it may not read the first":         {[]string{"a", "b"}, httpToken, map[string]error{"a clone": missing}, false, false, false, 3, 3, 0},
		"it does not read another":          {[]string{"a", "b"}, httpToken, map[string]error{"b clone": missing}, false, false, false, 3, 3, 0},
		"the server is out of order":        {[]string{"a"}, httpToken, map[string]error{"a refs": busy}, false, false, false, 2, 2, 0},
		"it was accepted before":            {[]string{"a", "b"}, accepted, nil, false, false, false, 2, 2, 0},
		"it may read none of several":       {[]string{"a", "b"}, httpToken, map[string]error{"clone": missing}, false, true, true, 3, 3, 0},
		"Basic is refused, so no push goes": {[]string{"a"}, httpToken, map[string]error{"clone " + asAccess: unauthorized}, false, false, false, 2, 3, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := preflight.Check
			if tt.each {
				check = preflight.CheckEach
			}
			for also, waits := range map[bool]int{false: tt.alone, true: tt.waits} {
				synctest.Test(t, func(t *testing.T) {
					s := &server{answers: tt.answers, public: tt.public, refs: bitbucket.Refs{Head: head}, delay: time.Second}
					token, began, asked := tt.token, time.Now(), time.Duration(0)
					if also {
						token.Also = func(context.Context) {
							asked = time.Since(began)
							time.Sleep(time.Second)
						}
					}
					proof, err := check(t.Context(), bound(patient{s}), demandsOf(dataCenter(tt.slugs...)), token, tt.write)
					assert.Equal(t, time.Duration(waits)*time.Second, time.Since(began))
					if also {
						assert.Equal(t, time.Duration(tt.also)*time.Second, asked)
					}
					assert.LessOrEqual(t, s.most, 4)
					assert.LessOrEqual(t, s.failures, 2)
					if err == nil && proof.Err() == nil {
						for _, f := range proof.Findings {
							assert.Equal(t, head, f.Head)
						}
					}
				})
			}
		})
	}
}

// TestDemandedPushesComeInTheirTurn: two of them are refused with 401, and by then
// every clone was asked for.
func TestDemandedPushesComeInTheirTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: map[string]error{"push": unauthorized}, refs: bitbucket.Refs{Head: head}, delay: time.Second}
		demands := demandsOf(dataCenter("a", "b", "c"))
		demands[2].Reads = true
		proof, err := preflight.CheckEach(t.Context(), bound(s), demands, httpToken, true)
		require.NoError(t, err)
		require.ErrorIs(t, proof.Findings[0].Err, unauthorized)
		require.ErrorIs(t, proof.Findings[1].Err, unauthorized)
		require.NoError(t, proof.Findings[2].Err)
		assert.False(t, proof.BearerOnly)
	})
}

// refusing is a server that refuses a push to the repository a at once.
type refusing struct {
	*server
	begun map[string]time.Time // pushes, by slug
}

func (r refusing) CheckPush(ctx context.Context, of bitbucket.Repository, as bitbucket.Login, needed bool) error {
	r.mu.Lock()
	r.begun[of.Slug] = time.Now()
	r.mu.Unlock()
	if of.Slug == "a" {
		return unauthorized
	}
	return r.server.CheckPush(ctx, of, as, needed)
}

// TestARefusedQuestionMakesRoomForNoOther: the next one would compete with those under way
// for the attempt that is left.
func TestARefusedQuestionMakesRoomForNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := refusing{&server{refs: bitbucket.Refs{Head: head}, delay: time.Second}, map[string]time.Time{}}
		_, err := preflight.CheckEach(t.Context(), s, demandsOf(dataCenter("a", "b", "c", "d")), httpToken, true)
		require.NoError(t, err)
		assert.Equal(t, time.Second, s.begun["c"].Sub(s.begun["b"]))
		assert.Equal(t, time.Second, s.begun["d"].Sub(s.begun["c"]))
	})
}

// TestAnOutageAmongTheRefs ends the check, and is what it names.
func TestAnOutageAmongTheRefs(t *testing.T) {
	t.Parallel()
	outage := errors.New("connection reset")
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: map[string]error{"b refs": outage}, refs: bitbucket.Refs{Head: head}, delay: time.Second}
		_, err := check(t.Context(), patient{s}, dataCenter("a", "b", "c"), httpToken, "", false)
		require.ErrorIs(t, err, outage)
		assert.Zero(t, s.count("push"))
	})
}
