package seal

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of a keyset's enums.
//
// Source: tink-crypto/tink-go v2.9.0, proto/tink_go_proto and proto/hpke_go_proto.
const (
	typeURL = "type.googleapis.com/google.crypto.tink.HpkePublicKey"
	public  = 3 // KeyData.KeyMaterialType

	enabled, disabled, destroyed = 1, 2, 3 // KeyStatusType

	prefixTink, prefixRaw, prefixCrunchy = 1, 3, 4 // OutputPrefixType
)

var (
	kems = map[uint32]hpke.KEM{
		1: hpke.DHKEM(ecdh.X25519()),
		2: hpke.DHKEM(ecdh.P256()),
		3: hpke.DHKEM(ecdh.P384()),
		4: hpke.DHKEM(ecdh.P521()),
		5: hpke.MLKEM768X25519(), // X-Wing
		6: hpke.MLKEM768(),
		7: hpke.MLKEM1024(),
	}
	kdfs  = map[uint32]hpke.KDF{1: hpke.HKDFSHA256(), 2: hpke.HKDFSHA384(), 3: hpke.HKDFSHA512()}
	aeads = map[uint32]hpke.AEAD{1: hpke.AES128GCM(), 2: hpke.AES256GCM(), 3: hpke.ChaCha20Poly1305()}
)

// recipient is a key to seal values for.
type recipient struct {
	prefix []byte // begins each ciphertext and names the key that opens it
	key    hpke.PublicKey
	kdf    hpke.KDF
	aead   hpke.AEAD
}

func (r recipient) seal(context, plaintext []byte) ([]byte, error) {
	sealed, err := hpke.Seal(r.key, r.kdf, r.aead, context, plaintext)
	return slices.Concat(r.prefix, sealed), err
}

// readKeyset returns the primary key of a Tink keyset in binary form. It refuses every
// keyset that Tink refuses, whichever key is faulty, and keysets with keys other than
// public HPKE keys.
//
// Source: tink-crypto/tink-go v2.9.0, keyset/validation.go and keyset/handle.go.
func readKeyset(message []byte) (recipient, error) {
	var primaryID uint32
	var keys []keysetKey
	err := read(message, numbers{1: &primaryID}, texts{2: func(text []byte) error {
		var key keysetKey
		err := key.read(text)
		keys = append(keys, key)
		return err
	}})
	if err != nil {
		return recipient{}, err
	}
	var primary *recipient
	seen := map[uint32]bool{}
	for _, key := range keys {
		if seen[key.id] {
			return recipient{}, fmt.Errorf("two of its keys have the ID %d", key.id)
		}
		seen[key.id] = true
		r, err := key.recipient()
		if err != nil {
			return recipient{}, fmt.Errorf("key %d: %w", key.id, err)
		}
		if key.id != primaryID {
			continue
		}
		if key.status != enabled {
			return recipient{}, errors.New("its primary key is not enabled")
		}
		primary = &r
	}
	if primary == nil {
		return recipient{}, errors.New("it has no primary key")
	}
	return *primary, nil
}

// keysetKey is a Keyset.Key with the KeyData in it.
type keysetKey struct {
	typeURL, value               []byte
	material, status, id, prefix uint32
}

func (k *keysetKey) read(message []byte) error {
	return read(message, numbers{2: &k.status, 3: &k.id, 4: &k.prefix}, texts{1: func(data []byte) error {
		return read(data, numbers{3: &k.material}, texts{1: func(text []byte) error {
			if !utf8.Valid(text) {
				return errMalformed
			}
			return into(&k.typeURL)(text)
		}, 2: into(&k.value)})
	}})
}

// recipient checks a key and reads the HpkePublicKey in it.
func (k *keysetKey) recipient() (recipient, error) {
	if string(k.typeURL) != typeURL || k.material != public {
		return recipient{}, errors.New("it is not a public HPKE key")
	}
	if k.status != enabled && k.status != disabled && k.status != destroyed {
		return recipient{}, errors.New("its status is unknown")
	}
	prefix, err := outputPrefix(k.prefix, k.id)
	if err != nil {
		return recipient{}, err
	}
	var version, kem, kdf, aead uint32
	var point []byte
	err = read(k.value, numbers{1: &version}, texts{2: func(parameters []byte) error {
		return read(parameters, numbers{1: &kem, 2: &kdf, 3: &aead}, nil)
	}, 3: into(&point)})
	if err != nil {
		return recipient{}, err
	}
	if version != 0 {
		return recipient{}, fmt.Errorf("its version is %d, not 0", version)
	}
	if kems[kem] == nil || kdfs[kdf] == nil || aeads[aead] == nil {
		return recipient{}, errors.New("its algorithms are unknown")
	}
	key, err := kems[kem].NewPublicKey(point)
	if err != nil {
		return recipient{}, fmt.Errorf("read its public key: %w", err)
	}
	return recipient{prefix, key, kdfs[kdf], aeads[aead]}, nil
}

func outputPrefix(kind, id uint32) ([]byte, error) {
	switch kind {
	case prefixTink:
		return binary.BigEndian.AppendUint32([]byte{1}, id), nil
	case prefixCrunchy:
		return binary.BigEndian.AppendUint32([]byte{0}, id), nil
	case prefixRaw:
		return nil, nil
	default:
		return nil, errors.New("its output prefix is not one of HPKE keys")
	}
}

var errMalformed = errors.New("it is not a Tink keyset in binary form")

type (
	numbers map[protowire.Number]*uint32
	texts   map[protowire.Number]func([]byte) error
)

// read decodes a protocol buffers message, as leniently as the format requires: the last of
// several values counts, repeated messages are merged, and a complete field of another number
// or type is ignored.
//
// Source: protobuf.dev/programming-guides/encoding (2026-08).
func read(message []byte, numbers numbers, texts texts) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 || !number.IsValid() {
			return errMalformed
		}
		field := message[n:]
		size := protowire.ConsumeFieldValue(number, kind, field)
		if size < 0 {
			return errMalformed
		}
		message = field[size:]
		if to := numbers[number]; to != nil && kind == protowire.VarintType {
			value, _ := protowire.ConsumeVarint(field)
			*to = uint32(value)
		}
		if to := texts[number]; to != nil && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(field)
			if err := to(value); err != nil {
				return err
			}
		}
	}
	return nil
}

func into(to *[]byte) func([]byte) error {
	return func(value []byte) error {
		*to = value
		return nil
	}
}
