package egress_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fanfare/internal/egress"
	"fanfare/internal/receivertest"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestOursAgreesWithNetHTTP makes each call of the catalogue that does not end
// with a timeout in both ways, but for those over HTTP/2, where both are one.
func TestOursAgreesWithNetHTTP(t *testing.T) {
	t.Parallel()
	differs := map[string]string{
		"sends gzip of nothing without end":  "net/http reads on until the timeout",
		"closes at once":                     "net/http may see it before it has sent anything",
		"answers before it reads, and hangs": "net/http may see the answer before it waits for one, and drops it",
	}
	for _, m := range receivertest.Catalogue() {
		if verdicts[m.Name].class == egress.Timeout || strings.Contains(m.Name, "HTTP/2") || differs[m.Name] != "" {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			r := receivertest.Start(t, m.Serve)
			req := request(t, r.URL(m.TLS), "{}")
			ours, oursErr := client(t, time.Minute).Do(t.Context(), req)
			theirs, theirsErr := client(t, time.Minute).ThroughNetHTTP(t.Context(), req)
			if ours.StatusCode != theirs.StatusCode || egress.Class(oursErr) != egress.Class(theirsErr) || ours.Truncated != theirs.Truncated ||
				egress.Unsent(oursErr) != egress.Unsent(theirsErr) || !bytes.Equal(ours.Body, theirs.Body) {
				t.Errorf("ours: %d with %d bytes, %v\nnet/http: %d with %d bytes, %v",
					ours.StatusCode, len(ours.Body), oursErr, theirs.StatusCode, len(theirs.Body), theirsErr)
			}
		})
	}
}

// answers are ones that are right, and ones that are nearly so.
func answers() []string {
	gzipOfOK, _ := base64.StdEncoding.DecodeString("H4sIAAAAAAAAA8vPBgBH3dx5AgAAAA==")
	const ok = "HTTP/1.1 200 OK\r\n"
	return []string{
		ok + "Content-Length: 2\r\n\r\nok",
		ok + "content-length:2\r\n\r\nok",
		ok + "\r\nuntil the end",
		ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
		ok + "Content-Length: 2, 2\r\n\r\nok",
		ok + "Content-Length: +2\r\n\r\nok",
		ok + "Content-Length: \r\n\r\nok",
		ok + "Content-Length : 2\r\n\r\nok",
		ok + "Content-Length: 99999999999999999999\r\n\r\nok",
		ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		ok + "Transfer-Encoding: Chunked\r\n\r\n2;x=\"y\"\r\nok\r\n0\r\nA: b\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		ok + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
		ok + "Connection: close\r\nContent-Length: 2\r\n\r\nok",
		ok + "Connection: x, Close\r\nContent-Length: 2\r\n\r\nok",
		ok + "Content-Encoding: gzip\r\nContent-Length: 26\r\n\r\n" + string(gzipOfOK),
		ok + "Content-Encoding: GZIP\r\n\r\n" + string(gzipOfOK) + string(gzipOfOK),
		ok + "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n" + string(gzipOfOK) + "\r\n0\r\n\r\n",
		ok + "Content-Encoding: gzip\r\n\r\n" + string(gzipOfOK) + "more",
		ok + "Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
		ok + "Content-Encoding: gzip\r\n\r\n",
		ok + "Content-Encoding: br\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 0200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		ok + "X: a\r\n b\r\n\tc \r\nContent-Length: 2\r\n\r\nok",
		ok + "X:\r\nY: \t z \t\r\nContent-Length: 2\r\n\r\nok",
		ok + "X Y: a\r\nContent-Length: 2\r\n\r\nok",
		ok + "X\x01Y: a\r\nContent-Length: 2\r\n\r\nok",
		ok + "X: a\x7fb\r\nContent-Length: 2\r\n\r\nok",
		ok + "X: h\xc3\xa9\xff\r\nContent-Length: 2\r\n\r\nok",
		ok + "no colon\r\nContent-Length: 2\r\n\r\nok",
		ok + "Retry-After: 7\r\nretry-after: 8\r\nContent-Length: 2\r\n\r\nok",
		ok + "X-Long: " + strings.Repeat("y", 10_000) + "\r\nContent-Length: 2\r\n\r\nok",
		ok + "X: a\rb\r\nContent-Length: 2\r\n\r\nok",
	}
}

func TestAnswersAreReadAsNetHTTPReadsThem(t *testing.T) {
	for _, answer := range answers() {
		t.Run("", func(t *testing.T) { agree(t, answer) })
	}
}

// FuzzAnswer: whatever a receiver sends, nothing panics, the bounds hold, and
// what both take for a response is the same response.
func FuzzAnswer(f *testing.F) {
	for _, answer := range answers() {
		f.Add(answer)
	}
	f.Fuzz(agree)
}

// agree holds one answer of a receiver, after which it closes the connection,
// against what net/http makes of it.
func agree(t *testing.T, answer string) {
	do := func(send func(*egress.Client, context.Context, *egress.Request) (*egress.Response, error)) (*egress.Response, error) {
		c := client(t, 10*time.Second)
		r := receivertest.New(receivertest.Closing(answer))
		c.DialWith(r.Dial)
		return send(c, t.Context(), request(t, "http://receiver.example/", "{}"))
	}
	ours, oursErr := do((*egress.Client).Do)
	theirs, theirsErr := do((*egress.Client).ThroughNetHTTP)
	if len(ours.Body) > 64<<10 || len(ours.Header) > 64<<10 {
		t.Fatalf("%d bytes of body, %d of headers", len(ours.Body), len(ours.Header))
	}
	if egress.Class(oursErr) == egress.Timeout || egress.Unsent(oursErr) {
		t.Fatalf("%q: %v", answer, oursErr)
	}
	if oursErr != nil && refusedByUsAlone(answer, theirs) || theirs.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	if ours.StatusCode != theirs.StatusCode || (oursErr == nil) != (theirsErr == nil) || ours.Truncated != theirs.Truncated ||
		oursErr == nil && !bytes.Equal(ours.Body, theirs.Body) || !sameHeader(ours.Header, theirs.Header) {
		t.Errorf("%q\nours: %d %q %q, %v\nnet/http: %d %q %q, %v", answer,
			ours.StatusCode, ours.Header, ours.Body, oursErr, theirs.StatusCode, theirs.Header, theirs.Body, theirsErr)
	}
}

// refusedByUsAlone is where we are stricter: versions other than 1.x, codes
// under 100, and fields without a name.
func refusedByUsAlone(answer string, theirs *egress.Response) bool {
	return theirs.StatusCode < 100 || strings.Count(answer, "HTTP/1.") != strings.Count(answer, "HTTP/") || strings.Contains(answer, "\n:")
}

// sameHeader compares what is left of headers when net/http has taken what it
// needs, sorted names and all.
func sameHeader(ours, theirs egress.Header) bool {
	fields := func(h egress.Header) []string {
		var all []string
		for name, value := range h.All() {
			switch name = http.CanonicalHeaderKey(name); name {
			case "Transfer-Encoding", "Content-Length", "Trailer", "Cache-Control", "Connection":
			default:
				all = append(all, name+": "+strings.TrimSpace(value))
			}
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(fields(ours), fields(theirs))
}
