package reconcile

import (
	"fmt"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// blame counts a node that failed against the rollout that brought it, and goes
// back when that is too much. It is called after the failure is in the record.
func (t *turn) blame(n *state.Node, reason string, why Fault) {
	r := t.pod.Rolling()
	if r == nil || n.Revision != r.To || t.pod.Spec.Update.Failures < 0 || passing(why) {
		return
	}
	t.rec().Rollout.Failed()
	if failures := t.pod.Rollout.Failures; why.Final() || failures >= t.pod.Spec.Update.Failures {
		t.rollBack(fmt.Sprintf("%d of its nodes failed, the last, %s, with: %s", failures, n.Name, reason))
	}
}

// passing says that a failure says nothing of what the node runs: the registry
// or the host may deliver the next time.
func passing(why Fault) bool {
	switch why.Code {
	case FaultRegistry, FaultUnreachable, FaultElsewhere, FaultCanceled, FaultTimeout, FaultForeign:
		return true
	}
	return false
}

// rollBack makes the pod run what it ran before the rollout.
func (t *turn) rollBack(reason string) {
	target := t.pod.RevisionOf(t.pod.Rollout.From)
	if target == nil || t.pod.Deleting {
		return
	}
	if why := t.goTo(*target, reason); why != "" {
		t.mem.Rollout.Stuck = Fault{Code: FaultOther, Text: fmt.Sprintf("%s; %s", reason, why)}
	}
}

// goTo makes the pod run a revision that it ran before, or says why it cannot.
func (t *turn) goTo(target state.Revision, reason string) (why string) {
	if err := t.pod.Spec.With(target).Validate(); err != nil {
		return fmt.Sprintf("revision %d does not go with the pod's fronts: %v", target.Number, err)
	}
	t.rec().GoTo(target.Number, reason, t.w.Wall.UTC())
	t.revised()
	return ""
}

// revised follows a change of what the pod runs.
func (t *turn) revised() {
	t.forgiveStarts()
	t.mem.Rollout = RolloutMemory{}
	r := t.pod.Rollout
	if r == nil {
		return
	}
	if r.State == state.RolloutRolledBack {
		t.tell(Event{Type: EventRolloutRolledBack, Message: fmt.Sprintf("pod %s goes back to revision %d: %s", t.w.Name, r.From, r.Reason)})
		return
	}
	t.tell(Event{Type: EventRolloutStarted, Message: fmt.Sprintf("pod %s changes from revision %d to %d", t.w.Name, r.From, r.To)})
}

// followRollout moves the rollout on: to the next step, back, or to its end.
func followRollout(t *turn) {
	r := t.pod.Rolling()
	if r == nil || t.pod.Deleting || t.w.Mode == Halting || t.readOnly() {
		return
	}
	if why := t.gate(r); why != "" {
		t.rollBack(why)
		return
	}
	if r.State == state.RolloutPaused {
		return
	}
	c, want, u := t.census(), t.want(), t.pod.Spec.Update
	switch {
	case c.Old == 0 && c.FreshReady >= want && !t.rule(c, t.stale).keepsOld(c):
		t.mem.Rollout = RolloutMemory{}
		t.rec().Rollout.End(t.w.Wall.UTC())
		t.tell(Event{Type: EventRolloutDone, Message: fmt.Sprintf("pod %s runs revision %d", t.w.Name, t.pod.Revision)})
	case u.Strategy == state.Canary && r.Step < len(u.Steps):
		t.followCanary(r, c, want)
	case u.Strategy == state.BlueGreen && r.Step == 0 && c.Fresh > 0 && c.FreshReady >= t.blueGreenGoal(c, want):
		t.nextStep(1, fmt.Sprintf("pod %s changes over to %d new nodes", t.w.Name, c.FreshReady))
	}
}

// blueGreenGoal is how many new nodes must be ready before a blue-green rollout
// changes over to them: as many as are wanted, or as there is room for.
func (t *turn) blueGreenGoal(c Census, want int) int {
	if r := t.rule(c, t.stale); r.packed(c) {
		want = min(want, c.Fresh)
	}
	return min(want, max(t.pod.Spec.MaxNodes-c.Old, 1))
}

// followCanary ends a step once its nodes have been ready for its pause.
func (t *turn) followCanary(r *state.Rollout, c Census, want int) {
	steps := t.pod.Spec.Update.Steps
	step := steps[r.Step]
	if fresh, _ := canaryShare(step.Weight, want, t.pod.Spec.MaxNodes); c.FreshReady < fresh {
		t.stepReady(false)
		return
	}
	t.stepReady(true)
	if over := t.mem.Rollout.StepReady.Add(step.Pause); t.w.Now.Before(over) {
		t.due(over)
		return
	}
	text := fmt.Sprintf("pod %s rolls all other nodes: its canary passed", t.w.Name)
	if r.Step+1 < len(steps) {
		text = fmt.Sprintf("pod %s gives new nodes %d %% of the requests", t.w.Name, steps[r.Step+1].Weight)
	}
	t.nextStep(r.Step+1, text)
}

// stepReady notes since when the nodes of the step are ready, where they are.
func (t *turn) stepReady(ready bool) {
	m := &t.mem.Rollout
	switch {
	case !ready:
		*m = RolloutMemory{Stuck: m.Stuck, Share: m.Share}
	case m.StepReady.IsZero():
		m.StepReady = t.w.Now
	}
}

// noteShare notes how many of a rollout's nodes are new, while there are as many as
// there should be: those that die do not change what a paused one keeps.
func (t *turn) noteShare(c Census) {
	m := &t.mem.Rollout
	r := Rule{Want: t.want(), MaxNodes: t.pod.Spec.MaxNodes, Update: t.pod.Spec.Update}
	if live := c.Live(); t.pod.Rolling() != nil && live >= r.Want && live <= r.most() {
		m.Share = Share{c.Fresh, live}
	}
}

func (t *turn) nextStep(step int, text string) {
	t.rec().Rollout.Next(step)
	t.stepReady(false)
	t.tell(Event{Type: EventRolloutStep, Message: text})
}

// gate says why the new nodes fail too many requests; empty when they do not.
func (t *turn) gate(r *state.Rollout) string {
	most := t.pod.Spec.Update.MaxErrors
	if most >= 1 || !t.w.Balancer.Fault.OK() {
		return ""
	}
	var requests, failed uint64
	for _, f := range t.w.Balancer.Fronts {
		for j := range f.Servers {
			if n := t.pod.Node(f.Servers[j].Name); n != nil && n.Revision == r.To {
				requests += f.Servers[j].Requests
				failed += f.Servers[j].Errors
			}
		}
	}
	if share := float64(failed) / float64(max(requests, 1)); requests >= state.GateRequests && share > most {
		return fmt.Sprintf("its nodes failed %d of %d requests, %.1f %%, and %.3g %% are allowed", failed, requests, 100*share, 100*most)
	}
	return ""
}

// withheld says whether an online node gets no requests yet: it is one of the
// new ones of a change that happens all at once, and an old one answers.
func (t *turn) withheld(n *state.Node) bool {
	r := t.pod.Rolling()
	if r == nil || t.pod.Spec.Update.Strategy != state.BlueGreen || r.Step > 0 || n.Revision != r.To {
		return false
	}
	for i := range t.pod.Nodes {
		if old := &t.pod.Nodes[i]; old.State == pod.StateOnline && old.Revision != r.To && !t.lost(old) && t.hung(old) == "" {
			return true
		}
	}
	return false
}

// weights returns the balancer's weights of new and of old nodes, so that a
// canary gets its share of the requests.
func (t *turn) weights() (fresh, old int) {
	r, u := t.pod.Rolling(), t.pod.Spec.Update
	if r == nil || u.Strategy != state.Canary || r.Step >= len(u.Steps) {
		return balancer.DefaultWeight, balancer.DefaultWeight
	}
	var nFresh, nOld float64
	for i := range t.pod.Nodes {
		if n := &t.pod.Nodes[i]; n.State == pod.StateOnline {
			if n.Revision == r.To {
				nFresh++
			} else {
				nOld++
			}
		}
	}
	if nFresh == 0 || nOld == 0 {
		return balancer.DefaultWeight, balancer.DefaultWeight
	}
	share := float64(u.Steps[r.Step].Weight) / 100
	ratio := share / (1 - share) * nOld / nFresh // of the weights
	scale := float64(balancer.DefaultWeight)
	if ratio > 1 {
		scale = balancer.MaxWeight / ratio
	}
	clamp := func(w float64) int { return min(max(int(w+0.5), 1), balancer.MaxWeight) }
	return clamp(scale * ratio), clamp(scale)
}
