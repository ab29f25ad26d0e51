package api

import (
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
)

// HostSpec turns a host as users write it into what the manager takes. Its
// status is ignored. It returns every fault as [cms.Faults], with paths as they
// stand on the wire.
func HostSpec(h wire.Host) (pod.Host, error) {
	out := pod.Host{
		Name:          h.Name,
		Runtime:       h.Runtime,
		Address:       h.Address,
		TLS:           pod.HostTLS(h.TLS),
		Capacity:      pod.Resources{CPU: float64(h.Capacity.CPU), Memory: int64(h.Capacity.Memory)},
		CPUOvercommit: h.CPUOvercommit,
		AddressMode:   pod.AddressMode(h.AddressMode),
		Bind:          h.Bind,
		Advertise:     h.Advertise,
		Cordoned:      h.Cordoned,
		Labels:        table(h.Labels),
	}
	for name, r := range h.Registries {
		if out.Registries == nil {
			out.Registries = map[string]pod.RegistryAuth{}
		}
		out.Registries[name] = pod.RegistryAuth(r)
	}
	if err := out.Validate(); err != nil {
		return pod.Host{}, err
	}
	return out, nil
}

// Host returns a host as users see it.
func Host(s cms.HostStatus) wire.Host {
	h := HostSettings(s.Host)
	h.Status = &wire.HostStatus{
		Reachable: s.Reachable,
		Error:     s.Fault.Text,
		Since:     s.Since,
		Draining:  s.Draining,
		Capacity:  wire.Resources(s.Capacity),
		Reserved:  wire.Resources(s.Reserved),
		Used:      wire.HostUsage(s.Used),
		Engine:    s.Engine,
		Nodes:     s.Nodes,
	}
	return h
}

// HostSettings returns the settings of a host as users write them, without a
// status. [HostSpec] of the result is equal to h.
func HostSettings(h pod.Host) wire.Host {
	out := wire.Host{
		Name:          h.Name,
		Runtime:       h.Runtime,
		Address:       h.Address,
		TLS:           wire.HostTLS(h.TLS),
		Capacity:      wire.Capacity{CPU: wire.Cores(h.Capacity.CPU), Memory: wire.Bytes(h.Capacity.Memory)},
		CPUOvercommit: h.CPUOvercommit,
		AddressMode:   string(h.AddressMode),
		Bind:          h.Bind,
		Advertise:     h.Advertise,
		Cordoned:      h.Cordoned,
		Labels:        table(h.Labels),
	}
	for name, r := range h.Registries {
		if out.Registries == nil {
			out.Registries = map[string]wire.RegistryAuth{}
		}
		out.Registries[name] = wire.RegistryAuth(r)
	}
	return out
}
