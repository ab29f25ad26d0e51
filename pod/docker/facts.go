package docker

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/internal/machine"
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
		capacity: pod.Resources{CPU: cmp.Or(r.host.Capacity.CPU, float64(info.NCPU)), Memory: cmp.Or(r.host.Capacity.Memory, info.MemTotal)},
		engine:   "Docker " + info.ServerVersion,
		dataRoot: info.DockerRootDir,
		cpus:     info.NCPU,
	}
	if info.CgroupVersion != "" {
		f.engine += ", cgroup v" + info.CgroupVersion
	}
	f.here = r.host.Local() && runtime.GOOS == "linux" && info.OSType == "linux" && info.KernelVersion == kernel()
	if f.here && !rootless(info) {
		bridge, err := r.api.NetworkInspect(ctx, "bridge", network.InspectOptions{})
		switch {
		case err == nil:
			f.direct = onSubnet(addresses(), bridge)
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

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// addresses returns the addresses of this machine.
func addresses() []netip.Addr {
	all, _ := net.InterfaceAddrs()
	var out []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr())
		}
	}
	return out
}

// hostStatus returns what the host has and uses. Use is known only where the
// engine runs on this machine.
func (r *Runtime) hostStatus(f *facts) pod.HostStatus {
	s := pod.HostStatus{Capacity: f.capacity, Engine: f.engine}
	if !f.here {
		return s
	}
	s.Used.CPU = r.hostCPU.Used(f.cpus)
	if _, used, err := machine.Memory(); err == nil {
		s.Used.Memory = &used
	}
	if used, total, err := machine.Disk(f.dataRoot); err == nil {
		s.Used.Disk, s.Used.DiskTotal = &used, &total
	}
	return s
}
