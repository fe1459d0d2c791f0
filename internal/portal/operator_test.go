package portal

import (
	"fanfare/internal/webhook"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const operatorToken = "a token for tests, 1234567"

// operatorPaths are the operator's routes with the things of jane in them.
func (w *site) operatorPaths() (routes [][2]string) {
	for _, route := range w.paths() {
		if strings.HasPrefix(route[1], "/operator") && route[1] != "/operator/login" {
			routes = append(routes, route)
		}
	}
	if len(routes) < 5 {
		w.t.Fatalf("only %d routes", len(routes))
	}
	return routes
}

func TestToEverybodyElseThereAreNoPagesOfTheOperator(t *testing.T) {
	for _, token := range []string{"", operatorToken} {
		w := newSite(t, Config{OperatorToken: token})
		visitor, _ := w.visitor(webhook.Token{})
		forged := w.browser()
		for name, c := range map[string]*http.Client{"nobody": w.browser(), "jane": w.login("jane"), "a visitor": visitor, "a forged cookie": forged} {
			for _, route := range w.operatorPaths() {
				var headers []string
				if c == forged {
					headers = []string{"Cookie", "fanfare-operator=x; fanfare-operator=" + operatorToken}
				}
				if res, body := w.do(c, route[0], route[1], url.Values{}, headers...); res.StatusCode != http.StatusNotFound || strings.Contains(body, "example.com") {
					t.Errorf("%s at %s: %d", name, route, res.StatusCode)
				}
			}
		}
		if _, body := w.do(w.login("jane"), http.MethodGet, "/account/jane", nil); strings.Contains(body, "/operator") {
			t.Error("jane is offered what is not there for her")
		}
		if res, _ := w.do(w.browser(), http.MethodGet, "/operator/login", nil); (res.StatusCode == http.StatusOK) != (token != "") {
			t.Errorf("the form: %d with the token %q", res.StatusCode, token)
		}
		if res, _ := w.do(w.browser(), http.MethodPost, "/operator/login", url.Values{"token": {""}}); res.StatusCode == http.StatusSeeOther {
			t.Errorf("no token opened it, with the token %q", token)
		}
	}
}

func TestAnOperatorAccountSeesThePagesUntilItIsRevoked(t *testing.T) {
	w := newSite(t, Config{})
	jane, err := w.store.Account(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.SetOperator(t.Context(), jane.ID, true); err != nil {
		t.Fatal(err)
	}
	c := w.login("jane")
	for path, says := range map[string]string{
		"/operator": "Failing endpoints", "/operator/applications": "jane", "/operator/applications?q=nothing-of-the-sort": "Nothing found",
		"/operator/applications/" + webhook.ApplicationID.Format(jane.Application): "example.com", "/operator/event-types": "sample.created",
	} {
		res, body := w.do(c, http.MethodGet, path, nil)
		if res.StatusCode != http.StatusOK || !has(body, says) || res.Header.Get("Cache-Control") != "no-store" || has(body, w.secret) || has(body, "alert(1)") {
			t.Errorf("%s: %d, does not say %q", path, res.StatusCode, says)
		}
	}
	if _, body := w.do(c, http.MethodGet, "/account/jane", nil); !has(body, `href="/operator"`) {
		t.Error("the navigation does not lead there")
	}
	if err := w.store.SetOperator(t.Context(), jane.ID, false); err != nil {
		t.Fatal(err)
	}
	if res, _ := w.do(c, http.MethodGet, "/operator", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("after it was revoked: %d", res.StatusCode)
	}
}

func TestTheOperatorsTokenOpensThePages(t *testing.T) {
	w := newSite(t, Config{OperatorToken: operatorToken})
	c := w.browser()
	res, _ := w.do(c, http.MethodPost, "/operator/login", url.Values{"token": {" " + operatorToken + "\n"}})
	if res.StatusCode != http.StatusSeeOther || len(res.Cookies) != 1 || !res.Cookies[0].HttpOnly || res.Cookies[0].Value == operatorToken {
		t.Fatalf("%d %v", res.StatusCode, res.Cookies)
	}
	if res, body := w.do(c, http.MethodGet, "/operator", nil); res.StatusCode != http.StatusOK || has(body, operatorToken) || has(body, "/account/") {
		t.Errorf("%d", res.StatusCode)
	}
	// Another token ends the sessions of this one.
	p := &Portal{store: w.store, cfg: Config{OperatorToken: operatorToken + "!"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/operator", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: p.operatorCookie(), Value: res.Cookies[0].Value})
	if _, err := p.operates(req); !isNotFound(err) {
		t.Errorf("under another token: %v", err)
	}
	if res, _ := w.do(c, http.MethodPost, "/operator/logout", url.Values{}); res.StatusCode != http.StatusSeeOther {
		t.Errorf("leave: %d", res.StatusCode)
	}
	if res, _ := w.do(c, http.MethodGet, "/operator", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("after leaving: %d", res.StatusCode)
	}
	for n := range 11 {
		want := map[bool]int{true: http.StatusUnauthorized, false: http.StatusTooManyRequests}[n < 10]
		if res, _ := w.do(w.browser(), http.MethodPost, "/operator/login", url.Values{"token": {"a guess of some length, 123"}}); res.StatusCode != want {
			t.Fatalf("guess %d: %d", n+1, res.StatusCode)
		}
	}
}

func TestNumbersOfTheOperator(t *testing.T) {
	for got, want := range map[string]string{
		grouped(0): "0", grouped(999): "999", grouped(1000): "1,000", grouped(1234567): "1,234,567",
		counted(100_000): "100,000 or more", share(1, 3): "33.3 %", share(5, 5): "100 %", share(99_999, 100_000): "99.9 %", share(0, 0): "",
		bytesInWords(5): "5 bytes", bytesInWords(1 << 20): "1.0 MiB", bytesInWords(5 << 50): "5120.0 TiB",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
