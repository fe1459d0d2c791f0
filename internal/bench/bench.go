package bench

import (
	"context"
	"errors"
	"fanfare/internal/config"
	"fanfare/internal/signature"
	"fanfare/internal/store"
	"fmt"
	"io"
	"net/netip"
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
	// FanOut lists how many endpoints get each message, Batch is how many
	// messages come with a request, Rate how many requests come in a second
	// where that is fixed.
	FanOut []int
	Batch  int
	Rate   float64
	// Backlog is how many deliveries wait for a dead endpoint, History how many
	// messages are stored already, least first.
	Backlog int
	History []int
	// Endpoints is how many customers there are where there are many, FairRate
	// how many messages come for the healthy ones in a second, Import how many
	// come for one in a round at most, as fast as they are taken.
	Endpoints int
	FairRate  float64
	Import    int
	// ImportRate is how many messages the import brings in a second; zero is as
	// fast as they are taken.
	ImportRate float64
	// JSON prints the findings for machines.
	JSON bool
	// Profiles is a directory for profiles of processor time; none if empty.
	Profiles string
	// Node is how the node is configured. Its database is not used: the node
	// gets a file of its own that is removed afterwards, or on PostgreSQL a
	// schema of its own.
	Node config.Config
	// Dir is where files are kept meanwhile: the system's place for them if
	// empty.
	Dir string
	// Program is what to call, with a role as one more argument, for a process
	// of the benchmark.
	Program []string
}

// check reports the first setting that cannot be used.
func (c *Config) check() error {
	for _, s := range []struct {
		flag        string
		value       float64
		least, most float64
	}{
		{"-rounds", float64(c.Rounds), 1, 1000},
		{"-duration", c.Duration.Seconds(), 0.01, 3600},
		{"-inflight", float64(c.InFlight), 1, 10_000},
		{"-size", float64(c.Size), 150, 100_000},
		{"-batch", float64(c.Batch), 1, 1000},
		{"-rate", c.Rate, 1, 1_000_000},
		{"-backlog", float64(c.Backlog), 100, 100_000_000},
		{"-endpoints", float64(c.Endpoints), 10, 10_000},
		{"-fair-rate", c.FairRate, 1, 1_000_000},
		{"-import", float64(c.Import), 1, 100_000_000},
		{"-import-rate", c.ImportRate, 0, 1_000_000},
		{"-fanout", float64(slices.Min(append([]int{1}, c.FanOut...))), 1, 1000},
		{"-fanout", float64(slices.Max(append([]int{1}, c.FanOut...))), 1, 1000},
		{"-history", float64(slices.Min(append([]int{10}, c.History...))), 10, 1_000_000_000},
		{"-history", float64(slices.Max(append([]int{10}, c.History...))), 10, 1_000_000_000},
	} {
		if s.value < s.least || s.value > s.most {
			problem := fmt.Sprintf("must be from %g to %g", s.least, s.most)
			return &config.Error{Setting: s.flag, Value: fmt.Sprintf("%g", s.value), Problem: problem, Example: fmt.Sprintf("%g", s.least)}
		}
	}
	return nil
}

// benchmark is a part that is run on its own or with the others.
type benchmark struct {
	name, does string
	run        func(ctx context.Context, b *run) error
}

var benchmarks = []benchmark{
	{"single", "one message a request to one endpoint, as fast as it goes, and a bare relay", single},
	{"steady", "the same at a fixed rate", steady},
	{"fanout", "each message to many endpoints, and a bare loop that signs and sends", fanOut},
	{"batch", "many messages a request to one endpoint", batch},
	{"backlog", "deliveries that wait for a dead endpoint, a start with them, and how they go", backlog},
	{"history", "what a delivery costs, and a page of a list, with few and with many messages stored", ages},
	{"pages", "what each page of the portal takes with many messages stored", pages},
	{"fair", "how the healthy fare beside endpoints that hang, that refuse, and a huge import", fair},
}

// Parts lists what Config.Only can name, with what each does.
func Parts() []string {
	var all []string
	for _, p := range benchmarks {
		all = append(all, fmt.Sprintf("%-8s %s", p.name, p.does))
	}
	return all
}

// run is a benchmark under way.
type run struct {
	Config
	report    *report
	dir       string
	secret    string
	processes []*process
	// cleanup undoes what was made outside of dir.
	cleanup []func() error
	// databases counts those that were made.
	databases int
	// next is the number of the next event: no two bear the same.
	next int64
}

// Run measures and prints what it finds to out; what goes on meanwhile to
// progress, if that is a terminal.
func Run(ctx context.Context, cfg Config, out, progress io.Writer) (err error) {
	parts, err := choose(cfg.Only)
	if err == nil {
		err = cfg.check()
	}
	if err != nil {
		return err
	}
	b := &run{Config: cfg, report: &report{w: out, progressTo: progress, asJSON: cfg.JSON}, secret: signature.NewSecret()}
	if b.dir, err = os.MkdirTemp(cfg.Dir, "fanfare-bench-"); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, b.end(), os.RemoveAll(b.dir))
	}()
	if b.report.Machine, err = describe(b.dir); err != nil {
		return err
	}
	b.report.Database, _, _ = strings.Cut(cfg.Node.Database, ":")
	b.report.begin()
	for i := range parts {
		b.report.section(&parts[i])
		err := parts[i].run(ctx, b)
		if err = errors.Join(err, b.end()); err != nil {
			return fmt.Errorf("%s: %w", parts[i].name, err)
		}
	}
	return b.report.end()
}

func choose(names []string) ([]benchmark, error) {
	if len(names) == 0 {
		return benchmarks, nil
	}
	var chosen []benchmark
	for _, name := range names {
		i := slices.IndexFunc(benchmarks, func(p benchmark) bool { return p.name == name })
		if i < 0 {
			problem := "is no part; the parts are\n  " + strings.Join(Parts(), "\n  ") + "\n"
			return nil, &config.Error{Setting: "-only", Value: name, Problem: problem, Example: "single,fanout"}
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

// end ends a part: its processes stop, and its databases go.
func (b *run) end() error {
	for _, p := range slices.Backward(b.processes) {
		p.stop()
	}
	b.processes = nil
	var all error
	for _, undo := range slices.Backward(b.cleanup) {
		all = errors.Join(all, undo())
	}
	b.cleanup = nil
	return all
}

// fresh is the configuration of a node on a database of its own.
func (b *run) fresh(ctx context.Context) (*config.Config, error) {
	cfg := b.Node
	// What the receiver and a second node need, whatever the environment says.
	cfg.Listen, cfg.AdminListen, cfg.HTTPSOnly = "127.0.0.1:0", "", false
	cfg.AllowNetworks = append(slices.Clip(cfg.AllowNetworks), netip.MustParsePrefix("127.0.0.0/8"))
	b.databases++
	if strings.HasPrefix(cfg.Database, "sqlite:") {
		path := filepath.Join(b.dir, fmt.Sprintf("%d.db", b.databases))
		cfg.Database = "sqlite:" + path
		b.cleanup = append(b.cleanup, func() error {
			files, err := filepath.Glob(path + "*")
			for _, f := range files {
				err = errors.Join(err, os.Remove(f))
			}
			return err
		})
		return &cfg, nil
	}
	name := fmt.Sprintf("%s_%d", strings.ReplaceAll(filepath.Base(b.dir), "-", "_"), b.databases)
	own, drop, err := store.Scratch(ctx, cfg.Database, name)
	if err != nil {
		return nil, err
	}
	cfg.Database = own
	b.cleanup = append(b.cleanup, drop)
	return &cfg, nil
}
