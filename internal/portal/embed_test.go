package portal

import (
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const embedder = "https://app.example.com"

func TestOnlyWhatALinkOpensMayBeInAFrame(t *testing.T) {
	for name, origins := range map[string][]string{"for nobody": nil, "for the sites that were named": {embedder, "http://localhost:3000"}} {
		t.Run(name, func(t *testing.T) {
			w := newSite(t, Config{EmbedOrigins: origins})
			path, base := w.link(webhook.Token{})
			jane := w.login("jane")
			for _, page := range []string{path, base + "/endpoints", base + "/endpoints/" + w.endpoint, base + "/nothing", "/docs/webhooks"} {
				want := "frame-ancestors " + strings.Join(origins, " ")
				if origins == nil {
					want = "frame-ancestors 'none'"
				}
				if res, _ := w.do(w.browser(), http.MethodGet, page, nil); !strings.HasSuffix(res.Header.Get("Content-Security-Policy"), want) {
					t.Errorf("%s says %s", page, res.Header.Get("Content-Security-Policy"))
				}
			}
			for _, page := range []string{"/login", "/account/jane", "/webhooks/jane/endpoints", "/webhooks/jane/events", "/", "/docsx", "/webhooks/app_x/endpoints"} {
				if res, _ := w.do(jane, http.MethodGet, page, nil); !strings.HasSuffix(res.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
					t.Errorf("%s says %s", page, res.Header.Get("Content-Security-Policy"))
				}
			}
		})
	}
}

func TestTheCookieOfALinkIsKeptApartInAFrameAlone(t *testing.T) {
	w := newSite(t, Config{EmbedOrigins: []string{embedder}, Secure: true})
	for dest, framed := range map[string]bool{"iframe": true, "document": false, "": false} {
		path, _ := w.link(webhook.Token{})
		res, _ := w.do(w.browser(), http.MethodPost, path, url.Values{}, "Sec-Fetch-Dest", dest)
		if len(res.Cookies) != 1 {
			t.Fatalf("%q: %v", dest, res.Cookies)
		}
		c := res.Cookies[0]
		if c.Partitioned != framed || (c.SameSite == http.SameSiteNoneMode) != framed || !c.Secure || !c.HttpOnly || c.Domain != "" || c.Path != "/" {
			t.Errorf("%q: %v", dest, c)
		}
	}
	// Without a site that may show it, nothing is in a frame.
	w = newSite(t, Config{Secure: true})
	path, _ := w.link(webhook.Token{})
	if res, _ := w.do(w.browser(), http.MethodPost, path, url.Values{}, "Sec-Fetch-Dest", "iframe"); res.Cookies[0].SameSite != http.SameSiteLaxMode {
		t.Errorf("got %v", res.Cookies)
	}
}

func TestALinkIsUsedUpByItsFormAlone(t *testing.T) {
	w := newSite(t, Config{})
	path, base := w.link(webhook.Token{})
	for range 3 { // whoever looks at it, a preview of a chat for example
		if res, body := w.do(w.browser(), http.MethodGet, path, nil); res.StatusCode != http.StatusOK || len(res.Cookies) > 0 || !strings.Contains(body, `method="post"`) {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
	}
	c := w.browser()
	if res, _ := w.do(c, http.MethodPost, path, url.Values{}); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != base+"/endpoints" {
		t.Fatalf("%d %s", res.StatusCode, res.Header.Get("Location"))
	}
	if res, _ := w.do(c, http.MethodGet, base+"/endpoints", nil); res.StatusCode != http.StatusOK {
		t.Errorf("the session does not work: %d", res.StatusCode)
	}
	if res, _ := w.do(w.browser(), http.MethodPost, path, url.Values{}); res.StatusCode != http.StatusGone || len(res.Cookies) > 0 {
		t.Errorf("used twice: %d", res.StatusCode)
	}
}

func TestASessionOfALinkEndsWhenItsTokensAreExpired(t *testing.T) {
	w := newSite(t, Config{})
	first, base := w.visitor(webhook.Token{Session: "a"})
	second, _ := w.visitor(webhook.Token{Session: "b"})
	unused, _ := w.link(webhook.Token{Session: "a"})
	jane, err := w.store.Account(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.ExpireTokens(t.Context(), jane.Application, []string{"a"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for c, want := range map[*http.Client]int{first: http.StatusNotFound, second: http.StatusOK} {
		if res, _ := w.do(c, http.MethodGet, base+"/endpoints", nil); res.StatusCode != want {
			t.Errorf("got %d, want %d", res.StatusCode, want)
		}
	}
	if res, _ := w.do(w.browser(), http.MethodPost, unused, url.Values{}); res.StatusCode != http.StatusGone {
		t.Errorf("a link of an expired token: %d", res.StatusCode)
	}
}

func TestAVisitorDoesWhatTheTokenAllows(t *testing.T) {
	w := newSite(t, Config{})
	routes := w.paths()
	for name, capabilities := range map[string][]webhook.Capability{
		"looking alone": {webhook.ViewBase}, "managing endpoints": {webhook.ManageEndpoint}, "sending": {webhook.CreateAttempts},
	} {
		t.Run(name, func(t *testing.T) {
			c, base := w.visitor(webhook.Token{Capabilities: append(capabilities, webhook.ViewBase)})
			for _, route := range routes {
				path, own := strings.CutPrefix(route[1], "/webhooks/jane")
				// What would change the world for the others is tried last, by name.
				if !own || route[0] != http.MethodGet && capabilities[0] != webhook.ViewBase || strings.HasSuffix(path, "/verify") {
					continue
				}
				res, body := w.do(c, route[0], base+path, url.Values{})
				if route[0] != http.MethodGet && res.StatusCode != http.StatusNotFound {
					t.Errorf("%s: %d", route, res.StatusCode)
				}
				if strings.Contains(body, w.secret) || strings.Contains(body, "/account/") {
					t.Errorf("%s shows what is not theirs", route)
				}
			}
			_, body := w.do(c, http.MethodGet, base+"/endpoints/"+w.endpoint, nil)
			if got, want := strings.Contains(body, "/edit"), capabilities[0] == webhook.ManageEndpoint; got != want {
				t.Errorf("offers to edit: %v", got)
			}
			for path, can := range map[string]webhook.Capability{
				"/endpoints/" + w.endpoint + "/secret": webhook.ViewEndpointSecret, "/events/" + w.event + "/replay": webhook.CreateAttempts,
			} {
				want := http.StatusNotFound
				if capabilities[0] == can {
					want = http.StatusSeeOther
				}
				if res, _ := w.do(c, http.MethodPost, base+path, url.Values{}); res.StatusCode != want {
					t.Errorf("%s: %d", path, res.StatusCode)
				}
			}
		})
	}
}

func TestABrandStandsInThePlaceOfOurs(t *testing.T) {
	svg := []byte(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)
	w := newSite(t, Config{Brand: Brand{Name: "Ex & <Co>", Color: "#00cc88", Logo: svg}})
	for _, path := range []string{"/login", "/docs/webhooks", "/nothing"} {
		_, body := w.do(w.browser(), http.MethodGet, path, nil)
		if strings.Contains(body, "<Co>") || !strings.Contains(body, "Ex &amp; &lt;Co&gt;") || !strings.Contains(body, "/static/brand-logo") || !strings.Contains(body, "/static/brand.css") {
			t.Errorf("%s: %s", path, body)
		}
	}
	res, body := w.do(w.browser(), http.MethodGet, "/static/brand-logo", nil)
	if body != string(svg) || res.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(res.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%v", res.Header)
	}
	if res, body := w.do(w.browser(), http.MethodGet, "/static/brand.css", nil); !strings.HasPrefix(res.Header.Get("Content-Type"), "text/css") || !strings.Contains(body, "--accent:") {
		t.Errorf("%v %s", res.Header, body)
	}
	if _, body := newSite(t, Config{}).do(w.browser(), http.MethodGet, "/login", nil); strings.Contains(body, "/static/brand") {
		t.Errorf("a brand where there is none: %s", body)
	}
	for name, logo := range map[string][]byte{"no picture": []byte("hello"), "empty": {}, "too large": append(make([]byte, MaxLogo), svg...)} {
		if err := CheckLogo(logo); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestTextInAnyBrandColorCanBeRead(t *testing.T) {
	values := regexp.MustCompile(`#[0-9a-f]{6}`)
	rapid.Check(t, func(t *rapid.T) {
		style, err := brandStyle(fmt.Sprintf("#%06x", rapid.IntRange(0, 0xffffff).Draw(t, "color")))
		if err != nil {
			t.Fatal(err)
		}
		var found []rgb
		for _, text := range values.FindAllString(style, -1) {
			found = append(found, mustColor(text))
		}
		if len(found) != 8 {
			t.Fatalf("%d colors in %s", len(found), style)
		}
		// Rounding to whole digits may take a little.
		const enough = readable - 0.05
		light, dark := found[0], found[1]
		for pair, c := range map[string]float64{
			"light on a surface": contrast(light, lightSurface), "dark on a surface": contrast(dark, darkSurface),
			"ink on light": contrast(found[4], light), "ink on dark": contrast(found[5], dark),
			"light on soft": contrast(light, found[6]), "dark on soft": contrast(dark, found[7]),
		} {
			if c < enough {
				t.Fatalf("%s: %.2f in\n%s", pair, c, style)
			}
		}
	})
}
