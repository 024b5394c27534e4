// Package seal encrypts a secret's value for its owner's upload key. No other package turns
// the value into a warp.SealedSecret. It has no network.
package seal

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// RawValue seals value as the raw-value secret of this name, for the key's
// owner. The server can open it only for the same caller, name and type:
// callerUID is the caller's own UID, whoever owns the secret. It fails when the
// key is not a Tink keyset of public HPKE keys.
//
// Source: warpdotdev/warp, crates/managed_secrets (2026-08).
func RawValue(key warp.UploadKey, callerUID, name string, value sensitive.String) (warp.SealedSecret, error) {
	binary, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(key)))
	if err != nil {
		return warp.SealedSecret{}, fmt.Errorf("read the upload key: %w", err)
	}
	recipient, err := readKeyset(binary)
	if err != nil {
		return warp.SealedSecret{}, fmt.Errorf("read the upload key: %w", err)
	}
	// {"value":"..."}
	plaintext, err := json.Marshal(struct {
		Value string `json:"value"`
	}{value.Reveal()})
	if err != nil {
		return warp.SealedSecret{}, fmt.Errorf("encode the value: %w", err)
	}
	// 1:<caller>:<name>:raw_value
	context := strings.Join([]string{"1", callerUID, name, strings.ToLower(string(warp.RawValue))}, ":")
	ciphertext, err := recipient.seal([]byte(context), plaintext)
	if err != nil {
		return warp.SealedSecret{}, fmt.Errorf("encrypt the value: %w", err)
	}
	return warp.NewSealedSecret(base64.StdEncoding.EncodeToString(ciphertext)), nil
}
