package receivertest

import (
	"encoding/binary"
	"io"
	"strings"
)

// The frames of HTTP/2 (RFC 9113, section 6) that are needed here.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindow       = 0x8
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4

	settingStreams = 0x3
	settingWindow  = 0x4

	errInternal = 0x2
	errRefused  = 0x7
	errEnhance  = 0xb // ENHANCE_YOUR_CALM

	wide = 1 << 30 // a window that is never filled

	status200 = "\x88" // in the static table of HPACK
)

// stream2 is a request over HTTP/2 that has come with all of its headers, and
// with its body if done.
type stream2 struct {
	*Conn
	id   uint32
	done bool
}

// frame writes a frame.
func (c *Conn) frame(kind, flags byte, stream uint32, payload string) bool {
	_, err := c.Write(frame(kind, flags, stream, payload))
	return err == nil
}

// frames writes the same frame until nobody listens any more.
func (c *Conn) frames(kind byte, stream uint32, payload string) {
	b := frame(kind, 0, stream, payload)
	for {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

func frame(kind, flags byte, stream uint32, payload string) []byte {
	b := make([]byte, 0, 9+len(payload))
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload))<<8|uint32(kind)) //nolint:gosec // a few kilobytes
	b = binary.BigEndian.AppendUint32(append(b, flags), stream)
	return append(b, payload...)
}

func number(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// setting is one entry of a SETTINGS frame.
func setting(id uint16, value uint32) string {
	return string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, id), value))
}

// speaks2 speaks HTTP/2 with these settings. It hands each stream over when
// its headers are there and again when its body is, until told to stop.
func speaks2(settings string, each func(stream2) bool) func(*Conn) {
	return func(c *Conn) {
		var preface [24]byte
		if _, err := io.ReadFull(c.in, preface[:]); err != nil || !c.frame(frameSettings, 0, 0, settings) ||
			!c.frame(frameWindow, 0, 0, number(wide)) {
			return
		}
		for {
			var head [9]byte
			if _, err := io.ReadFull(c.in, head[:]); err != nil {
				return
			}
			size := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
			if _, err := io.CopyN(io.Discard, c.in, size); err != nil {
				return
			}
			kind, flags := head[3], head[4]
			s := stream2{c, binary.BigEndian.Uint32(head[5:]), flags&flagEndStream != 0}
			goOn := true
			switch {
			case kind == frameSettings && flags&flagAck == 0:
				goOn = c.frame(frameSettings, flagAck, 0, "")
			case kind == framePing && flags&flagAck == 0:
				goOn = c.frame(framePing, flagAck, 0, "12345678")
			case kind == frameHeaders:
				goOn = each(s)
			case kind == frameData && s.done:
				goOn = each(s)
			}
			if !goOn {
				return
			}
		}
	}
}

// Healthy2 answers each request over HTTP/2 with 200.
func Healthy2(c *Conn) {
	Secure(Good, []string{"h2"}, speaks2(setting(settingWindow, wide), func(s stream2) bool {
		return !s.done || s.frame(frameHeaders, flagEndHeaders, s.id, status200) && s.frame(frameData, flagEndStream, s.id, "ok")
	}))(c)
}

// Leaving2 answers a request over HTTP/2, says that it takes no more, and
// closes the connection.
func Leaving2(c *Conn) {
	Secure(Good, []string{"h2"}, speaks2(setting(settingWindow, wide), func(s stream2) bool {
		return !s.done || s.frame(frameHeaders, flagEndHeaders, s.id, status200) && s.frame(frameData, flagEndStream, s.id, "ok") &&
			s.frame(frameGoAway, 0, 0, number(s.id)+number(0)) && false
	}))(c)
}

// overHTTP2 are receivers that misbehave in ways that only HTTP/2 has.
func overHTTP2() []Misbehaviour {
	each := func(name, settings string, do func(stream2) bool) Misbehaviour {
		return Misbehaviour{name, true, Secure(Good, []string{"h2", "http/1.1"}, speaks2(settings, do))}
	}
	whole := func(do func(stream2) bool) func(stream2) bool {
		return func(s stream2) bool { return !s.done || do(s) }
	}
	return []Misbehaviour{
		each("goes away before the answer over HTTP/2", "", whole(func(s stream2) bool {
			s.frame(frameGoAway, 0, 0, number(s.id)+number(errInternal))
			return false
		})),
		{"goes away while idle over HTTP/2", true, Leaving2},
		each("calms us down over HTTP/2", "", whole(func(s stream2) bool {
			s.frame(frameGoAway, 0, 0, number(s.id)+number(errEnhance)+"too_many_webhooks")
			return false
		})),
		each("resets the stream over HTTP/2", "", whole(func(s stream2) bool { return s.frame(frameReset, 0, s.id, number(errInternal)) })),
		each("refuses each stream over HTTP/2", "", whole(func(s stream2) bool { return s.frame(frameReset, 0, s.id, number(errRefused)) })),
		each("resets the stream in the body over HTTP/2", "", whole(func(s stream2) bool {
			return s.frame(frameHeaders, flagEndHeaders, s.id, status200) && s.frame(frameData, 0, s.id, "ok") &&
				s.frame(frameReset, 0, s.id, number(errInternal))
		})),
		each("hangs before the headers over HTTP/2", "", func(stream2) bool { return true }),
		each("hangs in the body over HTTP/2", "", whole(func(s stream2) bool {
			return s.frame(frameHeaders, flagEndHeaders, s.id, status200) && s.frame(frameData, 0, s.id, "o")
		})),
		each("never opens the window over HTTP/2", setting(settingWindow, 0), func(stream2) bool { return true }),
		each("allows no streams over HTTP/2", setting(settingStreams, 0), func(stream2) bool { return true }),
		each("overruns the window over HTTP/2", "", whole(func(s stream2) bool {
			s.frame(frameHeaders, flagEndHeaders, s.id, status200)
			s.frames(frameData, s.id, strings.Repeat("x", 16<<10))
			return false
		})),
		each("sends headers without end over HTTP/2", "", whole(func(s stream2) bool {
			s.frame(frameHeaders, 0, s.id, status200)
			// Literal fields without indexing, "x: yyy…".
			s.frames(frameContinuation, s.id, strings.Repeat("\x00\x01x\x7e"+strings.Repeat("y", 126), 100))
			return false
		})),
		each("sends pings without end over HTTP/2", "", whole(func(s stream2) bool {
			go s.wait() // so that the answers do not fill the way
			s.frames(framePing, 0, "12345678")
			return false
		})),
		each("sends garbage over HTTP/2", "", whole(func(s stream2) bool {
			s.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			return false
		})),
		each("sends a window of too much over HTTP/2", "", whole(func(s stream2) bool {
			s.frame(frameWindow, 0, 0, number(1<<31-1))
			return true
		})),
		each("closes before the answer over HTTP/2", "", whole(func(stream2) bool { return false })),
		{"closes before the settings over HTTP/2", true, Secure(Good, []string{"h2"}, func(*Conn) {})},
		{"hangs before the settings over HTTP/2", true, Secure(Good, []string{"h2"}, func(c *Conn) { c.wait() })},
	}
}
