package reconcile

import (
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// Key names what an [Action] is done to. At most one action of a key runs at a
// time.
type Key string

// NodeKey is the key of what is done to a node.
func NodeKey(name string) Key { return Key("node/" + name) }

// FrontKey is the key of what is done to a front.
func FrontKey(name string) Key { return Key("front/" + name) }

func orphanKey(host, name string) Key { return Key("orphan/" + host + "/" + name) }

// Action is something to do outside of the manager's memory, as a value.
type Action interface {
	// Key names what it is done to.
	Key() Key
}

// Resolve asks a host what the image of a revision is, without starting anything.
type Resolve struct {
	Node     string       // for whom
	Host     string       // the host that is asked
	Revision uint64       // number of the revision
	Workload pod.Workload // whose image is asked for
	Cause    string       // trace context of what ordered it
}

// Start starts a node and waits until it is ready.
type Start struct {
	Node     string    // its name
	Host     string    // where it is placed
	Revision uint64    // number of what it runs
	Spec     pod.Spec  // what it runs
	Digest   string    // content of the image; empty: whatever the host finds
	Settings string    // what the node carries
	Ordered  time.Time // when it was decided
	Cause    string    // trace context of what ordered it
}

// Stop stops a node and removes what it left.
type Stop struct {
	Node   string        // its name
	Host   string        // where it runs
	Grace  time.Duration // how long it may take to end by itself
	Orphan bool          // no record knows it
	Why    string        // why the node ends; empty where it ended by itself
	Told   time.Time     // when it was told to drain; zero where it was not
	Idle   time.Time     // when it had nothing left to do
	Cause  string        // trace context of what ordered it
}

// SetFront makes a front be there. With Apply its servers are set after that.
type SetFront struct {
	Front   state.Front // as it shall be
	Apply   bool
	Servers []balancer.Server // all that the front shall have
	Cause   string            // trace context of what ordered it
}

// Apply sets the servers of a front.
type Apply struct {
	Front   string            // its name
	Servers []balancer.Server // all that the front shall have
	Cause   string            // trace context of what ordered it
}

// RemoveFront removes a front.
type RemoveFront struct {
	Front string // its name
	Cause string // trace context of what ordered it
}

// Cancel breaks off what runs under a key.
type Cancel struct {
	Of Key // the key of what to break off
}

// Release gives the slot of what runs under a key to another action. What runs goes
// on.
type Release struct {
	Of Key // the key of what gives its slot up
}

// Key is that of what is done to the node.
func (a Resolve) Key() Key { return NodeKey(a.Node) }

// Key is that of what is done to the node.
func (a Start) Key() Key { return NodeKey(a.Node) }

// Key is that of what is done to the node, or to the orphan.
func (a Stop) Key() Key {
	if a.Orphan {
		return orphanKey(a.Host, a.Node)
	}
	return NodeKey(a.Node)
}

// Key is that of what is done to the front.
func (a SetFront) Key() Key { return FrontKey(a.Front.Name) }

// Key is that of what is done to the front.
func (a Apply) Key() Key { return FrontKey(a.Front) }

// Key is that of what is done to the front.
func (a RemoveFront) Key() Key { return FrontKey(a.Front) }

// Key is none: it ends at once.
func (a Cancel) Key() Key { return "cancel/" + a.Of }

// Key is none: it ends at once.
func (a Release) Key() Key { return "release/" + a.Of }

// Result is how an action ended.
type Result struct {
	Key    Key               // the key of the action
	Kind   ResultKind        // what kind of action ended
	Node   string            // of resolve, start and stop
	Host   string            // of resolve, start and stop
	Made   *pod.Node         // of a start that did not fail
	Digest string            // of resolve: what the image is
	Tail   []string          // of stop: the last lines of output
	Front  *state.Front      // of a front that was set
	Served []balancer.Server // of servers that were applied
	Step   FrontStep         // of a front: how far it came
	Fault  Fault             // zero where it did not fail
	Cause  string            // trace context of the action
}

// ResultKind is what kind of action ended.
type ResultKind string

// The kinds of results.
const (
	ResolveEnded ResultKind = "resolve"
	StartEnded   ResultKind = "start"
	StopEnded    ResultKind = "stop"
	FrontEnded   ResultKind = "front" // SetFront or Apply
	RemoveEnded  ResultKind = "remove"
)

// FrontStep is how far an action on a front came.
type FrontStep string

// The steps of an action on a front.
const (
	StepNone    FrontStep = ""        // nothing is known to be done
	StepSet     FrontStep = "set"     // the front is set, its servers may not be
	StepApplied FrontStep = "applied" // its servers are
)

// OfFront says that the result is the balancer's.
func (r Result) OfFront() bool { return r.Kind == FrontEnded || r.Kind == RemoveEnded }
