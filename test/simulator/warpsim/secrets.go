package warpsim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Secret is a managed secret as the server holds it.
type Secret struct {
	Owner Owner
	Name  string
	// Type is the wire value, such as "RAW_VALUE".
	Type        string
	Description string
	// Value is the unsealed plaintext: the text of a raw value, the JSON of any other type.
	Value                string
	CreatedAt, UpdatedAt time.Time
	// Versions counts how often the value was written.
	Versions int
}

// secret is a Secret with the server's internal state.
type secret struct {
	Secret
	sealed string // the encryptedValue that was last accepted
}

// AddSecret stores a raw value as if someone else had created or overwritten it.
func (s *Server) AddSecret(owner Owner, name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	known := s.secret(owner, name)
	if known == nil {
		known = &secret{Secret: Secret{Owner: owner, Name: name, Type: "RAW_VALUE", CreatedAt: now}}
		s.secrets = append(s.secrets, known)
	}
	s.store(known, value, "", now)
}

// Secrets returns the secrets, oldest first.
func (s *Server) Secrets() []Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	secrets := []Secret{}
	for _, known := range s.secrets {
		secrets = append(secrets, known.Secret)
	}
	return secrets
}

// secret returns the secret of this owner and name, or nil. The caller holds the lock.
func (s *Server) secret(owner Owner, name string) *secret {
	for _, known := range s.secrets {
		if known.Owner == owner && known.Name == name {
			return known
		}
	}
	return nil
}

// store writes a value. The caller holds the lock.
func (s *Server) store(known *secret, value, sealed string, now time.Time) {
	known.Value, known.sealed = value, sealed
	known.UpdatedAt = now
	known.Versions++
	s.learn("the value of secret "+known.Name, value)
}

func (s *Server) managedSecrets(c *call, _ arguments) (object, error) {
	visible := []any{}
	for _, known := range s.secrets {
		if c.caller.sees(known.Owner) {
			visible = append(visible, known.object())
		}
	}
	return answered("ManagedSecretsOutput", object{"managedSecrets": visible}), nil
}

func (s *Server) createManagedSecret(c *call, args arguments) (object, error) {
	in := input[struct {
		Owner                      ownerInput
		Name, Type, EncryptedValue string
		Description                *string
	}](args)
	owner, err := c.caller.owner(in.Owner)
	if err != nil {
		return refused("InvalidInputError", err.Error()), nil
	}
	if in.Name == "" {
		return refused("InvalidInputError", "a secret needs a name"), nil
	}
	if known := s.secret(owner, in.Name); known != nil {
		if known.sealed == in.EncryptedValue {
			s.flag("%s: secret %s created a second time with the same ciphertext", c.operation, in.Name)
		}
		return refused("InvalidInputError", "a secret with this name exists already"), nil
	}
	value, err := s.vault(owner).unseal(in.EncryptedValue, c.caller.uid, in.Name, in.Type)
	if err != nil {
		return refused("InvalidSecretError", err.Error()), nil
	}

	now := s.tick()
	created := &secret{Secret: Secret{Owner: owner, Name: in.Name, Type: in.Type, CreatedAt: now}}
	s.describe(created, in.Description)
	s.store(created, value, in.EncryptedValue, now)
	s.secrets = append(s.secrets, created)
	return answered("CreateManagedSecretOutput", object{"managedSecret": created.object()}), nil
}

func (s *Server) updateManagedSecret(c *call, args arguments) (object, error) {
	in := input[struct {
		Owner                       ownerInput
		Name                        string
		Description, EncryptedValue *string
	}](args)
	known, refusal := s.ownSecret(c, in.Owner, in.Name)
	if refusal != nil {
		return refusal, nil
	}
	now := s.tick()
	if in.EncryptedValue != nil {
		value, err := s.vault(known.Owner).unseal(*in.EncryptedValue, c.caller.uid, in.Name, known.Type)
		if err != nil {
			return refused("InvalidSecretError", err.Error()), nil
		}
		s.store(known, value, *in.EncryptedValue, now)
	}
	s.describe(known, in.Description)
	known.UpdatedAt = now
	return answered("UpdateManagedSecretOutput", object{"managedSecret": known.object()}), nil
}

func (s *Server) deleteManagedSecret(c *call, args arguments) (object, error) {
	in := input[struct {
		Owner ownerInput
		Name  string
	}](args)
	known, refusal := s.ownSecret(c, in.Owner, in.Name)
	if refusal != nil {
		return refusal, nil
	}
	s.secrets = slices.DeleteFunc(s.secrets, func(other *secret) bool { return other == known })
	return answered("DeleteManagedSecretOutput", object{}), nil
}

// ownSecret returns a secret that the caller may write, or why it may not.
func (s *Server) ownSecret(c *call, in ownerInput, name string) (*secret, object) {
	owner, err := c.caller.owner(in)
	if err != nil {
		return nil, refused("InvalidInputError", err.Error())
	}
	known := s.secret(owner, name)
	if known == nil {
		return nil, refused("InvalidInputError", "secret not found")
	}
	return known, nil
}

// describe changes the description, unless there is none to set.
func (s *Server) describe(known *secret, description *string) {
	if description != nil {
		known.Description = *description
		s.watch("the description of secret "+known.Name, *description)
	}
}

func (known *secret) object() object {
	o := object{
		"name": known.Name, "type": known.Type,
		"createdAt": timestamp(known.CreatedAt), "updatedAt": timestamp(known.UpdatedAt),
		"owner": known.Owner.space(),
	}
	if known.Description != "" {
		o["description"] = known.Description
	}
	return o
}

// space returns the output form of an owner.
func (o Owner) space() object {
	return object{"__typename": "Space", "type": o.Type, "uid": o.UID}
}

// vault holds one owner's upload keys. A nil vault has none and opens nothing.
type vault struct {
	private *keyset.Handle
	public  string
}

func newVault(none bool) *vault {
	if none {
		return nil
	}
	private, err := keyset.NewHandle(hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template())
	if err != nil {
		panic(fmt.Sprintf("warpsim: %v", err))
	}
	public, err := private.Public()
	if err != nil {
		panic(fmt.Sprintf("warpsim: %v", err))
	}
	var b bytes.Buffer
	if err := public.WriteWithNoSecrets(keyset.NewBinaryWriter(&b)); err != nil {
		panic(fmt.Sprintf("warpsim: %v", err))
	}
	return &vault{private, base64.StdEncoding.EncodeToString(b.Bytes())}
}

// publicKey returns the base64 of the public keyset in Tink's binary form, or null.
func (v *vault) publicKey() any {
	if v == nil {
		return nil
	}
	return v.public
}

// errUndecryptable has the server's text.
var errUndecryptable = fmt.Errorf("%s to decrypt secret value", "Unable")

// unseal decrypts an encryptedValue. It opens only with the same actor, name and type that it was sealed
// for, and a raw value must be an object with just a "value".
func (v *vault) unseal(encryptedValue, actor, name, secretType string) (string, error) {
	if v == nil {
		return "", fmt.Errorf("the owner has no upload key")
	}
	ciphertext, err := base64.StdEncoding.DecodeString(encryptedValue)
	if err != nil {
		return "", fmt.Errorf("secret value is not base64")
	}
	decrypter, err := hybrid.NewHybridDecrypt(v.private)
	if err != nil {
		return "", fmt.Errorf("open secret value: %w", err)
	}
	purpose := fmt.Sprintf("1:%s:%s:%s", actor, name, strings.ToLower(secretType))
	plaintext, err := decrypter.Decrypt(ciphertext, []byte(purpose))
	if err != nil {
		return "", errUndecryptable
	}
	if secretType != "RAW_VALUE" {
		return string(plaintext), nil
	}
	var raw struct{ Value *string }
	decoder := json.NewDecoder(bytes.NewReader(plaintext))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&raw); err != nil || raw.Value == nil {
		return "", fmt.Errorf("secret value does not fit its type")
	}
	return *raw.Value, nil
}
