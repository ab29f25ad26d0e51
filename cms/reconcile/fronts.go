package reconcile

import (
	"fmt"
	"maps"
	"slices"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// edit is a command that waits until the balancer has its fronts.
type edit struct {
	id     uint64
	fronts []state.Front // as the balancer should have them before the change is saved
}

// frontsWanted returns the fronts that the balancer should have now: those of the
// record, as a command that waits for its fronts wants them.
func (t *turn) frontsWanted() []state.Front {
	var wanted []state.Front
	if t.pending != nil {
		wanted = slices.Clone(t.pending.fronts)
	}
	if !t.created() || t.over() {
		return wanted
	}
	for _, f := range t.pod.FrontsNow() {
		if !state.Named(wanted, f.Name) {
			wanted = append(wanted, f)
		}
	}
	return wanted
}

// asks notes that a front is set for the command that waits for it, once.
func (t *turn) asks(m *FrontMemory, f state.Front) bool {
	if t.pending == nil || m.Asked == t.pending.id || !state.Named(t.pending.fronts, f.Name) || m.Set != nil && m.Set.Equal(f) {
		return false
	}
	m.ask(t.pending.id)
	return true
}

// prepare has the fronts of a command set, before its change is saved. It says
// whether they are, or why one cannot be.
func (t *turn) prepare(id uint64, fronts []state.Front) (ready bool, front string, why Fault) {
	t.pending = &edit{id: id, fronts: fronts}
	ready = true
	for _, f := range fronts {
		m := t.mem.Fronts[f.Name]
		switch {
		case m != nil && m.Set != nil && m.Set.Equal(f) && m.Leave == nil:
		case m != nil && m.Asked == id && !m.Refused.OK() && !t.running(FrontKey(f.Name)):
			t.pending = nil
			return false, f.Name, m.Refused
		default:
			ready = false
		}
	}
	if ready {
		t.pending = nil
	}
	return ready, "", Fault{}
}

// hold keeps the answer of a command until the fronts that it leaves behind are
// gone, or take longer.
func (t *turn) hold(a Answer) { t.mem.Answer = &a }

// answerHeld gives the answer that was kept, once it is time.
func answerHeld(t *turn) {
	a := t.mem.Answer
	if a == nil {
		return
	}
	if !slices.ContainsFunc(t.w.Commands, func(c Command) bool { return c.ID == a.ID }) {
		t.answered() // nobody hears it any more
		return
	}
	wanted := t.frontsWanted()
	left := false
	for name, m := range t.mem.Fronts {
		left = left || m.Leave != nil && m.Leave.Try.Failures > 0
		switch {
		case state.Named(wanted, name):
			if a.Kind != AnswerDone && (m.Set == nil || !m.Set.Equal(m.Claim)) && m.Try.Fault.OK() {
				return // it is set back
			}
		case m.Leave == nil, !m.Leave.Empty && !m.busyLeaving(t, name), m.Leave.Empty && m.Leave.Try.Failures == 0:
			return
		}
	}
	if !t.created() && !t.plan.Gone && !left {
		return
	}
	t.answer(*a)
	t.answered()
}

// answered forgets the answer that was kept; other commands may wait for that.
func (t *turn) answered() {
	t.mem.Answer = nil
	if len(t.w.Commands) > 0 {
		t.again()
	}
}

// leave removes the fronts that are not wanted any more, once they have nothing
// left or no time.
func leave(t *turn) {
	if t.over() {
		t.leaveAll()
	}
	wanted := t.frontsWanted()
	for _, name := range slices.Sorted(maps.Keys(t.mem.Fronts)) {
		m := t.mem.Fronts[name]
		if state.Named(wanted, name) {
			continue
		}
		m.leaves(t)
		if t.running(FrontKey(name)) {
			continue
		}
		drain := m.draining()
		switch {
		case m.empties(t, name):
			if m.Leave.Try.ready(t.w.Now) {
				t.after(RemoveFront{Front: name, Cause: t.cause})
			}
		case (!m.Trusted || !slices.Equal(drain, m.Applied)) && m.Try.ready(t.w.Now):
			m.expect(drain)
			t.after(Apply{Front: name, Servers: drain, Cause: t.cause})
		}
	}
}

// claims returns every front whose name and address nobody else may have: those
// of the pod, and those that may still be in the balancer.
func (t *turn) claims() []state.Front {
	out := slices.Clone(t.pod.Spec.Fronts)
	for _, name := range slices.Sorted(maps.Keys(t.mem.Fronts)) {
		m := t.mem.Fronts[name]
		if m.Set != nil {
			out = append(out, *m.Set)
		}
		out = append(out, m.Claim)
	}
	return out
}

// over says that a pod which is being deleted has no node left.
func (t *turn) over() bool {
	return t.pod.Deleting && len(t.pod.Nodes) == 0 && len(t.mem.Orphans) == 0
}

// finish ends the loop once nothing is left of the pod: it was deleted, or could
// not be created.
func finish(t *turn) {
	if t.created() && !t.over() || t.pending != nil || len(t.mem.Fronts) > 0 || t.created() && t.readOnly() || len(t.w.Running) > 0 {
		return
	}
	t.plan.Gone = true
}

// dueFronts makes the loop look again when something is due of a front.
func (t *turn) dueFronts() {
	for _, m := range t.mem.Fronts {
		t.due(m.Try.Next)
		if m.Leave != nil {
			t.due(m.Leave.Try.Next)
			if !m.Leave.Empty {
				t.due(m.Leave.By)
			}
		}
	}
}

// waiting counts the nodes and fronts whose requests are being waited for.
func (t *turn) waiting() (n int) {
	for _, m := range t.mem.Fronts {
		if m.Leave != nil && !m.Leave.Empty {
			n++
		}
		n += len(m.Ended)
	}
	for i := range t.pod.Nodes {
		if rec := &t.pod.Nodes[i]; rec.State == pod.StateDraining && t.mem.Nodes[rec.Name].Drain.Idle.IsZero() && t.serving(rec.Name) {
			n++
		}
	}
	return n
}

func requests(n int) string {
	if n == 1 {
		return "1 request or connection"
	}
	return fmt.Sprintf("%d requests and connections", n)
}
