package webhook

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// ID is the key of anything stored: 16 bytes whose order is the order of
// creation. The bits are those of a UUID version 7 (RFC 9562): 48 bits of
// milliseconds, then a counter, then chance. Outside it is written as a prefix
// and 26 lower-case characters of the ULID alphabet, or as a UUID.
type ID [16]byte

// Prefix says what kind of thing an ID names.
type Prefix string

// The prefixes of ids outside.
const (
	EnvironmentID Prefix = "org_"
	ApplicationID Prefix = "app_"
	EndpointID    Prefix = "ep_"
	MessageID     Prefix = "msg_"
	AttemptID     Prefix = "atmpt_"
	TaskID        Prefix = "qtask_"
	TokenID       Prefix = "tok_"
)

// alphabet is Crockford's base 32 in lower case: no i, l, o, u, and its byte
// order is its numeric order.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// ErrBadID means that a text is no id of the kind asked for.
var ErrBadID = errors.New("malformed id")

// IsZero reports whether id is unset.
func (id ID) IsZero() bool { return id == ID{} }

// Time is when id was made, to the millisecond.
func (id ID) Time() time.Time {
	var b [8]byte
	copy(b[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:]))).UTC() //nolint:gosec // 48 bits fit
}

// Format writes id behind its prefix.
func (p Prefix) Format(id ID) string {
	buf := make([]byte, len(p)+26)
	copy(buf, p)
	out := buf[len(p):]
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	for i := 25; i >= 0; i-- {
		out[i] = alphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(buf)
}

// Parse reads what Format wrote. Anything else is ErrBadID.
func (p Prefix) Parse(s string) (ID, error) {
	if len(s) != len(p)+26 || s[:len(p)] != string(p) {
		return ID{}, ErrBadID
	}
	s = s[len(p):]
	if s[0] > '7' { // 26 characters carry 130 bits; the first two are none of ours
		return ID{}, ErrBadID
	}
	var hi, lo uint64
	for i := range 26 {
		v := value(s[i])
		if v < 0 {
			return ID{}, ErrBadID
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	var id ID
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id, nil
}

// value is the number of a character of the alphabet, or -1.
func value(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c < 'a' || c > 'z' || c == 'i' || c == 'l' || c == 'o' || c == 'u':
		return -1
	case c < 'i':
		return int(c-'a') + 10
	case c < 'l':
		return int(c-'j') + 18
	case c < 'o':
		return int(c-'m') + 20
	case c < 'u':
		return int(c-'p') + 22
	default:
		return int(c-'v') + 27
	}
}

// FloorID is the smallest id made at or after t, to the millisecond: the
// boundary of a time window in a list ordered by id.
func FloorID(t time.Time) ID {
	var id ID
	putMillis(&id, max(t.UnixMilli(), 0))
	return id
}

func putMillis(id *ID, ms int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(ms)) //nolint:gosec // never negative
	copy(id[:6], b[2:])
}

// IDs makes ids that only grow: RFC 9562 section 6.2, method 1, a counter of
// 26 bits that starts at a random place in each millisecond and carries into
// the time when it overflows. Safe for concurrent use; the zero value works.
type IDs struct {
	mu    sync.Mutex
	last  int64
	count uint32
}

// New makes an id for something created at t. When the clock steps back the
// ids keep growing from where they were.
func (g *IDs) New(t time.Time) ID {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	g.mu.Lock()
	if ms := t.UnixMilli(); ms > g.last {
		g.last = ms
		// The top bit is left clear so that a burst has room before it must
		// borrow from the next millisecond.
		g.count = binary.BigEndian.Uint32(random[:4]) & (1<<25 - 1)
	} else if g.count++; g.count >= 1<<26 {
		g.last++
		g.count = 0
	}
	ms, count := g.last, g.count
	g.mu.Unlock()

	var id ID
	putMillis(&id, ms)
	id[6] = 0x70 | byte(count>>22)     //nolint:gosec // the low bits
	id[7] = byte(count >> 14)          //nolint:gosec // the low bits
	id[8] = 0x80 | byte(count>>8)&0x3f //nolint:gosec // the low bits
	id[9] = byte(count)                //nolint:gosec // the low bits
	copy(id[10:], random[2:])
	return id
}
