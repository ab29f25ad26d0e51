package process

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/internal/machine"
)

// host reads what the machine has and uses. Where this process lives in a
// control group whose limits are lower, those are what there is.
func (r *Runtime) host() (pod.HostStatus, error) {
	total, used, err := machine.Memory()
	if err != nil {
		return pod.HostStatus{}, err
	}
	cpus := float64(runtime.NumCPU())
	g := ownCgroup()
	if g.cpus > 0 {
		cpus = min(cpus, g.cpus)
	}
	if g.memory > 0 && g.memory < total {
		total, used = g.memory, min(g.memoryUsed, g.memory)
	}
	h := pod.HostStatus{
		Capacity: pod.Resources{CPU: cmp.Or(r.cfg.Capacity.CPU, cpus), Memory: cmp.Or(r.cfg.Capacity.Memory, total)},
		Used:     pod.HostUsage{Memory: &used},
		Engine:   "processes, Linux " + release(),
	}
	h.Used.CPU = r.cpu.Used(runtime.NumCPU())
	taken, size, err := machine.Disk(r.cfg.Dir)
	h.Used.Disk, h.Used.DiskTotal = &taken, &size
	return h, err
}

func release() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	v := strings.TrimSpace(string(b))
	if parts := strings.SplitN(v, ".", 3); len(parts) == 3 {
		return parts[0] + "." + parts[1]
	}
	return v
}

// cgroup is what the control groups of this process allow; 0 means no limit.
type cgroup struct {
	cpus       float64
	memory     int64
	memoryUsed int64 // without the page cache that the kernel may drop
}

func ownCgroup() cgroup {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return cgroup{}
	}
	return readCgroup(string(b), "/sys/fs/cgroup")
}

// readCgroup reads the limits of every group from that of the process up to the
// root, of versions 1 and 2.
func readCgroup(self, root string) cgroup {
	var g cgroup
	for line := range strings.Lines(self) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			switch controllers := strings.Split(parts[1], ","); {
			case parts[0] == "0" && parts[1] == "":
				at := path.Join(root, dir)
				var quota, period int64
				text, _ := os.ReadFile(path.Join(at, "cpu.max"))
				_, _ = fmt.Sscan(string(text), &quota, &period) // "max" is no number, and no limit
				g.limitCPU(quota, period)
				g.limitMemory(at, "memory.max", "memory.current", "inactive_file")
			case slices.Contains(controllers, "memory"):
				g.limitMemory(path.Join(root, "memory", dir), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
			case slices.Contains(controllers, "cpu"):
				at := path.Join(root, "cpu", dir)
				quota, _ := machine.Number(path.Join(at, "cpu.cfs_quota_us"), "")
				period, _ := machine.Number(path.Join(at, "cpu.cfs_period_us"), "")
				g.limitCPU(quota, period)
			}
			if dir == "/" {
				break
			}
		}
	}
	return g
}

func (g *cgroup) limitCPU(quota, period int64) {
	if quota <= 0 || period <= 0 {
		return
	}
	if c := float64(quota) / float64(period); g.cpus == 0 || c < g.cpus {
		g.cpus = c
	}
}

func (g *cgroup) limitMemory(dir, most, usage, droppable string) {
	limit, _ := machine.Number(path.Join(dir, most), "")
	// Version 1 says "no limit" by a number near the largest.
	if limit <= 0 || limit > 1<<60 || g.memory != 0 && limit >= g.memory {
		return
	}
	g.memory = limit
	used, _ := machine.Number(path.Join(dir, usage), "")
	cache, _ := machine.Number(path.Join(dir, "memory.stat"), droppable)
	g.memoryUsed = max(0, used-cache)
}
