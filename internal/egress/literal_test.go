package egress_test

import (
	"fanfare/internal/egress"
	"net/netip"
	"testing"
)

func TestWhatIsWrittenInAURLTellsWhetherItIsRefused(t *testing.T) {
	own := egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	for url, want := range map[string]string{
		"https://example.com/":      "",
		"https://8.8.8.8/":          "",
		"http://127.0.0.1:8080/":    "loopback",
		"http://[::1]/":             "loopback",
		"http://LOCALHOST./":        "loopback",
		"http://a.localhost/":       "loopback",
		"http://192.168.1.1/":       "private",
		"http://10.2.0.1/":          "private",
		"http://10.1.2.3/":          "",
		"http://[::ffff:10.1.2.3]/": "",
		"http://169.254.169.254/":   "link-local",
		"://":                       "",
	} {
		if got := own.Refuses(url); got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}
