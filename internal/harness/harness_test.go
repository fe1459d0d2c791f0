package harness_test

import (
	"bufio"
	"fanfare/internal/harness"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// crashDirectory names, in the child process of TestAfterExit, the directory
// that its script is to remove.
const crashDirectory = "HARNESS_TEST_DIRECTORY"

// recorder is a testing.TB that notes how the code under test ended its test.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper()                      {}
func (r *recorder) Skip(args ...any)             { r.skipped = fmt.Sprint(args...) }
func (r *recorder) Fatalf(form string, a ...any) { r.failed = fmt.Sprintf(form, a...); panic(r) }

func TestMissing(t *testing.T) {
	const sentence = "PostgreSQL is not installed: apt-get install postgresql"
	for name, tt := range map[string]struct {
		require    string
		wantFailed bool
	}{
		"a developer's run skips":           {"", false},
		"a run that requires all is failed": {"1", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(harness.RequireVariable, tt.require)
			r := &recorder{TB: t}
			func() {
				defer func() {
					if v := recover(); v != nil && v != any(r) {
						panic(v)
					}
				}()
				harness.Missing(r, sentence)
			}()
			said, silent := r.skipped, r.failed
			if tt.wantFailed {
				said, silent = silent, said
			}
			if !strings.HasPrefix(said, sentence) || silent != "" {
				t.Errorf("Missing skipped with %q and failed with %q", r.skipped, r.failed)
			}
		})
	}
}

func TestAfterExitRunsTheScriptWhenAsked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's here")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	now, err := harness.AfterExit(nil, `rm -r "$1"`, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the script ran before it was asked to: %v", err)
	}
	if err := now(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after the script ran, Stat(dir) = %v, want that it does not exist", err)
	}
}

func TestAfterExitReportsAScriptThatFails(t *testing.T) {
	now, err := harness.AfterExit(nil, "exit 3")
	if err != nil {
		t.Fatal(err)
	}
	if err := now(); err == nil {
		t.Error("no error from a script that ended with status 3")
	}
}

func TestAfterExitSurvivesSIGKILL(t *testing.T) {
	if dir := os.Getenv(crashDirectory); dir != "" {
		crash(t, dir)
	}
	// The script says that it is done by closing the only write end of a FIFO.
	dir := t.TempDir()
	fifo := filepath.Join(dir, "done")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAfterExitSurvivesSIGKILL$")
	child.Env = append(os.Environ(), crashDirectory+"="+dir)
	out, err := child.CombinedOutput()
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v, want SIGKILL; it printed:\n%s", err, out)
	}
	done, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer done.Close()
	line, err := bufio.NewReader(done).ReadString('\n')
	if line != "cleaned\n" {
		t.Errorf("the script wrote %q (%v), want %q", line, err, "cleaned\n")
	}
}

// crash kills its own process after it asked for a last word.
func crash(t *testing.T, dir string) {
	if _, err := harness.AfterExit(nil, `echo cleaned >"$1"`, filepath.Join(dir, "done")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {}
}
