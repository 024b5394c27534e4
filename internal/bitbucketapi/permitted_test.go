package bitbucketapi_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"context"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
)

func TestListPermitted(t *testing.T) {
	t.Parallel()
	server := bitbucketsim.Start(bitbucketsim.Options{})
	t.Cleanup(server.Close)
	for _, r := range []bitbucketsim.Repository{{Owner: "PRJ", Slug: "one"}, {Owner: "prj", Slug: "Two"}, {Owner: "~jane", Slug: "own"}, {Owner: "OTHER", Slug: "open", Public: true}, {Owner: "OTHER", Slug: "closed"}} {
		r.Flavor, r.Empty = bitbucketsim.DataCenter, true
		server.AddRepository(r)
	}
	server.AddToken(bitbucketsim.Token{Value: "reads", Kind: bitbucketsim.HTTPAccessToken, Repositories: []string{"PRJ/one", "PRJ/two", "~jane/own"}})
	server.AddToken(bitbucketsim.Token{Value: "writes", Kind: bitbucketsim.HTTPAccessToken, Project: "PRJ", Write: true})
	api, like := apiAt(t, server.DataCenterURL())
	for _, test := range []struct {
		token string
		write bool
		want  []string
	}{
		{"reads", false, []string{"prj/one", "prj/two", "~jane/own", "other/open"}},
		{"reads", true, nil},
		{"writes", false, []string{"prj/one", "prj/two", "other/open"}},
		{"writes", true, []string{"prj/one", "prj/two"}},
	} {
		list, err := api.Client(sensitive.New(test.token)).ListPermitted(t.Context(), like, test.write)
		require.NoError(t, err)
		var found []string
		for r := range list {
			assert.Equal(t, like.Origin()+like.Context, "http://"+r.Host+r.Context)
			found = append(found, r.String())
		}
		assert.ElementsMatch(t, test.want, found, "%s %v", test.token, test.write)
	}
	for try := range 4 {
		_, err := api.Client(sensitive.New("unknown")).ListPermitted(t.Context(), like, false)
		require.Error(t, err)
		if try > 0 {
			require.ErrorIs(t, err, bitbucket.ErrNotAsked, "the last answer of 401 is for what is needed")
		}
	}
}

// TestWiden: once the secret is taken, more questions are under way than may be refused;
// after a refusal no more than are left.
func TestWiden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := bitbucketapi.NewAttempts()
		free := func() (n int) {
			for {
				ctx, stop := context.WithTimeout(t.Context(), time.Second)
				err := a.Take(ctx, false)
				stop()
				if err != nil {
					return n
				}
				n++
			}
		}
		settle := func(n int) {
			for range n {
				a.Settle(false, false)
			}
		}
		assert.Equal(t, 2, a.Widen(2), "Data Center")
		assert.Equal(t, 16, a.Widen(16))
		assert.Equal(t, 16, a.Widen(16), "again")
		require.Equal(t, 16, free())
		settle(16)
		require.Equal(t, 16, free(), "all were given back")
		settle(10)
		a.Settle(false, true) // five are still under way
		require.Zero(t, free(), "more than may be refused are under way")
		settle(5)
		require.Equal(t, 1, free(), "one answer of 401 is left")
		assert.Equal(t, 1, a.Widen(16))
		settle(1)
		require.Equal(t, 1, free())
		a.Settle(false, true)
		require.ErrorIs(t, a.Take(t.Context(), false), bitbucket.ErrNotAsked)
		assert.Equal(t, 1, a.Widen(16))
		require.ErrorIs(t, a.Take(t.Context(), false), bitbucket.ErrNotAsked)
	})
}

// TestManyAreRefusedAtOnce: whatever the order, what is under way ends, and nothing is
// asked after it.
func TestManyAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for refused := 1; refused <= 16; refused++ {
		t.Run(fmt.Sprint(refused), func(t *testing.T) {
			t.Parallel()
			a := bitbucketapi.NewAttempts()
			a.Widen(16)
			for range 16 {
				require.NoError(t, a.Take(t.Context(), false))
			}
			for i := range 16 {
				a.Settle(false, i%16 < refused)
			}
			if refused == 1 {
				require.NoError(t, a.Take(t.Context(), false), "one is left")
				a.Settle(false, true)
			}
			require.ErrorIs(t, a.Take(t.Context(), false), bitbucket.ErrNotAsked)
		})
	}
}
