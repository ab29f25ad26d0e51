package reconcile

import (
	"maps"
	"slices"
	"time"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// Reconcile plans one turn of a pod's loop.
func Reconcile(w World) Plan {
	t := begin(w)
	for _, stage := range stages(w.Mode) {
		stage(t)
	}
	return t.end()
}

// Serve plans only what the balancer needs. It is for the time while a plan is
// being saved: record and memory are that plan's, and only Memory.Fronts changes.
func Serve(w World) Plan {
	w.Store = Fault{Code: FaultStore, Text: "a change is being saved"}
	t := begin(w)
	for _, stage := range []func(*turn){adopt, frontResults, serve} {
		stage(t)
	}
	return t.end()
}

// stages returns what a turn does, in order. Results and commands change the
// record first; then the pod is brought closer to it. When the manager ends, only
// what has happened is recorded.
func stages(m Mode) []func(*turn) {
	if m == Ending {
		return []func(*turn){adopt, startResults, stopResults, frontResults, decide, recordStarts, (*turn).forgetEnded}
	}
	return []func(*turn){
		adopt, startResults, stopResults, frontResults, decide, obey, recordStarts, noticeEnded, replaceHung, giveUpStarts,
		followRollout, scale, orderStarts, serve, leave, drain, sweep, finish, answerHeld,
	}
}

// turn is a plan in the making.
type turn struct {
	w       World
	pod     state.Pod // changed through rec only
	mem     Memory
	plan    Plan
	room    []Room // what is left of the world's
	jitter  jitter
	pending *edit  // a command that waits for its fronts
	cause   string // trace context of what this turn begins
	notes   notes
}

// notes are what stages found out for the problems of the plan.
type notes struct {
	surge, waits *Problem
	starts       bool // nodes are missing, also new ones beside the old ones of a rollout
}

func begin(w World) *turn {
	t := &turn{w: w, pod: w.Pod.Clone(), mem: w.Memory.Clone(), room: slices.Clone(w.Room), jitter: jitter{w.Jitter}, cause: w.Cause}
	t.plan.Wake = w.Now.Add(time.Hour)
	for _, c := range w.Commands {
		t.causedBy(c.Cause)
	}
	for _, r := range w.Results {
		t.causedBy(r.Cause)
	}
	return t
}

// hosts returns the names of all hosts, sorted.
func (t *turn) hosts() []string { return slices.Sorted(maps.Keys(t.w.Hosts)) }

// causedBy makes what the turn begins belong to a trace, unless it belongs to one.
func (t *turn) causedBy(cause string) {
	if t.cause == "" {
		t.cause = cause
	}
}

func (t *turn) end() Plan {
	t.forgetNodes()
	t.plan.Pod, t.plan.Memory = t.pod, t.mem
	t.plan.Holds, t.plan.Claims = t.holds(), t.claims()
	t.plan.Problems = t.problems()
	t.plan.Status = t.status()
	t.plan.Look.Waiting = t.waiting()
	t.dueAll()
	return t.plan
}

// created says whether the store has the pod.
func (t *turn) created() bool { return !t.pod.CreatedAt.IsZero() }

// readOnly says that nothing can be saved, so that the record stays as it is.
func (t *turn) readOnly() bool { return !t.w.Store.OK() }

// rec returns the record for a change, which the plan then saves.
func (t *turn) rec() *state.Pod {
	t.save(true)
	return &t.pod
}

// save makes the plan save the record, where that is so.
func (t *turn) save(changed bool) { t.plan.Changed = t.plan.Changed || changed }

// change returns a node of the record for a change of a node of the record.
func (t *turn) change(name string) *state.Node { return t.rec().Node(name) }

// running says whether an action of that key has not ended.
func (t *turn) running(k Key) bool {
	_, ok := t.w.Running[k]
	return ok
}

// busy says whether something is done to a node.
func (t *turn) busy(name string) bool { return t.running(NodeKey(name)) }

// before adds an action that needs no changed record.
func (t *turn) before(a Action) { t.plan.Before = append(t.plan.Before, a) }

// after adds an action that is done once the plan is saved.
func (t *turn) after(a Action) { t.plan.After = append(t.plan.After, a) }

func (t *turn) tell(e Event) {
	e.Pod = t.w.Name
	t.plan.Events = append(t.plan.Events, e)
}

// due makes the loop look again at a time.
func (t *turn) due(at time.Time) {
	if at.After(t.w.Now) && at.Before(t.plan.Wake) {
		t.plan.Wake = at
	}
}

// again makes the loop look again at once.
func (t *turn) again() { t.plan.Wake = t.w.Now }

// want is the number of nodes to close in on now.
func (t *turn) want() int {
	if t.pod.Deleting || t.w.Mode == Halting || !t.created() {
		return 0
	}
	return t.pod.Want
}

// adopt begins to remember nodes that an earlier manager left, or whose memory
// was lost with a plan.
func adopt(t *turn) {
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		if t.mem.Nodes[n.Name] != nil {
			continue
		}
		m := t.remember(n.Name, NodeMemory{Ordered: t.w.Now, Ready: t.w.Now, Adopted: true})
		if n.State == pod.StateDraining { // nobody can tell how much of it has passed
			m.Drain.begin(t.w.Now, t.pod.Spec.Drain, "")
			n.Extend(t.w.Wall.Add(t.pod.Spec.Drain))
		}
	}
}

// dueAll makes the loop look again when something may be tried again or is due.
func (t *turn) dueAll() {
	for _, r := range t.mem.Starts {
		t.due(r.Next)
	}
	for _, v := range t.mem.Vacant {
		t.due(v.Due)
	}
	for _, o := range t.mem.Orphans {
		t.due(o.Try.Next)
	}
	t.due(t.mem.Room.Until)
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		m := t.mem.Nodes[n.Name]
		t.due(m.Stop.Try.Next)
		switch n.State {
		case pod.StateDraining:
			t.due(m.Drain.By)
		case pod.StateStarting:
			t.due(t.overdueAt(n))
		}
	}
	t.dueFronts()
}
