package warp

// SecretType is how Warp passes a secret to a run. The values are those of the API.
type SecretType string

// RawValue is a secret that becomes one environment variable of its own name,
// the only type that this program writes.
const RawValue SecretType = "RAW_VALUE"

// Secret is a managed secret without its value: a value cannot be read back. Its
// identity is (owner, name).
type Secret struct {
	Name        string
	Owner       Owner
	Type        SecretType
	UpdatedAt   string // opaque; changes with every write
	Description string
}

// UploadKey is the public half of an owner's key for secrets: standard base64
// of a Tink keyset in binary form.
type UploadKey string

// UploadKeys are the upload keys of the caller and the caller's teams.
type UploadKeys struct {
	User  UploadKey            // empty when the user has none
	Teams map[string]UploadKey // by team UID; only teams that have a key
}

// For returns the upload key of an owner, empty when there is none.
func (k UploadKeys) For(owner Owner) UploadKey {
	if owner.Type == TeamOwner {
		return k.Teams[owner.UID]
	}
	return k.User
}

// SealedSecret is a secret's value that only Warp can open. The field is not exported,
// and only package seal may call NewSealedSecret (test/rooms_test.go checks this). So a
// function that takes a SealedSecret never gets a plain value.
type SealedSecret struct{ ciphertext string }

// NewSealedSecret wraps the standard base64 of a Tink HPKE ciphertext.
func NewSealedSecret(ciphertext string) SealedSecret { return SealedSecret{ciphertext} }

// Ciphertext is what goes on the wire as encryptedValue.
func (s SealedSecret) Ciphertext() string { return s.ciphertext }
