package webhook

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestIDsGrow(t *testing.T) {
	var g IDs
	now := time.UnixMilli(1_700_000_000_000)
	last := g.New(now)
	for i := range 200_000 {
		at := now.Add(time.Duration(i/50_000) * time.Millisecond)
		if i%1000 == 0 {
			at = now.Add(-time.Hour) // a clock that steps back
		}
		id := g.New(at)
		if bytes.Compare(id[:], last[:]) <= 0 {
			t.Fatalf("id %d: %x is not above %x", i, id, last)
		}
		if id[6]>>4 != 7 || id[8]>>6 != 2 {
			t.Fatalf("id %x is not a UUID version 7", id)
		}
		last = id
	}
}

func TestIDFormatAndParseAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a, b ID
		copy(a[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "a"))
		copy(b[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "b"))
		sa, sb := MessageID.Format(a), MessageID.Format(b)
		if got, err := MessageID.Parse(sa); err != nil || got != a {
			t.Fatalf("Parse(%q) = %x, %v, want %x", sa, got, err, a)
		}
		if (bytes.Compare(a[:], b[:]) < 0) != (sa < sb) {
			t.Fatalf("the order of %q and %q is not that of their ids", sa, sb)
		}
	})
}

func TestMalformedIDsAreRefused(t *testing.T) {
	for name, s := range map[string]string{
		"empty":               "",
		"prefix alone":        "msg_",
		"another prefix":      "app_01hzx3v7k8m9n0p1q2r3s4t5v6",
		"too short":           "msg_01hzx3v7k8m9n0p1q2r3s4t5v",
		"too long":            "msg_01hzx3v7k8m9n0p1q2r3s4t5v6a",
		"upper case":          "msg_01HZX3V7K8M9N0P1Q2R3S4T5V6",
		"outside of alphabet": "msg_01hzx3v7k8m9n0p1q2r3s4t5vu",
		"over 128 bits":       "msg_81hzx3v7k8m9n0p1q2r3s4t5v6",
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := MessageID.Parse(s); !errors.Is(err, ErrBadID) {
				t.Errorf("Parse(%q) = %x, %v, want ErrBadID", s, id, err)
			}
		})
	}
}

func TestFloorIDBoundsAMillisecond(t *testing.T) {
	var g IDs
	at := time.UnixMilli(1_700_000_000_123)
	id, floor, next := g.New(at), FloorID(at), FloorID(at.Add(time.Millisecond))
	if bytes.Compare(id[:], floor[:]) < 0 || bytes.Compare(id[:], next[:]) >= 0 {
		t.Errorf("%x is not in [%x, %x)", id, floor, next)
	}
	if !id.Time().Equal(at) {
		t.Errorf("Time = %v, want %v", id.Time(), at)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("msg_01hzx3v7k8m9n0p1q2r3s4t5v6")
	f.Add("msg_\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := MessageID.Parse(s); err == nil && MessageID.Format(id) != s {
			t.Errorf("%q parses to %x, which is written %q", s, id, MessageID.Format(id))
		}
	})
}
