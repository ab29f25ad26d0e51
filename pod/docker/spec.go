package docker

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-connections/nat"

	"github.com/elastipod/elastipod/pod"
)

// droppedCaps are what Docker grants by default and services do without.
var droppedCaps = []string{"NET_RAW", "MKNOD", "AUDIT_WRITE"}

// Bounds of the output that an engine keeps of a node.
const (
	logFileSize  = "8m"
	logFileCount = "2"
)

// strictTmp is the size of /tmp where the root is read-only.
const strictTmp = "64m"

// containerSpec is what a node is made of, as the engine wants it.
type containerSpec struct {
	config *container.Config
	host   *container.HostConfig
	// secrets are the files to put in before the start, by their directory.
	secrets map[string][]secretFile
}

type secretFile struct {
	name    string
	content pod.SecretValue
}

// spec translates a request. It returns [pod.ErrUnsupported] for what no engine
// can do.
func (r *Runtime) spec(req pod.StartRequest, f *facts) (containerSpec, error) {
	w := req.Workload
	if err := supported(w); err != nil {
		return containerSpec{}, err
	}
	ref, err := pinned(w.Image, req.Digest)
	if err != nil {
		return containerSpec{}, err
	}
	s := containerSpec{
		config: &container.Config{
			Image:      ref,
			Hostname:   req.ID.Name,
			Entrypoint: w.Entrypoint,
			Cmd:        w.Command,
			User:       w.User,
			Env:        environment(req),
			Labels:     r.labels(req),
		},
		host: &container.HostConfig{
			Resources:     resources(req.Limits, f.cpus),
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
			SecurityOpt:   []string{"no-new-privileges"},
			LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{
				"max-size": logFileSize, "max-file": logFileCount,
			}},
		},
	}
	if w.Probe.Kind != pod.ProbeHealthcheck {
		// The manager probes the node itself; the image's own check would only
		// cost its CPU.
		s.config.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}}
	}
	for _, name := range slices.Sorted(maps.Keys(w.ExtraHosts)) {
		s.host.ExtraHosts = append(s.host.ExtraHosts, name+":"+w.ExtraHosts[name])
	}
	s.restrict(w)
	s.mount(w)
	if err := s.addSecrets(req); err != nil {
		return containerSpec{}, err
	}
	r.publish(&s, w, f)
	return s, nil
}

// supported refuses what this runtime cannot run, whatever the host.
func supported(w pod.Workload) error {
	if w.Image == "" {
		return fmt.Errorf("%w: the workload has no image, which containers need", pod.ErrUnsupported)
	}
	return nil
}

func resources(l pod.Limits, cpus int) container.Resources {
	res := container.Resources{Memory: l.Memory, MemorySwap: l.Memory, NanoCPUs: int64(l.CPU * 1e9)}
	if cpus > 0 {
		// Engines refuse more CPUs than they have; it is no limit then anyway.
		res.NanoCPUs = min(res.NanoCPUs, int64(cpus)*1e9)
	}
	if l.PIDs > 0 {
		res.PidsLimit = &l.PIDs
	}
	return res
}

func environment(req pod.StartRequest) []string {
	env := req.Env(func(port string) string { return strconv.Itoa(req.Workload.Ports[port]) })
	var out []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

func (s *containerSpec) restrict(w pod.Workload) {
	s.host.CapAdd = w.CapAdd
	if w.Security != pod.SecurityStrict {
		for _, c := range droppedCaps {
			if !slices.Contains(w.CapAdd, c) {
				s.host.CapDrop = append(s.host.CapDrop, c)
			}
		}
		return
	}
	s.host.CapDrop = []string{"ALL"}
	s.host.ReadonlyRootfs = true
	if !slices.ContainsFunc(w.Mounts, func(m pod.Mount) bool { return m.Target == "/tmp" }) {
		s.host.Tmpfs = map[string]string{"/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=" + strictTmp}
	}
}

func (s *containerSpec) mount(w pod.Workload) {
	for _, m := range w.Mounts {
		out := mount.Mount{Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
		switch m.Kind {
		case pod.MountVolume:
			out.Type = mount.TypeVolume
		case pod.MountBind:
			out.Type = mount.TypeBind
		case pod.MountTmpfs:
			out.Type = mount.TypeTmpfs
			out.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: m.Size, Mode: 0o1777}
		}
		s.host.Mounts = append(s.host.Mounts, out)
	}
}

// addSecrets gives each directory that holds secrets an anonymous volume, which
// can be written before the start also where the root is read-only, keeps what
// the image has there, and goes with the container.
func (s *containerSpec) addSecrets(req pod.StartRequest) error {
	for _, secret := range req.Workload.Secrets {
		content, ok := req.Secrets[secret.Name]
		if !ok {
			return fmt.Errorf("secret %s: its content was not given", secret.Name)
		}
		target := secret.Target
		dir, name := path.Split(target)
		dir = path.Clean(dir)
		if dir == "/" {
			return fmt.Errorf("%w: secret %s: its target %s is in the root; choose a directory, such as /run/secrets", pod.ErrUnsupported, secret.Name, target)
		}
		for _, m := range req.Workload.Mounts {
			if m.Target == dir || m.Target == target {
				return fmt.Errorf("%w: secret %s: its target %s is in the mount %s; choose another directory", pod.ErrUnsupported, secret.Name, target, m.Target)
			}
		}
		if s.secrets == nil {
			s.secrets = map[string][]secretFile{}
		}
		if s.secrets[dir] == nil {
			s.host.Mounts = append(s.host.Mounts, mount.Mount{Type: mount.TypeVolume, Target: dir})
		}
		s.secrets[dir] = append(s.secrets[dir], secretFile{name: name, content: content})
	}
	return nil
}

// publish binds the workload's ports on the host where they are dialled there.
func (r *Runtime) publish(s *containerSpec, w pod.Workload, f *facts) {
	if len(w.Ports) == 0 || r.dialsContainers(f) {
		return
	}
	s.config.ExposedPorts, s.host.PortBindings = nat.PortSet{}, nat.PortMap{}
	for _, number := range w.Ports {
		port := nat.Port(strconv.Itoa(number) + "/tcp")
		s.config.ExposedPorts[port] = struct{}{}
		s.host.PortBindings[port] = []nat.PortBinding{{HostIP: r.host.Bind}}
	}
}
