package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

// report is what a benchmark has found. It is printed as it grows, or as JSON
// at the end.
type report struct {
	Machine  machine    `json:"machine"`
	Database string     `json:"database"`
	Sections []*section `json:"parts"`
	Ratio    float64    `json:"ratio,omitempty"`

	w, progressTo io.Writer
	asJSON        bool
	err           error
	// busy says that a line of progress is on the terminal.
	busy bool
}

// section is what one part has found.
type section struct {
	Name    string    `json:"name"`
	Does    string    `json:"does"`
	Results []*result `json:"results,omitempty"`
	Figures []figure  `json:"figures,omitempty"`
}

// result is what was measured of one of those that are compared.
type result struct {
	Name string `json:"name"`
	// Rate and Accepted are in deliveries and in events a second, the medians
	// of the rounds; Rounds are the rates of each.
	Rate     float64   `json:"deliveriesPerSecond"`
	Accepted float64   `json:"acceptedPerSecond"`
	Rounds   []float64 `json:"rounds"`
	// P50 and P99 are from sending to receipt, over all rounds.
	P50        time.Duration `json:"p50"`
	P99        time.Duration `json:"p99"`
	Duplicates int64         `json:"duplicates"`
	// CPU is the processor time of each process for 10,000 deliveries, Peak
	// its largest resident memory in bytes.
	CPU  map[string]time.Duration `json:"cpuPer10000"`
	Peak map[string]int64         `json:"peakMemory"`
	// Others is how many processors were busy with something else, in the
	// worst of the rounds.
	Others float64 `json:"othersBusy"`
}

// figure is a number that stands for itself.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

func (r *report) line(format string, args ...any) {
	r.clear()
	if r.asJSON {
		return
	}
	if _, err := fmt.Fprintf(r.w, format+"\n", args...); err != nil && r.err == nil {
		r.err = err
	}
}

// progress shows what is being done: in place on a terminal, and not at all in
// a pipe.
func (r *report) progress(format string, args ...any) {
	if f, ok := r.progressTo.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	r.clear()
	_, _ = fmt.Fprintf(r.progressTo, "  "+format, args...) // of no consequence
	r.busy = true
}

func (r *report) clear() {
	if r.busy {
		_, _ = fmt.Fprint(r.progressTo, "\r\033[K") // of no consequence
		r.busy = false
	}
}

func (r *report) begin() {
	m := &r.Machine
	r.line("%s, %s, %d processors (%s), %.0f GiB of memory; a write made durable in %s; database %s",
		m.Go, m.System, m.Processors, m.Model, float64(m.Memory)/(1<<30), show(m.Sync), r.Database)
}

func (r *report) section(p *benchmark) {
	r.Sections = append(r.Sections, &section{Name: p.name, Does: p.does})
	r.line("")
	r.line("%s: %s", p.name, p.does)
}

func (r *report) result(v *result) {
	s := r.Sections[len(r.Sections)-1]
	s.Results = append(s.Results, v)
	r.line("  %-14s %8.0f deliveries/s  %8.0f accepted/s  p50 %-7s p99 %-7s duplicates %d",
		v.Name, v.Rate, v.Accepted, show(v.P50), show(v.P99), v.Duplicates)
	var cpu, peak []string
	var all time.Duration
	for _, role := range sortedKeys(v.CPU) {
		all += v.CPU[role]
		cpu = append(cpu, fmt.Sprintf("%s %.3f", role, v.CPU[role].Seconds()))
		peak = append(peak, fmt.Sprintf("%s %d", role, v.Peak[role]>>20))
	}
	r.line("                 processor seconds per 10,000: %s, all %.3f", strings.Join(cpu, ", "), all.Seconds())
	r.line("                 peak memory in MiB: %s", strings.Join(peak, ", "))
	rates := make([]string, len(v.Rounds))
	for i, rate := range v.Rounds {
		rates[i] = fmt.Sprintf("%.0f", rate)
	}
	r.line("                 rounds: %s; processors busy with something else: up to %.2f", strings.Join(rates, " "), v.Others)
}

func (r *report) figure(value float64, unit, name string, args ...any) {
	s := r.Sections[len(r.Sections)-1]
	f := figure{fmt.Sprintf(name, args...), value, unit}
	s.Figures = append(s.Figures, f)
	text := fmt.Sprintf("%.3g", value)
	if value >= 100 {
		text = fmt.Sprintf("%.0f", value)
	}
	r.line("  %-60s %s %s", f.Name, text, f.Unit)
}

func (r *report) end() error {
	if r.asJSON {
		e := json.NewEncoder(r.w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	if r.Ratio > 0 {
		r.line("\nratio %.2f", r.Ratio)
	}
	return r.err
}

// show is a duration of few digits.
func show(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1fms", d.Seconds()*1000)
	default:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
}

// medianOf is the middle value, of a copy that is put in order.
func medianOf[T int64 | float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
