package egress

import (
	"net/netip"
	"net/url"
	"strings"
)

// Refuses says, before anything is sent, whether the host of a URL is one that a
// client of this configuration does not reach: the class of its address, or ""
// when it may be reached. It goes by what is written alone and looks no name up,
// so that it tells nobody what names resolve to.
func (c Config) Refuses(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	a, err := netip.ParseAddr(host)
	if err != nil {
		if host != "localhost" && !strings.HasSuffix(host, ".localhost") {
			return ""
		}
		a = netip.AddrFrom4([4]byte{127, 0, 0, 1}) // RFC 6761 section 6.3
	}
	var g guard
	for _, p := range c.Allow {
		g.allow = append(g.allow, plainPrefix(p))
	}
	if blocked, ok := g.check(a).(blockedError); ok { //nolint:errorlint // as it comes from check
		return blocked.class
	}
	return ""
}
