package receivertest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"strings"
	"sync"
	"time"
)

// Misbehaviour is one way to be a bad receiver.
type Misbehaviour struct {
	Name  string // what it does
	TLS   bool   // whether it is to be called with https
	Serve func(*Conn)
}

const (
	ok       = "HTTP/1.1 200 OK\r\n"
	trickles = 20 * time.Millisecond // from byte to byte
)

// Catalogue is all of them. Each that answers keeps to HTTP in what is not its
// fault; those that hang or trickle do so until the caller goes away.
func Catalogue() []Misbehaviour {
	all := silent()
	for _, more := range [][]Misbehaviour{endless(), broken(), overTLS(), overHTTP2()} {
		all = append(all, more...)
	}
	return all
}

// silent are receivers that take their time.
func silent() []Misbehaviour {
	return []Misbehaviour{
		{"hangs without reading", false, (*Conn).Hang},
		{"hangs without answering", false, func(c *Conn) { c.wait() }},
		{"hangs before the headers", false, hangsAfter("")},
		{"hangs in the status line", false, hangsAfter("HTTP/1.1 2")},
		{"hangs in the headers", false, hangsAfter(ok + "Content-Le")},
		{"hangs after the headers", false, hangsAfter(ok + "Content-Length: 2\r\n\r\n")},
		{"hangs in the body", false, hangsAfter(ok + "Content-Length: 2\r\n\r\no")},
		{"hangs in a chunk", false, hangsAfter(ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nok")},
		{"hangs in the trailers", false, hangsAfter(ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: ")},
		{"hangs after an answer to come", false, hangsAfter("HTTP/1.1 100 Continue\r\n\r\n")},
		{"trickles the headers", false, repeats(ok+"X-Slow: ", "x", trickles)},
		{"trickles the body", false, repeats(ok+"\r\n", "x", trickles)},
		{"trickles chunks", false, repeats(ok+"Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", trickles)},
	}
}

// endless are receivers that never stop.
func endless() []Misbehaviour {
	return []Misbehaviour{
		{"sends a body without end", false, repeats(ok+"\r\n", strings.Repeat("x", 32<<10), 0)},
		{"sends a body of an exabyte", false, repeats(ok+"Content-Length: 1000000000000000000\r\n\r\n", strings.Repeat("x", 32<<10), 0)},
		{"sends chunks without end", false, repeats(ok+"Transfer-Encoding: chunked\r\n\r\n", "8000\r\n"+strings.Repeat("x", 32<<10)+"\r\n", 0)},
		{"sends a chunk size without end", false, repeats(ok+"Transfer-Encoding: chunked\r\n\r\n", strings.Repeat("0", 32<<10), 0)},
		{"sends chunk extensions without end", false, repeats(ok+"Transfer-Encoding: chunked\r\n\r\n", "1;"+strings.Repeat("x", 4000)+"\r\nx\r\n", 0)},
		{"sends trailers without end", false, repeats(ok+"Transfer-Encoding: chunked\r\n\r\n0\r\n", strings.Repeat("X-Trailer: x\r\n", 1000), 0)},
		{"sends a bomb of gzip", false, repeats(ok+"Content-Encoding: gzip\r\n\r\n"+bombHead(), bombBlock(), 0)},
		{"sends gzip of nothing without end", false, repeats(ok+"Content-Encoding: gzip\r\n\r\n"+bombHead(), strings.Repeat("\x00\x00\x00\xff\xff", 6000), 0)},
		{"sends headers without end", false, repeats(ok, strings.Repeat("X-More: x\r\n", 1000), 0)},
		{"sends a header without end", false, repeats(ok+"X-Long: ", strings.Repeat("x", 32<<10), 0)},
		{"sends a status line without end", false, repeats(ok[:len(ok)-2], strings.Repeat("x", 32<<10), 0)},
		{"sends answers to come without end", false, repeats("", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 500), 0)},
	}
}

// broken are receivers that do not keep to HTTP or to TCP.
func broken() []Misbehaviour {
	return []Misbehaviour{
		{"redirects to itself", false, func(c *Conn) {
			Answering("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://" + c.of.Address + "/hook\r\nContent-Length: 0\r\n\r\n")(c)
		}},
		{"redirects to a private address", false, Answering("HTTP/1.1 301 Moved Permanently\r\nLocation: http://169.254.169.254/latest/meta-data\r\nContent-Length: 0\r\n\r\n")},
		{"sends less than it says", false, Closing(ok + "Content-Length: 100\r\n\r\nok")},
		{"sends more than it says", false, Answering(ok + "Content-Length: 2\r\n\r\nok and more")},
		{"sends two answers at once", false, Answering(ok + "Content-Length: 2\r\n\r\nokHTTP/1.1 500 Not Asked For\r\nContent-Length: 0\r\n\r\n")},
		{"says two lengths", false, Answering(ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok")},
		{"says a negative length", false, Answering(ok + "Content-Length: -2\r\n\r\nok")},
		{"says a length and chunks", false, Answering(ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")},
		{"says an unknown encoding", false, Answering(ok + "Transfer-Encoding: rot13\r\n\r\nbx")},
		{"sends a malformed chunk", false, Answering(ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n")},
		{"sends half of a gzip file", false, Closing(ok + "Content-Encoding: gzip\r\n\r\n" + bombHead())},
		{"resets before the answer", false, resetsAfter("")},
		{"resets in the headers", false, resetsAfter(ok + "Content-")},
		{"resets in the body", false, resetsAfter(ok + "Content-Length: 100\r\n\r\nok")},
		{"closes before the answer", false, Closing("")},
		{"closes in the headers", false, Closing(ok + "Content-")},
		{"closes at once", false, func(*Conn) {}},
		{"closes its half of the connection", false, closesHalf("")},
		{"answers and closes its half of the connection", false, closesHalf(ok + "\r\nok")},
		{"answers before it reads, and hangs", false, func(c *Conn) {
			c.say("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			c.Hang()
		}},
		{"switches the protocol unasked", false, hangsAfter("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")},
		{"speaks SSH", false, Closing("SSH-2.0-OpenSSH_9.2p1\r\n")},
		{"sends garbage", false, Closing("\x00\x01\x02\xff\xfe garbage \x80\r\n\r\n")},
		{"sends a body alone", false, Closing("ok")},
		{"says HTTP/2 in the clear", false, Closing("HTTP/2.0 200 OK\r\n\r\n")},
		{"sends a NUL in a header", false, Answering(ok + "X-Nul: a\x00b\r\nContent-Length: 2\r\n\r\nok")},
		{"begins with a folded header", false, Answering(ok + " folded: x\r\nContent-Length: 2\r\n\r\nok")},
		{"closes while idle", false, Closing(ok + "Content-Length: 2\r\n\r\nok")},
		{"speaks while idle", false, func(c *Conn) {
			for c.request() && c.say(ok+"Content-Length: 2\r\n\r\nok") {
				<-time.After(trickles) // what makes it late
				c.say("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
			}
		}},
	}
}

func hangsAfter(answer string) func(*Conn) {
	return func(c *Conn) {
		if c.request() && c.say(answer) {
			c.wait()
		}
	}
}

func resetsAfter(answer string) func(*Conn) {
	return func(c *Conn) {
		if c.request() && c.say(answer) {
			c.reset()
		}
	}
}

func closesHalf(answer string) func(*Conn) {
	return func(c *Conn) {
		if !c.request() || !c.say(answer) {
			return
		}
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
			c.wait()
		}
	}
}

// repeats says something and then something else again and again.
func repeats(first, again string, every time.Duration) func(*Conn) {
	more := []byte(again)
	return func(c *Conn) {
		if !c.request() || !c.say(first) {
			return
		}
		for {
			if _, err := c.Write(more); err != nil {
				return
			}
			if every > 0 {
				<-time.After(every) // what makes it slow
			}
		}
	}
}

// packed is a megabyte of zeros as gzip sends it, in a block that can be
// repeated.
var packed = sync.OnceValues(func() (head, block string) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_ = z.Flush()
	head = b.String()
	b.Reset()
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Flush()
	return head, b.String()
})

func bombHead() string {
	head, _ := packed()
	return head
}

func bombBlock() string {
	_, block := packed()
	return block
}

// overTLS are receivers that are called with https.
func overTLS() []Misbehaviour {
	return []Misbehaviour{
		{"never begins the TLS handshake", true, func(c *Conn) { c.wait() }},
		{"trickles the TLS handshake", true, func(c *Conn) {
			for c.say("\x16") { // a record that never ends
				<-time.After(trickles) // what makes it slow
			}
		}},
		{"resets in the TLS handshake", true, func(c *Conn) {
			var hello [16]byte
			_, _ = c.Read(hello[:])
			c.reset()
		}},
		{"speaks no TLS", true, func(c *Conn) {
			var hello [16]byte
			_, _ = c.Read(hello[:])
			c.say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		}},
		{"shows an expired certificate", true, Secure(Expired, nil, Healthy)},
		{"shows a certificate of another host", true, Secure(OtherHost, nil, Healthy)},
		{"shows a certificate of an unknown authority", true, Secure(Stranger, nil, Healthy)},
		{"refuses the TLS handshake", true, func(c *Conn) {
			_ = tls.Server(c, &tls.Config{}).HandshakeContext(context.Background()) // it has no certificate at all
		}},
		{"closes while idle over TLS", true, Secure(Good, nil, Closing(ok+"Content-Length: 2\r\n\r\nok"))},
		{"hangs without reading over TLS", true, Secure(Good, nil, (*Conn).Hang)},
		{"hangs before the headers over TLS", true, Secure(Good, nil, hangsAfter(""))},
		{"resets in the body over TLS", true, Secure(Good, nil, resetsAfter(ok+"Content-Length: 100\r\n\r\nok"))},
	}
}
