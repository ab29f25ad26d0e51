package pod

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// NamePattern is what names of pods, nodes, hosts and fronts look like.
const NamePattern = `^[a-z][a-z0-9-]{0,39}$`

const nameAllowed = "use 1 to 40 of a-z, 0-9 and -, a letter first"

var (
	nameRE = regexp.MustCompile(NamePattern)
	envRE  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// Lengths are bounded apart: a counted repetition costs every program
	// that imports this package a good part of a millisecond at its start.
	capRE    = bounded{regexp.MustCompile(`^[A-Z][A-Z_]+$`), 31}
	userRE   = bounded{regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$`), 129}
	imageRE  = bounded{regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]*$`), 255}
	volumeRE = bounded{regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`), 128}
	hostRE   = bounded{regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`), 253}
	secretRE = bounded{regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`), 64}
)

// bounded is a pattern and the greatest length, in bytes, of what it may match.
type bounded struct {
	re   *regexp.Regexp
	most int
}

// MatchString says whether s has the pattern and is not too long.
func (b bounded) MatchString(s string) bool { return len(s) <= b.most && b.re.MatchString(s) }

// ValidName says whether name may name a pod, node, host or front.
func ValidName(name string) bool { return nameRE.MatchString(name) }

// Bounds of a [Spec].
const (
	MaxMaxNodes  = 1000
	MinCPU       = 0.01
	MaxCPU       = 1024
	MinMemory    = 6 << 20 // what Docker itself accepts
	MaxMemory    = 64 << 40
	maxEnvBytes  = 128 << 10
	maxArgs      = 1000
	maxArgLength = 128 << 10
)

// Validate returns every fault of the spec as [Faults], or nil. Unset fields
// that have a default are not faults.
func (s Spec) Validate() error {
	var f Faults
	checkName(&f, "name", s.Name)
	checkOneOf(&f, "kind", s.Kind, `use "service" or "job"`, KindService, KindJob)
	var w Faults
	s.Workload.check(&w)
	f.Nest("workload", w)
	var l Faults
	s.Limits.check(&l)
	f.Nest("limits", l)
	if s.MaxNodes < 0 || s.MaxNodes > MaxMaxNodes {
		f.Add("max_nodes", "use 1 to 1000", "%d is out of range", s.MaxNodes)
	}
	seen := map[string]bool{}
	for i, h := range s.Hosts {
		at := "hosts[" + strconv.Itoa(i) + "]"
		checkName(&f, at, h)
		if seen[h] {
			f.Add(at, "name each host once", "%q is named twice", h)
		}
		seen[h] = true
	}
	checkDuration(&f, "drain", s.Drain, time.Hour)
	checkDuration(&f, "grace", s.Grace, time.Hour)
	return f.Err()
}

func (l Limits) check(f *Faults) {
	if l.CPU != 0 && !(l.CPU >= MinCPU && l.CPU <= MaxCPU) {
		f.Add("cpu", "use a number of cores from 0.01 to 1024, such as 0.5", "%v is out of range", l.CPU)
	}
	if l.Memory != 0 && (l.Memory < MinMemory || l.Memory > MaxMemory) {
		f.Add("memory", `use 6 MiB to 64 TiB, such as "300MiB"`, "%d bytes is out of range", l.Memory)
	}
	if l.PIDs != 0 && (l.PIDs < 1 || l.PIDs > 1<<22) {
		f.Add("pids", "use 1 to 4194304", "%d is out of range", l.PIDs)
	}
}

func (w Workload) check(f *Faults) {
	if w.Image == "" && len(w.Command) == 0 {
		f.Add("", `set "image" (Docker hosts) or "command" (process hosts)`, "has neither image nor command")
	}
	if w.Image != "" && !imageRE.MatchString(w.Image) {
		f.Add("image", `use a reference such as "nginx:1.27"`, "%.80q is not an image reference", w.Image)
	}
	checkOneOf(f, "pull", w.Pull, `use "missing", "always" or "never"`, PullMissing, PullAlways, PullNever)
	checkArgs(f, "command", w.Command)
	checkArgs(f, "entrypoint", w.Entrypoint)
	if len(w.Command) > 0 && w.Command[0] == "" {
		f.Add("command[0]", "name the program to run", "is empty")
	}
	if len(w.Entrypoint) > 0 && w.Entrypoint[0] == "" {
		f.Add("entrypoint[0]", "name the program to run", "is empty")
	}
	w.checkEnv(f)
	w.checkPorts(f)
	w.checkMounts(f)
	w.checkSecrets(f)
	if w.User != "" && !userRE.MatchString(w.User) {
		f.Add("user", `use "user" or "user:group", names or numbers`, "%.80q is not a user", w.User)
	}
	for i, n := range w.Networks {
		if !volumeRE.MatchString(n) || n == "host" || n == "none" {
			f.Add("networks["+strconv.Itoa(i)+"]", "name a network of the engine other than host and none", "%.80q cannot be joined", n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.ExtraHosts)) {
		if !hostRE.MatchString(name) {
			f.Add("extra_hosts", "use host names as keys", "%.80q is not a host name", name)
		}
		if a := w.ExtraHosts[name]; a != "host-gateway" && net.ParseIP(a) == nil {
			f.Add("extra_hosts."+name, `use an IP address or "host-gateway"`, "%.80q is not an address", a)
		}
	}
	for i, c := range w.CapAdd {
		if !capRE.MatchString(c) || strings.HasPrefix(c, "CAP_") {
			f.Add("cap_add["+strconv.Itoa(i)+"]", `use names such as "NET_BIND_SERVICE", without CAP_`, "%.40q is not a capability", c)
		}
	}
	checkOneOf(f, "security", w.Security, `use "default" or "strict"`, SecurityDefault, SecurityStrict)
}

func (w Workload) checkEnv(f *Faults) {
	total := 0
	for _, name := range slices.Sorted(maps.Keys(w.Env)) {
		value := w.Env[name]
		total += len(name) + len(value) + 2
		switch {
		case !envRE.MatchString(name):
			f.Add("env", "use letters, digits and _ for names, no digit first", "%.80q is not a variable's name", name)
		case strings.ContainsRune(value, 0):
			f.Add("env."+name, "leave out NUL bytes", "holds a NUL byte")
		case name == "PORT" || strings.HasPrefix(name, "PORT_") || strings.HasPrefix(name, "ELASTIPOD_"):
			f.Add("env."+name, "choose another name; these are set for every node", "is reserved")
		}
	}
	if total > maxEnvBytes {
		f.Add("env", "use at most 128 KiB in all", "is %d bytes long", total)
	}
}

func (w Workload) checkPorts(f *Faults) {
	if len(w.Ports) > 32 {
		f.Add("ports", "name at most 32", "there are %d", len(w.Ports))
	}
	byNumber := map[int]string{}
	for _, name := range slices.Sorted(maps.Keys(w.Ports)) {
		port := w.Ports[name]
		checkName(f, "ports", name)
		if port < 1 || port > 65535 {
			f.Add("ports."+name, "use 1 to 65535", "%d is not a port", port)
		}
		if other, ok := byNumber[port]; ok {
			f.Add("ports."+name, "give each name a port of its own", "%d is also port %q", port, other)
		}
		byNumber[port] = name
	}
	p := w.Probe
	checkOneOf(f, "probe.kind", p.Kind, `use "http", "tcp", "healthcheck" or "none"`, ProbeNone, ProbeTCP, ProbeHTTP, ProbeHealthcheck)
	if p.Path != "" {
		if u, err := url.ParseRequestURI(p.Path); err != nil || !strings.HasPrefix(p.Path, "/") || strings.HasPrefix(p.Path, "//") || u.Host != "" || strings.ContainsAny(p.Path, " \t\r\n") {
			f.Add("probe.http", `use a path such as "/healthz"`, "%.80q is not a path", p.Path)
		}
		if p.Kind != "" && p.Kind != ProbeHTTP {
			f.Add("probe", "leave out the path or the kind", "has a path, but its kind is %s", p.Kind)
		}
	} else if p.Kind == ProbeHTTP {
		f.Add("probe.http", `set a path such as "/healthz"`, "is empty")
	}
	if _, ok := w.Ports[p.Port]; p.Port != "" && !ok {
		f.Add("probe.port", "name one of workload.ports", "%q is not a port of the workload", p.Port)
	}
	if len(w.Ports) == 0 && (p.Kind == ProbeTCP || p.Kind == ProbeHTTP || p.Path != "") {
		f.Add("probe", "name a port in workload.ports", "there is no port to probe")
	}
	checkDuration(f, "probe.interval", p.Interval, time.Hour)
	checkDuration(f, "probe.timeout", p.Timeout, time.Minute)
	checkDuration(f, "probe.start_deadline", p.StartDeadline, 24*time.Hour)
	checkDuration(f, "probe.live_interval", p.LiveInterval, time.Hour)
	if p.Failures < -1 || p.Failures > 1000 {
		f.Add("probe.failures", "use 0 (never) to 1000", "%d is out of range", p.Failures)
	}
	if p.Kind == ProbeHealthcheck && w.Image == "" {
		f.Add("probe.healthcheck", "use another probe", "only an image has a HEALTHCHECK")
	}
}

func (w Workload) checkMounts(f *Faults) {
	targets := map[string]bool{}
	for i, m := range w.Mounts {
		at := "mounts[" + strconv.Itoa(i) + "]"
		switch m.Kind {
		case MountVolume:
			if !volumeRE.MatchString(m.Source) {
				f.Add(at+".source", "name a volume", "%.80q is not a volume's name", m.Source)
			}
		case MountBind:
			if !cleanAbs(m.Source) {
				f.Add(at+".source", "use a clean absolute path of the host", "%.80q is not one", m.Source)
			}
		case MountTmpfs:
			if m.Source != "" {
				f.Add(at+".source", "leave it out for tmpfs", "is set")
			}
		default:
			f.Add(at+".type", `use "volume", "bind" or "tmpfs"`, "%q is unknown", m.Kind)
		}
		if m.Size < 0 || m.Size > 0 && m.Kind != MountTmpfs {
			f.Add(at+".size", "set it for tmpfs only, above 0", "%d cannot be used here", m.Size)
		}
		if !cleanAbs(m.Target) || m.Target == "/" {
			f.Add(at+".target", "use a clean absolute path other than /", "%.80q is not one", m.Target)
		}
		if targets[m.Target] {
			f.Add(at+".target", "mount each path once", "%q is mounted twice", m.Target)
		}
		targets[m.Target] = true
	}
}

func (w Workload) checkSecrets(f *Faults) {
	names, targets := map[string]bool{}, map[string]bool{}
	for _, m := range w.Mounts {
		targets[m.Target] = true
	}
	for i, s := range w.Secrets {
		at := "secrets[" + strconv.Itoa(i) + "]"
		if !secretRE.MatchString(s.Name) {
			f.Add(at+".name", "use 1 to 64 letters, digits, dots, dashes and underscores", "%.80q is not a file's name", s.Name)
		}
		if names[s.Name] {
			f.Add(at+".name", "name each secret once", "%q is named twice", s.Name)
		}
		if (s.FromFile == "") == (s.FromEnv == "") {
			f.Add(at, `set "file" or "env"`, "needs exactly one source")
		}
		if s.FromFile != "" && !cleanAbs(s.FromFile) {
			f.Add(at+".file", "use a clean absolute path on the server's machine", "%.80q is not one", s.FromFile)
		}
		if s.FromEnv != "" && !envRE.MatchString(s.FromEnv) {
			f.Add(at+".env", "name a variable of the server's environment", "%.80q is not a variable's name", s.FromEnv)
		}
		target := s.Target
		if target == "" {
			target = "/run/secrets/" + s.Name
		}
		switch {
		case s.Target != "" && (!cleanAbs(s.Target) || s.Target == "/"):
			f.Add(at+".target", "use a clean absolute path other than /", "%.80q is not one", s.Target)
		case targets[target] && !names[s.Name]:
			f.Add(at+".target", "give each secret and mount a path of its own", "%.80q is used twice", target)
		}
		names[s.Name], targets[target] = true, true
	}
}

func checkName(f *Faults, at, name string) {
	if !nameRE.MatchString(name) {
		f.Add(at, nameAllowed, "%.80q is not a name", name)
	}
}

// checkOneOf refuses a value that is set and none of the allowed ones.
func checkOneOf[T ~string](f *Faults, at string, value T, use string, allowed ...T) {
	if value != "" && !slices.Contains(allowed, value) {
		f.Add(at, use, "%q is unknown", value)
	}
}

func checkDuration(f *Faults, at string, d, most time.Duration) {
	if d < 0 || d > most {
		f.Add(at, "use 0s to "+most.String(), "%s is out of range", d)
	}
}

func checkArgs(f *Faults, at string, args []string) {
	if len(args) > maxArgs {
		f.Add(at, "use at most 1000 arguments", "there are %d", len(args))
	}
	for i, a := range args {
		if strings.ContainsRune(a, 0) || len(a) > maxArgLength {
			f.Add(at+"["+strconv.Itoa(i)+"]", "use at most 128 KiB without NUL bytes", "cannot be passed to a program")
		}
	}
}

func checkIP(f *Faults, at, s string) {
	if _, err := netip.ParseAddr(s); s != "" && err != nil {
		f.Add(at, "use an IP address", "%.80q is not one", s)
	}
}

func cleanAbs(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && !strings.ContainsAny(p, "\x00\n:,")
}

func loopbackHost(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func loopbackAddress(address string) bool {
	u, err := url.Parse(address)
	return err == nil && loopbackHost(u.Hostname())
}
