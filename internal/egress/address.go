package egress

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// ErrBlocked says that a request was not sent because of the address it would
// have gone to. The error that wraps it names the class of the address.
var ErrBlocked = errors.New("address blocked")

// blockedError is an [ErrBlocked]. It holds the class only: what a private name
// resolves to is not for the people who register receivers.
type blockedError struct{ class string }

func (e blockedError) Error() string {
	return fmt.Sprintf("the address is not public (%s), and -allow-networks does not open it", e.class)
}

func (e blockedError) Is(target error) bool { return target == ErrBlocked }

// special is a network that is not to be reached, and why.
type special struct {
	network netip.Prefix
	class   string
}

// special4 follows the IANA IPv4 Special-Purpose Address Registry (RFC 6890)
// and adds multicast.
var special4 = []special{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network"},          // RFC 791
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},              // RFC 1918
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"}, // RFC 6598; Alibaba's metadata
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},            // RFC 1122
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata"}, // Azure's host agent, on a public address
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},       // RFC 3927; most clouds' metadata
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},           // RFC 1918
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},           // RFC 6890; Oracle's metadata
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},      // RFC 5737
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},       // RFC 7526
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},          // RFC 1918
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},      // RFC 2544
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},   // RFC 5737
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},    // RFC 5737
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},           // RFC 5771
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},    // RFC 8190
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},            // RFC 1112
}

// special6 follows the IANA IPv6 Special-Purpose Address Registry. What lies
// outside [globalUnicast] is blocked without it; those entries give the class.
var special6 = []special{
	{netip.MustParsePrefix("::/128"), "unspecified"},          // RFC 4291
	{netip.MustParsePrefix("::1/128"), "loopback"},            // RFC 4291
	{netip.MustParsePrefix("64:ff9b:1::/48"), "local NAT64"},  // RFC 8215
	{netip.MustParsePrefix("100::/64"), "discard"},            // RFC 6666
	{netip.MustParsePrefix("2001::/32"), "Teredo"},            // RFC 4380
	{netip.MustParsePrefix("2001::/23"), "reserved"},          // RFC 2928
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"}, // RFC 3849
	{netip.MustParsePrefix("2002::/16"), "6to4"},              // RFC 3056, RFC 7526
	{netip.MustParsePrefix("3fff::/20"), "documentation"},     // RFC 9637
	{netip.MustParsePrefix("5f00::/16"), "segment routing"},   // RFC 9602
	{netip.MustParsePrefix("fc00::/7"), "private"},            // RFC 4193; AWS's metadata
	{netip.MustParsePrefix("fe80::/10"), "link-local"},        // RFC 4291
	{netip.MustParsePrefix("fec0::/10"), "private"},           // RFC 3879, site-local
	{netip.MustParsePrefix("ff00::/8"), "multicast"},          // RFC 4291
}

var (
	// globalUnicast is all that IANA has given out for it (RFC 4291, 2.4).
	globalUnicast = netip.MustParsePrefix("2000::/3")
	// nat64 carries an IPv4 address in its last four bytes (RFC 6052), which
	// is where the connection ends.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// sixToFour carries that of its router behind the prefix (RFC 3056), teredo
	// that of its host at the end, with all bits turned (RFC 4380).
	sixToFour = netip.MustParsePrefix("2002::/16")
	teredo    = netip.MustParsePrefix("2001::/32")
)

// inside returns the IPv4 address that an IPv6 address carries, if it is of a
// form that does.
func inside(a netip.Addr) (carried netip.Addr, ok bool) {
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case teredo.Contains(a):
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), true
	}
	return netip.Addr{}, false
}

// plain strips what hides an address from a prefix: the IPv4-mapped form
// (::ffff:10.0.0.1) and an IPv6 zone.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// blocked names the class of an address that is not public, and is "" for one
// that is.
func blocked(a netip.Addr) string {
	a = plain(a)
	if nat64.Contains(a) {
		carried, _ := inside(a)
		return blocked(carried)
	}
	list := special6
	if a.Is4() {
		list = special4
	}
	for _, s := range list {
		if s.network.Contains(a) {
			return s.class
		}
	}
	if a.Is4() || globalUnicast.Contains(a) {
		return ""
	}
	return "reserved"
}

// plainPrefix is plain for a network: ::ffff:10.0.0.0/104 is 10.0.0.0/8.
func plainPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// guard allows a connection to a public address or to one in allow.
type guard struct{ allow []netip.Prefix }

// control is a net.Dialer's ControlContext. It sees the address that is about
// to be dialled, after every lookup, so that a name which resolves differently
// the second time (DNS rebinding) gains nothing.
func (g guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return blockedError{"not a TCP address"}
	}
	return g.check(to.Addr())
}

// check judges an address, and the one that it carries: who opens a network of
// tunnels has not opened what lies at their other end.
func (g guard) check(a netip.Addr) error {
	a = plain(a)
	if !g.allows(a) {
		if class := blocked(a); class != "" {
			return blockedError{class}
		}
		return nil
	}
	if carried, ok := inside(a); ok {
		return g.check(carried)
	}
	return nil
}

func (g guard) allows(a netip.Addr) bool {
	return slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(a) })
}
