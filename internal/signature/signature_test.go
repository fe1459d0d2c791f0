package signature

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"
	svix "github.com/svix/svix-webhooks/go"
)

// The vector of the reference libraries' own tests.
const (
	vectorSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorBody   = `{"test": 2432232314}`
	vectorSig    = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var vectorTime = time.Unix(1614265330, 0)

func mustParse(t testing.TB, secret string) Key {
	t.Helper()
	k, err := ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSignMatchesTheVectorOfTheReferenceLibraries(t *testing.T) {
	k := mustParse(t, vectorSecret)
	if got := Sign(vectorID, vectorTime, []byte(vectorBody), k); got != vectorSig {
		t.Errorf("Sign = %q, want %q", got, vectorSig)
	}
}

func TestSignMakesOneSignatureForEachKey(t *testing.T) {
	k, other := mustParse(t, vectorSecret), mustParse(t, NewSecret())
	sigs := strings.Split(Sign(vectorID, vectorTime, []byte(vectorBody), other, k, Key{}), " ")
	if len(sigs) != 2 || sigs[0] == vectorSig || sigs[1] != vectorSig {
		t.Errorf("signatures = %q, want two, the second being %q", sigs, vectorSig)
	}
}

func TestReferenceLibrariesAcceptOurHeaders(t *testing.T) {
	now := time.Now()
	for name, body := range map[string]string{
		"a JSON body":     `{"type":"sample.created","data":{"name":"žluťoučký"}}`,
		"an empty body":   "",
		"arbitrary bytes": "\x00\xff.\n.",
	} {
		t.Run(name, func(t *testing.T) {
			secret, next := NewSecret(), NewSecret()
			h := http.Header{}
			SetHeaders(h, Both, vectorID, now, []byte(body), mustParse(t, secret), mustParse(t, next))
			for _, s := range []string{secret, next} {
				a, err := standard.NewWebhook(s)
				if err != nil {
					t.Fatal(err)
				}
				if err := a.Verify([]byte(body), h); err != nil {
					t.Errorf("standard-webhooks: %v", err)
				}
				b, err := svix.NewWebhook(s)
				if err != nil {
					t.Fatal(err)
				}
				if err := b.Verify([]byte(body), h); err != nil {
					t.Errorf("svix: %v", err)
				}
				if err := Verify(s, h, []byte(body), now); err != nil {
					t.Errorf("Verify: %v", err)
				}
			}
		})
	}
}

func TestParseSecret(t *testing.T) {
	encode := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for name, tt := range map[string]struct {
		secret string
		ok     bool
	}{
		"a new secret is one":               {NewSecret(), true},
		"the prefix may be left out":        {strings.TrimPrefix(vectorSecret, "whsec_"), true},
		"24 bytes are enough":               {encode(24), true},
		"23 bytes are too few":              {encode(23), false},
		"75 bytes are accepted":             {encode(75), true},
		"76 bytes are too many":             {encode(76), false},
		"nothing is no secret":              {"", false},
		"the prefix alone is no secret":     {"whsec_", false},
		"the URL alphabet is not accepted":  {"whsec_" + strings.Repeat("-_", 16), false},
		"padding is not left out":           {strings.TrimRight(encode(25), "="), false},
		"a line break is not skipped":       {vectorSecret + "\n", false},
		"half an ed25519 key":               {"whsk_" + encode(32), false},
		"the prefix is not accepted twice":  {"whsec_" + vectorSecret, false},
		"bits after the end are not hidden": {strings.TrimSuffix(encode(25), "A==") + "B==", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseSecret(tt.secret)
			if (err == nil) != tt.ok {
				t.Fatalf("error = %v, want ok = %v", err, tt.ok)
			}
			if err == nil {
				return
			}
			if !errors.Is(err, ErrSecret) {
				t.Errorf("error %v is not an ErrSecret", err)
			}
			if text := strings.TrimPrefix(tt.secret, "whsec_"); len(text) > 5 && strings.Contains(err.Error(), text) {
				t.Errorf("error repeats the secret: %v", err)
			}
		})
	}
}

func TestAKeyNeverPrintsItself(t *testing.T) {
	const raw = "the quick brown fox jumps"
	k := mustParse(t, base64.StdEncoding.EncodeToString([]byte(raw)))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		got := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, &k) + fmt.Sprintf(verb, []Key{k})
		if strings.Contains(got, raw) || strings.Contains(got, fmt.Sprintf("%x", raw)) {
			t.Errorf("%s prints the secret: %s", verb, got)
		}
	}
}

func TestVerify(t *testing.T) {
	type message struct {
		secret, body string
		header       http.Header
		now          time.Time
	}
	del := func(names ...string) func(*message) {
		return func(m *message) {
			for _, n := range names {
				m.header.Del(n)
			}
		}
	}
	set := func(name, value string) func(*message) {
		return func(m *message) { m.header.Set(name, value) }
	}
	at := func(d time.Duration) func(*message) {
		return func(m *message) { m.now = vectorTime.Add(d) }
	}
	all := []string{"webhook-id", "webhook-timestamp", "webhook-signature", "svix-id", "svix-timestamp", "svix-signature"}
	for name, tt := range map[string]struct {
		change func(*message)
		want   error
		says   string
	}{
		"a fresh message is accepted":                  {at(0), nil, ""},
		"the Standard Webhooks headers are enough":     {del(all[3:]...), nil, ""},
		"the Svix headers are enough":                  {del(all[:3]...), nil, ""},
		"an incomplete family gives way to the other":  {del("webhook-timestamp"), nil, ""},
		"no headers names those of the specification":  {del(all...), ErrMissing, "webhook-id, webhook-timestamp, webhook-signature"},
		"a missing signature is named":                 {del("webhook-signature", "svix-id", "svix-timestamp", "svix-signature"), ErrMissing, ": webhook-signature"},
		"a missing Svix header is named":               {del("webhook-id", "webhook-timestamp", "webhook-signature", "svix-id"), ErrMissing, ": svix-id"},
		"an empty id is a missing one":                 {func(m *message) { set("webhook-id", "")(m); del(all[3:]...)(m) }, ErrMissing, "webhook-id"},
		"five minutes old is accepted":                 {at(5 * time.Minute), nil, ""},
		"older than that is not":                       {at(5*time.Minute + time.Second), ErrTooOld, "too old"},
		"five minutes ahead is accepted":               {at(-5 * time.Minute), nil, ""},
		"further ahead is not":                         {at(-5*time.Minute - time.Second), ErrTooNew, "too new"},
		"a timestamp beyond all years is too new":      {set("webhook-timestamp", "9223372036854775807"), ErrTooNew, ""},
		"a timestamp in words is malformed":            {set("webhook-timestamp", "today"), ErrTimestamp, "whole seconds"},
		"a signed number is malformed":                 {set("webhook-timestamp", "+1614265330"), ErrTimestamp, "whole seconds"},
		"a number too large is malformed":              {set("webhook-timestamp", "9223372036854775808"), ErrTimestamp, "whole seconds"},
		"another id does not match":                    {set("webhook-id", "msg_other"), ErrMismatch, ""},
		"another timestamp does not match":             {set("webhook-timestamp", "1614265331"), ErrMismatch, ""},
		"another body does not match":                  {func(m *message) { m.body += " " }, ErrMismatch, "body"},
		"another secret does not match":                {func(m *message) { m.secret = NewSecret() }, ErrMismatch, "secret"},
		"one fitting signature of several is enough":   {set("webhook-signature", "v1,b3RoZXI= v1a,eA== "+vectorSig), nil, ""},
		"the right bytes as v1a do not match":          {set("webhook-signature", "v1a"+vectorSig[2:]), ErrMismatch, "no v1 signature"},
		"a signature without a version does not match": {set("webhook-signature", vectorSig[3:]), ErrMismatch, "no v1 signature"},
		"an empty v1 signature does not match":         {set("webhook-signature", "v1, v1"), ErrMismatch, ""},
		"an unreadable secret is said to be one":       {func(m *message) { m.secret = "whsec_?" }, ErrSecret, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := message{secret: vectorSecret, body: vectorBody, header: http.Header{}, now: vectorTime}
			SetHeaders(m.header, Both, vectorID, vectorTime, []byte(vectorBody), mustParse(t, vectorSecret))
			tt.change(&m)
			err := Verify(m.secret, m.header, []byte(m.body), m.now)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Verify = %v, want %v", err, tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q does not say %q", err, tt.says)
			}
		})
	}
}

// FuzzVerify holds Verify against the reference library: whatever we accept, it
// accepts too, and what it rejects, we reject.
func FuzzVerify(f *testing.F) {
	f.Add(vectorID, "1614265330", vectorSig, []byte(vectorBody))
	f.Add("", "", "", []byte(nil))
	f.Add("a.b", "01614265330", "v1, v1,= v2,x ,", []byte("."))
	f.Fuzz(func(t *testing.T, id, timestamp, sig string, body []byte) {
		h := http.Header{}
		h.Set("webhook-id", id)
		h.Set("webhook-timestamp", timestamp)
		h.Set("webhook-signature", sig)
		err := Verify(vectorSecret, h, body, vectorTime)
		reference, refErr := standard.NewWebhook(vectorSecret)
		if refErr != nil {
			t.Fatal(refErr)
		}
		if refErr = reference.VerifyIgnoringTimestamp(body, h); err == nil && refErr != nil {
			t.Errorf("accepted what the reference rejects: %v", refErr)
		}
		// What we sign ourselves is always accepted.
		SetHeaders(h, Both, "msg_"+id, vectorTime, body, mustParse(t, vectorSecret))
		if err := Verify(vectorSecret, h, body, vectorTime); err != nil {
			t.Errorf("our own signature: %v", err)
		}
	})
}

// FuzzParseSecret: a secret has one spelling, with or without its prefix.
func FuzzParseSecret(f *testing.F) {
	f.Add(vectorSecret)
	f.Add("whsec_whsec_")
	f.Add("whsk_AAAA")
	f.Add(asymmetricSecret)
	f.Add(asymmetricPublic)
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseSecret(s)
		if err != nil {
			if !errors.Is(err, ErrSecret) || k.secret != "" || k.public != nil {
				t.Errorf("ParseSecret = %v, %v", k, err)
			}
			return
		}
		want := base64.StdEncoding.EncodeToString([]byte(k.secret))
		switch {
		case k.private != nil:
			want = "whsk_" + base64.StdEncoding.EncodeToString(k.private)
		case k.public != nil:
			want = "whpk_" + base64.StdEncoding.EncodeToString(k.public)
		}
		if strings.TrimPrefix(s, "whsec_") != want {
			t.Errorf("accepted %q, whose spelling is %q", s, want)
		}
	})
}
