package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one process, also after its pid was given to another.
type process struct {
	PID int `json:"pid"`
	// Start is when it started, in clock ticks since the system did.
	Start uint64 `json:"start"`
}

// alive says whether the process runs. A zombie does not; one of ours is
// reaped, so that no goroutine needs to wait for a process that outlives us.
func (p process) alive() bool {
	if p.PID <= 0 {
		return false
	}
	st, err := procStat(p.PID)
	if err != nil || (p.Start != 0 && st.start != p.Start) {
		return false
	}
	if st.ended() {
		_, _ = unix.Wait4(p.PID, nil, unix.WNOHANG, nil)
		return false
	}
	return true
}

// signal sends sig to the process, and to no other that has its pid now.
func (p process) signal(sig syscall.Signal) error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("haproxy: signal process %d: %w", p.PID, err)
	}
	return nil
}

// procStatus is what the system says of a process.
type procStatus struct {
	state  string // one letter, as in /proc/PID/stat
	parent int
	start  uint64 // in clock ticks since the system started
}

// ended says that the process waits to be reaped, and does nothing any more.
func (s procStatus) ended() bool { return s.state == "Z" || s.state == "X" }

// procStat reads the status of a process.
func procStat(pid int) (procStatus, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStatus{}, err
	}
	// The command in parentheses may hold anything; fields count from behind it.
	_, rest, ok := strings.Cut(string(data[bytes.LastIndexByte(data, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return procStatus{}, fmt.Errorf("haproxy: /proc/%d/stat is not understood", pid)
	}
	s := procStatus{state: fields[0]}
	s.parent, _ = strconv.Atoi(fields[1])
	s.start, err = strconv.ParseUint(fields[19], 10, 64)
	return s, err
}

// processOf returns the process that has the pid now.
func processOf(pid int) process {
	s, err := procStat(pid)
	if err != nil {
		return process{}
	}
	return process{PID: pid, Start: s.start}
}

// children returns the processes whose parent the process is and which have not
// ended.
func (p process) children() []process {
	if !p.alive() {
		return nil
	}
	var out []process
	for c, s := range allProcesses() {
		if s.parent == p.PID {
			out = append(out, c)
		}
	}
	return out
}

// allProcesses returns the processes of the machine that have not ended.
func allProcesses() iter.Seq2[process, procStatus] {
	return func(yield func(process, procStatus) bool) {
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil {
				continue
			}
			if s, err := procStat(pid); err == nil && !s.ended() && !yield(process{PID: pid, Start: s.start}, s) {
				return
			}
		}
	}
}

// stopped says whether the process was stopped by a signal and so does nothing
// until another one lets it go on.
func (p process) stopped() bool {
	s, err := procStat(p.PID)
	return err == nil && s.start == p.Start && s.state == "T"
}

// watch returns a channel that is closed as soon as the process ends; on systems
// that cannot tell, never. Call stop when it is not needed any more.
func (p process) watch() (ended <-chan struct{}, stop func()) {
	fd, err := unix.PidfdOpen(p.PID, unix.PIDFD_NONBLOCK) // so that waiting for it takes no thread
	if err != nil {
		return nil, func() {}
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	gone, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		conn, err := f.SyscallConn()
		// A pidfd becomes readable when its process ends.
		if err == nil && conn.Read(func(uintptr) bool { return !p.alive() }) == nil {
			close(gone)
		}
	}()
	return gone, func() { _ = f.Close(); <-done }
}

// poll calls f until it says that it is done, fails, or the context ends; first
// at once, and then less and less often, at last every 20 ms.
func poll(ctx context.Context, f func() (bool, error)) error {
	wait := time.Millisecond
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		if done, err := f(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		wait = min(wait*3/2, 20*time.Millisecond)
		timer.Reset(wait)
	}
}

var versionRE = regexp.MustCompile(`(?i)haproxy version (\d+)\.(\d+)\S*`)

// checkVersion asks the program for its version and refuses those that cannot
// take servers over the socket.
func (c Config) checkVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, c.Binary, "-v").Output()
	if err != nil {
		return "", fmt.Errorf("haproxy: %s -v: %w", c.Binary, err)
	}
	m := versionRE.FindStringSubmatch(string(out))
	if m == nil {
		return "", fmt.Errorf("haproxy: %s -v did not tell a version: %.100q", c.Binary, out)
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major < 2 || (major == 2 && minor < 6) {
		return "", fmt.Errorf("haproxy: %s is %s; 2.6 or newer is needed", c.Binary, m[0])
	}
	return strings.TrimSpace(m[0][len("haproxy version "):]), nil
}

// launch starts HAProxy in a session of its own, so that nothing that happens
// to us or our terminal reaches it. Its output goes to a file: a pipe would
// break with us.
// With kept it asks for its listening sockets first.
func (c Config) launch(kept bool) (process, error) {
	args := append([]string{c.Binary}, c.arguments()...)
	if kept {
		args = append(args, "-x", c.socket(keptSocket))
	}
	out, err := c.openOutput()
	if err != nil {
		return process{}, err
	}
	defer func() { _ = out.Close() }()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return process{}, fmt.Errorf("haproxy: start: %w", err)
	}
	defer func() { _ = null.Close() }()
	p, err := os.StartProcess(c.Binary, args, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=" + os.Getenv("PATH"), "TZ=" + os.Getenv("TZ")}, // no secret of ours
		Files: []*os.File{null, out, out},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return process{}, fmt.Errorf("haproxy: start %s: %w", c.Binary, err)
	}
	started := processOf(p.Pid)
	if err := p.Release(); err != nil {
		return started, fmt.Errorf("haproxy: start %s: %w", c.Binary, err)
	}
	return started, nil
}

// arguments are those with which HAProxy is started; those of a master that
// reloaded have others behind them.
func (c Config) arguments() []string {
	return []string{"-W", "-S", c.socket(masterSocket) + ",mode,600", "-f", c.path(configFile)}
}

// findMaster looks for a master process of this directory; the zero process
// where there is none. One that was launched just before we were killed is in no
// state yet.
func (c Config) findMaster() process {
	ours := "\x00" + strings.Join(c.arguments(), "\x00") + "\x00"
	found := map[int]process{}
	parents := map[int]int{}
	for p, s := range allProcesses() {
		line, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/cmdline")
		if err == nil && bytes.Contains(line, []byte(ours)) {
			found[p.PID], parents[p.PID] = p, s.parent
		}
	}
	for pid, p := range found {
		if _, worker := found[parents[pid]]; !worker {
			return p
		}
	}
	return process{}
}

// maxOutput is the size above which HAProxy's output is begun anew.
const maxOutput = 1 << 20

func (c Config) openOutput() (*os.File, error) {
	f, err := os.OpenFile(c.path(outputFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("haproxy: output file: %w", err)
	}
	return f, nil
}

// outputMark returns where HAProxy's output ends now, for outputSince. It also
// keeps the file small; HAProxy appends, so truncating it is safe.
func (c Config) outputMark() int64 {
	fi, err := os.Stat(c.path(outputFile))
	if err != nil {
		return 0
	}
	if fi.Size() > maxOutput && os.Truncate(c.path(outputFile), 0) == nil {
		return 0
	}
	return fi.Size()
}

// outputSince returns what HAProxy complained of since the mark, in one line.
func (c Config) outputSince(mark int64) string {
	f, err := os.Open(c.path(outputFile))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.NewSectionReader(f, mark, 64<<10))
	if err != nil {
		return ""
	}
	var alerts []string
	for line := range strings.Lines(string(data)) {
		if _, text, ok := strings.Cut(line, "[ALERT]"); ok {
			alerts = append(alerts, strings.Join(strings.Fields(text), " "))
		}
	}
	if len(alerts) == 0 {
		return "see " + c.path(outputFile)
	}
	return strings.Join(alerts, "; ")
}
