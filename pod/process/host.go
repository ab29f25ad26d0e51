package process

import (
	"cmp"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
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
				if f := strings.Fields(readString(path.Join(at, "cpu.max"))); len(f) == 2 {
					g.limitCPU(f[0], f[1])
				}
				g.limitMemory(at, "memory.max", "memory.current", "inactive_file")
			case slices.Contains(controllers, "memory"):
				g.limitMemory(path.Join(root, "memory", dir), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
			case slices.Contains(controllers, "cpu"):
				at := path.Join(root, "cpu", dir)
				g.limitCPU(readString(path.Join(at, "cpu.cfs_quota_us")), readString(path.Join(at, "cpu.cfs_period_us")))
			}
			if dir == "/" {
				break
			}
		}
	}
	return g
}

func (g *cgroup) limitCPU(quotaText, periodText string) {
	quota, period := parse(quotaText), parse(periodText)
	if quota <= 0 || period <= 0 {
		return
	}
	if c := float64(quota) / float64(period); g.cpus == 0 || c < g.cpus {
		g.cpus = c
	}
}

func (g *cgroup) limitMemory(dir, most, usage, droppable string) {
	limit := parse(readString(path.Join(dir, most)))
	// Version 1 says "no limit" by a number near the largest.
	if limit <= 0 || limit > 1<<60 || g.memory != 0 && limit >= g.memory {
		return
	}
	g.memory = limit
	g.memoryUsed = parse(readString(path.Join(dir, usage)))
	for line := range strings.Lines(readString(path.Join(dir, "memory.stat"))) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == droppable {
			g.memoryUsed = max(0, g.memoryUsed-parse(f[1]))
		}
	}
}

func readString(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// parse returns 0 for what is not a number above it, such as "max" or nothing.
func parse(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return max(0, n)
}
