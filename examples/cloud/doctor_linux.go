package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// enoughFiles is how many files a server should be able to open: each request that
// is proxied in this process, and each log that is followed, takes some.
const enoughFiles = 65536

func examineMachine(ctx context.Context, d *diagnosis, o machineOptions) {
	for _, socket := range o.engines {
		examineEngine(ctx, d, socket)
	}
	examineHAProxy(ctx, d, o.haproxy)
	examineFiles(d, o.server)
	examineClock(d)
	if used, err := diskUse("/"); err == nil {
		examineDisk(d, "machine", "make room on /", used)
	}
}

// examineFiles looks at the limits of the server, or of this process where the
// server's cannot be read.
func examineFiles(d *diagnosis, server string) {
	about, limit := "file limit", uint64(0)
	if pid := serverProcess(server); pid > 0 {
		if n, err := openFiles(pid); err == nil {
			about, limit = "file limit of the server", n
		}
	}
	if limit == 0 {
		var own unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
			return
		}
		limit = own.Max
	}
	judgeFiles(d, about, limit)
}

func judgeFiles(d *diagnosis, about string, limit uint64) {
	if limit < enoughFiles {
		d.warn(about, "set LimitNOFILE=1048576 in the server's unit, or ulimit -n before it is started", "%d files: each connection takes one or two, so a few thousand requests at a time are the end", limit)
		return
	}
	text := strconv.FormatUint(limit, 10)
	if limit > 1<<40 {
		text = "unlimited"
	}
	d.ok(about, "%s", text)
}

// openFiles reads the hard limit of a process: Go raises the soft one to it.
func openFiles(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			fields := strings.Fields(rest)
			if len(fields) >= 2 && fields[1] == "unlimited" {
				return 1<<64 - 1, nil
			}
			if len(fields) >= 2 {
				return strconv.ParseUint(fields[1], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("no limit of open files for process %d", pid)
}

// serverProcess returns the process that listens on the server's port, 0 where it
// cannot be found out.
func serverProcess(server string) int {
	u, err := url.Parse(server)
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return 0
	}
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listening(table, port, inodes)
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil || len(inodes) == 0 {
		return 0
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err == nil {
			return pid
		}
	}
	return 0
}

// listening adds the sockets that listen on a port, as /proc/PID/fd names them.
func listening(table string, port int, inodes map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
			inodes["socket:["+fields[9]+"]"] = true
		}
	}
}

func examineClock(d *diagnosis) {
	var t unix.Timex
	if state, err := unix.Adjtimex(&t); err == nil { // there is none to ask in some containers
		judgeClock(d, state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0)
	}
}

func judgeClock(d *diagnosis, kept bool) {
	if !kept {
		d.warn("clock", "run a time service, such as chrony or systemd-timesyncd", "the kernel says that nothing keeps this machine's clock right")
		return
	}
	d.ok("clock", "it is kept right")
}

// diskUse returns which part of a file system is in use, as users can use it.
func diskUse(path string) (float64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	used := float64(s.Blocks - s.Bfree)
	if used+float64(s.Bavail) == 0 {
		return 0, fmt.Errorf("%s has no size", path)
	}
	return used / (used + float64(s.Bavail)), nil
}

// peerOf returns the process that listens at the other end of a unix socket.
func peerOf(conn net.Conn) int {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return 0
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) { // pid stays 0
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}
