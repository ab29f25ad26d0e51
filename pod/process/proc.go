package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// procRef identifies a process on this machine until it reboots: a pid is used
// again, a pid with its start time is not.
type procRef struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
}

// procStat is what /proc/<pid>/stat tells.
type procStat struct {
	procRef
	ppid      int
	state     byte
	cpu       uint64 // clock ticks used by the process itself
	cpuReaped uint64 // clock ticks used by children that it has waited for
}

func (s procStat) dead() bool { return s.state == 'Z' || s.state == 'X' }

// clockTick is the unit of times in /proc: USER_HZ, 100 on every architecture
// that Go runs on.
const clockTick = 10 * time.Millisecond

var errGone = errors.New("process: no such process")

// readStat reads /proc/<pid>/stat. It returns errGone when there is no such
// process.
func readStat(pid int, buf []byte) (procStat, error) {
	n, err := readInto("/proc/"+strconv.Itoa(pid)+"/stat", buf)
	if err != nil {
		return procStat{}, errGone
	}
	return parseStat(pid, buf[:n])
}

// readInto reads a small file with three system calls.
func readInto(path string, buf []byte) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, buf)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// parseStat parses a line of proc(5)'s stat. The second field is a name in
// parentheses that may hold anything, parentheses and spaces included.
func parseStat(pid int, line []byte) (procStat, error) {
	i := bytes.LastIndexByte(line, ')')
	if i < 0 || i+2 >= len(line) {
		return procStat{}, fmt.Errorf("process: stat of %d: %.80q", pid, line)
	}
	f := bytes.Fields(line[i+1:]) // from field 3 on
	if len(f) < 20 {
		return procStat{}, fmt.Errorf("process: stat of %d has %d fields", pid, len(f)+2)
	}
	return procStat{
		procRef: procRef{PID: pid, Start: number(f[19])}, state: f[0][0], ppid: int(number(f[1])),
		cpu: number(f[11]) + number(f[12]), cpuReaped: number(f[13]) + number(f[14]),
	}, nil
}

// maxNumber is more than the kernel counts of anything read here: it is thirty
// thousand years of clock ticks, and times 1024, in bytes, still an int64.
const maxNumber = 1 << 50

// number returns 0 for what is none: negative ones, which cutime may be on old
// kernels, and those above maxNumber.
func number(b []byte) uint64 {
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' || n > maxNumber/10 {
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// tickTime converts clock ticks.
func tickTime(ticks uint64) time.Duration {
	return time.Duration(min(ticks, uint64(math.MaxInt64/clockTick))) * clockTick
}

// alive says whether the process is there and no zombie.
func (r procRef) alive() bool {
	var buf [1024]byte
	s, err := readStat(r.PID, buf[:])
	return err == nil && s.Start == r.Start && !s.dead()
}

// refOf returns the identity of a running process.
func refOf(pid int) (procRef, error) {
	var buf [1024]byte
	s, err := readStat(pid, buf[:])
	if err != nil {
		return procRef{}, err
	}
	return s.procRef, nil
}

// anonymous returns the bytes of anonymous memory of a process.
func anonymous(pid int, buf []byte) int64 {
	n, err := readInto("/proc/"+strconv.Itoa(pid)+"/statm", buf)
	if err != nil {
		return 0
	}
	f := bytes.Fields(buf[:n])
	if len(f) < 3 {
		return 0
	}
	resident, shared := number(f[1]), number(f[2])
	if shared > resident {
		return 0
	}
	return int64(resident-shared) * int64(os.Getpagesize())
}

// processTable is one reading of all processes.
type processTable struct {
	stats    map[int]procStat
	children map[int][]int
}

func readTable() (processTable, error) {
	t := processTable{stats: make(map[int]procStat, 256), children: make(map[int][]int, 256)}
	d, err := os.Open("/proc")
	if err != nil {
		return t, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return t, err
	}
	buf := make([]byte, 1024)
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		s, err := readStat(pid, buf)
		if err != nil {
			continue // it ended meanwhile
		}
		t.stats[pid] = s
		t.children[s.ppid] = append(t.children[s.ppid], pid)
	}
	return t, nil
}

// alive says whether the process was there and no zombie.
func (t processTable) alive(r procRef) bool {
	s, ok := t.stats[r.PID]
	return ok && s.Start == r.Start && !s.dead()
}

// descendants returns every descendant of pid, parents before children.
func (t processTable) descendants(pid int) []int {
	out := append([]int(nil), t.children[pid]...)
	for i := 0; i < len(out); i++ {
		out = append(out, t.children[out[i]]...)
	}
	return out
}

// reap waits for a zombie if it is a child of ours, so that it goes away. A
// zombie with the right start time is the process that it was: nobody else can
// have its pid yet.
func reap(s procStat) {
	if s.state == 'Z' && s.ppid == os.Getpid() {
		_, _ = unix.Wait4(s.PID, nil, unix.WNOHANG, nil)
	}
}

// reapRef is reap for one that was not read yet.
func reapRef(r procRef) {
	var buf [1024]byte
	if s, err := readStat(r.PID, buf[:]); err == nil && s.Start == r.Start {
		reap(s)
	}
}

// sweep kills every process that carries the mark of a run in its environment,
// and returns once none is left, or ctx has ended. Without a supervisor that
// reaps them this is how descendants are found.
func sweep(ctx context.Context, mark string) error {
	if !isMark(mark) {
		return nil // no process carries it
	}
	killed := map[procRef]struct{}{}
	// Orphans come to us where we are PID 1, of a container for example.
	defer func() {
		for ref := range killed {
			reapRef(ref)
		}
	}()
	for {
		t, err := readTable()
		if err != nil {
			return err
		}
		found := false
		for pid, s := range t.stats {
			if s.dead() || pid == os.Getpid() {
				continue
			}
			env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
			if err != nil || !carries(env, mark) {
				continue
			}
			found = true
			killed[s.procRef] = struct{}{}
			if p, err := openProc(s.procRef); err == nil {
				_ = p.signal(unix.SIGKILL)
				p.close()
			}
		}
		if !found {
			return nil
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// carries says whether an environment, as in /proc/<pid>/environ, has the mark.
func carries(env []byte, mark string) bool {
	for kv := range bytes.SplitSeq(env, []byte{0}) {
		if string(kv) == markEnv+"="+mark {
			return true
		}
	}
	return false
}

// proc is a handle on one process, which stays that process.
type proc struct {
	ref procRef
	f   *os.File // pidfd
}

// openProc returns errGone when there is no such process. A zombie still is: one
// whose main thread has ended may have threads that take a moment longer, and
// only wait tells when it can be reaped.
func openProc(r procRef) (*proc, error) {
	if r.PID <= 0 {
		return nil, errGone // of a state that is damaged
	}
	fd, err := unix.PidfdOpen(r.PID, unix.PIDFD_NONBLOCK)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return nil, errGone
		}
		return nil, fmt.Errorf("process: pidfd of %d: %w", r.PID, err)
	}
	p := &proc{ref: r, f: os.NewFile(uintptr(fd), "pidfd")}
	var buf [1024]byte
	// Read after the handle was taken, so that it is the right one.
	if s, err := readStat(r.PID, buf[:]); err != nil || s.Start != r.Start {
		p.close()
		return nil, errGone
	}
	return p, nil
}

func (p *proc) close() { _ = p.f.Close() }

// signal returns errGone when the process has ended.
func (p *proc) signal(sig unix.Signal) error {
	c, err := p.f.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := c.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	if errors.Is(sent, unix.ESRCH) {
		return errGone
	}
	return sent
}

// wait blocks until the process has ended or ctx has, without a thread.
func (p *proc) wait(ctx context.Context) error {
	if err := p.f.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	c, err := p.f.SyscallConn()
	if err != nil {
		return err
	}
	err = c.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return err == nil && n > 0
	})
	if ctx.Err() != nil && err != nil {
		return ctx.Err()
	}
	return err
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
