package web

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

// What can be wrong with a request before anybody looks at what it says.
var (
	// ErrTooLarge means that a body is over a bound.
	ErrTooLarge = errors.New("request body too large")
	// ErrEncoding means a Content-Encoding that is not known.
	ErrEncoding = errors.New("unsupported content encoding")
	// ErrSyntax means that a body is not the JSON it should be.
	ErrSyntax = errors.New("malformed JSON")
)

// Bounds limit what is read of a request.
type Bounds struct {
	// Wire bounds the bytes sent; Unpacked those after decompression.
	Wire, Unpacked int64
}

// Body reads the body of a request, decompressed, within bounds.
func Body(w http.ResponseWriter, r *http.Request, b Bounds) ([]byte, error) {
	if r.ContentLength > b.Wire {
		return nil, ErrTooLarge
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, b.Wire)
	switch strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))) {
	case "", "identity":
	case "gzip", "x-gzip":
		unpacked, err := gzip.NewReader(body)
		if errors.Is(err, io.EOF) {
			return nil, nil // an empty body stays empty
		}
		if err != nil {
			return nil, bodyError(err)
		}
		body = unpacked
	default:
		return nil, ErrEncoding
	}
	data, err := io.ReadAll(io.LimitReader(body, b.Unpacked+1))
	if err != nil {
		return nil, bodyError(err)
	}
	if int64(len(data)) > b.Unpacked {
		return nil, ErrTooLarge
	}
	return data, nil
}

// bodyError tells a body that is too long from one that cannot be unpacked.
func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return ErrTooLarge
	}
	if errors.Is(err, ErrOverloaded) {
		return err
	}
	return errors.Join(ErrSyntax, err)
}

// Text is a body as the text of a JSON value: UTF-8 (RFC 8259 section 8.1), and
// {} when it is empty.
func Text(body []byte) ([]byte, error) {
	if len(body) == 0 {
		return []byte("{}"), nil
	}
	if !utf8.Valid(body) {
		return nil, ErrSyntax
	}
	return body, nil
}
