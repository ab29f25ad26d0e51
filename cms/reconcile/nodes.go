package reconcile

import (
	"fmt"
	"slices"
	"time"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// youngDeath is the age below which the death of a node without a probe counts
// as a failed start, so that a node that keeps dying is started ever more seldom.
const youngDeath = 10 * time.Second

// leastOverdue is for how long a start may take before it is overdue, however
// quick starts were so far.
const leastOverdue = 20 * time.Second

// seen returns what a node's host shows of it: found and running, found and
// ended, or gone. known is false when nothing is known that is newer than what
// was done to the node last.
func (t *turn) seen(n *state.Node) (at *pod.Node, found, known bool) {
	h, ok := t.w.Hosts[n.Host]
	if !ok || !h.Known || !h.Fault.OK() || !h.Begun.After(t.mem.Nodes[n.Name].Settled) {
		return nil, false, false
	}
	at, found = h.Nodes.Find(n.Name)
	return at, found, true
}

// ended says why a node does not run any more; empty when it does, or when that
// is not known.
func (t *turn) ended(n *state.Node) string {
	if _, ok := t.w.Hosts[n.Host]; !ok {
		return fmt.Sprintf("host %s was removed", n.Host)
	}
	at, found, known := t.seen(n)
	switch {
	case !known:
		return ""
	case !found:
		return fmt.Sprintf("is not on host %s any more", n.Host)
	case at.Phase == pod.PhaseExited && at.Exit != nil:
		return at.Exit.Reason()
	case at.Phase == pod.PhaseExited:
		return "ended"
	}
	return ""
}

// lost says that the node's host has not answered for so long that others run
// in its place. It stays where it is, and in the balancer while it answers; when
// the host is back there is one node too many, and one is drained.
func (t *turn) lost(n *state.Node) bool {
	h, ok := t.w.Hosts[n.Host]
	return ok && n.State.Live() && !h.Fault.OK() && !h.Since.IsZero() && t.w.Now.Sub(h.Since) >= t.w.Settings.HostTimeout
}

// unreachable says why a host does not answer.
func (t *turn) unreachable(host string) Fault { return t.w.Hosts[host].Fault }

// probeOf returns the probe of the workload that the node runs.
func (t *turn) probeOf(n *state.Node) *pod.Probe {
	if n.Revision != t.pod.Revision {
		if v := t.pod.RevisionOf(n.Revision); v != nil {
			return &v.Workload.Probe
		}
	}
	return &t.pod.Spec.Workload.Probe
}

// Watched says whether probes decide that an online node hangs.
func Watched(n *state.Node, p *pod.Probe) bool {
	return n.State == pod.StateOnline && p.Kind != pod.ProbeNone && p.Failures > 0
}

// hung says how an online node stopped answering; empty where it answers, or
// where its host does not, so that nobody can say whether it is the node.
func (t *turn) hung(n *state.Node) string {
	if n.State != pod.StateOnline {
		return ""
	}
	h := t.w.Hosts[n.Host]
	at, found := h.Nodes.Find(n.Name)
	if !h.Known || !h.Fault.OK() || !found {
		return ""
	}
	p := t.probeOf(n)
	switch {
	case at.Phase == pod.PhaseFrozen:
		return "is paused on its host by somebody else"
	case !Watched(n, p):
		return ""
	case p.Kind == pod.ProbeHealthcheck && at.Health == pod.HealthUnhealthy:
		return "is unhealthy, says its HEALTHCHECK"
	}
	if said := t.w.Probes[n.Name]; said.Failures >= p.Failures {
		return fmt.Sprintf("does not answer: %d probes failed in a row, the last with: %s", said.Failures, said.Text)
	}
	return ""
}

// overdueAt is when a start that runs becomes overdue; zero where none runs, or
// it waits for a slot.
func (t *turn) overdueAt(n *state.Node) time.Time {
	since := t.w.Running[NodeKey(n.Name)]
	if n.State != pod.StateStarting || since.IsZero() {
		return time.Time{}
	}
	return since.Add(t.patience(n.Revision))
}

// patience is how long a start may take before it is overdue.
func (t *turn) patience(revision uint64) time.Duration {
	if boot := t.pod.MedianBoot(); boot > 0 {
		return max(3*boot, leastOverdue)
	}
	return t.pod.SpecOf(revision).Workload.Probe.StartDeadline + time.Minute
}

// overdue says that a start takes longer than starts do. The node counts neither
// as starting nor as launched: another one is started elsewhere.
func (t *turn) overdue(n *state.Node) bool {
	at := t.overdueAt(n)
	return !at.IsZero() && !t.w.Now.Before(at)
}

// staleWhy says why a node should be replaced; empty when it should not.
func (t *turn) staleWhy(n *state.Node) string {
	if why := t.unfit(n); why != "" || n.Revision == t.pod.Revision {
		return why
	}
	return fmt.Sprintf("replaced by revision %d", t.pod.Revision)
}

// unfit says why a node must be replaced, whatever it runs; empty when it need
// not.
func (t *turn) unfit(n *state.Node) string {
	switch h, ok := t.w.Hosts[n.Host]; {
	case t.hung(n) != "":
		return "does not answer"
	case len(t.pod.Spec.Hosts) > 0 && !slices.Contains(t.pod.Spec.Hosts, n.Host):
		return "the pod may not use host " + n.Host + " any more"
	case ok && h.Draining:
		return "host " + n.Host + " is being removed"
	}
	return ""
}

func (t *turn) stale(n *state.Node) bool { return t.staleWhy(n) != "" }

// proven says that a node is online, and for as long as a rollout asks of new
// ones.
func (t *turn) proven(n *state.Node) bool {
	if n.State != pod.StateOnline {
		return false
	}
	var least time.Duration // an earlier revision is proven
	if r := t.pod.Rolling(); r != nil && n.Revision == r.To {
		least = t.pod.Spec.Update.MinReady
	}
	since := t.mem.Nodes[n.Name].Ready
	if age := t.w.Now.Sub(since); age < least {
		t.due(since.Add(least))
		return false
	}
	return true
}

// young is the age below which a node that dies or hangs counts as one that
// never worked.
func (t *turn) young() time.Duration {
	p := t.pod.Spec.Workload.Probe
	if p.Kind == pod.ProbeNone || p.Failures < 1 {
		return youngDeath
	}
	return youngDeath + time.Duration(p.Failures+1)*p.LiveInterval
}

// online records that a node is ready.
func (m *NodeMemory) online(now time.Time) { m.Ready, m.Adopted = now, false }

// settle notes that something was done to the node: only what its host observes
// after that is true of it.
func (m *NodeMemory) settle(now time.Time) { m.Settled = now }

// tellHung notes that people were told whether the node hangs.
func (m *NodeMemory) tellHung(hung bool) { m.Hung = hung }
