package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/pod"
)

// Descriptors that a supervisor inherits; reservations of ports follow.
const (
	firstFD  = 3 // the lock on aliveFile, held by being open
	statusFD = 4
)

// Supervise runs one node and returns when nothing of it is left. The main
// function of a program whose argument vector starts with [Config.Supervisor]
// calls it with the arguments that follow, before it does anything else, and
// exits with what it returns. The arguments are between this package and itself.
func Supervise(args []string) int {
	// The kernel kills the node when the thread that started it ends, so this
	// one must not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if len(args) != 2 {
		fmt.Fprintln(os.Stderr, "this command is started by the process runtime only")
		return 2
	}
	inherited, err := strconv.Atoi(args[1])
	if err != nil || inherited < 2 {
		fmt.Fprintf(os.Stderr, "supervisor: %q is not a number of files\n", args[1])
		return 2
	}
	closeInherited(firstFD + inherited)
	for fd := firstFD; fd < firstFD+inherited; fd++ {
		unix.CloseOnExec(fd)
	}
	status := os.NewFile(statusFD, "status")
	s := &supervisor{
		dir:    args[0],
		child:  make(chan os.Signal, 1),
		orders: make(chan os.Signal, 16),
	}
	rep := s.start()
	b, _ := json.Marshal(rep)
	_, _ = status.Write(b) // the manager may be gone; the node goes on
	_ = status.Close()
	if rep.Error != "" {
		return 1
	}
	s.run()
	if err := s.finish(); err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		return 1
	}
	return 0
}

// closeInherited closes the descriptors from first on that came to the manager
// from its own parent, so that neither we nor the node keep a stranger's pipe or
// socket open. What Go has opened is closed on exec, and by that told apart.
func closeInherited(first int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < first {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}

// supervisor runs one node.
type supervisor struct {
	dir     string
	child   chan os.Signal // a child has ended, maybe several
	orders  chan os.Signal // of the manager, and what is to have no effect
	state   nodeState
	out     *output
	drained chan struct{} // closed when the output has been read to its end
	ended   bool          // the main process has ended, and status is how
	status  unix.WaitStatus
	at      time.Time
}

// start executes the node's program.
func (s *supervisor) start() report {
	// Caught, not ignored: what is ignored stays so in the node.
	signal.Notify(s.child, unix.SIGCHLD)
	signal.Notify(s.orders, sigStop, sigKillAll, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE)
	if err := errors.Join(
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0),
		unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
	); err != nil {
		return report{Error: "prctl: " + err.Error()}
	}
	path := filepath.Join(s.dir, runFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return report{Error: err.Error()}
	}
	_ = os.Remove(path)
	var spec runSpec
	if err := json.Unmarshal(b, &spec); err != nil {
		return report{Error: err.Error()}
	}
	if s.out, err = openOutput(s.dir, outSize); err != nil {
		return report{Error: err.Error()}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return report{Error: err.Error()}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return report{Error: err.Error()}
	}
	pid, err := syscall.ForkExec(spec.Path, spec.Args, &syscall.ProcAttr{
		Dir: spec.WorkDir, Env: spec.Env,
		Files: []uintptr{null.Fd(), w.Fd(), w.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Credential: spec.Credential.sys()},
	})
	if err != nil {
		return report{Error: err.Error(), Exec: notExecutable(err)}
	}
	_, _ = w.Close(), null.Close()
	s.drained = make(chan struct{})
	go func() { // ends when no descendant holds the pipe, or with the process
		defer close(s.drained)
		_, _ = io.Copy(s.out, r)
	}()
	s.state = spec.State
	s.state.StartedAt = time.Now()
	var errs [2]error
	s.state.Main, errs[0] = refOf(pid)
	s.state.Supervisor, errs[1] = refOf(os.Getpid())
	if err := errors.Join(errs[:]...); err != nil {
		return report{Error: err.Error()}
	}
	if err := writeState(s.dir, s.state); err != nil {
		return report{Error: err.Error()}
	}
	return report{}
}

// notExecutable says whether a program cannot be executed whenever it is tried.
// Other errors, such as of a machine without memory, may pass.
func notExecutable(err error) bool {
	return slices.ContainsFunc([]error{unix.ENOENT, unix.EACCES, unix.EPERM, unix.ENOEXEC, unix.ENOTDIR, unix.EISDIR, unix.ELOOP},
		func(e error) bool { return errors.Is(err, e) })
}

// run passes signals on and reaps until the main process has ended, or all are
// to be killed.
func (s *supervisor) run() {
	for {
		select {
		case <-s.child:
			for s.wait(unix.WNOHANG) {
			}
			if s.ended {
				return
			}
		case sig := <-s.orders:
			switch sig {
			case sigStop:
				_ = unix.Kill(-s.state.Main.PID, unix.SIGTERM)
			case sigKillAll:
				return
			}
		}
	}
}

// wait reaps one child and says whether it did. Without WNOHANG it returns
// false only when there is no child.
func (s *supervisor) wait(options int) bool {
	var status unix.WaitStatus
	for {
		pid, err := unix.Wait4(-1, &status, options, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return false
		}
		if pid == s.state.Main.PID {
			s.ended, s.status, s.at = true, status, time.Now()
		}
		return true
	}
}

// finish kills every descendant, and records how the node ended.
func (s *supervisor) finish() error {
	for {
		t, err := readTable()
		if err != nil {
			return err
		}
		for _, pid := range t.descendants(os.Getpid()) {
			// No pid can have been used again: its zombie is kept by its parent,
			// which is not dead yet, or by us.
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		// Whose parent dies becomes our child, so that when there is no child
		// there is no descendant.
		if !s.wait(0) {
			break
		}
		for s.wait(unix.WNOHANG) {
		}
	}
	select {
	case <-s.drained:
	case <-time.After(time.Second): // somebody outside got hold of the pipe
	}
	e := pod.Exit{Code: s.status.ExitStatus(), At: s.at, LastLog: tailLog(s.dir, pod.LastLogLines)}
	if s.status.Signaled() {
		e.Code = 128 + int(s.status.Signal())
	}
	s.state.Exit = &e
	return writeState(s.dir, s.state)
}
