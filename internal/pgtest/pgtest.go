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
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// URL makes an empty database on a PostgreSQL of this test process and returns
// its URL. Where PostgreSQL is not installed the test is skipped, or failed
// where harness.RequireVariable forbids skips.
func URL(t testing.TB) string {
	t.Helper()
	s, err := start()
	if errors.Is(err, errMissing) {
		harness.Missing(t, missing)
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

// missing is what whoever lacks PostgreSQL is told.
const missing = "PostgreSQL is not installed: apt-get install postgresql, or set PG_BIN to its bin directory"

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
	c, err := newCluster()
	if err != nil {
		return nil, err
	}
	// Durability is what the store's crash tests on SQLite are about; here
	// fsync would only cost time.
	if err := c.start("-c fsync=off"); err != nil {
		_ = os.RemoveAll(c.dir)
		return nil, err
	}
	stop, err := c.afterExit()
	return &server{port: c.port, stop: stop}, err
})

// cluster is a directory with the data of a PostgreSQL server.
type cluster struct {
	bin, dir string
	port     int
	as       *syscall.Credential
}

func newCluster() (*cluster, error) {
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
	c := &cluster{bin: bin, dir: dir, port: port, as: as}
	err = c.run("initdb", "-D", c.data(), "-U", "fanfare", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	return c, err
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) start(settings string) error {
	return c.run("pg_ctl", "-D", c.data(), "-l", filepath.Join(c.dir, "log"), "-w", "-s", "-t", "60",
		"-o", fmt.Sprintf("-p %d -k %s -h 127.0.0.1 -c max_connections=200 %s", c.port, c.dir, settings), "start")
}

func (c *cluster) run(program string, args ...string) error {
	cmd := exec.Command(filepath.Join(c.bin, program), args...) //nolint:gosec,noctx // PostgreSQL's own programs; they serve every test of the process
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
		return fmt.Errorf("%s: %w: %s%s", program, err, out, log)
	}
	return nil
}

func (c *cluster) afterExit() (stop func() error, err error) {
	return harness.AfterExit(c.as, `"$1/pg_ctl" -D "$2/data" -m immediate -s stop; rm -rf "$2"`, c.bin, c.dir)
}

// Server is a PostgreSQL of a test's own, which it may kill.
type Server struct {
	// URL names an empty database.
	URL string
	c   *cluster
}

// Own starts a server that lasts as long as the test and keeps what it has
// committed when it is killed.
func Own(t testing.TB) *Server {
	t.Helper()
	c, err := newCluster()
	if errors.Is(err, errMissing) {
		harness.Missing(t, missing)
	}
	if err != nil {
		t.Fatalf("make a PostgreSQL: %v", err)
	}
	s := &Server{URL: (&server{port: c.port}).url("postgres"), c: c}
	s.Start(t)
	stop, err := c.afterExit()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() }) // the server may be dead
	return s
}

// Start starts the server. After a kill that may take more than one try: the
// kernel takes a moment to free what the last one had.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	var err error
	for range 20 {
		if err = s.c.start(""); err == nil {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Fatalf("start PostgreSQL: %v", err)
}

// Kill ends the server and all its processes at once, without a word.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.c.data(), "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range append([]string{first}, strings.Fields(string(children))...) {
		if pid, err := strconv.Atoi(word); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
		}
	}
}

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
