package warpsim_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

func createSecret(o warpsim.Owner, name, sealed string) string {
	return `createManagedSecret(input: {name: ` + text(name) + `, type: RAW_VALUE, encryptedValue: ` + text(sealed) + `, owner: ` + ownerArgument(o) + `}, CONTEXT) {
		__typename` + refusedFields + ` }`
}

func updateSecret(o warpsim.Owner, name, rest string) string {
	return `updateManagedSecret(input: {name: ` + text(name) + `, owner: ` + ownerArgument(o) + rest + `}, CONTEXT) { __typename` + refusedFields + ` }`
}

func TestSecretsAreReallyUnsealed(t *testing.T) {
	t.Parallel()
	const good = "1:" + userUID + ":TOKEN:raw_value"
	c := start(t, warpsim.Options{})
	userPublic, teamPublic := c.uploadKeys()
	require.NotEqual(t, userPublic, teamPublic)

	for name, sealed := range map[string]string{
		"another caller":    seal(t, teamPublic, "1:someone:TOKEN:raw_value", `{"value":"v"}`),
		"another name":      seal(t, teamPublic, "1:"+userUID+":OTHER:raw_value", `{"value":"v"}`),
		"another type":      seal(t, teamPublic, "1:"+userUID+":TOKEN:dotenvx", `{"value":"v"}`),
		"another version":   seal(t, teamPublic, "2:"+userUID+":TOKEN:raw_value", `{"value":"v"}`),
		"another owner":     seal(t, userPublic, good, `{"value":"v"}`),
		"no object":         seal(t, teamPublic, good, `v`),
		"no value":          seal(t, teamPublic, good, `{}`),
		"more than a value": seal(t, teamPublic, good, `{"value":"v","more":1}`),
		"plain text":        "dg==",
		"no base64":         "***",
	} {
		got := c.graphql("CreateSecret", createSecret(team, "TOKEN", sealed))
		assert.Equal(t, "InvalidSecretError", got.Error.Typename, name)
	}
	renamed := c.graphql("CreateSecret", createSecret(team, "OTHER", seal(t, teamPublic, good, `{"value":"v"}`)))
	assert.Equal(t, "Unable to decrypt secret value", renamed.Error.Message)
	assert.Empty(t, c.oz.Secrets())

	got := c.graphql("CreateSecret", createSecret(team, "TOKEN", seal(t, teamPublic, good, `{"value":"a \u0026 b"}`)))
	assert.Equal(t, "CreateManagedSecretOutput", got.Typename)
	require.Len(t, c.oz.Secrets(), 1)
	assert.Equal(t, "a & b", c.oz.Secrets()[0].Value)
	assert.Empty(t, c.oz.Violations())
}

func TestServiceAccountSealsWithItsPrefix(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.key = serviceKey
	_, public := c.uploadKeys()

	bare := c.graphql("CreateSecret", createSecret(team, "TOKEN", seal(t, public, "1:robot:TOKEN:raw_value", `{"value":"v"}`)))
	assert.Equal(t, "InvalidSecretError", bare.Error.Typename)
	whole := c.graphql("CreateSecret", createSecret(team, "TOKEN", seal(t, public, "1:serviceAccount:robot:TOKEN:raw_value", `{"value":"v"}`)))
	assert.Equal(t, "CreateManagedSecretOutput", whole.Typename)
	own := c.graphql("CreateSecret", `createManagedSecret(input: {name: "OWN", type: RAW_VALUE, encryptedValue: "", owner: {type: User}}, CONTEXT) { __typename`+refusedFields+` }`)
	assert.Equal(t, "a service account cannot own personal objects", own.Error.Message)
}

func TestOneSecretPerOwnerAndName(t *testing.T) {
	t.Parallel()
	const context = "1:" + userUID + ":TOKEN:raw_value"
	c := start(t, warpsim.Options{})
	userPublic, teamPublic := c.uploadKeys()
	sealed := seal(t, teamPublic, context, `{"value":"first value"}`)

	assert.Empty(t, c.graphql("CreateSecret", createSecret(team, "TOKEN", sealed)).Error)
	assert.Empty(t, c.graphql("CreateSecret", createSecret(personal, "TOKEN", seal(t, userPublic, context, `{"value":"my value"}`))).Error)
	again := c.graphql("CreateSecret", createSecret(team, "TOKEN", seal(t, teamPublic, context, `{"value":"other"}`)))
	assert.Equal(t, "InvalidInputError", again.Error.Typename)
	assert.Empty(t, c.oz.Violations(), "two jobs may do this at the same time")
	c.graphql("CreateSecret", createSecret(team, "TOKEN", sealed))
	assert.Equal(t, []string{"CreateSecret: secret TOKEN created a second time with the same ciphertext"}, c.oz.Violations())

	var values []string
	for _, secret := range c.oz.Secrets() {
		values = append(values, secret.Owner.Type+" "+secret.Value)
	}
	assert.Equal(t, []string{"Team first value", "User my value"}, values)
}

func TestUpdateSecret(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.oz.AddSecret(team, "TOKEN", "first value")
	first := c.oz.Secrets()[0]
	_, public := c.uploadKeys()

	assert.Empty(t, c.graphql("UpdateSecret", updateSecret(team, "TOKEN", `, description: "what it is for"`)).Error)
	assert.Equal(t, []any{"first value", 1, "what it is for"}, []any{c.oz.Secrets()[0].Value, c.oz.Secrets()[0].Versions, c.oz.Secrets()[0].Description})
	sealed := seal(t, public, "1:"+userUID+":TOKEN:raw_value", `{"value":"next value"}`)
	assert.Empty(t, c.graphql("UpdateSecret", updateSecret(team, "TOKEN", `, encryptedValue: `+text(sealed))).Error)
	got := c.oz.Secrets()[0]
	assert.Equal(t, []any{"next value", 2, "what it is for"}, []any{got.Value, got.Versions, got.Description})
	assert.True(t, got.UpdatedAt.After(first.UpdatedAt))

	for _, refused := range []field{
		c.graphql("UpdateSecret", updateSecret(team, "MISSING", "")),
		c.graphql("UpdateSecret", updateSecret(personal, "TOKEN", "")),
		c.graphql("UpdateSecret", updateSecret(warpsim.Owner{Type: "Team", UID: otherUID}, "TOKEN", "")),
	} {
		assert.Equal(t, "InvalidInputError", refused.Error.Typename)
	}
	assert.Equal(t, 2, c.oz.Counts()["UpdateSecret"], "refusals do not count")
}

// TestAWriteHasOneStamp: in the bubble the clock stands still, and each stamp is
// a microsecond later than the one before.
func TestAWriteHasOneStamp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t, warpsim.Options{})
		defer c.oz.Close()
		_, public := c.uploadKeys()
		sealed := seal(t, public, "1:"+userUID+":TOKEN:raw_value", `{"value":"next value"}`)
		c.oz.AddSecret(team, "TOKEN", "first value")
		first := c.oz.Secrets()[0]
		assert.Equal(t, first.CreatedAt, first.UpdatedAt)

		type secret struct{ CreatedAt, UpdatedAt time.Time }
		var answer struct{ ManagedSecret secret }
		c.graphql("UpdateSecret", `updateManagedSecret(input: {name: "TOKEN", description: "d", encryptedValue: `+text(sealed)+`, owner: `+ownerArgument(team)+`}, CONTEXT) {
			__typename ... on UpdateManagedSecretOutput { managedSecret { createdAt updatedAt } } }`).into(t, &answer)

		var list struct{ ManagedSecrets []secret }
		c.graphql("List", `managedSecrets(input: {}, CONTEXT) { __typename ... on ManagedSecretsOutput { managedSecrets { createdAt updatedAt } } }`).into(t, &list)
		assert.Equal(t, secret{first.CreatedAt, first.UpdatedAt.Add(time.Microsecond)}, answer.ManagedSecret)
		assert.Equal(t, []secret{answer.ManagedSecret}, list.ManagedSecrets)
	})
}

func TestDeleteSecret(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.oz.AddSecret(team, "TOKEN", "value")
	remove := `deleteManagedSecret(input: {name: "TOKEN", owner: ` + ownerArgument(team) + `}, CONTEXT) { __typename` + refusedFields + ` }`

	assert.Equal(t, "DeleteManagedSecretOutput", c.graphql("DeleteSecret", remove).Typename)
	assert.Empty(t, c.oz.Secrets())
	assert.Equal(t, "secret not found", c.graphql("DeleteSecret", remove).Error.Message)
}

func TestSecretsAreListedToThoseWhoSeeThem(t *testing.T) {
	t.Parallel()
	c := start(t, warpsim.Options{})
	c.oz.AddSecret(team, "A", "1")
	c.oz.AddSecret(personal, "B", "2")
	list := func() (names []string) {
		var got struct {
			ManagedSecrets []struct {
				Name  string
				Owner struct{ Type, UID string }
			}
		}
		f := c.graphql("List", `managedSecrets(input: {}, CONTEXT) { __typename ... on ManagedSecretsOutput { managedSecrets { name owner { type uid } } } }`)
		f.into(t, &got)
		assert.NotContains(t, string(f.rest), "alue", "no answer holds a value")
		for _, secret := range got.ManagedSecrets {
			names = append(names, secret.Owner.Type+" "+secret.Name)
		}
		return names
	}
	assert.Equal(t, []string{"Team A", "User B"}, list())
	c.key = serviceKey
	assert.Equal(t, []string{"Team A"}, list())
}

// TestPlainTextsAreFound: whichever of the value and the text comes first, and whether the value
// is unchanged, escaped or in base64.
func TestPlainTextsAreFound(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"as it is": `{"name":"ci","setup_commands":["git clone https://x:se\"cret&1@host"]}`,
		"escaped":  `{"name":"ci","setup_commands":["se\"cret\u00261"]}`,
		"base64":   `{"name":"ci","description":"c2UiY3JldCYx"}`,
		"as a key": `{"name":"ci","se\"cret&1":0}`,
	} {
		for _, first := range []bool{true, false} {
			c := start(t, warpsim.Options{})
			if first {
				c.oz.AddSecret(team, "TOKEN", `se"cret&1`)
			}
			assert.Empty(t, c.graphql("CreateIt", createEnvironment(team, text)).Error)
			if !first {
				assert.Empty(t, c.oz.Violations())
				c.oz.AddSecret(team, "TOKEN", `se"cret&1`)
			}
			assert.Equal(t, []string{"the value of secret TOKEN stands in the clear in a serializedModel"}, c.oz.Violations(), name)
		}
	}
	c := start(t, warpsim.Options{})
	assert.Empty(t, c.graphql("CreateIt", createEnvironment(team, `{"name":"`+serviceKey+`"}`)).Error)
	assert.Equal(t, []string{"an API key stands in the clear in a serializedModel"}, c.oz.Violations())
}
