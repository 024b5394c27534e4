package seal_test

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"
	"google.golang.org/protobuf/proto"

	"github.com/oz-bitbucket/oz-bitbucket/internal/seal"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// The published test key pair of Warp's client, and a public keyset as the
// server returns it.
//
// Source: warpdotdev/warp, crates/managed_secrets/src/envelope_tests.rs.
const (
	testKeyID      = 625520774
	testPrivateKey = "EioSBggBEAEYAhogGHVh0Tju/DHOWEgpuUJ+9P/pXa5tK16udRWoJJwHbnIaIHdq5FthS7H4Q6xSLzCEnbf1z/F1+PTQHev/5PJ+pc+m"
	testPublicKey  = warp.UploadKey("CIbhoqoCEnAKZAo0dHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUuY3J5cHRvLnRpbmsuSHBrZVB1YmxpY0tleRIqEgYIARABGAIaIBh1YdE47vwxzlhIKblCfvT/6V2ubSternUVqCScB25yGAMQARiG4aKqAiAB")
	// testCiphertext opens to {"value":"secret"} under the context 1:user123:MY_SECRET:raw_value.
	testCiphertext  = "ASVIsIZBRgjpJ1kzkVbFCNUEOHmxUinE8MNeY/uI0/cb4qynWk2UnarTe4xZgcDLvoqpbWjGa4R+jjLlldN/7h05xhTObp0="
	serverPublicKey = warp.UploadKey("COvInMIBEnAKZAo0dHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUuY3J5cHRvLnRpbmsuSHBrZVB1YmxpY0tleRIqEgYIARABGAIaIHRaibhtYbpEfh2CSpdDPhh/6lCBnfoO3nqBmZ3VQGJyGAMQARjryJzCASAB")
)

func TestTheOwnerOpensWhatWasSealed(t *testing.T) {
	t.Parallel()
	const value = "ATATT3x/+=&<>\u00e9\""
	sealed, err := seal.RawValue(testPublicKey, "user123", "MY_SECRET", sensitive.New(value))
	require.NoError(t, err)
	ciphertext, err := base64.StdEncoding.DecodeString(sealed.Ciphertext())
	require.NoError(t, err)
	assert.Equal(t, []byte{0x01, 0x25, 0x48, 0xb0, 0x86}, ciphertext[:5], "key ID prefix")

	plaintext, err := opener(t).Decrypt(ciphertext, []byte("1:user123:MY_SECRET:raw_value"))
	require.NoError(t, err)
	assert.JSONEq(t, `{"value":"ATATT3x/+=&<>\u00e9\""}`, string(plaintext))

	for _, context := range []string{"1:user124:MY_SECRET:raw_value", "1:user123:MY_SECRET:dotenvx", "1:user123:OTHER:raw_value", ""} {
		_, err := opener(t).Decrypt(ciphertext, []byte(context))
		assert.Error(t, err, context)
	}
}

func TestThePublishedCiphertextOpens(t *testing.T) {
	t.Parallel()
	ciphertext, err := base64.StdEncoding.DecodeString(testCiphertext)
	require.NoError(t, err)
	plaintext, err := opener(t).Decrypt(ciphertext, []byte("1:user123:MY_SECRET:raw_value"))
	require.NoError(t, err)
	assert.Equal(t, `{"value":"secret"}`, string(plaintext))
}

func TestTheServersKeyIsRead(t *testing.T) {
	t.Parallel()
	sealed, err := seal.RawValue(serverPublicKey, "serviceAccount:x", "A", sensitive.New("v"))
	require.NoError(t, err)
	ciphertext, err := base64.StdEncoding.DecodeString(sealed.Ciphertext())
	require.NoError(t, err)
	assert.Equal(t, []byte{0x01, 0x18, 0x47, 0x24, 0x6b}, ciphertext[:5])
	assert.Len(t, ciphertext, 53+len(`{"value":"v"}`))
}

func TestAKeyThatIsNoneIsAnError(t *testing.T) {
	t.Parallel()
	for _, key := range []warp.UploadKey{"", "not base64!", "AAAA", testPublicKey[:40]} {
		_, err := seal.RawValue(key, "u", "A", sensitive.New("MARKER"))
		require.ErrorContains(t, err, "read the upload key", key)
		assert.NotContains(t, err.Error(), "MARKER")
	}
}

func opener(t *testing.T) tink.HybridDecrypt {
	t.Helper()
	private, err := base64.StdEncoding.DecodeString(testPrivateKey)
	require.NoError(t, err)
	binary, err := proto.Marshal(&tinkpb.Keyset{
		PrimaryKeyId: testKeyID,
		Key: []*tinkpb.Keyset_Key{{
			KeyData: &tinkpb.KeyData{
				TypeUrl:         "type.googleapis.com/google.crypto.tink.HpkePrivateKey",
				Value:           private,
				KeyMaterialType: tinkpb.KeyData_ASYMMETRIC_PRIVATE,
			},
			Status:           tinkpb.KeyStatusType_ENABLED,
			KeyId:            testKeyID,
			OutputPrefixType: tinkpb.OutputPrefixType_TINK,
		}},
	})
	require.NoError(t, err)
	handle, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(binary)))
	require.NoError(t, err)
	decrypter, err := hybrid.NewHybridDecrypt(handle)
	require.NoError(t, err)
	return decrypter
}
