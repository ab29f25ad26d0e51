// Package invariant says what must be true of a cluster: nodes are within their
// bounds, the balancer has the online nodes, the store and the hosts tell the
// same, and what is reserved is what runs. Tests that break things check it with
// one and the same function, whatever they break: random commands and faults on
// fakes, hostile requests, and real kills of real engines and balancers.
package invariant

// View is a cluster at one moment, as those tell it who know a part of it.
type View struct {
	Pods  []Pod  // as the manager shows them
	Hosts []Host // what the manager shows of them, and what runs there
	// Fronts is what the balancer has; nil where nobody asked it.
	Fronts *[]Front
	// Stored is what the store keeps; nil where nobody read it.
	Stored *Stored
	// AtRest says that nothing is broken and nothing is on its way any more.
	// Without it only what holds at every moment is checked.
	AtRest bool
}

// The states of pods and nodes are those of the API, such as "online".
const (
	active   = "active"
	paused   = "paused"
	deleting = "deleting"

	fresh    = "new"
	starting = "starting"
	online   = "online"
	standby  = "standby"
	draining = "draining"
	failed   = "failed"

	ready = "ready"
)

// Pod is a pod as the manager shows it.
type Pod struct {
	Name     string // unique in the cluster
	State    string // "active", "paused" or "deleting"
	Want     int    // the wanted number of nodes
	MaxNodes int    // the most nodes that it may have
	// Elastic is set where the pod grows and shrinks by itself between Min and
	// Max.
	Elastic  bool
	Min, Max int
	Revision uint64     // of nodes that are started now
	Fronts   []PodFront // where it takes requests
	Nodes    []Node     // all of them, in every state
	Problems []string   // what the manager says is wrong
	Rollout  PodRollout // the last change of what the pod runs
	Excuse   string     // why it cannot come to rest, such as that no host has room; empty where it must
	// Converged is what the manager says of itself: what runs is what should.
	Converged bool
}

// PodFront is a front as a pod has it.
type PodFront struct {
	Name   string // unique in the cluster
	Listen string // "address:port"
	Port   string // the name of the nodes' port that gets the requests
}

// PodRollout is how far a change of what a pod runs is. Its zero value is that
// of a pod that never changed.
type PodRollout struct {
	State    string // "", "progressing", "paused", "done" or "rolled-back"
	From, To uint64 // revisions
}

// Node is a node as the manager shows it.
type Node struct {
	Name      string            // unique in its pod
	State     string            // "new", "starting", "online", "standby", "draining" or "failed"
	Host      string            // where it is placed; empty before
	Revision  uint64            // of what it runs; 0 before it is launched
	Endpoints map[string]string // "host:port" by the name of the port
	CPU       float64           // cores that it reserves
	Memory    int64             // bytes that it reserves
}

// Host is a host as the manager shows it, and what is on it.
type Host struct {
	Name      string  // unique in the cluster
	Reachable bool    // it answers
	Draining  bool    // it is being removed
	Removed   bool    // the manager does not show it (any more): nothing may be left there
	Nodes     int     // nodes that have reserved something, as the manager counts them
	CPU       float64 // cores that are reserved
	Memory    int64   // bytes that are reserved
	// Capacity is its memory in bytes; 0 where that is not known.
	Capacity int64
	// Running is what the machine itself says of the cluster's nodes on it; nil
	// where nobody asked it.
	Running *[]Instance
}

// Instance is something that is on a host, running or ended.
type Instance struct {
	Pod, Node string // whose it is
	Running   bool   // false: its remains
}

// Front is a front as the balancer has it.
type Front struct {
	Name    string   // unique
	Listen  string   // "address:port"
	Servers []Server // what gets its requests
}

// Server is an endpoint as the balancer has it.
type Server struct {
	Name  string // of the node
	Addr  string // "host:port"
	State string // "ready" or "drain"
}

// Stored is what a store keeps.
type Stored struct {
	Pods  []StoredPod // in any order
	Hosts []string    // names
}

// StoredPod is what a store keeps of a pod.
type StoredPod struct {
	Name  string            // unique
	State string            // "active", "paused" or "deleting"
	Want  int               // the wanted number of nodes
	Nodes map[string]string // the states of the nodes by name
}
