package pod

import (
	"maps"
	"slices"
	"time"
)

// Spec describes a pod: a named group of identical nodes. The zero value of
// every field but Name and Workload has a default; see [Spec.WithDefaults].
type Spec struct {
	Name     string   // 1 to 40 of a-z, 0-9 and -, a letter first
	Kind     Kind     // default [KindService]
	Workload Workload // what each node runs
	Limits   Limits   // the most that one node may use
	// MaxNodes is the most nodes that the pod may ever have, whatever its
	// elasticity says. Default 10.
	MaxNodes int
	// Hosts names the hosts on which nodes may be placed; empty means every
	// host of the cluster.
	Hosts []string
	// Drain is how long a node that leaves may finish what it does before it is
	// stopped. Default 30 s.
	Drain time.Duration
	// Grace is the time between a stop signal and a kill. Default 10 s.
	Grace time.Duration
}

// Kind is what a pod is for.
type Kind string

// The kinds of pods.
const (
	KindService Kind = "service" // runs until it is stopped, takes requests
	KindJob     Kind = "job"     // nodes are the slots on which jobs run
)

// Workload is what each node of a pod runs.
type Workload struct {
	// Image is an OCI image reference. Runtimes of plain processes refuse it.
	Image string
	// Pull says when the image is pulled. Default [PullMissing].
	Pull PullPolicy
	// Entrypoint replaces the image's; it is empty for plain processes.
	Entrypoint []string
	// Command is the argument vector: what a plain process executes, or what
	// replaces the image's command. No shell looks at it.
	Command []string
	// Env is the environment. Nodes also get ELASTIPOD_POD, ELASTIPOD_NODE and
	// PORT (see Ports).
	Env map[string]string
	// Ports maps a name to the TCP port on which the workload listens. Every
	// node finds them as PORT_<NAME> in its environment, upper-case with dashes
	// as underscores, and the main one ([Workload.MainPort]) as PORT. A runtime
	// of plain processes chooses free ports instead of these numbers, as nodes
	// share the host's addresses there.
	Ports map[string]int
	Probe Probe // tells when a node is ready

	Mounts     []Mount           // file systems that every node sees
	Secrets    []Secret          // files in every node
	User       string            // user[:group], names or numbers; empty: the image's
	Networks   []string          // further Docker networks to join
	ExtraHosts map[string]string // host name → address, as in /etc/hosts
	CapAdd     []string          // capabilities beyond the defaults, without CAP_
	Security   Security          // default [SecurityDefault]
}

// PullPolicy says when an image is pulled.
type PullPolicy string

// When an image is pulled.
const (
	PullMissing PullPolicy = "missing" // when the host doesn't have it
	PullAlways  PullPolicy = "always"  // before a new revision's first node on a host
	PullNever   PullPolicy = "never"
)

// Security is a named set of restrictions for nodes.
type Security string

// The named sets of restrictions.
const (
	// SecurityDefault lets stock images start: no-new-privileges, a PID limit,
	// and Docker's default capabilities less NET_RAW, MKNOD and AUDIT_WRITE.
	SecurityDefault Security = "default"
	// SecurityStrict also drops every capability and makes the root read-only.
	SecurityStrict Security = "strict"
)

// Limits are the most that one node may use.
type Limits struct {
	// CPU is in cores; 0.5 is half a core. Utilisation of a node is a fraction
	// of this. Default 1.
	CPU float64
	// Memory is in bytes. It is also what a node reserves on its host. Default
	// 256 MiB.
	Memory int64
	// PIDs is the most processes and threads. Default 1024.
	PIDs int64
}

// ProbeKind is how readiness and liveness are found out.
type ProbeKind string

// The kinds of probes.
const (
	ProbeTCP  ProbeKind = "tcp"  // the port accepts a connection
	ProbeHTTP ProbeKind = "http" // GET on a path answers 200 to 399
	ProbeNone ProbeKind = "none" // ready as soon as it runs
	// ProbeHealthcheck asks the image's own HEALTHCHECK, which the engine runs
	// with the interval, the time-out and the retries that the image sets.
	ProbeHealthcheck ProbeKind = "healthcheck"
)

// Probe tells when a node is ready, and afterwards whether it still answers. A
// node that stops answering is replaced.
type Probe struct {
	// Kind defaults to HTTP where Path is set, to TCP where there is a port,
	// and to none otherwise.
	Kind ProbeKind
	// Path is the path and query of an HTTP probe, such as "/healthz".
	Path string
	// Port names the port that is probed; default: the main port.
	Port string
	// Interval is the time between two tries, at first much shorter. Default 1 s.
	Interval time.Duration
	// Timeout bounds one try. Default 1 s.
	Timeout time.Duration
	// StartDeadline bounds the time from the node's start to its first passed
	// probe; past it the node has failed. Default 60 s.
	StartDeadline time.Duration
	// LiveInterval is the time between two tries once the node is online.
	// Default 5 s.
	LiveInterval time.Duration
	// Failures is how many tries in a row must fail before an online node counts
	// as hung. Default 3; -1: it never does.
	Failures int
}

// MountKind is the kind of a mount.
type MountKind string

// The kinds of mounts.
const (
	MountVolume MountKind = "volume" // a named volume of the engine
	MountBind   MountKind = "bind"   // a path of the host
	MountTmpfs  MountKind = "tmpfs"  // memory
)

// Mount puts a file system into every node.
type Mount struct {
	Kind     MountKind // what is mounted
	Source   string    // volume's name or host path; empty for tmpfs
	Target   string    // absolute path in the node
	ReadOnly bool      // the node cannot write to it
	Size     int64     // bytes, tmpfs only; 0: the engine's default
}

// Secret is a file in every node whose content is read by the manager when a
// node starts, from a file or the environment of the manager's own machine.
// Its content never appears in logs, labels, the store or the API.
type Secret struct {
	// Name is the file's name below /run/secrets, unless Target is set. Nodes
	// that are plain processes find it below the directory in
	// ELASTIPOD_SECRETS.
	Name string
	// FromFile and FromEnv name the source; exactly one is set.
	FromFile string
	FromEnv  string
	// Target is an absolute path in the node; default /run/secrets/<Name>.
	Target string
}

// Default values of a [Spec].
const (
	DefaultMaxNodes      = 10
	DefaultDrain         = 30 * time.Second
	DefaultGrace         = 10 * time.Second
	DefaultCPU           = 1.0
	DefaultMemory        = 256 << 20
	DefaultPIDs          = 1024
	DefaultProbeInterval = time.Second
	DefaultProbeTimeout  = time.Second
	DefaultStartDeadline = time.Minute
	DefaultLiveInterval  = 5 * time.Second
	DefaultFailures      = 3
)

// WithDefaults returns the spec with every unset field filled in. It copies
// maps and slices, so that the result shares nothing with s.
func (s Spec) WithDefaults() Spec {
	s = s.Clone()
	setDefault(&s.Kind, KindService)
	setDefault(&s.MaxNodes, DefaultMaxNodes)
	setDefault(&s.Drain, DefaultDrain)
	setDefault(&s.Grace, DefaultGrace)
	setDefault(&s.Limits.CPU, DefaultCPU)
	setDefault(&s.Limits.Memory, DefaultMemory)
	setDefault(&s.Limits.PIDs, DefaultPIDs)
	w := &s.Workload
	setDefault(&w.Security, SecurityDefault)
	if w.Image != "" {
		setDefault(&w.Pull, PullMissing)
	}
	p := &w.Probe
	switch {
	case p.Kind != "":
	case p.Path != "":
		p.Kind = ProbeHTTP
	case len(w.Ports) > 0:
		p.Kind = ProbeTCP
	default:
		p.Kind = ProbeNone
	}
	if p.Kind == ProbeTCP || p.Kind == ProbeHTTP {
		setDefault(&p.Port, w.mainPort())
	}
	setDefault(&p.Interval, DefaultProbeInterval)
	setDefault(&p.Timeout, DefaultProbeTimeout)
	setDefault(&p.StartDeadline, DefaultStartDeadline)
	setDefault(&p.LiveInterval, DefaultLiveInterval)
	setDefault(&p.Failures, DefaultFailures)
	for i := range w.Secrets {
		if w.Secrets[i].Target == "" && w.Secrets[i].Name != "" {
			w.Secrets[i].Target = "/run/secrets/" + w.Secrets[i].Name
		}
	}
	return s
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Clone returns a deep copy.
func (s Spec) Clone() Spec {
	s.Hosts = slices.Clone(s.Hosts)
	s.Workload = s.Workload.Clone()
	return s
}

// Clone returns a deep copy.
func (w Workload) Clone() Workload {
	w.Entrypoint = slices.Clone(w.Entrypoint)
	w.Command = slices.Clone(w.Command)
	w.Env = maps.Clone(w.Env)
	w.Ports = maps.Clone(w.Ports)
	w.Mounts = slices.Clone(w.Mounts)
	w.Secrets = slices.Clone(w.Secrets)
	w.Networks = slices.Clone(w.Networks)
	w.ExtraHosts = maps.Clone(w.ExtraHosts)
	w.CapAdd = slices.Clone(w.CapAdd)
	return w
}

// MainPort returns the name of the port that PORT stands for: the probe's, else
// "http", else the first by name, else "".
func (w Workload) MainPort() string {
	if w.Probe.Port != "" {
		return w.Probe.Port
	}
	return w.mainPort()
}

func (w Workload) mainPort() string {
	if _, ok := w.Ports["http"]; ok {
		return "http"
	}
	if len(w.Ports) == 0 {
		return ""
	}
	return slices.Min(slices.Collect(maps.Keys(w.Ports)))
}
