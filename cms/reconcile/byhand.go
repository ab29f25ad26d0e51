package reconcile

import (
	"fmt"

	"github.com/elastipod/elastipod/pod"
)

// register adds a node in state new; an empty name lets the record choose.
func (t *turn) register(name string, a *Answer) {
	if *a = t.manual("register a node"); a.Kind != AnswerDone {
		return
	}
	if n := len(t.pod.Nodes) - t.pod.Count(pod.StateFailed, pod.StateDraining); n >= t.pod.Spec.MaxNodes {
		*a = conflict("pod %s has %d nodes, its limit; raise max_nodes or remove one", t.w.Name, n)
		return
	}
	if t.pod.Node(name) != nil {
		*a = Answer{Kind: AnswerExists, Text: fmt.Sprintf("node %q of pod %q exists already", name, t.w.Name)}
		return
	}
	n := *t.rec().Register(name, t.w.Wall)
	t.remember(n.Name, NodeMemory{})
	t.tell(Event{Type: EventNodeRegistered, Node: n.Name, Message: fmt.Sprintf("node %s was registered", n.Name)})
	a.Node = &n
}

// manual says why a person may not do something by hand.
func (t *turn) manual(what string) (a Answer) {
	switch {
	case t.pod.Deleting:
		return conflict("pod %s is being deleted", t.w.Name)
	case t.pod.Elasticity.Enabled:
		return conflict("elasticity of pod %s is on, so you cannot %s by hand; disable it first (PATCH its elasticity with enabled false, or cloud elasticity disable %s)", t.w.Name, what, t.w.Name)
	case t.w.Mode == Halting:
		return conflict("the manager is stopping all nodes")
	}
	return a
}

// launchByHand starts the oldest node in state new.
func (t *turn) launchByHand(a *Answer) {
	if *a = t.manual("launch a node"); a.Kind != AnswerDone {
		return
	}
	oldest := t.pod.OldestNew()
	if oldest == nil {
		*a = conflict("pod %s has no new node; register one first", t.w.Name)
		return
	}
	// It may be lower than when the node was registered, and a failed node that
	// is about to be replaced counts.
	if t.pod.Want >= t.pod.Spec.MaxNodes {
		*a = conflict("pod %s has %d launched nodes, its limit; raise max_nodes or remove one", t.w.Name, t.pod.Want)
		return
	}
	hosts := t.startable()
	if anyHeld(hosts) && !anyUsable(hosts) { // a person may know better
		hosts = t.usable()
	}
	name, why := t.launch(oldest.Name, t.revisionByHand(), hosts)
	if why != "" {
		*a = conflict("no room: %s", why)
		return
	}
	t.rec().SetWant(t.pod.Want + 1)
	n := *t.pod.Node(name)
	a.Node = &n
}

// revisionByHand is what a node runs that a person launches: while a rollout is
// held, what keeps the share of its new nodes.
func (t *turn) revisionByHand() uint64 {
	r := t.pod.Rolling()
	c := t.census()
	rule := t.rule(c, t.stale)
	rule.Want++
	if !rule.held() || rule.Moves(c).StartFresh > 0 {
		return t.pod.Revision
	}
	return r.From
}

// remove removes a node: one that runs is drained and stopped first, and is not
// replaced. One that is lost or overdue was replaced before.
func (t *turn) remove(name string, a *Answer) {
	n := t.pod.Node(name)
	if n == nil {
		*a = Answer{Kind: AnswerNotFound, Text: fmt.Sprintf("there is no node %q in pod %q", name, t.w.Name)}
		return
	}
	if n.State != pod.StateFailed && n.State != pod.StateDraining {
		if *a = t.manual("remove a node"); a.Kind != AnswerDone {
			return
		}
	}
	switch {
	case n.State == pod.StateDraining:
	case n.State.Live():
		inPlace := t.lost(n) || t.overdue(n) // others run in its place
		t.drain(name, "removed")
		if !inPlace {
			t.rec().SetWant(t.pod.Want - 1)
		}
	case t.busy(name):
		*a = conflict("node %s is being cleaned up; try again", name)
		return
	default:
		gone := *n
		gone.State = pod.StateGone
		t.forgetOne(name)
		a.Node = &gone
		return
	}
	now := *t.pod.Node(name)
	a.Node = &now
}
