package balancer

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Default values of a [Front] and a [Server].
const (
	DefaultConnectTimeout = 200 * time.Millisecond
	DefaultClientTimeout  = 60 * time.Second
	DefaultServerTimeout  = 60 * time.Second
	DefaultQueueTimeout   = 30 * time.Second
	DefaultRetries        = 3
	DefaultWeight         = 100
	MaxWeight             = 256
)

var (
	frontNameRE  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	serverNameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)
	pathRE       = regexp.MustCompile(`^/[A-Za-z0-9._~!&()*+,;=:@%/?-]*$`)
)

// maxPath bounds the bytes of a path. In pathRE such a bound would cost every
// program that imports this package milliseconds at its start.
const maxPath = 1000

// WithDefaults returns the front with unset fields filled in.
func (f Front) WithDefaults() Front {
	f.Algorithm = cmp.Or(f.Algorithm, LeastConn)
	f.Retries = cmp.Or(f.Retries, DefaultRetries)
	t := &f.Timeouts
	t.Connect = cmp.Or(t.Connect, DefaultConnectTimeout)
	t.Client = cmp.Or(t.Client, DefaultClientTimeout)
	t.Server = cmp.Or(t.Server, DefaultServerTimeout)
	t.Queue = cmp.Or(t.Queue, DefaultQueueTimeout)
	return f
}

// Equal says whether two fronts are the same.
func (f Front) Equal(o Front) bool { return f == o }

// Validate returns every fault of the front as [Faults], or nil.
func (f Front) Validate() error {
	var l Faults
	if !frontNameRE.MatchString(f.Name) {
		l.Add("name", "use 1 to 40 of a-z, 0-9 and -, a letter first", "%.80q is not a name", f.Name)
	}
	if _, err := ParseAddr(f.Listen); err != nil {
		l.Add("listen", `use an IP address and a port, such as "127.0.0.1:5100"`, "%.80q is not an address to listen on", f.Listen)
	}
	switch f.Algorithm {
	case "", LeastConn, RoundRobin, Random, First, Source:
	default:
		l.Add("algorithm", `use "leastconn", "roundrobin", "random", "first" or "source"`, "%.80q is unknown", f.Algorithm)
	}
	if f.MaxConn < 0 || f.MaxConn > 100_000 {
		l.Add("max_conn", "use 1 to 100000, or leave it out for no bound", "%d is out of range", f.MaxConn)
	}
	if f.Algorithm == First && f.MaxConn == 0 {
		l.Add("max_conn", `set it: "first" fills one server up to this before it takes the next`, "is not set")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"connect", f.Timeouts.Connect},
		{"client", f.Timeouts.Client},
		{"server", f.Timeouts.Server},
		{"queue", f.Timeouts.Queue},
	} {
		if d.value != 0 && (d.value < time.Millisecond || d.value > 24*time.Hour) {
			l.Add("timeouts."+d.name, "use 1ms to 24h", "%s is out of range", d.value)
		}
	}
	if f.Retries > 100 {
		l.Add("retries", "use at most 100, or a negative number for none", "%d is out of range", f.Retries)
	}
	if p := f.CheckPath; p != "" {
		if _, err := url.ParseRequestURI(p); err != nil || len(p) > maxPath || !pathRE.MatchString(p) || strings.HasPrefix(p, "//") {
			l.Add("check_path", `use a path such as "/healthz"`, "%.80q is not a path", p)
		}
	}
	return l.Err()
}

// WithDefaults returns the server with unset fields filled in.
func (s Server) WithDefaults() Server {
	s.Weight = cmp.Or(s.Weight, DefaultWeight)
	s.State = cmp.Or(s.State, Ready)
	return s
}

// Validate returns every fault of the server as [Faults], or nil.
func (s Server) Validate() error {
	var l Faults
	if !serverNameRE.MatchString(s.Name) {
		l.Add("name", "use 1 to 100 letters, digits, dots, dashes and underscores", "%.120q is not a name", s.Name)
	}
	if _, err := ParseAddr(s.Addr); err != nil {
		l.Add("addr", `use an IP address and a port, such as "127.0.0.1:8080"`, "%.80q is not an address", s.Addr)
	}
	if s.Weight < 0 || s.Weight > MaxWeight {
		l.Add("weight", "use 1 to 256", "%d is out of range", s.Weight)
	}
	switch s.State {
	case "", Ready, Drain:
	default:
		l.Add("state", `use "ready" or "drain"`, "%.80q is unknown", s.State)
	}
	return l.Err()
}

// ValidateServers returns every fault of the servers as [Faults], a name that
// occurs twice included, or nil. The paths begin with "servers[i]".
func ValidateServers(servers []Server) error {
	var l Faults
	seen := make(map[string]bool, len(servers))
	for i, s := range servers {
		prefix := "servers[" + strconv.Itoa(i) + "]"
		var part Faults
		if errors.As(s.Validate(), &part) {
			l.Nest(prefix, part)
		}
		if seen[s.Name] {
			l.Add(prefix+".name", "name each server once", "%.120q is named twice", s.Name)
		}
		seen[s.Name] = true
	}
	return l.Err()
}

// ParseAddr parses "host:port", where host is an IP address and port is not 0.
func ParseAddr(s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if a.Port() == 0 || a.Addr().Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("balancer: port 0 or a zone in %q", s)
	}
	return a, nil
}
