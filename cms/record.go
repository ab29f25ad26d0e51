package cms

import (
	"errors"
	"fmt"
	"slices"

	"github.com/elastipod/elastipod/pod"
)

// clone returns a copy that shares nothing that an edit changes.
func (r PodRecord) clone() PodRecord {
	r.Nodes = slices.Clone(r.Nodes)
	r.Revisions = slices.Clone(r.Revisions)
	if r.Rollout != nil {
		rollout := *r.Rollout
		r.Rollout = &rollout
	}
	return r
}

// node returns the record of a node, or nil.
func (r *PodRecord) node(name string) *NodeRecord {
	for i := range r.Nodes {
		if r.Nodes[i].Name == name {
			return &r.Nodes[i]
		}
	}
	return nil
}

// errState says that a node cannot go from one state to another: a bug, caught
// before it does harm.
var errState = errors.New("cms: node state transition not allowed")

// become changes the state of a node by the one table.
func (n *NodeRecord) become(s pod.State, reason string) error {
	if !n.State.CanBecome(s) {
		return fmt.Errorf("%w: node %s: %s → %s", errState, n.Name, n.State, s)
	}
	n.State = s
	n.Reason = reason
	return nil
}

// count returns how many nodes are in one of the states.
func (r *PodRecord) count(states ...pod.State) (n int) {
	for i := range r.Nodes {
		if slices.Contains(states, r.Nodes[i].State) {
			n++
		}
	}
	return n
}

// nextName returns a name for a node that the manager makes.
func (r *PodRecord) nextName() string {
	for {
		r.Serial++
		if name := fmt.Sprintf("n%d", r.Serial); r.node(name) == nil {
			return name
		}
	}
}

// oldestNew returns the registered node that was made first, or nil.
func (r *PodRecord) oldestNew() *NodeRecord {
	for i := range r.Nodes {
		if r.Nodes[i].State == pod.StateNew {
			return &r.Nodes[i]
		}
	}
	return nil
}
