package bench_test

import (
	"bytes"
	"context"
	"fanfare/internal/auth"
	"fanfare/internal/bench"
	"fanfare/internal/config"
	"fmt"
	"net/netip"
	"os"
	"regexp"
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
	os.Exit(m.Run())
}

// tiny is a benchmark that is over in no time and says nothing of speed.
func tiny(t *testing.T, part string) bench.Config {
	t.Setenv(runProcess, "1")
	node := config.Default()
	node.Database = "sqlite:"
	node.SecretKey = auth.NewSecretKey()
	node.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	return bench.Config{
		Only: []string{part}, Rounds: 1, Duration: 50 * time.Millisecond, InFlight: 4, Size: 600,
		Node: node, Dir: t.TempDir(), Program: []string{os.Args[0]},
	}
}

func measure(t *testing.T, cfg bench.Config) string {
	t.Helper()
	var out bytes.Buffer
	err := bench.Run(t.Context(), cfg, &out)
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
	if err := bench.Run(t.Context(), cfg, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "single") {
		t.Errorf("Run = %v, want an error that names the parts", err)
	}
}
