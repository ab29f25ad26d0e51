package cms

import (
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// PodState is what a pod is doing.
type PodState string

// The states of a pod.
const (
	PodActive   PodState = "active"
	PodPaused   PodState = "paused"   // its servers are out of the balancer, its nodes run
	PodDeleting PodState = "deleting" // its nodes are being drained, then it is gone
)

// PodStatus is an immutable picture of a pod.
type PodStatus struct {
	Spec       PodSpec    // complete: defaults are filled in
	Elasticity Elasticity // complete: defaults are filled in
	State      PodState   // what it is doing
	CreatedAt  time.Time  // when it was created
	// Want is the number of nodes that the pod should have.
	Want int
	// Revision identifies the workload and limits of nodes started now.
	Revision string
	Nodes    []NodeStatus // sorted by age, oldest first
	// Sample is what was measured at the last tick; its At is zero before the first.
	Sample metrics.Sample
	// LastTick is the last tick, or nil before the first; LastChange the last
	// one that changed Want, or nil.
	LastTick, LastChange *Tick
	// Rollout is the last change of what the pod runs, or nil; Revisions is what
	// it ran so far, as far as that is kept, oldest first.
	Rollout   *RolloutStatus
	Revisions []RevisionRecord
	// Cut is how many requests and connections, such as WebSockets, were still in
	// flight when the drain's deadline of their node passed, since the pod was made.
	Cut uint64
	// Problems says in sentences what is wrong now; empty when all is well.
	Problems []string
	// Converged says that what runs and takes requests is what should.
	Converged bool
}

// NodeStatus is an immutable picture of a node.
type NodeStatus struct {
	Name, Pod, Host string            // its own name, its pod and the host that it is placed on; no host before it is launched
	State           pod.State         // where it is in its life
	Revision        string            // that of the spec, a dash, and the image's short digest where there is one
	Handle          string            // the runtime's own name for it
	Endpoints       map[string]string // "host:port" by the name of the port; empty before it runs
	CreatedAt       time.Time         // when it was registered
	StartedAt       time.Time         // zero before
	ReadyAt         time.Time         // zero before
	InFlight        metrics.Value     // requests that it has now
	CPU             metrics.Value     // fraction of its limit
	Memory          metrics.Value     // bytes
	DrainBy         time.Time         // when a draining node is stopped at the latest; zero for others
	Cut             uint64            // requests and connections that it had when that time came
	Reason          string            // why it is in this state, for a person
	// Unseen says that its state is from the store: this manager has not observed
	// its host yet.
	Unseen bool
}

// Tick is one turn of a pod's loop.
type Tick struct {
	Seq         uint64              // counts from 1 since the loop started
	At          time.Time           // when it began
	Observation elastic.Observation // what the policy saw
	Decision    elastic.Decision    // what it wanted, and why
	// Before is the wanted number before this tick.
	Before int
	Sample metrics.Sample // what was measured
	// Err says what could not be observed; empty when all was.
	Err string
	// Took is how long the tick took, without the actions that it began.
	Took time.Duration
}

// HostStatus is an immutable picture of a host.
type HostStatus struct {
	Host      pod.Host      // complete: defaults are filled in
	Reachable bool          // it answered the last observation
	Error     string        // why not
	Since     time.Time     // when it became reachable or unreachable
	Draining  bool          // its nodes are being moved, then it is removed
	Capacity  pod.Resources // without the overcommit
	Reserved  pod.Resources // by nodes of this cluster
	Used      pod.HostUsage // by everything on the host
	Engine    string        // such as "Docker 20.10.24, cgroup v1"
	Nodes     int           // nodes of this cluster placed on it
	// Collected is what this manager removed from the host so far.
	Collected ImageCount
}

// ImageCount counts images.
type ImageCount struct {
	Images int   // how many
	Bytes  int64 // their sizes; the disk gains less where others share layers
}

// ClusterStatus sums up a cluster.
type ClusterStatus struct {
	Name, ID  string    // what nodes carry
	StartedAt time.Time // of this manager
	Pods      int       // how many there are
	Nodes     int       // how many there are, in every state
	Hosts     int       // how many there are
	Problems  []string  // what is wrong now, in sentences
}

// BalancerStatus is the balancer's statistics, and which front is whose.
type BalancerStatus struct {
	Stats balancer.Stats // as the balancer observed them
	// Pods maps a front's name to its pod's.
	Pods map[string]string
	At   time.Time // when they were observed
	Err  string    // why the statistics are old; empty when they are not
}
