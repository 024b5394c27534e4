package seal_test

import (
	"bytes"
	gohpke "crypto/hpke"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	hpkepb "github.com/tink-crypto/tink-go/v2/proto/hpke_go_proto"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/oz-bitbucket/oz-bitbucket/internal/seal"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

const publicType = "type.googleapis.com/google.crypto.tink.HpkePublicKey"

// TestTinkOpensWhatIsSealed makes keysets of three random keys, with any of them as the
// primary one, for every kind of HPKE key.
func TestTinkOpensWhatIsSealed(t *testing.T) {
	t.Parallel()
	for kem := hpke.DHKEM_P256_HKDF_SHA256; kem <= hpke.ML_KEM1024; kem++ {
		for kdf := hpke.HKDFSHA256; kdf <= hpke.HKDFSHA512; kdf++ {
			for aead := hpke.AES128GCM; aead <= hpke.ChaCha20Poly1305; aead++ {
				for variant := hpke.VariantTink; variant <= hpke.VariantNoPrefix; variant++ {
					options := hpke.ParametersOpts{KEMID: kem, KDFID: kdf, AEADID: aead, Variant: variant}
					t.Run(options.String(), func(t *testing.T) {
						t.Parallel()
						parameters, err := hpke.NewParameters(options)
						require.NoError(t, err)
						manager := keyset.NewManager()
						ids := make([]uint32, 3)
						for i := range ids {
							ids[i], err = manager.AddNewKeyFromParameters(parameters)
							require.NoError(t, err)
						}
						primary := rand.N(len(ids))
						require.NoError(t, manager.SetPrimary(ids[primary]))
						require.NoError(t, manager.Disable(ids[(primary+1)%len(ids)]))
						private, err := manager.Handle()
						require.NoError(t, err)
						public, err := private.Public()
						require.NoError(t, err)
						var message bytes.Buffer
						require.NoError(t, public.WriteWithNoSecrets(keyset.NewBinaryWriter(&message)))

						caller, name, value := randomText(), randomText(), randomText()
						sealed, err := seal.RawValue(encode(message.Bytes()), caller, name, sensitive.New(value))
						require.NoError(t, err)
						ciphertext, err := base64.StdEncoding.DecodeString(sealed.Ciphertext())
						require.NoError(t, err)
						// The other keys are removed, because Tink tries every key when
						// there is no prefix.
						for i, id := range ids {
							if i != primary {
								require.NoError(t, manager.Delete(id))
							}
						}
						alone, err := manager.Handle()
						require.NoError(t, err)
						opener, err := hybrid.NewHybridDecrypt(alone)
						require.NoError(t, err)
						plaintext, err := opener.Decrypt(ciphertext, []byte("1:"+caller+":"+name+":raw_value"))
						require.NoError(t, err)
						assert.JSONEq(t, `{"value":"`+value+`"}`, string(plaintext))
					})
				}
			}
		}
	}
}

// TestTinkJudgesKeysets has a keyset for every fault, and for everything that looks like a
// fault but is none.
func TestTinkJudgesKeysets(t *testing.T) {
	t.Parallel()
	const tag1, group15, end15, end14 = "\x0a", "\x7b", "\x7c", "\x74"
	key := func(change func(*tinkpb.Keyset_Key)) func(*tinkpb.Keyset) {
		return func(set *tinkpb.Keyset) { change(set.Key[0]) }
	}
	value := func(change func(*hpkepb.HpkePublicKey)) func(*tinkpb.Keyset) {
		return key(func(key *tinkpb.Keyset_Key) {
			var inner hpkepb.HpkePublicKey
			require.NoError(t, proto.Unmarshal(key.KeyData.Value, &inner))
			change(&inner)
			key.KeyData.Value = marshal(t, &inner)
		})
	}
	second := func(change func(*tinkpb.Keyset_Key)) func(*tinkpb.Keyset) {
		return func(set *tinkpb.Keyset) {
			other := publicKey(t, 2, 1)
			change(other)
			set.Key = append(set.Key, other)
		}
	}
	unknown := func(fields string) func(*tinkpb.Keyset) {
		return func(set *tinkpb.Keyset) { set.ProtoReflect().SetUnknown([]byte(fields)) }
	}
	twice := func(first, then string) func(*tinkpb.Keyset) {
		return value(func(inner *hpkepb.HpkePublicKey) {
			inner.Params = nil
			parts := protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), first)
			inner.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(parts, 2, protowire.BytesType), then))
		})
	}
	tests := []struct {
		name   string
		change func(*tinkpb.Keyset)
		want   string // the fault, or empty
	}{
		{"nothing wrong", func(*tinkpb.Keyset) {}, ""},
		{"no keys", func(set *tinkpb.Keyset) { set.Key = nil }, "no primary key"},
		{"another primary key", func(set *tinkpb.Keyset) { set.PrimaryKeyId++ }, "no primary key"},
		{"no ID at all", func(set *tinkpb.Keyset) { set.PrimaryKeyId, set.Key[0].KeyId = 0, 0 }, ""},
		{"disabled", key(func(k *tinkpb.Keyset_Key) { k.Status = tinkpb.KeyStatusType_DISABLED }), "primary key is not enabled"},
		{"destroyed", key(func(k *tinkpb.Keyset_Key) { k.Status = tinkpb.KeyStatusType_DESTROYED }), "primary key is not enabled"},
		{"no status", key(func(k *tinkpb.Keyset_Key) { k.Status = 0 }), "status is unknown"},
		{"a status of tomorrow", key(func(k *tinkpb.Keyset_Key) { k.Status = 4 }), "status is unknown"},
		{"a status below zero", key(func(k *tinkpb.Keyset_Key) { k.Status = -1 }), "status is unknown"},
		{"no prefix type", key(func(k *tinkpb.Keyset_Key) { k.OutputPrefixType = 0 }), "output prefix"},
		{"legacy", key(func(k *tinkpb.Keyset_Key) { k.OutputPrefixType = tinkpb.OutputPrefixType_LEGACY }), "output prefix"},
		{"ID requirement", key(func(k *tinkpb.Keyset_Key) { k.OutputPrefixType = tinkpb.OutputPrefixType_WITH_ID_REQUIREMENT }), "output prefix"},
		{"crunchy", key(func(k *tinkpb.Keyset_Key) { k.OutputPrefixType = tinkpb.OutputPrefixType_CRUNCHY }), ""},
		{"raw", key(func(k *tinkpb.Keyset_Key) { k.OutputPrefixType = tinkpb.OutputPrefixType_RAW }), ""},
		{"no key data", key(func(k *tinkpb.Keyset_Key) { k.KeyData = nil }), "not a public HPKE key"},
		{"no material", key(func(k *tinkpb.Keyset_Key) { k.KeyData.KeyMaterialType = 0 }), "not a public HPKE key"},
		{"symmetric", key(func(k *tinkpb.Keyset_Key) { k.KeyData.KeyMaterialType = tinkpb.KeyData_SYMMETRIC }), "not a public HPKE key"},
		{"private", key(func(k *tinkpb.Keyset_Key) { k.KeyData.KeyMaterialType = tinkpb.KeyData_ASYMMETRIC_PRIVATE }), "not a public HPKE key"},
		{"remote", key(func(k *tinkpb.Keyset_Key) { k.KeyData.KeyMaterialType = tinkpb.KeyData_REMOTE }), "not a public HPKE key"},
		{"another type", key(func(k *tinkpb.Keyset_Key) { k.KeyData.TypeUrl = "type.googleapis.com/google.crypto.tink.X" }), "not a public HPKE key"},
		{"no value", key(func(k *tinkpb.Keyset_Key) { k.KeyData.Value = nil }), "algorithms are unknown"},
		{"a value cut off", key(func(k *tinkpb.Keyset_Key) { k.KeyData.Value = k.KeyData.Value[:20] }), "not a Tink keyset"},
		{"version 1", value(func(v *hpkepb.HpkePublicKey) { v.Version = 1 }), "version is 1"},
		{"no parameters", value(func(v *hpkepb.HpkePublicKey) { v.Params = nil }), "algorithms are unknown"},
		{"KEM 0", value(func(v *hpkepb.HpkePublicKey) { v.Params.Kem = 0 }), "algorithms are unknown"},
		{"KEM 8", value(func(v *hpkepb.HpkePublicKey) { v.Params.Kem = 8 }), "algorithms are unknown"},
		{"KDF 0", value(func(v *hpkepb.HpkePublicKey) { v.Params.Kdf = 0 }), "algorithms are unknown"},
		{"SHAKE128", value(func(v *hpkepb.HpkePublicKey) { v.Params.Kdf = 16 }), "algorithms are unknown"},
		{"AEAD 0", value(func(v *hpkepb.HpkePublicKey) { v.Params.Aead = 0 }), "algorithms are unknown"},
		{"export only", value(func(v *hpkepb.HpkePublicKey) { v.Params.Aead = 0xFFFF }), "algorithms are unknown"},
		{"no point", value(func(v *hpkepb.HpkePublicKey) { v.PublicKey = nil }), "invalid public key"},
		{"a short point", value(func(v *hpkepb.HpkePublicKey) { v.PublicKey = v.PublicKey[1:] }), "invalid public key"},
		{"a point of low order", value(func(v *hpkepb.HpkePublicKey) { clear(v.PublicKey) }), "low order"},
		{"a point off the curve", func(set *tinkpb.Keyset) {
			set.Key[0] = publicKey(t, 1, 2)
			set.Key[0].KeyData.Value[len(set.Key[0].KeyData.Value)-1] ^= 1
		}, "not on curve"},
		{"a point in short form", value(func(v *hpkepb.HpkePublicKey) {
			v.Params.Kem, v.PublicKey = hpkepb.HpkeKem_DHKEM_P256_HKDF_SHA256, append([]byte{2}, v.PublicKey...)
		}), "invalid public key"},

		{"a second key", second(func(*tinkpb.Keyset_Key) {}), ""},
		{"a second key, disabled", second(func(k *tinkpb.Keyset_Key) { k.Status = tinkpb.KeyStatusType_DISABLED }), ""},
		{"a second key, destroyed", second(func(k *tinkpb.Keyset_Key) { k.Status = tinkpb.KeyStatusType_DESTROYED }), ""},
		{"a second key of that ID", second(func(k *tinkpb.Keyset_Key) { k.KeyId = 1 }), "two of its keys have the ID 1"},
		{"a second key of that ID, disabled", second(func(k *tinkpb.Keyset_Key) {
			k.KeyId, k.Status = 1, tinkpb.KeyStatusType_DISABLED
		}), "two of its keys have the ID 1"},
		{"a second key without status", second(func(k *tinkpb.Keyset_Key) { k.Status = 0 }), "key 2: its status is unknown"},
		{"a second key without value, disabled", second(func(k *tinkpb.Keyset_Key) {
			k.Status, k.KeyData.Value = tinkpb.KeyStatusType_DISABLED, nil
		}), "key 2: its algorithms are unknown"},
		{"a second key that is private, destroyed", second(func(k *tinkpb.Keyset_Key) {
			k.Status, k.KeyData.KeyMaterialType = tinkpb.KeyStatusType_DESTROYED, tinkpb.KeyData_ASYMMETRIC_PRIVATE
		}), "key 2: it is not a public HPKE key"},
		{"the primary key comes second", func(set *tinkpb.Keyset) {
			set.Key = []*tinkpb.Keyset_Key{publicKey(t, 2, 3), set.Key[0]}
		}, ""},

		{"a field of tomorrow", unknown("\x78\x01"), ""},
		{"a field of tomorrow, cut off", unknown("\x78"), "not a Tink keyset"},
		{"a group", unknown(group15 + end15), ""},
		{"a group within a group", unknown(group15 + group15 + end15 + end15), ""},
		{"a group without end", unknown(group15), "not a Tink keyset"},
		{"a group with another's end", unknown(group15 + end14), "not a Tink keyset"},
		{"an end of no group", unknown(end15), "not a Tink keyset"},
		{"field 0", unknown("\x00\x00"), "not a Tink keyset"},
		{"a field beyond the last", unknown("\x80\x80\x80\x80\x10\x00"), "not a Tink keyset"},
		{"wire type 6", unknown("\x7e\x00"), "not a Tink keyset"},
		{"a number too long", unknown("\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "not a Tink keyset"},
		{"a text longer than the rest", unknown("\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "not a Tink keyset"},
		{"the primary ID again", unknown("\x08\x02"), "no primary key"},
		{"the primary ID again, beyond 32 bits", unknown("\x08\x81\x80\x80\x80\x10"), ""},
		{"the primary ID as text", unknown("\x0a\x02\x02\x02"), ""},
		{"a key as number", unknown("\x10\x02"), ""},
		{"an empty key", unknown("\x12\x00"), "key 0: it is not a public HPKE key"},
		{"key data twice", key(func(k *tinkpb.Keyset_Key) {
			k.ProtoReflect().SetUnknown([]byte(tag1 + "\x02\x18\x02")) // merged: material 2
		}), "not a public HPKE key"},
		{"key data twice, empty", key(func(k *tinkpb.Keyset_Key) { k.ProtoReflect().SetUnknown([]byte(tag1 + "\x00")) }), ""},
		{"a type that is no text, then one", func(set *tinkpb.Keyset) {
			data := set.Key[0].KeyData
			set.Key[0].KeyData = nil
			parts := protowire.AppendBytes([]byte(tag1+"\x03\x0a\x01\xff"+tag1), marshal(t, data))
			set.Key[0].ProtoReflect().SetUnknown(parts)
		}, "not a Tink keyset"},
		{"parameters in two parts", twice("\x08\x01", "\x10\x01\x18\x02"), ""},
		{"parameters in two halves of a field", twice("\x08", "\x01\x10\x01\x18\x02"), "not a Tink keyset"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set := &tinkpb.Keyset{PrimaryKeyId: 1, Key: []*tinkpb.Keyset_Key{publicKey(t, 1, 1)}}
			tt.change(set)
			message := marshal(t, set)
			err := judge(t, message)
			if tt.want == "" {
				assert.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// TestWhatTinkOverlooksIsRefused has keysets that Tink accepts and seal refuses.
func TestWhatTinkOverlooksIsRefused(t *testing.T) {
	t.Parallel()
	stranger, broken := publicKey(t, 2, hpkepb.HpkeKem_DHKEM_X25519_HKDF_SHA256), publicKey(t, 3, hpkepb.HpkeKem_ML_KEM768)
	stranger.KeyData.TypeUrl = "type.googleapis.com/google.crypto.tink.OfTomorrow"
	stranger.Status = tinkpb.KeyStatusType_DISABLED
	inside := broken.KeyData.Value[len(broken.KeyData.Value)-1000:]
	for i := range inside {
		inside[i] = 0xff
	}
	for want, other := range map[string]*tinkpb.Keyset_Key{
		"key 2: it is not a public HPKE key":                             stranger,
		"key 3: read its public key: mlkem: invalid polynomial encoding": broken,
	} {
		message := marshal(t, &tinkpb.Keyset{PrimaryKeyId: 1, Key: []*tinkpb.Keyset_Key{publicKey(t, 1, 1), other}})
		assert.NoError(t, tinkSeals(message))
		assert.EqualError(t, judge(t, message), "read the upload key: "+want)
	}
}

func FuzzKeyset(f *testing.F) {
	for kem := range hpkepb.HpkeKem_name {
		if kem == 0 {
			continue
		}
		one, two := publicKey(f, 1, hpkepb.HpkeKem(kem)), publicKey(f, 2, hpkepb.HpkeKem_DHKEM_X25519_HKDF_SHA256)
		f.Add(marshal(f, &tinkpb.Keyset{PrimaryKeyId: 1, Key: []*tinkpb.Keyset_Key{one}}))
		f.Add(marshal(f, &tinkpb.Keyset{PrimaryKeyId: 2, Key: []*tinkpb.Keyset_Key{one, two}}))
		two.Status, two.OutputPrefixType = tinkpb.KeyStatusType_DISABLED, tinkpb.OutputPrefixType_RAW
		f.Add(marshal(f, &tinkpb.Keyset{PrimaryKeyId: 1, Key: []*tinkpb.Keyset_Key{two, one}}))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) { _ = judge(t, message) })
}

// judge seals for a keyset and returns the error. The test fails unless Tink accepts or
// refuses the same keysets and opens what was sealed.
func judge(t *testing.T, message []byte) error {
	t.Helper()
	sealed, err := seal.RawValue(encode(message), "user", "NAME", sensitive.New("MARKER"))
	verdict := tinkSeals(message)
	if err != nil {
		require.NotContains(t, err.Error(), "MARKER")
		// A point of low order is found only when the value is sealed.
		if !strings.HasPrefix(err.Error(), "read the upload key: ") {
			require.ErrorContains(t, err, "encrypt the value: ")
			require.ErrorContains(t, err, "low order")
		}
		if verdict == nil {
			require.True(t, beyond(t, message), "Tink accepts the keyset: %v", err)
		}
		return err
	}
	require.NoError(t, verdict, "Tink refuses the keyset")
	private := privateKeyset(t, message)
	if private == nil {
		return nil
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(private)))
	require.NoError(t, err)
	opener, err := hybrid.NewHybridDecrypt(handle)
	require.NoError(t, err)
	ciphertext, err := base64.StdEncoding.DecodeString(sealed.Ciphertext())
	require.NoError(t, err)
	plaintext, err := opener.Decrypt(ciphertext, []byte("1:user:NAME:raw_value"))
	require.NoError(t, err)
	require.Equal(t, `{"value":"MARKER"}`, string(plaintext))
	return nil
}

func tinkSeals(message []byte) error {
	handle, err := keyset.ReadWithNoSecrets(keyset.NewBinaryReader(bytes.NewReader(message)))
	if err != nil {
		return err
	}
	encrypter, err := hybrid.NewHybridEncrypt(handle)
	if err != nil {
		return err
	}
	_, err = encrypter.Encrypt(nil, nil)
	return err
}

// beyond reports whether a keyset holds something that Tink ignores and seal refuses: a key
// for another purpose, or a broken post-quantum key that is not the primary one.
func beyond(t *testing.T, message []byte) bool {
	var set tinkpb.Keyset
	require.NoError(t, proto.Unmarshal(message, &set))
	for _, key := range set.Key {
		if key.KeyData.TypeUrl != publicType {
			return true
		}
		var value hpkepb.HpkePublicKey
		require.NoError(t, proto.Unmarshal(key.KeyData.Value, &value))
		if value.Params.Kem >= hpkepb.HpkeKem_X_WING && key.KeyId != set.PrimaryKeyId {
			return true
		}
	}
	return false
}

// privateKeyset returns the keyset that opens what is sealed for this one's primary key, or
// nil when publicKey did not make that key.
func privateKeyset(t *testing.T, message []byte) []byte {
	var set tinkpb.Keyset
	require.NoError(t, proto.Unmarshal(message, &set))
	for _, key := range set.Key {
		if key.KeyId != set.PrimaryKeyId {
			continue
		}
		var public hpkepb.HpkePublicKey
		require.NoError(t, proto.Unmarshal(key.KeyData.Value, &public))
		pair := keyPair(t, public.Params.Kem)
		if !bytes.Equal(public.PublicKey, pair.PublicKey().Bytes()) {
			return nil
		}
		secret, err := pair.Bytes()
		require.NoError(t, err)
		key.KeyData = &tinkpb.KeyData{
			TypeUrl:         "type.googleapis.com/google.crypto.tink.HpkePrivateKey",
			Value:           marshal(t, &hpkepb.HpkePrivateKey{PublicKey: &public, PrivateKey: secret}),
			KeyMaterialType: tinkpb.KeyData_ASYMMETRIC_PRIVATE,
		}
		return marshal(t, &tinkpb.Keyset{PrimaryKeyId: key.KeyId, Key: []*tinkpb.Keyset_Key{key}})
	}
	return nil
}

// publicKey returns an enabled key, always the same for a KEM.
func publicKey(t testing.TB, id uint32, kem hpkepb.HpkeKem) *tinkpb.Keyset_Key {
	return &tinkpb.Keyset_Key{
		KeyData: &tinkpb.KeyData{
			TypeUrl: publicType,
			Value: marshal(t, &hpkepb.HpkePublicKey{
				Params:    &hpkepb.HpkeParams{Kem: kem, Kdf: hpkepb.HpkeKdf_HKDF_SHA256, Aead: hpkepb.HpkeAead_AES_256_GCM},
				PublicKey: keyPair(t, kem).PublicKey().Bytes(),
			}),
			KeyMaterialType: tinkpb.KeyData_ASYMMETRIC_PUBLIC,
		},
		Status:           tinkpb.KeyStatusType_ENABLED,
		KeyId:            id,
		OutputPrefixType: tinkpb.OutputPrefixType_TINK,
	}
}

func keyPair(t testing.TB, kem hpkepb.HpkeKem) gohpke.PrivateKey {
	ids := []uint16{0, 0x20, 0x10, 0x11, 0x12, 0x647a, 0x41, 0x42}
	algorithm, err := gohpke.NewKEM(ids[kem])
	require.NoError(t, err)
	pair, err := algorithm.DeriveKeyPair(make([]byte, 64))
	require.NoError(t, err)
	return pair
}

func marshal(t testing.TB, message proto.Message) []byte {
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	require.NoError(t, err)
	return text
}

func encode(message []byte) warp.UploadKey {
	return warp.UploadKey(base64.StdEncoding.EncodeToString(message))
}

// randomText returns up to 64 of the characters that names and tokens have.
func randomText() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:=/+."
	text := make([]byte, rand.N(65))
	for i := range text {
		text[i] = alphabet[rand.N(len(alphabet))]
	}
	return string(text)
}
