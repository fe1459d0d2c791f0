package signature

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// ErrSecret says that a text is not a signing secret. The errors that wrap it
// say what is wrong with the text and never repeat it.
var ErrSecret = errors.New("not a signing secret")

const (
	secretPrefix     = "whsec_"
	asymmetricPrefix = "whsk_"
	publicPrefix     = "whpk_"

	// Sizes of a decoded secret, in bytes. The specification asks for 24 to
	// 64; Svix hands out up to 75, and its users bring their secrets along.
	minSecret = 24
	maxSecret = 75
)

// Key is a parsed secret. It never prints itself: every fmt verb, and slog
// through fmt, shows a placeholder. The zero Key signs nothing.
type Key struct {
	// secret is the key of an HMAC, and macs make them under it; empty for an
	// ed25519 key.
	secret string
	macs   *sync.Pool
	// private signs, public verifies; a receiver has the latter alone.
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

// NewSecret makes a secret of 24 random bytes, in the form receivers are given:
// whsec_ and standard base64.
func NewSecret() string {
	b := make([]byte, minSecret)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// NewAsymmetricSecret makes an ed25519 key, whsk_ and standard base64 of its
// secret and public halves. Receivers are given its [Public] form.
func NewAsymmetricSecret() string {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err) // the source of chance never fails: it ends the program instead
	}
	return asymmetricPrefix + base64.StdEncoding.EncodeToString(private)
}

// CheckSecret reports whether somebody may bring s as the secret of an
// endpoint: like [ParseSecret], but the prefix must be there. Its error is an
// [ErrSecret].
func CheckSecret(s string) error {
	if !strings.HasPrefix(s, secretPrefix) && !strings.HasPrefix(s, asymmetricPrefix) {
		return fmt.Errorf("%w: it must begin with %s or %s", ErrSecret, secretPrefix, asymmetricPrefix)
	}
	_, err := ParseSecret(s)
	return err
}

// Public is what receivers are given of a secret: the secret itself when they
// share it, and whpk_ with the public half of an ed25519 key. It is "" for what
// is no secret.
func Public(s string) string {
	if !strings.HasPrefix(s, asymmetricPrefix) {
		return s
	}
	key, err := ParseSecret(s)
	if err != nil {
		return ""
	}
	return publicPrefix + base64.StdEncoding.EncodeToString(key.public)
}

// ParseSecret reads a secret in standard, padded base64: an HMAC key with or
// without the prefix whsec_, an ed25519 key behind whsk_, or the public half of
// one behind whpk_, which verifies and signs nothing. Its error is an
// [ErrSecret].
func ParseSecret(s string) (Key, error) {
	for _, prefix := range []string{asymmetricPrefix, publicPrefix} {
		if text, ok := strings.CutPrefix(s, prefix); ok {
			return parseAsymmetric(prefix, text)
		}
	}
	text := strings.TrimPrefix(s, secretPrefix)
	b, err := decode(text)
	if err != nil {
		return Key{}, fmt.Errorf("%w: what follows %s must be standard base64 with padding", ErrSecret, secretPrefix)
	}
	if len(b) < minSecret || len(b) > maxSecret {
		return Key{}, fmt.Errorf("%w: it decodes to %d bytes, %d to %d are accepted", ErrSecret, len(b), minSecret, maxSecret)
	}
	return Key{secret: string(b), macs: newMACs(b)}, nil
}

// decode is strict, and takes no line breaks, which base64 otherwise skips: one
// secret has one spelling.
func decode(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, ErrSecret
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}

func parseAsymmetric(prefix, text string) (Key, error) {
	b, err := decode(text)
	size := ed25519.PrivateKeySize
	if prefix == publicPrefix {
		size = ed25519.PublicKeySize
	}
	if err != nil || len(b) != size {
		return Key{}, fmt.Errorf("%w: what follows %s must be %d bytes in standard base64", ErrSecret, prefix, size)
	}
	if prefix == publicPrefix {
		return Key{public: b}, nil
	}
	private := ed25519.PrivateKey(b)
	public := ed25519.PublicKey(b[ed25519.SeedSize:])
	// The halves may come from different keys.
	trial := []byte("trial")
	if !ed25519.Verify(public, trial, ed25519.Sign(private, trial)) {
		return Key{}, fmt.Errorf("%w: the public half of the %s key does not belong to its secret half", ErrSecret, prefix)
	}
	return Key{private: private, public: public}, nil
}

// String hides the secret.
func (k Key) String() string {
	if k.public != nil {
		return asymmetricPrefix + "***"
	}
	return secretPrefix + "***"
}

// Format hides the secret from the verbs that would look past String, such as
// %#v and %d.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }
