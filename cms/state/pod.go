package state

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// Pod is what a store keeps of a pod.
type Pod struct {
	Spec       PodSpec    // as it was set, complete
	Elasticity Elasticity // as it was set, complete
	CreatedAt  time.Time  // when it was created
	Want       int        // the wanted number of nodes
	Paused     bool       `json:",omitempty"` // its servers are out of the balancer
	Deleting   bool       `json:",omitempty"` // it is being deleted
	// Revision is the number of the revision that Spec runs. Revisions is what the
	// pod ran, oldest first; Rollout is the last change of it.
	Revision  uint64     `json:",omitempty"`
	Revisions []Revision `json:",omitempty"`
	Rollout   *Rollout   `json:",omitempty"`
	// Serial is the number of the node that was named last by the manager.
	Serial uint64
	Nodes  []Node // in the order in which they were made
	// Boots are how long the last nodes took from the decision to start them to
	// their first answer, oldest first; at most [KeptBoots].
	Boots []time.Duration `json:",omitempty"`
	// Cut is how many requests and connections its nodes had when the deadline of
	// their drain passed, over all nodes so far.
	Cut uint64 `json:",omitempty"`
	// PolicyMemory is what the policy of that kind marshalled.
	PolicyMemory []byte `json:",omitempty"`
	// PolicyAt is the time of the policy, which it marshalled then.
	PolicyAt time.Time `json:",omitzero"`
}

// KeptBoots is over how many starts the boot time is taken.
const KeptBoots = 15

// NewPod returns the record of a pod that is created at a time of the wall clock.
func NewPod(spec PodSpec, now time.Time) Pod {
	spec = spec.Clone().WithDefaults()
	p := Pod{Spec: spec, CreatedAt: now, Elasticity: Elasticity{}.For(spec.Spec)}
	p.addRevision("created", now)
	return p
}

// Clone returns a copy that shares nothing that a method changes.
func (p Pod) Clone() Pod {
	p.Nodes = slices.Clone(p.Nodes)
	p.Revisions = slices.Clone(p.Revisions)
	p.Boots = slices.Clone(p.Boots)
	if p.Rollout != nil {
		rollout := *p.Rollout
		p.Rollout = &rollout
	}
	return p
}

// Node returns the node of that name, or nil.
func (p *Pod) Node(name string) *Node {
	for i := range p.Nodes {
		if p.Nodes[i].Name == name {
			return &p.Nodes[i]
		}
	}
	return nil
}

// Count returns how many nodes are in one of the states.
func (p *Pod) Count(states ...pod.State) (n int) {
	for i := range p.Nodes {
		if slices.Contains(states, p.Nodes[i].State) {
			n++
		}
	}
	return n
}

// Register adds a node in state new at a time of the wall clock; an empty name
// lets the record choose one.
func (p *Pod) Register(name string, now time.Time) *Node {
	for name == "" {
		p.Serial++
		if free := fmt.Sprintf("n%d", p.Serial); p.Node(free) == nil {
			name = free
		}
	}
	p.Nodes = append(p.Nodes, Node{Name: name, State: pod.StateNew, CreatedAt: now})
	return &p.Nodes[len(p.Nodes)-1]
}

// OldestNew returns the registered node that was made first, or nil.
func (p *Pod) OldestNew() *Node {
	for i := range p.Nodes {
		if p.Nodes[i].State == pod.StateNew {
			return &p.Nodes[i]
		}
	}
	return nil
}

// Forget removes the nodes of those names.
func (p *Pod) Forget(gone func(name string) bool) {
	p.Nodes = slices.DeleteFunc(p.Nodes, func(n Node) bool { return gone(n.Name) })
}

// SetWant sets the wanted number of nodes.
func (p *Pod) SetWant(want int) { p.Want = max(want, 0) }

// SetPaused takes the pod's servers out of the balancer, or puts them back.
func (p *Pod) SetPaused(paused bool) { p.Paused = paused }

// Delete begins to delete the pod.
func (p *Pod) Delete() { p.Deleting = true }

// SetElasticity sets whether and how the pod scales by itself. A policy that is
// not the one of before begins without a memory.
func (p *Pod) SetElasticity(e Elasticity) {
	if !e.SamePolicy(p.Elasticity) {
		p.PolicyMemory = nil
	}
	p.Elasticity = e
}

// KeepPolicy keeps what the policy remembers at a time of its own, and says
// whether that is new.
func (p *Pod) KeepPolicy(memory []byte, at time.Time) bool {
	if bytes.Equal(p.PolicyMemory, memory) && p.PolicyAt.Equal(at) {
		return false
	}
	p.PolicyMemory, p.PolicyAt = memory, at
	return true
}

// FitBounds lowers the bounds of elasticity, and with wanted set the wanted
// number too, to what the pod may have at most.
func (p *Pod) FitBounds(maxNodes int, wanted bool) {
	p.Elasticity.Max = min(p.Elasticity.Max, maxNodes)
	p.Elasticity.Min = min(p.Elasticity.Min, p.Elasticity.Max)
	if wanted {
		p.Want = min(p.Want, maxNodes)
	}
}

// SkipTo makes the names of nodes go on after a serial number.
func (p *Pod) SkipTo(serial uint64) { p.Serial = max(p.Serial, serial) }

// AddCut counts requests and connections that were cut, those of a node with it.
func (p *Pod) AddCut(node string, n int) {
	p.Cut += uint64(n)
	if rec := p.Node(node); rec != nil {
		rec.Cut += uint64(n)
	}
}

// Booted records how long a node took to start.
func (p *Pod) Booted(took time.Duration) {
	if len(p.Boots) >= KeptBoots {
		p.Boots = slices.Delete(p.Boots, 0, len(p.Boots)-KeptBoots+1)
	}
	p.Boots = append(p.Boots, took)
}

// MedianBoot returns the median of the last boot times; 0 where none is known.
func (p *Pod) MedianBoot() time.Duration {
	if len(p.Boots) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(p.Boots))
	return sorted[len(sorted)/2]
}

// WantedAfter is the number of nodes that a pod which has now so many will want
// once this record, of a backup, is restored. A pod that scales by itself knows
// better than its backup.
func (p *Pod) WantedAfter(now int) int {
	if e := p.Elasticity; e.Enabled && e.Mode == ModeAct {
		return e.Inside(now)
	}
	return min(p.Want, p.Spec.MaxNodes)
}

// setFound takes over what a node of a lost pod says of it.
func (p *Pod) setFound(s NodeSettings) {
	p.Elasticity, p.CreatedAt, p.Paused = s.Elasticity, s.CreatedAt, s.Paused
}

func (p *Pod) completeElasticity() { p.Elasticity = p.Elasticity.For(p.Spec.Spec) }

// salvageNode remembers a node that runs. One that has ended is left to be
// swept, as no record knows it.
func (p *Pod) salvageNode(revision uint64, n Found) {
	if n.Node.Phase == pod.PhaseExited || p.Node(n.Node.ID.Name) != nil { // seen by two names of one machine
		return
	}
	started := n.Node.StartedAt.UTC().Round(time.Microsecond)
	p.Nodes = append(p.Nodes, Node{
		Name: n.Node.ID.Name, State: pod.StateOnline, Host: n.Host, Revision: revision, Endpoints: n.Node.Endpoints, Handle: n.Node.Handle,
		CreatedAt: started, StartedAt: started, ReadyAt: started,
	})
}
