package bitbucketapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

func TestAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := bitbucketapi.NewAttempts()
		take := func() error {
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			return attempts.Take(ctx, false)
		}
		over, stop := context.WithCancel(t.Context())
		stop()
		for range 10 {
			require.ErrorIs(t, attempts.Take(over, false), context.Canceled, "though one is free")
		}
		for range 10 {
			require.NoError(t, take())
			require.NoError(t, take())
			require.ErrorIs(t, take(), context.DeadlineExceeded, "two are under way")
			attempts.Settle(false, false)
			attempts.Settle(false, false)
		}
		require.NoError(t, take())
		attempts.Settle(false, true)
		require.NoError(t, take())
		time.AfterFunc(time.Second, func() { attempts.Settle(false, false) })
		require.NoError(t, take(), "it was given back")
		time.AfterFunc(time.Second, func() { attempts.Settle(false, true) })
		began := time.Now()
		for range 3 {
			require.ErrorIs(t, take(), bitbucket.ErrNotAsked)
		}
		assert.Equal(t, time.Second, time.Since(began), "who waits is told, and who comes later at once")
	})
}

// TestSpareAttemptsLeaveTheLastOne: what nothing depends on is asked one by one,
// and not when one answer of 401 is left.
func TestSpareAttemptsLeaveTheLastOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := bitbucketapi.NewAttempts()
		take := func(spare bool) error {
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			return attempts.Take(ctx, spare)
		}
		require.NoError(t, take(true))
		require.ErrorIs(t, take(true), context.DeadlineExceeded, "one is under way")
		require.NoError(t, take(false))
		attempts.Settle(false, false)
		attempts.Settle(true, false)
		require.NoError(t, take(true))
		attempts.Settle(true, true)
		for range 10 {
			require.ErrorIs(t, take(true), bitbucket.ErrNotAsked)
		}
		require.NoError(t, take(false), "the last one is for what is needed")
		attempts.Settle(false, true)
		require.ErrorIs(t, take(false), bitbucket.ErrNotAsked)

		attempts = bitbucketapi.NewAttempts()
		require.NoError(t, take(false))
		require.NoError(t, take(false))
		time.AfterFunc(time.Second, func() {
			attempts.Settle(false, true)
			attempts.Settle(false, false)
		})
		require.ErrorIs(t, take(true), bitbucket.ErrNotAsked, "who waits for a free one is told too")
	})
}

// TestAGuessAtTheOwnerLeavesTheLastAttempt: the server knows whose token it is and
// refuses that user's record, so the repository's is not asked for.
func TestAGuessAtTheOwnerLeavesTheLastAttempt(t *testing.T) {
	t.Parallel()
	var refused atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/users") {
			w.Header().Set("X-AUSERNAME", "jane")
			return
		}
		refused.Add(1)
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	api, r := apiAt(t, server.URL)
	client := api.Client(sensitive.New("BBDC-MTIzOg=="))
	_, err := client.FindSelf(t.Context(), r)
	require.ErrorIs(t, err, bitbucket.ErrNotAsked)
	assert.Equal(t, int32(1), refused.Load())
	_, err = client.ListRefs(t.Context(), r, bitbucket.UploadPack, bearer, "")
	require.NotErrorIs(t, err, bitbucket.ErrNotAsked)
}

// TestATokenIsRefusedTwiceAndNoMore, whoever asks the server and what for.
func TestATokenIsRefusedTwiceAndNoMore(t *testing.T) {
	t.Parallel()
	id := "BBDC-MTIzOg==" // 123:
	type asker func(context.Context, *bitbucketapi.API, bitbucket.Repository) error
	ask := map[string]asker{
		"git as Bearer": func(ctx context.Context, api *bitbucketapi.API, r bitbucket.Repository) error {
			_, err := api.Client(sensitive.New(id)).ListRefs(ctx, r, bitbucket.UploadPack, bearer, "")
			return err
		},
		"git as Basic": func(ctx context.Context, api *bitbucketapi.API, r bitbucket.Repository) error {
			_, err := api.Client(sensitive.New(id)).ListRefs(ctx, r, bitbucket.ReceivePack, bitbucket.Login{User: "x-token-auth"}, "")
			return err
		},
		"the REST": func(ctx context.Context, api *bitbucketapi.API, r bitbucket.Repository) error {
			_, err := api.Client(sensitive.New(id)).CheckREST(ctx, r, bearer)
			return err
		},
		"its own record": func(ctx context.Context, api *bitbucketapi.API, r bitbucket.Repository) error {
			_, err := api.Client(sensitive.New(id)).FindSelf(ctx, r)
			return err
		},
		"the user": func(ctx context.Context, api *bitbucketapi.API, r bitbucket.Repository) error {
			_, err := api.Tokens(r, bitbucketapi.Credential{Secret: sensitive.New(id)}).FindUser(ctx)
			return err
		},
		"a list": func(ctx context.Context, api *bitbucketapi.API, r bitbucket.Repository) error {
			_, err := api.Tokens(r, bitbucketapi.Credential{Username: "jane", Secret: sensitive.New(id)}).ListTokens(ctx, bitbucket.TokenOwner{User: "jane"})
			return err
		},
		"a change": func(ctx context.Context, api *bitbucketapi.API, r bitbucket.Repository) error {
			return api.Tokens(r, bitbucketapi.Credential{Secret: sensitive.New(id)}).DeleteToken(ctx, bitbucket.TokenOwner{User: "jane"}, "1")
		},
	}
	for first, before := range ask {
		for second, after := range ask {
			t.Run(first+", "+second, func(t *testing.T) {
				t.Parallel()
				var presented, anonymous atomic.Int32
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					count := &presented
					if r.Header.Get("Authorization") == "" {
						count = &anonymous
					}
					count.Add(1)
					http.Error(w, "no", http.StatusUnauthorized)
				}))
				t.Cleanup(server.Close)
				api, r := apiAt(t, server.URL)
				require.Error(t, before(t.Context(), api, r))
				again := before
				if first == "its own record" { // which leaves the last one
					require.ErrorIs(t, before(t.Context(), api, r), bitbucket.ErrNotAsked)
					again = ask["git as Bearer"]
				}
				require.Error(t, again(t.Context(), api, r))
				err := after(t.Context(), api, r)
				require.ErrorIs(t, err, bitbucket.ErrNotAsked)
				assert.NotErrorIs(t, err, bitbucket.ErrAnswerLost)
				assert.Equal(t, int32(2), presented.Load())

				_, err = api.Client(sensitive.New(id)).ListRefs(t.Context(), r, bitbucket.UploadPack, bitbucket.Login{}, "")
				assert.NotErrorIs(t, err, bitbucket.ErrNotAsked, "nobody's question")
				_, err = api.Client(sensitive.New("another")).ListRefs(t.Context(), r, bitbucket.UploadPack, bearer, "")
				assert.NotErrorIs(t, err, bitbucket.ErrNotAsked, "another token")
				assert.Equal(t, []int32{3, 1}, []int32{presented.Load(), anonymous.Load()})
			})
		}
	}
}

// TestAnswersOtherThan401CostNothing asks more often than there are attempts.
func TestAnswersOtherThan401CostNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 302, 403, 404, 0} { // 0: none
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			client, repository := against(t, func(w http.ResponseWriter, r *http.Request) {
				if status == 0 {
					<-r.Context().Done()
					return
				}
				w.WriteHeader(status)
			})
			for range 5 {
				ctx := t.Context()
				if status == 0 {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, 20*time.Millisecond)
					defer stop()
				}
				_, err := client.ListRefs(ctx, repository, bitbucket.UploadPack, bearer, "")
				require.Error(t, err)
				require.NotErrorIs(t, err, bitbucket.ErrNotAsked)
			}
		})
	}
}

// TestAChangeThatWasNotSentIsNotLost: the job was told to stop while others had
// the attempts.
func TestAChangeThatWasNotSentIsNotLost(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	api, r := apiAt(t, server.URL)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	for range 2 {
		go func() {
			_, err := api.Client(sensitive.New("x")).ListRefs(ctx, r, bitbucket.UploadPack, bearer, "")
			ended <- err
		}()
	}
	require.Eventually(t, func() bool { return asked.Load() == 2 }, 10*time.Second, time.Millisecond)
	brief, done := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer done()
	err := api.Tokens(r, bitbucketapi.Credential{Secret: sensitive.New("x")}).DeleteToken(brief, bitbucket.TokenOwner{User: "jane"}, "1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, err, bitbucket.ErrAnswerLost)
	assert.Equal(t, int32(2), asked.Load(), "no more are under way")
	stop()
	require.Error(t, <-ended)
	require.Error(t, <-ended)
}

func TestASecretIsInNoPrintedForm(t *testing.T) {
	t.Parallel()
	api, r := apiAt(t, "http://127.0.0.1:1")
	client, tokens := api.Client(sensitive.New(token)), api.Tokens(r, bitbucketapi.Credential{Secret: sensitive.New(token)})
	for _, format := range []string{"%v", "%+v", "%#v"} {
		assert.False(t, strings.Contains(fmt.Sprintf(strings.Repeat(format, 3), api, client, tokens), token))
	}
}
