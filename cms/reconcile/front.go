package reconcile

import (
	"fmt"
	"slices"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
)

// FrontMemory is what is known of a front in the balancer.
type FrontMemory struct {
	Set     *state.Front         // as it was set last; nil: not known
	Claim   state.Front          // its name and address, which nobody else may have
	Applied []balancer.Server    // its servers, as far as is known; while an action runs, also those that it may bring
	Trusted bool                 // Applied is what the balancer confirmed
	Tried   bool                 // the balancer answered once, well or not
	At      time.Time            // when it answered last
	Drained map[string]time.Time // since when a server is confirmed to get no new requests
	Ended   map[string]time.Time // since when a server's node is known to have ended
	Try     Retry                // after the balancer failed
	Asked   uint64               // the command for which it was set last
	Refused Fault                // why that failed
	Leave   *Leave               // set while it is being removed
}

// Leave is how far the removal of a front is.
type Leave struct {
	Since time.Time // since when it should be gone
	By    time.Time // what it has then is cut
	Empty bool      // it has nothing left, or no time
	Try   Retry     // after a failed removal
}

// linger is how long the balancer may know a node that has ended. It gets no new
// requests; those that it had are tried on others by the balancer, which takes
// its time-out of a connection. To remove the server at once would cut them.
const linger = time.Second

// frontFor returns what is known of a front that is wanted as f says: its name and
// address are claimed, and a removal is taken back.
func (t *turn) frontFor(f state.Front) *FrontMemory {
	m := t.mem.Fronts[f.Name]
	if m == nil {
		m = &FrontMemory{}
		t.mem.Fronts[f.Name] = m
	}
	m.Claim, m.Leave = f, nil
	return m
}

// leaveAll begins the removal of all fronts of a pod that is over, once: also of
// those that an earlier manager set.
func (t *turn) leaveAll() {
	if t.mem.LeftAll {
		return
	}
	t.mem.LeftAll = true
	for _, f := range t.pod.Spec.Fronts {
		t.frontFor(f).leaves(t)
	}
}

// KeepFronts takes over what another memory knows of fronts.
func (m *Memory) KeepFronts(from Memory) { m.Fronts = from.Fronts }

// dropFront forgets a front that the balancer does not have any more.
func (t *turn) dropFront(name string) { delete(t.mem.Fronts, name) }

// ask notes the command for which the front is about to be set.
func (m *FrontMemory) ask(command uint64) { m.Asked, m.Refused = command, Fault{} }

// expect notes the servers that the balancer may have once it has answered.
func (m *FrontMemory) expect(servers []balancer.Server) { m.Applied, m.Trusted = servers, false }

// asItShould notes that the balancer has what it should.
func (m *FrontMemory) asItShould() { m.Try = Retry{} }

// distrust notes that the balancer has other servers than were applied, or not even
// the front.
func (m *FrontMemory) distrust(t *turn, there bool) {
	if m.At = t.w.Now; there {
		m.Trusted = false
	} else {
		m.lost()
	}
}

// noteEnded notes since when servers are those of nodes that have ended.
func (m *FrontMemory) noteEnded(since map[string]time.Time) {
	if len(since) == 0 {
		since = nil
	}
	m.Ended = since
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

// lingers says whether a node that has ended, and that the balancer has, stays behind
// the front for a moment, and notes since when it has ended.
func (m *FrontMemory) lingers(t *turn, node string, ended map[string]time.Time) bool {
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

// leaves begins the removal of a front.
func (m *FrontMemory) leaves(t *turn) {
	if m.Leave == nil {
		m.Leave = &Leave{Since: t.w.Now, By: t.w.Now.Add(t.pod.Spec.Drain)}
	}
}

// draining returns the front's servers, none of which shall get new requests.
func (m *FrontMemory) draining() []balancer.Server {
	out := slices.Clone(m.Applied)
	for i := range out {
		out[i].State = balancer.Drain
	}
	return out
}

// empties says whether a front that leaves has nothing left, or no time.
func (m *FrontMemory) empties(t *turn, name string) bool {
	l, b := m.Leave, t.w.Balancer
	if l.Empty {
		return true
	}
	seen := b.Fronts[name]
	since := l.Since
	for _, at := range m.Drained {
		if at.After(since) {
			since = at
		}
	}
	switch {
	case len(m.Applied) == 0, m.Set == nil, !m.Trusted && !b.Fault.OK(): // nothing that could wait
		l.Empty = true
	case !t.w.Now.Before(l.By):
		l.Empty = true
		if seen.InFlight > 0 {
			t.cut(Event{Cut: seen.InFlight,
				Message: fmt.Sprintf("front %s, which was removed, still had %s in flight at its drain deadline of %s; they were cut", name, requests(seen.InFlight), t.pod.Spec.Drain)})
		}
	case slices.Equal(m.draining(), m.Applied) && m.Trusted && b.Fault.OK() && b.Asked.After(since) && seen.InFlight == 0:
		l.Empty = true
	}
	return l.Empty
}

// stays notes that a front could not be removed.
func (m *FrontMemory) stays(t *turn, why Fault) {
	if m.Leave != nil {
		m.Leave.Try.failed(t.w.Now, &t.jitter, "", why)
	}
}

// busyLeaving says that a front which leaves gets nothing new, and has requests, or
// may have.
func (m *FrontMemory) busyLeaving(t *turn, name string) bool {
	b := t.w.Balancer
	return m.Trusted && slices.Equal(m.draining(), m.Applied) && (b.Fronts[name].InFlight > 0 || !b.Fault.OK()) || !m.Try.Fault.OK()
}
