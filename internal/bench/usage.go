package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"
)

// usage is what a process has used since it began.
type usage struct {
	// CPU is its processor time, its own and the kernel's for it.
	CPU time.Duration `json:"cpu"`
	// Peak is its largest resident memory, in bytes.
	Peak int64 `json:"peak"`
}

// usageOf measures this process.
func usageOf() (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, fmt.Errorf("resources used: %w", err)
	}
	u := usage{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()), Peak: int64(r.Maxrss)} //nolint:unconvert // not on every machine
	if runtime.GOOS != "darwin" {
		u.Peak *= 1024
	}
	// The kernel counts into Maxrss what the parent had when it forked.
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		u.Peak = kilobytes(status, "VmHWM:")
	}
	return u, nil
}

func kilobytes(status []byte, name string) int64 {
	_, rest, _ := bytes.Cut(status, []byte("\n"+name))
	fields := bytes.Fields(rest[:min(len(rest), 40)])
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return n * 1024
}

// busy is the processor time that all of the machine has spent, and whether the
// system tells. It is counted in hundredths of a second.
func busy() (time.Duration, bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := bytes.Fields(line)
	const idle, waiting, stolen = 4, 5, 8
	var all time.Duration
	for i, f := range fields {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if i == 0 || i > stolen || i == idle || i == waiting || i == stolen || err != nil {
			continue
		}
		all += time.Duration(n) * 10 * time.Millisecond
	}
	return all, len(fields) > stolen
}

// usage asks a process what it has used.
func (p *process) usage(ctx context.Context) (u usage, err error) {
	err = p.ask(ctx, "usage", nil, &u)
	return u, err
}

// profile starts to write down where the processor time of this process goes,
// into the file that is named, or stops when none is.
func profile(args json.RawMessage) error {
	var path string
	if err := json.Unmarshal(args, &path); err != nil {
		return err
	}
	if path == "" {
		stopProfile()
		return nil
	}
	f, err := os.Create(path) //nolint:gosec // whoever measures names the directory
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(f)
}

// stopProfile leaves the file to the end of the process, which is near.
func stopProfile() { pprof.StopCPUProfile() }
