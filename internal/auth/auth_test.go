package auth

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAPasswordOpensItsOwnHashOnly(t *testing.T) {
	hash, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !CheckPassword(hash, "correct horse") {
		t.Error("the password itself was refused")
	}
	for _, wrong := range []string{"", "Correct horse", "correct horse ", strings.Repeat("x", 300)} {
		if CheckPassword(hash, wrong) {
			t.Errorf("%q was taken for the password", wrong)
		}
	}
	if CheckPassword("", "") || CheckPassword("", "correct horse") {
		t.Error("an account without a password let somebody in")
	}
	if CheckPassword("$argon2id$broken", "correct horse") {
		t.Error("a broken hash let somebody in")
	}
	if strings.Contains(hash, "horse") {
		t.Error("the hash shows the password")
	}
}

func TestPasswordsOutsideTheBoundsAreRefused(t *testing.T) {
	for _, password := range []string{"", "1234567", strings.Repeat("é", 257)} {
		if _, err := HashPassword(password); err == nil {
			t.Errorf("a password of %d characters was taken", len([]rune(password)))
		}
	}
	if _, err := HashPassword(strings.Repeat("é", 8)); err != nil {
		t.Errorf("eight characters: %v", err)
	}
}

func TestTheLimiterMakesGuessersWaitAndForgivesThem(t *testing.T) {
	l := Limiter{Burst: 3, Refill: time.Minute}
	now := time.Unix(1_000_000, 0)
	for n := range 3 {
		if wait := l.Wait(now, "jane"); wait > 0 {
			t.Fatalf("try %d had to wait %v", n+1, wait)
		}
		l.Failed(now, "jane")
	}
	if wait := l.Wait(now, "jane"); wait != time.Minute {
		t.Errorf("after the burst the wait is %v, not a minute", wait)
	}
	if wait := l.Wait(now, "john"); wait > 0 {
		t.Errorf("another key waits %v", wait)
	}
	if wait := l.Wait(now.Add(time.Minute), "jane"); wait > 0 {
		t.Errorf("a minute later the wait is still %v", wait)
	}
	l.Succeeded("jane")
	if wait := l.Wait(now, "jane"); wait > 0 {
		t.Errorf("after a success the wait is still %v", wait)
	}
}

func TestTheLimiterIsBounded(t *testing.T) {
	l := Limiter{Burst: 3, Refill: time.Minute}
	for n := range maxKeys + 100 {
		l.Failed(time.Unix(1_000_000, 0), fmt.Sprint(n))
	}
	if len(l.full) > maxKeys {
		t.Errorf("%d keys are kept", len(l.full))
	}
}

func TestOneSubscriberIsOneKeyWhateverItsIPv6Address(t *testing.T) {
	if a, b := AddressKey("[2001:db8:1:2:3::4]:80"), AddressKey("[2001:db8:1:2:ffff::1]:81"); a != b {
		t.Errorf("%s and %s are of one network", a, b)
	}
	if a, b := AddressKey("192.0.2.1:80"), AddressKey("[::ffff:192.0.2.1]:81"); a != b {
		t.Errorf("%s and %s are one address", a, b)
	}
}

func TestASealedValueOpensWithItsKeyInItsPlaceOnly(t *testing.T) {
	s, err := NewSealer(bytes.Repeat([]byte{1}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewSealer(bytes.Repeat([]byte{2}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	box := s.Seal([]byte("secret"), []byte("here"))
	if plain, err := s.Open(box, []byte("here")); err != nil || string(plain) != "secret" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if _, err := s.Open(box, []byte("there")); err == nil {
		t.Error("it opened in another place")
	}
	if _, err := other.Open(box, []byte("here")); err == nil {
		t.Error("it opened with another key")
	}
	if bytes.Contains(box, []byte("secret")) || !s.Checks(s.CheckValue()) || other.Checks(s.CheckValue()) {
		t.Error("the sealer does not tell keys apart")
	}
}

func TestTokensAreRandomAndStoredHashed(t *testing.T) {
	a, b := NewToken(APIKeyPrefix), NewToken(APIKeyPrefix)
	if a == b || !strings.HasPrefix(a, APIKeyPrefix) || len(a) < 40 {
		t.Errorf("%q and %q", a, b)
	}
	if bytes.Contains(Hash(a), []byte(a)) || !bytes.Equal(Hash(a), Hash(a)) || bytes.Equal(Hash(a), Hash(b)) {
		t.Error("hashes do not tell tokens apart")
	}
	if Hint(a) != a[len(a)-4:] || Hint("x") != "x" {
		t.Error("the hint is not the end of the token")
	}
}
