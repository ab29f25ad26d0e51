package docker

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/pod"
)

// factsAge is how long what is known of the engine is believed.
const factsAge = 5 * time.Minute

// facts are what is known of an engine. They are not changed once made.
type facts struct {
	at       time.Time
	capacity pod.Resources
	engine   string
	dataRoot string
	cpus     int
	// here: the engine runs under this machine's kernel.
	here bool
	// direct: container addresses can be dialled from here.
	direct bool
}

// machine is what is asked of the machine that we run on.
type machine interface {
	kernel() string
	addresses() []netip.Addr
	readFile(path string) ([]byte, error)
	disk(path string) (used, total int64, ok bool)
}

// engineFacts returns what is known of the engine, asking it when that is old.
func (r *Runtime) engineFacts(ctx context.Context) (*facts, error) {
	r.mu.Lock()
	f := r.facts
	r.mu.Unlock()
	if f != nil && time.Since(f.at) < factsAge {
		return f, nil
	}
	info, err := r.api.Info(ctx)
	if err != nil {
		return nil, err
	}
	f = &facts{
		at:       time.Now(),
		capacity: pod.Resources{CPU: float64(info.NCPU), Memory: info.MemTotal},
		engine:   "Docker " + info.ServerVersion,
		dataRoot: info.DockerRootDir,
		cpus:     info.NCPU,
	}
	if info.CgroupVersion != "" {
		f.engine += ", cgroup v" + info.CgroupVersion
	}
	if c := r.host.Capacity.CPU; c > 0 {
		f.capacity.CPU = c
	}
	if m := r.host.Capacity.Memory; m > 0 {
		f.capacity.Memory = m
	}
	f.here = r.host.Local() && runtime.GOOS == "linux" && info.OSType == "linux" && info.KernelVersion == r.machine.kernel()
	if f.here && !rootless(info) {
		bridge, err := r.api.NetworkInspect(ctx, "bridge", network.InspectOptions{})
		switch {
		case err == nil:
			f.direct = onSubnet(r.machine.addresses(), bridge)
		case unanswered(err) || ctx.Err() != nil:
			return nil, err
		default:
			r.log.Debug("the engine has no default bridge", "error", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts = f
	return f, nil
}

// forget makes the next call ask the engine again: it may have been replaced.
func (r *Runtime) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts = nil
	for _, k := range r.known {
		k.state = ""
	}
}

func rootless(info system.Info) bool {
	return slices.ContainsFunc(info.SecurityOptions, func(o string) bool { return strings.Contains(o, "name=rootless") })
}

// onSubnet says whether one of our addresses is on the bridge's subnet: then
// its containers can be dialled without a route through anything else.
func onSubnet(own []netip.Addr, bridge network.Inspect) bool {
	for _, c := range bridge.IPAM.Config {
		subnet, err := netip.ParsePrefix(c.Subnet)
		if err == nil && slices.ContainsFunc(own, subnet.Contains) {
			return true
		}
	}
	return false
}

// thisMachine is the machine that this process runs on.
type thisMachine struct{}

func (thisMachine) kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func (thisMachine) addresses() []netip.Addr {
	all, _ := net.InterfaceAddrs()
	var out []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr())
		}
	}
	return out
}

func (thisMachine) readFile(path string) ([]byte, error) { return os.ReadFile(path) }

func (thisMachine) disk(path string) (used, total int64, ok bool) {
	var s syscall.Statfs_t
	if path == "" || syscall.Statfs(path, &s) != nil {
		return 0, 0, false
	}
	return int64(s.Blocks-s.Bfree) * s.Bsize, int64(s.Blocks) * s.Bsize, true
}
