package main

import (
	"context"
	"fanfare/internal/auth"
	"fanfare/internal/bench"
	"fanfare/internal/config"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// benchDefaults are the settings of a node that is measured: a database that is
// thrown away, and a receiver on this machine.
func benchDefaults() config.Config {
	cfg := demoDefaults()
	cfg.RetrySchedule = config.Default().RetrySchedule
	cfg.Database = "sqlite:"
	cfg.SecretKey = auth.NewSecretKey()
	return cfg
}

func benchFlags(fs *flag.FlagSet, b *bench.Config) {
	fs.Func("only", "`parts` to run, separated by commas; all if not given:\n"+strings.Join(bench.Parts(), "\n"), func(v string) error {
		b.Only = strings.Split(v, ",")
		return nil
	})
	fs.IntVar(&b.Rounds, "rounds", 5, "`number` of times that each of what is compared is measured")
	fs.DurationVar(&b.Duration, "duration", 5*time.Second, "`duration` of a round")
	fs.IntVar(&b.InFlight, "inflight", 64, "`number` of requests that the producer keeps under way")
	fs.IntVar(&b.Size, "size", 600, "`bytes` of a payload")
	b.FanOut = []int{10, 100}
	fs.Func("fanout", "`numbers` of endpoints that get each message, separated by commas (default 10,100)", func(v string) (err error) {
		b.FanOut, err = numbers(v)
		return err
	})
	fs.IntVar(&b.Batch, "batch", 100, "`number` of messages in a request of the part batch")
	fs.Float64Var(&b.Rate, "rate", 500, "`number` of requests a second in the part steady")
	fs.IntVar(&b.Backlog, "backlog", 100_000, "`number` of deliveries that wait in the part backlog")
	b.History = []int{10_000, 100_000}
	fs.Func("history", "`numbers` of messages that are stored already in the part history, the least first (default 10000,100000)", func(v string) (err error) {
		b.History, err = numbers(v)
		return err
	})
	fs.IntVar(&b.Endpoints, "endpoints", 1000, "`number` of customers, with an endpoint each, in the parts history and fair")
	fs.Float64Var(&b.FairRate, "fair-rate", 1000, "`number` of messages a second for the healthy in the part fair")
	fs.IntVar(&b.Import, "import", 1_000_000, "`number` of messages that one customer imports at most in each round of the part fair")
	fs.Float64Var(&b.ImportRate, "import-rate", 0, "`number` of messages a second that the import brings (0 for as fast as they are taken)")
	fs.BoolVar(&b.JSON, "json", false, "print the findings as JSON")
	fs.StringVar(&b.Profiles, "profiles", "", "`directory` for profiles of the processor time that relay, loop and node spend")
	fs.StringVar(&b.Dir, "dir", "", "`directory` for databases while it runs (default the system's for temporary files)")
}

// numbers reads whole numbers above zero, separated by commas.
func numbers(list string) ([]int, error) {
	var all []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number above zero", text)
		}
		all = append(all, n)
	}
	return all, nil
}

func runBench(ctx context.Context, c *cli, in *input) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	in.bench.Node = *in.cfg
	in.bench.Program = []string{program, bench.Command}
	return bench.Run(ctx, in.bench, c.out, c.err)
}

// benchProcess is one of the processes of a benchmark.
func benchProcess(ctx context.Context, c *cli, in *input) error {
	return bench.Process(ctx, in.args[0], c.in, c.out)
}
