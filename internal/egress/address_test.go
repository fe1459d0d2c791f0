package egress

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestBlockedNamesTheClass(t *testing.T) {
	for address, want := range map[string]string{
		"10.255.255.255":         "private",
		"11.0.0.0":               "",
		"127.0.0.1":              "loopback",
		"100.100.100.200":        "carrier-grade NAT",
		"168.63.129.16":          "cloud metadata",
		"168.63.129.17":          "",
		"169.254.169.254":        "link-local",
		"192.0.0.192":            "reserved",
		"198.19.255.255":         "benchmarking",
		"255.255.255.255":        "broadcast",
		"255.255.255.254":        "reserved",
		"::ffff:169.254.169.254": "link-local",
		"::ffff:1.1.1.1":         "",
		"::":                     "unspecified",
		"::2":                    "reserved",
		"::10.0.0.1":             "reserved",
		"64:ff9b::10.0.0.1":      "private",
		"64:ff9b::1.1.1.1":       "",
		"64:ff9b:1::1.1.1.1":     "local NAT64",
		"2001::1":                "Teredo",
		"2001:1ff::1":            "reserved",
		"2001:200::1":            "",
		"2002:101:101::1":        "6to4",
		"fd00:ec2::254":          "private",
		"fe80::1%eth0":           "link-local",
		"2001:db8::1%eth0":       "documentation",
		"4000::1":                "reserved",
		"1fff::1":                "reserved",
	} {
		t.Run(address, func(t *testing.T) {
			if got := blocked(netip.MustParseAddr(address)); got != want {
				t.Errorf("blocked = %q, want %q", got, want)
			}
		})
	}
	if blocked(netip.Addr{}) == "" {
		t.Error("no address at all is taken for a public one")
	}
}

func TestControl(t *testing.T) {
	for name, tt := range map[string]struct {
		allow, network, address string
		ok                      bool
	}{
		"a public address is reached":                  {"", "tcp4", "1.1.1.1:443", true},
		"a private one is not":                         {"", "tcp4", "10.0.0.1:443", false},
		"an allowed one is":                            {"10.0.0.0/8", "tcp4", "10.0.0.1:443", true},
		"its neighbour needs no allowing":              {"10.0.0.0/8", "tcp4", "11.0.0.0:443", true},
		"a network allows no other":                    {"10.0.0.0/8", "tcp4", "192.168.0.1:443", false},
		"a mapped address is allowed as what it is":    {"10.0.0.0/8", "tcp6", "[::ffff:10.0.0.1]:443", true},
		"a mapped network is allowed as what it is":    {"::ffff:10.0.0.0/104", "tcp4", "10.0.0.1:443", true},
		"an allowed network holds with a zone":         {"fe80::/10", "tcp6", "[fe80::1%eth0]:443", true},
		"all of IPv6 is not all of IPv4":               {"::/0", "tcp4", "10.0.0.1:443", false},
		"an allowed network says nothing of its NAT64": {"10.0.0.0/8", "tcp6", "[64:ff9b::10.0.0.1]:443", false},
		"an allowed NAT64 reaches what is public":      {"64:ff9b::/96", "tcp6", "[64:ff9b::1.1.1.1]:443", true},
		"an allowed NAT64 opens nothing behind it":     {"64:ff9b::/96", "tcp6", "[64:ff9b::10.0.0.1]:443", false},
		"an allowed 6to4 reaches what is public":       {"2002::/16", "tcp6", "[2002:101:101::1]:443", true},
		"an allowed 6to4 opens nothing behind it":      {"2002::/16", "tcp6", "[2002:a00:1::1]:443", false},
		"an allowed Teredo reaches what is public":     {"2001::/32", "tcp6", "[2001::fefe:fefe]:443", true},
		"an allowed Teredo opens nothing behind it":    {"2001::/32", "tcp6", "[2001::80ff:fffe]:443", false},
		"all of IPv6 opens nothing behind a tunnel":    {"::/0", "tcp6", "[2002:7f00:1::1]:443", false},
		"an allowed tunnel and what is behind it":      {"2002::/16,10.0.0.0/8", "tcp6", "[2002:a00:1::1]:443", true},
		"only TCP goes out":                            {"0.0.0.0/0", "udp4", "1.1.1.1:53", false},
		"a socket of this machine is not reached":      {"0.0.0.0/0", "unix", "/run/docker.sock", false},
		"what is no address is not reached":            {"0.0.0.0/0", "tcp", "localhost:80", false},
	} {
		t.Run(name, func(t *testing.T) {
			var g guard
			for network := range strings.SplitSeq(tt.allow, ",") {
				if network != "" {
					g.allow = append(g.allow, plainPrefix(netip.MustParsePrefix(network)))
				}
			}
			err := g.control(t.Context(), tt.network, tt.address, nil)
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrBlocked) {
				t.Errorf("control = %v, want ok = %v", err, tt.ok)
			}
			if err != nil && strings.Contains(err.Error(), tt.address) {
				t.Errorf("error %q tells the address", err)
			}
		})
	}
}

// FuzzBlocked: nothing outside globalUnicast and NAT64 is public, and neither a
// zone nor the mapped form changes an address.
func FuzzBlocked(f *testing.F) {
	for _, s := range []string{"::1", "::ffff:127.0.0.1", "2001:db8::1", "64:ff9b::1.1.1.1", "2606:4700::1111"} {
		b := netip.MustParseAddr(s).As16()
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != 16 {
			return
		}
		a := netip.AddrFrom16([16]byte(b))
		class := blocked(a)
		if z := blocked(a.WithZone("eth0")); !a.Is4In6() && z != class {
			t.Errorf("%s is %q, with a zone %q", a, class, z)
		}
		if u := blocked(a.Unmap()); u != class {
			t.Errorf("%s is %q, unmapped %q", a, class, u)
		}
		public := a.IsGlobalUnicast() && !a.Unmap().IsPrivate()
		if reachable := public && (a.Is4In6() || globalUnicast.Contains(a) || nat64.Contains(a)); class == "" && !reachable {
			t.Errorf("%s is taken for public", a)
		}
	})
}
