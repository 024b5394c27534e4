package warpapi_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// odd is a model with details that a careless client would lose: spacing, unknown keys,
// a number that does not fit into a float64.
const odd = "{ \"name\": \"ci\",\n \"future\": [1, {\"b\":2,\"a\":1}], \"n\": 12345678901234567890.10, \"t\": \"a\\u0026b<&>\u2028\" }"

func TestEnvironmentIsStoredByteForByte(t *testing.T) {
	t.Parallel()
	for name, owner := range map[string]warp.Owner{"team": team, "user": user} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			oz, c := newOz(t)

			created, err := c.CreateEnvironment(t.Context(), owner, model(t, odd))
			require.NoError(t, err)
			read, err := c.GetEnvironment(t.Context(), created.UID)
			require.NoError(t, err)

			assert.Equal(t, created, read)
			assert.Equal(t, odd, read.Model.String())
			assert.Equal(t, owner, read.Owner)
			assert.Equal(t, []warpsim.Environment{{
				UID: read.UID, Owner: warpsim.Owner{Type: string(owner.Type), UID: owner.UID}, Model: odd, RevisionTs: read.Revision,
			}}, oz.Environments())
			assert.Empty(t, oz.Violations())
		})
	}
}

func TestTwoCreatesMakeTwo(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	one, err := c.CreateEnvironment(t.Context(), team, warp.NewModel("ci"))
	require.NoError(t, err)
	two, err := c.CreateEnvironment(t.Context(), team, warp.NewModel("ci"))
	require.NoError(t, err)

	assert.NotEqual(t, one.UID, two.UID)
	bodies := map[string]bool{}
	for _, request := range oz.Journal.All() {
		_, id, found := strings.Cut(string(request.Body), `"clientId":"Client-`)
		require.True(t, found)
		bodies[id[:36]] = true
	}
	assert.Len(t, bodies, 2, "each with a client ID of its own")
}

func TestUpdateEnvironment(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	uid := oz.AddEnvironment(teamSim, odd)
	read, err := c.GetEnvironment(t.Context(), uid)
	require.NoError(t, err)

	newer, err := c.UpdateEnvironment(t.Context(), uid, read.Revision, read.Model.With("name", "renamed"))
	require.NoError(t, err)
	assert.Nil(t, newer)
	stored := oz.Environments()[0]
	assert.Equal(t, strings.Replace(odd, `"ci"`, `"renamed"`, 1), stored.Model)
	assert.NotEqual(t, read.Revision, stored.RevisionTs)

	newer, err = c.UpdateEnvironment(t.Context(), uid, read.Revision, read.Model)
	require.NoError(t, err)
	assert.Equal(t, &warp.Environment{UID: uid, Owner: team, Model: model(t, stored.Model), Revision: stored.RevisionTs}, newer,
		"of an old revision nothing is stored")
	assert.Equal(t, stored, oz.Environments()[0])

	oz.Trash(uid)
	newer, err = c.UpdateEnvironment(t.Context(), uid, read.Revision, read.Model)
	require.NoError(t, err)
	assert.True(t, newer.Trashed)
	assert.Empty(t, oz.Violations())
}

// TestRevisionTravelsByteForByte: more digits than a time.Time holds, a zone, and
// no time at all.
func TestRevisionTravelsByteForByte(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2026-08-22T10:00:00.123456789012Z", "2026-08-22T12:00:00+02:00", "v1/opaque <&>"} {
		c := answering(t, canned{200, nil, `{"data":{"cloudObject":{"__typename":"CloudObjectOutput","object":{"__typename":"GenericStringObject",
			"format":"JsonCloudEnvironment","serializedModel":"{}","metadata":{"uid":"` + otherUID + `","revisionTs":"` + revision + `","trashedTs":null},
			"permissions":{"space":{"type":"Team","uid":"` + teamUID + `"}}}}}}`}, "")
		read, err := c.GetEnvironment(t.Context(), otherUID)
		require.NoError(t, err)
		assert.Equal(t, revision, read.Revision)

		oz, c := newOz(t)
		_, err = c.UpdateEnvironment(t.Context(), otherUID, read.Revision, read.Model)
		require.Error(t, err)
		encoded := strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace(revision)
		assert.Contains(t, string(oz.Journal.All()[0].Body), `"revisionTs":"`+encoded+`"`)
	}
}

func TestListEnvironments(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	mine := oz.AddEnvironment(warpsim.Owner{Type: "User", UID: userUID}, `{"name":"mine"}`)
	ours := oz.AddEnvironment(teamSim, odd)
	oz.AddEnvironment(warpsim.Owner{Type: "User", UID: "another"}, `{"name":"theirs"}`)

	listings, err := c.ListEnvironments(t.Context())

	require.NoError(t, err)
	stored := oz.Environments()
	assert.Equal(t, []warp.EnvironmentListing{
		{UID: mine, Name: "mine", Owner: user, LastUpdated: stored[0].RevisionTs},
		{UID: ours, Name: "ci", Owner: team, LastUpdated: stored[1].RevisionTs},
	}, listings)
}

func TestGetEnvironment(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	trashed := oz.AddEnvironment(teamSim, odd)
	oz.Trash(trashed)
	hidden := oz.AddEnvironment(warpsim.Owner{Type: "User", UID: "another"}, odd)

	read, err := c.GetEnvironment(t.Context(), trashed)
	require.NoError(t, err)
	assert.True(t, read.Trashed)

	for _, uid := range []string{hidden, "nothing"} {
		_, err = c.GetEnvironment(t.Context(), uid)
		var refusal *warp.Refusal
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, &warp.Refusal{Status: 200, Kind: "InvalidInputError", Message: "object not found"}, refusal)
	}
}

func TestDeleteEnvironment(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	uid := oz.AddEnvironment(teamSim, odd)
	kept := oz.AddEnvironment(teamSim, odd)

	require.NoError(t, c.DeleteEnvironment(t.Context(), uid))

	require.Len(t, oz.Environments(), 1)
	assert.Equal(t, kept, oz.Environments()[0].UID)
	var refusal *warp.Refusal
	require.ErrorAs(t, c.DeleteEnvironment(t.Context(), uid), &refusal)

	c = answering(t, canned{200, nil, `{"data":{"deleteObject":{"__typename":"DeleteObjectOutput","success":false}}}`}, "")
	require.EqualError(t, c.DeleteEnvironment(t.Context(), uid), "the server says that the request did not succeed")
}

func TestListIntegrations(t *testing.T) {
	t.Parallel()
	oz, c := newOz(t)
	used, unused := oz.AddEnvironment(teamSim, odd), oz.AddEnvironment(teamSim, odd)
	oz.AddIntegration(used, "slack")
	oz.AddIntegration(used, "linear")

	names, err := c.ListIntegrations(t.Context(), used)
	require.NoError(t, err)
	assert.Equal(t, []string{"slack", "linear"}, names)
	names, err = c.ListIntegrations(t.Context(), unused)
	require.NoError(t, err)
	assert.Empty(t, names)
}

// TestObjectsThatAreNoEnvironments: each answer is read, created and conflicting.
func TestObjectsThatAreNoEnvironments(t *testing.T) {
	t.Parallel()
	stored := func(format, model, uid string) string {
		return `{"__typename":"GenericStringObject","format":"` + format + `","serializedModel":` + model + `,
			"metadata":{"uid":"` + uid + `","revisionTs":"r","trashedTs":null},"permissions":{"space":{"type":"Team","uid":"` + teamUID + `"}}}`
	}
	const neither = "the answer does not say whether the environment was stored or rejected"
	tests := []struct{ name, object, says string }{
		{"another format", stored("JsonRunner", `"{}"`, otherUID), "not an environment, but a JsonRunner"},
		{"a model that is no JSON", stored("JsonCloudEnvironment", `"{name: x}"`, otherUID), "read the model of environment " + otherUID + ": not valid JSON"},
		{"a model that is no object", stored("JsonCloudEnvironment", `"[]"`, otherUID), "read the model of environment " + otherUID + ": not a JSON object"},
		{"a null model", stored("JsonCloudEnvironment", "null", otherUID), "read the model of environment " + otherUID + ": not valid JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := answering(t, canned{200, nil, `{"data":{"cloudObject":{"__typename":"CloudObjectOutput","object":` + test.object + `}}}`}, "").
				GetEnvironment(t.Context(), otherUID)
			require.EqualError(t, err, test.says)

			_, err = answering(t, canned{200, nil, `{"data":{"createGenericStringObject":{"__typename":"CreateGenericStringObjectOutput","genericStringObject":` + test.object + `}}}`}, "").
				CreateEnvironment(t.Context(), team, warp.NewModel("ci"))
			require.ErrorContains(t, err, test.says)
			require.ErrorIs(t, err, warp.ErrAnswerLost, "it was stored")

			newer, err := answering(t, canned{200, nil, `{"data":{"updateGenericStringObject":{"__typename":"UpdateGenericStringObjectOutput","update":
				{"__typename":"GenericStringObjectUpdateRejected","conflictingGenericStringObject":` + test.object + `}}}}`}, "").
				UpdateEnvironment(t.Context(), otherUID, "r", warp.NewModel("ci"))
			require.EqualError(t, err, "someone else changed it at the same time: "+test.says)
			assert.Nil(t, newer, "nothing to merge onto")
		})
	}

	get := func(object string) (warp.Environment, error) {
		return answering(t, canned{200, nil, `{"data":{"cloudObject":{"__typename":"CloudObjectOutput","object":` + object + `}}}`}, "").GetEnvironment(t.Context(), otherUID)
	}
	_, err := get(`{"__typename":"Notebook"}`)
	require.EqualError(t, err, "not an environment, but a Notebook")
	_, err = get("null")
	require.EqualError(t, err, "the answer holds no object")
	_, err = get(`{"__typename":"Poem"}`)
	require.ErrorContains(t, err, `"Poem"`)

	_, err = answering(t, canned{200, nil, `{"data":{"createGenericStringObject":{"__typename":"CreateGenericStringObjectOutput","genericStringObject":` +
		stored("JsonCloudEnvironment", `"{}"`, "") + `}}}`}, "").CreateEnvironment(t.Context(), team, warp.NewModel("ci"))
	require.ErrorIs(t, err, warp.ErrAnswerLost)
	require.ErrorContains(t, err, "the environment of the answer has no UID")

	_, err = answering(t, canned{200, nil, `{"data":{"updateGenericStringObject":{"__typename":"UpdateGenericStringObjectOutput","update":null}}}`}, "").
		UpdateEnvironment(t.Context(), otherUID, "r", warp.NewModel("ci"))
	require.ErrorIs(t, err, warp.ErrAnswerLost)
	require.ErrorContains(t, err, neither)
}

func TestLostAnswerOfAnEnvironment(t *testing.T) {
	t.Parallel()
	tests := []struct {
		operation string
		call      func(c *warpapi.Client, uid, revision string) error
		happened  func(oz *warpsim.Server) bool
	}{
		{"CreateGenericStringObject", func(c *warpapi.Client, _, _ string) error {
			_, err := c.CreateEnvironment(t.Context(), team, warp.NewModel("new"))
			return err
		}, func(oz *warpsim.Server) bool { return len(oz.Environments()) == 2 }},
		{"UpdateGenericStringObject", func(c *warpapi.Client, uid, revision string) error {
			_, err := c.UpdateEnvironment(t.Context(), uid, revision, warp.NewModel("new"))
			return err
		}, func(oz *warpsim.Server) bool { return oz.Environments()[0].Model != odd }},
		{"DeleteObject", func(c *warpapi.Client, uid, _ string) error { return c.DeleteEnvironment(t.Context(), uid) },
			func(oz *warpsim.Server) bool { return len(oz.Environments()) == 0 }},
	}
	for _, test := range tests {
		for _, when := range []fault.When{fault.Before, fault.After} {
			for _, status := range []int{0, 502} {
				oz, c := newOz(t)
				uid := oz.AddEnvironment(teamSim, odd)
				oz.Script.Add(fault.Fault{Operation: test.operation, When: when, Status: status})

				require.ErrorIs(t, test.call(c, uid, oz.Environments()[0].RevisionTs), warp.ErrAnswerLost, test.operation)

				assert.Equal(t, when == fault.After, test.happened(oz), test.operation)
				assert.Len(t, oz.Journal.All(), 1, "sent once")
			}
		}
	}
}
