package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// machine says what was measured on. It names no host.
type machine struct {
	Go         string `json:"go"`
	System     string `json:"system"`
	Processors int    `json:"processors"`
	Model      string `json:"model"`
	Memory     int64  `json:"memory"`
	// Sync is what it takes to append 4 KiB to a file and have that on disk,
	// the median of many.
	Sync time.Duration `json:"sync"`
}

func describe(dir string) (machine, error) {
	m := machine{
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.NumCPU(), Model: "of unknown kind",
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := bytes.Cut(text, []byte("model name")); ok {
			line, _, _ := strings.Cut(string(rest), "\n")
			m.Model = strings.TrimLeft(line, "\t :")
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory = kilobytes(append([]byte("\n"), text...), "MemTotal:")
	}
	var err error
	m.Sync, err = syncTime(filepath.Join(dir, "sync"))
	return m, err
}

func syncTime(path string) (time.Duration, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // in our own directory
	if err != nil {
		return 0, err
	}
	defer os.Remove(path) //nolint:errcheck // its directory goes too
	defer f.Close()       //nolint:errcheck // each write was made durable
	block := make([]byte, 4096)
	times := make([]time.Duration, 50)
	for i := range times {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times[i] = time.Since(began)
	}
	return medianOf(times), nil
}
