package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// frontResults takes in what the balancer answered.
func frontResults(t *turn) {
	for _, r := range t.w.Results {
		name := strings.TrimPrefix(string(r.Key), string(FrontKey("")))
		m := t.mem.Fronts[name]
		if m == nil {
			continue
		}
		switch r.Kind {
		case FrontEnded:
			m.answered(t, r)
		case RemoveEnded:
			if r.Fault.OK() {
				t.dropFront(name)
				continue
			}
			m.stays(t, r.Fault)
		}
	}
}

// serve makes the balancer's fronts be those of the pod, and their servers the
// nodes that take requests.
func serve(t *turn) {
	t.compare()
	for _, f := range t.frontsWanted() {
		m := t.frontFor(f)
		if t.running(FrontKey(f.Name)) {
			continue
		}
		set := m.Set == nil || !m.Set.Equal(f)
		servers := m.Applied
		apply := false
		if t.created() && state.Named(t.pod.Spec.Fronts, f.Name) {
			servers = t.servers(f, m)
			apply = !m.Trusted || !slices.Equal(m.Applied, servers)
		}
		switch {
		case !set && !apply:
			m.asItShould()
			continue
		case t.asks(m, f):
		case !m.Try.ready(t.w.Now):
			continue
		}
		if apply {
			// Until the balancer has answered, a server that is added may be there
			// already, and one that is removed may still be there.
			m.expect(union(m.Applied, servers))
		}
		if set {
			t.before(SetFront{Front: f, Apply: apply, Servers: servers, Cause: t.servingCause()})
		} else {
			t.before(Apply{Front: f.Name, Servers: servers, Cause: t.servingCause()})
		}
	}
}

// compare forgets what was applied to a front when the balancer has something
// else, so that it is applied again.
func (t *turn) compare() {
	b := t.w.Balancer
	if !b.Fault.OK() {
		return
	}
	var others []string
	for name, m := range t.mem.Fronts {
		if !m.Trusted || m.Leave != nil || t.running(FrontKey(name)) || !b.Asked.After(m.At) {
			continue
		}
		seen, ok := b.Fronts[name]
		if ok && slices.EqualFunc(m.Applied, seen.Servers, func(w balancer.Server, s balancer.ServerStats) bool {
			return w.Name == s.Name && w.Addr == s.Addr && w.State == s.State && w.Weight == s.Weight
		}) {
			continue
		}
		m.distrust(t, ok)
		others = append(others, name)
	}
	slices.Sort(others)
	for _, name := range others {
		t.tell(Event{Type: EventProblem, Message: fmt.Sprintf("the balancer has other servers behind front %s than were set; they are set again", name)})
	}
}

// servers returns what should be behind a front, sorted by name.
func (t *turn) servers(f state.Front, m *FrontMemory) []balancer.Server {
	want := []balancer.Server{}
	freshWeight, oldWeight := t.weights()
	ended := map[string]time.Time{}
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		addr, ok := n.Endpoints[f.Port]
		if !ok {
			continue
		}
		s := balancer.Server{Name: n.Name, Addr: addr, Weight: oldWeight}.WithDefaults()
		if n.Revision == t.pod.Revision {
			s.Weight = freshWeight
		}
		gone := n.State == pod.StateFailed || !t.busy(n.Name) && t.ended(n) != ""
		switch {
		case gone:
			if !t.hasServer(m, f.Name, n.Name) || !m.lingers(t, n.Name, ended) {
				continue
			}
			s.State = balancer.Drain
		case n.State == pod.StateDraining:
			if !t.mem.Nodes[n.Name].Drain.Idle.IsZero() {
				continue
			}
			s.State = balancer.Drain
		case n.State != pod.StateOnline:
			continue
		case t.withheld(n):
			if !t.hasServer(m, f.Name, n.Name) {
				continue
			}
			s.State = balancer.Drain // it had requests before this change, and finishes them
		case t.pod.Paused:
			s.State = balancer.Drain
		}
		want = append(want, s)
	}
	m.noteEnded(ended)
	slices.SortFunc(want, func(a, b balancer.Server) int { return strings.Compare(a.Name, b.Name) })
	return want
}

// idleSince says that a node has no requests, by an observation of the balancer
// that was begun after it was confirmed to get no new ones.
func (t *turn) idleSince(node string, confirmed time.Time) bool {
	b := t.w.Balancer
	return !confirmed.IsZero() && b.Fault.OK() && b.Asked.After(confirmed) && t.w.lastInFlight(node) == 0
}

// hasServer says whether the balancer has the node behind a front, as far as is
// known; before the first answer, by what an earlier manager left there.
func (t *turn) hasServer(m *FrontMemory, front, node string) bool {
	if m.Tried || len(m.Applied) > 0 {
		return m.has(node)
	}
	return slices.ContainsFunc(t.w.Balancer.Fronts[front].Servers, func(s balancer.ServerStats) bool { return s.Name == node })
}

// serving says whether the balancer knows the node, or may be learning of it
// just now.
func (t *turn) serving(node string) bool {
	for _, m := range t.mem.Fronts {
		if m.has(node) {
			return true
		}
	}
	return false
}

// drained says since when the balancer has confirmed, on every front that has the
// node, that it gets no new requests; zero where it has not.
func (t *turn) drained(node string) (since time.Time) {
	for name, m := range t.mem.Fronts {
		if !m.has(node) {
			continue
		}
		at, ok := m.Drained[node]
		if !ok || !m.Trusted || t.running(FrontKey(name)) {
			return time.Time{}
		}
		if at.After(since) {
			since = at
		}
	}
	return since
}

// servingCause is what a change of servers belongs to: the departure of a node
// that is idle and still has one, or else what the turn is busy with.
func (t *turn) servingCause() string {
	for i := range t.pod.Nodes {
		if m := t.mem.Nodes[t.pod.Nodes[i].Name]; m.Drain.Cause != "" && !m.Drain.Idle.IsZero() && t.serving(t.pod.Nodes[i].Name) {
			return m.Drain.Cause
		}
	}
	return t.cause
}

// union returns the servers of both lists; of those in both, the one that was
// there before.
func union(before, after []balancer.Server) []balancer.Server {
	out := slices.Clone(before)
	for _, s := range after {
		if !slices.ContainsFunc(before, func(b balancer.Server) bool { return b.Name == s.Name }) {
			out = append(out, s)
		}
	}
	return out
}
