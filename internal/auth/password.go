package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// The cost of argon2id, by the second recommendation of RFC 9106 section 4
// with its memory lowered to what the OWASP password storage cheat sheet asks
// for, so that several people can log in at a time on a small machine.
const (
	argonTime    = 2
	argonMemory  = 19 * 1024 // KiB
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

// MinPassword and MaxPassword bound passwords, in characters.
const (
	MinPassword = 8
	MaxPassword = 256
)

// ErrPassword means that a text cannot be a password.
var ErrPassword = errors.New("a password has 8 to 256 characters")

// hashing bounds how many passwords are hashed at a time, since each takes
// memory and a processor.
var hashing = make(chan struct{}, 2)

// HashPassword derives what is stored of a password, in the PHC string format.
func HashPassword(password string) (string, error) {
	if n := utf8.RuneCountInString(password); n < MinPassword || n > MaxPassword {
		return "", ErrPassword
	}
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the process instead
	return phc(salt, derive(password, salt)), nil
}

// CheckPassword reports whether a password is the one that hash was made of.
// It takes as long when hash is "", so that nobody learns which accounts exist.
func CheckPassword(hash, password string) bool {
	exists := hash != ""
	if !exists {
		hash = phc(make([]byte, argonSalt), make([]byte, argonKey))
	}
	salt, want, err := parsePHC(hash)
	if err != nil || utf8.RuneCountInString(password) > MaxPassword {
		return false
	}
	return subtle.ConstantTimeCompare(derive(password, salt), want) == 1 && exists
}

func derive(password string, salt []byte) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
}

var phcBase64 = base64.RawStdEncoding

var phcHead = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonTime, argonThreads)

func phc(salt, key []byte) string {
	return phcHead + phcBase64.EncodeToString(salt) + "$" + phcBase64.EncodeToString(key)
}

func parsePHC(hash string) (salt, key []byte, err error) {
	body, ok := strings.CutPrefix(hash, phcHead)
	saltText, keyText, two := strings.Cut(body, "$")
	if !ok || !two {
		return nil, nil, errors.New("a password hash of another kind")
	}
	if salt, err = phcBase64.DecodeString(saltText); err != nil {
		return nil, nil, fmt.Errorf("salt of a password hash: %w", err)
	}
	if key, err = phcBase64.DecodeString(keyText); err != nil {
		return nil, nil, fmt.Errorf("key of a password hash: %w", err)
	}
	return salt, key, nil
}
