package mint_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/mint"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// registry is a server's list of tokens that loses answers on demand.
type registry struct {
	tokens    []bitbucket.TokenRecord
	deleted   []string
	fail      []error // errors of the next changes, before they happen; nil lets a change happen
	lose      int     // answers to lose after the change
	listError error
	next      int
	now       time.Time

	answers time.Duration        // time after which a creation is answered
	makes   time.Duration        // time after which its token exists
	hang    int                  // lists that are never answered
	exists  map[string]time.Time // by ID: the time from which a token exists; others always exist
	asked   int                  // creations
}

// waited reports whether d went by before the context was over.
func waited(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

var (
	errLost          = fmt.Errorf("%w: cut", bitbucket.ErrAnswerLost)
	errRefused error = &bitbucket.Refusal{Status: 400, Text: "expiry required (bitbucket.x)"}
)

func (r *registry) outcome() (before, after error) {
	if len(r.fail) > 0 {
		before, r.fail = r.fail[0], r.fail[1:]
	}
	if before == nil && r.lose > 0 {
		r.lose--
		after = errLost
	}
	return before, after
}

func (r *registry) ListTokens(ctx context.Context, _ bitbucket.TokenOwner) ([]bitbucket.TokenRecord, error) {
	if r.hang > 0 {
		r.hang--
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("list: %w", ctx.Err())
	}
	return slices.DeleteFunc(slices.Clone(r.tokens), func(t bitbucket.TokenRecord) bool { return time.Now().Before(r.exists[t.ID]) }), r.listError
}

func (r *registry) CreateToken(ctx context.Context, _ bitbucket.TokenOwner, name string, _ bitbucket.Permission, days int) (bitbucket.TokenRecord, sensitive.String, error) {
	r.asked++
	before, after := r.outcome()
	if before != nil {
		return bitbucket.TokenRecord{}, sensitive.String{}, before
	}
	r.next++
	record := bitbucket.TokenRecord{ID: fmt.Sprintf("%012d", r.next), Name: name, Created: r.now, Expires: r.now.AddDate(0, 0, days)}
	r.tokens = append(r.tokens, record)
	if r.exists == nil {
		r.exists = map[string]time.Time{}
	}
	r.exists[record.ID] = time.Now().Add(r.makes)
	if !waited(ctx, r.answers) {
		after = errLost
	}
	if after != nil {
		return bitbucket.TokenRecord{}, sensitive.String{}, after
	}
	return record, sensitive.New("BBDC-" + record.ID), nil
}

func (r *registry) DeleteToken(ctx context.Context, _ bitbucket.TokenOwner, id string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("delete: %w", ctx.Err())
	}
	before, after := r.outcome()
	if before != nil {
		return before
	}
	r.deleted = append(r.deleted, id)
	r.tokens = slices.DeleteFunc(r.tokens, func(t bitbucket.TokenRecord) bool { return t.ID == id })
	return after
}

func (r *registry) ids() []string {
	var ids []string
	for _, token := range r.tokens {
		ids = append(ids, token.ID)
	}
	return ids
}

var (
	noon    = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	marker  = mint.For("BITBUCKET_TOKEN", "Tm0000000000000000000A")
	request = mint.Request{Permission: bitbucket.RepositoryRead, Days: 30, At: noon, Attempt: "5f0c2b1e"}
)

func minter(r *registry) mint.Minter {
	return mint.Minter{Registry: r, Owner: bitbucket.TokenOwner{Project: "PRJ"}, Marker: marker, Log: slog.New(slog.DiscardHandler)}
}

func TestMint(t *testing.T) {
	t.Parallel()
	const name = "oz-bitbucket BITBUCKET_TOKEN Tm0000000000000000000A 2026-11-24T12:00:00Z 5f0c2b1e"
	foreign := bitbucket.TokenRecord{ID: "foreign", Name: "by hand"}
	tests := []struct {
		name    string
		server  registry
		wantErr string
		want    []string // that exist in the end
	}{
		{"makes one", registry{}, "", []string{"foreign", "000000000001"}},
		{"tries again when nothing happened", registry{fail: []error{errLost}}, "", []string{"foreign", "000000000001"}},
		{"revokes the one whose value was lost", registry{lose: 1}, "", []string{"foreign", "000000000002"}},
		{"revokes the one that comes late", registry{lose: 1, makes: 2 * time.Second}, "", []string{"foreign", "000000000002"}},
		{"looks again after a look that failed", registry{lose: 1, hang: 1}, "", []string{"foreign", "000000000002"}},
		{"revokes it though that answer is lost too", registry{lose: 2}, "", []string{"foreign", "000000000002"}},
		{"gives up after some tries and leaves nothing", registry{fail: []error{errLost, errLost, errLost}}, "the request may have taken effect", []string{"foreign"}},
		{"takes a refusal as final", registry{fail: []error{errRefused}}, "set token_expiry_days", []string{"foreign"}},
		{"says when it cannot look", registry{lose: 1, listError: errors.New("down")}, "looking for it afterwards: down", []string{"foreign", "000000000001"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := tt.server
				server.now, server.tokens = noon, []bitbucket.TokenRecord{foreign}
				record, token, err := minter(&server).Mint(t.Context(), request)
				if tt.wantErr == "" {
					require.NoError(t, err)
					assert.Equal(t, name, record.Name)
					assert.Equal(t, "BBDC-"+record.ID, token.Reveal())
					assert.Equal(t, noon.AddDate(0, 0, 30), record.Expires)
				} else {
					require.ErrorContains(t, err, tt.wantErr)
				}
				assert.Equal(t, tt.want, server.ids())
			})
		})
	}
}

// TestMintToldToStop: whenever the stop comes, no token that the program made is left,
// and nothing takes longer than the host allows.
func TestMintToldToStop(t *testing.T) {
	t.Parallel()
	const ms, never = time.Millisecond, time.Hour
	stopped := errors.New("interrupted")
	tests := map[string]struct {
		server registry
		stop   time.Duration // when, after the beginning
		takes  time.Duration // at most, after the stop
		err    error
		asked  int
		left   []string
	}{
		"before it begins":                        {registry{}, 0, 0, stopped, 0, nil},
		"the answer comes soon":                   {registry{answers: 250 * ms, makes: 250 * ms}, 100 * ms, 150 * ms, stopped, 1, nil},
		"the answer comes late":                   {registry{answers: 3000 * ms, makes: 3000 * ms}, 100 * ms, 2900 * ms, stopped, 1, nil},
		"the answer comes, and is lost at revoke": {registry{answers: 250 * ms, fail: []error{nil, errLost}}, 100 * ms, 150 * ms, stopped, 1, nil},
		"no answer comes":                         {registry{answers: never}, 100 * ms, 3000 * ms, stopped, 1, nil},
		"no answer comes, and the token late":     {registry{answers: never, makes: 6500 * ms}, 100 * ms, 6500 * ms, stopped, 1, nil},
		"no answer comes, and a list hangs":       {registry{answers: never, hang: 1}, 100 * ms, 5500 * ms, stopped, 1, nil},
		"the answer was lost before":              {registry{lose: 1, makes: 6000 * ms}, 1200 * ms, 5300 * ms, stopped, 1, nil},
		"a list hangs that was asked before":      {registry{lose: 1, hang: 1}, 1200 * ms, 500 * ms, stopped, 1, nil},
		"the token is never made":                 {registry{fail: []error{errLost}}, 100 * ms, 7000 * ms, bitbucket.ErrAnswerLost, 1, nil},
		"the token comes when all is over":        {registry{answers: never, makes: 8000 * ms}, 100 * ms, 7000 * ms, bitbucket.ErrAnswerLost, 1, []string{"000000000001"}},
		"a refusal stays what it is":              {registry{fail: []error{errRefused}}, 100 * ms, 0, errRefused, 1, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancelCause(t.Context())
				end := time.Now().Add(tt.stop)
				time.AfterFunc(tt.stop, func() { stop(stopped) })
				synctest.Wait()
				server := tt.server
				record, token, err := minter(&server).Mint(ctx, request)
				require.ErrorIs(t, err, tt.err)
				assert.Equal(t, bitbucket.TokenRecord{}, record)
				assert.True(t, token.IsEmpty())
				assert.LessOrEqual(t, time.Since(end), tt.takes)
				assert.Equal(t, tt.left, server.ids())
				assert.Equal(t, tt.asked, server.asked)
			})
		})
	}
}

func TestRevokeReplaced(t *testing.T) {
	t.Parallel()
	ours := func(id string, age time.Duration) bitbucket.TokenRecord {
		at := noon.Add(-age)
		return bitbucket.TokenRecord{ID: id, Name: fmt.Sprintf("%s %s x", marker, at.Format(time.RFC3339)), Created: at}
	}
	day := 24 * time.Hour
	records := []bitbucket.TokenRecord{
		ours("current", 0), ours("previous", day), ours("before", 30*day), ours("oldest", 60*day), ours("newer", -day),
		{ID: "by hand", Name: "oz-bitbucket BITBUCKET_TOKEN Tm0000000000000000000A", Created: noon.Add(-day)},
		{ID: "other secret", Name: string(mint.For("OTHER", "Tm0000000000000000000A")) + " 2026-01-01T00:00:00Z x", Created: noon.Add(-day)},
		{ID: "longer name", Name: string(marker) + "X 2026-01-01T00:00:00Z x", Created: noon.Add(-day)},
		{ID: "no date", Name: string(marker) + " mine", Created: noon.Add(-day)},
	}
	tests := []struct {
		name  string
		after time.Duration
		using string
		want  []string
	}{
		{"at once", 0, "", []string{"oldest", "before", "previous"}},
		{"keeps the newest previous one for an hour", time.Hour, "", []string{"oldest", "before"}},
		{"counts from when each was replaced", 10 * day, "", []string{"oldest"}},
		{"long enough keeps all", 90 * day, "", nil},
		{"never", mint.Never, "", nil},
		{"never the credential in use", 0, "previous", []string{"oldest", "before"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := registry{tokens: slices.Clone(records), lose: 1}
			require.NoError(t, minter(&server).RevokeReplaced(t.Context(), records[0], tt.using, tt.after))
			assert.Equal(t, tt.want, slices.Compact(server.deleted))
		})
	}
}

func TestRevokeRefusesWhatItDidNotMake(t *testing.T) {
	t.Parallel()
	server := registry{}
	require.ErrorContains(t, minter(&server).Revoke(t.Context(), bitbucket.TokenRecord{ID: "1", Name: "by hand"}), "did not make it")
	assert.Empty(t, server.deleted)
}

func TestRefusalsAreExplained(t *testing.T) {
	t.Parallel()
	tests := []struct {
		refused bitbucket.Refusal
		want    string
	}{
		{bitbucket.Refusal{Status: 401, Text: "You are not permitted to access this resource"}, "bitbucket_username"},
		{bitbucket.Refusal{Status: 403, Text: "x"}, "an administrator of the project"},
		{bitbucket.Refusal{Status: 401, Text: "Authentication failed"}, "was not accepted"},
		{bitbucket.Refusal{Status: 401, Text: "CAPTCHA required"}, "solve the CAPTCHA"},
		{bitbucket.Refusal{Status: 403, NotGit: true, Text: "Basic Authentication has been disabled"}, "takes no passwords"},
		{bitbucket.Refusal{Status: 400, Text: "An expiry is required"}, "token_expiry_days"},
		{bitbucket.Refusal{Status: 400, Text: "maximum number of tokens"}, "revoke some"},
		{bitbucket.Refusal{Status: 404, NotGit: true, Text: "404"}, "too old"},
		{bitbucket.Refusal{Status: 404, Text: "No such project"}, "does not know the project PRJ"},
		{bitbucket.Refusal{Status: 302, NotGit: true, Text: "302"}, "login page"},
		{bitbucket.Refusal{Status: 409, Text: "odd"}, "the server refused"},
	}
	for _, tt := range tests {
		server := registry{fail: []error{&tt.refused}}
		_, _, err := minter(&server).Mint(t.Context(), request)
		require.ErrorContains(t, err, tt.want)
		var refused *bitbucket.Refusal
		assert.ErrorAs(t, err, &refused)
	}
}
