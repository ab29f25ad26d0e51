package reconcile

import (
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// linger is how long the balancer may know a node that has ended. It gets no new
// requests; those that it had are tried on others by the balancer, which takes
// its time-out of a connection. To remove the server at once would cut them.
const linger = time.Second

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
				delete(t.mem.Fronts, name)
				continue
			}
			m.stays(t, r.Fault)
		}
	}
}

// answered takes in how setting a front, or its servers, ended.
func (m *FrontMemory) answered(t *turn, r Result) {
	if !m.Tried {
		t.plan.Look.Balancer = true // what it has from the start on is seen before the next tick
	}
	m.Tried, m.At = true, t.w.Now
	if r.Step != StepNone && r.Front != nil {
		m.Set, m.Refused = r.Front, Fault{}
	}
	switch {
	case r.Fault.Code == FaultNoFront: // the balancer lost it
		m.lost()
	case !r.Fault.OK():
		m.Refused = r.Fault
		m.Try.failed(t.w.Now, &t.jitter, "", r.Fault)
	case r.Step == StepApplied:
		m.Applied, m.Trusted = r.Served, true
		m.noteDrained(t)
	}
}

// lost notes that the balancer does not have the front.
func (m *FrontMemory) lost() { m.Set, m.Trusted = nil, false }

// noteDrained notes which servers are confirmed to get no new requests.
func (m *FrontMemory) noteDrained(t *turn) {
	drained := map[string]time.Time{}
	for _, s := range m.Applied {
		if s.State != balancer.Drain {
			continue
		}
		since, before := m.Drained[s.Name]
		if !before {
			since = t.w.Now
			t.plan.Look.Balancer = true // only what it shows from now on counts
		}
		drained[s.Name] = since
	}
	m.Drained = drained
}

// has says whether the balancer has the node behind the front, or may be
// learning of it just now.
func (m *FrontMemory) has(node string) bool {
	return slices.ContainsFunc(m.Applied, func(s balancer.Server) bool { return s.Name == node })
}

// serve makes the balancer's fronts be those of the pod, and their servers the
// nodes that take requests.
func serve(t *turn) {
	t.compare()
	for _, f := range t.frontsWanted() {
		m := t.mem.Fronts[f.Name]
		if m == nil {
			m = &FrontMemory{}
			t.mem.Fronts[f.Name] = m
		}
		m.wanted(f)
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
			m.Try = Retry{}
			continue
		case t.asks(m, f):
		case !m.Try.ready(t.w.Now):
			continue
		}
		if apply {
			// Until the balancer has answered, a server that is added may be there
			// already, and one that is removed may still be there.
			m.Applied, m.Trusted = union(m.Applied, servers), false
		}
		if set {
			t.before(SetFront{Front: f, Apply: apply, Servers: servers, Cause: t.servingCause()})
		} else {
			t.before(Apply{Front: f.Name, Servers: servers, Cause: t.servingCause()})
		}
	}
}

// wanted claims the front's name and address, and takes back a removal.
func (m *FrontMemory) wanted(f state.Front) { m.Claim, m.Leave = f, nil }

// compare forgets what was applied to a front when the balancer has something
// else, so that it is applied again.
func (t *turn) compare() {
	b := t.w.Balancer
	if !b.Fault.OK() {
		return
	}
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
		if m.At = t.w.Now; ok {
			m.Trusted = false
		} else {
			m.lost()
		}
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
		gone := n.State == pod.StateFailed || n.State != pod.StateStarting && !t.busy(n.Name) && t.ended(n) != ""
		switch {
		case gone:
			if !m.lingers(t, n.Name, ended) {
				continue
			}
			s.State = balancer.Drain
		case t.withheld(n):
			if !t.hasServer(m, f.Name, n.Name) {
				continue
			}
			s.State = balancer.Drain // it had requests before this change, and finishes them
		case n.State == pod.StateOnline && t.pod.Paused:
			s.State = balancer.Drain
		case n.State == pod.StateOnline:
		case n.State == pod.StateDraining && t.mem.Nodes[n.Name].Drain.Idle.IsZero():
			s.State = balancer.Drain
		default:
			continue
		}
		want = append(want, s)
	}
	if len(ended) == 0 {
		ended = nil
	}
	m.Ended = ended
	slices.SortFunc(want, func(a, b balancer.Server) int { return strings.Compare(a.Name, b.Name) })
	return want
}

// lingers says whether a node that has ended stays behind the front for a moment,
// and notes since when it has ended.
func (m *FrontMemory) lingers(t *turn, node string, ended map[string]time.Time) bool {
	if !m.has(node) {
		return false
	}
	since, ok := m.Ended[node]
	if !ok {
		since = t.w.Now
	}
	ended[node] = since
	if over := since.Add(linger); t.w.Now.Before(over) {
		t.due(over)
		return !t.idleSince(node, m.Drained[node])
	}
	return false
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
