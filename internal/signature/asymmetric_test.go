package signature

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The vector of the scheme v1a, over the same message as that of v1.
const (
	asymmetricSecret    = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	asymmetricPublic    = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	asymmetricSignature = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

func TestSignaturesOfAnEd25519KeyAreThoseOfTheVector(t *testing.T) {
	if got := Sign(vectorID, vectorTime, []byte(vectorBody), mustParse(t, asymmetricSecret)); got != asymmetricSignature {
		t.Errorf("signed %s", got)
	}
	if got := Public(asymmetricSecret); got != asymmetricPublic {
		t.Errorf("the public half is %s", got)
	}
	if got := Public(vectorSecret); got != vectorSecret {
		t.Errorf("a shared secret is given as %s", got)
	}
	if got := Public("whsk_AAAA"); got != "" {
		t.Errorf("what is no key is given as %s", got)
	}
}

func TestBothHalvesVerifyAndSchemesMix(t *testing.T) {
	made := NewAsymmetricSecret()
	h := http.Header{}
	SetHeaders(h, Both, vectorID, vectorTime, []byte(vectorBody), mustParse(t, made), mustParse(t, vectorSecret))
	if got := h.Get("Webhook-Signature"); !strings.HasPrefix(got, "v1a,") || !strings.Contains(got, " v1,") {
		t.Errorf("signed %s", got)
	}
	for _, secret := range []string{made, Public(made), vectorSecret} {
		if err := Verify(secret, h, []byte(vectorBody), vectorTime.Add(time.Second)); err != nil {
			t.Errorf("%.5s: %v", secret, err)
		}
		if err := Verify(secret, h, []byte(vectorBody+" "), vectorTime); !errors.Is(err, ErrMismatch) {
			t.Errorf("%.5s, another body: %v", secret, err)
		}
	}
	if err := Verify(NewAsymmetricSecret(), h, []byte(vectorBody), vectorTime); !errors.Is(err, ErrMismatch) {
		t.Errorf("another key: %v", err)
	}
}

func TestSecretsThatAreBroughtNeedAPrefix(t *testing.T) {
	mixed := "whsk_" + strings.Replace(strings.TrimPrefix(asymmetricSecret, "whsk_"), "VKIDij", "VKIDiz", 1)
	for secret, good := range map[string]bool{
		vectorSecret: true, asymmetricSecret: true, NewSecret(): true, NewAsymmetricSecret(): true,
		strings.TrimPrefix(vectorSecret, "whsec_"): false, asymmetricPublic: false, mixed: false, "": false, "whsec_": false, "whsk_": false,
	} {
		if err := CheckSecret(secret); (err == nil) != good || err != nil && !errors.Is(err, ErrSecret) {
			t.Errorf("%s: %v", secret, err)
		}
	}
}

func TestOneFamilyOfHeadersCanBeChosen(t *testing.T) {
	for text, want := range map[string][2]bool{"both": {true, true}, "svix": {false, true}, "webhook": {true, false}} {
		families, ok := ParseFamilies(text)
		h := http.Header{}
		SetHeaders(h, families, vectorID, vectorTime, nil, mustParse(t, vectorSecret))
		if got := [2]bool{h.Get("Webhook-Id") != "", h.Get("Svix-Id") != ""}; !ok || got != want || len(h) != 3 && text != "both" {
			t.Errorf("%s: %v", text, h)
		}
	}
	if _, ok := ParseFamilies("none"); ok {
		t.Error("none is a family")
	}
}
