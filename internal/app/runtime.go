package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// oneMoreProcessor lets one more goroutine run at once than there are processors:
// the writer of the database spends half of its time in the system's calls, and
// when it comes out of one in which it has waited for the disk, all others that
// want to run would go first, and all whom its commit keeps waiting with it.
// Where GOMAXPROCS is set, the operator has decided.
var oneMoreProcessor = sync.OnceFunc(func() {
	if os.Getenv("GOMAXPROCS") == "" { //nolint:forbidigo // it is the runtime's, not ours
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
})

// smallHeap is up to how many bytes the heap may grow before it is collected,
// whatever little of it is in use: a node at work keeps a few MiB and throws
// away a hundred each second, of which the collector would otherwise make a
// tenth of its work.
const smallHeap = 24 << 20

// relaxGC lets the heap of the process grow to smallHeap between collections,
// and to twice what is in use beyond that, as ever. Where GOGC says something
// else, the operator has decided.
var relaxGC = sync.OnceFunc(func() {
	const unset = 100
	if was := debug.SetGCPercent(unset); was != unset {
		debug.SetGCPercent(was)
		return
	}
	afterGC(&sentinel{})
})

// sentinel is something that each collection finds unused.
type sentinel struct{ _ [64]byte }

// afterGC sets what the next collection waits for, after this one and each that
// follows: a finalizer runs once the collector has found its object unused.
func afterGC(s *sentinel) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(sample)
	live, others := float64(sample[0].Value.Uint64()), float64(sample[1].Value.Uint64()+sample[2].Value.Uint64())
	percent := 100
	if live < smallHeap/2 {
		percent = max(percent, int(100*(smallHeap-live)/max(1<<20, live+others)))
	}
	// With more, the runtime's own least goal, of 4 MiB at 100 percent, would be
	// the larger one.
	debug.SetGCPercent(min(percent, 100*smallHeap/(4<<20)))
	runtime.SetFinalizer(s, afterGC)
}
