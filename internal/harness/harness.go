// Package harness holds what the test harnesses pgtest and browsertest share:
// what to do when a program they drive is not installed, and how to leave
// nothing behind when a test process dies. Only tests and harnesses import it.
package harness

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// RequireVariable names the environment variable that, set to 1, forbids tests
// to skip. CI sets it, so that a green run there has run everything.
const RequireVariable = "FANFARE_REQUIRE"

// Missing ends the test because something it needs is not on this machine:
// skipped on a developer's machine, failed where [RequireVariable] is 1. The
// sentence says what is missing and how to get it.
func Missing(t testing.TB, sentence string) {
	t.Helper()
	if os.Getenv(RequireVariable) == "1" {
		t.Fatalf("%s (%s=1 turns this skip into a failure)", sentence, RequireVariable)
	}
	t.Skip(sentence)
}

// AfterExit has sh run script once this process has ended, in whatever way it
// ends: a panic, a test timeout and SIGKILL included. The script finds args as
// $1, $2 and so on, and runs in the directory /, as the given user when as is
// not nil.
//
// The function returned runs the script now instead and waits for its end.
// Keep it reachable: when it is collected as garbage, the script runs too.
func AfterExit(as *syscall.Credential, script string, args ...string) (now func() error, err error) {
	// The shell waits for the end of its input, a pipe whose other end only
	// this process holds: the kernel closes it when the process is gone.
	argv := append([]string{"-c", "cat >/dev/null\n" + script, "after-exit"}, args...)
	cmd := exec.Command("sh", argv...) //nolint:noctx,gosec // it outlives every context of this process, and the script is the caller's own
	cmd.Dir = "/"
	// A session of its own, so that an interrupt typed at the terminal ends
	// the tests and not what cleans up after them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setsid: true}
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("open pipe to the shell: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the shell that cleans up: %w", err)
	}
	return func() error { return release(cmd, alive) }, nil
}

func release(cmd *exec.Cmd, alive io.Closer) error {
	if err := alive.Close(); err != nil {
		return fmt.Errorf("close pipe to the shell: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("run the script that cleans up: %w", err)
	}
	return nil
}
