package bench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

// printer writes what was found, and on a terminal what is going on.
type printer struct {
	w   io.Writer
	err error
	// busy says that a line of progress is on the terminal.
	busy bool
}

func (p *printer) line(format string, args ...any) {
	p.clear()
	if _, err := fmt.Fprintf(p.w, format+"\n", args...); err != nil && p.err == nil {
		p.err = err
	}
}

// progress shows what is being done: in place on a terminal, not at all in a
// pipe.
func (p *printer) progress(format string, args ...any) {
	f, ok := p.w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	p.clear()
	_, _ = fmt.Fprintf(p.w, format, args...) // of no consequence
	p.busy = true
}

func (p *printer) clear() {
	if p.busy {
		_, _ = fmt.Fprint(p.w, "\r\033[K") // of no consequence
		p.busy = false
	}
}

func (p *printer) machine() {
	p.line("%s %s/%s, %d processors", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}

func (p *printer) heading(name, does string) {
	p.line("")
	p.line("%s: %s", name, does)
}

// side prints the medians of the rounds of a side.
func (p *printer) side(s *side) {
	p.line("  %-8s %8.0f deliveries/s   p50 %s  p99 %s   duplicates %d", s.name, median(s.all, rate),
		show(quantile(s.all, 0.5)), show(quantile(s.all, 0.99)), total(s.all, func(r *round) int64 { return r.came.Again }))
	var cpu, peak []string
	var all float64
	for _, at := range s.at {
		v := median(s.all, func(r *round) float64 { return r.cpu[at.role].Seconds() * 10000 / float64(r.calls) })
		all += v
		cpu = append(cpu, fmt.Sprintf("%s %.3f", at.role, v))
		peak = append(peak, fmt.Sprintf("%s %d MiB", at.role, s.all[len(s.all)-1].peak[at.role]>>20))
	}
	p.line("           processor seconds per 10,000: %s, all %.3f", strings.Join(cpu, ", "), all)
	p.line("           peak memory: %s", strings.Join(peak, ", "))
	rates := make([]string, len(s.all))
	for i := range s.all {
		rates[i] = fmt.Sprintf("%.0f", s.all[i].Rate)
	}
	p.line("           rounds: %s", strings.Join(rates, " "))
}

// show is a duration of three digits.
func show(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return fmt.Sprintf("%.1fms", d.Seconds()*1000)
	default:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
}

func rate(r *round) float64 { return r.Rate }

func median(all []round, of func(*round) float64) float64 {
	values := make([]float64, len(all))
	for i := range all {
		values[i] = of(&all[i])
	}
	slices.Sort(values)
	if len(values) == 0 {
		return 0
	}
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

func quantile(all []round, q float64) time.Duration {
	var h histogram
	for i := range all {
		h.merge(all[i].came.Delays)
	}
	return h.quantile(q)
}

func total(all []round, of func(*round) int64) (n int64) {
	for i := range all {
		n += of(&all[i])
	}
	return n
}
