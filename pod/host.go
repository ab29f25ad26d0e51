package pod

import (
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Host is a machine, or an engine, on which nodes run, and how to reach it.
type Host struct {
	Name string // unique in the cluster: 1 to 40 of a-z, 0-9 and -, a letter first
	// Runtime is the kind of runtime: "docker" or "process", or another that
	// the program which embeds elastipod knows to open.
	Runtime string
	// Address is how the engine is reached: "unix:///run/docker.sock",
	// "tcp://10.0.0.5:2376" or "ssh://user@host". Empty: this machine's default.
	Address string
	// TLS holds paths of PEM files for tcp addresses.
	TLS HostTLS
	// Capacity replaces what the engine says, field by field, where not 0.
	Capacity Resources
	// CPUOvercommit is by how much CPU reservations may exceed the capacity;
	// limits still hold, so a busy host slows and does not fail. Default 8.
	CPUOvercommit float64
	// AddressMode says which address of a node is dialled. Default [AddressAuto].
	AddressMode AddressMode
	// Bind is the address on the host to which ports are published. Default
	// 127.0.0.1 for a host that is this machine; required otherwise when ports
	// are published.
	Bind string
	// Advertise is the address at which published ports are dialled; default:
	// Bind, or the host's address where Bind is a wildcard.
	Advertise string
	// Registries holds credentials by registry host name.
	Registries map[string]RegistryAuth
	// Cordoned hosts take no new nodes.
	Cordoned bool
	// Labels are for people and for policies of placement.
	Labels map[string]string
}

// HostTLS names the PEM files for mutual TLS with an engine.
type HostTLS struct {
	CA, Cert, Key string // paths of PEM files: the authority that signed the engine's certificate, and our own certificate and key
}

// RegistryAuth is where the credentials of a registry come from. The password
// is read when it is needed and never stored.
type RegistryAuth struct {
	Username     string // as the registry knows it
	PasswordFile string // a file on the manager's machine; set this or PasswordEnv
	PasswordEnv  string // a variable of the manager's environment; set this or PasswordFile
}

// AddressMode says at which address a node is dialled.
type AddressMode string

// The address modes; the package documentation of pod/docker compares them.
const (
	AddressAuto      AddressMode = "auto"
	AddressContainer AddressMode = "container" // the container's own address
	AddressPublished AddressMode = "published" // a port published on the host
)

// DefaultCPUOvercommit is the default of [Host.CPUOvercommit].
const DefaultCPUOvercommit = 8

// WithDefaults returns the host with unset fields filled in.
func (h Host) WithDefaults() Host {
	setDefault(&h.CPUOvercommit, DefaultCPUOvercommit)
	setDefault(&h.AddressMode, AddressAuto)
	if h.Local() {
		setDefault(&h.Bind, "127.0.0.1")
	}
	return h
}

// Local says whether the host's address is on this machine.
func (h Host) Local() bool {
	return h.Address == "" || strings.HasPrefix(h.Address, "unix://")
}

// Validate returns every fault of the host as [Faults], or nil.
func (h Host) Validate() error {
	var f Faults
	checkName(&f, "name", h.Name)
	if h.Runtime == "" {
		f.Add("runtime", `set "docker" or "process"`, "is empty")
	}
	if h.Address != "" {
		if u, err := url.Parse(h.Address); err != nil || !engineAddress(u) {
			f.Add("address", "use unix:///path, tcp://host:port or ssh://user@host", "%q is not an engine's address", h.Address)
		} else if u.Scheme == "tcp" && (h.TLS.CA == "" || h.TLS.Cert == "" || h.TLS.Key == "") && !loopbackHost(u.Hostname()) {
			f.Add("tls", "set ca, cert and key: an engine on tcp without TLS gives root to whoever reaches it", "is incomplete for %s", h.Address)
		}
	}
	if !(h.Capacity.CPU >= 0 && h.Capacity.CPU <= maxHostCPU) { // NaN too
		f.Add("capacity.cpu", "use a number of cores above 0, or leave it out", "%v is out of range", h.Capacity.CPU)
	}
	if h.Capacity.Memory < 0 {
		f.Add("capacity.memory", "use an amount of bytes above 0, or leave it out", "%d is negative", h.Capacity.Memory)
	}
	if h.CPUOvercommit != 0 && !(h.CPUOvercommit >= 1 && h.CPUOvercommit <= 1000) {
		f.Add("cpu_overcommit", "use 1 to 1000", "%v is out of range", h.CPUOvercommit)
	}
	checkOneOf(&f, "address_mode", h.AddressMode, `use "auto", "container" or "published"`, AddressAuto, AddressContainer, AddressPublished)
	checkIP(&f, "bind", h.Bind)
	if !h.Local() && h.AddressMode != AddressContainer {
		switch {
		case h.Bind == "":
			f.Add("bind", "set the address of that host on which ports are published, such as 10.0.0.5 or 0.0.0.0", "is empty for a remote host")
		case loopbackHost(h.Bind) && !loopbackAddress(h.Address):
			f.Add("bind", "use an address of that host that this machine can dial", "%s is loopback: nodes of a remote host could not be reached from here", h.Bind)
		}
	}
	if h.Advertise != "" && net.ParseIP(h.Advertise) == nil && !hostRE.MatchString(h.Advertise) {
		f.Add("advertise", "use an IP address or a host name, without a port", "%.80q is neither", h.Advertise)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Registries)) {
		r := h.Registries[name]
		if (r.PasswordFile == "") == (r.PasswordEnv == "") {
			f.Add("registries."+name, "set one of password_file and password_env", "needs exactly one source of its password")
		}
	}
	return f.Err()
}

// maxHostCPU bounds [Host.Capacity], in cores.
const maxHostCPU = 1 << 20

// engineAddress says whether an engine may be reached so. User and host of an
// ssh address become arguments of a command and must not look like options.
func engineAddress(u *url.URL) bool {
	switch u.Scheme {
	case "unix":
		return u.Host == "" && cleanAbs(u.Path)
	case "tcp":
		return u.Hostname() != "" && u.Port() != "" && (u.Path == "" || u.Path == "/")
	case "ssh":
		user := u.User.Username()
		return hostRE.MatchString(strings.ReplaceAll(u.Hostname(), ":", "")) && (u.User == nil || userRE.MatchString(user))
	}
	return false
}
