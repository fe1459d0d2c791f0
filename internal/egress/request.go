package egress

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Field is a line of a header section. On HTTP/1.1 its name is sent in the case
// it has here.
type Field struct{ Name, Value string }

// Request is what is sent to a receiver. Nothing of it is changed or kept.
type Request struct {
	Method string
	To     *Target
	// Header is sent as it is, in this order, after Host and the user of the
	// URL, and before Content-Length and Accept-Encoding. A field must have no
	// line break in it.
	Header []Field
	Body   []byte
}

// Target is where a request goes: a parsed URL, which may be used again and
// again.
type Target struct {
	url *url.URL
	key hostKey
	// name is the host as its certificate must show it.
	name string
	// host is the field Host, path the request target, auth the value of the
	// field Authorization that the user of the URL makes, or "".
	host, path, auth string
}

// hostKey is what connections are kept under.
type hostKey struct {
	tls     bool
	address string // host and port, as dialled
}

var errNoTarget = errors.New("not an absolute URL of http or https with a host")

// ParseTarget reads an absolute URL of http or https.
func ParseTarget(raw string) (*Target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The error of net/url repeats the URL, which may hold secrets.
		return nil, errNoTarget
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" {
		return nil, errNoTarget
	}
	u.RawQuery = escaped(u.RawQuery)
	t := &Target{url: u, path: u.RequestURI(), key: hostKey{tls: u.Scheme == "https"}}
	if t.host, err = hostField(u); err != nil {
		return nil, err
	}
	t.name = u.Hostname()
	if !ascii(t.name) {
		t.name = (&url.URL{Host: t.host}).Hostname()
	}
	port := u.Port()
	switch {
	case port != "":
	case t.key.tls:
		port = "443"
	default:
		port = "80"
	}
	t.key.address = net.JoinHostPort(t.name, port)
	if user := u.User; user != nil {
		password, _ := user.Password()
		t.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
	}
	return t, nil
}

// hostField is the host as the field of that name has it: without a zone, and
// in the letters of ASCII. net/http knows how names are turned into those but
// does so only when it writes a request.
func hostField(u *url.URL) (string, error) {
	var b bytes.Buffer
	bare := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}, Header: http.Header{}}
	if err := bare.Write(&b); err != nil {
		return "", errNoTarget
	}
	written, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil || written.Host == "" {
		return "", errNoTarget
	}
	return written.Host, nil
}

// escaped writes as percent signs what must not stand in a query (RFC 3986,
// 3.4) and net/url leaves there: a space would end the request target.
func escaped(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func ascii(s string) bool { return !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 }) }

// has reports whether the request names a field itself.
func (r *Request) has(name string) bool {
	return slices.ContainsFunc(r.Header, func(f Field) bool { return strings.EqualFold(f.Name, name) })
}

var errLineBreak = errors.New("a line break in a header field")

// appendHead writes the request line and the header section as HTTP/1.1 has
// them. It asks for gzip, and says so, unless the request chose an encoding.
func (r *Request) appendHead(b []byte) (head []byte, packed bool, err error) {
	b = append(append(append(append(b, r.Method...), ' '), r.To.path...), " HTTP/1.1\r\n"...)
	lines := 2 // with the empty one
	field := func(name, value string) {
		b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		lines++
	}
	field("Host", r.To.host)
	if r.To.auth != "" && !r.has("Authorization") {
		field("Authorization", r.To.auth)
	}
	for _, f := range r.Header {
		field(f.Name, f.Value)
	}
	if len(r.Body) > 0 || r.Method != http.MethodGet {
		b = strconv.AppendInt(append(b, "Content-Length: "...), int64(len(r.Body)), 10)
		b = append(b, "\r\n"...)
		lines++
	}
	if packed = !r.has("Accept-Encoding"); packed {
		field("Accept-Encoding", "gzip")
	}
	b = append(b, "\r\n"...)
	// As many line breaks as there are lines: none came in with a field.
	if bytes.Count(b, []byte{'\n'}) != lines || bytes.Count(b, []byte{'\r'}) != lines {
		return nil, false, errLineBreak
	}
	return b, packed, nil
}

// http is the request in the form that net/http sends.
func (r *Request) http(ctx context.Context) (req *http.Request, packed bool, err error) {
	req, err = http.NewRequestWithContext(ctx, r.Method, r.To.url.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, false, errNoTarget
	}
	for _, f := range r.Header {
		name := f.Name
		if special := http.CanonicalHeaderKey(name); special == "User-Agent" || special == "Accept-Encoding" {
			name = special // which net/http looks for under these names
		}
		req.Header[name] = append(req.Header[name], f.Value)
	}
	if r.To.auth != "" && !r.has("Authorization") {
		req.Header.Set("Authorization", r.To.auth)
	}
	if packed = !r.has("Accept-Encoding"); packed {
		req.Header.Set("Accept-Encoding", "gzip") // said so, net/http leaves the unpacking to us
	}
	return req, packed, nil
}
