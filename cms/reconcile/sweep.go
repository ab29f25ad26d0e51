package reconcile

import (
	"maps"
	"strings"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// keptFailed is how many failed nodes a pod keeps, for people to read why.
const keptFailed = 5

// sweep clears what is left: of failed nodes on their hosts, of failed nodes
// that nobody will read about, and of nodes on the hosts that no record knows.
func sweep(t *turn) {
	failed := 0
	old := map[string]bool{}
	for i := len(t.pod.Nodes) - 1; i >= 0; i-- {
		n := &t.pod.Nodes[i]
		if n.State == pod.StateNew && t.pod.Deleting {
			old[n.Name] = true
		}
		if n.State != pod.StateFailed || t.busy(n.Name) {
			continue
		}
		failed++
		s := &t.mem.Nodes[n.Name].Stop
		if !s.Done && !t.serving(n.Name) {
			t.endNode(n, "")
		}
		old[n.Name] = s.Done && (failed > keptFailed || t.pod.Deleting)
	}
	t.forget(func(n *state.Node) bool { return old[n.Name] })
	t.stopOrphans()
}

// stopOrphans ends nodes of this pod that should not be on their hosts: they were
// being removed when an earlier manager ended, or came up after their start had
// failed.
func (t *turn) stopOrphans() {
	known, strange := t.wantedOn(), false
	for name, h := range t.w.Hosts {
		strange = strange || len(h.Nodes) != known[name]
	}
	if !strange && len(t.mem.Orphans) == 0 {
		return
	}
	for _, host := range t.hosts() {
		h := t.w.Hosts[host]
		if !h.Known || !h.Fault.OK() || !h.Begun.After(t.mem.Forgotten) || len(h.Nodes) == known[host] {
			continue
		}
		var found []string
		for i := range h.Nodes {
			if t.unwanted(host, &h.Nodes[i], h) {
				found = append(found, h.Nodes[i].ID.Name)
			}
		}
		for _, name := range found {
			key := orphanKey(host, name)
			o, known := t.mem.Orphans[string(key)]
			if !known {
				o = Orphan{Host: host, Node: name}
				t.rememberOrphan(key, o)
			}
			if !t.running(key) && o.Try.ready(t.w.Now) {
				t.after(Stop{Node: name, Host: host, Grace: t.pod.Spec.Grace, Orphan: true, Cause: t.cause})
			}
		}
	}
	maps.DeleteFunc(t.mem.Orphans, func(key string, o Orphan) bool {
		h, ok := t.w.Hosts[o.Host]
		_, there := h.Nodes.Find(o.Node)
		return !t.running(Key(key)) && (!ok || h.Known && h.Fault.OK() && !there)
	})
}

// wantedOn counts the nodes that each host shows and that should be there.
func (t *turn) wantedOn() map[string]int {
	known := make(map[string]int, len(t.w.Hosts))
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		h := t.w.Hosts[n.Host]
		if seen, there := h.Nodes.Find(n.Name); there && !t.unwantedOf(n, n.Host, seen, h) {
			known[n.Host]++
		}
	}
	return known
}

func (t *turn) rememberOrphan(key Key, o Orphan) {
	if t.mem.Orphans == nil {
		t.mem.Orphans = map[string]Orphan{}
	}
	t.mem.Orphans[string(key)] = o
}

// orphanEnded takes in how the stop of an orphan ended, and says whether it was
// one.
func (t *turn) orphanEnded(key string, r Result) bool {
	if !strings.HasPrefix(key, "orphan/") {
		return false
	}
	o, ok := t.mem.Orphans[key]
	switch {
	case !ok:
	case r.Fault.OK():
		delete(t.mem.Orphans, key)
		t.forgot()
		if m := t.mem.Nodes[r.Node]; m != nil {
			m.settle(t.w.Now)
		}
	default:
		o.Try.failed(t.w.Now, &t.jitter, r.Node, r.Fault)
		t.rememberOrphan(Key(key), o)
	}
	return true
}

// unwanted says whether nothing of the node should be on the host.
func (t *turn) unwanted(host string, seen *pod.Node, h Host) bool {
	n := t.pod.Node(seen.ID.Name)
	return n == nil || t.unwantedOf(n, host, seen, h)
}

// unwantedOf says the same of what should be a node of the record.
func (t *turn) unwantedOf(n *state.Node, host string, seen *pod.Node, h Host) bool {
	switch m := t.mem.Nodes[n.Name]; {
	case t.busy(n.Name):
		return false
	case n.State == pod.StateNew:
		return true
	case n.Host != host:
		return seen.Handle != n.Handle // else one machine goes by two names
	case n.State == pod.StateFailed:
		return m.Stop.Done && h.Begun.After(m.Settled)
	}
	return false
}
