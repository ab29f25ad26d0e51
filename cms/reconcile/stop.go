package reconcile

import (
	"cmp"
	"fmt"
	"time"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// lostAfter is how long a host must not have answered before nodes on it are
// given up, where it is being removed.
const lostAfter = time.Minute

// stopResults takes in how stops ended.
func stopResults(t *turn) {
	for _, r := range t.w.Results {
		if r.Kind != StopEnded {
			continue
		}
		if key := string(r.Key); t.orphanEnded(key, r) {
			continue
		}
		if m := t.mem.Nodes[r.Node]; m != nil {
			m.settle(t.w.Now)
			m.Stop.ended(t, r)
		}
	}
}

func (s *StopMemory) ended(t *turn, r Result) {
	switch {
	case r.Fault.OK():
		s.Done, s.Try = true, Retry{}
	case r.Fault.Code != FaultCanceled:
		s.Try.failed(t.w.Now, &t.jitter, "", r.Fault)
	}
}

// endNode stops a node on its host, unless it waits for another try. One that does
// not answer is not asked again and again; the next try is when it is back.
func (t *turn) endNode(n *state.Node, why string) {
	s := &t.mem.Nodes[n.Name].Stop
	h, ok := t.w.Hosts[n.Host]
	switch {
	case s.Done:
	case !ok: // the host was removed, and its nodes with it
		s.Done = true
	case h.Draining && !h.Fault.OK() && t.w.Now.Sub(h.Since) >= lostAfter:
		s.Done = true // what is on it will never be heard of again
		t.tell(Event{Type: EventProblem, Node: n.Name, Host: n.Host,
			Message: fmt.Sprintf("node %s was left on host %s, which is being removed and does not answer; it may still run there", n.Name, n.Host)})
	case !h.Fault.OK():
		s.Away = true
		s.Try.blocked(h.Fault)
		if h.Draining {
			t.due(h.Since.Add(lostAfter))
		}
	default:
		if s.Away {
			s.Away, s.Try = false, Retry{}
		}
		if s.Try.ready(t.w.Now) {
			m := t.mem.Nodes[n.Name]
			t.after(Stop{Node: n.Name, Host: n.Host, Grace: t.pod.Spec.Grace, Why: why, Told: m.Drain.Told, Idle: m.Drain.Idle, Cause: cmp.Or(m.Drain.Cause, t.cause)})
		}
	}
}

// forgetEnded removes draining nodes of which nothing is left from the record.
func (t *turn) forgetEnded() {
	t.forget(func(n *state.Node) bool { return n.State == pod.StateDraining && t.mem.Nodes[n.Name].Stop.Done })
}

// forget removes nodes from the record.
func (t *turn) forget(some func(*state.Node) bool) {
	if t.readOnly() {
		return
	}
	gone := map[string]bool{}
	for i := range t.pod.Nodes {
		if n := &t.pod.Nodes[i]; some(n) {
			gone[n.Name] = true
			t.tell(Event{Type: EventNodeGone, Node: n.Name, Message: fmt.Sprintf("node %s is gone", n.Name)})
		}
	}
	if len(gone) > 0 {
		t.rec().Forget(func(name string) bool { return gone[name] })
		t.forgot()
		t.again() // another node may take its place now
	}
}

// forgot notes that something is not in the record any more: what hosts showed
// before that proves nothing.
func (t *turn) forgot() { t.mem.Forgotten = t.w.Now }

func (t *turn) forgetOne(name string) {
	t.forget(func(n *state.Node) bool { return n.Name == name })
}
