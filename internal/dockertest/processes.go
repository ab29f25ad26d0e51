package dockertest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pidStart is a process, told apart from a later one of the same pid.
type pidStart struct {
	pid, parent int
	start       string // clock ticks since boot
	name        string
	zombie      bool
}

// processes lists what runs on this machine.
func processes() []pidStart {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var all []pidStart
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if p, ok := readProcess(pid); ok {
			all = append(all, p)
		}
	}
	return all
}

func readProcess(pid int) (pidStart, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return pidStart{}, false
	}
	// The name stands in brackets and may itself hold brackets and spaces.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return pidStart{}, false
	}
	rest := strings.Fields(string(stat[end+1:]))
	if len(rest) < 20 {
		return pidStart{}, false
	}
	parent, _ := strconv.Atoi(rest[1])
	return pidStart{pid: pid, parent: parent, start: rest[19], name: string(stat[open+1 : end]), zombie: rest[0] == "Z"}, true
}

// alive says whether that very process still runs.
func (p pidStart) alive() bool {
	now, ok := readProcess(p.pid)
	return ok && now.start == p.start && !now.zombie
}

func (p pidStart) kill() {
	if p.alive() {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
}

// descendants returns the children of a process, theirs, and so on.
func descendants(pid int) []pidStart {
	return below(processes(), func(p pidStart) bool { return p.parent == pid })
}

// below returns the processes that match and all their descendants.
func below(all []pidStart, match func(pidStart) bool) []pidStart {
	var found []pidStart
	in := map[int]bool{}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if !in[p.pid] && (match(p) || in[p.parent]) {
				in[p.pid], grown = true, true
				found = append(found, p)
			}
		}
	}
	return found
}

// endTree kills a process and its descendants.
func endTree(pid int) error {
	tree := below(processes(), func(p pidStart) bool { return p.pid == pid })
	for _, p := range tree {
		p.kill()
	}
	return awaitGone(tree, nil)
}

// endProcessesOf kills the processes whose command line names dir, which is one
// engine's own: dockerd, containerd, shims; and what runs below them: containers.
func endProcessesOf(dir string) error {
	self := os.Getpid()
	tree := below(processes(), func(p pidStart) bool {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		return p.pid != self && bytes.Contains(line, []byte(dir+"/"))
	})
	for _, p := range tree {
		p.kill()
	}
	return awaitGone(tree, nil)
}

// awaitGone waits until the processes whose names match (nil: all) have ended.
func awaitGone(ps []pidStart, match func(name string) bool) error {
	deadline := time.Now().Add(shutdownTimeout)
	for _, p := range ps {
		for (match == nil || match(p.name)) && p.alive() {
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d (%s) did not end", p.pid, p.name)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	return nil
}

// unmountBelow detaches every mount below dir.
func unmountBelow(dir string) error {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			points = append(points, f[4])
		}
	}
	var errs []error
	for _, p := range slices.Backward(points) {
		if err := syscall.Unmount(p, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}
