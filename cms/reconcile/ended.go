package reconcile

import (
	"fmt"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// noticeEnded fails the online nodes that ended on their own.
func noticeEnded(t *turn) {
	if t.readOnly() {
		return
	}
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		if n.State != pod.StateOnline && n.State != pod.StateStandby || t.busy(n.Name) {
			continue
		}
		if reason := t.ended(n); reason != "" {
			t.vacate(n, reason)
			t.failNode(n, reason)
			t.blame(n, reason, Fault{Code: FaultExited, Text: reason})
		}
	}
}

// failNode records that a node failed.
func (t *turn) failNode(n *state.Node, reason string) {
	t.change(n.Name).Fail(reason)
	t.tell(Event{Type: EventNodeFailed, Node: n.Name, Host: n.Host, Message: fmt.Sprintf("node %s failed: %s", n.Name, reason)})
}

// replaceHung tells which nodes began or ceased to hang, and drains hung ones, as
// many as leave at least half of the wanted number answering. The others are
// replaced like stale ones, the new one first: a fault that all nodes share, such
// as a database that is away, must not take the whole pod down.
func replaceHung(t *turn) {
	answering := 0
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		m, why := t.mem.Nodes[n.Name], t.hung(n)
		if n.State == pod.StateOnline && why == "" && !t.lost(n) {
			answering++
		}
		if (why != "") != m.Hung {
			m.tellHung(why != "")
			if why != "" {
				t.vacate(n, why)
				t.tell(Event{Type: EventNodeHung, Node: n.Name, Host: n.Host, Message: fmt.Sprintf("node %s %s", n.Name, why)})
			}
		}
	}
	if t.readOnly() || 2*answering < t.want() || answering == 0 {
		return
	}
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		if why := t.hung(n); why != "" {
			t.drain(n.Name, why)
			t.blame(n, why, Fault{Code: FaultNotReady, Text: why})
		}
	}
}
