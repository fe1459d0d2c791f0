package receivertest

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"time"
)

// Certificate is what a receiver shows.
type Certificate int

// The certificates. All but Stranger are signed by the authority of [Roots],
// and all but OtherHost are for 127.0.0.1 and receiver.example.
const (
	Good Certificate = iota
	Expired
	OtherHost
	Stranger
)

// Roots trusts the authority of this package.
func Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(authority().cert)
	return pool
}

// Secure speaks TLS before it serves, and offers these protocols.
func Secure(show Certificate, protocols []string, serve func(*Conn)) func(*Conn) {
	return func(c *Conn) {
		over := tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{certificate(show)}, NextProtos: protocols, MinVersion: tls.VersionTLS12})
		if over.HandshakeContext(context.Background()) != nil {
			return
		}
		serve(&Conn{Conn: over, in: bufio.NewReader(over), of: c.of})
		_ = over.Close()
	}
}

// signer is an authority.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var authority = sync.OnceValue(newAuthority)

func newAuthority() signer {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the tests"},
		NotBefore: year(1990), NotAfter: year(2100),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(err)
	cert, err := x509.ParseCertificate(der)
	must(err)
	return signer{cert, key}
}

// made keeps the certificates that were made.
var made sync.Map

func certificate(which Certificate) tls.Certificate {
	if c, ok := made.Load(which); ok {
		return c.(tls.Certificate) //nolint:errcheck,forcetypeassert // what is stored below
	}
	key, by := newKey(), authority()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "receiver.example"},
		NotBefore: year(1990), NotAfter: year(2100),
		DNSNames: []string{"receiver.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	switch which {
	case Good:
	case Expired:
		template.NotAfter = year(1995)
	case OtherHost:
		template.DNSNames, template.IPAddresses = []string{"other.example"}, nil
	case Stranger:
		by = newAuthority()
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	must(err)
	c, _ := made.LoadOrStore(which, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	return c.(tls.Certificate) //nolint:errcheck,forcetypeassert // what is stored above
}

// year is its first moment. Virtual time begins with the year 2000.
func year(n int) time.Time { return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC) }

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return key
}

// must is for what cannot fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
