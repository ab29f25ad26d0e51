package wire

import "time"

// Host is a machine on which nodes run, and how to reach it.
type Host struct {
	Name          string                  `json:"name" doc:"1 to 40 of a-z, 0-9 and -, a letter first."`
	Runtime       string                  `json:"runtime" doc:"\"docker\" or \"process\"."`
	Address       string                  `json:"address,omitempty" doc:"unix:///path, tcp://host:port or ssh://user@host. Default: this machine."`
	TLS           HostTLS                 `json:"tls,omitzero" doc:"For tcp addresses."`
	Capacity      Capacity                `json:"capacity,omitzero" doc:"Replaces what the engine says, field by field."`
	CPUOvercommit float64                 `json:"cpu_overcommit,omitempty" doc:"By how much CPU reservations may exceed the capacity: 1 to 1000. Default 8." minimum:"1" maximum:"1000"`
	AddressMode   string                  `json:"address_mode,omitempty" doc:"Which address of a node is dialled: \"auto\" (the default), \"container\" or \"published\"."`
	Bind          string                  `json:"bind,omitempty" doc:"IP address on the host to which ports are published."`
	Advertise     string                  `json:"advertise,omitempty" doc:"Address at which published ports are dialled. Default: bind."`
	Registries    map[string]RegistryAuth `json:"registries,omitempty" doc:"Credentials by registry host name."`
	Cordoned      bool                    `json:"cordoned,omitempty" doc:"It takes no new nodes."`
	Labels        map[string]string       `json:"labels,omitempty" doc:"For people."`
	Status        *HostStatus             `json:"status,omitempty" doc:"What the server knows of the host. Ignored when written." readOnly:"true"`
}

// HostTLS names PEM files on the server's machine for mutual TLS with an engine.
type HostTLS struct {
	CA   string `json:"ca,omitempty" doc:"PEM file on the server's machine: the authority of the engine's certificate."`
	Cert string `json:"cert,omitempty" doc:"PEM file on the server's machine: the server's own certificate."`
	Key  string `json:"key,omitempty" doc:"PEM file on the server's machine: its key."`
}

// Capacity is what a host offers, as users set it.
type Capacity struct {
	CPU    Cores `json:"cpu,omitempty" doc:"Cores. Default: what the engine says."`
	Memory Bytes `json:"memory,omitempty" doc:"Default: what the engine says."`
}

// RegistryAuth says where the credentials of a registry come from. The password
// itself never crosses the wire.
type RegistryAuth struct {
	Username     string `json:"username,omitempty" doc:"As the registry knows it."`
	PasswordFile string `json:"password_file,omitempty" doc:"A file on the server's machine. Set this or password_env."`
	PasswordEnv  string `json:"password_env,omitempty" doc:"A variable of the server's environment. Set this or password_file."`
}

// HostStatus is what the server adds to a host.
type HostStatus struct {
	Reachable bool      `json:"reachable" doc:"It answered the last observation."`
	Error     string    `json:"error,omitempty" doc:"Why it is not reachable."`
	Since     time.Time `json:"since,omitzero" doc:"When it became reachable or unreachable."`
	Draining  bool      `json:"draining" doc:"Its nodes are being moved, then it is removed."`
	Capacity  Resources `json:"capacity" doc:"Without the overcommit."`
	Reserved  Resources `json:"reserved" doc:"By nodes of this cluster."`
	Used      HostUsage `json:"used" doc:"By everything on the host."`
	Engine    string    `json:"engine" doc:"Kind and version of the engine, for people."`
	Nodes     int       `json:"nodes" doc:"Nodes of this cluster placed on it."`
}

// Resources is an amount of CPU and memory.
type Resources struct {
	CPU    float64 `json:"cpu" doc:"Cores."`
	Memory int64   `json:"memory" doc:"Bytes."`
}

// HostUsage is what a whole host uses; null where not measured.
type HostUsage struct {
	CPU       *float64 `json:"cpu" doc:"Cores in use."`
	Memory    *int64   `json:"memory" doc:"Bytes in use."`
	Disk      *int64   `json:"disk" doc:"Bytes in use where nodes' data lies."`
	DiskTotal *int64   `json:"disk_total" doc:"Bytes."`
}
