package preflight_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
)

// presented are the questions that presented the token, sorted.
func (s *server) presented() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(s.asked), func(q string) bool { return strings.HasSuffix(q, "nobody") })
	slices.Sort(list)
	return list
}

// TestASecondCheckFindsTheAnswers of the first: it says the same and presents the token for
// nothing. Nor does what began before the first add a question.
func TestASecondCheckFindsTheAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		server       *server
		repositories []bitbucket.Repository
		token        preflight.Token
		write        bool
	}{
		"of Cloud":                      {&server{answers: readOnly}, cloud("a", "b", "c"), apiToken, false},
		"that asks for pushes":          {&server{}, cloud("a", "b"), apiToken, true},
		"of what is public":             {&server{public: true, answers: readOnly, scopes: []string{"account"}}, cloud("a", "b"), access, false},
		"of Data Center":                {&server{answers: readOnly}, dataCenter("a", "b"), httpToken, false},
		"of Data Center with its lists": {&server{lists: map[string][]bitbucket.Repository{"readable": dataCenter("a", "b", "c", "d", "e"), "writable": dataCenter("b")}}, dataCenter("a", "b", "c", "d", "e"), httpToken, true},
		"where one refuses":             {&server{answers: onlyReads(map[string]error{"b clone": missing})}, cloud("a", "b", "c"), apiToken, false},
		"where the first refuses":       {&server{answers: onlyReads(map[string]error{"a clone": missing})}, cloud("a", "b"), apiToken, false},
		"where the token is refused":    {&server{answers: map[string]error{"clone": unauthorized}}, cloud("a", "b"), apiToken, false},
		"where a guess is refused":      {&server{answers: map[string]error{"clone": unauthorized}}, cloud("a", "b"), guess, false},
		"where the server is busy":      {&server{answers: map[string]error{"clone": busy}}, cloud("a"), apiToken, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain := &server{answers: tt.server.answers, public: tt.server.public, scopes: tt.server.scopes, lists: tt.server.lists}
			wanted := demandsOf(tt.repositories)
			want, wantErr := preflight.Check(t.Context(), bound(plain), wanted, tt.token, tt.write)

			once := preflight.NewOnce(bound(tt.server))
			if tt.token.Certain {
				once.Begin(t.Context(), wanted[0], tt.token)
				assert.Subset(t, plain.presented(), tt.server.presented())
			}
			for range 2 {
				proof, err := preflight.Check(t.Context(), once, wanted, tt.token, tt.write)
				assert.Equal(t, wantErr, err)
				assert.Equal(t, want, proof)
				assert.Equal(t, plain.presented(), tt.server.presented())
			}
		})
	}
}

// TestARefusalIsThatOfEveryBranch, so that a refused token is not presented for another one.
func TestARefusalIsThatOfEveryBranch(t *testing.T) {
	t.Parallel()
	s := &server{answers: map[string]error{"clone": unauthorized}}
	once, demands := preflight.NewOnce(s), demandsOf(cloud("a"))
	for _, branch := range []string{"", "main", "dev"} {
		demands[0].Branch = branch
		_, err := preflight.Check(t.Context(), once, demands, apiToken, false)
		require.ErrorContains(t, err, "401")
	}
	assert.Len(t, s.presented(), 1)
}

// TestWhatIsCutShortIsAskedAnew: the end of a context is no answer.
func TestWhatIsCutShortIsAskedAnew(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{time.Second / 2, 3 * time.Second / 2} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{answers: readOnly, delay: time.Second}
			once := preflight.NewOnce(bound(s))
			short, stop := context.WithTimeout(t.Context(), after)
			defer stop()
			_, err := preflight.Check(short, once, demandsOf(cloud("a", "b")), apiToken, false)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			proof, err := preflight.Check(t.Context(), once, demandsOf(cloud("a", "b")), apiToken, false)
			require.NoError(t, err)
			assert.NoError(t, proof.Err())
		})
	}
}

// TestWhatWasPresentedFirstLeads, in the order of the rest.
func TestWhatWasPresentedFirstLeads(t *testing.T) {
	t.Parallel()
	once := preflight.NewOnce(&server{})
	demands := demandsOf(cloud("a", "b", "c", "b"))
	assert.Equal(t, demands, once.Lead(demands), "nothing was presented")
	demands[1].Branch = "main"
	once.Begin(t.Context(), preflight.Demand{Repository: cloud("B")[0]}, apiToken)
	once.Begin(t.Context(), preflight.Demand{Repository: cloud("c")[0]}, apiToken)
	assert.Equal(t, []preflight.Demand{demands[1], demands[3], demands[0], demands[2]}, once.Lead(demands))
}

// TestASecondSpellingIsTheSameQuestion, so that a refused token is presented once.
func TestASecondSpellingIsTheSameQuestion(t *testing.T) {
	t.Parallel()
	refusing := &server{answers: map[string]error{"clone": unauthorized}}
	once := preflight.NewOnce(bound(refusing))
	once.Begin(t.Context(), demandsOf(dataCenter("A"))[0], httpToken)
	presented := refusing.presented()
	require.Len(t, presented, 1)

	_, err := preflight.Check(t.Context(), once, once.Lead(demandsOf(dataCenter("a"))), httpToken, false)
	require.ErrorIs(t, err, unauthorized)
	assert.Equal(t, presented, refusing.presented())
}
