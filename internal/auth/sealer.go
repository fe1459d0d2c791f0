package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Sealer encrypts what the database must not show: signing secrets and header
// values. AES-256-GCM under a key derived from the secret key (HKDF, RFC 5869),
// with a random nonce before each box.
type Sealer struct {
	aead  cipher.AEAD
	check []byte
	mac   []byte
}

// KeySize is the length of a secret key in bytes.
const KeySize = 32

// ErrSealed means that a box cannot be opened: it was sealed under another
// key, for another place, or was altered.
var ErrSealed = errors.New("sealed value does not open with this secret key")

// NewSealer makes a sealer from a secret key of KeySize random bytes.
func NewSealer(secretKey []byte) (*Sealer, error) {
	if len(secretKey) != KeySize {
		return nil, fmt.Errorf("the secret key has %d bytes, not %d", len(secretKey), KeySize)
	}
	key, err := hkdf.Key(sha256.New, secretKey, nil, "fanfare seal", KeySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	check, err := hkdf.Key(sha256.New, secretKey, nil, "fanfare key check", 16)
	if err != nil {
		return nil, err
	}
	mac, err := hkdf.Key(sha256.New, secretKey, nil, "fanfare authenticate", KeySize)
	return &Sealer{aead: aead, check: check, mac: mac}, err
}

// Seal encrypts plain. place says where the box belongs, so that it opens
// nowhere else.
func (s *Sealer) Seal(plain, place []byte) []byte {
	return s.aead.Seal(nil, nil, plain, place) //nolint:gosec // this cipher makes the nonce itself
}

// Open decrypts what Seal made for the same place, or returns ErrSealed.
func (s *Sealer) Open(box, place []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, box, place)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// CheckValue is a value that tells whether a key is the right one and tells
// nothing else about it.
func (s *Sealer) CheckValue() []byte { return s.check }

// Checks reports whether value is the CheckValue of this sealer's key.
func (s *Sealer) Checks(value []byte) bool { return hmac.Equal(value, s.check) }

// MAC authenticates data that is given away and comes back (HMAC-SHA256).
// Compare it in constant time.
func (s *Sealer) MAC(data []byte) []byte {
	h := hmac.New(sha256.New, s.mac)
	h.Write(data)
	return h.Sum(nil)
}

// NewSecretKey makes a secret key.
func NewSecretKey() []byte {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	return key
}
