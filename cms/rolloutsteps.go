package cms

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/pod"
)

// rolling returns the rollout that is under way, or nil.
func (l *loop) rolling() *RolloutRecord {
	if r := l.rec.Rollout; r != nil && !r.State.Over() && r.To == l.revision {
		return r
	}
	return nil
}

// nodeFailed counts a node that failed against the rollout that brought it, and
// goes back when that is too much. It is called after the failure is recorded.
func (l *loop) nodeFailed(rec NodeRecord, reason string, hopeless bool) {
	r := l.rolling()
	if r == nil || specRevision(rec.Revision) != r.To || l.rec.Spec.Update.Failures < 0 {
		return
	}
	failures := r.Failures + 1
	if hopeless || failures >= l.rec.Spec.Update.Failures {
		l.rollBack(fmt.Sprintf("%d of its nodes failed, the last, %s, with: %s", failures, rec.Name, reason))
		return
	}
	if err := l.commit(func(r *PodRecord) error { r.Rollout.Failures = failures; return nil }); err != nil {
		l.log.Error("record a failure of the rollout", "error", err)
	}
}

// rollBack makes the pod run what it ran before the rollout.
func (l *loop) rollBack(reason string) {
	target := l.rec.revision(l.rec.Rollout.From)
	if target == nil || l.rec.Deleting {
		return
	}
	if err := l.goTo(*target, reason); err != nil {
		l.log.Error("roll back", "error", err)
		l.problems["rollout"] = fmt.Sprintf("the rollout failed (%s), and the pod cannot go back: %v", reason, err)
	}
}

// followRollout moves the rollout on: to the next step, back, or to its end.
func (l *loop) followRollout(now time.Time) {
	r := l.rolling()
	if r == nil || l.rec.Deleting || l.m.halting.Load() {
		return
	}
	if why := l.gate(r); why != "" {
		l.rollBack(why)
		return
	}
	if r.State == RolloutPaused {
		return
	}
	c := l.count(now)
	want := l.want()
	switch {
	case c.old == 0 && c.freshReady >= want:
		l.endRollout(now)
	case l.rec.Spec.Update.Strategy == Canary && r.Step < len(l.rec.Spec.Update.Steps):
		l.followCanary(r, c, want, now)
	case l.rec.Spec.Update.Strategy == BlueGreen && r.Step == 0 && c.fresh > 0 && c.freshReady >= min(want, max(l.rec.Spec.MaxNodes-c.old, 1)):
		l.nextStep(1, fmt.Sprintf("pod %s changes over to %d new nodes", l.name, c.freshReady))
	}
}

// followCanary ends a step once its nodes have been ready for its pause.
func (l *loop) followCanary(r *RolloutRecord, c census, want int, now time.Time) {
	step := l.rec.Spec.Update.Steps[r.Step]
	if fresh, _ := canaryShare(step.Weight, want, l.rec.Spec.MaxNodes); c.freshReady < fresh {
		l.stepReady = time.Time{}
		return
	}
	if l.stepReady.IsZero() {
		l.stepReady = now
	}
	if now.Sub(l.stepReady) < step.Pause {
		return
	}
	text := fmt.Sprintf("pod %s rolls all other nodes: its canary passed", l.name)
	if r.Step+1 < len(l.rec.Spec.Update.Steps) {
		text = fmt.Sprintf("pod %s gives new nodes %d %% of the requests", l.name, l.rec.Spec.Update.Steps[r.Step+1].Weight)
	}
	l.nextStep(r.Step+1, text)
}

func (l *loop) nextStep(step int, text string) {
	if err := l.commit(func(r *PodRecord) error { r.Rollout.Step = step; return nil }); err != nil {
		l.log.Error("record the rollout's step", "error", err)
		return
	}
	l.stepReady = time.Time{}
	l.m.events.emit(Event{Type: EventRolloutStep, Pod: l.name, Message: text})
}

func (l *loop) endRollout(now time.Time) {
	if err := l.commit(func(r *PodRecord) error {
		r.Rollout.State, r.Rollout.EndedAt = RolloutDone, l.m.clock.wall().UTC()
		return nil
	}); err != nil {
		l.log.Error("record the rollout's end", "error", err)
		return
	}
	l.setFrontsAgain() // nothing is checked as during the rollout any more
	l.m.collectSoon()
	l.log.Info("rollout done", "revision", l.revision)
	l.m.events.emit(Event{Type: EventRolloutDone, Pod: l.name, Message: fmt.Sprintf("pod %s runs revision %s", l.name, l.numberOf(l.revision))})
}

// gate says why the new nodes fail too many requests; empty when they do not.
func (l *loop) gate(r *RolloutRecord) string {
	most := l.rec.Spec.Update.MaxErrors
	v := l.m.balancer.view.Load()
	if most >= 1 || v == nil || v.err != nil {
		return ""
	}
	var requests, failed uint64
	for i := range l.rec.Spec.Fronts {
		f, _ := v.stats.Front(l.rec.Spec.Fronts[i].Name)
		for j := range f.Servers {
			if n := l.rec.node(f.Servers[j].Name); n != nil && specRevision(n.Revision) == r.To {
				requests += f.Servers[j].Requests
				failed += f.Servers[j].Errors
			}
		}
	}
	if share := float64(failed) / float64(max(requests, 1)); requests >= GateRequests && share > most {
		return fmt.Sprintf("its nodes failed %d of %d requests, %.1f %%, and %.3g %% are allowed", failed, requests, 100*share, 100*most)
	}
	return ""
}

// canaryShare returns how many new and old nodes a step has: as many as wanted
// together, and at least one of each, where the pod may have two.
func canaryShare(weight, want, maxNodes int) (fresh, old int) {
	fresh = max(min((weight*want+99)/100, want-1), 1)
	old = max(want-fresh, 1)
	if fresh+old > maxNodes {
		old = 0
	}
	return fresh, old
}

// withheld says whether an online node gets no requests yet: it is one of the
// new ones of a change that happens all at once.
func (l *loop) withheld(rec *NodeRecord) bool {
	r := l.rolling()
	if r == nil || l.rec.Spec.Update.Strategy != BlueGreen || r.Step > 0 || specRevision(rec.Revision) != r.To {
		return false
	}
	return slices.ContainsFunc(l.rec.Nodes, func(n NodeRecord) bool {
		return n.State == pod.StateOnline && specRevision(n.Revision) != r.To
	})
}

// weights returns the balancer's weights of new and of old nodes, so that a
// canary gets its share of the requests.
func (l *loop) weights() (fresh, old int) {
	r := l.rolling()
	u := l.rec.Spec.Update
	if r == nil || u.Strategy != Canary || r.Step >= len(u.Steps) {
		return balancer.DefaultWeight, balancer.DefaultWeight
	}
	var nFresh, nOld float64
	for i := range l.rec.Nodes {
		if n := &l.rec.Nodes[i]; n.State == pod.StateOnline {
			if specRevision(n.Revision) == r.To {
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

// hopeless says that starting the same again will not help.
func hopeless(err error) bool {
	return errors.Is(err, pod.ErrImage) || errors.Is(err, pod.ErrUnsupported)
}
