package reconcile

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// startResults takes in how starts ended.
func startResults(t *turn) {
	for _, r := range t.w.Results {
		m := t.mem.Nodes[r.Node]
		if r.Kind != StartEnded && r.Kind != ResolveEnded || m == nil {
			continue
		}
		m.settle(t.w.Now)
		m.Start.Resolving = false
		n := t.pod.Node(r.Node)
		switch {
		case n == nil || n.State != pod.StateStarting: // it was told to drain meanwhile
		case t.w.Mode == Ending && r.Fault.Code == FaultCanceled: // the next manager starts it again
		case !r.Fault.OK():
			m.Start.Failed = t.startFault(r)
			t.startFailed(r.Host, r.Node, m.Start.Failed)
		case r.Kind == ResolveEnded:
			if t.mem.Digests == nil {
				t.mem.Digests = map[uint64]string{}
			}
			t.mem.Digests[n.Revision] = r.Digest
		default:
			m.Start.Made = r.Made
			m.online(t.w.Now)
			t.startWorked(r.Host)
		}
	}
}

// startFault returns why a start failed. What was given up was so because the
// host does not answer.
func (t *turn) startFault(r Result) Fault {
	if away := t.unreachable(r.Host); !away.OK() && (r.Fault.Code == FaultCanceled || r.Fault.Code == FaultUnreachable) {
		return Fault{Code: FaultUnreachable, Text: "given up: " + away.Text}
	}
	return r.Fault
}

// startFailed notes that a start on a host failed: it is tried there ever more
// seldom, one node at a time, while the others take what they can.
func (t *turn) startFailed(host, node string, why Fault) {
	if t.mem.Starts == nil {
		t.mem.Starts = map[string]Retry{}
	}
	r := t.mem.Starts[host]
	r.failed(t.w.Now, &t.jitter, node, why)
	t.mem.Starts[host] = r
}

// startWorked notes that a host starts nodes; what failed there before is still
// told until all nodes have started.
func (t *turn) startWorked(host string) {
	if r, ok := t.mem.Starts[host]; ok {
		t.mem.Starts[host] = Retry{Node: r.Node, Fault: r.Fault}
	}
}

// forgetFaults forgets what is told of hosts that are not there any more and, once
// all nodes have started, of those that start nodes again.
func (t *turn) forgetFaults(started bool) {
	maps.DeleteFunc(t.mem.Starts, func(host string, r Retry) bool {
		_, there := t.w.Hosts[host]
		return !there || started && r.Failures == 0
	})
}

// forgiveStarts forgets what failed: it may be mended.
func (t *turn) forgiveStarts() {
	t.mem.Starts = nil
	t.forgetVacant()
	t.roomEnough()
}

// recordStarts puts into the record what became of starts.
func recordStarts(t *turn) {
	if t.readOnly() {
		return
	}
	for revision, digest := range t.mem.Digests {
		if v := t.pod.RevisionOf(revision); v != nil && !v.Resolved {
			t.rec().RevisionOf(revision).Pin(digest)
		}
	}
	t.mem.Digests = nil
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		m := t.mem.Nodes[n.Name]
		made, failed := m.Start.Made, m.Start.Failed
		m.Start.Made, m.Start.Failed = nil, Fault{}
		switch {
		case n.State != pod.StateStarting:
		case made != nil:
			took := t.w.Now.Sub(m.Ordered)
			t.change(n.Name).Online(*made, t.w.Wall)
			t.rec().Booted(took)
			t.tell(Event{Type: EventNodeOnline, Node: n.Name, Host: n.Host, Message: fmt.Sprintf("node %s is online after %s", n.Name, took.Round(time.Millisecond))})
		case !failed.OK():
			t.failNode(n, failed.Text)
			t.vacateAgain(n)
			t.blame(n, failed.Text, failed)
		}
	}
}

// orderStarts begins to start every node that is recorded as starting and is not
// being started: a new one, or one whose start an earlier manager left. Before
// the content of an image is pinned, one host alone is asked what it is.
func orderStarts(t *turn) {
	asked := map[uint64]bool{}
	for i := range t.pod.Nodes {
		if n := &t.pod.Nodes[i]; t.mem.Nodes[n.Name].Start.Resolving && t.busy(n.Name) && !t.overdue(n) {
			asked[n.Revision] = true
		}
	}
	settings := map[uint64]string{}
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		m := t.mem.Nodes[n.Name]
		if n.State != pod.StateStarting || t.busy(n.Name) || t.running(orphanKey(n.Host, n.Name)) || m.Start.Made != nil || !m.Start.Failed.OK() {
			continue // one of its name is being stopped there, or it has ended, and that could not be recorded yet
		}
		spec := t.pod.SpecOf(n.Revision)
		v := t.pod.RevisionOf(n.Revision)
		if v != nil && !v.Resolved {
			if _, known := t.mem.Digests[n.Revision]; !known && !asked[n.Revision] {
				asked[n.Revision] = true
				m.Start.Resolving = true
				t.after(Resolve{Node: n.Name, Host: n.Host, Revision: n.Revision, Workload: spec.Workload, Cause: m.Cause})
			}
			continue
		}
		text, ok := settings[n.Revision]
		if !ok {
			text = t.settings(n.Revision)
			settings[n.Revision] = text
		}
		a := Start{Node: n.Name, Host: n.Host, Revision: n.Revision, Spec: spec, Settings: text, Ordered: m.Ordered, Cause: m.Cause}
		if v != nil {
			a.Digest = v.Digest
		}
		t.after(a)
	}
}

// settings returns what nodes of a revision carry: nothing where that would be too
// much, which is remembered as a problem.
func (t *turn) settings(revision uint64) string {
	text, err := t.pod.SettingsOf(revision, t.hosts())
	t.mem.Settings = Fault{}
	if err != nil {
		t.mem.Settings = Fault{Code: FaultOther, Text: err.Error()}
	}
	return text
}

// giveUpStarts gives up starts on hosts that have been away for long, as they may
// hang for minutes; where there is room on another host, also at once: nobody
// uses these nodes yet. An overdue start goes on, but holds no other up: it gives
// up its slot, and those that wait for one on its host are given up.
func giveUpStarts(t *turn) {
	_, overdue := t.startingOn()
	var releases []Action
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		if n.State != pod.StateStarting {
			continue
		}
		if m := &t.mem.Nodes[n.Name].Start; !t.busy(n.Name) {
			if overdue[n.Host] && m.Made == nil && m.Failed.OK() { // it waits for what its image is
				m.Failed = Fault{Code: FaultCanceled, Text: "given up: another start on the host takes too long"}
				t.again()
			}
			continue
		}
		switch key := NodeKey(n.Name); {
		case t.lost(n), t.betterElsewhere(n), overdue[n.Host] && t.w.Running[key].IsZero():
			t.before(Cancel{Of: key})
		case t.overdue(n):
			releases = append(releases, Release{Of: key})
		}
	}
	for _, r := range releases { // last: none that was given up gets the slot
		t.before(r)
	}
}

// betterElsewhere says that the host on which a node is being started does not
// answer, and that there is room for it on one that does.
func (t *turn) betterElsewhere(n *state.Node) bool {
	if t.unreachable(n.Host).OK() {
		return false
	}
	room, _ := t.roomFor(t.pod.SpecOf(n.Revision).Limits, t.startable(), 1)
	return room > 0
}

// RevisionName is the label of nodes of a revision.
func RevisionName(number uint64) string { return strconv.FormatUint(number, 10) }
