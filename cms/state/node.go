package state

import (
	"errors"
	"fmt"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// Node is what a store keeps of a node.
type Node struct {
	Name      string            // unique in its pod
	State     pod.State         // where it is in its life
	Host      string            `json:",omitempty"` // where it is placed
	Revision  uint64            `json:",omitempty"` // number of the revision that it runs
	Endpoints map[string]string `json:",omitempty"` // "host:port" by the name of the port
	Handle    string            `json:",omitempty"` // the runtime's own name for it
	CreatedAt time.Time         // when it was registered
	StartedAt time.Time         `json:",omitzero"` // when its runtime had started it
	ReadyAt   time.Time         `json:",omitzero"` // when its probe passed
	// DrainBy is when a draining node is stopped at the latest, by the wall clock
	// when the drain began. It is for people; nothing is decided by it.
	DrainBy time.Time `json:",omitzero"`
	// Cut is how many requests and connections it had when that time came.
	Cut    uint64 `json:",omitempty"`
	Reason string `json:",omitempty"` // why it is in this state, for a person
}

// errTransition says that a node cannot go from one state to another: a bug,
// caught before it does harm.
var errTransition = errors.New("cms: node state transition not allowed")

// become changes the state by the one table in package pod. It panics where the
// table forbids that.
func (n *Node) become(s pod.State, reason string) {
	if !n.State.CanBecome(s) {
		panic(fmt.Errorf("%w: node %s: %s → %s", errTransition, n.Name, n.State, s))
	}
	n.State, n.Reason = s, reason
}

// Launch places a new node on a host, to run a revision there.
func (n *Node) Launch(host string, revision uint64) {
	n.become(pod.StateStarting, "")
	n.Host, n.Revision = host, revision
}

// Online records that a started node became ready at a time of the wall clock.
func (n *Node) Online(made pod.Node, ready time.Time) {
	n.become(pod.StateOnline, "")
	n.Handle, n.StartedAt, n.Endpoints, n.ReadyAt = made.Handle, made.StartedAt, made.Endpoints, ready
}

// Drain begins the end of a node, which has until a time of the wall clock.
func (n *Node) Drain(by time.Time, reason string) {
	n.become(pod.StateDraining, reason)
	n.DrainBy = by
}

// Extend gives a draining node until another time of the wall clock.
func (n *Node) Extend(by time.Time) { n.DrainBy = by }

// Fail records that a node ended, or could not be started.
func (n *Node) Fail(reason string) { n.become(pod.StateFailed, reason) }

// Live says whether the node is launched and has not begun to end.
func (n *Node) Live() bool {
	return n.State == pod.StateStarting || n.State == pod.StateOnline || n.State == pod.StateStandby
}
