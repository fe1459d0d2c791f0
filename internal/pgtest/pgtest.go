// Package pgtest gives tests a real PostgreSQL: one throw-away server for the
// test process, started when the first test asks for it and gone when the
// process is, and a fresh database for each test. Only tests import it.
package pgtest

import (
	"context"
	"errors"
	"fanfare/internal/harness"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// URL makes an empty database on a PostgreSQL of this test process and returns
// its URL. Where PostgreSQL is not installed the test is skipped, or failed
// where harness.RequireVariable forbids skips.
func URL(t testing.TB) string {
	t.Helper()
	s, err := start()
	if errors.Is(err, errMissing) {
		harness.Missing(t, "PostgreSQL is not installed: apt-get install postgresql, or set PG_BIN to its bin directory")
	}
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	conn, err := pgx.Connect(t.Context(), s.url("postgres"))
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create database: %v", err)
	}
	return s.url(name)
}

var errMissing = errors.New("not installed")

type server struct {
	port      int
	databases atomic.Int64
	// stop is kept so that it is not collected: that would end the server.
	stop func() error
}

func (s *server) url(database string) string {
	return fmt.Sprintf("postgres://fanfare@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

var start = sync.OnceValues(func() (*server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "fanfare-pg-")
	if err != nil {
		return nil, err
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return nil, err
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	// Durability is what the store's crash tests on SQLite are about; here
	// fsync would only cost time.
	for _, args := range [][]string{
		{"initdb", "-D", data, "-U", "fanfare", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"},
		{
			"pg_ctl", "-D", data, "-l", filepath.Join(dir, "log"), "-w", "-s", "-t", "60",
			"-o", fmt.Sprintf("-p %d -k %s -h 127.0.0.1 -c fsync=off -c max_connections=200", port, dir), "start",
		},
	} {
		cmd := exec.Command(filepath.Join(bin, args[0]), args[1:]...) //nolint:gosec // PostgreSQL's own programs; they serve every test of the process
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		if out, err := cmd.CombinedOutput(); err != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "log")) //nolint:gosec // our own directory
			_ = os.RemoveAll(dir)
			return nil, fmt.Errorf("%s: %w: %s%s", args[0], err, out, log)
		}
	}
	stop, err := harness.AfterExit(as, `"$1/pg_ctl" -D "$2/data" -m immediate -s stop; rm -rf "$2"`, bin, dir)
	return &server{port: port, stop: stop}, err
})

// binaries finds the directory of initdb and pg_ctl, which Debian keeps out of
// the PATH.
func binaries() (string, error) {
	if dir := os.Getenv("PG_BIN"); dir != "" {
		return dir, nil
	}
	if path, err := exec.LookPath("pg_ctl"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl")
	if err != nil || len(found) == 0 {
		return "", errMissing
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

// unprivileged is whom PostgreSQL runs as, since it refuses root; nil when this
// process is not root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // no other credential is needed
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return 0, err
	}
	defer l.Close() //nolint:errcheck // it held a number
	addr, err := netip.ParseAddrPort(l.Addr().String())
	return int(addr.Port()), err
}
