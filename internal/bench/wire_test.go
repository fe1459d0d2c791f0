package bench

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

func TestAQuantileIsOffByLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(1, int64(10*time.Minute)).Draw(t, "duration"))
		var b buckets
		b.add(d)
		h := b.histogram()
		if got := h.quantile(0.99); got != d {
			t.Errorf("the quantile of one duration %v is %v", d, got)
		}
		b.add(time.Hour) // so that the largest does not stand for it
		h = b.histogram()
		if got := h.quantile(0.5); got < d || float64(got) > float64(d)*1.07 {
			t.Errorf("%v counts as %v", d, got)
		}
	})
}

func TestQuantilesOfWhatWasMerged(t *testing.T) {
	var one, other buckets
	for i := range 99 {
		one.add(time.Duration(i+1) * time.Microsecond)
	}
	other.add(time.Second)
	h := one.histogram()
	h.merge(other.histogram())
	if got := h.quantile(0.99); got < 99*time.Microsecond || got > 106*time.Microsecond {
		t.Errorf("p99 of 1 to 99 µs and a second = %v", got)
	}
	if got := h.quantile(1); got != time.Second {
		t.Errorf("the largest = %v", got)
	}
	if got := (&histogram{}).quantile(0.5); got != 0 {
		t.Errorf("the quantile of nothing = %v", got)
	}
}

func TestWhatIsStampedIsRead(t *testing.T) {
	for _, size := range []int{1, 600, 5000} {
		text := payload(size)
		if size > 200 && len(text) != size {
			t.Errorf("a payload of %d bytes has %d", size, len(text))
		}
		at := time.Unix(0, 1764028530123456789)
		stamp(text, at, 42)
		gotAt, n, ok := readStamp(text)
		if !ok || n != 42 || !gotAt.Equal(at) {
			t.Errorf("read %v, %d, %v", gotAt, n, ok)
		}
	}
	if _, _, ok := readStamp([]byte(`{"at":"17","number":"no"}`)); ok {
		t.Error("read a stamp where there is none")
	}
}

func TestMessagesAreReadWhereverTheyAreCut(t *testing.T) {
	const first = "POST /fast/1 HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 5\r\n\r\nhello"
	const second = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n"
	long := "POST / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000)
	for name, r := range map[string]io.Reader{
		"at once":            strings.NewReader(first + second + long),
		"a byte at a time":   iotest.OneByteReader(strings.NewReader(first + second + long)),
		"with half of each":  iotest.HalfReader(strings.NewReader(first + second + long)),
		"with the end early": iotest.DataErrReader(strings.NewReader(first + second + long)),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWireReader(r)
			m, err := w.read()
			if err != nil || string(m.body) != "hello" || string(pathOf(m.head)) != "/fast/1" {
				t.Fatalf("the first is %q, %q, %v", m.head, m.body, err)
			}
			m, err = w.read()
			if err != nil || len(m.body) != 0 || statusOf(m.head) != 503 {
				t.Fatalf("the second is %q, %q, %v", m.head, m.body, err)
			}
			m, err = w.read()
			if err != nil || len(m.body) != 20000 {
				t.Fatalf("the third has %d bytes, %v", len(m.body), err)
			}
			if _, err := w.read(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last comes %v", err)
			}
		})
	}
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"a head without an end": "POST / HTTP/1.1\r\nHost: a",
		"a body cut short":      "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhello",
		"a negative length":     "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"chunks":                "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
		"an endless head":       "POST / HTTP/1.1\r\nA: " + strings.Repeat("x", 20000),
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := newWireReader(strings.NewReader(text)).read(); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("read %q, %q, %v", m.head, m.body, err)
			}
		})
	}
}

func TestABitmapKnowsWhatItHas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bitmap
		seen := map[int64]bool{}
		for _, n := range rapid.SliceOf(rapid.Int64Range(0, 5000)).Draw(t, "numbers") {
			if fresh := b.add(n); fresh == seen[n] {
				t.Errorf("add(%d) = %v, though seen before is %v", n, fresh, seen[n])
			}
			seen[n] = true
		}
	})
}
