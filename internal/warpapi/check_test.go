package warpapi_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
)

// IDs as Oz makes them.
const (
	runUUID     = "5f0c2b1e-7f1c-4d3e-8a9b-0123456789ab"
	otherUUID   = "5f0c2b1e-7f1c-4d3e-8a9b-0123456789ac"
	scheduleUID = "Sc0000000000000000000A"
	otherUID    = "Xy0000000000000000000B"
)

// TestWhatIsNoIDIsRefused: in every answer. The error says where, and does not quote
// the value.
func TestWhatIsNoIDIsRefused(t *testing.T) {
	t.Parallel()
	data := func(field, object string) string { return `{"data":{"` + field + `":` + object + `}}` }
	stored := func(uid, owner string) string {
		return `{"__typename":"GenericStringObject","format":"JsonCloudEnvironment","serializedModel":"{}",
			"metadata":{"uid":"` + uid + `","revisionTs":"r"},"permissions":{"space":{"type":"Team","uid":"` + owner + `"}}}`
	}
	listing := func(uid, owner string) string {
		return data("getCloudEnvironments", `{"__typename":"GetCloudEnvironmentsOutput","cloudEnvironments":[{"uid":"`+uid+`","scope":{"type":"Team","uid":"`+owner+`"}}]}`)
	}
	user := func(uid, team string) string {
		return data("user", `{"__typename":"UserOutput","user":{"profile":{"uid":"`+uid+`"},"workspaces":[{"teams":[{"uid":"`+team+`","name":"A"}]}]}}`)
	}
	type call func(ctx context.Context, c *warpapi.Client) error
	list := func(ctx context.Context, c *warpapi.Client) error { _, err := c.ListEnvironments(ctx); return err }
	get := func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.GetEnvironment(ctx, otherUID)
		return err
	}
	create := func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.CreateEnvironment(ctx, team, warp.NewModel("x"))
		return err
	}
	update := func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.UpdateEnvironment(ctx, otherUID, "r", warp.NewModel("x"))
		return err
	}
	caller := func(ctx context.Context, c *warpapi.Client) error { _, err := c.GetCaller(ctx); return err }
	keys := func(ctx context.Context, c *warpapi.Client) error { _, err := c.GetUploadKeys(ctx); return err }
	secrets := func(ctx context.Context, c *warpapi.Client) error { _, err := c.ListSecrets(ctx); return err }
	schedules := func(ctx context.Context, c *warpapi.Client) error { _, err := c.ListSchedules(ctx, team); return err }
	getSchedule := func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.GetSchedule(ctx, team, scheduleUID)
		return err
	}
	start := func(ctx context.Context, c *warpapi.Client) error {
		_, err := c.StartRun(ctx, warp.RunRequest{})
		return err
	}
	getRun := func(ctx context.Context, c *warpapi.Client) error { _, err := c.GetRun(ctx, runUUID); return err }
	findRuns := func(ctx context.Context, c *warpapi.Client) error { _, err := c.FindRuns(ctx, "k", "v"); return err }

	for name, tt := range map[string]struct {
		call   call
		answer func(id string) string
		want   string
	}{
		"a listing":         {list, func(id string) string { return listing(id, teamUID) }, "list environments: number 1 of them has "},
		"a listing's owner": {list, func(id string) string { return listing(otherUID, id) }, "list environments: number 1 of them has an owner"},
		"an environment": {get, func(id string) string {
			return data("cloudObject", `{"__typename":"CloudObjectOutput","object":`+stored(id, teamUID)+`}`)
		}, "the environment of the answer has "},
		"its owner": {get, func(id string) string {
			return data("cloudObject", `{"__typename":"CloudObjectOutput","object":`+stored(otherUID, id)+`}`)
		}, "the environment of the answer has an owner"},
		"one that is created": {create, func(id string) string {
			return data("createGenericStringObject", `{"__typename":"CreateGenericStringObjectOutput","genericStringObject":`+stored(id, teamUID)+`}`)
		}, "the environment of the answer has "},
		"one that conflicts": {update, func(id string) string {
			return data("updateGenericStringObject", `{"__typename":"UpdateGenericStringObjectOutput","update":{"__typename":"GenericStringObjectUpdateRejected","conflictingGenericStringObject":`+stored(id, teamUID)+`}}`)
		}, "the environment of the answer has "},
		"the caller": {caller, func(id string) string { return user(id, teamUID) }, "the owner of warp_api_key has a UID that is not"},
		"a team":     {caller, func(id string) string { return user(userUID, id) }, "a team of the owner of warp_api_key has "},
		"a team with an upload key": {keys, func(id string) string {
			return data("user", `{"__typename":"UserOutput","user":{"workspaces":[{"teams":[{"uid":"`+id+`","managedSecrets":{"publicKey":"k"}}]}]}}`)
		}, "a team with an upload key has "},
		"a secret's owner": {secrets, func(id string) string {
			return data("managedSecrets", `{"__typename":"ManagedSecretsOutput","managedSecrets":[{"name":"N","owner":{"type":"Team","uid":"`+id+`"}}]}`)
		}, "list secrets: number 1 of them has an owner"},
		"a schedule": {schedules, func(id string) string { return `{"schedules":[{"id":"` + id + `"}]}` }, "GET /api/v1/agent/schedules: read a schedule: it has "},
		"a schedule's owner": {getSchedule, func(id string) string {
			return `{"id":"` + scheduleUID + `","scope":{"type":"Team","uid":"` + id + `"}}`
		}, "read a schedule: it has an owner"},
		"a started run":   {start, func(id string) string { return `{"run_id":"` + id + `"}` }, "POST /api/v1/agent/runs: the answer was lost, so the request may have taken effect: the answer holds a run ID "},
		"a run":           {getRun, func(id string) string { return `{"run_id":"` + id + `","state":"QUEUED"}` }, "GET /api/v1/agent/runs/" + runUUID + ": the answer holds a run ID that is not a UUID"},
		"a run of a list": {findRuns, func(id string) string { return `{"runs":[{"run_id":"` + id + `","state":"QUEUED"}]}` }, "GET /api/v1/agent/runs: the answer holds a run ID that is not a UUID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, id := range []string{"../MARKER", `MARKER\n::x`, "MARKER", "MARKER 000000000000000", `MARKER\u202e0000000000000`, "MARKER/0000000000000000", "MARKER000000000000000", "MARKER00000000000000000", strings.Repeat("MARKER", 100)} {
				if name == "the caller" && strings.Trim(id, "MARKE0") == "" && len(id) < 100 {
					continue // a user's UID may be that
				}
				err := tt.call(t.Context(), against(t, says(tt.answer(id))))
				require.ErrorContains(t, err, tt.want, id)
				assert.NotContains(t, err.Error(), "MARKER")
			}
		})
	}

	for want, call := range map[string]error{
		"another object":   get(t.Context(), against(t, says(data("cloudObject", `{"__typename":"CloudObjectOutput","object":`+stored(scheduleUID, teamUID)+`}`)))),
		"another schedule": getSchedule(t.Context(), against(t, says(`{"id":"`+otherUID+`"}`))),
		"another run":      getRun(t.Context(), against(t, says(`{"run_id":"`+otherUUID+`","state":"QUEUED"}`))),
	} {
		require.ErrorContains(t, call, "the answer is about "+want+" than the request")
	}
	for _, uid := range []string{userUID, "serviceAccount:robot", "serviceAccount:" + teamUID} {
		require.NoError(t, caller(t.Context(), against(t, says(user(uid, teamUID)))))
	}
	for _, uid := range []string{"", "serviceAccount:", "serviceAccount:serviceAccount:robot", "robot:robot", strings.Repeat("r", 129)} {
		require.Error(t, caller(t.Context(), against(t, says(user(uid, teamUID)))), uid)
	}
}

func TestASessionIsOnOzsOwnHost(t *testing.T) {
	t.Parallel()
	for root, links := range map[string]map[string]bool{
		"https://app.warp.dev": {
			"https://app.warp.dev/session/1?a=b": true, "https://oz.warp.dev/runs/1": true, "https://warp.dev/": true, "https://APP.Warp.dev/": true, "https://a.b.warp.dev/": true,
			"https://app.warp.dev:8443/": false, "http://app.warp.dev/": false, "https://warp.dev.evil.test/": false, "https://evilwarp.dev/": false, "https://app.warp.dev@evil.test/": false,
			"https://evil.test/": false, "https://app.warp.dev.": false, "http://localhost/": false, "https://dev/": false, "//app.warp.dev/": false, "javascript:alert(1)": false,
			"https://app.warp.dev\\.evil.test/": false, "https://evil.test#.warp.dev": false, "https:///app.warp.dev": false, "https://evil.test%EF%BC%8F.warp.dev/": false, "https://app.warp.dev/\u202e": false, "": false,
		},
		"https://oz.example.co.uk:8443": {"https://oz.example.co.uk:8443/": true, "https://www.example.co.uk/": true, "https://evil.co.uk/": false, "https://co.uk/": false},
		"https://oz.internal":           {"https://oz.internal/": true, "https://a.oz.internal/": true, "https://evil.internal/": false, "https://internal/": false},
		"https://oz":                    {"https://oz/": true, "https://evil/": false, "https://a.oz/": false},
		"https://me.github.io":          {"https://me.github.io/": true, "https://you.github.io/": false},
		"https://10.0.0.1":              {"https://10.0.0.1/": true, "https://9.0.0.1/": false, "https://0.1/": false, "http://10.0.0.1/": false, "http://127.0.0.1/": false},
		"http://127.0.0.1:8080":         {"http://127.0.0.1:8080/": true, "http://localhost:1/": true, "https://127.0.0.1/": true, "http://[::1]/": true, "http://evil.test/": false, "https://evil.test/": false},
	} {
		at, err := url.Parse(root)
		require.NoError(t, err)
		for link, ours := range links {
			want := ""
			if ours {
				want = link
			}
			assert.Equal(t, want, warpapi.Link(at, link), "%s of %s", link, root)
		}
	}
}
