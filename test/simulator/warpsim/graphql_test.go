package warpsim_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

func TestUnknownKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "wk-wrong", userKey + "x", " " + userKey} {
		c := start(t, warpsim.Options{})
		c.key = key
		c.oz.AddEnvironment(team, `{"name":"ci"}`)

		got, err := c.send(http.MethodPost, "/graphql/v2?op=List", `{"query":"query List { getCloudEnvironments }","operationName":"List"}`)
		require.NoError(t, err)
		assert.Equal(t, reply{401, "application/json", `{"error":"Invalid API key"}`}, got)
		assert.Equal(t, http.StatusUnauthorized, c.rest("GET", "/agent/runs", "", nil))
		assert.Empty(t, c.oz.Counts())
		assert.Len(t, c.oz.Journal.All(), 2)
	}
}

func TestDocumentsAreHeldAgainstTheSchema(t *testing.T) {
	t.Parallel()
	const context = `requestContext: {clientContext: {}, osContext: {}}`
	tests := []struct {
		name, document string
		variables      map[string]any
		says           string
	}{
		{"an unknown field", `query Op { user(` + context + `) { __typename nothing } }`, nil, "Cannot query field"},
		{"an unknown argument", `query Op { user(` + context + `, uid: 1) { __typename } }`, nil, "Unknown argument"},
		{"no context", `query Op { user { __typename } }`, nil, "requestContext"},
		{"a fragment that cannot match", `query Op { user(` + context + `) { ... on ManagedSecretsOutput { __typename } } }`, nil, "can never be of type"},
		{"no selection", `query Op { user(` + context + `) }`, nil, "must have a selection"},
		{"an enum that is none", `mutation Op { createManagedSecret(input: {name: "N", type: PLAIN, encryptedValue: "", owner: {type: Team}}, ` + context + `) { __typename } }`, nil, "PLAIN"},
		{"a variable of a wrong type", `query Op($c: RequestContext!) { user(requestContext: $c) { __typename } }`, map[string]any{"c": 3}, "c"},
		{"a missing variable", `query Op($c: RequestContext!) { user(requestContext: $c) { __typename } }`, nil, "must be defined"},
		{"another operation's name", `query Other { user(` + context + `) { __typename } }`, nil, "no operation Op"},
		{"no GraphQL", `user(`, nil, "Unexpected"},
		{"a field that is not simulated", `query Op { listWarpDevImages { __typename } }`, nil, "listWarpDevImages"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, warpsim.Options{})

			fields, messages := c.query(test.document, "Op", test.variables)

			assert.Empty(t, fields)
			require.Len(t, messages, 1)
			assert.Contains(t, messages[0], test.says)
			require.Len(t, c.oz.Violations(), 1)
			assert.Contains(t, c.oz.Violations()[0], "Op: ")
			assert.Empty(t, c.oz.Counts())
		})
	}
}

func TestOnlyTheSelectedFieldsAreAnswered(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	fields, messages := c.query(`query Op($yes: Boolean!) {
		me: user(requestContext: {clientContext: {}, osContext: {}}) { ...Who kind: __typename }
	}
	fragment Who on UserOutput {
		principalType
		user { profile { uid email @skip(if: $yes) } workspaces { teams { uid @include(if: $yes) name } } }
	}`, "Op", map[string]any{"yes": true})

	require.Empty(t, messages)
	assert.JSONEq(t, `{"kind":"UserOutput","principalType":"USER","user":{"profile":{"uid":"`+userUID+`"},
		"workspaces":[{"teams":[{"uid":"`+teamUID+`","name":"Acme"}]}]}}`, string(fields["me"]))
	assert.Equal(t, map[string]int{"Op": 1}, c.oz.Counts())
	assert.Empty(t, c.oz.Violations())
}

func TestServiceAccountShowsItself(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.key = serviceKey
	var got struct {
		APIKeyOwnerType string
		User            struct{ Profile struct{ UID, Email string } }
	}
	c.graphql("Op", `user(CONTEXT) { __typename ... on UserOutput { apiKeyOwnerType user { profile { uid email } } } }`).into(t, &got)
	assert.Equal(t, []string{"Team", "serviceAccount:robot", ""}, []string{got.APIKeyOwnerType, got.User.Profile.UID, got.User.Profile.Email})
}

func TestOwnerWithoutUploadKey(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.key = "wk-bare-00000000"
	c.oz.AddKey(c.key, warpsim.Principal{UID: "bare", NoUploadKey: true, Teams: []warpsim.Team{{UID: otherUID, Name: "Bare", NoUploadKey: true}}})

	user, teams := c.uploadKeys()

	assert.Empty(t, user)
	assert.Empty(t, teams)
}

func TestViolations(t *testing.T) {
	t.Parallel()
	const query = `{"query":"query Op { user(requestContext: {clientContext: {}, osContext: {}}) { __typename } }","operationName":"Op"}`
	tests := []struct {
		name string
		send func(c client) (reply, error)
		want string
	}{
		{"a body that says not what it is", func(c client) (reply, error) {
			return c.send("POST", "/graphql/v2", query, "Content-Type", "text/plain")
		}, "Op: body without Content-Type application/json"},
		{"another kind of credentials", func(c client) (reply, error) {
			return c.send("POST", "/graphql/v2", query, "Authorization", "Basic "+userKey)
		}, "Op: no bearer token in Authorization"},
		{"the key in the URL", func(c client) (reply, error) { return c.send("POST", "/graphql/v2?key="+userKey, query) }, "Op: API key in the URL"},
		{"op= of another operation", func(c client) (reply, error) { return c.send("POST", "/graphql/v2?op=Other", query) }, "Op: invalid: op= and operationName differ"},
		{"a path that is not there", func(c client) (reply, error) {
			c.key = ""
			return c.send("GET", "/api/v2/agent/runs", "")
		}, "GET /api/v2/agent/runs: no such endpoint"},
		{"a key for a page", func(c client) (reply, error) { return c.send("GET", "/session/1", "") }, "GET /session/1: Authorization sent where none is needed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, warpsim.Options{})
			for range 2 {
				_, err := test.send(c)
				require.NoError(t, err)
			}
			assert.Equal(t, []string{test.want}, c.oz.Violations(), "each thing once")
		})
	}
}

func TestFaultsOfBothKinds(t *testing.T) {
	t.Parallel()
	create := func(c client) error {
		body, err := json.Marshal(map[string]any{"operationName": "CreateIt", "query": document("CreateIt", createEnvironment(team, `{"name":"ci"}`))})
		require.NoError(t, err)
		got, err := c.send("POST", "/graphql/v2", string(body))
		if err == nil {
			assert.Equal(t, 503, got.status)
		}
		return err
	}
	tests := []struct {
		name     string
		f        fault.Fault
		cut      bool
		happened int
	}{
		{"cut before", fault.Fault{When: fault.Before}, true, 0},
		{"cut after", fault.Fault{When: fault.After}, true, 1},
		{"503 before", fault.Fault{When: fault.Before, Status: 503}, false, 0},
		{"503 after", fault.Fault{When: fault.After, Status: 503}, false, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, warpsim.Options{})
			test.f.Operation = "CreateIt"
			c.oz.Script.Add(test.f)

			err := create(c)

			assert.Equal(t, test.cut, err != nil)
			assert.Len(t, c.oz.Environments(), test.happened)
			assert.Equal(t, test.happened, c.oz.Counts()["CreateIt"])
		})
	}
}

func TestCloseRefusesFurtherRequests(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.oz.Close()
	_, err := c.send("GET", "/api/v1/agent/runs", "")
	assert.Error(t, err)
}
