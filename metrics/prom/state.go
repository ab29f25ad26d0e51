package prom

import "github.com/elastipod/elastipod/metrics"

// State is everything that is exported as it stands now. The exporter only
// reads it.
type State struct {
	Pods  []Pod  // of the cluster
	Hosts []Host // of the cluster
	// Balancer is exported when it is not nil.
	Balancer *Balancer
}

// Pod is a pod to export, under its Name.
type Pod struct {
	Name string
	// Sample is that of the last tick; without a time only Name and the counters
	// are exported.
	Sample metrics.Sample
	// Requests and Errors are what the pod's fronts have counted so far: all
	// requests, and those that failed.
	Requests, Errors metrics.Value
	// Elastic says that a policy decides, within Min and Max.
	Elastic  bool
	Min, Max int
	// Cut is how many requests and connections were cut at the deadline of a
	// drain so far.
	Cut uint64
	// Problems is how many things are wrong with it now.
	Problems int
}

// Host is a machine to export, under its Name. Amounts that are not known are missing.
type Host struct {
	Name                string
	Reachable, Cordoned bool // it answered the last observation
	// Nodes is the number of nodes of this cluster on it.
	Nodes int
	// CPU is in cores.
	CPUCapacity, CPUReserved, CPUUsed metrics.Value
	// MemoryCapacity, DiskCapacity and the others are in bytes.
	MemoryCapacity, MemoryReserved, MemoryUsed metrics.Value
	DiskCapacity, DiskUsed                     metrics.Value
	// ImagesRemoved is how many the manager removed from it since it began, and
	// ImageBytesRemoved their size in bytes.
	ImagesRemoved, ImageBytesRemoved metrics.Value
}

// Balancer is what takes the requests.
type Balancer struct {
	Reachable bool    // it answered the last observation
	Fronts    []Front // of every pod
}

// Front is an address on which requests are taken, under its Name and that of
// its pod.
type Front struct {
	Name, Pod string
	// Requests and Errors are counted since the balancer was started.
	Requests, Errors metrics.Value
	// InFlight counts the requests that it has, Waiting those of them that no
	// server has yet.
	InFlight, Waiting metrics.Value
	// Ready servers take new requests, Draining ones finish what they have.
	Ready, Draining int
	// Down is how many of all these do not answer the balancer.
	Down int
}
