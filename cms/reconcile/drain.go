package reconcile

import (
	"fmt"
	"maps"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// drain begins the end of a node. One that is still starting serves nobody, so
// its start is broken off.
func (t *turn) drain(name, reason string) {
	t.change(name).Drain(t.w.Wall.Add(t.pod.Spec.Drain), reason)
	t.mem.Nodes[name].Drain.begin(t.w.Now, t.pod.Spec.Drain, t.cause)
	if t.busy(name) {
		t.after(Cancel{Of: NodeKey(name)})
	}
	t.tell(Event{Type: EventNodeDraining, Node: name, Message: fmt.Sprintf("node %s drains: %s", name, reason)})
}

func (d *DrainMemory) begin(now time.Time, within time.Duration, cause string) {
	*d = DrainMemory{Told: now, By: now.Add(within), Cause: cause}
}

// drain stops the draining nodes that are idle or out of time, once the balancer
// does not know them any more.
func drain(t *turn) {
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		if n.State != pod.StateDraining || t.busy(n.Name) {
			continue
		}
		d := &t.mem.Nodes[n.Name].Drain
		if d.Idle.IsZero() && d.follow(t, n) {
			t.again() // its server goes in a next turn, which need not wait for a tick
		}
		if !d.Idle.IsZero() && !t.serving(n.Name) {
			t.endNode(n, n.Reason)
		}
	}
	t.forgetEnded()
}

// follow notes whether a draining node has nothing left to do, or no time, and
// says whether that is new.
func (d *DrainMemory) follow(t *turn, n *state.Node) bool {
	switch {
	case !t.serving(n.Name): // it never took a request, or takes none any more
	case t.ended(n) != "":
		return false // its server lingers
	case !t.w.Now.Before(d.By):
		if cut := t.inFlightToStay(n.Name); cut > 0 {
			t.cut(Event{Node: n.Name, Host: n.Host, Cut: cut,
				Message: fmt.Sprintf("node %s still had %s in flight at its drain deadline of %s; they were cut", n.Name, requests(cut), t.pod.Spec.Drain)})
		} else {
			t.tellDrained(n)
		}
	case t.idleSince(n.Name, t.drained(n.Name)):
		t.tellDrained(n)
	default:
		return false
	}
	d.Idle = t.w.Now
	return true
}

// inFlightToStay returns the requests that a node has over fronts that stay; those
// over one that leaves are counted with it.
func (t *turn) inFlightToStay(node string) int {
	w := t.w
	w.Balancer.Fronts = maps.Clone(w.Balancer.Fronts)
	maps.DeleteFunc(w.Balancer.Fronts, func(name string, _ balancer.FrontStats) bool {
		m := t.mem.Fronts[name]
		return m != nil && m.Leave != nil
	})
	return w.lastInFlight(node)
}

// cut counts requests that were cut. Where nothing can be saved they are saved with
// the next change.
func (t *turn) cut(e Event) {
	e.Type = EventNodeCut
	t.pod.AddCut(e.Node, e.Cut)
	t.save(!t.readOnly())
	t.tell(e)
}

func (t *turn) tellDrained(n *state.Node) {
	if n.Cut > 0 {
		return // by an earlier manager, and told then
	}
	t.tell(Event{Type: EventNodeDrained, Node: n.Name, Host: n.Host, Message: fmt.Sprintf("node %s has finished what it had", n.Name)})
}
