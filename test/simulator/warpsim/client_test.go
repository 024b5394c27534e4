package warpsim_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

const (
	userKey    = "wk-user-5d1c0a7be2"
	serviceKey = "wk-service-77aa10"
	userUID    = "kY3pQ2mV7bTt0aLw9XcRj5NsHd12"
	teamUID    = "Tm0000000000000000000A"
	otherUID   = "Tm0000000000000000000B"
)

var (
	team     = warpsim.Owner{Type: "Team", UID: teamUID}
	personal = warpsim.Owner{Type: "User", UID: userUID}
	acme     = []warpsim.Team{{UID: teamUID, Name: "Acme"}}
)

// client sends a simulator hand-written requests.
type client struct {
	*testing.T
	oz  *warpsim.Server
	key string
}

// start starts a simulator with a team, a user and a service account, and
// returns the user's client.
func start(t *testing.T, o warpsim.Options) client {
	t.Helper()
	if o.Log == nil {
		o.Log = t.Output()
	}
	oz := warpsim.Start(o)
	t.Cleanup(oz.Close)
	oz.AddKey(userKey, warpsim.Principal{UID: userUID, Teams: acme})
	oz.AddKey(serviceKey, warpsim.Principal{UID: "robot", ServiceAccount: true, Teams: acme})
	return client{t, oz, userKey}
}

// reply is an answer as a test compares it.
type reply struct {
	status      int
	contentType string
	body        string
}

// send sends a request. An error means that the connection was cut.
func (c client) send(method, path, body string, headers ...string) (reply, error) {
	c.Helper()
	request, err := http.NewRequestWithContext(c.Context(), method, c.oz.URL()+path, strings.NewReader(body))
	require.NoError(c, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	network := &http.Transport{DisableKeepAlives: true} // without a proxy
	answer, err := (&http.Client{Transport: network}).Do(request)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, answer.Header.Get("Content-Type"), string(content)}, err
}

// rest calls the REST API; out is filled from a 200 or 201.
func (c client) rest(method, path, body string, out any, headers ...string) int {
	c.Helper()
	got, err := c.send(method, "/api/v1"+path, body, headers...)
	require.NoError(c, err)
	good := got.status == http.StatusOK || got.status == http.StatusCreated
	if good && out != nil {
		require.NoError(c, json.Unmarshal([]byte(got.body), out), got.body)
	}
	if !good {
		assert.Equal(c, "application/problem+json", got.contentType)
	}
	return got.status
}

// document is a whole GraphQL document. CONTEXT stands for the argument that every field needs.
func document(operation, selection string) string {
	kind := "query"
	if strings.HasPrefix(operation, "Create") || strings.HasPrefix(operation, "Update") || strings.HasPrefix(operation, "Delete") {
		kind = "mutation"
	}
	return kind + " " + operation + ` { ` + strings.ReplaceAll(selection, "CONTEXT", `requestContext: {clientContext: {}, osContext: {}}`) + ` }`
}

// field is one root field of an answer, refused or not.
type field struct {
	Typename string `json:"__typename"`
	Error    struct {
		Typename string `json:"__typename"`
		Message  string
	}
	rest []byte
}

// into decodes the whole field.
func (f field) into(t *testing.T, out any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(f.rest, out))
}

// graphql runs an operation of one field. errors[] must be empty.
func (c client) graphql(operation, selection string) field {
	c.Helper()
	fields, messages := c.query(document(operation, selection), operation, nil)
	require.Empty(c, messages)
	require.Len(c, fields, 1)
	for _, content := range fields {
		var f field
		require.NoError(c, json.Unmarshal(content, &f))
		f.rest = content
		return f
	}
	return field{}
}

func (c client) query(document, operation string, variables map[string]any) (map[string]json.RawMessage, []string) {
	c.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "operationName": operation, "variables": variables})
	require.NoError(c, err)
	got, err := c.send(http.MethodPost, "/graphql/v2?op="+operation, string(body))
	require.NoError(c, err)
	require.Equal(c, http.StatusOK, got.status, got.body)
	var answer struct {
		Data   map[string]json.RawMessage
		Errors []struct{ Message string }
	}
	require.NoError(c, json.Unmarshal([]byte(got.body), &answer), got.body)
	var messages []string
	for _, e := range answer.Errors {
		messages = append(messages, e.Message)
	}
	return answer.Data, messages
}

const refusedFields = ` ... on UserFacingError { error { __typename message } }`

// text is a GraphQL string.
func text(s string) string {
	encoded, _ := json.Marshal(s)
	return string(encoded)
}

// ownerArgument is a GraphQL input Owner.
func ownerArgument(o warpsim.Owner) string { return `{type: ` + o.Type + `, uid: ` + text(o.UID) + `}` }

// uploadKeys returns the public keys of the caller and its first team; "" where there is none.
func (c client) uploadKeys() (user, team string) {
	c.Helper()
	var got struct {
		User struct {
			ManagedSecrets struct{ PublicKey string }
			Workspaces     []struct {
				Teams []struct{ ManagedSecrets struct{ PublicKey string } }
			}
		}
	}
	c.graphql("Keys", `user(CONTEXT) { __typename ... on UserOutput { user {
		managedSecrets { publicKey } workspaces { teams { managedSecrets { publicKey } } } } } }`).into(c.T, &got)
	return got.User.ManagedSecrets.PublicKey, got.User.Workspaces[0].Teams[0].ManagedSecrets.PublicKey
}

// seal encrypts as Warp's clients do.
func seal(t *testing.T, publicKey, context, plaintext string) string {
	t.Helper()
	binary, err := base64.StdEncoding.DecodeString(publicKey)
	require.NoError(t, err)
	handle, err := keyset.ReadWithNoSecrets(keyset.NewBinaryReader(bytes.NewReader(binary)))
	require.NoError(t, err)
	encrypter, err := hybrid.NewHybridEncrypt(handle)
	require.NoError(t, err)
	ciphertext, err := encrypter.Encrypt([]byte(plaintext), []byte(context))
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(ciphertext)
}

// eventually waits until a condition holds.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	require.Eventually(t, so, 30*time.Second, time.Millisecond)
}
