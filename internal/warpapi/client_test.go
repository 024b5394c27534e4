package warpapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/seal"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

const (
	apiKey  = "wk-MARKER-key-5d1c0a7be2"
	userUID = "kY3pQ2mV7bTt0aLw9XcRj5NsHd12"
	teamUID = "Tm0000000000000000000A"
)

var (
	team     = warp.Owner{Type: warp.TeamOwner, UID: teamUID}
	user     = warp.Owner{Type: warp.UserOwner, UID: userUID}
	teamSim  = warpsim.Owner{Type: "Team", UID: teamUID}
	simTeams = []warpsim.Team{{UID: teamUID, Name: "Acme"}}
)

// newClient is a client of the server at root.
func newClient(t *testing.T, root string) *warpapi.Client {
	t.Helper()
	at, err := url.Parse(root)
	require.NoError(t, err)
	clients, err := transport.New(transport.Options{UserAgent: "test"})
	require.NoError(t, err)
	return warpapi.New(at, sensitive.New(apiKey), clients, "1.2.3", slog.New(slog.DiscardHandler))
}

// newOz is a simulated Oz with one user, and the user's client.
func newOz(t *testing.T) (*warpsim.Server, *warpapi.Client) {
	t.Helper()
	oz := warpsim.Start(warpsim.Options{})
	t.Cleanup(oz.Close)
	oz.AddKey(apiKey, warpsim.Principal{UID: userUID, Teams: simTeams})
	return oz, newClient(t, oz.URL())
}

// sealed is a value sealed for the owner.
func sealed(t *testing.T, c *warpapi.Client, owner warp.Owner, name, value string) warp.SealedSecret {
	t.Helper()
	keys, err := c.GetUploadKeys(t.Context())
	require.NoError(t, err)
	secret, err := seal.RawValue(keys.For(owner), userUID, name, sensitive.New(value))
	require.NoError(t, err)
	return secret
}

// model is an environment's model.
func model(t *testing.T, text string) warp.Model {
	t.Helper()
	m, err := warp.ParseModel(text)
	require.NoError(t, err)
	return m
}

// operation is one method of the client.
type operation struct {
	name  string
	root  string // root field of the GraphQL operation; empty for REST
	write bool
	names bool // the call itself names its owner, here the team, not the client
	call  func(context.Context, *warpapi.Client) error
}

var operations = []operation{
	{"GetCaller", "user", false, false, func(ctx context.Context, c *warpapi.Client) error { _, err := c.GetCaller(ctx); return err }},
	{"GetUploadKeys", "user", false, false, func(ctx context.Context, c *warpapi.Client) error { _, err := c.GetUploadKeys(ctx); return err }},
	{"ListSecrets", "managedSecrets", false, false, func(ctx context.Context, c *warpapi.Client) error { _, err := c.ListSecrets(ctx); return err }},
	{"ListEnvironments", "getCloudEnvironments", false, false, func(ctx context.Context, c *warpapi.Client) error { _, err := c.ListEnvironments(ctx); return err }},
	{"GetEnvironment", "cloudObject", false, false, func(ctx context.Context, c *warpapi.Client) error { _, err := c.GetEnvironment(ctx, "uid"); return err }},
	{"ListIntegrations", "getIntegrationsUsingEnvironment", false, false, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.ListIntegrations(ctx, "uid")
		return err
	}},
	{"CreateSecret", "createManagedSecret", true, false, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.CreateSecret(ctx, team, "NAME", "", warp.NewSealedSecret("sealed"))
		return err
	}},
	{"UpdateSecret", "updateManagedSecret", true, false, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.UpdateSecret(ctx, team, "NAME", "", warp.NewSealedSecret("sealed"))
		return err
	}},
	{"CreateEnvironment", "createGenericStringObject", true, false, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.CreateEnvironment(ctx, team, warp.NewModel("ci"))
		return err
	}},
	{"UpdateEnvironment", "updateGenericStringObject", true, false, func(ctx context.Context, c *warpapi.Client) error {
		newer, err := c.UpdateEnvironment(ctx, "uid", "revision", warp.NewModel("ci"))
		if newer != nil {
			panic("newer and an error")
		}
		return err
	}},
	{"DeleteEnvironment", "deleteObject", true, false, func(ctx context.Context, c *warpapi.Client) error { return c.DeleteEnvironment(ctx, "uid") }},
	{"StartRun", "", true, false, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.StartRun(ctx, warp.RunRequest{})
		return err
	}},
	{"GetRun", "", false, false, func(ctx context.Context, c *warpapi.Client) error { _, err := c.GetRun(ctx, "id"); return err }},
	{"FindRuns", "", false, false, func(ctx context.Context, c *warpapi.Client) error { _, err := c.FindRuns(ctx, "k", "v"); return err }},
	{"ListRuns", "", false, false, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.ListRuns(ctx, "uid", time.Time{})
		return err
	}},
	{"CancelRun", "", true, false, func(ctx context.Context, c *warpapi.Client) error { return c.CancelRun(ctx, "id") }},
	{"GetReply", "", false, false, func(ctx context.Context, c *warpapi.Client) error { _, err := c.GetReply(ctx, "id"); return err }},
	{"ListConnected", "simpleIntegrations", false, false, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.ListConnected(ctx)
		return err
	}},
	{"DeleteSecret", "deleteManagedSecret", true, false, func(ctx context.Context, c *warpapi.Client) error { return c.DeleteSecret(ctx, team, "NAME") }},
	{"ListSchedules", "", false, true, func(ctx context.Context, c *warpapi.Client) error { _, err := c.ListSchedules(ctx, team); return err }},
	{"GetSchedule", "", false, true, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.GetSchedule(ctx, team, "id")
		return err
	}},
	{"CreateSchedule", "", true, true, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.CreateSchedule(ctx, team, warp.Model{})
		return err
	}},
	{"ReplaceSchedule", "", true, true, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.ReplaceSchedule(ctx, team, "id", warp.Model{})
		return err
	}},
	{"EnableSchedule", "", true, true, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.EnableSchedule(ctx, team, "id", true)
		return err
	}},
	{"DeleteSchedule", "", true, true, func(ctx context.Context, c *warpapi.Client) error { return c.DeleteSchedule(ctx, team, "id") }},
	{"ListFactories", "", false, true, func(ctx context.Context, c *warpapi.Client) error { _, err := c.ListFactories(ctx, team); return err }},
	{"ListGoing", "", false, true, func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.ListGoing(ctx, team, "uid")
		return err
	}},
	{"ListEgress", "", false, false, func(ctx context.Context, c *warpapi.Client) error { _, err := c.ListEgress(ctx); return err }},
}

// TestEveryRequestCarriesTheKeyInOneHeader looks at the requests themselves.
func TestEveryRequestCarriesTheKeyInOneHeader(t *testing.T) {
	t.Parallel()
	var journal fault.Journal
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := new(strings.Builder)
		_ = r.Write(body) // the whole request as text
		journal.Record(r, "", []byte(body.String()))
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(server.Close)
	c := newClient(t, server.URL+"/prefix/")
	for _, o := range operations {
		for _, mine := range []struct {
			*warpapi.Client
			team []string
		}{{c, nil}, {c.For(user), nil}, {c.For(team), []string{teamUID}}} {
			journal.Reset()

			require.Error(t, o.call(t.Context(), mine.Client), o.name)

			require.Len(t, journal.All(), 1)
			got := journal.All()[0]
			assert.Equal(t, []string{"Bearer " + apiKey}, got.Header["Authorization"], o.name)
			assert.Equal(t, 1, strings.Count(string(got.Body), apiKey), o.name)
			assert.Equal(t, "test", got.Header.Get("User-Agent"), o.name)
			if strings.Contains(string(got.Body), "{") {
				assert.Equal(t, "application/json", got.Header.Get("Content-Type"), o.name)
			}
			if o.root == "" {
				if o.names {
					mine.team = []string{teamUID}
				}
				assert.Equal(t, mine.team, got.Header["X-Warp-Team-Uid"], o.name)
				assert.Regexp(t, `^/prefix/api/v1/(agent/(runs|schedules)|factory|networking/egress-ranges)`, got.URL, o.name)
			} else {
				assert.Empty(t, got.Header["X-Warp-Team-Uid"], "GraphQL names owners in its inputs")
				assert.Regexp(t, `^/prefix/graphql/v2\?op=[A-Za-z]+$`, got.URL, o.name)
			}
		}
	}
}
