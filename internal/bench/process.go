package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// The kinds of processes.
const (
	roleProducer = "producer"
	roleReceiver = "receiver"
	roleRelay    = "relay"
	roleNode     = "node"
)

// Command is what the program is called with, before the role, to be one of the
// processes of a benchmark.
const Command = "bench-process"

// request is what a process is asked to do, and reply what comes of it, each a
// line of JSON on its standard input and output.
type request struct {
	Do   string          `json:"do"`
	Args json.RawMessage `json:"args,omitempty"`
}

type reply struct {
	Error  string          `json:"error,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

// actor is the part of a process that does something. It answers one request
// after another.
type actor interface {
	do(ctx context.Context, what string, args json.RawMessage) (answer any, err error)
	// close ends what it has started.
	close()
}

// Process is one of the processes of a benchmark, until its input ends.
func Process(ctx context.Context, role string, in io.Reader, out io.Writer) error {
	var a actor
	switch role {
	case roleProducer:
		a = &producer{}
	case roleReceiver:
		a = newReceiver()
	case roleRelay:
		a = &relay{}
	case roleNode:
		a = &node{}
	default:
		return fmt.Errorf("there is no process %q in a benchmark", role)
	}
	defer a.close()
	defer stopProfile()
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := out.Write(append(answer(ctx, a, line), '\n')); err != nil {
			return err
		}
	}
}

func answer(ctx context.Context, a actor, line []byte) []byte {
	var q request
	var r reply
	err := json.Unmarshal(line, &q)
	var v any
	switch {
	case err != nil:
	case q.Do == "usage":
		v, err = usageOf()
	case q.Do == "profile":
		err = profile(q.Args)
	default:
		v, err = a.do(ctx, q.Do, q.Args)
	}
	if err == nil {
		r.Answer, err = json.Marshal(v)
	}
	if err != nil {
		r.Error = err.Error()
	}
	text, _ := json.Marshal(r) // of strings and valid JSON
	return text
}

// process is the other end of a Process.
type process struct {
	role  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	log   *os.File
	mu    sync.Mutex
	ended bool
}

// start runs this program as a process of a benchmark. What it logs goes to a
// file.
func start(program []string, role, log string) (*process, error) {
	p := &process{role: role}
	var err error
	if p.log, err = os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil { //nolint:gosec // in our own directory
		return nil, err
	}
	// It ends with its input, and so with this process, however that ends.
	p.cmd = exec.Command(program[0], append(program[1:len(program):len(program)], role)...) //nolint:gosec,noctx // this program
	p.cmd.Stderr = p.log
	// An interrupt typed at the terminal is for the one who drives.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		var out io.ReadCloser
		if out, err = p.cmd.StdoutPipe(); err == nil {
			p.out = bufio.NewReader(out)
			err = p.cmd.Start()
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the %s: %w", role, err), p.log.Close())
	}
	return p, nil
}

// ask has the process do something and waits for its answer. When ctx ends
// first, the process is of no more use and is ended.
func (p *process) ask(ctx context.Context, what string, args, answer any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return fmt.Errorf("the %s has ended", p.role)
	}
	text, err := json.Marshal(args)
	if err == nil {
		text, err = json.Marshal(request{what, text})
	}
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	defer stop()
	var line []byte
	if _, err = p.in.Write(append(text, '\n')); err == nil {
		line, err = p.out.ReadBytes('\n')
	}
	if err != nil {
		p.ended = true
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("the %s ended (%s): %w%s", p.role, what, err, p.lastWords())
	}
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("the %s said %q: %w", p.role, line, err)
	}
	if r.Error != "" {
		return fmt.Errorf("%s, %s: %s", p.role, what, r.Error)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(r.Answer, answer)
}

// lastWords is the end of what a process has logged.
func (p *process) lastWords() string {
	const most = 2000
	f, err := os.Open(p.log.Name())
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // only read
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-most), io.SeekStart)
	}
	text, _ := io.ReadAll(io.LimitReader(f, most))
	if len(text) == 0 {
		return ""
	}
	return "\n" + string(text)
}

// stopTimeout is how long a process may take to end once its input has.
const stopTimeout = 30 * time.Second

// stop ends the process, unless it has ended, and waits for it.
func (p *process) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.in.Close() // or it has ended
	late := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.cmd.Wait()
	_ = p.log.Close()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
}
