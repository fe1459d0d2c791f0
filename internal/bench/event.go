package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An event carries the time at which it was sent and its number, in digits of
// fixed width, so that one text serves for all and the receiver finds them
// wherever they are put.
const (
	atName, atDigits         = `"at":"`, 19
	numberName, numberDigits = `"number":"`, 12
)

// eventType is the type of every event of a benchmark.
const eventType = "bench.event"

// payload is the text of an event of this many bytes, with zeros for time and
// number.
func payload(size int) []byte {
	const start = `{` + atName + `%019d",` + numberName + `%012d","type":"` + eventType + `","data":{"text":"`
	const end = `"}}`
	text := fmt.Sprintf(start, 0, 0)
	if room := size - len(text) - len(end); room > 0 {
		text += strings.Repeat("The quick brown fox jumps over the lazy dog. ", room/45+1)[:room]
	}
	return []byte(text + end)
}

// stamp writes time and number into a text that holds an event.
func stamp(text []byte, at time.Time, number int64) {
	digits(text, atName, atDigits, at.UnixNano())
	digits(text, numberName, numberDigits, number)
}

func digits(text []byte, name string, width int, v int64) {
	i := bytes.Index(text, []byte(name)) + len(name)
	for j := i + width - 1; j >= i; j-- {
		text[j] = byte('0' + v%10)
		v /= 10
	}
}

// readStamp finds time and number in the body of a webhook.
func readStamp(body []byte) (at time.Time, number int64, ok bool) {
	nanos, ok1 := readDigits(body, atName, atDigits)
	number, ok2 := readDigits(body, numberName, numberDigits)
	return time.Unix(0, nanos), number, ok1 && ok2
}

func readDigits(text []byte, name string, width int) (int64, bool) {
	i := bytes.Index(text, []byte(name))
	if i < 0 || i+len(name)+width > len(text) {
		return 0, false
	}
	i += len(name)
	v, err := strconv.ParseInt(string(text[i:i+width]), 10, 64)
	return v, err == nil
}
