package egress

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// What can be wrong with a response over HTTP/1.1.
var (
	errHeaderTooLarge = errors.New("response headers exceeded the bound")
	errMalformed      = errors.New("malformed HTTP response")
	errLength         = errors.New("malformed or contradictory Content-Length")
	errEncoding       = errors.New("unknown Transfer-Encoding")
	errChunk          = errors.New("malformed chunks")
	errSwitched       = errors.New("protocol switched unasked")
)

// answer is the head of a response, and what it says of the body.
type answer struct {
	status int
	header Header
	// length is that of the body, -1 when its end is not known before.
	length  int64
	chunked bool
	gzip    bool
	// last means that the connection carries no other response.
	last bool
}

// headReader reads heads from a connection. What it has room for is kept from
// one response to the next.
type headReader struct {
	in   *bufio.Reader
	left int    // how many more bytes all heads may have
	line []byte // a line that does not fit into the buffer of in
	head []byte // the header section so far
}

// next returns a line without its end. It is good until the next read.
func (r *headReader) next() ([]byte, error) {
	r.line = r.line[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		if r.left -= len(part); r.left < 0 {
			return nil, errHeaderTooLarge
		}
		switch {
		case err == nil && len(r.line) == 0:
			return trimEnd(part), nil
		case err == nil:
			r.line = append(r.line, part...)
			return trimEnd(r.line), nil
		case errors.Is(err, bufio.ErrBufferFull):
			r.line = append(r.line, part...)
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// trimEnd takes off the line break: a line feed, after a carriage return or not
// (RFC 9112, 2.2).
func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
}

// read returns the head of the response to a request with this method, and
// passes over those that say that there is another one to come (RFC 9110,
// 15.2). The bound on all heads together bounds their number.
func (r *headReader) read(method string) (answer, error) {
	for {
		line, err := r.next()
		if err != nil {
			return answer{}, err
		}
		a, minor, err := parseStatus(line)
		if err != nil {
			return a, err
		}
		if err := r.fields(); err != nil {
			return a, err
		}
		if a.status < 200 && a.status != http.StatusSwitchingProtocols {
			continue
		}
		a.header = Header(r.head)
		return a, a.frame(method, minor)
	}
}

// parseStatus reads a status line, of HTTP/1.x and with a code of 100 to 999.
func parseStatus(line []byte) (a answer, minor int, err error) {
	version, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok || len(version) != len("HTTP/1.1") || string(version[:7]) != "HTTP/1." || !digit(version[7]) {
		return a, 0, errMalformed
	}
	code, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte{' '})
	if len(code) != 3 || !digit(code[0]) || !digit(code[1]) || !digit(code[2]) || code[0] == '0' {
		return a, 0, errMalformed
	}
	a.status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	return a, int(version[7] - '0'), nil
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// fields reads a header section, or the trailers of a chunked body, into head.
// It takes what net/http takes: spaces in names, which make a field that nobody
// looks for, and values over several lines.
func (r *headReader) fields() error {
	r.head = r.head[:0]
	for {
		line, err := r.next()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if line[0] == ' ' || line[0] == '\t' { // goes on with the value before (RFC 9112, 5.2)
			if len(r.head) == 0 {
				return errMalformed
			}
			r.head[len(r.head)-1] = ' '
			if err := r.value(line); err != nil {
				return err
			}
			continue
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || len(name) == 0 {
			return errMalformed
		}
		for _, c := range name {
			if !nameByte(c) {
				return errMalformed
			}
		}
		r.head = append(append(r.head, name...), ": "...)
		if err := r.value(value); err != nil {
			return err
		}
	}
}

// value adds a value, or a part of one, to head.
func (r *headReader) value(v []byte) error {
	v = bytes.Trim(v, " \t")
	for _, c := range v {
		if c < ' ' && c != '\t' || c == 0x7f {
			return errMalformed
		}
	}
	r.head = append(append(r.head, v...), '\n')
	return nil
}

// nameByte reports whether c may stand in the name of a field. In responses
// there are some with spaces.
func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' ||
		strings.IndexByte("!#$%&'*+.^_`|~ ", c) >= 0
}

// frame says where the body ends (RFC 9112, 6.3) and whether the connection can
// be used again.
func (a *answer) frame(method string, minor int) error {
	a.length = -1
	keepAlive, encodings, coding := false, 0, ""
	for name, value := range a.header.All() {
		switch {
		case sameName(name, "Content-Length"):
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || a.length >= 0 && a.length != int64(n) {
				return errLength
			}
			a.length = int64(n)
		case sameName(name, "Transfer-Encoding"):
			encodings++
			coding = value
		case sameName(name, "Connection"):
			a.last = a.last || hasToken(value, "close")
			keepAlive = keepAlive || hasToken(value, "keep-alive")
		case sameName(name, "Content-Encoding"):
			a.gzip = strings.EqualFold(value, "gzip")
		}
	}
	if minor == 0 {
		a.last = a.last || !keepAlive
	} else if encodings > 0 {
		if encodings > 1 || !strings.EqualFold(coding, "chunked") {
			return errEncoding
		}
		// Both at once may be an attempt at smuggling (RFC 9112, 6.3).
		a.last = a.last || a.length >= 0
		a.chunked, a.length = true, -1
	}
	switch {
	case method == http.MethodHead, a.status == http.StatusNoContent, a.status == http.StatusNotModified,
		a.status == http.StatusSwitchingProtocols:
		a.chunked, a.length = false, 0
	case a.length < 0 && !a.chunked:
		a.last = true
	}
	return nil
}

// hasToken reports whether a token is in a list with commas.
func hasToken(list, token string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}
