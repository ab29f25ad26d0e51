package reconcile

import (
	"cmp"
	"fmt"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// scale starts and drains nodes until as many are launched as wanted, and all of
// them are as they should be.
func scale(t *turn) {
	if t.readOnly() || !t.created() {
		return
	}
	c, old := t.census(), t.stale
	t.noteShare(c)
	r := t.rule(c, old)
	m := r.Moves(c)
	if r.held() {
		if unfit := t.censusUnfit(); unfit.Old > 0 {
			old = t.unfitHeld
			r = t.rule(unfit, old)
			m = r.replace(unfit)
		}
	}
	if m.Short > 0 {
		t.notes.surge = &Problem{Code: ProblemSurge, Count: m.Short, Limit: t.pod.Spec.MaxNodes}
	}
	if m.Waits {
		why := fmt.Sprintf("max_nodes is %d", t.pod.Spec.MaxNodes)
		if t.pod.Spec.MaxNodes > r.Want {
			_, why = t.roomFor(t.pod.Spec.Limits, t.usable(), 1)
		}
		t.notes.waits = &Problem{Code: ProblemWaits, Fault: Fault{Text: why}}
	}
	t.notes.starts = m.StartFresh+m.StartOld > 0
	if m.GiveWay {
		t.giveWay(old)
	}
	t.shrink(m.DrainOld, old)
	t.shrink(m.DrainFresh, func(n *state.Node) bool {
		if t.overdue(n) {
			return r.Want == 0
		}
		return !t.stale(n)
	})
	if c.FreshReady+c.OldReady >= r.Want {
		t.drainLost()
	}
	t.grow(m.StartOld, m.StartFresh)
	t.forgetFaults(c.Live() >= r.Want && c.Starting == 0)
	if !t.notes.starts {
		t.roomEnough()
		if c.Live() >= r.Want && c.Old == 0 {
			t.forgetVacant()
		}
	}
}

func (t *turn) rule(c Census, old func(*state.Node) bool) Rule {
	r := Rule{Want: t.want(), MaxNodes: t.pod.Spec.MaxNodes, Update: t.pod.Spec.Update, Share: t.mem.Rollout.Share, Stuck: t.stuck()}
	if rolling := t.pod.Rolling(); rolling != nil {
		r.Rolling, r.Paused, r.Step = true, rolling.State == state.RolloutPaused, rolling.Step
	}
	if c.Old > 0 || r.Rolling {
		n, _ := t.roomFor(t.pod.Spec.Limits, t.usable(), 1)
		r.Room = n > 0
		if gives := t.gives(old); gives != nil {
			r.Swap, r.SwapHung = true, t.hung(gives) != ""
		}
	}
	return r
}

// shrink drains the n nodes of some whose loss hurts least.
func (t *turn) shrink(n int, some func(*state.Node) bool) {
	if n <= 0 {
		return
	}
	for _, name := range t.victims(n, some) {
		t.drain(name, cmp.Or(t.staleWhy(t.pod.Node(name)), "scaled in"))
	}
}

// drainLost drains the nodes in whose place others run, where they need not be
// waited for: their host is being removed, or no node is wanted.
func (t *turn) drainLost() {
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		if n.Live() && t.lost(n) && (t.want() == 0 || t.w.Hosts[n.Host].Draining) {
			t.drain(n.Name, cmp.Or(t.staleWhy(n), "scaled in"))
		}
	}
}

// gives returns the old node that can best make room for its own replacement, or
// nil.
func (t *turn) gives(old func(*state.Node) bool) *state.Node {
	usable := t.usable()
	for _, name := range t.victims(len(t.pod.Nodes), old) {
		if n := t.pod.Node(name); n.State == pod.StateOnline && t.fitsInstead(n, t.pod.Spec.Limits, usable) {
			return n
		}
	}
	return nil
}

// giveWay drains an old node whose replacement only fits where it is itself.
// Without it a pod that fills its hosts could never be changed.
func (t *turn) giveWay(old func(*state.Node) bool) {
	if n := t.gives(old); n != nil {
		t.drain(n.Name, "gives way to its replacement: there is no room for both")
	}
}

// grow launches nodes, old ones of the revision that the rollout replaces and new
// ones of the current: registered ones first where elasticity is on. The places of
// those that died young wait their time, and hosts where starts failed get one node
// at a time.
func (t *turn) grow(old, fresh int) {
	if old+fresh == 0 {
		return
	}
	due, waiting := t.vacancies(old + fresh)
	if t.w.Now.Before(t.mem.Room.Until) {
		return
	}
	newFirst := len(t.mem.Starts) > 0 && t.jitter.fraction() < 0.5 // one kind that cannot start must not hold up the other for ever
	for i := range old + fresh - waiting {
		revision := t.pod.Revision
		if newFirst && i >= fresh || !newFirst && i < old {
			revision = t.pod.Rollout.From
		}
		limits := t.pod.SpecOf(revision).Limits
		hosts := t.startable()
		if anyHeld(hosts) && !anyUsable(hosts) {
			return
		}
		var place Vacancy
		if i < len(due) {
			place = due[i]
			hosts = t.avoiding(place.Host, limits, hosts)
		}
		name := ""
		if oldest := t.pod.OldestNew(); oldest != nil && t.pod.Elasticity.Enabled {
			name = oldest.Name
		}
		name, why := t.launch(name, revision, hosts)
		if why != "" {
			t.noRoom(why)
			return
		}
		t.take(place, name)
	}
	t.roomEnough()
}

// launch places a node on one of the hosts and records it as starting. An empty
// name makes a new node. It returns the node's name, or why no host takes it.
func (t *turn) launch(name string, revision uint64, hosts []place) (made, why string) {
	limits := t.pod.SpecOf(revision).Limits
	host, why := t.choose(limits, hosts)
	if why != "" {
		return "", why
	}
	rec := t.rec()
	if name == "" {
		name = rec.Register("", t.w.Wall).Name
	}
	rec.Node(name).Launch(host, revision)
	t.remember(name, NodeMemory{Ordered: t.w.Now, Cause: t.cause})
	t.tell(Event{Type: EventNodeStarting, Node: name, Host: host, Message: fmt.Sprintf("node %s starts on host %s", name, host)})
	return name, ""
}
