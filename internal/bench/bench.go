package bench

import (
	"context"
	"errors"
	"fanfare/internal/config"
	"fanfare/internal/signature"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Config says what is measured and how.
type Config struct {
	// Only names the parts to run; all if empty.
	Only []string
	// Rounds is how often each of what is compared is measured, Duration for
	// how long each time.
	Rounds   int
	Duration time.Duration
	// InFlight is how many requests the producer keeps under way.
	InFlight int
	// Size is that of a payload, in bytes.
	Size int
	// Node is how the node is configured. A database "sqlite:" is a file of
	// its own that is removed afterwards.
	Node config.Config
	// Dir is where files are kept while it runs: the system's place for them
	// if empty.
	Dir string
	// Program is what to call, with a role as one more argument, for a process
	// of the benchmark.
	Program []string
}

// part of a benchmark is run on its own or with the others.
type benchmark struct {
	name, does string
	run        func(ctx context.Context, b *run) error
}

var benchmarks = []benchmark{
	{"single", "one message a request, one endpoint, against the bare relay", single},
}

// Parts lists what Config.Only can name, with what each does.
func Parts() []string {
	var all []string
	for _, p := range benchmarks {
		all = append(all, fmt.Sprintf("%-10s %s", p.name, p.does))
	}
	return all
}

// run is a benchmark under way.
type run struct {
	Config
	out       *printer
	dir       string
	secret    string
	processes []*process
	// next is the number of the next event: no two bear the same.
	next int64
	// ratio is the one that the last line tells.
	ratio float64
}

// Run measures and prints what it finds.
func Run(ctx context.Context, cfg Config, out io.Writer) (err error) {
	parts, err := choose(cfg.Only)
	if err != nil {
		return err
	}
	b := &run{Config: cfg, out: &printer{w: out}, secret: signature.NewSecret()}
	if b.dir, err = os.MkdirTemp(cfg.Dir, "fanfare-bench-"); err != nil {
		return err
	}
	defer func() {
		b.stopAll()
		err = errors.Join(err, os.RemoveAll(b.dir))
	}()
	b.out.machine()
	for _, p := range parts {
		b.out.heading(p.name, p.does)
		if err := p.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		b.stopAll()
	}
	if b.ratio > 0 {
		b.out.line("ratio %.2f", b.ratio)
	}
	return b.out.err
}

func choose(names []string) ([]benchmark, error) {
	if len(names) == 0 {
		return benchmarks, nil
	}
	var chosen []benchmark
	for _, name := range names {
		i := slices.IndexFunc(benchmarks, func(p benchmark) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only %s: there is no such part; there are:\n  %s", name, strings.Join(Parts(), "\n  "))
		}
		chosen = append(chosen, benchmarks[i])
	}
	return chosen, nil
}

// start starts a process that ends with this part of the benchmark.
func (b *run) start(role string) (*process, error) {
	p, err := start(b.Program, role, filepath.Join(b.dir, role+".log"))
	if err == nil {
		b.processes = append(b.processes, p)
	}
	return p, err
}

func (b *run) stopAll() {
	for _, p := range slices.Backward(b.processes) {
		p.stop()
	}
	b.processes = nil
}

// nodeConfig is the configuration of a node on a database of its own.
func (b *run) nodeConfig(name string) *config.Config {
	cfg := b.Node
	cfg.Listen = "127.0.0.1:0"
	if cfg.Database == "sqlite:" {
		cfg.Database += filepath.Join(b.dir, name+".db")
	}
	return &cfg
}

// receive starts the receiver.
func (b *run) receive(ctx context.Context) (p *process, url string, err error) {
	if p, err = b.start(roleReceiver); err != nil {
		return nil, "", err
	}
	var address string
	err = p.ask(ctx, "listen", listenArgs{"127.0.0.1:0", b.secret}, &address)
	return p, "http://" + address, err
}
