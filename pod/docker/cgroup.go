package docker

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/internal/machine"
)

// cgroupRoot is the directory that holds /proc and /sys/fs/cgroup: "/", or a
// recorded tree in tests.
type cgroupRoot string

// cgroupFiles are the files that tell what one container uses.
type cgroupFiles struct {
	cpu     string
	cpuKey  string // of a line in the file; empty: the file is the number
	cpuUnit time.Duration
	memory  string
	stat    string
	statKey string // of the page cache that the kernel may drop
}

// find returns a container's files by the cgroup of its first process, which
// holds for every driver and parent cgroup, or in the places where engines put
// them by default. A path counts only if it names the container: the pid may be
// of another machine.
func (root cgroupRoot) find(pid int, id string) (*cgroupFiles, error) {
	v1cpu, v1mem, v2 := root.pathsOf(pid, id)
	var tried []*cgroupFiles
	if v1cpu != "" && v1mem != "" {
		tried = append(tried, root.v1(v1cpu, v1mem))
	}
	if v2 != "" {
		tried = append(tried, root.v2(v2))
	}
	for _, p := range []string{"/docker/" + id, "/system.slice/docker-" + id + ".scope"} {
		tried = append(tried, root.v1(p, p), root.v2(p))
	}
	for _, f := range tried {
		if _, err := f.read(); err == nil {
			return f, nil
		}
	}
	return nil, errors.New("its cgroup cannot be seen from here")
}

// pathsOf reads the cgroups of a process, as far as they name the container.
func (root cgroupRoot) pathsOf(pid int, id string) (v1cpu, v1mem, v2 string) {
	if pid <= 0 {
		return "", "", ""
	}
	data, err := os.ReadFile(path.Join(string(root), "proc", strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return "", "", ""
	}
	for line := range strings.Lines(string(data)) {
		// hierarchy:controllers:path
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		p, ok := upTo(fields[2], id)
		if !ok {
			continue
		}
		if fields[0] == "0" && fields[1] == "" {
			v2 = p
		}
		for c := range strings.SplitSeq(fields[1], ",") {
			switch c {
			case "cpuacct":
				v1cpu = p
			case "memory":
				v1mem = p
			}
		}
	}
	return v1cpu, v1mem, v2
}

// upTo cuts a cgroup's path behind the part that names the container, as the
// container may have made cgroups below.
func upTo(p, id string) (string, bool) {
	at := strings.Index(p, id)
	if at < 0 {
		return "", false
	}
	end := at + len(id)
	if next := strings.IndexByte(p[end:], '/'); next >= 0 {
		return p[:end+next], true
	}
	return p, true
}

func (root cgroupRoot) v1(cpu, memory string) *cgroupFiles {
	base := path.Join(string(root), "sys/fs/cgroup")
	controller := "cpuacct"
	if _, err := os.Stat(path.Join(base, controller)); err != nil {
		controller = "cpu,cpuacct"
	}
	return &cgroupFiles{
		cpu: path.Join(base, controller, cpu, "cpuacct.usage"), cpuUnit: time.Nanosecond,
		memory: path.Join(base, "memory", memory, "memory.usage_in_bytes"),
		stat:   path.Join(base, "memory", memory, "memory.stat"), statKey: "total_inactive_file",
	}
}

func (root cgroupRoot) v2(p string) *cgroupFiles {
	dir := path.Join(string(root), "sys/fs/cgroup", p)
	return &cgroupFiles{
		cpu: path.Join(dir, "cpu.stat"), cpuKey: "usage_usec", cpuUnit: time.Microsecond,
		memory: path.Join(dir, "memory.current"),
		stat:   path.Join(dir, "memory.stat"), statKey: "inactive_file",
	}
}

func (f *cgroupFiles) read() (pod.Usage, error) {
	now := time.Now()
	cpu, err := machine.Number(f.cpu, f.cpuKey)
	if err != nil {
		return pod.Usage{}, err
	}
	memory, err := machine.Number(f.memory, "")
	if err != nil {
		return pod.Usage{}, err
	}
	inactive, err := machine.Number(f.stat, f.statKey)
	if err != nil {
		return pod.Usage{}, err
	}
	if cpu > int64(maxCPU/f.cpuUnit) || memory > maxMemory {
		return pod.Usage{}, fmt.Errorf("%s says %d and %s %d, which cannot be", f.cpu, cpu, f.memory, memory)
	}
	return pod.Usage{At: now, CPU: time.Duration(cpu) * f.cpuUnit, Memory: max(0, memory-inactive)}, nil
}
