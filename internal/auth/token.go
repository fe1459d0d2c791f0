package auth

import (
	"crypto/rand"
	"crypto/sha256"
)

// NewToken makes an opaque random token of more than 128 bits behind a prefix,
// such as an API key or a session. Only its Hash is stored.
func NewToken(prefix string) string { return prefix + rand.Text() + rand.Text() }

// APIKeyPrefix starts every API key, so that a leaked one is recognised.
const APIKeyPrefix = "ffk_"

// BearerPrefix starts every bearer token of the sender's API, and LinkPrefix
// every code that opens the portal once.
const (
	BearerPrefix = "fft_"
	LinkPrefix   = "ffl_"
)

// Hash is what is stored of a token. A token is random and long, so that a
// plain hash keeps it: there is nothing to guess.
func Hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Hint is the end of a token, by which its owner tells it from others.
func Hint(token string) string { return token[max(0, len(token)-4):] }
