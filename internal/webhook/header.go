package webhook

import (
	"strings"
)

// Headers that an endpoint cannot set: those that describe the connection or
// the body, those that the sender sets itself, and those that proxies and
// clouds trust (contract, section 9.4).
var (
	refusedHeaders = map[string]bool{
		"user-agent": true, "keep-alive": true, "proxy-authenticate": true, "proxy-authorization": true, "te": true,
		"trailers": true, "trailer": true, "transfer-encoding": true, "upgrade": true, "connection": true, "age": true,
		"cache-control": true, "warning": true, "clear-site-data": true, "expires": true, "pragma": true,
		"content-length": true, "content-type": true, "content-encoding": true, "content-language": true,
		"content-location": true, "host": true,
	}
	refusedPrefixes = []string{
		"x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-", "x-svix-", "svix-", "webhook-",
	}
	sensitiveHeaders = map[string]bool{
		"x-auth-token": true, "x-api-key": true, "www-authenticate": true, "authorization": true,
		"proxy-authenticate": true, "proxy-authorization": true,
	}
)

// HeaderProblem says what is wrong with a custom header of an endpoint, or "".
func HeaderProblem(name, value string) string {
	lower := strings.ToLower(name)
	switch {
	case name == "" || len(name) > MaxNameLength || strings.ContainsFunc(name, func(c rune) bool { return !tokenRune(c) }):
		return "is not a legal name of a header"
	case refusedHeaders[lower]:
		return "is a header that cannot be set"
	case len(value) > MaxHeaderValue:
		return "must have a value of at most 4096 bytes"
	case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
		return "must have a value without line breaks and control characters"
	case strings.TrimSpace(value) != value:
		return "must have a value that neither begins nor ends with a space"
	}
	for _, prefix := range refusedPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return "is a header that cannot be set"
		}
	}
	return ""
}

// tokenRune reports whether c may stand in a header's name (RFC 9110 section
// 5.6.2).
func tokenRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

// SensitiveHeader reports whether the value of a header is likely a secret,
// which is not shown.
func SensitiveHeader(name string) bool { return sensitiveHeaders[strings.ToLower(name)] }
