package docker

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/elastipod/elastipod/pod"
)

// dialsContainers says whether nodes are dialled at their own address.
func (r *Runtime) dialsContainers(f *facts) bool {
	switch r.host.AddressMode {
	case pod.AddressContainer:
		return true
	case pod.AddressPublished:
		return false
	}
	return f.direct
}

// reach is where a container can be reached: its own address and, by its own
// port, the ports published on the host.
type reach struct {
	own       string
	published map[int]string
}

// endpoints returns the address of each port. A node that was started under
// another address mode is dialled where it can be.
func (r *Runtime) endpoints(ports map[string]int, at reach, f *facts) map[string]string {
	out := make(map[string]string, len(ports))
	for name, number := range ports {
		own, published := "", ""
		if at.own != "" {
			own = net.JoinHostPort(at.own, strconv.Itoa(number))
		}
		if p := at.published[number]; p != "" {
			published = net.JoinHostPort(r.advertise(), p)
		}
		first, second := published, own
		if r.dialsContainers(f) {
			first, second = own, published
		} else if !f.direct {
			second = ""
		}
		if first == "" {
			first = second
		}
		if first != "" {
			out[name] = first
		}
	}
	return out
}

// advertise is the address at which published ports are dialled.
func (r *Runtime) advertise() string {
	if r.host.Advertise != "" {
		return r.host.Advertise
	}
	bind, err := netip.ParseAddr(r.host.Bind)
	if err == nil && !bind.IsUnspecified() {
		return r.host.Bind
	}
	if u, err := url.Parse(r.host.Address); err == nil && !r.host.Local() {
		return u.Hostname()
	}
	return "127.0.0.1"
}

func reachOfSummary(s container.Summary) reach {
	at := reach{published: map[int]string{}}
	if s.NetworkSettings != nil {
		at.own = ownAddress(s.NetworkSettings.Networks)
	}
	for _, p := range s.Ports {
		if p.PublicPort != 0 && p.Type == "tcp" {
			at.published[int(p.PrivatePort)] = strconv.Itoa(int(p.PublicPort))
		}
	}
	return at
}

func reachOfInspect(c container.InspectResponse) reach {
	at := reach{published: map[int]string{}}
	if c.NetworkSettings == nil {
		return at
	}
	at.own = ownAddress(c.NetworkSettings.Networks)
	for port, bindings := range c.NetworkSettings.Ports {
		for _, b := range bindings {
			if port.Proto() == "tcp" {
				at.published[port.Int()] = b.HostPort
			}
		}
	}
	return at
}

// ownAddress prefers the default bridge to the further networks of a node.
func ownAddress(networks map[string]*network.EndpointSettings) string {
	if b := networks["bridge"]; b != nil && b.IPAddress != "" {
		return b.IPAddress
	}
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		if n := networks[name]; n != nil && n.IPAddress != "" {
			return n.IPAddress
		}
	}
	return ""
}
