package warpsim_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

const storedFields = ` format serializedModel metadata { uid revisionTs trashedTs } permissions { space { type uid } } `

func createEnvironment(o warpsim.Owner, model string) string {
	return `createGenericStringObject(input: {owner: ` + ownerArgument(o) + `, genericStringObject: {
		clientId: "Client-1", entrypoint: Unknown, format: JsonCloudEnvironment, serializedModel: ` + text(model) + `}}, CONTEXT) {
		__typename ... on CreateGenericStringObjectOutput { clientId genericStringObject {` + storedFields + `} }` + refusedFields + ` }`
}

func updateEnvironment(uid, model, revision string) string {
	if revision != "" {
		revision = `, revisionTs: ` + text(revision)
	}
	return `updateGenericStringObject(input: {uid: ` + text(uid) + `, serializedModel: ` + text(model) + revision + `}, CONTEXT) {
		__typename ... on UpdateGenericStringObjectOutput { update { __typename
			... on ObjectUpdateSuccess { revisionTs }
			... on GenericStringObjectUpdateRejected { revisionTs conflictingGenericStringObject {` + storedFields + `} } } }` + refusedFields + ` }`
}

// update is the answer of updateGenericStringObject.
type update struct {
	Update struct {
		Typename                       string `json:"__typename"`
		RevisionTs                     string
		ConflictingGenericStringObject struct{ SerializedModel string }
	}
}

func TestCreateEnvironment(t *testing.T) {
	t.Parallel()
	const model = "{ \"name\":\"ci\", \"future\" : 1e3 }"
	c := start(t, warpsim.Options{})
	var got struct {
		ClientID            string
		GenericStringObject struct {
			Format, SerializedModel string
			Metadata                struct {
				UID, RevisionTs string
				TrashedTs       *string
			}
			Permissions struct{ Space struct{ Type, UID string } }
		}
	}
	c.graphql("CreateIt", createEnvironment(team, model)).into(t, &got)

	stored := got.GenericStringObject
	assert.Equal(t, []any{"Client-1", "JsonCloudEnvironment", model, "Team", teamUID}, []any{got.ClientID, stored.Format, stored.SerializedModel, stored.Permissions.Space.Type, stored.Permissions.Space.UID})
	assert.Regexp(t, `^[A-Za-z0-9]{22}$`, stored.Metadata.UID)
	assert.Nil(t, stored.Metadata.TrashedTs)
	assert.Equal(t, []warpsim.Environment{{UID: stored.Metadata.UID, Owner: team, Model: model, RevisionTs: stored.Metadata.RevisionTs}}, c.oz.Environments())

	c.graphql("CreateIt", createEnvironment(team, model))
	assert.Len(t, c.oz.Environments(), 2, "names are not unique, and client IDs do not matter")
	assert.Empty(t, c.oz.Violations())
}

func TestCreateEnvironmentIsRefused(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	for name, selection := range map[string]string{
		"another team":       createEnvironment(warpsim.Owner{Type: "Team", UID: otherUID}, `{}`),
		"another user":       createEnvironment(warpsim.Owner{Type: "User", UID: "someone"}, `{}`),
		"no JSON":            createEnvironment(team, `{`),
		"no object":          createEnvironment(team, `[]`),
		"null":               createEnvironment(team, `null`),
		"a name of no text":  createEnvironment(team, `{"name":3}`),
		"a long description": createEnvironment(team, `{"description":"`+strings.Repeat("é", 241)+`"}`),
	} {
		assert.Equal(t, "InvalidInputError", c.graphql("CreateIt", selection).Error.Typename, name)
	}
	assert.Empty(t, c.oz.Environments())
	assert.Empty(t, c.graphql("CreateIt", createEnvironment(team, `{"description":"`+strings.Repeat("é", 240)+`"}`)).Error)
}

func TestRevisionsConflict(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, `{"v":1}`)
	first := c.oz.Environments()[0].RevisionTs
	send := func(model, revision string) (u update) {
		c.graphql("UpdateIt", updateEnvironment(uid, model, revision)).into(t, &u)
		return u
	}

	accepted := send(`{"v":2}`, first)
	assert.Equal(t, "ObjectUpdateSuccess", accepted.Update.Typename)
	assert.Greater(t, accepted.Update.RevisionTs, first)

	rejected := send(`{"v":3}`, first)
	assert.Equal(t, []string{"GenericStringObjectUpdateRejected", `{"v":2}`, accepted.Update.RevisionTs},
		[]string{rejected.Update.Typename, rejected.Update.ConflictingGenericStringObject.SerializedModel, rejected.Update.RevisionTs})
	assert.Equal(t, `{"v":2}`, c.oz.Environments()[0].Model)

	inAnotherZone := strings.Replace(accepted.Update.RevisionTs, "Z", "+00:00", 1)
	assert.Equal(t, "ObjectUpdateSuccess", send(`{"v":3}`, inAnotherZone).Update.Typename, "the instant counts")

	c.oz.Edit(uid, `{"v":4}`)
	assert.Equal(t, "GenericStringObjectUpdateRejected", send(`{"v":5}`, accepted.Update.RevisionTs).Update.Typename)
	assert.Empty(t, c.oz.Violations())

	assert.Equal(t, "ObjectUpdateSuccess", send(`{"v":6}`, "").Update.Typename)
	assert.Equal(t, []string{"UpdateIt: update without revisionTs"}, c.oz.Violations())
	assert.Equal(t, "InvalidInputError", c.graphql("UpdateIt", updateEnvironment("nothing", "{}", first)).Error.Typename)
}

func TestRejectUpdatesEditsMeanwhile(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, `{"name":"ci"}`)
	c.oz.RejectUpdates(2)
	for _, want := range []string{"GenericStringObjectUpdateRejected", "GenericStringObjectUpdateRejected", "ObjectUpdateSuccess"} {
		var u update
		c.graphql("UpdateIt", updateEnvironment(uid, `{"name":"mine"}`, c.oz.Environments()[0].RevisionTs)).into(t, &u)
		assert.Equal(t, want, u.Update.Typename)
		assert.Equal(t, want != "ObjectUpdateSuccess", strings.Contains(c.oz.Environments()[0].Model, "edited_meanwhile"))
	}
}

func TestTrash(t *testing.T) {
	t.Parallel()
	for _, listed := range []bool{false, true} {
		c := start(t, warpsim.Options{ListTrashed: listed})
		uid := c.oz.AddEnvironment(team, `{"name":"ci"}`)
		c.oz.Trash(uid)
		var list struct{ CloudEnvironments []struct{ UID string } }
		c.graphql("List", `getCloudEnvironments(CONTEXT) { __typename ... on GetCloudEnvironmentsOutput { cloudEnvironments { uid } } }`).into(t, &list)
		var rest struct{ Environments []struct{ UID string } }
		require.Equal(t, 200, c.rest("GET", "/agent/environments", "", &rest))
		assert.Equal(t, listed, len(list.CloudEnvironments) == 1)
		assert.Equal(t, listed, len(rest.Environments) == 1)

		var one struct {
			Object struct {
				Metadata struct{ TrashedTs *string }
			}
		}
		c.graphql("Get", `cloudObject(input: {uid: `+text(uid)+`}, CONTEXT) { __typename ... on CloudObjectOutput { object { __typename ... on GenericStringObject {`+storedFields+`} } } }`).into(t, &one)
		assert.NotNil(t, one.Object.Metadata.TrashedTs)
		assert.True(t, c.oz.Environments()[0].Trashed)
		assert.Equal(t, 404, c.startRun(uid, ""), "no run starts in a trashed environment")
	}
}

func TestListIsThePoorerView(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.oz.AddEnvironment(team, `{"name":"ci","docker_image":"i","setup_commands":["a"],"secrets":[{"name":"S"}],"github_repos":[{"owner":"o","repo":"r"}],"future":1}`)
	c.oz.AddEnvironment(team, `{}`)
	c.oz.AddEnvironment(warpsim.Owner{Type: "User", UID: "someone"}, `{"name":"theirs"}`)

	f := c.graphql("List", `getCloudEnvironments(CONTEXT) { __typename ... on GetCloudEnvironmentsOutput { cloudEnvironments {
		scope { type uid } config { name dockerImage setupCommands githubRepos { owner repo } secrets { name } } } } }`)

	assert.JSONEq(t, `{"__typename":"GetCloudEnvironmentsOutput","cloudEnvironments":[
		{"scope":{"type":"Team","uid":"`+teamUID+`"},"config":{"name":"ci","dockerImage":"i","setupCommands":["a"],"githubRepos":[{"owner":"o","repo":"r"}],"secrets":[{"name":"S"}]}},
		{"scope":{"type":"Team","uid":"`+teamUID+`"},"config":{"name":"","dockerImage":"","setupCommands":null,"githubRepos":[],"secrets":null}}]}`, string(f.rest))
}

func TestDeleteAndIntegrations(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, `{"name":"ci"}`)
	hidden := c.oz.AddEnvironment(warpsim.Owner{Type: "User", UID: "someone"}, `{}`)
	c.oz.AddIntegration(uid, "slack")
	integrations := func(uid string) field {
		return c.graphql("Integrations", `getIntegrationsUsingEnvironment(input: {environmentId: `+text(uid)+`}, CONTEXT) {
			__typename ... on GetIntegrationsUsingEnvironmentOutput { providerNames }`+refusedFields+` }`)
	}
	remove := func(uid string) field {
		return c.graphql("DeleteIt", `deleteObject(input: {uid: `+text(uid)+`}, CONTEXT) { __typename ... on DeleteObjectOutput { success deletedUids }`+refusedFields+` }`)
	}
	assert.JSONEq(t, `{"__typename":"GetIntegrationsUsingEnvironmentOutput","providerNames":["slack"]}`, string(integrations(uid).rest))
	assert.JSONEq(t, `{"__typename":"DeleteObjectOutput","success":true,"deletedUids":["`+uid+`"]}`, string(remove(uid).rest))
	for _, gone := range []string{uid, hidden} {
		assert.Equal(t, "object not found", remove(gone).Error.Message)
		assert.Equal(t, "object not found", integrations(gone).Error.Message)
	}
	require.Len(t, c.oz.Environments(), 1)
	assert.Equal(t, hidden, c.oz.Environments()[0].UID)
}
