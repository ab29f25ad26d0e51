package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/elastipod/elastipod/internal/crashpoint"
	"github.com/elastipod/elastipod/pod"
)

// Start implements [pod.Runtime]. It returns once the program has been executed.
func (r *Runtime) Start(ctx context.Context, q pod.StartRequest) (pod.Node, error) {
	defer r.changed()
	return call(ctx, r, "start node "+q.ID.String(), func() (pod.Node, error) { return r.start(ctx, q) })
}

func (r *Runtime) start(ctx context.Context, q pod.StartRequest) (pod.Node, error) {
	if err := q.Check(); err != nil {
		return pod.Node{}, err
	}
	if err := unsupported(q.Workload, q.Digest); err != nil {
		return pod.Node{}, err
	}
	path, err := lookPath(q.Workload, r.cfg.WorkDir)
	if err != nil {
		return pod.Node{}, err
	}
	who, err := lookUser(q.Workload.User)
	if err != nil {
		return pod.Node{}, err
	}
	if err := r.foreign(); err != nil {
		return pod.Node{}, err
	}
	release, err := r.lockNode(ctx, q.ID)
	if err != nil {
		return pod.Node{}, err
	}
	defer release()
	crashpoint.Here("process-start/locked")

	dir := r.nodeDir(q.ID)
	switch s, err := readState(dir); {
	case err == nil && r.runs(s):
		return s.view(), nil
	case err == nil || stateless(dir, err):
		if err := r.clear(ctx, dir, s); err != nil {
			return pod.Node{}, err
		}
	default:
		return pod.Node{}, err
	}
	l := &launch{r: r, q: q, dir: dir, path: path, who: who}
	s, err := l.run(ctx)
	if err != nil {
		return pod.Node{}, err
	}
	if s.Exit != nil {
		err := fmt.Errorf("%w: %s", pod.ErrExited, s.Exit.Reason())
		return pod.Node{}, errors.Join(err, r.clear(context.WithoutCancel(ctx), dir, s))
	}
	return s.view(), nil
}

// runs says whether the node's supervisor lives.
func (r *Runtime) runs(s nodeState) bool {
	return s.Exit == nil && s.Boot == r.boot && s.Supervisor.alive()
}

// clear removes what is left of a node that does not run.
func (r *Runtime) clear(ctx context.Context, dir string, s nodeState) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	// A supervisor whose manager was killed just after it had started it has no
	// state yet, and writes one soon; one that recorded an exit ends soon.
	for deadline := time.Now().Add(stubborn); supervised(dir) && time.Now().Before(deadline); {
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
		if late, err := readState(dir); err == nil {
			s = late
			if p, err := openProc(s.Supervisor); err == nil {
				_ = p.signal(sigKillAll)
				p.close()
			}
		}
	}
	if s.Mark != "" && s.Boot == r.boot && !s.clean() {
		if err := sweep(ctx, s.Mark); err != nil {
			return err
		}
	}
	if p, err := openProc(s.Supervisor); err == nil && s.Boot == r.boot { // it is about to end
		wait, cancel := context.WithTimeout(ctx, stubborn)
		_ = p.wait(wait)
		cancel()
		p.close()
	}
	reapRef(s.Supervisor)
	reapRef(s.Main)
	return removeNode(dir, s)
}

// clean says whether the supervisor saw the end of every descendant.
func (s nodeState) clean() bool { return s.Exit != nil }

// launch is one start of a node.
type launch struct {
	r    *Runtime
	q    pod.StartRequest
	dir  string
	path string
	who  *credential

	files []*os.File // inherited by the supervisor from descriptor 3 on
	state nodeState
}

// run starts the supervisor and waits for it to have executed the program. On
// an error nothing is left behind.
func (l *launch) run(ctx context.Context) (s nodeState, err error) {
	defer func() {
		for _, f := range l.files {
			_ = f.Close()
		}
		if err != nil {
			err = errors.Join(err, removeNode(l.dir, l.state))
		}
	}()
	status, err := l.prepare()
	if err != nil {
		return s, err
	}
	defer status.Close()
	crashpoint.Here("process-start/prepared")
	p, err := l.spawn()
	if err != nil {
		return s, err
	}
	crashpoint.Here("process-start/spawned")
	if err := l.await(ctx, status); err != nil {
		return s, errors.Join(err, l.abort(p))
	}
	if s, err = readState(l.dir); err != nil {
		return s, errors.Join(err, l.abort(p))
	}
	crashpoint.Here("process-start/answered")
	_ = p.Release() // it is waited for when it has ended, by whoever looks first
	return s, nil
}

// prepare makes the node's directory and all that the supervisor inherits, and
// returns where it reports.
func (l *launch) prepare() (status *os.File, err error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, err
	}
	alive, err := os.OpenFile(filepath.Join(l.dir, aliveFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	l.files = append(l.files, alive)
	if !tryFlock(alive) {
		return nil, errors.New("another supervisor runs this node")
	}
	ports := map[string]int{}
	l.state = nodeState{
		ID: l.q.ID, Revision: l.q.Revision, Kind: l.q.Kind, Mark: random(), Boot: l.r.boot,
		Endpoints: make(map[string]string, len(l.q.Workload.Ports)),
		Command:   l.q.Workload.Command, Settings: l.q.Settings,
	}
	if l.state.Secrets, err = writeSecrets(l.dir, l.who, l.q.Secrets); err != nil {
		return nil, err
	}
	status, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	l.files = append(l.files, w)
	for name := range l.q.Workload.Ports {
		port, f, err := reservePort(l.r.cfg.PortMin, l.r.cfg.PortMax)
		if err != nil {
			_ = status.Close()
			return nil, err
		}
		l.files = append(l.files, f)
		ports[name] = port
		l.state.Endpoints[name] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	err = writeJSON(filepath.Join(l.dir, runFile), runSpec{
		Path: l.path, Args: l.q.Workload.Command, WorkDir: l.r.cfg.WorkDir, Credential: l.who,
		Env:   environment(l.q, l.who, ports, l.state.Mark, l.state.Secrets),
		State: l.state,
	})
	if err != nil {
		_ = status.Close()
		return nil, err
	}
	return status, nil
}

// spawn starts the supervisor. It gets none of our environment but what the
// runtime of Go reads.
func (l *launch) spawn() (*os.Process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	errs, err := os.OpenFile(filepath.Join(l.dir, errorFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer errs.Close()
	args := append(append([]string(nil), l.r.cfg.Supervisor...), l.dir, strconv.Itoa(len(l.files)))
	p, err := os.StartProcess(l.r.supervisor, args, &os.ProcAttr{
		Dir: "/",
		// One thread that runs Go: a supervisor mostly waits.
		Env:   []string{"GOMAXPROCS=1", "PATH=" + os.Getenv("PATH")},
		Files: append([]*os.File{null, errs, errs}, l.files...),
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	// From here on the supervisor alone holds these; the pipe then tells of its
	// death.
	for _, f := range l.files {
		_ = f.Close()
	}
	l.files = nil
	return p, nil
}

// report is what a supervisor says once it has started its node, or has not.
type report struct {
	Error string `json:"error,omitempty"`
	Exec  bool   `json:"exec,omitempty"` // the program is none, or may not be executed
}

func (l *launch) await(ctx context.Context, status *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = status.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	b, err := io.ReadAll(status)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	var rep report
	if len(b) == 0 {
		said, _ := os.ReadFile(filepath.Join(l.dir, errorFile))
		return fmt.Errorf("supervisor %s ended: %.400s", strings.Join(l.r.cfg.Supervisor, " "), strings.TrimSpace(string(said)))
	}
	if err := json.Unmarshal(b, &rep); err != nil {
		return fmt.Errorf("supervisor %s answers %.80q: %w", strings.Join(l.r.cfg.Supervisor, " "), b, err)
	}
	switch {
	case rep.Exec:
		return fmt.Errorf("%w: workload.command[0]: %s: %s", pod.ErrImage, l.path, rep.Error)
	case rep.Error != "":
		return errors.New(rep.Error)
	}
	return nil
}

// abort ends all that a start has begun. The kernel kills the main process with
// its supervisor.
func (l *launch) abort(p *os.Process) error {
	_ = p.Kill()
	_, err := p.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), stubborn)
	defer cancel()
	return errors.Join(err, sweep(ctx, l.state.Mark))
}
