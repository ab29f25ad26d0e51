package boltstore

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// locker returns the process that holds the lock on the file and its program's
// name, or 0 where the system doesn't tell.
func locker(path string) (pid int, program string) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, ""
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0, ""
	}
	// "1: FLOCK  ADVISORY  WRITE 123 fe:01:4711 0 EOF"; the device's number is
	// that of the real file system, which need not be the one that stat names.
	for line := range strings.Lines(string(locks)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || !strings.HasSuffix(f[5], ":"+strconv.FormatUint(st.Ino, 10)) {
			continue
		}
		if name, err := os.ReadFile("/proc/" + f[4] + "/comm"); err == nil {
			pid, _ = strconv.Atoi(f[4])
			return pid, strings.TrimSpace(string(name))
		}
	}
	return 0, ""
}
