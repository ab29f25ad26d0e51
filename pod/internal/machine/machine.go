// Package machine reads what the machine on which this program runs has and uses,
// whoever uses it.
package machine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of times in /proc: USER_HZ, 100 on every architecture
// that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuSpan is the least time over which the use of the processors is averaged.
const cpuSpan = 100 * time.Millisecond

// CPU measures the use of the machine's processors. The zero value is ready.
type CPU struct {
	mu    sync.Mutex
	at    time.Time
	busy  int64 // clock ticks of all processors since boot
	cores *float64
}

// Used returns how many cores are in use, at most so many: the mean since the
// previous call, or the previous mean a moment after that. It is nil for the first
// call, and where /proc/stat cannot be read.
func (c *CPU) Used(cpus int) *float64 {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil
	}
	return c.used(string(stat), cpus, time.Now())
}

func (c *CPU) used(stat string, cpus int, now time.Time) *float64 {
	busy, err := busyTicks(stat)
	if err != nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if passed := now.Sub(c.at); c.at.IsZero() {
		c.at, c.busy = now, busy
	} else if passed >= cpuSpan {
		cores := max(0, min(float64(busy-c.busy)*float64(clockTick)/float64(passed), float64(cpus)))
		c.at, c.busy, c.cores = now, busy, &cores
	}
	return c.cores
}

// busyTicks reads the time that the processors were neither idle nor waiting for
// a disk, from the first line of /proc/stat: user nice system idle iowait irq
// softirq steal, and guest times that user holds already.
func busyTicks(stat string) (busy int64, err error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %.80q", line)
	}
	for i, f := range fields[1:min(len(fields), 9)] {
		n, err := strconv.ParseUint(f, 10, 60) // eight of them can be added up
		if err != nil {
			return 0, fmt.Errorf("/proc/stat begins with %.80q", line)
		}
		if i != 3 && i != 4 {
			busy += int64(n)
		}
	}
	return busy, nil
}

// Memory returns how many bytes of memory the machine has, and how many of them
// are in use and not at the kernel's disposal.
func Memory() (total, used int64, err error) {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0, err
	}
	return memory(string(info))
}

func memory(info string) (total, used int64, err error) {
	values := map[string]int64{}
	for line := range strings.Lines(info) {
		if f := strings.Fields(line); len(f) >= 2 {
			if n, err := strconv.ParseUint(f[1], 10, 53); err == nil {
				values[f[0]] = int64(n) << 10
			}
		}
	}
	total, available := values["MemTotal:"], values["MemAvailable:"]
	if total == 0 || available == 0 || available > total {
		return 0, 0, errors.New("/proc/meminfo does not say how much memory there is and is available")
	}
	return total, total - available, nil
}

// Disk returns how many bytes are in use and there are in all on the file system
// that holds a path.
func Disk(path string) (used, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, fmt.Errorf("disk of %s: %w", path, err)
	}
	return int64(s.Blocks-s.Bfree) * s.Bsize, int64(s.Blocks) * s.Bsize, nil
}

// Number reads a file, such as of a control group, that is a number or, with a key, its line "key number".
// It refuses negative ones.
func Number(file, key string) (int64, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	if key != "" {
		found := false
		for line := range bytes.Lines(data) {
			if name, value, ok := bytes.Cut(line, []byte(" ")); ok && string(name) == key {
				data, found = value, true
				break
			}
		}
		if !found {
			return 0, fmt.Errorf("%s has no %s", file, key)
		}
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(data)), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return int64(n), nil
}
