package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fanfare/internal/auth"
	"fanfare/internal/bench"
	"fanfare/internal/config"
	"fanfare/internal/pgtest"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// runProcess makes the test binary be a process of a benchmark.
const runProcess = "FANFARE_BENCH_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(runProcess) == "1" {
		if err := bench.Process(context.Background(), os.Args[1], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := os.Setenv(runProcess, "1"); err != nil { // for the processes that tests start
		panic(err)
	}
	os.Exit(m.Run())
}

// tiny is a benchmark that is over in no time and says nothing of speed.
func tiny(t *testing.T, part string) bench.Config {
	node := config.Default()
	node.Database = "sqlite:"
	node.SecretKey = auth.NewSecretKey()
	// As an environment may have it that is not made for this.
	node.AdminListen, node.HTTPSOnly = "127.0.0.1:1", true
	// Short, for what hangs; and many retries, for machines that are busy.
	node.RequestTimeout = time.Second
	node.RetrySchedule = slices.Repeat([]time.Duration{100 * time.Millisecond}, 50)
	return bench.Config{
		Only: []string{part}, Rounds: 1, Duration: 50 * time.Millisecond, InFlight: 4, Size: 600, FanOut: []int{3}, Batch: 7, Rate: 200,
		Backlog: 300, History: []int{20, 1500}, Endpoints: 20, FairRate: 200, Import: 50,
		Node: node, Dir: t.TempDir(), Program: []string{os.Args[0]},
	}
}

func measure(t *testing.T, cfg bench.Config) string {
	t.Helper()
	var out bytes.Buffer
	err := bench.Run(t.Context(), cfg, &out, io.Discard)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheLastLineIsTheRatioToTheRelay(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(measure(t, tiny(t, "single"))), "\n")
	if last := lines[len(lines)-1]; !regexp.MustCompile(`^ratio \d+\.\d\d$`).MatchString(last) {
		t.Errorf("the last line is %q", last)
	}
}

func TestEveryPartRuns(t *testing.T) {
	for part, want := range map[string]string{
		"steady":  `fanfare +\d+ deliveries/s`,
		"fanout":  `ratio of 1 to 3 to the loop`,
		"batch":   `batch-7 +\d+ deliveries/s`,
		"backlog": `deliveries once the endpoint is back +\d`,
		"history": `page of messages of an endpoint`,
		"pages":   `events, of samples: three in all \(at first \d.* ms`,
		"fair":    `p99 of the healthy beside bad ones`,
	} {
		t.Run(part, func(t *testing.T) {
			if out := measure(t, tiny(t, part)); !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("nothing in the output is like %q", want)
			}
		})
	}
}

func TestOnPostgreSQLItRunsInASchemaOfItsOwn(t *testing.T) {
	cfg := tiny(t, "history")
	cfg.Node.Database = pgtest.URL(t)
	measure(t, cfg)
	// Whatever was made there is gone, and was not in the way of a node.
	s := storetest.Open(t, cfg.Node.Database)
	environment, err := s.Environment(t.Context(), store.MainEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	apps, err := s.Applications(t.Context(), environment, store.ApplicationFilter{}, store.Page{Limit: 10})
	if err != nil || len(apps) > 0 {
		t.Errorf("applications afterwards: %v %v", apps, err)
	}
}

func TestJSONSaysTheSame(t *testing.T) {
	cfg := tiny(t, "single")
	cfg.JSON = true
	var got struct {
		Machine struct{ Processors int }
		Ratio   float64
		Parts   []struct {
			Name    string
			Results []struct {
				Name                string
				DeliveriesPerSecond float64
				CPUPer10000         map[string]time.Duration
				PeakMemory          map[string]int64
			}
		}
	}
	if err := json.Unmarshal([]byte(measure(t, cfg)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Machine.Processors == 0 || got.Ratio == 0 || len(got.Parts) != 1 || len(got.Parts[0].Results) != 2 {
		t.Fatalf("got %+v", got)
	}
	own := got.Parts[0].Results[1]
	if own.Name != "fanfare" || own.DeliveriesPerSecond == 0 {
		t.Errorf("the node's result is %+v", own)
	}
	for _, role := range []string{"producer", "node", "receiver"} {
		if own.CPUPer10000[role] == 0 || own.PeakMemory[role] == 0 {
			t.Errorf("nothing is known of the %s: %+v", role, own)
		}
	}
}

func TestWhatCannotBeMeasuredIsRefused(t *testing.T) {
	for flag, change := range map[string]func(*bench.Config){
		"-rounds":  func(c *bench.Config) { c.Rounds = 0 },
		"-batch":   func(c *bench.Config) { c.Batch = 1001 },
		"-fanout":  func(c *bench.Config) { c.FanOut = []int{10, 2000} },
		"-history": func(c *bench.Config) { c.History = []int{0, 1000} },
	} {
		t.Run(flag, func(t *testing.T) {
			cfg := tiny(t, "single")
			change(&cfg)
			err := bench.Run(t.Context(), cfg, io.Discard, io.Discard)
			if e, ok := errors.AsType[*config.Error](err); !ok || e.Setting != flag {
				t.Errorf("Run = %v, want an error of %s", err, flag)
			}
		})
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	cfg := tiny(t, "single")
	measure(t, cfg)
	left, err := os.ReadDir(cfg.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the directory: %v %v", left, err)
	}
}

func TestAPartThatIsNotThereIsRefused(t *testing.T) {
	cfg := tiny(t, "nothing")
	if err := bench.Run(t.Context(), cfg, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "single") {
		t.Errorf("Run = %v, want an error that names the parts", err)
	}
}

func TestWhoeverInterruptsItIsNotKeptWaiting(t *testing.T) {
	cfg := tiny(t, "single")
	cfg.Duration, cfg.Rounds = time.Hour, 1
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	began := &trigger{text: "single:", do: func() { cancel(enough) }}
	if err := bench.Run(ctx, cfg, began, io.Discard); !errors.Is(err, enough) {
		t.Errorf("Run = %v, want that it was interrupted", err)
	}
	if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
		t.Errorf("left in the directory: %v %v", left, err)
	}
}

// trigger does something once a text is written.
type trigger struct {
	text string
	do   func()
}

func (t *trigger) Write(p []byte) (int, error) {
	if strings.Contains(string(p), t.text) {
		t.do()
	}
	return len(p), nil
}

func TestProfilesAreWritten(t *testing.T) {
	cfg := tiny(t, "single")
	cfg.Profiles = t.TempDir()
	measure(t, cfg)
	for _, name := range []string{"single-relay-relay.pprof", "single-fanfare-node.pprof"} {
		if info, err := os.Stat(filepath.Join(cfg.Profiles, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}
