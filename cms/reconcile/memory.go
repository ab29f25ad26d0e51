package reconcile

import (
	"maps"
	"slices"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// Memory is what is not in the record and must outlive a turn. A manager that
// starts has none: the record and the world are enough to go on.
type Memory struct {
	Nodes   map[string]*NodeMemory  // by name
	Starts  map[string]Retry        // after failed starts, by host
	Fronts  map[string]*FrontMemory // by name
	Orphans map[string]Orphan       // by host and name
	Vacant  []Vacancy               // places of nodes that died young
	Digests map[uint64]string       // of revisions, as resolved and not yet recorded
	Room    NoRoom                  // why no node could be placed
	Rollout RolloutMemory           // of the one that is under way
	// LeftAll says that the removal of all fronts was begun.
	LeftAll bool `json:",omitempty"`
	// Answer is that of a command whose change is made and that waits until fronts
	// which it does not want are gone.
	Answer *Answer `json:",omitempty"`
	// Settings is why nodes cannot carry the pod's settings.
	Settings Fault `json:",omitzero"`
	// Forgotten is when something was stopped and forgotten last: what a host
	// showed before that proves nothing.
	Forgotten time.Time `json:",omitzero"`
}

// NodeMemory is what is remembered of a node.
type NodeMemory struct {
	Ordered time.Time   // when it was decided to start it, or when it was adopted
	Settled time.Time   // what a host observed after this is true of it
	Ready   time.Time   // since when it is known to be online
	Adopted bool        // an earlier manager started it
	Deaths  int         // of those before it in its place that died young, in a row
	Hung    bool        // and that was told
	Cause   string      // trace context of what ordered its start
	Start   StartMemory // how far its start is
	Drain   DrainMemory // how far its drain is
	Stop    StopMemory  // how far its end is
}

// StartMemory is how far the start of a node is.
type StartMemory struct {
	Resolving bool      // it is asking what its image is
	Made      *pod.Node // it is ready, and that is not recorded yet
	Failed    Fault     // it failed, and that is not recorded yet
}

// DrainMemory is how far the drain of a node is: told → idle or overdue.
type DrainMemory struct {
	Told  time.Time // when it was told to drain
	By    time.Time // when it is stopped at the latest
	Idle  time.Time // since when it has nothing left to do
	Cause string    // trace context of the order
}

// StopMemory is how far the end of a node is.
type StopMemory struct {
	Done bool  // nothing is left of it on its host
	Away bool  // its host did not answer when it should have been stopped
	Try  Retry // after a failed stop
}

// Orphan is a node on a host that no record knows.
type Orphan struct {
	Host, Node string // where it is, and its name
	Try        Retry  // after a failed stop
}

// Vacancy is the place of a node that died or hung young. The one that takes it
// waits the longer, the more of them did so in a row; other nodes of the pod do
// not wait for it.
type Vacancy struct {
	Deaths int       // in a row
	Due    time.Time // when a node may take it
	Host   string    // where the last one was
	Node   string    // the last one
	Why    string    // how it ended
}

// NoRoom is why no node could be placed, and until when that is not tried again.
type NoRoom struct {
	Until time.Time // zero where nothing waits for room
	Why   string    // for a person
}

// RolloutMemory is what is remembered of the rollout that is under way.
type RolloutMemory struct {
	StepReady time.Time // since when the nodes of the step are ready
	Stuck     Fault     // why the pod cannot go back
	Share     Share     // of new nodes, which it keeps while it is paused
}

// Share is how many of some nodes are new.
type Share struct {
	Fresh int // new ones
	Live  int // of so many
}

// remember begins to remember a node.
func (t *turn) remember(name string, m NodeMemory) *NodeMemory {
	t.mem.Nodes[name] = &m
	return &m
}

// forgetNodes forgets the nodes that are not in the record any more.
func (t *turn) forgetNodes() {
	if len(t.mem.Nodes) == len(t.pod.Nodes) {
		return // each node of the record has a memory
	}
	for name := range t.mem.Nodes {
		if t.pod.Node(name) == nil {
			delete(t.mem.Nodes, name)
		}
	}
}

// Clone returns a copy that shares nothing that a stage changes: what a stage
// replaces as a whole is shared.
func (m Memory) Clone() Memory {
	nodes := make([]NodeMemory, 0, len(m.Nodes)) // at one place in memory
	byName := make(map[string]*NodeMemory, len(m.Nodes))
	for name, n := range m.Nodes {
		nodes = append(nodes, *n)
		byName[name] = &nodes[len(nodes)-1]
	}
	m.Nodes = byName
	fronts := make(map[string]*FrontMemory, len(m.Fronts))
	for name, f := range m.Fronts {
		c := *f
		if f.Leave != nil {
			leave := *f.Leave
			c.Leave = &leave
		}
		fronts[name] = &c
	}
	m.Fronts = fronts
	m.Starts, m.Orphans, m.Digests = maps.Clone(m.Starts), maps.Clone(m.Orphans), maps.Clone(m.Digests)
	m.Vacant = slices.Clone(m.Vacant)
	return m
}
