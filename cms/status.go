package cms

import (
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/internal/images"
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
	// Revision is the number of the revision that nodes started now run.
	Revision uint64
	Nodes    []NodeStatus // sorted by age, oldest first
	Counts   NodeCounts   // how many of them are in each state
	// Sample is what was measured at the last tick; its At is zero before the first.
	Sample metrics.Sample
	// LastTick is the last tick, LastChange the last one that changed Want. They
	// are never nil; where there was none yet, Seq is 0.
	LastTick, LastChange *Tick
	// Rollout is the last change of what the pod runs, or nil; Revisions is what
	// it ran so far, as far as that is kept, oldest first.
	Rollout   *RolloutStatus
	Revisions []RevisionRecord
	// Cut is how many requests and connections, such as WebSockets, were still in
	// flight when the drain's deadline of their node passed, since the pod was made.
	Cut uint64
	// Problems is what is wrong now; empty when all is well. Their times are by the
	// wall clock.
	Problems []Problem
	// Converged says that what runs and takes requests is what should.
	Converged bool
}

// NodeCounts is how many nodes of a pod are in each state. Unseen ones are in none:
// nobody knows whether they still run.
type NodeCounts struct {
	metrics.Nodes
	Unseen int // as in [NodeStatus]
}

// NodeStatus is an immutable picture of a node.
type NodeStatus struct {
	Name, Pod, Host string            // its own name, its pod and the host that it is placed on; no host before it is launched
	State           pod.State         // where it is in its life
	Revision        uint64            // number of the revision that it runs; 0 before it is launched
	Digest          string            // content of its image; empty where there is none
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

// HostStatus is an immutable picture of a host.
type HostStatus struct {
	Host      pod.Host      // complete: defaults are filled in
	Reachable bool          // it answered the last observation
	Fault     Reason        // why not
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
type ImageCount = images.Count

// ClusterStatus sums up a cluster.
type ClusterStatus struct {
	Name, ID  string    // what nodes carry
	StartedAt time.Time // of this manager
	Pods      int       // how many there are
	Nodes     int       // how many there are, in every state
	Hosts     int       // how many there are
	Problems  []Problem // what is wrong now; times are by the wall clock
}

// BalancerStatus is the balancer's statistics, and which front is whose.
type BalancerStatus struct {
	Stats balancer.Stats // as the balancer observed them
	// Pods maps a front's name to its pod's.
	Pods  map[string]string
	At    time.Time // when they were observed
	Fault Reason    // why the statistics are old; zero when they are not
}

// RolloutStatus is how far the last rollout of a pod is.
type RolloutStatus struct {
	RolloutRecord
	Strategy UpdateStrategy // of the pod
	Steps    int            // of a canary
	// Weight is the percentage of requests that the canary's step gives to new
	// nodes; 0 where there is none.
	Weight int
	// Fresh counts the launched nodes that run To, Ready those of them that are
	// online for long enough, Old the launched nodes that run something else.
	Fresh, Ready, Old int
}
