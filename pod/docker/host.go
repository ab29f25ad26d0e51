package docker

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// cpuSpan is the least time over which the host's CPU use is averaged.
const cpuSpan = 200 * time.Millisecond

// hostUsage remembers what the host's CPU use is the mean since.
type hostUsage struct {
	at          time.Time
	busy, total int64 // clock ticks of all CPUs since boot
	cores       *float64
}

// hostStatus returns what the host has and uses. Use is known only where the
// engine runs on this machine.
func (r *Runtime) hostStatus(f *facts) pod.HostStatus {
	s := pod.HostStatus{Capacity: f.capacity, Engine: f.engine}
	if !f.here {
		return s
	}
	if stat, err := r.machine.readFile("/proc/stat"); err == nil {
		s.Used.CPU = r.hostCPU(stat, f.cpus, time.Now())
	}
	if info, err := r.machine.readFile("/proc/meminfo"); err == nil {
		s.Used.Memory = usedMemory(info)
	}
	if used, total, ok := r.machine.disk(f.dataRoot); ok {
		s.Used.Disk, s.Used.DiskTotal = &used, &total
	}
	return s
}

// hostCPU returns the cores in use, mean since the previous observation; nil for
// the first one.
func (r *Runtime) hostCPU(stat []byte, cpus int, now time.Time) *float64 {
	busy, total, ok := cpuTicks(stat)
	if !ok {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u := &r.hostUse
	if u.at.IsZero() {
		*u = hostUsage{at: now, busy: busy, total: total}
		return nil
	}
	if now.Sub(u.at) >= cpuSpan && total > u.total {
		// Time of waiting for a disk may go back, so busy may seem to exceed all.
		cores := min(float64(max(0, busy-u.busy))/float64(total-u.total), 1) * float64(cpus)
		*u = hostUsage{at: now, busy: busy, total: total, cores: &cores}
	}
	if u.cores == nil {
		return nil
	}
	cores := *u.cores
	return &cores
}

// cpuTicks reads the first line of /proc/stat: user nice system idle iowait irq
// softirq steal, and guest times that user holds already.
func cpuTicks(stat []byte) (busy, total int64, ok bool) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 6 || fields[0] != "cpu" {
		return 0, 0, false
	}
	for i, f := range fields[1:min(len(fields), 9)] {
		n, err := strconv.ParseUint(f, 10, 60) // eight of them can be added up
		if err != nil {
			return 0, 0, false
		}
		total += int64(n)
		if i != 3 && i != 4 {
			busy += int64(n)
		}
	}
	return busy, total, true
}

// usedMemory reads /proc/meminfo; nil when it cannot be told.
func usedMemory(info []byte) *int64 {
	values := map[string]int64{}
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) >= 2 {
			if n, err := strconv.ParseUint(f[1], 10, 53); err == nil {
				values[strings.TrimSuffix(f[0], ":")] = int64(n) << 10
			}
		}
	}
	total, available := values["MemTotal"], values["MemAvailable"]
	if total == 0 || available == 0 || available > total {
		return nil
	}
	used := total - available
	return &used
}
