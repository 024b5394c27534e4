package warpsim_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// integrations is the answer of simpleIntegrations about these providers.
func (c client) integrations(providers string) string {
	c.Helper()
	return string(c.graphql("SimpleIntegrations", `simpleIntegrations(input: {providers: [`+providers+`]}, CONTEXT) {
		... on SimpleIntegrationsOutput { message integrations {
			providerSlug connectionStatus integrationConfig { environmentUid secrets { name } } } }`+refusedFields+` }`).rest)
}

// using returns the providers that use an environment, from the other query.
func (c client) using(uid string) string {
	c.Helper()
	return string(c.graphql("Integrations", `getIntegrationsUsingEnvironment(input: {environmentId: `+text(uid)+`}, CONTEXT) {
		... on GetIntegrationsUsingEnvironmentOutput { providerNames }`+refusedFields+` }`).rest)
}

func TestIntegrations(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, `{"name":"ci"}`)
	c.oz.AddIntegration(uid, "slack")
	c.oz.AddIntegration(uid, "linear")
	c.oz.AddIntegration("", "jira")
	c.oz.AddIntegrationSecret("slack", "A", "B")
	const list = `{"message":null,"integrations":[`
	slack := `{"providerSlug":"slack","connectionStatus":"ACTIVE","integrationConfig":{"environmentUid":"` + uid + `","secrets":[{"name":"A"},{"name":"B"}]}}`
	linear := `{"providerSlug":"linear","connectionStatus":"ACTIVE","integrationConfig":{"environmentUid":"` + uid + `","secrets":[]}}`

	assert.JSONEq(t, list+slack+`,`+linear+`]}`, c.integrations(`"slack","linear"`))
	assert.JSONEq(t, list+linear+`]}`, c.integrations(`"linear","github"`), "only those that are named")
	assert.JSONEq(t, list+`]}`, c.integrations(``))
	assert.JSONEq(t, list+`{"providerSlug":"jira","connectionStatus":"ACTIVE","integrationConfig":null}]}`, c.integrations(`"jira"`))
	assert.JSONEq(t, `{"providerNames":["slack","linear"]}`, c.using(uid))

	c.oz.AddIntegrationSecret("jira")
	assert.JSONEq(t, list+`{"providerSlug":"jira","connectionStatus":"ACTIVE","integrationConfig":{"environmentUid":"","secrets":[]}}]}`, c.integrations(`"jira"`))

	c.oz.RemoveIntegration("linear")
	assert.JSONEq(t, list+slack+`]}`, c.integrations(`"slack","linear"`))
	assert.JSONEq(t, `{"providerNames":["slack"]}`, c.using(uid))

	another := c.oz.AddEnvironment(team, `{"name":"another"}`)
	c.oz.AddIntegration(another, "slack")
	assert.JSONEq(t, `{"providerNames":[]}`, c.using(uid), "taken over")
	assert.JSONEq(t, `{"providerNames":["slack"]}`, c.using(another))
	c.oz.AddIntegration(another, "jira")
	assert.JSONEq(t, `{"providerNames":["slack","jira"]}`, c.using(another))

	assert.Panics(t, func() { c.oz.AddIntegrationSecret("teams") })
	assert.Equal(t, 6, c.oz.Counts()["SimpleIntegrations"])
	assert.Empty(t, c.oz.Violations())

	c.oz.AddKey("wk-lone-0000", warpsim.Principal{UID: "lone"})
	c.key = "wk-lone-0000"
	assert.JSONEq(t, list+`]}`, c.integrations(`"slack"`), "of others")
}

func TestIntegrationsMessage(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{IntegrationsMessage: "Ask your administrator."})
	uid := c.oz.AddEnvironment(team, `{"name":"ci"}`)
	c.oz.AddIntegration(uid, "slack")
	assert.JSONEq(t, `{"message":"Ask your administrator.","integrations":[]}`, c.integrations(`"slack"`))
	assert.JSONEq(t, `{"providerNames":["slack"]}`, c.using(uid))
}

// TestAllOfAnIntegration: it has all that the schema requires.
func TestAllOfAnIntegration(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.oz.AddIntegration(c.oz.AddEnvironment(team, `{}`), "slack")
	f := c.graphql("SimpleIntegrations", `simpleIntegrations(input: {providers: ["slack"]}, CONTEXT) { __typename ... on SimpleIntegrationsOutput {
		integrations { __typename agentUid connectionLink createdAt description updatedAt integrationConfig { __typename basePrompt
			computerUseEnabled harness { type } harnessAuthSecrets { claudeAuthSecretName } mcpServersJson modelId workerHost } } } }`)
	assert.JSONEq(t, `{"__typename":"SimpleIntegrationsOutput","integrations":[{"__typename":"SimpleIntegration","agentUid":null,"connectionLink":"",
		"createdAt":null,"description":"The integration with slack","updatedAt":null,"integrationConfig":{"__typename":"ListedSimpleIntegrationConfig",
		"basePrompt":"","computerUseEnabled":false,"harness":null,"harnessAuthSecrets":null,"mcpServersJson":"","modelId":"","workerHost":null}}]}`, string(f.rest))
}

// TestLostDeletes: the object is deleted, and deleting it again is refused.
func TestLostDeletes(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, `{"name":"ci"}`)
	c.oz.AddSecret(team, "TOKEN", "value")
	for operation, selection := range map[string]string{
		"DeleteIt":     `deleteObject(input: {uid: ` + text(uid) + `}, CONTEXT) { __typename` + refusedFields + ` }`,
		"DeleteSecret": `deleteManagedSecret(input: {name: "TOKEN", owner: ` + ownerArgument(team) + `}, CONTEXT) { __typename` + refusedFields + ` }`,
	} {
		body := `{"operationName":"` + operation + `","query":` + text(document(operation, selection)) + `}`
		c.oz.Script.Add(fault.Fault{Operation: operation, When: fault.Before})
		c.oz.Script.Add(fault.Fault{Operation: operation, When: fault.After})
		for happened := range 2 {
			_, err := c.send("POST", "/graphql/v2", body)
			require.Error(t, err)
			assert.Equal(t, happened, c.oz.Counts()[operation])
		}
		assert.Equal(t, "UserFacingError", c.graphql(operation, selection).Typename)
		assert.Equal(t, 1, c.oz.Counts()[operation])
	}
	assert.Empty(t, c.oz.Environments())
	assert.Empty(t, c.oz.Secrets())
	assert.Empty(t, c.oz.Violations())
}

// TestTrashIsNotSimulated: clients should not send it.
func TestTrashIsNotSimulated(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	uid := c.oz.AddEnvironment(team, `{}`)
	_, messages := c.query(`mutation Op { trashObject(input: {uid: "`+uid+`"}, requestContext: {clientContext: {}, osContext: {}}) { __typename } }`, "Op", nil)
	assert.Equal(t, []string{"not simulated: trashObject"}, messages)
	_, messages = c.query(`mutation Op { emptyTrash(input: {}, requestContext: {clientContext: {}, osContext: {}}) { __typename } }`, "Op", nil)
	assert.Len(t, messages, 1)
	assert.Len(t, c.oz.Violations(), 2)
	assert.False(t, c.oz.Environments()[0].Trashed)
}
