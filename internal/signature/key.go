package signature

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrSecret says that a text is not a signing secret. The errors that wrap it
// say what is wrong with the text and never repeat it.
var ErrSecret = errors.New("not a signing secret")

const (
	secretPrefix     = "whsec_"
	asymmetricPrefix = "whsk_"

	// Sizes of a decoded secret, in bytes. The specification asks for 24 to
	// 64; Svix hands out up to 75, and its users bring their secrets along.
	minSecret = 24
	maxSecret = 75
)

// Key is a parsed secret. It never prints itself: every fmt verb, and slog
// through fmt, shows a placeholder. The zero Key signs nothing.
type Key struct{ secret string }

// NewSecret makes a secret of 24 random bytes, in the form receivers are given:
// whsec_ and standard base64.
func NewSecret() string {
	b := make([]byte, minSecret)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// ParseSecret reads a secret in standard, padded base64, with or without the
// prefix whsec_. Its error is an [ErrSecret].
func ParseSecret(s string) (Key, error) {
	if strings.HasPrefix(s, asymmetricPrefix) {
		return Key{}, fmt.Errorf("%w: %s marks an ed25519 key, which is not supported", ErrSecret, asymmetricPrefix)
	}
	text := strings.TrimPrefix(s, secretPrefix)
	// Strict, and without the line breaks base64 otherwise skips: one secret
	// has one spelling.
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return Key{}, fmt.Errorf("%w: what follows %s must be standard base64 with padding", ErrSecret, secretPrefix)
	}
	if len(b) < minSecret || len(b) > maxSecret {
		return Key{}, fmt.Errorf("%w: it decodes to %d bytes, %d to %d are accepted", ErrSecret, len(b), minSecret, maxSecret)
	}
	return Key{secret: string(b)}, nil
}

// String hides the secret.
func (k Key) String() string { return secretPrefix + "***" }

// Format hides the secret from the verbs that would look past String, such as
// %#v and %d.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }
